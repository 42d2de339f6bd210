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

from vaejax import doors, gmm_fast
from vaejax.bounds import FastEStep, LatentModel
from vaejax.densities import LOG_2PI
from vaejax.doors import blocks, check_count, check_gaussians, check_key, check_params, check_table, require_concrete
from vaejax.nodes import enumerate_nodes
from vaejax.numerics import full_precision


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


@full_precision
def log_joints(params, x):
    """log p(x, z = k) for all k: (K,) nats."""
    doors.check_example(x, params.mu.shape[1])
    log_pi = jax.nn.log_softmax(params.log_pi)  # as it is, unless a gradient step has moved it
    eye = jnp.eye(x.size, dtype=jnp.result_type(params.scale_tril))
    # A factor is inverted once for all examples: K little systems for each of N examples would be solved one by one.
    inverse = jax.vmap(lambda factor: solve_triangular(factor, eye, lower=True))(params.scale_tril)
    white = jnp.einsum("kij,kj->ki", inverse, x[None] - params.mu)
    log_det = jnp.log(jnp.diagonal(params.scale_tril, axis1=1, axis2=2)).sum(1)
    return log_pi - 0.5 * (white**2).sum(1) - log_det - 0.5 * x.size * LOG_2PI


def log_prob(params, x):
    """log p(x) = log sum_k pi_k N(x; mu_k, S_k S_k') for x (D,). Returns () nats. Bishop (2006), (9.7)."""
    return logsumexp(log_joints(params, x))


def responsibilities(params, x):
    """p(z = k | x) for all k: (K,), sums to one. ValueError where all p(x, z) are zero. Bishop (2006), (9.13)."""
    found = jax.nn.softmax(log_joints(params, x))
    doors.check_finite("p(z | x)", found)
    return found


def predict(params, x):
    """The most probable label of x (D,). Returns () integer."""
    return log_joints(params, x).argmax()


def posterior(params, x, key):
    """The exact posterior of the label, as nodes: every k with its probability."""
    del key
    return enumerate_nodes(jax.nn.log_softmax(log_joints(params, x)))


@full_precision
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
    check_table(xs)
    xs = np.asarray(xs)
    check_count("num_components", num_components)
    if method not in ("k-means++", "random"):
        raise ValueError(f"method is {method!r}: expected 'k-means++' or 'random'")
    sd, scale = _spread(xs)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    unit = xs / sd.astype(xs.dtype)  # so that the units of a feature do not matter
    chosen, weight, nearest = [], np.ones(len(xs)), np.inf
    for _ in range(num_components):
        if not weight.any():
            raise ValueError(f"num_components is {num_components}, but there are only {len(chosen)} distinct examples")
        chosen.append(rng.choice(len(xs), p=weight / weight.sum()))
        nearest = np.minimum(nearest, ((unit - unit[chosen[-1]]) ** 2).sum(1, dtype=float))
        weight = nearest if method == "k-means++" else (nearest > 0).astype(float)
    log_pi = jnp.full(num_components, -np.log(num_components), scale.dtype)
    return GMMParams(log_pi, jnp.asarray(xs[chosen]), jnp.tile(scale, (num_components, 1, 1)))


def check(params, xs):
    """ValueError unless params are those of a mixture for finite xs (N, D)."""
    check_table(xs)
    check_params(params, GMMParams, xs, "K", "KD", "KDD")
    total = np.exp(np.asarray(params.log_pi, float)).sum()
    if not abs(total - 1) < 1e-3:
        raise ValueError(f"the weights exp(log_pi) sum to {total:.6g}: expected 1; use jax.nn.log_softmax")
    check_gaussians(params.mu, params.scale_tril)


@full_precision
def statistics(params, x, nodes):
    """What the M-step needs of one completed example: r_k, r_k (x - mu_k), r_k (x - mu_k)(x - mu_k)'.

    With r_k = E_q[z = k]. Shapes (K,), (K, D), (K, D, D). Source: Bishop (2006), section 9.4, around the present means.
    """
    resp = nodes.weight @ jax.nn.one_hot(nodes.z, params.log_pi.size, dtype=nodes.weight.dtype)
    away = x[None] - params.mu
    return resp, resp[:, None] * away, jnp.einsum("k,ki,kj->kij", resp, away, away)


def recentre(T, old, new):
    """The statistics T, taken around the means of `old`, around those of `new`."""
    resp, first, second = T
    shift = old.mu - new.mu
    moved = first + resp[:, None] * shift
    cross = first[:, :, None] * shift[:, None]
    square = resp[:, None, None] * shift[:, :, None] * shift[:, None]
    return resp, moved, second + cross + cross.transpose(0, 2, 1) + square


@full_precision
def m_step(params, T, min_variance=1e-6):
    """Maximum likelihood from the averages: chapter 1's weighted fit, once for each component.

    pi_k = E[r_k],  mu_k += E[r_k (x - mu_k)] / pi_k,  Sigma_k = E[r_k (x - mu_k)(x - mu_k)'] / pi_k around the new mu_k

    with the eigenvalues of Sigma_k floored as the module says. A component that no example uses keeps its mean and
    covariance, and gets weight zero.

    Args:
        params: GMMParams before the step.
        T: the mean of `statistics` over the examples.
        min_variance: the floor, relative to the covariance of the data.

    Returns:
        GMMParams.

    Source: Bishop (2006), section 9.2.2, (9.24) to (9.27).
    """
    used = T[0] > 0
    count = jnp.where(used, T[0], 1)
    moved = params._replace(mu=params.mu + T[1] / count[:, None])
    resp, _, second = recentre(T, params, moved)
    cov = second / count[:, None, None]
    cov_data = _covariance_of_data(resp, moved.mu, cov)
    cov = jnp.where(used[:, None, None], cov, cov_data)
    scale_tril = _floored_cholesky(cov, cov_data, min_variance) if min_variance else jnp.linalg.cholesky(cov)
    return GMMParams(
        jnp.log(resp) - jnp.log(resp.sum()),
        jnp.where(used[:, None], moved.mu, params.mu),
        jnp.where(used[:, None, None], scale_tril, params.scale_tril),
    )


def _covariance_of_data(share, mu, cov):
    """Within and between components: sum_k pi_k (Sigma_k + a_k a_k'), with a_k from the mean of the data to mu_k."""
    share = share / share.sum()
    away = mu - mu[share.argmax()][None]  # from the largest component, so that a large mean costs no digits
    away = away - (share @ away)[None]
    return jnp.einsum("k,kij->ij", share, cov + away[:, :, None] * away[:, None])


@jax.jit  # or each eager call would compile the branches anew
def _floored_cholesky(cov, cov_data, floor):
    """Cholesky factors of (K, D, D) covariances, eigenvalues raised to `floor`, relative to `cov_data`."""
    scale = jnp.linalg.cholesky(cov_data)
    whiten = partial(solve_triangular, scale, lower=True)
    white = jax.vmap(lambda c: whiten(whiten(c).T))(cov)
    eye = jnp.eye(len(scale), dtype=cov.dtype)

    def raise_eigenvalues():
        values, vectors = jnp.linalg.eigh(white)
        root = vectors * jnp.sqrt(jnp.maximum(values, floor))[:, None, :]
        factor = jnp.linalg.qr(root.transpose(0, 2, 1), mode="r").transpose(0, 2, 1)  # squares would round the floor
        return scale @ (factor * jnp.where(jnp.diagonal(factor, axis1=1, axis2=2) < 0, -1, 1)[:, None])

    above = jnp.isfinite(jnp.linalg.cholesky(white - floor * eye[None])).all()  # a NaN says: some eigenvalue is below
    return jax.lax.cond(above, lambda: jnp.linalg.cholesky(cov), raise_eigenvalues)


def make_gmm(min_variance=1e-6):
    """The mixture as a `LatentModel`, with a floor under its variances. The same floor gives the same object.

    Args:
        min_variance: no direction of a component has less than this share of the data's variance in that direction;
            0 removes the guard.
    """
    doors.check_number("min_variance", min_variance, lambda v: 0 <= v < 1, "a share of the data's variance, below 1")
    return _make_gmm(float(min_variance))


@cache
def _make_gmm(min_variance):
    step = partial(m_step, min_variance=min_variance)
    fast = FastEStep(gmm_fast.prepare, gmm_fast.e_step, replaces=(log_joint, posterior, statistics))
    return LatentModel(log_joint, posterior, statistics, step, recentre, fast, check)


GMM = make_gmm()


def _spread(xs):
    """Standard deviations (D,), and the Cholesky factor (D, D) of the covariance. ValueError unless it has full rank.

    What the rounding of the entries alone would spread into a further direction counts for none.
    """
    center = xs.mean(0, dtype=float)
    cov = sum((part - center).T @ (part - center) for part in blocks(xs)) / len(xs)
    sd = np.sqrt(np.diagonal(cov))
    kind = np.finfo(jax.dtypes.canonicalize_dtype(xs.dtype))
    rounding = kind.eps * np.maximum(np.abs(xs.max(0)), np.abs(xs.min(0)))
    if (sd <= rounding).any():
        raise ValueError(
            f"feature {int((sd <= rounding).argmax())} is the same in all {len(xs)} examples: drop it; if it differs, "
            f"but not in {kind.dtype}, take off its mean"
        )
    values = np.linalg.eigvalsh(cov / np.outer(sd, sd))
    rank = int((values > max((rounding / sd).max() ** 2, len(xs) * len(cov) * np.finfo(float).eps)).sum())
    if rank < len(cov):
        raise ValueError(
            f"xs {xs.shape} has rank {rank} around its mean: expected {len(cov)}; add examples, or drop features "
            "that are combinations of others"
        )
    if values[0] < 10 * len(cov) * kind.eps or not kind.tiny < sd.min() ** 2 <= sd.max() ** 2 < kind.max:
        raise ValueError(
            f"in {kind.dtype} the features cannot be told from combinations of each other: rescale them, take off "
            "large means, or drop features"
        )
    return sd, jnp.asarray(np.linalg.cholesky(cov).astype(kind.dtype))
