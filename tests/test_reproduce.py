"""The reproduction, on the bundled digits and for a moment: it trains, says what it did, and goes on where it was."""

import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "benchmarks"))
import burda  # noqa: E402


def run(tmp_path, *options):
    short = ["--data", "digits", "--test-examples", "100", "--samples", "500", "--folder", tmp_path]
    done = subprocess.run(
        [sys.executable, burda.__file__, *short, *options], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def nll(line):
    return float(re.search(r"test NLL ([\d.]+)", line)[1])


@pytest.mark.long
def test_a_short_run_learns_and_goes_on(tmp_path):
    paper = "--draws", "1", "--schedule", "paper", "--epochs"
    first = run(tmp_path / "runs", *paper, "1")
    assert "4,000 digits, 1 epochs of 200 steps" in first and "paper 86.76" in first
    assert (tmp_path / "runs" / "paper" / "k1" / "200").is_dir()
    second = run(tmp_path / "runs", *paper, "3")
    assert "after 600 steps" in second
    assert nll(second) == nll(run(tmp_path / "at once", *paper, "3"))
    assert nll(second) < nll(first) < nll_of_pixels_on_their_own()


@pytest.mark.long
def test_a_longer_run_of_the_laptop_is_another_run(tmp_path):
    short, longer = (run(tmp_path, "--draws", "1", "--epochs", str(epochs)) for epochs in (3, 30))
    assert "after 120 steps" in short and "after 1,200 steps" in longer
    assert nll(longer) < nll(short) < nll_of_pixels_on_their_own()


def nll_of_pixels_on_their_own():
    train_xs, test_xs = burda.images("digits")
    mean = np.clip(train_xs.mean(0), 0.001, 0.999)
    return -(test_xs[:100] * np.log(mean) + (1 - test_xs[:100]) * np.log(1 - mean)).sum(1).mean()


def test_settings_are_those_of_the_paper():
    params = burda.networks(jax.random.key(0), np.full((3, 784), 0.2, np.float32))
    sizes = [layer.kernel.shape for net in (params.encoder, params.decoder) for layer in net.hidden]
    assert sizes == [(784, 200), (200, 200), (50, 200), (200, 200)]
    assert params.encoder.mean.kernel.shape == (200, 50) and params.decoder.out.kernel.shape == (200, 784)
    assert sum(epochs for epochs, _ in burda.STAGES) == 3280
    np.testing.assert_allclose([rate for _, rate in burda.STAGES][::7], [1e-3, 1e-4])


def test_the_learning_rate_falls_as_in_the_paper():
    rates = np.repeat([1e-3, 7.2e-4, 5.2e-4, 3.7e-4], [2, 6, 18, 1])
    np.testing.assert_allclose(steps_of(burda.optimizer("paper", 3280, 2), len(rates)), rates, rtol=1e-4)


def test_the_laptops_rate_rises_and_falls_to_zero():
    steps = steps_of(burda.optimizer("laptop", 1000, 20), 20_001)  # 1,000 steps up, 19,000 down
    after = np.arange(19_001) / 19_000
    np.testing.assert_allclose(steps[1000:], 1.5e-3 * (1 + np.cos(np.pi * after)), atol=1e-8)
    np.testing.assert_allclose(steps[:1000], 3e-6 * np.arange(1000), atol=1e-8)
    assert [burda.epochs_of("laptop", k) for k in (1, 4, 5, 50, 64)] == [2400, 2400, 1500, 300, 300]
    assert burda.epochs_of("paper", 50) == 3280


def steps_of(adam, count):
    """Where the slope is one, Adam steps by its rate."""

    def step(state, _):
        update, state = adam.update(jnp.ones(()), state, jnp.zeros(()))
        return state, -update

    return np.asarray(jax.jit(lambda: jax.lax.scan(step, adam.init(jnp.zeros(())), length=count)[1])())
