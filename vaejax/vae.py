"""The variational autoencoder: chapter 5, with an encoder that says where z may have been, for every x at once.

z ~ N(0, I) in L dimensions,  x ~ p(x | decoder(z)) in D,  q(z | x) = N(mean, diag(scale^2)) by encoder(x)

The model is the prior and the decoder; the encoder belongs to q, the approximation, and is needed to fit and to bound.
Two likelihoods: Bernoulli pixels, where the decoder gives logits, and a Gaussian, where it gives means and one sigma2
is learnt for all features. Train with `vaejax.maximize(make_vae(...), init(...), xs, key, ...)`.

Source: Kingma and Welling (2014), Auto-Encoding Variational Bayes.
"""

import itertools
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from vaejax.bounds import LatentModel, all_pairs
from vaejax.densities import log_bernoulli, log_gaussian
from vaejax.doors import check_count, check_example, check_function, check_key, check_params, check_rows
from vaejax.nodes import sample_nodes

MIN_SIGMA2 = 1e-4  # where f passes through every example, sigma2 -> 0 and p -> infinity; not below this, in x squared


class Encoder(nnx.Module):
    """x (D,) -> mean (L,) and scale (L,), the standard deviations of q(z | x), by hidden layers of silu units.

    Without hidden layers both are linear in x, up to the exponential that makes scale positive. (Why silu, and not
    relu: smooth networks have smooth densities, which a grid can sum to many digits.) At the start scale is 1.
    """

    def __init__(self, num_features, hidden, num_latents, rngs):
        self.num_features = num_features
        sizes = (num_features, *hidden)
        self.hidden = _layers(sizes, rngs)
        self.mean = nnx.Linear(sizes[-1], num_latents, rngs=rngs)
        self.log_scale = nnx.Linear(sizes[-1], num_latents, kernel_init=nnx.initializers.zeros_init(), rngs=rngs)

    def __call__(self, x):
        for layer in self.hidden:
            x = nnx.silu(layer(x))
        return self.mean(x), jnp.exp(self.log_scale(x))


class Decoder(nnx.Module):
    """z (L,) -> (D,) logits of Bernoulli pixels, or means of a Gaussian. Without hidden layers it is linear."""

    def __init__(self, num_latents, hidden, num_features, rngs):
        self.num_latents = num_latents
        sizes = (num_latents, *hidden)
        self.hidden = _layers(sizes, rngs)
        self.out = nnx.Linear(sizes[-1], num_features, rngs=rngs)

    def __call__(self, z):
        for layer in self.hidden:
            z = nnx.silu(layer(z))
        return self.out(z)


class VAEParams(NamedTuple):
    """Parameters of a VAE: phi is `encoder`, theta is the rest. Networks of your own fit, if they map as these do."""

    encoder: nnx.Module  # x (D,) -> mean (L,), scale (L,)
    decoder: nnx.Module  # z (L,) -> (D,)
    log_sigma2: Array | None  # () of a Gaussian likelihood, above its floor, see `sigma2`; None for Bernoulli pixels


def make_vae(likelihood="bernoulli", log_prior=None):
    """The VAE as a `LatentModel`. The same likelihood gives the same object, so nothing is compiled twice.

    Args:
        likelihood: "bernoulli" for pixels between 0 and 1, or "gaussian" with one learnt sigma2.
        log_prior: function z (L,) -> () nats, where the prior is another than N(0, I); each call then makes a model.

    Returns:
        LatentModel. Its `posterior` draws one z, so it needs a key, and the bound is an unbiased estimate.

    Raises:
        ValueError: another likelihood.
    """
    if likelihood not in list(MODELS):
        raise ValueError(f'likelihood is {likelihood!r}: expected "bernoulli" or "gaussian"')
    if log_prior is None:
        return MODELS[likelihood]
    check_function("log_prior", log_prior, "vae.log_standard")
    joint = partial(log_joint, log_prior=log_prior)
    joint.all_pairs = partial(_all_pairs, log_prior=log_prior)
    return MODELS[likelihood]._replace(log_joint=joint)


def init(key, num_features, num_latents, *, hidden=(500,), likelihood="bernoulli"):
    """Random networks to start from.

    Args:
        key: a key from `jax.random.key`.
        num_features: D.
        num_latents: L.
        hidden: sizes of the hidden layers of the encoder, in reverse those of the decoder; () for linear maps.
        likelihood: "bernoulli" or "gaussian", which starts with sigma2 = 1 + MIN_SIGMA2.

    Returns:
        VAEParams.

    Raises:
        ValueError: no key, a size that is no whole number of at least 1, or another likelihood.
    """
    check_key(key)
    if not isinstance(hidden, list | tuple):
        raise ValueError(f"hidden is {hidden!r}: expected the sizes of the hidden layers, such as (500,), or ()")
    for name, value in (("num_features", num_features), ("num_latents", num_latents), *(("hidden", h) for h in hidden)):
        check_count(name, value)
    make_vae(likelihood)
    rngs = nnx.Rngs(key)
    return VAEParams(
        encoder=Encoder(num_features, tuple(hidden), num_latents, rngs),
        decoder=Decoder(num_latents, tuple(hidden)[::-1], num_features, rngs),
        log_sigma2=jnp.zeros(()) if likelihood == "gaussian" else None,
    )


def log_standard(z):
    """log N(z; 0, I) of one z (L,). () nats."""
    return log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z))


def log_joint(params, x, z, log_prior=log_standard):
    """log p(x, z) = log p(z) + log p(x | z) of one example x (D,) and one z (L,). () nats.

    log p(x | z) is the sum over pixels of log Bernoulli(x_d; logits f(z)), or log N(x; f(z), sigma2 I).
    """
    f = params.decoder(z)
    if params.log_sigma2 is None:
        return log_prior(z) + log_bernoulli(x, f)
    return log_prior(z) + log_gaussian(x, f, jnp.full_like(f, jnp.sqrt(sigma2(params))))


def _all_pairs(params, xs, zs, log_prior=log_standard):
    """`log_joint` of every z with every x, (S, N), for a grid: coins by one matrix product, each z decoded once."""
    if params.log_sigma2 is not None:
        return all_pairs(partial(log_joint, log_prior=log_prior), params, xs, zs)
    logits = jax.vmap(params.decoder)(zs)
    return logits @ xs.T + (jax.vmap(log_prior)(zs) - jnp.logaddexp(0, logits).sum(1))[:, None]


log_joint.all_pairs = _all_pairs


def posterior(params, x, key):
    """One draw from q(z | x), as `Nodes`."""
    return sample_nodes(key, *encode(params, x), 1)


def sigma2(params):
    """The noise variance of a Gaussian likelihood, MIN_SIGMA2 + exp(log_sigma2). ()"""
    if params.log_sigma2 is None:
        raise ValueError("these parameters have a Bernoulli likelihood, which has no sigma2")
    return MIN_SIGMA2 + jnp.exp(params.log_sigma2)


def encode(params, x):
    """Mean (L,) and standard deviations (L,) of q(z | x), for one example x (D,), of floats, bytes or truth values."""
    x = 1.0 * jnp.asarray(x)  # floats stay as they are; bytes, bits and lists are of the networks' type, then
    expected = getattr(params.encoder, "num_features", np.size(x))
    if np.shape(x) != (expected,):
        raise ValueError(f"x has shape {np.shape(x)}: this encoder reads one example of shape ({expected},)")
    return params.encoder(x)


def decode(params, z):
    """E[x | z] (D,): probabilities of Bernoulli pixels, or the Gaussian's mean."""
    if hasattr(params.decoder, "num_latents"):
        check_example(z, params.decoder.num_latents, "z")
    f = params.decoder(z)
    return jax.nn.sigmoid(f) if params.log_sigma2 is None else f


def reconstruct(params, x):
    """x (D,) -> z -> x (D,): the decoder's expectation at the encoder's mean."""
    return decode(params, encode(params, x)[0])


def sample(params, key, num_samples):
    """Draw z from N(0, I), whatever a model's `log_prior`, then x. Returns xs (num_samples, D), zs (num_samples, L)."""
    check_key(key)
    check_count("num_samples", num_samples)
    if not hasattr(params.decoder, "num_latents"):
        raise ValueError(f"the decoder, a {type(params.decoder).__name__}, has no num_latents: give it that attribute")
    key_z, key_x = jax.random.split(key)
    zs = jax.random.normal(key_z, (num_samples, params.decoder.num_latents))
    means = jax.vmap(partial(decode, params))(zs)
    if params.log_sigma2 is None:
        return jax.random.bernoulli(key_x, means).astype(means.dtype), zs
    return means + jnp.sqrt(sigma2(params)) * jax.random.normal(key_x, means.shape), zs


def _check(likelihood, params, xs):
    """ValueError unless xs is a table of examples that these networks and this likelihood can read."""
    check_rows(xs)
    check_params(params, VAEParams, xs)
    weights = (leaf for leaf in jax.tree.leaves(params) if jnp.issubdtype(getattr(leaf, "dtype", float), jnp.floating))
    if not all(np.isfinite(leaf).all() for leaf in weights):
        raise ValueError("params hold NaN or infinity: expected finite weights; see where they came from")
    if (params.log_sigma2 is None) != (likelihood == "bernoulli"):
        raise ValueError(
            f'the model is make_vae("{likelihood}"), but log_sigma2 of these parameters is {params.log_sigma2}: give '
            "init and make_vae the same likelihood"
        )
    if params.encoder is not None:  # a grid needs none
        mean, _ = jax.eval_shape(encode, params, xs[0])
        num_latents = getattr(params.decoder, "num_latents", mean.size)
        if mean.shape != (num_latents,):
            raise ValueError(f"the encoder's mean is {mean.shape}, the decoder reads z of shape ({num_latents},)")
        jax.eval_shape(log_joint, params, xs[0], mean)
    if likelihood == "bernoulli":
        low, high = float(xs.min()), float(xs.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"xs lies between {low:g} and {high:g}: Bernoulli pixels are between 0 and 1; divide bytes by 255, or "
                'take likelihood="gaussian"'
            )


MODELS = {name: LatentModel(log_joint, posterior, check=partial(_check, name)) for name in ("bernoulli", "gaussian")}


def _layers(sizes, rngs):
    return nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in itertools.pairwise(sizes)])
