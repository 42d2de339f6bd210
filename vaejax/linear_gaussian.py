"""The linear Gaussian model, with noise in every direction, and what remains of it without noise: PCA.

x = W z + b + e,  z ~ N(0, I) in L dimensions,  e ~ N(0, diag(psi)) in D,  so  x ~ N(b, W W' + diag(psi))

Factor analysis: each feature has its own psi. PPCA, probabilistic principal component analysis: all share one. At
most W W' is determined: W can be rotated, W R with R R' = I. NaN in x marks a missing entry, which is integrated out.

The guard. Features that are functions of each other, such as a column that appears twice, would send their psi to zero
and the likelihood to infinity. So psi is at least NOISE_FLOOR times the variance of the feature (or NOISE_FLOOR^2 times
the average variance, where that is more; in PPCA, as for the feature that varies most). The M-step is exact under that
constraint, and `init` obeys it, so on complete data EM still never lowers the bound.
"""

import warnings
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import cho_solve, solve_triangular

from vaejax.bounds import FastEStep, LatentModel
from vaejax.densities import LOG_2PI
from vaejax.doors import blocks, check_count, check_example, check_fittable, check_key, check_params, check_table
from vaejax.nodes import cubature_nodes
from vaejax.numerics import full_precision
from vaejax.pca import PCAResult, als, mean_and_cov, orient, pca, project, reconstruct, varimax  # noqa: F401  all of PCA is public here

NOISE_FLOOR = 1e-6


class LinearGaussianParams(NamedTuple):
    """Parameters of a linear Gaussian model with L latents and D features."""

    W: Array  # (D, L) loadings
    b: Array  # (D,) mean of x
    log_psi: Array  # (D,) log noise variances; all the same in PPCA


@full_precision
def log_joint(params, x, z):
    """log p(x, z) = log N(z; 0, I) + log N(x; W z + b, diag(psi)), over the observed entries of x (D,). () nats."""
    check_example(x, params.b.size)
    check_example(z, params.W.shape[1], "z")
    missing = jnp.isnan(x)
    error = jnp.where(missing, 0, x) - params.W @ z - params.b
    log_probs = -0.5 * (error**2 / jnp.exp(params.log_psi) + params.log_psi + LOG_2PI)
    return jnp.where(missing, 0, log_probs).sum() - 0.5 * (z @ z + z.size * LOG_2PI)


@full_precision
def posterior_moments(params, x):
    """Mean (L,) and covariance (L, L) of z given the observed entries of x (D,).

    cov = (I + W' Psi^-1 W)^-1,  mean = cov W' Psi^-1 (x - b),  over the observed rows of W

    The same mean is W' (W W' + Psi)^-1 (x - b), with a D x D inverse in place of an L x L one. Where a psi is at its
    floor, I + W' Psi^-1 W loses digits of the small beside the large: up to a hundredth in float32, and all of them, so
    that the result is NaN, where its diagonal passes 2^24. There give doubles.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, section 12.2.4, (12.66) to (12.68).
    """
    check_example(x, params.b.size)
    missing = jnp.isnan(x)
    scaled = jnp.where(missing, 0, jnp.exp(-params.log_psi))[:, None] * params.W  # Psi^-1 W
    eye = jnp.eye(params.W.shape[1], dtype=scaled.dtype)
    chol = jnp.linalg.cholesky(eye + params.W.T @ scaled)
    error = jnp.where(missing, 0, x - params.b)
    solved = cho_solve((chol, True), jnp.column_stack([scaled.T @ error, eye]))
    return solved[:, 0], solved[:, 1:]


def posterior(params, x, key):
    """The exact posterior of z, as 2L cubature nodes, which do for this model all that the integral does."""
    del key
    mean, cov = posterior_moments(params, x)
    return cubature_nodes(mean, jnp.linalg.cholesky(cov))


@full_precision
def log_marginal(params, x):
    """log p(x) = log N(x; b, W W' + diag(psi)) of one complete example x (D,). () nats; NaN where x holds NaN.

    By the Woodbury identity, with M = I + W' Psi^-1 W: after one factorisation for all examples, O(D L) for each.

    log |W W' + Psi| = log |M| + sum_d log psi_d
    (x - b)' (W W' + Psi)^-1 (x - b) = sum_d e_d^2 / psi_d + z' z,  with z = E[z | x] and e = x - b - W z

    Source: derived in chapter 4; the Woodbury identity is in Bishop (2006), appendix C.
    """
    check_example(x, params.b.size)
    B, _, log_det = _posterior_map(params)
    z = B @ (x - params.b)
    error = x - params.b - params.W @ z
    return -0.5 * (error @ (error * jnp.exp(-params.log_psi)) + z @ z + log_det + x.size * LOG_2PI)


@full_precision
def sample(params, key, num_samples):
    """Draw z, then x. Returns xs (num_samples, D), zs (num_samples, L)."""
    check_key(key)
    check_count("num_samples", num_samples)
    params = jax.tree.map(jnp.asarray, params)  # doubles of numpy too: in the precision that JAX is set to
    key_z, key_x = jax.random.split(key)
    num_features, num_latents = params.W.shape
    zs = jax.random.normal(key_z, (num_samples, num_latents), params.W.dtype)
    noise = jax.random.normal(key_x, (num_samples, num_features), params.W.dtype)
    return zs @ params.W.T + params.b[None] + noise * jnp.exp(0.5 * params.log_psi)[None], zs


@full_precision
def impute(params, x):
    """x (D,) with its missing entries, NaN, filled in by their conditional mean W E[z | x] + b."""
    expected = params.W @ posterior_moments(params, x)[0] + params.b
    return jnp.where(jnp.isnan(x), expected, x)


def init(xs, num_latents):
    """A start for EM: PPCA in closed form. Missing entries are filled with the mean of their column for this once.

    Args:
        xs: (N, D) floats, NaN where missing; or what `vaejax.prepare` makes of complete ones, which EM can then share
            (not of sharded ones: give it a part of the data).
        num_latents: L. D - 1 latents can fit any covariance: above min(D, N) - 1 a warning says so, and further columns
            of W are zero, and stay so.

    Returns:
        LinearGaussianParams.

    Raises:
        ValueError: bad data, among them a single row, a column never observed, or no variance at all; or L < 1.
    """
    is_prepared = hasattr(xs, "content")
    if not is_prepared:
        check_table(xs, holes=True)
        check_fittable(xs)
    check_count("num_latents", num_latents)
    num_examples, num_features = xs.shape
    if num_features < 2:
        raise ValueError(f"xs has shape {xs.shape}: one feature alone has nothing in common with another; take D > 1")
    most = min(num_features - 1, num_examples - 1)
    if num_latents > most:
        warnings.warn(
            f"{num_latents} latents for {num_features} features and {num_examples} examples: {most} latents can fit "
            "their covariance exactly, so W is not identified; the further columns stay zero",
            stacklevel=2,
        )
    has_holes = not is_prepared and any(np.isnan(block).any() for block in blocks(xs))
    filled = np.where(np.isnan(xs), np.nanmean(xs, 0, dtype=float), xs).astype(xs.dtype) if has_holes else xs
    params = ppca_mle(filled, min(num_latents, most))
    if has_holes:  # filling has taken variance away: the floor is that of what was observed
        floor = _floor_of(jnp.asarray(np.nanvar(xs, 0, dtype=float), params.b.dtype)).max()
        params = params._replace(log_psi=jnp.maximum(params.log_psi, jnp.log(floor)))
    return params._replace(W=jnp.pad(params.W, ((0, 0), (0, max(num_latents - most, 0)))))


def ppca_mle(xs, num_latents):
    """Maximum likelihood for PPCA in closed form, from the eigenvalues of the covariance of xs (N, D).

    psi = the mean of the D - L smallest eigenvalues,  W = the L largest eigenvectors, each times sqrt(eigenvalue - psi)

    Args:
        xs: (N, D) finite floats, N > 1, or what `vaejax.prepare` makes of them.
        num_latents: L, at most min(N, D) - 1.

    Returns:
        LinearGaussianParams with equal noise; the noise has the floor that the module describes.

    Raises:
        ValueError: bad data, or L out of range.

    Source: Tipping and Bishop (1999), Probabilistic Principal Component Analysis; Bishop (2006), section 12.2.1,
    (12.45) and (12.46).
    """
    is_prepared = hasattr(xs, "content")
    if not is_prepared:
        check_table(xs)
    check_count("num_latents", num_latents)
    if num_latents > min(xs.shape) - 1:
        raise ValueError(f"num_latents is {num_latents}, but PPCA on {xs.shape} has at most one less than min(N, D)")
    if is_prepared and (xs.mesh is not None or xs.by is not summarize):
        raise ValueError("xs is sharded, or prepared for another model: expected an array, such as a part, xs[:5000]")
    if is_prepared or xs.shape[0] >= xs.shape[1]:
        _, mean, root = xs.content if is_prepared else summarize(xs)
        variances = (root**2).sum(0)
        psi = variances[num_latents:].mean()
        variances, W = variances[:num_latents], root[:, :num_latents]
        W = orient(W / jnp.sqrt(jnp.where(variances > 0, variances, 1))[None])
        total = (root**2).sum(1)
    else:  # (N, N) inner products in place of a (D, D) covariance
        mean, W, variances = pca(xs, num_latents)
        total = jnp.asarray(xs).var(0)
        psi = (total.sum() - variances.sum()) / (xs.shape[1] - num_latents)
    if not total.max() > 0:
        raise ValueError(f"all {xs.shape[0]} examples are the same, or nearly: rescale xs, or find data that vary")
    psi = jnp.maximum(psi, _floor_of(total).max())
    W = W * jnp.sqrt(jnp.maximum(variances - psi, 0))[None]
    return LinearGaussianParams(W, mean, jnp.full(xs.shape[1], jnp.log(psi), W.dtype))


@full_precision
def statistics(params, x, nodes):
    """What the M-step needs of one completed example: E[y y'], E[e y'] and E[e^2], with y = (z, 1) and e = x - W z - b.

    Shapes (L + 1, L + 1), (D, L + 1), (D,). A missing entry is latent, too: what the present model makes of it has an
    error of mean zero and variance psi.

    Source: Rubin and Thayer (1982), EM algorithms for ML factor analysis, around what the present loadings leave over.
    """
    missing = jnp.isnan(x)
    y = jnp.concatenate([nodes.z, jnp.ones_like(nodes.z[:, :1])], 1)  # (S, L + 1)
    error = jnp.where(missing[None], 0, jnp.where(missing, 0, x - params.b)[None] - nodes.z @ params.W.T)  # (S, D)
    weighted = nodes.weight[:, None] * y
    squares = nodes.weight @ error**2 + jnp.where(missing, jnp.exp(params.log_psi), 0) * nodes.weight.sum()
    return weighted.T @ y, error.T @ weighted, squares


@full_precision
def recentre(T, old, new):
    """The statistics T, with the errors that the model `old` leaves over, with those that `new` leaves over."""
    yy, ey, ee = T
    change = _coefficients(old) - _coefficients(new)  # e_new = e_old + change y
    moved = ey + change @ yy
    return yy, moved, ee + (change * (ey + moved)).sum(1)


@full_precision
def m_step(params, T, shared_noise=False):
    """Maximum likelihood from the averages: regress what is left over on y = (z, 1), and move the coefficients by that.

    [W, b] += E[e y'] E[y y']^-1,  psi = E[e^2] around the new coefficients; for PPCA its average over the features

    Args:
        params: LinearGaussianParams before the step.
        T: the mean of `statistics` over the examples.
        shared_noise: one psi for all features, as in PPCA.

    Returns:
        LinearGaussianParams.

    Source: Rubin and Thayer (1982), EM algorithms for ML factor analysis; Bishop (2006), section 12.2.4.
    """
    yy, ey, _ = T
    step = jnp.linalg.solve(yy, ey.T).T
    moved = params._replace(W=params.W + step[:, :-1], b=params.b + step[:, -1])
    psi = recentre(T, params, moved)[2]
    floor = _floor_of(_variances(params, T))
    if shared_noise:
        psi, floor = jnp.full_like(psi, psi.mean()), jnp.full_like(floor, floor.max())
    return moved._replace(log_psi=jnp.log(jnp.maximum(psi, floor)))


def _coefficients(params):
    return jnp.concatenate([params.W, params.b[:, None]], 1)


def _variances(params, T):
    """Variances (D,) of the features of the completed data, from the averages T."""
    yy, ey, ee = T
    cov_z = yy[:-1, :-1] - jnp.outer(yy[:-1, -1], yy[:-1, -1])
    cov_ez = ey[:, :-1] - jnp.outer(ey[:, -1], yy[:-1, -1])
    return (params.W * (params.W @ cov_z + 2 * cov_ez)).sum(1) + ee - ey[:, -1] ** 2


class Summary(NamedTuple):
    """All that the fast route needs of complete data: D + 1 examples could stand for them."""

    weight: Array  # () the share of all examples that these are
    mean: Array  # (D,)
    root: Array  # (D, D) root root' = the sum of weight (x - mean)(x - mean)'; columns by falling length, orthogonal


@full_precision  # as the engine calls it, so that `ppca_mle` shares its programs
def summarize(xs, weight=None):
    """Mean and a square root of the covariance of complete xs (N, D): EM on them costs the same for any N.

    Where the smallest variance is below a thousandth of the largest, float32 would lose it: then the root is computed
    in float64, on the CPU (not within jit, nor for sharded data: give doubles there).

    Args:
        xs: (N, D) floats without NaN.
        weight: (N,) of the examples, None for 1 / N each.

    Returns:
        Summary.

    Raises:
        ValueError: xs holds NaN or infinity.
    """
    if isinstance(xs, jax.core.Tracer) or weight is not None:
        weight = jnp.full(len(xs), 1 / len(xs), xs.dtype) if weight is None else weight.astype(xs.dtype)
        total = weight.sum()
        mean = weight @ xs / jnp.maximum(total, jnp.finfo(xs.dtype).tiny)
        away = (xs - mean[None]) * jnp.sqrt(weight)[:, None]
        return Summary(total, mean, _root_of(away.T @ away))
    with np.errstate(invalid="ignore", over="ignore"):
        mean, cov = mean_and_cov(xs)
    if not np.isfinite(cov).all():
        if any(np.isnan(block).any() for block in blocks(xs)):
            raise ValueError("xs holds NaN, and the fast route needs complete data: use em(..., fast=False)")
        raise ValueError(f"xs holds entries that are infinite, or whose squares are in {cov.dtype}: rescale xs")
    root = _root_of(cov)
    lengths = np.asarray((root**2).sum(0))
    if lengths[-1] < 1e-3 * lengths[0] and cov.dtype == np.float32:
        center = sum(block.sum(0, dtype=float) for block in blocks(xs)) / len(xs)
        exact = sum((away := block - center).T @ away for block in blocks(xs)) / len(xs)
        values, vectors = np.linalg.eigh(exact)
        root = jnp.asarray((vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1], np.float32)
    return Summary(jnp.ones((), mean.dtype), mean, root)


@jax.jit
@full_precision
def _root_of(cov):
    values, vectors = jnp.linalg.eigh(cov)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0))[None])[:, ::-1]


@full_precision
def fast_e_step(params, summary):
    """The averages of `statistics`, and of log p(x), from a summary: z is linear in x, so D + 1 columns stand for N.

    With X = [root, sqrt(weight) (mean - b)]: Z = B X is the posterior mean of each column, E = X - W Z what is left
    over, and log p sums E^2 / psi and Z^2, squares that cannot cancel.
    """
    weight, mean, root = summary
    X = jnp.concatenate([root, jnp.sqrt(weight) * (mean - params.b)[:, None]], 1)
    B, cov_z, log_det = _posterior_map(params)
    Z = B @ X
    E = X - params.W @ Z
    Y = jnp.concatenate([Z, jnp.zeros_like(Z[:1]).at[0, -1].set(jnp.sqrt(weight))])
    spread = weight * params.W @ cov_z
    yy = (Y @ Y.T).at[:-1, :-1].add(weight * cov_z)
    ey = (E @ Y.T).at[:, :-1].add(-spread)
    ee = (E**2).sum(1) + (spread * params.W).sum(1)
    squares = ((E**2).sum(1) * jnp.exp(-params.log_psi)).sum() + (Z**2).sum()
    return (yy, ey, ee), -0.5 * (squares + weight * (log_det + mean.size * LOG_2PI))


def _posterior_map(params):
    """B (L, D) with E[z | x] = B (x - b), the covariance of z given x (L, L), and log |W W' + Psi|.

    By QR of [Psi^-1/2 W; I], not from I + W' Psi^-1 W, which would square what is small beside what is large.
    """
    scaled = jnp.exp(-0.5 * params.log_psi)[:, None] * params.W
    eye = jnp.eye(params.W.shape[1], dtype=scaled.dtype)
    Q, R = jnp.linalg.qr(jnp.concatenate([scaled, eye]))
    root = solve_triangular(R, eye)
    B = root @ (Q[: len(scaled)].T * jnp.exp(-0.5 * params.log_psi)[None])
    log_det = 2 * jnp.log(jnp.abs(jnp.diagonal(R))).sum() + params.log_psi.sum()
    return B, root @ root.T, log_det


def check(params, xs):
    """ValueError unless params are those of a linear Gaussian model for xs (N, D), which may hold NaN."""
    check_table(xs, holes=True)
    check_params(params, LinearGaussianParams, xs, "DL", "D", "D")
    if not all(np.isfinite(array).all() for array in params):
        raise ValueError("params hold NaN or infinity: expected finite loadings, and noise variances above zero")


FAST = FastEStep(summarize, fast_e_step, replaces=(log_joint, posterior, statistics), is_summary=True)
FACTOR_ANALYSIS = LatentModel(log_joint, posterior, statistics, m_step, recentre, FAST, check)
PPCA = FACTOR_ANALYSIS._replace(m_step=partial(m_step, shared_noise=True))


def _floor_of(variances):
    """The least noise variance of each feature: see the module's guard."""
    return NOISE_FLOOR * jnp.maximum(variances, NOISE_FLOOR * variances.mean())
