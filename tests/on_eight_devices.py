"""Run by test_sharding.py in a process that has eight devices: each fit on parts of them, beside the same fit on one.

Prints JSON: the largest difference for each case and number of devices, and the collectives in compiled programs.
"""

import json
import re
import sys
import tempfile

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

import vaejax as vj
from vaejax import expectation, gmm, gradient_ascent, sharding, vae
from vaejax import linear_gaussian as lg

jax.config.update("jax_enable_x64", True)

KEY = jax.random.key(0)
ADAM = optax.adam(1e-2)
ON_ALL = "mixture, fast", "factors, fast", "network, batches"  # on 1, 2, 4 and 8 devices, the others on 8
VAE = vae.make_vae()


def table(num_examples, dim=3):
    rng = np.random.default_rng(num_examples)
    labels = rng.integers(0, 2, (num_examples, 1))
    return rng.standard_normal((num_examples, dim)) @ rng.standard_normal((dim, dim)) + 5 * labels


def holes(xs):
    return np.where(np.random.default_rng(1).random(xs.shape) < 0.2, np.nan, xs)


def pixels(xs):
    return 1 / (1 + np.exp(-xs))


def squares(params, data, key):
    """A mean over examples that reads a pytree: weighted least squares."""
    return -(data["weight"] * (data["x"] - params[None]) ** 2).mean() + 0 * jax.random.normal(key).sum()


def maximize(objective, start, data, **options):
    return vj.maximize(objective, start, data, KEY, optimizer=ADAM, num_steps=20, **options)


def in_instalments(data):
    """A fit of twenty steps that finds what the first eight have left on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        options = dict(optimizer=ADAM, batch_size=13, checkpoint=folder)
        for num_steps in (8, 20):
            result = vj.maximize(squares, jnp.zeros(3), data, KEY, num_steps=num_steps, **options)
    return result


def cases(xs):
    """name -> (data as an array, the fit as a function of the data)."""
    mixture, nets = gmm.init(xs, 2, KEY), vae.init(KEY, 3, 2, hidden=(4,))
    factors = lg.init(xs, 1)
    pair = {"x": xs, "weight": np.abs(xs)}
    return {
        "mixture, fast": (xs, lambda data: vj.em(gmm.GMM, mixture, data, num_steps=10)),
        "mixture, plain": (xs, lambda data: vj.em(gmm.GMM, mixture, data, num_steps=10, fast=False)),
        "factors, fast": (xs, lambda data: vj.em(lg.FACTOR_ANALYSIS, factors, data, num_steps=10)),
        "factors, plain": (xs, lambda data: vj.em(lg.FACTOR_ANALYSIS, factors, data, num_steps=10, fast=False)),
        "factors, holes": (holes(xs), lambda data: vj.em(lg.PPCA, factors, data, num_steps=10, fast=False)),
        "network, all": (pixels(xs), lambda data: maximize(VAE, nets, data, num_samples=3)),
        "network, batches": (pixels(xs), lambda data: maximize(VAE, nets, data, batch_size=24, num_samples=3)),
        "network, odd batches": (pixels(xs), lambda data: maximize(VAE, nets, data, batch_size=13, num_samples=3)),
        "squares of a pytree": (pair, lambda data: maximize(squares, jnp.zeros(3), data)),
        "resumed": (pair, in_instalments),
        "mean bound": (pixels(xs), lambda data: vj.mean_bound(VAE, nets, data, KEY, num_samples=3)),
    }


def largest_difference(tree, other):
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs)


def collectives(compiled):
    """How often each collective operation stands in a compiled program."""
    kinds = "all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter"
    names = re.findall(rf"= .*? ({kinds})\(", compiled.as_text())
    return {name: names.count(name) for name in sorted(set(names))}


def programs(mesh, xs):
    prepared = vj.prepare(gmm.GMM, vj.shard(xs, mesh))
    mixture = sharding.replicate_like(prepared, gmm.init(xs, 2, KEY))
    step = expectation._e_step.lower(gmm.GMM, mixture, prepared, None).compile()
    data = vj.shard(pixels(xs), mesh)
    nets, key = sharding.replicate_like(data, (vae.init(KEY, 3, 2, hidden=(4,)), KEY))
    state = nets, ADAM.init(nets)
    still = jax.tree.map(lambda leaf: None, nets)
    args = gradient_ascent._bound_of(VAE, vj.elbo, 3), ADAM, state, still, data, key, None, 0, 20
    gradient = gradient_ascent._gradient_steps.lower(*args).compile()
    return {"mixture": collectives(step), "network": collectives(gradient)}


def main():
    differences = {}
    for name, (xs, run) in cases(table(1003)).items():
        alone = run(xs)
        for count in (1, 2, 4, 8) if name in ON_ALL else (8,):
            shape = (2, 2) if count == 4 else (count,)
            mesh = jax.make_mesh(shape, ("a", "b")[: len(shape)], devices=jax.devices()[:count])
            differences[f"{name}, {count}"] = largest_difference(run(vj.shard(xs, mesh)), alone)
    mesh = Mesh(np.array(jax.devices()), ("examples",))
    for name in ("mixture, fast", "network, all"):  # on nine examples, with which three devices hold nothing but zeros
        xs, run = cases(table(9))[name]
        differences[f"{name}, nine examples"] = largest_difference(run(vj.shard(xs, mesh)), run(xs))
    try:
        vj.shard(np.ones((7, 1)))
    except ValueError as error:
        too_few = str(error)
    print(json.dumps({"differences": differences, "collectives": programs(mesh, table(1003)), "too few": too_few}))


if __name__ == "__main__":
    sys.exit(main())
