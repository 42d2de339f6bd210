"""The reproduction, on the bundled digits and for a moment: it trains, says what it did, and goes on where it was."""

import re
import subprocess
import sys
from pathlib import Path

import jax
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
    first = run(tmp_path / "runs", "--draws", "1", "--epochs", "1")
    assert "4,000 digits, 1 epochs of 200 steps" in first and "paper 86.76" in first
    assert (tmp_path / "runs" / "k1" / "200").is_dir()
    second = run(tmp_path / "runs", "--draws", "1", "--epochs", "3")
    assert "after 600 steps" in second
    assert nll(second) == nll(run(tmp_path / "at once", "--draws", "1", "--epochs", "3"))
    assert nll(second) < nll(first) < nll_of_pixels_on_their_own()


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
    adam = burda.optimizer(steps_per_epoch=2, batch_size=20)
    params = np.zeros(())
    state, steps = adam.init(params), []
    for _ in range(2 * (1 + 3 + 9) + 1):
        update, state = adam.update(np.ones(()), state, params)  # a slope of one: Adam steps by its rate
        steps.append(-float(update))
    rates = np.repeat([1e-3, 7.2e-4, 5.2e-4, 3.7e-4], [2, 6, 18, 1])
    np.testing.assert_allclose(steps, rates, rtol=1e-4)
