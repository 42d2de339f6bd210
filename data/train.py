"""Train the networks of `digits_vae.npz` on MNIST: an hour in place of the seconds of chapter 6.

    python data/train.py [--data mnist_full] [--epochs 3] [--out data/digits_vae.npz]

Two VAEs with two hidden layers of 200 units on either side: "map" with two latents, "many" with fifty. They see the
60,000 digits that MNIST gives for training without the 1,000 that `data.load("digits")` keeps for testing, which are
found among them byte by byte. Each time a digit is looked at, its pixels are drawn anew as black or white with their
grey values as probabilities. "map" climbs by Adam with batches of 100. "many" climbs by Muon with batches of 400, its
biases by Adam: 0.6 nats better than 400 epochs of Adam, while "map" gains nothing from Muon (what Muon is, says
tests/benchmarks/reproduction.md). Rates rise in a thousand steps and fall as a cosine to zero.
Prints the SHA-256 of the file, and the log likelihood of the 1,000 test digits with its standard error.
"""

import argparse
import hashlib
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import vaejax as vj
from vaejax import vae
from vaejax.book import data

LATENTS = {"map": 2, "many": 50}
BATCH = {"map": 100, "many": 400}
EPOCHS = {"map": 400, "many": 250}
HIDDEN = (200, 200)
WARM_UP = 1000
MOST_GRADIENT = 100  # nats; a rare batch would send the widths of q to infinity


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist_full", help='or an .npz with "train_images"')
    parser.add_argument("--epochs", type=int, help="for a trial: in place of 400 and 250")
    parser.add_argument("--samples", type=int, default=5000, help="for the log likelihood, a multiple of 50")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("digits_vae.npz"))
    options = parser.parse_args()
    test_xs = data.load("digits").test_xs
    xs = without(all_digits(options.data), test_xs)
    trained = {}
    for name in LATENTS:
        start = time.perf_counter()
        trained[name] = train(name, xs, options.epochs or EPOCHS[name])
        minutes = (time.perf_counter() - start) / 60
        log_ps = log_likelihood(trained[name], test_xs, options.samples)
        error = log_ps.std() / len(log_ps) ** 0.5
        print(f"{name}: {log_ps.mean():.2f} +- {error:.2f} nats a test digit, trained {minutes:.0f} min", flush=True)
    vj.save(options.out, trained)
    print(f"{options.out.name} | {hashlib.sha256(options.out.read_bytes()).hexdigest()}")


def all_digits(name):
    if not name.endswith(".npz"):
        return data.load(name).train_xs
    with np.load(name) as file:
        return file["train_images"].reshape(-1, 784).astype(np.float32) / 255


def without(xs, held_out):
    """The examples that are not among those held out, each of which must be there once."""
    out = {x.tobytes() for x in held_out}
    keep = np.array([x.tobytes() not in out for x in xs])
    if len(xs) - keep.sum() != len(held_out):
        raise ValueError(
            f"{len(xs) - keep.sum()} of the digits are among the {len(held_out)} held out: expected each once"
        )
    return xs[keep]


def blank(key, num_latents):
    """Networks of this form with fresh parameters; what `vj.load` wants as `like`."""
    return vae.init(key, 784, num_latents, hidden=HIDDEN)


def train(name, xs, epochs):
    key_init, key = jax.random.split(jax.random.key(LATENTS[name]))
    start = blank(key_init, LATENTS[name])
    ink = jnp.clip(jnp.asarray(xs.mean(0)), 0.001, 0.999)
    start.decoder.out.bias[...] = jax.scipy.special.logit(ink)  # at the start every pixel is as often white as it is
    num_steps = epochs * (len(xs) // BATCH[name])
    adam, muon = (
        optax.warmup_cosine_decay_schedule(0, rate, min(WARM_UP, num_steps // 2), num_steps) for rate in (3e-3, 0.03)
    )
    climb = {
        "map": optax.adam(adam, eps=1e-7),
        "many": optax.contrib.muon(muon, ns_steps=3, adam_learning_rate=adam),  # optax 0.2.6 or newer
    }
    optimizer = optax.chain(optax.clip_by_global_norm(MOST_GRADIENT), climb[name])
    params, _ = vj.maximize(objective, start, xs, key, optimizer=optimizer, num_steps=num_steps, batch_size=BATCH[name])
    return params


def objective(params, xs, key):
    key_x, key_z = jax.random.split(key)
    binary = jax.random.bernoulli(key_x, xs).astype(xs.dtype)
    return vj.mean_bound(vae.make_vae(), params, binary, key_z)


def log_likelihood(params, xs, num_samples):
    """log p(x) of each example, drawn as black or white once, by importance-weighted draws. Nats."""
    key_x, key_z = jax.random.split(jax.random.key(0))
    binary = jax.random.bernoulli(key_x, xs).astype(jnp.float32)
    blocks = np.array_split(np.arange(len(xs)), max(1, len(xs) // 100))
    estimate = lambda i: vj.log_likelihood(  # noqa: E731
        vae.make_vae(), params, binary[i], jax.random.fold_in(key_z, int(i[0])), num_samples=num_samples, chunk_size=50
    )
    return np.concatenate([estimate(block) for block in blocks])


if __name__ == "__main__":
    main()
