"""VAE and IWAE on MNIST as in Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, table 1.

One stochastic layer of 50 units, two hidden layers of 200 tanh units on either side, pixels drawn anew as black or
white each time a digit is looked at. k = 1 is the VAE; with k draws the objective is the importance-weighted bound.
The same command again goes on where it stopped; `--epochs 20 10` gives a first impression.

The laptop's schedule is ours: batches of 400, and Muon for the matrices, which in equal time gets further than Adam
with batches of 100. The learning rates fall as a cosine to zero in two stages. First the VAE, whose steps are cheap,
down to half the rate, and for k = 1 and 50 it is the same one. Then the bound with k draws. What was tried:
reproduction.md.

The paper's is that of the authors' code (github.com/yburda/iwae), 3,280 epochs of batches of 20, with three
differences. Their code adds gradients up over a minibatch; we average, and divide Adam's epsilon by the batch size to
make up for it. Their Adam starts its second moments at one and adds epsilon before correcting them; ours is optax's.
They keep one order of the digits; we shuffle.
"""

import argparse
import itertools
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

import vaejax as vj
from vaejax import bounds, vae
from vaejax.book import data

PAPER = {1: 86.76, 5: 85.54, 50: 84.78}  # test NLL in nats, by 5,000 samples
EPOCHS = {1: (300, 150), 5: (500, 400), 50: (300, 120)}  # of the laptop's two stages: the VAE, then k draws
MUON_RATE, ADAM_RATE = 0.03, 3e-3  # of the laptop, at their highest; with twice Muon's a VAE stays at 97 nats
PAPER_RATES = [(3**i, 1e-4 * round(10 ** (1 - i / 7), 1)) for i in range(8)]  # of the paper: (epochs, learning rate)
BATCH_SIZES = {"laptop": 400, "paper": 20}
NUM_TRAIN = 59_600  # the last 400 were the authors' validation set
MANY_DRAWS, NUM_PICKS = 10, 5  # of the laptop: with more draws, the slope goes through a few of them
NUM_LATENTS, HIDDEN = 50, (200, 200)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--draws", type=int, nargs="+", default=list(PAPER), help="k, one model for each")
    parser.add_argument("--schedule", choices=list(BATCH_SIZES), default="laptop")
    parser.add_argument("--epochs", type=int, nargs="+", help="of each stage; the paper's schedule has but one")
    parser.add_argument("--samples", type=int, default=5000, help="for the test NLL, a multiple of 50")
    parser.add_argument("--test-examples", type=int, default=10_000)
    parser.add_argument("--data", default="mnist_full", help='or "digits", or an .npz with train_images, test_images')
    parser.add_argument("--devices", type=int, default=1, help="over how many devices to spread the examples")
    parser.add_argument("--folder", type=Path, default=Path("runs"), help="of the checkpoints")
    parser.add_argument("--every", type=int, default=10_000, help="steps from one checkpoint to the next")
    options = parser.parse_args()
    num_stages = len(stages(options.schedule, 1))
    if options.epochs and len(options.epochs) != num_stages:
        parser.error(f"--epochs has {len(options.epochs)} numbers: expected {num_stages}, one for each stage")
    train_xs, test_xs = images(options.data)
    train_xs, test_xs = train_xs[:NUM_TRAIN], test_xs[: options.test_examples]
    batch_size = BATCH_SIZES[options.schedule]
    steps_per_epoch = len(train_xs) // batch_size
    xs = vj.shard(train_xs, Mesh(jax.devices()[: options.devices], ("examples",))) if options.devices > 1 else train_xs

    for num_draws in options.draws:
        params, num_steps, trained = networks(jax.random.key(0), train_xs), 0, 0.0
        for seed, stage in enumerate(stages(options.schedule, num_draws, options.epochs), 1):
            epochs, name = stage.epochs, stage.name
            print(f"{name}: {len(train_xs):,} digits, {epochs:,} epochs of {steps_per_epoch:,} steps", flush=True)
            start = time.perf_counter()
            params, history = vj.maximize(
                objective_of(stage.num_draws, stage.num_picks),
                params,
                xs,
                jax.random.key(seed),
                optimizer=stage.optimizer(epochs, steps_per_epoch),
                num_steps=epochs * steps_per_epoch,
                batch_size=batch_size,
                checkpoint=options.folder / name,
                checkpoint_every=options.every,
            )
            trained += time.perf_counter() - start
            num_steps += len(history)
        start = time.perf_counter()
        nlls = nll_of_each(params, test_xs, options.samples)
        print(
            f"k = {num_draws}: test NLL {nlls.mean():.2f} +- {nlls.std() / len(nlls) ** 0.5:.2f} nats after "
            f"{num_steps:,} steps, paper {PAPER.get(num_draws, 'none')}; trained {trained:.0f} s in this run, "
            f"judged {time.perf_counter() - start:.0f} s",
            flush=True,
        )


class Encoder(nnx.Module):
    """x (D,) -> mean and standard deviations (L,) of q(z | x)."""

    def __init__(self, num_features, rngs):
        self.hidden = tanh_layers((num_features, *HIDDEN), rngs)
        self.mean, self.log_scale = (linear(HIDDEN[-1], NUM_LATENTS, rngs) for _ in range(2))

    def __call__(self, x):
        for layer in self.hidden:
            x = jnp.tanh(layer(x))
        return self.mean(x), jnp.exp(self.log_scale(x))


class Decoder(nnx.Module):
    """z (L,) -> logits of the pixels (D,); at the start their mean is that of the data."""

    def __init__(self, mean, rngs):
        self.num_latents = NUM_LATENTS
        self.hidden = tanh_layers((NUM_LATENTS, *HIDDEN), rngs)
        self.out = linear(HIDDEN[-1], mean.size, rngs)
        self.out.bias[...] = jax.scipy.special.logit(jnp.clip(mean, 0.001, 0.999))

    def __call__(self, z):
        for layer in self.hidden:
            z = jnp.tanh(layer(z))
        return self.out(z)


def linear(num_in, num_out, rngs):
    return nnx.Linear(num_in, num_out, kernel_init=nnx.initializers.glorot_uniform(), rngs=rngs)


def tanh_layers(sizes, rngs):
    return nnx.List([linear(i, o, rngs) for i, o in itertools.pairwise(sizes)])


def networks(key, xs):
    rngs = nnx.Rngs(key)
    return vae.VAEParams(Encoder(xs.shape[1], rngs), Decoder(jnp.asarray(xs.mean(0)), rngs), None)


@cache
def objective_of(num_draws, num_picks=None):
    """The importance-weighted bound by so many draws, of pixels drawn from their grey values."""
    model = vae.make_vae()

    def objective(params, xs, key):
        key_x, key_z = jax.random.split(key)
        binary = jax.random.bernoulli(key_x, xs).astype(xs.dtype)
        if num_picks is None:
            return vj.mean_bound(model, params, binary, key_z, vj.iw_bound, num_draws)
        of_one = lambda digit: bound_by_picks(model, params, *digit, num_draws, num_picks)
        return jax.lax.map(of_one, (binary, jax.random.split(key_z, len(xs))), batch_size=40).mean()

    return objective


def bound_by_picks(model, params, x, key, num_draws, num_picks):
    """`vj.iw_bound` of one digit, whose slope goes through a few of the draws, () nats.

    The slope of log sum_s w_s is the mean of those of log w_s, weighted by w_s. So it is, on average, that of draws
    picked by their weights; the others need no way back through the networks.
    """
    key_z, key_pick = jax.random.split(key)
    nodes = bounds.complete(model, params, x, key_z, num_draws)
    log_w = vj.log_weights(model.log_joint, *jax.lax.stop_gradient((params, x, nodes)))
    picks = jax.random.categorical(key_pick, log_w, shape=(num_picks,))
    mean = vj.log_weights(model.log_joint, params, x, jax.tree.map(lambda leaf: leaf[picks], nodes)).mean()
    return jax.nn.logsumexp(log_w) - jnp.log(num_draws) + mean - jax.lax.stop_gradient(mean)


class Stage(NamedTuple):
    name: str  # of the folder of its checkpoints: another length is another fit
    num_draws: int
    num_picks: int | None  # of the draws, through which the slope goes; None for all
    epochs: int
    optimizer: Callable  # (epochs, steps_per_epoch) -> optax.GradientTransformation, the same for the same numbers


def stages(schedule, num_draws, epochs=None):
    """What is climbed, one after another. The laptop's other k go on as long as the next smaller one that it knows."""
    if schedule == "paper":
        (epochs,) = epochs or [sum(epochs for epochs, _ in PAPER_RATES)]
        return [Stage(f"paper/k{num_draws}", num_draws, None, epochs, paper_adam)]
    first, second = epochs or EPOCHS[max(k for k in EPOCHS if k <= num_draws)]
    vae = Stage(f"laptop-{first}/vae", 1, None, first, upper_half)
    num_picks = NUM_PICKS if num_draws > MANY_DRAWS else None
    return [vae, Stage(f"laptop-{first}/k{num_draws}-{second}", num_draws, num_picks, second, lower_half)]


@cache
def paper_adam(epochs, steps_per_epoch):
    ends = np.cumsum([epochs for epochs, _ in PAPER_RATES])[:-1] * steps_per_epoch
    rate = optax.join_schedules([optax.constant_schedule(rate) for _, rate in PAPER_RATES], ends.tolist())
    return optax.adam(rate, b1=0.99, b2=0.999, eps=1e-4 / BATCH_SIZES["paper"])


@cache
def upper_half(epochs, steps_per_epoch):
    """Of a cosine to zero, after a rise."""
    num_steps = epochs * steps_per_epoch
    return muon(optax.warmup_cosine_decay_schedule(0, 1, min(1000, num_steps // 10), 2 * num_steps))


@cache
def lower_half(epochs, steps_per_epoch):
    """Of the same cosine, where it takes as many steps as the upper half."""
    num_steps = epochs * steps_per_epoch
    whole = optax.cosine_decay_schedule(1, 2 * num_steps)
    return muon(lambda step: whole(num_steps + step))


def muon(share):
    """Muon for matrices, Adam for biases, by a share of their highest rates, which is a function of the step.

    Muon makes the running mean of a matrix's gradients nearly orthogonal, so that every direction moves alike; three
    rounds of its iteration do, and are cheaper than optax's five.

    Source: Jordan et al. (2024), Muon: An optimizer for hidden layers in neural networks.
    """
    by_kind = {
        "matrix": optax.contrib.muon(lambda step: MUON_RATE * share(step), ns_steps=3),
        "vector": optax.adam(lambda step: ADAM_RATE * share(step)),
    }
    return optax.partition(by_kind, partial(jax.tree.map, lambda leaf: "matrix" if leaf.ndim == 2 else "vector"))


def nll_of_each(params, xs, num_samples, block=100):
    """-log p(x) of each example, drawn as black or white once, nats."""
    key_x, key_z = jax.random.split(jax.random.key(0))
    binary = jax.random.bernoulli(key_x, xs).astype(jnp.float32)
    return np.concatenate([
        -vj.log_likelihood(
            vae.make_vae(), params, binary[i : i + block], jax.random.fold_in(key_z, i),
            num_samples=num_samples, chunk_size=50,
        )
        for i in range(0, len(xs), block)
    ])  # fmt: skip


def images(name):
    """Grey values of the digits to train and to test, (N, 784) between 0 and 1."""
    if name.endswith(".npz"):
        with np.load(name) as file:
            parts = [file[part].reshape(-1, 784).astype(np.float32) / 255 for part in ("train_images", "test_images")]
        return parts
    digits = data.load(name)
    return digits.train_xs, digits.test_xs


if __name__ == "__main__":
    main()
