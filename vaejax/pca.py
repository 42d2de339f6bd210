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
from scipy.linalg import get_blas_funcs  # scipy comes with jax

from vaejax import doors
from vaejax.doors import as_float, blocks, check_count, check_example, check_finite, check_key, check_table
from vaejax.numerics import full_precision

CHUNK = 4096  # examples of one product
FAR = 10  # a squared mean above so many variances costs digits: products are then taken around it


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
        PCAResult. The least distance determines only the span of W, and that only if the variances L and L + 1 differ;
        its columns are directions of falling variance, determined where their variances differ. Directions
        without any variance are filled up with arbitrary orthonormal ones.

    Raises:
        ValueError: bad data, data whose squares are out of the range of their type, or L out of range.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, sections 12.1.1, 12.1.2 and 12.1.4.
    """
    _check(xs, num_latents)
    if len(xs) < xs.shape[1]:
        params = _pca_of_few(jnp.asarray(xs), int(num_latents))
    else:
        params = pca_of_cov(*mean_and_cov(xs), int(num_latents))
    _check_scale(xs, params.variances)
    return params


@full_precision
def project(params, x):
    """The coordinates of the shadow of x (D,): W' (x - mean), (L,)."""
    check_example(x, params.mean.size)
    return params.W.T @ (x - params.mean)


@full_precision
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
        losses: (num_steps,) mean squared error |x - mean - W z|^2 after each step, in the end the distance from the
            plane. Never rises.

    Raises:
        ValueError: no key, bad data, data whose squares are out of the range of their type, L out of range, or
            num_steps < 1.

    Source: derived in chapter 3.
    """
    _check(xs, num_latents)
    check_count("num_steps", num_steps)
    check_key(key)
    _check_scale(xs, jnp.var(jnp.asarray(xs), 0))
    return _als(jnp.asarray(xs), int(num_latents), int(num_steps), key)


def varimax(W, num_steps=100):
    """Rotate loadings W (D, L) so that each factor loads on few features: W R with R R' = I.

    Makes the variance of the squared loadings, summed over the factors, as large as it gets by turning two factors at a
    time, each pair in one go: with z = x + i y for their loadings x and y, and c = z^2 - mean(z^2), the best angle is
    arg(sum c^2) / 4. The model stays the same. Raw varimax: rows are not scaled to length one first.

    Args:
        W: (D, L) finite loadings.
        num_steps: rounds through all pairs.

    Returns:
        (W R, R): (D, L) and (L, L).

    Raises:
        ValueError: W is no matrix, or not finite, or num_steps < 1.

    Source: Kaiser (1958), The varimax criterion for analytic rotation in factor analysis, Psychometrika 23.
    """
    (W,) = as_float(W)
    if W.ndim != 2 or W.size == 0:
        raise ValueError(f"W has shape {W.shape}: expected loadings (D, L)")
    check_finite("W", W)
    check_count("num_steps", num_steps)
    return _varimax(W, num_steps)


@jax.jit
def _varimax(W, num_steps):
    num_features, num_latents = W.shape
    pairs = np.stack(np.triu_indices(num_latents, 1), 1)
    exponent = jnp.frexp(jnp.abs(W).max())[1]  # a power of two: fourth powers neither overflow nor vanish

    def turn(both, pair):
        z = both[:, pair[0]] + 1j * both[:, pair[1]]
        squares = z[:num_features] ** 2
        angle = jnp.angle(((squares - squares.mean()) ** 2).sum()) / 4
        z = z * jnp.exp(-1j * angle)
        return both.at[:, pair].set(jnp.stack([z.real, z.imag], 1)), None

    both = jnp.concatenate([jnp.ldexp(W, -exponent), jnp.eye(num_latents, dtype=W.dtype)])  # W R and R turn alike
    both = jax.lax.fori_loop(0, num_steps, lambda _, both: jax.lax.scan(turn, both, pairs)[0], both)
    return jnp.ldexp(both[:num_features], exponent), both[num_features:]


@full_precision
@np.errstate(over="ignore", invalid="ignore")  # whoever asked sees that in the covariance
def mean_and_cov(xs):
    """Mean (D,) and covariance (D, D), with 1/N, of xs (N, D).

    On the CPU by BLAS, which knows that X'X is symmetric and does half the work, as XLA does not; by scipy's, which
    jax.numpy.linalg.eigh uses too: idle threads of another one, numpy's, would slow that down fivefold. The products
    are those of the examples as they are, which takes no copy. Where the mean of a column is far from zero, beside its
    spread, they are taken around a centre instead: the first rows tell where, and all of them whether that was right.
    """
    if not doors.is_on_one_cpu(xs):
        xs = jnp.asarray(xs)
        centred = xs - (mean := xs.mean(0))[None]
        return mean, centred.T @ centred / len(xs)
    chunks = list(blocks(np.asarray(xs), CHUNK))
    centre = step = np.zeros(xs.shape[1], xs.dtype)
    for part in [chunks[0][:256]], chunks, chunks:
        centre = centre + step
        off, cov = _moments(part, centre)
        rounding = 8 * np.finfo(xs.dtype).eps * centre  # what the mean of a constant column is off by
        step = np.where(off**2 > FAR * np.diagonal(cov) + rounding**2, off, 0)
        if part is chunks and not step.any():
            break
    return jnp.asarray(centre + off), jnp.asarray(cov)


def _moments(chunks, centre):
    """Mean and covariance of the examples less the centre."""
    syrk, gemv = get_blas_funcs(("syrk", "gemv"), (centre,))
    total, products, num_examples = 0, np.zeros((centre.size, centre.size), centre.dtype, "F"), sum(map(len, chunks))
    for chunk in chunks:
        rows = (chunk - centre if centre.any() else chunk).T
        total = total + gemv(1, rows, np.ones(len(chunk), centre.dtype)).astype(float)
        products = syrk(1, rows, beta=1, c=products, overwrite_c=True)  # its upper half
    mean = (total / num_examples).astype(centre.dtype)
    products = np.triu(products) + np.triu(products, 1).T
    return mean, products / centre.dtype.type(num_examples) - np.outer(mean, mean)


@partial(jax.jit, static_argnames="num_latents")
def pca_of_cov(mean, cov, num_latents):
    """`pca` of data with this mean (D,) and covariance (D, D)."""
    values, W = _largest(cov, num_latents)
    return PCAResult(mean, orient(W), values)


@partial(jax.jit, static_argnames="num_latents")
@full_precision
def _pca_of_few(xs, num_latents):
    centred = xs - (mean := xs.mean(0))[None]
    values, inner = _largest(centred @ centred.T / len(xs), num_latents)
    W = jnp.linalg.qr(centred.T @ inner)[0]  # columns are orthogonal already; qr scales, and fills up what is zero
    return PCAResult(mean, orient(W), values)


def _largest(square, num_latents):
    values, vectors = jnp.linalg.eigh(square)
    return jnp.maximum(values[::-1][:num_latents], 0), vectors[:, ::-1][:, :num_latents]


def orient(W):
    """W (D, L), each column or its negative, so that its entry of largest size is positive."""
    largest = jnp.take_along_axis(W, jnp.abs(W).argmax(0, keepdims=True), 0)
    return W * jnp.where(largest < 0, -1, 1)


@partial(jax.jit, static_argnames=("num_latents", "num_steps"))
@full_precision
def _als(xs, num_latents, num_steps, key):
    centred = xs - xs.mean(0)[None]

    def step(W, _):
        Z = centred @ jnp.linalg.pinv(W).T
        W = (jnp.linalg.pinv(Z) @ centred).T
        return W, ((centred - Z @ W.T) ** 2).sum(1).mean()

    return jax.lax.scan(step, jax.random.normal(key, (xs.shape[1], num_latents), xs.dtype), length=num_steps)


def _check(xs, num_latents):
    check_table(xs)
    check_count("num_latents", num_latents)
    if len(xs) < 2:
        raise ValueError(f"xs has shape {np.shape(xs)}: expected (N, D) with at least two examples")
    if num_latents > min(xs.shape):
        raise ValueError(f"num_latents is {num_latents}, but xs {xs.shape} spans at most {min(xs.shape)} dimensions")


def _check_scale(xs, variances):
    """ValueError where the largest variance of xs has no digits, or is no number, in their type."""
    if doors.is_traced(variances):
        return
    largest, limits = np.asarray(variances).max(), np.finfo(xs.dtype)
    if not limits.tiny / limits.eps < largest < np.inf and (xs.min(0) != xs.max(0)).any():
        spread = float(xs.max()) - float(xs.min())
        raise ValueError(f"xs varies by {spread:.0e}, the square of which {xs.dtype} does not hold: rescale xs")
