"""Principal component analysis: the plane that casts the longest shadows. Public in `vaejax.linear_gaussian`.

x_hat = mean + W z,  z = W' (x - mean),  W (D, L) with W' W = I

PCA has no noise and so no density: it is what remains of the linear Gaussian model when its noise goes to zero.
And varimax, which turns the axes on a plane until they are easy to read.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vaejax.doors import check_count, check_example, check_examples, check_key
from vaejax.sharding import is_mapped

CHUNK = 4096  # examples that are centred together


class PCAResult(NamedTuple):
    """The best plane of L dimensions through a data set in D dimensions."""

    mean: Array  # (D,) of the data
    W: Array  # (D, L) orthonormal columns, by falling variance; in each the entry of largest size is positive
    variances: Array  # (L,) of the data along each column, with 1/N


def pca(xs, num_latents):
    """The plane of `num_latents` dimensions with the least squared distance from the examples.

    W = the eigenvectors of the covariance with the largest eigenvalues. Where there are fewer examples than features
    they come from the (N, N) matrix of inner products, which has the same eigenvalues.

    Args:
        xs: (N, D) finite floats, N > 1. Constant features are allowed, and have variance zero.
        num_latents: L, at most min(N, D).

    Returns:
        PCAResult. Only the span of W is determined by the data, and that only if the variances L and L + 1 differ.
        Directions without any variance are filled up with arbitrary orthonormal ones.

    Raises:
        ValueError: bad data, or L out of range.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, sections 12.1.1, 12.1.2 and 12.1.4.
    """
    _check(xs, num_latents)
    if len(xs) < xs.shape[1]:
        return _pca_of_few(jnp.asarray(xs), int(num_latents))
    return pca_of_cov(*mean_and_cov(xs), int(num_latents))


def project(params, x):
    """The coordinates of the shadow of x (D,): W' (x - mean), (L,)."""
    check_example(x, params.mean.size)
    return params.W.T @ (x - params.mean)


def reconstruct(params, x):
    """The shadow of x (D,) on the plane: mean + W W' (x - mean), (D,)."""
    return params.mean + params.W @ project(params, x)


def als(xs, num_latents, num_steps, key):
    """Alternating least squares: the same plane without eigenvectors, filling in coordinates and refitting in turn.

    Z = X pinv(W)',  W = (pinv(Z) X)',  for centred examples X (N, D)

    Args:
        xs: (N, D) finite floats, N > 1.
        num_latents: L, at most min(N, D).
        num_steps: number of times that both are refitted, at least 1.
        key: a key from `jax.random.key`, for the random W (D, L) to start from.

    Returns:
        W: (D, L), in general not orthonormal. In the end each step shrinks the largest angle to the span of `pca` by
            the ratio of variance L + 1 to variance L.
        losses: (num_steps,) mean squared distance from the plane after each step. Never rises.

    Raises:
        ValueError: no key, bad data, L out of range, or num_steps < 1.

    Source: derived in chapter 3.
    """
    _check(xs, num_latents)
    check_count("num_steps", num_steps)
    check_key(key)
    return _als(jnp.asarray(xs), int(num_latents), int(num_steps), key)


def varimax(W, num_steps=100):
    """Rotate loadings W (D, L) so that each factor loads on few features: W R with R R' = I.

    Makes the variance of the squared loadings, summed over the factors, as large as it gets by turning two factors at a
    time, each pair in one go: with z = x + i y for their loadings x and y, and c = z^2 - mean(z^2), the best angle is
    arg(sum c^2) / 4. The model stays the same.

    Args:
        W: (D, L) loadings.
        num_steps: rounds through all pairs.

    Returns:
        (W R, R): (D, L) and (L, L).

    Source: Kaiser (1958), The varimax criterion for analytic rotation in factor analysis, Psychometrika 23.
    """
    W = jnp.asarray(W)
    num_features, num_latents = W.shape
    pairs = np.stack(np.triu_indices(num_latents, 1), 1)

    def turn(both, pair):
        z = both[:, pair[0]] + 1j * both[:, pair[1]]
        squares = z[:num_features] ** 2
        angle = jnp.angle(((squares - squares.mean()) ** 2).sum()) / 4
        z = z * jnp.exp(-1j * angle)
        return both.at[:, pair].set(jnp.stack([z.real, z.imag], 1)), None

    both = jnp.concatenate([W, jnp.eye(num_latents, dtype=W.dtype)])  # W R and R turn alike
    both, _ = jax.lax.scan(lambda both, _: jax.lax.scan(turn, both, pairs), both, length=num_steps)
    return both[:num_features], both[num_features:]


def mean_and_cov(xs):
    """Mean (D,) and covariance (D, D), with 1/N, of xs (N, D).

    On the CPU by numpy: its BLAS knows that X'X is symmetric and does half the work, which XLA does not. Chunks are
    centred one by one, so that they stay in the cache. A large mean costs no digits: what the first mean, a quick sum,
    is off by shows in the mean of what was centred with it, and is taken off at the end.
    """
    if not _is_on_one_cpu(xs):
        xs = jnp.asarray(xs)
        mean = xs.mean(0)
        centred = xs - mean[None]
        return mean, centred.T @ centred / len(xs)
    table = np.asarray(xs)
    num_examples, ones = len(table), np.ones(CHUNK, table.dtype)
    chunks = [table[start : start + CHUNK] for start in range(0, num_examples, CHUNK)]

    def mean_of(chunks):
        return (sum((ones[: len(c)] @ c).astype(float) for c in chunks) / num_examples).astype(table.dtype)

    mean = mean_of(chunks)
    off, cov = 0, 0
    for chunk in chunks:
        centred = chunk - mean
        off, cov = off + mean_of([centred]), cov + centred.T @ centred
    return jnp.asarray(mean + off), jnp.asarray(cov / table.dtype.type(num_examples) - np.outer(off, off))


def _is_on_one_cpu(xs):
    """False inside a compiled function, on an accelerator, and for data spread over several devices.

    True for what is mapped from a file, which no device need hold.
    """
    if isinstance(xs, jax.core.Tracer):
        return False
    if is_mapped(xs):
        return True
    if isinstance(xs, Array):
        return [device.platform for device in xs.devices()] == ["cpu"]
    return jax.default_backend() == "cpu"


@partial(jax.jit, static_argnames="num_latents")
def pca_of_cov(mean, cov, num_latents):
    """`pca` of data with this mean (D,) and covariance (D, D)."""
    values, W = _largest(cov, num_latents)
    return _result(mean, W, values)


@partial(jax.jit, static_argnames="num_latents")
def _pca_of_few(xs, num_latents):
    mean = xs.mean(0)
    centred = xs - mean[None]
    values, inner = _largest(centred @ centred.T / len(xs), num_latents)
    W = jnp.linalg.qr(centred.T @ inner)[0]  # columns are orthogonal already; qr scales, and fills up what is zero
    return _result(mean, W, values)


def _largest(square, num_latents):
    values, vectors = jnp.linalg.eigh(square)
    return values[::-1][:num_latents], vectors[:, ::-1][:, :num_latents]


def _result(mean, W, values):
    return PCAResult(mean, orient(W), jnp.maximum(values, 0))


def orient(W):
    """W (D, L), each column or its negative, so that its entry of largest size is positive."""
    largest = jnp.take_along_axis(W, jnp.abs(W).argmax(0, keepdims=True), 0)
    return W * jnp.where(largest < 0, -1, 1)


@partial(jax.jit, static_argnames=("num_latents", "num_steps"))
def _als(xs, num_latents, num_steps, key):
    centred = xs - xs.mean(0)[None]

    def step(W, _):
        Z = centred @ jnp.linalg.pinv(W).T
        W = (jnp.linalg.pinv(Z) @ centred).T
        return W, ((centred - Z @ W.T) ** 2).sum(1).mean()

    return jax.lax.scan(step, jax.random.normal(key, (xs.shape[1], num_latents), xs.dtype), length=num_steps)


def _check(xs, num_latents):
    check_examples(xs, as_table=True)
    check_count("num_latents", num_latents)
    if np.ndim(xs) != 2 or len(xs) < 2:
        raise ValueError(f"xs has shape {np.shape(xs)}: expected (N, D) with at least two examples")
    if num_latents > min(xs.shape):
        raise ValueError(f"num_latents is {num_latents}, but xs {xs.shape} spans at most {min(xs.shape)} dimensions")
