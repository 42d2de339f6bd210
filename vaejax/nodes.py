"""Nodes: the points and weights that stand for q(z | x) inside an expectation.

A latent variable is a missing value. A q(z | x) says how to fill it in: with which values, and how much each of them
counts. `Nodes` are those weighted completions of one example. Every constructor here is one way to complete: in every
possible way, at cleverly placed points, on a grid, or by sampling. What is done with the completions (`bounds.elbo`,
`bounds.iw_bound`, an M-step) never asks who made them.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vaejax.densities import LOG_2PI, check_gaussian, log_det_tril
from vaejax.doors import as_float, check_count, check_finite, check_key, is_traced
from vaejax.numerics import full_precision

MAX_PRODUCT_DIM = 3  # n^L points: 100^3 is a million, 100^4 is out of reach
MOST_NODES = 10**7  # of a product rule: in three dimensions 240 MB of float64


class Nodes(NamedTuple):
    """Weighted completions of one example: E_q[f(z)] is, or is approximated by, sum_s weight_s f(z_s).

    z may be any pytree whose leaves share the leading axis S, such as the pair (labels, points) that `bind` makes; then
    `log_joint` and the f of `expect` are called with such a pytree for one completion.
    """

    z: Array  # (S, ...) points
    weight: Array  # (S,) non-negative, sums to one
    log_q: Array  # (S,) log mass or density of q at each point, in nats


def expect(f, nodes):
    """E_q[f(z)] = sum_s weight_s f(z_s). A node of weight zero counts for nothing, even where f is infinite there.

    Args:
        f: function of one latent z; may return an array or a pytree of arrays.
        nodes: the `Nodes` of one example.

    Returns:
        what f returns, averaged.
    """
    used, z = on_support(nodes)

    def average(values):
        counted = jnp.where(_across(used, values), values, 0)
        return jnp.tensordot(nodes.weight, counted, 1, precision="highest")

    return jax.tree.map(average, jax.vmap(f)(z))


def on_support(nodes):
    """Which nodes count, (S,), and the z where those that do not are another that does.

    At such a z everything is finite that counts: a gradient that passes a function of a z of weight zero, where it may
    be infinite, would be 0 * inf.
    """
    check_nodes("whoever made these nodes", nodes)
    used = nodes.weight != 0  # NaN counts, so that what went wrong is seen
    first, z = used.argmax(), jax.tree.map(jnp.asarray, nodes.z)  # numpy's take no index that is traced
    return used, jax.tree.map(lambda leaf: jnp.where(_across(used, leaf), leaf, leaf[first][None]), z)


def bind(nodes, f, key=None):
    """Completes in two steps, z by `nodes` and then u by f(z): q(z, u) = q(z) q(u | z).

    Args:
        nodes: `Nodes` of z, with S points.
        f: function z -> `Nodes` of u, with M points for every z; with a key, (z, key) -> `Nodes`.
        key: a key from `jax.random.key`, where f draws; each z then gets a key of its own. (A key that f closes over
            would give all z the same draws.)

    Returns:
        Nodes with S M points (z, u), weights weight(z) weight(u | z), log q(z) + log q(u | z); u runs fastest.

    Raises:
        ValueError: f returns no Nodes, or key is not one of JAX's.
    """
    _, z = on_support(nodes)
    if key is None:
        inner = jax.vmap(f)(z)
    else:
        check_key(key)
        inner = jax.vmap(f)(z, jax.random.split(key, nodes.weight.size))
    check_nodes("f", inner)
    size = inner.weight.shape[1]
    return Nodes(
        z=(jax.tree.map(lambda leaf: jnp.repeat(leaf, size, 0), nodes.z), _flat(inner.z)),
        weight=(nodes.weight[:, None] * inner.weight).ravel(),
        log_q=(nodes.log_q[:, None] + inner.log_q).ravel(),
    )


def join(nodes):
    """The Nodes of several calls, leaves (S, M, ...), as one: S M points, their weights divided by S."""
    return Nodes(_flat(nodes.z), nodes.weight.ravel() / len(nodes.weight), nodes.log_q.ravel())


def check_nodes(maker, nodes):
    """ValueError unless `nodes`, which `maker` returned, are Nodes."""
    if not isinstance(nodes, Nodes):
        raise ValueError(
            f"{maker} returned a {type(nodes).__name__}: expected vaejax.Nodes, as enumerate_nodes, sample_nodes and "
            "the other makers of nodes return them"
        )


def observed():
    """Nodes of an example with nothing missing: one completion, the example itself. z is (1, 0), empty.

    With these, `elbo` and `iw_bound` are both log p(x).
    """
    return Nodes(z=jnp.zeros((1, 0)), weight=jnp.ones(1), log_q=jnp.zeros(1))


def enumerate_nodes(log_probs):
    """Nodes for a label z in 0..K-1: every value, with its probability. Sums over them are exact.

    Args:
        log_probs: (K,) normalised log probabilities of q, as `jax.nn.log_softmax` makes them. A class of probability
            zero (-inf) gets weight zero and counts for nothing.

    Returns:
        Nodes with z (K,) integers.

    Raises:
        ValueError: `log_probs` is not a vector, or (where the values are known) its probabilities do not add up to one.
    """
    (log_probs,) = as_float(log_probs)
    if log_probs.ndim != 1 or log_probs.size == 0:
        raise ValueError(f"log_probs has shape {log_probs.shape}: expected (K,) for one example; vmap over batches")
    total = jnp.exp(log_probs.astype(jnp.promote_types(log_probs.dtype, jnp.float32))).sum()
    rounding = 4 * float(jnp.finfo(log_probs.dtype).eps) * (1 + math.log(log_probs.size))  # the entropy is <= log K
    if not is_traced(total) and not abs(total - 1) < 1e-3 + rounding:
        raise ValueError(f"the probabilities add up to {total:.6g}, not to 1: pass jax.nn.log_softmax(log_probs)")
    return Nodes(z=jnp.arange(log_probs.size), weight=jnp.exp(log_probs), log_q=log_probs)


def cubature_nodes(mean, scale_tril):
    """Nodes for a Gaussian q: 2L points, at distance sqrt(L) along each column of S = `scale_tril`, equal weights.

    z = mean +- sqrt(L) S e_l,  weight = 1 / (2 L)

    Exact for every polynomial of degree three or less, so `elbo` is exact in a linear Gaussian model. `iw_bound` is an
    average of exp(...), no polynomial: on these nodes it is log p(x) where q is the exact posterior of such a model,
    and neither a bound nor an estimate where it is not.

    Args:
        mean: (L,).
        scale_tril: (L, L) Cholesky factor or (L,) standard deviations.

    Returns:
        Nodes with z (2L, L).

    Raises:
        ValueError: the shapes do not fit each other, or (where the values are known) are those of no Gaussian.

    Source: Arasaratnam and Haykin (2009), Cubature Kalman Filters, IEEE Transactions on Automatic Control 54(6): the
    third-degree spherical-radial rule.
    """
    num_latents = _num_latents(mean, scale_tril)
    axes = math.sqrt(num_latents) * np.eye(num_latents)
    return _gaussian_nodes(mean, scale_tril, np.concatenate([axes, -axes]), np.full(2 * num_latents, 0.5 / num_latents))


def quadrature_nodes(mean, scale_tril, num_points):
    """Nodes for a Gaussian q in at most three dimensions: the product Gauss-Hermite rule with n^L points.

    Exact for polynomials of degree 2n - 1: in each coordinate where q is diagonal, in all of them together where it is
    not. A rule around q sees only what q covers: around a prior it misses a sharp posterior.

    Args:
        mean: (L,), L <= 3.
        scale_tril: (L, L) Cholesky factor or (L,) standard deviations.
        num_points: n, points for each dimension, 1 to 200.

    Returns:
        Nodes with z (n^L, L).

    Raises:
        ValueError: L > 3, num_points out of range, shapes that do not fit each other, or (where the values are known)
            those of no Gaussian.

    Source: Golub and Welsch (1969), Calculation of Gauss Quadrature Rules, Math. Comp. 23; the rule itself is numpy's.
    """
    num_latents = _num_latents(mean, scale_tril)
    check_product_rule("quadrature_nodes", num_latents, num_points, most=200)  # up to which it was tested
    points, weights = np.polynomial.hermite_e.hermegauss(num_points)
    weight = _product(weights / weights.sum(), num_latents).prod(1)
    return _gaussian_nodes(mean, scale_tril, _product(points, num_latents), weight)


def grid_nodes(low, high, num_points):
    """Nodes for the uniform q on a box in at most three dimensions: the midpoints of n^L equal cells.

    `iw_bound` on these is the log of a Riemann sum of p(x, z), so log p(x) up to the grid's error. It is the truth to
    hold beside every bound, once finer cells and a larger box no longer move it. `elbo` on them is of no use.

    Args:
        low, high: (L,) finite corners of the box, L <= 3, low < high.
        num_points: n, cells for each dimension, so that n^L is at most 10^7.

    Returns:
        Nodes with z (n^L, L).

    Raises:
        ValueError: L > 3, num_points out of range, shapes that differ, or (where the values are known) low >= high
            or a corner that is not finite.
    """
    low, high = as_float(low, high)
    if low.ndim != 1 or low.shape != high.shape or low.size == 0:
        raise ValueError(f"low has shape {low.shape} and high {high.shape}: expected two corners of one shape (L,)")
    check_product_rule("grid_nodes", low.size, num_points)
    is_box = (high > low) & jnp.isfinite(low) & jnp.isfinite(high)
    if not is_traced(is_box) and not is_box.all():
        raise ValueError(f"low is {low} and high {high}: expected finite numbers, low < high in every dimension")
    unit = _product((np.arange(num_points) + 0.5) / num_points, low.size)
    z = low[None] + (high - low)[None] * jnp.asarray(unit, low.dtype)
    weight = jnp.full(len(unit), 1 / len(unit), z.dtype)
    return Nodes(z=z, weight=weight, log_q=jnp.full_like(weight, -jnp.log(high - low).sum()))


def sample_nodes(key, mean, scale_tril, num_samples):
    """Nodes drawn from a Gaussian q by reparametrisation: z = mean + S eps, eps ~ N(0, I), equal weights.

    `elbo` on these is an unbiased estimate of E_q[log p(x, z) - log q(z)]; gradients flow through `mean` and
    `scale_tril`. `iw_bound` is the importance-weighted bound with num_samples samples.

    Args:
        key: a key from `jax.random.key`; the same key gives the same nodes.
        mean: (L,).
        scale_tril: (L, L) Cholesky factor or (L,) standard deviations.
        num_samples: S, at least 1.

    Returns:
        Nodes with z (S, L).

    Raises:
        ValueError: no key, num_samples < 1, shapes that do not fit each other, or (where the values are known) those of
            no Gaussian.

    Source: Kingma and Welling (2014), Auto-Encoding Variational Bayes, section 2.4; Burda et al. (2016), Importance
    Weighted Autoencoders, (8), for `iw_bound`.
    """
    check_key(key)
    num_latents = _num_latents(mean, scale_tril)
    check_count("num_samples", num_samples)
    mean, scale_tril = as_float(mean, scale_tril)
    eps = jax.random.normal(key, (num_samples, num_latents), mean.dtype)
    return _gaussian_nodes(mean, scale_tril, eps, np.full(num_samples, 1 / num_samples))


@full_precision
def _gaussian_nodes(mean, scale_tril, standard, weight):
    """Move the nodes of N(0, I) to N(mean, S S'): z = mean + S u, log q(z) = log N(u; 0, I) - log |S|."""
    mean, scale_tril = as_float(mean, scale_tril)
    standard, weight = jnp.asarray(standard, mean.dtype), jnp.asarray(weight, mean.dtype)
    z = mean[None] + (standard * scale_tril[None] if scale_tril.ndim == 1 else standard @ scale_tril.T)
    log_standard = -0.5 * (standard**2).sum(1) - 0.5 * mean.size * LOG_2PI
    return Nodes(z=z, weight=weight, log_q=log_standard - log_det_tril(scale_tril))


def _across(used, values):
    """`used` (S,) with as many axes as `values` (S, ...), to select among them."""
    return used.reshape(-1, *[1] * (values.ndim - 1))


def _flat(tree):
    """The first two axes of each leaf as one."""
    return jax.tree.map(lambda leaf: leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), tree)


def _num_latents(mean, scale_tril):
    check_gaussian(mean, scale_tril)
    check_finite("mean", mean)
    check_finite("scale_tril", scale_tril)
    deviations = scale_tril if np.ndim(scale_tril) == 1 else jnp.diagonal(jnp.asarray(scale_tril))
    if not is_traced(deviations) and not (np.asarray(deviations) > 0).all():
        raise ValueError(f"scale_tril has {np.asarray(deviations)} on its diagonal: expected positive deviations")
    return np.size(mean)


def check_product_rule(name, num_latents, num_points, most=MOST_NODES):
    """ValueError unless n is at most `most`, and n^L points are few enough to be looked at."""
    check_count("num_points", num_points)
    if num_latents > MAX_PRODUCT_DIM:
        raise ValueError(
            f"{name} in {num_latents} dimensions would need {num_points}^{num_latents} points: a product rule works "
            f"for at most {MAX_PRODUCT_DIM}; draw at random instead, with sample_nodes or log_likelihood"
        )
    most = min(most, int(MOST_NODES ** (1 / num_latents)))
    if num_points > most:
        raise ValueError(f"{name} with {num_points}^{num_latents} points: take num_points={most} or fewer")


def _product(points, num_latents):
    """All (n^L, L) combinations of n points for each of L coordinates."""
    return np.stack(np.meshgrid(*[points] * num_latents, indexing="ij"), -1).reshape(-1, num_latents)
