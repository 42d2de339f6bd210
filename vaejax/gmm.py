"""A mixture of K Gaussians with full covariances: the label z in 0..K-1 is what nobody wrote down.

p(x, z = k) = pi_k N(x; mu_k, S_k S_k')

The guard. The likelihood of a mixture has no maximum: a component that shrinks onto one point sends it to infinity. So
no component may be narrower, in any direction, than sqrt(min_variance) times the data as a whole: the eigenvalues of
A^-1 Sigma_k A^-T, where A A' is the covariance of the data, have the floor `min_variance`. Clipping those
eigenvalues is the exact M-step under that constraint, so with the guard, too, EM never lowers the bound (from a
start that obeys it). On ordinary data the floor is never reached.
"""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp

from vaejax.bounds import LatentModel
from vaejax.densities import log_gaussian
from vaejax.doors import blocks, check_count, check_examples, check_key, require_concrete
from vaejax.gaussian import check_lower
from vaejax.gmm_fused import center_and_scale, floored_cholesky, keep_unused
from vaejax.nodes import enumerate_nodes


class GMMParams(NamedTuple):
    """Parameters of a mixture of K Gaussians in D dimensions."""

    log_pi: Array  # (K,) log weights, normalised
    mu: Array  # (K, D) means
    scale_tril: Array  # (K, D, D) lower Cholesky factors of the covariances


def log_joint(params, x, z):
    """log p(x, z) = log pi_z + log N(x; mu_z, S_z S_z') for x (D,) and a label z (). Returns () nats.

    NaN for a z that is no label, 0..K-1.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, section 9.2, (9.10) and (9.11).
    """
    is_label = (z >= 0) & (z < params.log_pi.size)
    return jnp.where(is_label, log_joints(params, x)[z], jnp.nan)  # of many labels, vmap does the K densities once


def log_joints(params, x):
    """log p(x, z = k) for all k: (K,) nats."""
    # One component after the other: `vmap` over components as well as examples would solve N K little systems, and on
    # few cores two such batches at a time can wait for each other for ever (jaxlib's LAPACK calls block their thread).
    log_pi = jax.nn.log_softmax(params.log_pi)  # as it is, unless a gradient step has moved it
    return log_pi + jax.lax.map(lambda component: log_gaussian(x, *component), (params.mu, params.scale_tril))


def log_prob(params, x):
    """log p(x) = log sum_k pi_k N(x; mu_k, S_k S_k') for x (D,). Returns () nats. Bishop (2006), (9.7)."""
    return logsumexp(log_joints(params, x))


def responsibilities(params, x):
    """p(z = k | x) for all k: (K,), sums to one. Bishop (2006), (9.13)."""
    return jax.nn.softmax(log_joints(params, x))


def predict(params, x):
    """The most probable label of x (D,). Returns () integer."""
    return log_joints(params, x).argmax()


def posterior(params, x, key):
    """The exact posterior of the label, as nodes: every k with its probability."""
    del key
    return enumerate_nodes(jax.nn.log_softmax(log_joints(params, x)))


def sample(params, key, num_samples):
    """Draw in two steps: a label, then a point from that label's Gaussian. Returns xs (num_samples, D), labels."""
    check_key(key)
    check_count("num_samples", num_samples)
    params = jax.tree.map(jnp.asarray, params)  # doubles of numpy too: in the precision that JAX is set to
    key_z, key_x = jax.random.split(key)
    labels = jax.random.categorical(key_z, params.log_pi, shape=(num_samples,))
    eps = jax.random.normal(key_x, (num_samples, params.mu.shape[1]), params.mu.dtype)
    return params.mu[labels] + jnp.einsum("nij,nj->ni", params.scale_tril[labels], eps), labels


def init(xs, num_components, key, *, method="k-means++"):
    """A start for EM: means at K of the examples, equal weights, every covariance that of the whole data set.

    Args:
        xs: (N, D) finite floats, N > D, of full rank.
        num_components: K, at most the number of distinct examples.
        key: a key from `jax.random.key`.
        method: "k-means++" draws each mean with probability proportional to the squared distance, in standard
            deviations of each feature, from those already there; "random" draws K distinct examples,
            all equally likely.

    Returns:
        GMMParams.

    Raises:
        ValueError: no key, bad data, K out of range, an unknown method, or a call from within jit, vmap or grad.

    Source: Arthur and Vassilvitskii (2007), k-means++: The Advantages of Careful Seeding, section 2.2.
    """
    check_key(key)
    require_concrete("gmm.init", xs, key)
    xs = _check_table(xs)
    _check_rank(xs)
    check_count("num_components", num_components)
    distinct = np.unique(xs, axis=0)
    if num_components > len(distinct):
        raise ValueError(f"num_components is {num_components}, but there are only {len(distinct)} distinct examples")
    if method not in ("k-means++", "random"):
        raise ValueError(f"method is {method!r}: expected 'k-means++' or 'random'")
    unit = distinct / xs.std(0, dtype=float)  # so that the units of a feature do not matter
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    chosen, weight, nearest = [], np.ones(len(unit)), np.inf
    for _ in range(num_components):
        chosen.append(rng.choice(len(unit), p=weight / weight.sum()))
        nearest = np.minimum(nearest, ((unit - unit[chosen[-1]]) ** 2).sum(1))  # zero only for those chosen
        weight = nearest if method == "k-means++" else (nearest > 0).astype(float)
    _, scale = center_and_scale(jnp.asarray(xs))
    if not np.isfinite(scale).all():
        raise ValueError(
            f"in {scale.dtype} the features cannot be told from combinations of each other: rescale them, take off "
            "large means, or drop features"
        )
    log_pi = jnp.full(num_components, -np.log(num_components), scale.dtype)
    return GMMParams(log_pi, jnp.asarray(distinct[chosen]), jnp.tile(scale, (num_components, 1, 1)))


def validate(params, xs):
    """ValueError unless params are those of a mixture for finite xs (N, D) of full rank."""
    xs = _check_table(xs)
    if not isinstance(params, GMMParams):
        raise ValueError(f"params are {type(params).__name__}: expected GMMParams, as gmm.init makes them")
    log_pi, mu, scale_tril = (np.asarray(p) for p in params)
    num_components, dim = log_pi.size, xs.shape[1]
    shapes = log_pi.shape, mu.shape, scale_tril.shape
    if shapes != ((num_components,), (num_components, dim), (num_components, dim, dim)):
        raise ValueError(
            f"params have shapes {shapes} beside examples of {dim} features: expected (K,), (K, D), (K, D, D)"
        )
    _check_rank(xs)
    if not abs(np.exp(log_pi.astype(float)).sum() - 1) < 1e-3:
        raise ValueError(
            f"the weights exp(log_pi) sum to {np.exp(log_pi).sum():.6g}: expected 1; use jax.nn.log_softmax"
        )
    diagonal = np.diagonal(scale_tril, axis1=1, axis2=2)
    if not (np.isfinite(mu).all() and np.isfinite(scale_tril).all() and (diagonal > 0).all()):
        raise ValueError(
            "params hold NaN, infinity or a singular covariance: expected a positive diagonal in scale_tril"
        )
    check_lower(scale_tril)


def m_step(params, xs, nodes, min_variance=1e-6):
    """Maximum likelihood on the completed data: chapter 1's weighted fit, once for each component.

    N_k = sum_n r_nk,  pi_k = N_k / N,  mu_k = sum_n r_nk x_n / N_k
    Sigma_k = sum_n r_nk (x_n - mu_k)(x_n - mu_k)' / N_k

    with r_nk the weight of label k in the nodes of example n, and the eigenvalues of Sigma_k floored as the module
    says. A component that no example uses keeps its mean and covariance, and gets weight zero.

    Args:
        params: GMMParams before the step.
        xs: (N, D).
        nodes: Nodes of all examples, leaves with the leading axis N; enumerated or sampled labels.
        min_variance: the floor, relative to the covariance of xs.

    Returns:
        GMMParams.

    Source: Bishop (2006), section 9.2.2, (9.24) to (9.27).
    """
    center, scale = center_and_scale(xs)
    away = xs - center[None]  # so that squares lose no digits
    resp = jnp.einsum("ns,nsk->nk", nodes.weight, jax.nn.one_hot(nodes.z, params.log_pi.size, dtype=scale.dtype))
    num = resp.sum(0)
    share = resp / jnp.where(num > 0, num, 1)[None]
    mu = share.T @ away

    def covariance(component):
        mean, weight = component
        centred = away - mean[None]
        return (centred * weight[:, None]).T @ centred

    cov = jax.lax.map(covariance, (mu, share.T))
    white = jax.vmap(lambda c: solve_triangular(scale, solve_triangular(scale, c, lower=True).T, lower=True))(cov)
    scale_tril = jnp.einsum("ij,kjl->kil", scale, floored_cholesky(white, min_variance))
    return keep_unused(params, num, len(xs), mu + center[None], scale_tril)


def make_gmm(min_variance=1e-6):
    """The mixture as a `LatentModel`, with a floor under its variances. The same floor gives the same object.

    Args:
        min_variance: no direction of a component has less than this share of the data's variance in that direction;
            0 removes the guard.
    """
    if not 0 <= min_variance < 1:
        raise ValueError(
            f"min_variance is {min_variance}: expected a share of the data's variance, at least 0, below 1"
        )
    return _make_gmm(float(min_variance))


@cache
def _make_gmm(min_variance):
    return LatentModel(log_joint, posterior, m_step=partial(m_step, min_variance=min_variance), check=validate)


GMM = make_gmm()


def _check_table(xs):
    is_table = getattr(xs, "ndim", 0) == 2 and np.asarray(xs).dtype.kind == "f"
    if is_table and any(np.isnan(part).any() for part in blocks(xs)):
        raise ValueError(
            "xs holds NaN: a mixture needs complete examples; vaejax.gaussian fits data with missing entries"
        )
    check_examples(xs, as_table=True)
    return np.asarray(xs)


def _check_rank(xs):
    constant = xs.min(0) == xs.max(0)
    if constant.any():
        raise ValueError(f"feature {int(constant.argmax())} is the same in all {len(xs)} examples: drop it")
    rank = _rank(xs)
    if rank < xs.shape[1]:
        raise ValueError(
            f"xs {xs.shape} has rank {rank} around its mean: expected {xs.shape[1]}; add examples, or drop features "
            "that are combinations of others"
        )


def _rank(xs):
    """Rank of xs (N, D) around its mean, in float64 without a copy: the triangles of QR, one part after the other.

    What the rounding of the entries alone would spread into a further direction counts for none.
    """
    mean, triangle = xs.mean(0, dtype=float), np.zeros((0, xs.shape[1]))
    for part in blocks(xs):
        triangle = np.linalg.qr(np.concatenate([triangle, part - mean]), mode="r")
    length = np.linalg.norm(triangle, axis=0)
    largest = np.maximum(np.abs(xs.min(0)), np.abs(xs.max(0))) * np.sqrt(len(xs)) / length
    rounding = np.finfo(jax.dtypes.canonicalize_dtype(xs.dtype)).eps * largest.max()
    return np.linalg.matrix_rank(triangle / length, rtol=max(rounding, len(xs) * np.finfo(float).eps))
