"""Data mapped from files: the same fits, part by part, in processes that are not allowed to hold all of them."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from problems import assert_close

import vaejax as vj
from vaejax import expectation, gaussian, gmm
from vaejax import linear_gaussian as lg

ADAM = optax.adam(0.05)
KEY = jax.random.key(0)

LIMITED = """if True:
    import os, re, resource, sys
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # one core: each thread holds memory of its own
    import jax, numpy as np, optax
    import vaejax as vj
    {define}
    xs = np.load(sys.argv[1], mmap_mode="r")
    fit(xs[: len(xs) // 20])  # compiles
    used = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read()).group(1)) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + xs.nbytes // {share},) * 2)
    try:
        np.array(xs)
    except MemoryError:
        print("too large to load")
    np.save(sys.argv[2], fit(xs))
"""


def fit_in_too_little_memory(tmp_path, rows, num_blocks, define, share):
    """What `fit(xs)` of the source `define` returns, for a file made of `rows(rng)`; this share of it is allowed."""
    rng = np.random.default_rng(0)
    first = rows(rng)
    xs = np.lib.format.open_memmap(tmp_path / "xs.npy", "w+", np.float32, (num_blocks * len(first), first.shape[1]))
    for i in range(num_blocks):
        xs[i * len(first) : (i + 1) * len(first)] = rows(rng)
    xs.flush()
    source = LIMITED.format(share=share, define=define.strip().replace("\n", "\n    "))
    command = [sys.executable, "-c", source, tmp_path / "xs.npy", tmp_path / "fit.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "too large to load\n"
    return np.load(tmp_path / "fit.npy")


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_maximize_reads_data_that_memory_cannot_hold(tmp_path):
    mean = fit_in_too_little_memory(
        tmp_path,
        lambda rng: 3 + rng.standard_normal((10_000, 784), np.float32),
        10,  # 314 MB
        """
adam = optax.adam(0.05)
def objective(params, data, key):
    return -((data - params[None]) ** 2).mean()
def fit(xs):
    options = dict(optimizer=adam, num_steps=200, batch_size=64)
    start, key = np.zeros(xs.shape[1], np.float32), jax.random.key(0)
    return vj.maximize(objective, start, xs, key, **options)[0]
""",
        share=2,  # a block of batches is 20 MB, and a few of them are in the air
    )
    assert abs(mean - 3).max() < 0.5  # 12,800 rows of noise 1, and the last steps' noise


def two_clouds(rng, num_examples=100_000, dim=16):
    """Half of the examples around 2, half around -2, in all features, with noise 1."""
    side = rng.choice(np.float32([-2, 2]), (num_examples, 1))
    return side + rng.standard_normal((num_examples, dim), np.float32)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_em_reads_data_that_memory_cannot_hold(tmp_path):
    means = fit_in_too_little_memory(
        tmp_path,
        two_clouds,
        60,  # 384 MB
        """
lg = vj.linear_gaussian
def fit(xs):
    means, eye = np.float32([[-1] * 16, [1] * 16]), np.float32([np.eye(16)] * 2)
    start = vj.gmm.GMMParams(np.log(np.float32([0.5, 0.5])), means, eye)
    mixture = vj.em(vj.gmm.GMM, start, xs, num_steps=3)[0]
    factors = vj.em(lg.PPCA, lg.init(vj.prepare(lg.PPCA, xs), 1), xs, num_steps=50)[0]
    return np.concatenate([mixture.mu, factors.W.T])
""",
        share=5,  # 73 MB; a step holds about 25, and np.isnan of the whole would take a quarter, 92
    )
    # three million examples in each cloud, 16 noises apart: the maximum is within 5 / sqrt(3e6) of the truth
    means = means[np.argsort(means[:, 0] * [1, 1, 0] + [0, 0, 9])]
    assert_close(means[:2], np.repeat([[-2.0], [2.0]], 16, axis=1), atol=3e-3)
    assert_close(np.abs(means[2]), np.full(16, 2.0), atol=1e-2)  # the line through both: W W' is 4 everywhere


@pytest.fixture
def mapped(tmp_path):
    """A function that puts an array into a file and maps it."""

    def put(name, xs):
        np.save(tmp_path / name, xs)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    return put


def test_maximize_on_a_mapped_file_is_maximize(mapped):
    xs = two_clouds(np.random.default_rng(5), 50, 2)
    data = {"x": xs, "weight": np.ones(len(xs))}
    maps = {name: mapped(name, leaf) for name, leaf in data.items()}

    def objective(params, data, key):
        return -(data["weight"][:, None] * (data["x"] - params[None]) ** 2).mean()

    results = [
        vj.maximize(objective, np.zeros(2), xs, KEY, optimizer=ADAM, num_steps=150, batch_size=batch_size)
        for batch_size in (7, None)
        for xs in (data, maps)
    ]
    for loaded, read in (results[:2], results[2:]):
        np.testing.assert_array_equal(loaded[0], read[0])
        np.testing.assert_array_equal(loaded[1], read[1])


@pytest.mark.parametrize("num_examples", [700, 2048, 3000])  # within a part, two parts, many and a rest
@pytest.mark.parametrize("tol", [None, 1e-3])
def test_em_on_a_mapped_file_is_em(mapped, monkeypatch, num_examples, tol):
    monkeypatch.setattr(expectation, "PART_BYTES", 1024 * 3 * 8)
    xs = two_clouds(np.random.default_rng(num_examples), num_examples, 3).astype(float)
    start = gmm.init(xs, 3, KEY)
    loaded = vj.em(gmm.GMM, start, xs, num_steps=40, tol=tol)
    assert len(loaded[1]) == 40 if tol is None else 2 < len(loaded[1]) < 40
    for fast in (True, False):
        read = vj.em(gmm.GMM, start, mapped("xs", xs), num_steps=40, tol=tol, fast=fast)
        jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-9), loaded, read)


def test_parts_of_a_file_are_added_up_in_double_precision(tmp_path, monkeypatch):
    """Three thousand equal parts in float32: their own sum drifts by 3e-5."""
    monkeypatch.setattr(expectation, "PART_BYTES", 4)
    np.save(tmp_path / "xs.npy", np.zeros((3000, 1), np.float32))
    model = vj.LatentModel(
        lambda params, x, z: 0.0 * params,
        lambda params, x, key: vj.enumerate_nodes(jnp.zeros(1)),
        statistics=lambda params, x, nodes: nodes.weight.sum().astype(jnp.float32),
    )
    mean, _ = vj.e_step(model, jnp.zeros(()), np.load(tmp_path / "xs.npy", mmap_mode="r"))
    assert abs(float(mean) - 1) < 1e-7


def test_every_model_reads_a_mapped_file_part_by_part(mapped, monkeypatch):
    """A model with missing entries, and one that draws: each example keeps its key, whichever part it is in."""
    monkeypatch.setattr(expectation, "PART_BYTES", 100 * 3 * 8)
    xs = two_clouds(np.random.default_rng(0), 250, 3).astype(float)
    xs[::7, 1] = np.nan

    def posterior(params, x, key):
        mean, cov = gaussian.conditional(params, x)
        return vj.sample_nodes(key, mean, jnp.sqrt(jnp.diag(cov)) + ~jnp.isnan(x), 2)

    drawn = gaussian.GAUSSIAN._replace(posterior=posterior)
    start = gaussian.init(xs)
    for model, key in ((gaussian.GAUSSIAN, None), (drawn, KEY)):
        pair = [vj.em(model, start, table, num_steps=5, key=key) for table in (xs, mapped("xs", xs))]
        jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-9), *pair)
        steps = [vj.em_step(model, start, table, key=key) for table in (xs, mapped("xs", xs))]
        jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-9), *steps)


@pytest.mark.parametrize("model", [lg.PPCA, lg.FACTOR_ANALYSIS])
def test_em_of_linear_models_on_a_mapped_file_is_em(mapped, model):
    xs = two_clouds(np.random.default_rng(3), 5000, 4)
    start = lg.init(xs, 2)
    results = [vj.em(model, start, table, num_steps=20) for table in (xs, mapped("xs", xs))]
    jax.tree.map(np.testing.assert_array_equal, *results)


def test_a_file_is_prepared_where_a_summary_will_do(mapped):
    table = mapped("xs", two_clouds(np.random.default_rng(3), 100, 4))
    assert vj.prepare(gmm.GMM, table) is table
    assert vj.prepare(lg.PPCA, table).content.root.shape == (4, 4)


def test_a_mapped_file_with_a_hole_is_refused(mapped):
    xs = two_clouds(np.random.default_rng(3), 5000, 4)
    start = gmm.init(xs, 2, KEY)
    xs[4999, 3] = np.nan
    with pytest.raises(ValueError, match="1 NaN or infinite entries"):
        vj.em(gmm.GMM, start, mapped("xs", xs), num_steps=1)


@pytest.mark.long
def test_what_is_said_of_tables_larger_than_memory(tmp_path, monkeypatch):
    readme = (Path(__file__).parent.parent / "docs" / "SCALING.md").read_text()
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "mmap_mode" in block]
    monkeypatch.chdir(tmp_path)
    np.save("table.npy", two_clouds(np.random.default_rng(0), 1000, 5))
    names = {}
    exec(block, names)
    assert names["params"].W.shape == (5, 3)
    for old, new in [
        ("key(0)), xs, num_steps", "key(0)), vj.shard(xs), num_steps"),
        ("ANALYSIS, xs)", "ANALYSIS, vj.shard(xs))"),
        ("init(summary, 3)", "init(few, 3)"),
    ]:
        assert block.count(old) == 1
        block = block.replace(old, new)
    exec(block, names := {})
    assert names["params"].W.shape == (5, 3)
