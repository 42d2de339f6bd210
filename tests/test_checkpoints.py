"""A fit that is killed and started again ends as one that was not."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

import vaejax as vj
from vaejax.checkpoints import Checkpoints

HERE = Path(__file__).parent
ADAM = optax.adam(1e-2)
KEY = jax.random.key(0)
XS = np.random.default_rng(0).standard_normal((50, 2))


def noisy_squares(params, xs, key):
    return -((xs - params["mean"][None]) ** 2).mean() + (params["mean"] * jax.random.normal(key, 2)).sum()


def climb(num_steps, data=XS, batch_size=7, key=KEY, objective=noisy_squares, start=0, **options):
    options |= dict(optimizer=ADAM, num_steps=num_steps, batch_size=batch_size)
    return vj.maximize(objective, {"mean": np.full(2, float(start))}, data, key, **options)


def assert_same(result, other):
    jax.tree.map(np.testing.assert_array_equal, result, other)


@pytest.mark.parametrize("batch_size", [7, None])
@pytest.mark.parametrize("steps", [[100, 300, 450], [250, 450], [30, 31, 450]])
def test_a_fit_in_instalments_is_the_fit(tmp_path, batch_size, steps):
    """Ended at the edge of a block, within one, twice within the same."""
    for num_steps in steps:
        params, history = climb(num_steps, batch_size=batch_size, checkpoint=tmp_path, checkpoint_every=100)
        assert len(history) == num_steps
    assert_same((params, history), climb(450, batch_size=batch_size))


@pytest.mark.long
def test_networks_too(tmp_path):
    xs, nets = 1 / (1 + np.exp(-XS)), vj.vae.init(KEY, 2, 1, hidden=(3,))
    options = dict(optimizer=ADAM, batch_size=9)
    for num_steps in (150, 300):
        result = vj.maximize(vj.vae.make_vae(), nets, xs, KEY, num_steps=num_steps, checkpoint=tmp_path, **options)
    assert_same(result, vj.maximize(vj.vae.make_vae(), nets, xs, KEY, num_steps=300, **options))


def test_checkpoints_come_as_often_as_asked_and_two_are_kept(tmp_path, monkeypatch):
    steps = []
    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", lambda self, step, *args: (steps.append(step), save(self, step, *args)))
    climb(750, checkpoint=tmp_path, checkpoint_every=250)
    assert steps == [300, 500, 750]  # the ends of blocks of 100 in which 250, 500, 750 were passed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["500", "750"]


def test_a_rest_of_a_checkpoint_is_cleared_away(tmp_path):
    """As a kill leaves it: orbax renames a folder only when it is whole."""
    climb(100, checkpoint=tmp_path)
    shutil.copytree(tmp_path / "100", tmp_path / "200.orbax-checkpoint-tmp")
    shutil.rmtree(tmp_path / "200.orbax-checkpoint-tmp" / "state")
    assert_same(climb(300, checkpoint=tmp_path), climb(300))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["100", "300"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(batch_size=9), "batch_size is 7, and 9 in this one"),
        (dict(key=jax.random.key(1)), r"key is \[0, 0\], and \[0, 1\] in this one"),
        (dict(data=XS[:40]), "number of examples is 50, and 40 in this one"),
        (dict(data=np.float32(XS)), r"example is \['float64\[2\]'\], and \['float32\[2\]'\] in this one"),
        (dict(num_steps=50), "num_steps is 50, but the checkpoint in .* has done 100: give more"),
        (dict(checkpoint_every=0), "checkpoint_every"),
    ],
)
def test_another_fit_is_refused(tmp_path, changes, message):
    climb(100, checkpoint=tmp_path)
    with pytest.raises(ValueError, match=message):
        climb(**dict(num_steps=200, checkpoint=tmp_path) | changes)


def other_squares(params, xs, key):
    return noisy_squares(params, xs, key) - (params["mean"] ** 2).sum()


def squares_written_otherwise(params, xs, key):
    """The same but for rounding, as when other devices compute it."""
    squares = jax.lax.map(lambda x: (x - params["mean"]) ** 2, xs, batch_size=4).astype(np.float32)
    return (params["mean"] * jax.random.normal(key, 2)).sum() - squares.mean().astype(float)


@pytest.mark.parametrize("batch_size", [7, None])
@pytest.mark.parametrize("num_steps", [100, 200])
def test_another_objective_or_content_of_the_data_is_refused(tmp_path, batch_size, num_steps):
    """Found at the end or on the way; of the same keys and shapes, and with the same value at the start."""
    options = dict(batch_size=batch_size, checkpoint=tmp_path)
    climb(100, **options)
    for changes in (dict(objective=other_squares), dict(data=XS + 1)):
        with pytest.raises(ValueError, match=r"its objective on the first batch of the data is -.*, and -.* in this"):
            climb(num_steps, **options | changes)
    climb(num_steps, **options)


def test_the_same_objective_goes_on_however_it_is_computed(tmp_path):
    """From another start, too: what counts is where the checkpoint had got to."""
    climb(100, checkpoint=tmp_path)
    params, _ = climb(200, checkpoint=tmp_path, objective=squares_written_otherwise, start=1)
    np.testing.assert_allclose(params["mean"], climb(200)[0]["mean"], atol=1e-5)


def test_a_checkpoint_that_says_nothing_of_the_objective_goes_on(tmp_path):
    """Such as earlier versions wrote."""
    climb(100, checkpoint=tmp_path)
    (file,) = (path for path in (tmp_path / "100" / "fit").iterdir() if b'"height"' in path.read_bytes())
    fit = json.loads(file.read_text())
    del fit["height"]
    file.write_text(json.dumps(fit))
    assert_same(climb(200, checkpoint=tmp_path), climb(200))


def no_number(params, xs, key):
    return jax.numpy.log(-params - 1)


def no_slope(params, xs, key):
    return jax.numpy.sqrt(params**2)  # at zero: a value, and a gradient of NaN


@pytest.mark.parametrize(("objective", "message"), [(no_number, "the bound"), (no_slope, "a parameter became NaN")])
def test_nothing_is_kept_of_a_fit_that_fails(tmp_path, objective, message):
    with pytest.raises(FloatingPointError, match=message):
        vj.maximize(objective, np.zeros(()), XS, KEY, optimizer=ADAM, num_steps=1, checkpoint=tmp_path)
    assert not list(tmp_path.iterdir())


def test_numpy_integers_and_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    climb(np.int64(100), batch_size=np.int32(7), checkpoint="~/run", checkpoint_every=np.int64(100))
    assert (tmp_path / "run" / "100").is_dir()


@pytest.mark.parametrize("part", ["state", "fit"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, part):
    climb(200, checkpoint=tmp_path, checkpoint_every=100)
    for path in (tmp_path / "200" / part).rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"200 is damaged .* remove this one folder"):
        climb(300, checkpoint=tmp_path)
    shutil.rmtree(tmp_path / "200")
    assert_same(climb(300, checkpoint=tmp_path), climb(300))


LONG = """if True:
    import sys
    import numpy as np
    import test_checkpoints
    folder = None if sys.argv[1] == "nowhere" else sys.argv[1]
    params, history = test_checkpoints.climb(5000, checkpoint=folder, checkpoint_every=100)
    np.savez(sys.argv[2], mean=params["mean"], history=history)
"""


@pytest.mark.long
def test_killed_at_any_moment_it_ends_the_same(tmp_path):
    """Fifty checkpoints, so that most of the time goes into writing them, and kills at random moments of it."""
    folder, kills = tmp_path / "run", 0
    while not (tmp_path / "end.npz").exists():
        with subprocess.Popen([sys.executable, "-c", LONG, folder, tmp_path / "end.npz"], cwd=HERE) as run:
            newest = newest_of(folder)
            while run.poll() is None and newest_of(folder) == newest:
                time.sleep(0.01)  # it is still importing and compiling
            if kills < 6:
                time.sleep(np.random.default_rng().uniform(0, 0.2))  # of two seconds
                run.kill()
        assert run.wait() in (0, -signal.SIGKILL)
        kills += run.returncode == -signal.SIGKILL
    assert kills >= 2
    alone = subprocess.run([sys.executable, "-c", LONG, "nowhere", tmp_path / "alone.npz"], cwd=HERE, timeout=300)
    assert alone.returncode == 0
    with np.load(tmp_path / "end.npz") as end, np.load(tmp_path / "alone.npz") as whole:
        assert_same(dict(end), dict(whole))
        assert len(end["history"]) == 5000


def newest_of(folder):
    return max((int(path.name) for path in folder.glob("*") if path.name.isdigit()), default=0)
