"""The variational autoencoder: chapter 5, with an encoder that says where z may have been, for every x at once.

z ~ N(0, I) in L dimensions,  x ~ p(x | decoder(z)) in D,  q(z | x) = N(mean, diag(scale^2)) by encoder(x)

The model is the prior and the decoder; the encoder belongs to q, the approximation, and is needed for fitting only.
Two likelihoods: Bernoulli pixels, where the decoder gives logits, and a Gaussian, where it gives means and one sigma2
is learnt for all features. Train with `vaejax.maximize(make_vae(...), init(...), xs, key, ...)`.

Source: Kingma and Welling (2014), Auto-Encoding Variational Bayes.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.scipy.special import logsumexp
from jax.scipy.stats import norm

from vaejax.bounds import LatentModel, iw_bound, posterior_nodes
from vaejax.densities import log_bernoulli, log_gaussian
from vaejax.doors import check_count, check_key, check_rows
from vaejax.nodes import grid_nodes, sample_nodes

MIN_SIGMA2 = 1e-4  # where f passes through every example, sigma2 -> 0 and the likelihood -> infinity; not below this
GRID_CHUNK = 10_000  # points of a grid decoded at a time
MOST_CELLS = 10**7  # of a grid: all its points are kept


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
    log_sigma2: Array | None  # () of a Gaussian likelihood; None where the likelihood is Bernoulli


def make_vae(likelihood="bernoulli", num_samples=1):
    """The VAE as a `LatentModel`. The same arguments give the same object, so nothing is compiled twice.

    Args:
        likelihood: "bernoulli" for pixels between 0 and 1, or "gaussian" with one learnt sigma2.
        num_samples: S, draws of z for each example and each evaluation; one is enough to train.

    Returns:
        LatentModel. Its `posterior` draws, so it needs a key, and the bound is an unbiased estimate.

    Raises:
        ValueError: another likelihood, or num_samples < 1.
    """
    if likelihood not in ("bernoulli", "gaussian"):
        raise ValueError(f'likelihood is {likelihood!r}: expected "bernoulli" or "gaussian"')
    check_count("num_samples", num_samples)
    return _make_vae(likelihood, int(num_samples))


@functools.cache
def _make_vae(likelihood, num_samples):
    def posterior(params, x, key):
        return sample_nodes(key, *encode(params, x), num_samples)

    return LatentModel(log_joint, posterior, check=functools.partial(_validate, likelihood))


def init(key, num_features, num_latents, *, hidden=(500,), likelihood="bernoulli"):
    """Random networks to start from.

    Args:
        key: a key from `jax.random.key`.
        num_features: D.
        num_latents: L.
        hidden: sizes of the hidden layers of the encoder, in reverse those of the decoder; () for linear maps.
        likelihood: "bernoulli" or "gaussian", which starts with sigma2 = 1.

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


def log_joint(params, x, z):
    """log p(x, z) = log N(z; 0, I) + log p(x | z) of one example x (D,) and one z (L,). () nats.

    log p(x | z) is the sum over pixels of log Bernoulli(x_d; logits f(z)), or log N(x; f(z), sigma2 I).
    """
    log_prior = log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z))
    f = params.decoder(z)
    if params.log_sigma2 is None:
        return log_prior + log_bernoulli(x, f)
    return log_prior + log_gaussian(x, f, jnp.full_like(f, jnp.sqrt(sigma2(params))))


def sigma2(params):
    """The noise variance of a Gaussian likelihood, MIN_SIGMA2 + exp(log_sigma2). ()"""
    if params.log_sigma2 is None:
        raise ValueError("these parameters have a Bernoulli likelihood, which has no sigma2")
    return MIN_SIGMA2 + jnp.exp(params.log_sigma2)


def encode(params, x):
    """Mean (L,) and standard deviations (L,) of q(z | x), for one example x (D,)."""
    expected = getattr(params.encoder, "num_features", np.size(x))
    if np.shape(x) != (expected,):
        raise ValueError(f"x has shape {np.shape(x)}: this encoder reads one example of shape ({expected},)")
    return params.encoder(x)


def decode(params, z):
    """E[x | z] (D,): probabilities of Bernoulli pixels, or the Gaussian's mean."""
    f = params.decoder(z)
    return jax.nn.sigmoid(f) if params.log_sigma2 is None else f


def reconstruct(params, x):
    """x (D,) -> z -> x (D,): the decoder's expectation at the encoder's mean."""
    return decode(params, encode(params, x)[0])


def sample(params, key, num_samples):
    """Draw z from the prior, then x; the encoder has no part. Returns xs (num_samples, D), zs (num_samples, L)."""
    check_key(key)
    check_count("num_samples", num_samples)
    if not hasattr(params.decoder, "num_latents"):
        raise ValueError(f"the decoder, a {type(params.decoder).__name__}, has no num_latents: give it that attribute")
    key_z, key_x = jax.random.split(key)
    zs = jax.random.normal(key_z, (num_samples, params.decoder.num_latents))
    means = jax.vmap(functools.partial(decode, params))(zs)
    if params.log_sigma2 is None:
        return jax.random.bernoulli(key_x, means).astype(means.dtype), zs
    return means + jnp.sqrt(sigma2(params)) * jax.random.normal(key_x, means.shape), zs


def log_likelihood_estimate(params, xs, key, *, num_samples=1000, chunk_size=20):
    """log p(x) of each example, by importance sampling from the encoder's q: `iw_bound` with many samples.

    Too low on average, the less so the more samples. Memory is that of `chunk_size` samples of each example.

    Args:
        params: VAEParams.
        xs: (N, D).
        key: a key from `jax.random.key`.
        num_samples: S, a multiple of `chunk_size`.
        chunk_size: samples at a time.

    Returns:
        (N,) nats.

    Raises:
        ValueError: bad data, or counts that do not fit.

    Source: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, (8).
    """
    check_key(key)
    check_count("num_samples", num_samples)
    check_count("chunk_size", chunk_size)
    if num_samples % chunk_size:
        raise ValueError(f"num_samples is {num_samples}: expected a multiple of chunk_size, which is {chunk_size}")
    likelihood = "bernoulli" if getattr(params, "log_sigma2", None) is None else "gaussian"
    model = make_vae(likelihood, chunk_size)
    model.check(params, xs)
    return _log_likelihood(model, params, jnp.asarray(xs), key, num_samples // chunk_size)


@functools.partial(jax.jit, static_argnames=("model", "num_chunks"))
def _log_likelihood(model, params, xs, key, num_chunks):
    def add(total, chunk_key):
        nodes = posterior_nodes(model, params, xs, chunk_key)
        chunk = jax.vmap(lambda x, n: iw_bound(model.log_joint, params, x, n))(xs, nodes)
        return jnp.logaddexp(total, chunk), None

    start = jnp.full(len(xs), -jnp.inf, jnp.result_type(xs, *jax.tree.leaves(params)))
    return jax.lax.scan(add, start, jax.random.split(key, num_chunks))[0] - jnp.log(num_chunks)


def log_likelihood_on_grid(params, xs, *, reach=6.0, num_points=600, log_prior=None):
    """log p(x) of each example, by a sum over a grid: the truth, for Bernoulli pixels and at most three latents.

    log p(x) = log sum_s p(x | z_s) p(z_s) (2 reach / n)^L, up to the grid's error, with z_s the midpoints of n^L cells

    Halve the cells and widen the cube: where nothing moves, it is exact. Each z_s is decoded once for all examples.
    The encoder has no part in it.

    Args:
        params: VAEParams with a Bernoulli likelihood; the encoder may be None, where the decoder has a `num_latents`.
        xs: (N, D).
        reach: the cube is [-reach, reach]^L.
        num_points: n, cells for each dimension.
        log_prior: function z (L,) -> () nats, where the prior is another than N(0, I). Static: define it once.

    Returns:
        (N,) nats.

    Raises:
        ValueError: bad data, a Gaussian likelihood, or what `grid_nodes` refuses.
    """
    _check_params(params)
    if params.log_sigma2 is not None:
        raise ValueError("this likelihood is Gaussian: sum its log_joint over vaejax.grid_nodes with vaejax.iw_bound")
    check_rows(xs)
    _check_pixels(xs)
    corner = jnp.full(_num_latents(params, xs), reach)
    (num_features,) = jax.eval_shape(params.decoder, corner).shape
    if xs.shape[1] != num_features:
        raise ValueError(f"xs has shape {xs.shape}, but this decoder gives {num_features} pixels: expected as many")
    if log_prior is not None and jax.eval_shape(log_prior, corner).shape != ():
        raise ValueError(f"log_prior returns shape {jax.eval_shape(log_prior, corner).shape}: expected (), one number")
    check_count("num_points", num_points)
    if corner.size <= 3 and num_points**corner.size > MOST_CELLS:
        raise ValueError(
            f"num_points is {num_points} for {corner.size} latents: expected at most {MOST_CELLS} cells; take "
            f"num_points={int(MOST_CELLS ** (1 / corner.size))} or fewer"
        )
    nodes = grid_nodes(-corner, corner, num_points)
    starts = range(0, len(nodes.z), GRID_CHUNK)
    parts = [_log_p_part(params.decoder, jnp.asarray(xs), nodes.z[i : i + GRID_CHUNK], log_prior) for i in starts]
    return logsumexp(jnp.stack(parts), 0) - jnp.log(len(nodes.z)) - nodes.log_q[0]


@functools.partial(jax.jit, static_argnames="log_prior")
def _log_p_part(decoder, xs, zs, log_prior):
    """log sum_s p(x | z_s) p(z_s) over a part of the grid: `log_bernoulli` of all pairs, by one matrix product. (N,)"""
    logits = jax.vmap(decoder)(zs)
    log_p_z = norm.logpdf(zs).sum(1) if log_prior is None else jax.vmap(log_prior)(zs)
    log_p_dark = -jnp.logaddexp(0, logits).sum(1)
    return logsumexp(xs @ logits.T + (log_p_dark + log_p_z)[None], 1)


def _validate(likelihood, params, xs):
    """ValueError unless xs is a table of examples that these networks and this likelihood can read."""
    _check_params(params)
    if (params.log_sigma2 is None) != (likelihood == "bernoulli"):
        raise ValueError(
            f'the model is make_vae("{likelihood}"), but log_sigma2 of these parameters is {params.log_sigma2}: give '
            "init and make_vae the same likelihood"
        )
    check_rows(xs)
    mean, _ = jax.eval_shape(encode, params, xs[0])
    num_latents = _num_latents(params, xs)
    if mean.shape != (num_latents,):
        raise ValueError(
            f"the encoder gives a mean of shape {mean.shape}, the decoder reads z of shape ({num_latents},)"
        )
    if likelihood == "bernoulli":
        _check_pixels(xs)


def _check_params(params):
    if not isinstance(params, VAEParams):
        raise ValueError(f"params are {type(params).__name__}: expected VAEParams, as vae.init makes them")


def _num_latents(params, xs):
    """L, as the decoder has it; a function of your own need not say, then the encoder does."""
    declared = getattr(params.decoder, "num_latents", None)
    return jax.eval_shape(encode, params, xs[0])[0].size if declared is None else declared


def _check_pixels(xs):
    if not isinstance(xs, jax.core.Tracer):
        low, high = float(xs.min()), float(xs.max())
        if low < 0 or high > 1:
            raise ValueError(
                f"xs lies between {low:g} and {high:g}: Bernoulli pixels are between 0 and 1; divide bytes by 255, or "
                'take likelihood="gaussian"'
            )


def _layers(sizes, rngs):
    return nnx.List([nnx.Linear(i, o, rngs=rngs) for i, o in itertools.pairwise(sizes)])
