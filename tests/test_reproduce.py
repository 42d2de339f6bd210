"""The reproduction, on the bundled digits and for a moment: it trains, says what it did, and goes on where it was."""

import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "benchmarks"))
import burda  # noqa: E402

import vaejax as vj  # noqa: E402
from vaejax import bounds, vae  # noqa: E402


def run(tmp_path, *options):
    short = ["--data", "digits", "--test-examples", "100", "--samples", "500", "--folder", tmp_path]
    done = subprocess.run(
        [sys.executable, burda.__file__, *short, *options], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def nll(said):  # of the last k
    return float(re.findall(r"test NLL ([\d.]+)", said)[-1])


@pytest.mark.long
def test_a_short_run_learns_and_goes_on(tmp_path):
    paper = "--draws", "1", "--schedule", "paper", "--epochs"
    first = run(tmp_path / "runs", *paper, "1")
    assert "paper/k1: 4,000 digits, 1 epochs of 200 steps" in first and "paper 86.76" in first
    assert (tmp_path / "runs" / "paper" / "k1" / "200").is_dir()
    second = run(tmp_path / "runs", *paper, "3")
    assert "after 600 steps" in second
    assert nll(second) == nll(run(tmp_path / "at once", *paper, "3"))
    assert nll(second) < nll(first) < nll_of_pixels_on_their_own()


@pytest.mark.long
def test_every_k_goes_on_from_one_vae(tmp_path):
    """The laptop's: a VAE first, then k draws; a longer second stage is another fit from the same VAE."""
    short = run(tmp_path, "--draws", "1", "5", "--epochs", "3", "1")
    assert sorted(str(path.relative_to(tmp_path / "laptop-3")) for path in (tmp_path / "laptop-3").glob("*/*0")) == [
        "k1-1/10", "k5-1/10", "vae/30",
    ]  # fmt: skip
    vae = tmp_path / "laptop-3" / "vae" / "30"
    written = vae.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "laptop-3" / "k5-1")
    again = run(tmp_path, "--draws", "5", "--epochs", "3", "1")
    assert nll(again) == nll(short) and vae.stat().st_mtime_ns == written
    longer = run(tmp_path, "--draws", "5", "--epochs", "3", "30")
    assert nll(longer) < nll(short) < nll_of_pixels_on_their_own()
    after_more = run(tmp_path, "--draws", "5", "--epochs", "30", "1")  # the same, if k = 5 began anew
    assert nll(after_more) < nll(short) - 10


def nll_of_pixels_on_their_own():
    train_xs, test_xs = burda.images("digits")
    mean = np.clip(train_xs.mean(0), 0.001, 0.999)
    return -(test_xs[:100] * np.log(mean) + (1 - test_xs[:100]) * np.log(1 - mean)).sum(1).mean()


def test_settings_are_those_of_the_paper():
    params = burda.networks(jax.random.key(0), np.full((3, 784), 0.2, np.float32))
    sizes = [layer.kernel.shape for net in (params.encoder, params.decoder) for layer in net.hidden]
    assert sizes == [(784, 200), (200, 200), (50, 200), (200, 200)]
    assert params.encoder.mean.kernel.shape == (200, 50) and params.decoder.out.kernel.shape == (200, 784)
    assert sum(epochs for epochs, _ in burda.PAPER_RATES) == 3280
    np.testing.assert_allclose([rate for _, rate in burda.PAPER_RATES][::7], [1e-3, 1e-4])


def test_the_learning_rate_falls_as_in_the_paper():
    (stage,) = burda.stages("paper", 50)
    rates = np.repeat([1e-3, 7.2e-4, 5.2e-4, 3.7e-4], [2, 6, 18, 1])
    np.testing.assert_allclose(steps_of(stage.optimizer(stage.epochs, 2), len(rates)), rates, rtol=1e-4)
    assert stage.epochs == 3280 and stage.num_draws == 50


def test_the_laptops_rates_rise_and_fall_to_zero():
    vae, top = burda.stages("laptop", 5, [1000, 500])
    assert (vae.num_draws, top.num_draws) == (1, 5)
    first = steps_of(vae.optimizer(vae.epochs, 20), 20_000)
    np.testing.assert_allclose(first[:1000], 3e-6 * np.arange(1000), atol=1e-8)
    np.testing.assert_allclose(first[1000:], half_cosine(np.arange(19_000) / 39_000), atol=1e-8)
    second = steps_of(top.optimizer(top.epochs, 20), 10_001)
    np.testing.assert_allclose(second, half_cosine(0.5 + np.arange(10_001) / 20_000), atol=1e-8)
    lengths = {k: tuple(stage.epochs for stage in burda.stages("laptop", k)) for k in (1, 4, 5, 50, 64)}
    assert lengths == {1: (300, 150), 4: (300, 150), 5: (500, 400), 50: (300, 120), 64: (300, 120)}


def test_matrices_go_by_muon():
    """A slope of any size moves every direction of a matrix alike: three rounds of the polynomial on its spectrum."""
    (_, top), rng = burda.stages("laptop", 5, [1000, 50]), np.random.default_rng(0)
    (u, _), (v, _) = np.linalg.qr(rng.normal(size=(4, 4))), np.linalg.qr(rng.normal(size=(6, 4)))
    spectrum = np.array([1, 0.8, 0.5, 0.3])
    moved = spectrum / np.linalg.norm(spectrum)
    for _ in range(3):
        moved = 3.4445 * moved - 4.775 * moved**3 + 2.0315 * moved**5
    assert moved.max() / moved.min() < 2 < spectrum.max() / spectrum.min()
    rates = 10 * half_cosine(0.5 + np.arange(1001) / 2000)  # ten times those of Adam, and fall as they do
    expected = rates[:, None, None] * np.sqrt(6 / 4) * ((u * moved) @ v.T)
    for size in 1e-3, 1e3:
        found = steps_of(top.optimizer(top.epochs, 20), 1001, size * (u * spectrum) @ v.T)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_slope_through_a_few_picks_is_that_of_the_bound_on_average():
    model, params, x = vae.make_vae(), vae.init(jax.random.key(0), 6, 2, hidden=()), jnp.array([1.0, 0, 1, 1, 0, 0])
    params = jax.tree.map(lambda leaf: 2 * leaf, params)  # so that the weights differ

    def whole(params, key):
        nodes = bounds.complete(model, params, x, jax.random.split(key)[0], 20)
        return vj.iw_bound(model.log_joint, params, x, nodes)

    def slopes(f):
        by_key = jax.jit(jax.vmap(lambda key: jax.value_and_grad(f)(params, key)))
        value, slope = by_key(jax.random.split(jax.random.key(1), 20_000))
        return np.asarray(value), np.concatenate([leaf.reshape(len(value), -1) for leaf in jax.tree.leaves(slope)], 1)

    value, slope = slopes(whole)
    for num_picks in 1, 5:
        same, by_picks = slopes(partial(by_picks_of, model, x, num_picks))
        np.testing.assert_allclose(same, value, atol=1e-5)
        off = by_picks - slope
        error = off.std(0) / len(off) ** 0.5
        assert (abs(off.mean(0)) <= 5 * error).all()
    evenly = slopes(lambda params, key: vj.elbo(model.log_joint, params, x, bounds.complete(model, params, x, key, 20)))
    assert (abs(evenly[1].mean(0) - slope.mean(0)) > 20 * error).any(), "picks by chance alone would be noticed"


def by_picks_of(model, x, num_picks, params, key):
    return burda.bound_by_picks(model, params, x, key, 20, num_picks)


def half_cosine(done):
    return 1.5e-3 * (1 + np.cos(np.pi * done))


def steps_of(optimizer, count, slope=1.0):
    """Where the slope of a scalar is one, Adam steps by its rate."""
    slope = jnp.asarray(slope)

    def step(state, _):
        update, state = optimizer.update(slope, state, jnp.zeros_like(slope))
        return state, -update

    start = optimizer.init(jnp.zeros_like(slope))
    return np.asarray(jax.jit(lambda: jax.lax.scan(step, start, length=count)[1])())
