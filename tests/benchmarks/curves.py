"""Minutes to so many nats: the VAE of burda.py, k = 1, by vaejax and by PyTorch, on one machine.

The same networks, start, digits and batches of 100, over 10, 25, 50, 100 and 200 epochs in which the learning rate
rises for 1,000 steps and falls as a cosine to zero, so that each point is a finished fit; the two take turns. vaejax
judges both, on the same test digits with the same draws.

    .venv-bench/bin/python tests/benchmarks/curves.py --data FILE.npz
"""

import argparse
import itertools
import time
from functools import cache, partial
from pathlib import Path

import burda
import jax
import matplotlib.pyplot as plt
import numpy as np
import optax
import torch
import torch_vae
from quality import with_weights
from rows import layers_of

import vaejax as vj

BATCH, RATE = 100, 3e-3  # of Adam, at its highest
GOALS = 90, 89, 88  # nats


def main():
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", default="mnist_full")
    parser.add_argument("--epochs", type=int, nargs="+", default=[10, 25, 50, 100, 200])
    parser.add_argument("--test-examples", type=int, default=10_000)
    parser.add_argument("--samples", type=int, default=500)
    options = parser.parse_args()
    train_xs, test_xs = burda.images(options.data)
    xs, test_xs = train_xs[: burda.NUM_TRAIN], test_xs[: options.test_examples]
    start = burda.networks(jax.random.key(1), xs)
    for fit in FITS.values():
        fit(xs, start, 1, 50)  # compiles, and warms up
    points = {library: [] for library in FITS}
    for epochs, (library, fit) in itertools.product(options.epochs, FITS.items()):
        begin = time.perf_counter()
        params = fit(xs, start, epochs, epochs * (len(xs) // BATCH))
        minutes = (time.perf_counter() - begin) / 60
        nlls = burda.nll_of_each(params, test_xs, options.samples)
        points[library].append((minutes, nlls.mean()))
        se = nlls.std() / len(nlls) ** 0.5
        print(f"{library}, {epochs} epochs: {minutes:.2f} minutes, {nlls.mean():.2f} +- {se:.2f} nats", flush=True)
    for library, found in points.items():
        print(f"{library}: {', '.join(f'{goal} nats after {minutes_to(goal, found)}' for goal in GOALS)}")
    draw(points, Path(__file__).parent / "curves.png")


def minutes_to(goal, points):
    """Where the line through the points, against the logarithm of time, passes the goal."""
    minutes, nats = np.array(points).T
    if not nats.min() <= goal <= nats.max():
        return "a time outside of these"
    return f"{np.exp(np.interp(-goal, -nats, np.log(minutes))):.1f} minutes"


def rate(num_steps):
    return optax.warmup_cosine_decay_schedule(0, RATE, min(1000, num_steps // 10), num_steps)


@cache
def optimizer(num_steps):
    return optax.adam(rate(num_steps))


def fit_vaejax(xs, start, epochs, num_steps):
    params, _ = vj.maximize(
        burda.objective_of(1),
        start,
        xs,
        jax.random.key(1),
        optimizer=optimizer(epochs * (len(xs) // BATCH)),
        num_steps=num_steps,
        batch_size=BATCH,
    )
    return params


def fit_torch(xs, start, epochs, num_steps, **ways):
    """As its users write it, with the rates that optax gives."""
    rates = np.asarray(rate(epochs * (len(xs) // BATCH))(np.arange(num_steps))).tolist()
    model, _ = torch_vae.fit(
        torch.tensor(xs), layers_of(start), BATCH, 1, num_steps, unit=torch.nn.Tanh, rates=rates, binarise=True, **ways
    )
    return with_weights(start, model)


FITS = {"vaejax": fit_vaejax, "PyTorch": fit_torch, "PyTorch, compiled": partial(fit_torch, compiled=True)}


def draw(points, path):
    fig, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for library, found in points.items():
        ax.plot(*np.array(found).T, "o-", label=library)
    minutes = sorted({round(minutes, 1) for found in points.values() for minutes, _ in found})
    ax.set(xscale="log", xlabel="minutes of training, whole fits", ylabel="test NLL, nats")
    ticks = [t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if minutes[0] * 0.8 <= t <= minutes[-1] * 1.3]
    ax.set_xticks(ticks, [f"{t:g}" for t in ticks])
    ax.minorticks_off()
    ax.legend()
    fig.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
