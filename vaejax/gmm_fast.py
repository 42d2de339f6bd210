"""The E-step of a mixture by matrix products: the averages of `vaejax.gmm.statistics`, fast.

First the data are whitened, y = A^-1 (x - center), so that squares lose few digits. The log of a Gaussian is linear in
the P features phi(y) = [1, y_i, y_i y_j (i <= j)]. So with the features of a chunk of examples in Phi (P, B), and the
coefficients in Theta (K, P), the logits of all components are one matrix product, Theta Phi; and the averages are
another one, R Phi', with the weighted responsibilities R (K, B).

The guard: where components are so narrow, or so far out, that expanded squares would lose digits, v = L_k^-1 (y - m_k)
is formed for each component instead, at about twice the cost.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

from vaejax.densities import LOG_2PI
from vaejax.numerics import chunk_size, kahan_add

STORED_BYTES = 2**29  # of features that may be kept; beyond, the step builds them as it goes
MOST_ROWS = 2**15  # of a chunk, on any device: the step makes (K, D, B) of it, and K is not known here
LOST_NATS = 1e-3  # by which expanded squares may be off


class Whitened(NamedTuple):
    """Examples y = A^-1 (x - center) in C chunks of B."""

    center: Array  # (D,)
    scale: Array  # (D, D) A, lower triangular
    weight: Array  # (C, B) of the examples, 0 for padding
    chunks: Array  # (C, P, B) features of y where they fit into STORED_BYTES, else (C, D, B) y itself


def prepare(xs, weight):
    """Whiten xs (N, D) and lay them out in chunks, with their weights (N,), None for 1 / N each. -> `Whitened`"""
    xs = jnp.asarray(xs)
    num_examples, dim = xs.shape
    num_features = 1 + dim + dim * (dim + 1) // 2
    # 512 at least, or products are small
    size = min(max(chunk_size(xs.itemsize * num_features, num_examples), 512), MOST_ROWS, num_examples)
    is_stored = num_examples * num_features * xs.dtype.itemsize <= STORED_BYTES
    weight = jnp.full(num_examples, 1 / num_examples, xs.dtype) if weight is None else weight.astype(xs.dtype)
    return _prepare(xs, weight, size, is_stored)


@partial(jax.jit, static_argnames=("size", "is_stored"))
def _prepare(xs, weight, size, is_stored):
    center, scale = _center_and_scale(xs, weight)
    white = solve_triangular(scale, (xs - center[None]).T, lower=True)
    unused = -len(xs) % size
    chunks = jnp.pad(white, ((0, 0), (0, unused))).reshape(len(scale), -1, size).transpose(1, 0, 2)
    chunks = jax.vmap(_features)(chunks) if is_stored else chunks
    return Whitened(center, scale, jnp.pad(weight, (0, unused)).reshape(-1, size), chunks)


def e_step(params, data):
    """The averages of `vaejax.gmm.statistics`, and of log p(x). Two products a chunk, never an (N, K, D) array."""
    center, scale, weight, chunks = data
    log_pi = jax.nn.log_softmax(params.log_pi)
    mean = solve_triangular(scale, (params.mu - center[None]).T, lower=True).T  # (K, D): m_k
    factor = jax.vmap(lambda s: solve_triangular(scale, s, lower=True))(params.scale_tril)  # (K, D, D): L_k
    inverse = jax.vmap(lambda f: solve_triangular(f, jnp.eye(len(scale), dtype=f.dtype), lower=True))(factor)
    log_det = jnp.log(jnp.diagonal(params.scale_tril, axis1=1, axis2=2)).sum(1)
    constant = log_pi - log_det - 0.5 * len(scale) * LOG_2PI
    precision = inverse.transpose(0, 2, 1) @ inverse
    size = jnp.sqrt((precision**2).sum((1, 2))) * (len(scale) + (mean**2).sum(1))  # of what expanded squares subtract
    loses = jnp.finfo(size.dtype).eps * size.max() > LOST_NATS
    average = jax.lax.cond(loses, _precise, _expanded, constant, mean, factor, inverse, precision, weight, chunks)
    (resp, first, second), log_p = average
    return (resp, first @ scale.T, scale @ second @ scale.T), log_p


def _expanded(constant, mean, factor, inverse, precision, weight, chunks):
    """The averages in whitened coordinates, around m_k, from products with the features."""
    dim = mean.shape[1]
    build = _features if chunks.shape[1] == dim else (lambda features: features)
    linear = jnp.einsum("kij,kj->ki", precision, mean)
    i, j = np.triu_indices(dim)
    pair = -jnp.where(i == j, 0.5, 1.0).astype(mean.dtype)
    theta = jnp.concatenate(
        [(constant - 0.5 * (linear * mean).sum(1))[:, None], linear, pair[None] * precision[:, i, j]], 1
    )

    def of_chunk(chunk):
        features = build(chunk)
        return theta @ features, lambda resp: resp @ features.T

    sums, log_p = _over_chunks(of_chunk, jnp.zeros_like(theta), weight, chunks)
    resp, first = sums[:, 0], sums[:, 1 : dim + 1]
    upper = jnp.zeros_like(factor).at[:, i, j].set(sums[:, dim + 1 :])
    second = upper + jnp.triu(upper, 1).transpose(0, 2, 1)
    around = first - resp[:, None] * mean
    second = second - first[:, :, None] * mean[:, None] - mean[:, :, None] * around[:, None]
    return (resp, around, second), log_p


def _precise(constant, mean, factor, inverse, precision, weight, chunks):
    """The same without expanded squares."""
    dim = mean.shape[1]
    first_row = 0 if chunks.shape[1] == dim else 1

    def of_chunk(chunk):
        y = chunk[first_row : first_row + dim]
        v = inverse @ (y[None] - mean[:, :, None])  # (K, D, B)

        def sums(resp):
            weighted = v * resp[:, None]
            return resp.sum(1), weighted.sum(2), weighted @ v.transpose(0, 2, 1)

        return constant[:, None] - 0.5 * (v**2).sum(1), sums

    zero = jnp.zeros_like(constant), jnp.zeros_like(mean), jnp.zeros_like(factor)
    (resp, first, second), log_p = _over_chunks(of_chunk, zero, weight, chunks)
    return (resp, jnp.einsum("kij,kj->ki", factor, first), factor @ second @ factor.transpose(0, 2, 1)), log_p


def _over_chunks(of_chunk, zero, weight, chunks):
    """Add up what `of_chunk` makes of each chunk: logits (K, B), and the sums for responsibilities (K, B)."""

    def add_chunk(total, chunk):
        weight, chunk = chunk
        logits, sums = of_chunk(chunk)
        top = logits.max(0)
        unnormalised = jnp.exp(logits - top[None])
        mass = unnormalised.sum(0)
        found = sums(unnormalised * (weight / mass)[None]), (top + jnp.log(mass)) @ weight
        return kahan_add(total, found), None

    zero = zero, jnp.zeros((), jax.tree.leaves(zero)[0].dtype)
    return jax.lax.scan(add_chunk, (zero, zero), (weight, chunks))[0][0]


def _center_and_scale(xs, weight):
    """Mean (D,) and the Cholesky factor (D, D) of the covariance, with a ridge: to whiten, a near one will do."""
    share = weight / jnp.maximum(weight.sum(), jnp.finfo(weight.dtype).tiny)
    center = share @ xs
    away = xs - center[None]
    cov = (away * share[:, None]).T @ away
    spread = jnp.diagonal(cov)
    ridge = jnp.where(spread > 0, 10 * len(cov) * jnp.finfo(cov.dtype).eps * spread, 1)
    return center, jnp.linalg.cholesky(cov + jnp.diag(ridge))


def _features(y):
    """phi of the columns of y (D, B): [1, y_i, y_i y_j for i <= j], (P, B)."""
    i, j = np.triu_indices(len(y))
    return jnp.concatenate([jnp.ones_like(y[:1]), y, y[i] * y[j]])
