"""The linear Gaussian model, with noise in every direction, and what remains of it without noise: PCA.

x = W z + b + e,  z ~ N(0, I) in L dimensions,  e ~ N(0, diag(psi)) in D,  so  x ~ N(b, W W' + diag(psi))

Factor analysis: each feature has its own psi. PPCA, probabilistic principal component analysis: all share one. Only
W W' is determined: W can be rotated, W R with R R' = I. NaN in x marks a missing entry, which is summed out.

The guard. Features that are functions of each other, such as a column that appears twice, would send their psi to zero
and the likelihood to infinity. So psi is at least NOISE_FLOOR times the variance of the feature (of the average
feature, where a feature is constant; in PPCA, of the feature that varies most). The M-step is exact under that
constraint, and `init` obeys it, so EM still never lowers the bound.
"""

import warnings
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import cho_solve, solve_triangular

from vaejax.bounds import LatentModel
from vaejax.densities import LOG_2PI
from vaejax.doors import blocks, check_count, check_example, check_examples, check_key, count_examples
from vaejax.nodes import cubature_nodes
from vaejax.pca import PCAResult, als, mean_and_cov, pca, pca_of_cov, project, reconstruct, varimax
from vaejax.sharding import Sharded, by_device, drop_padding

__all__ = [
    "FACTOR_ANALYSIS",
    "PPCA",
    "LinearGaussianParams",
    "PCAResult",
    "als",
    "em_step",
    "impute",
    "init",
    "log_joint",
    "log_marginal",
    "mean_log_marginal",
    "m_step",
    "pca",
    "posterior",
    "posterior_moments",
    "ppca_mle",
    "project",
    "reconstruct",
    "sample",
    "summarize",
    "validate",
    "varimax",
]

NOISE_FLOOR = 1e-6


class LinearGaussianParams(NamedTuple):
    """Parameters of a linear Gaussian model with L latents and D features."""

    W: Array  # (D, L) loadings
    b: Array  # (D,) mean of x
    log_psi: Array  # (D,) log noise variances; all the same in PPCA


def log_joint(params, x, z):
    """log p(x, z) = log N(z; 0, I) + log N(x; W z + b, diag(psi)), over the observed entries of x (D,). () nats."""
    check_example(x, params.b.size)
    check_example(z, params.W.shape[1], "z")
    missing = jnp.isnan(x)
    error = jnp.where(missing, 0, x) - params.W @ z - params.b
    log_probs = -0.5 * (error**2 / jnp.exp(params.log_psi) + params.log_psi + LOG_2PI)
    return jnp.where(missing, 0, log_probs).sum() - 0.5 * (z @ z + z.size * LOG_2PI)


def posterior_moments(params, x):
    """Mean (L,) and covariance (L, L) of z given the observed entries of x (D,).

    cov = (I + W' Psi^-1 W)^-1,  mean = cov W' Psi^-1 (x - b),  over the observed rows of W

    The same mean is W' (W W' + Psi)^-1 (x - b), with a D x D inverse in place of an L x L one.

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


def log_marginal(params, x):
    """log p(x) = log N(x; b, W W' + diag(psi)) of one complete example x (D,). () nats; NaN where x holds NaN.

    By the Woodbury identity, with M = I + W' Psi^-1 W: after one factorisation of M (L, L), O(D L) for each example.

    log |W W' + Psi| = log |M| + sum_d log psi_d
    (W W' + Psi)^-1 = Psi^-1 - Psi^-1 W M^-1 W' Psi^-1

    Source: derived in chapter 4; the Woodbury identity is in Bishop (2006), appendix C.
    """
    check_example(x, params.b.size)
    scaled = jnp.exp(-params.log_psi)[:, None] * params.W
    chol = jnp.linalg.cholesky(jnp.eye(params.W.shape[1], dtype=scaled.dtype) + params.W.T @ scaled)
    error = x - params.b
    white = solve_triangular(chol, scaled.T @ error, lower=True)
    log_det = 2 * jnp.log(jnp.diagonal(chol)).sum() + params.log_psi.sum()
    return -0.5 * (error @ (error * jnp.exp(-params.log_psi)) - white @ white + log_det + x.size * LOG_2PI)


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


def impute(params, x):
    """x (D,) with its missing entries, NaN, filled in by their conditional mean W E[z | x] + b."""
    return jnp.where(jnp.isnan(x), params.W @ posterior_moments(params, x)[0] + params.b, x)


def init(xs, num_latents):
    """A start for EM: PPCA in closed form. Missing entries are filled with the mean of their column for this once.

    Args:
        xs: (N, D) floats, NaN where missing; or the `summarize` of complete ones, which EM can then share.
        num_latents: L. D - 1 loadings can fit any covariance: from there on a warning says so, and further columns of
            W are zero, and stay so.

    Returns:
        LinearGaussianParams.
    """
    xs = xs if isinstance(xs, Summary) else _check_table(xs)
    check_count("num_latents", num_latents)
    num_examples, num_features = _shape(xs)
    if num_features < 2:
        raise ValueError(
            f"xs has shape {_shape(xs)}: one feature alone has nothing in common with another; expected D > 1"
        )
    most = min(num_features - 1, num_examples - 1)
    if num_latents > most:
        warnings.warn(
            f"{num_latents} latents for {num_features} features and {num_examples} examples: {most} loadings can fit "
            "their covariance exactly, so W is not identified; the further columns stay zero",
            stacklevel=2,
        )
    has_holes = not isinstance(xs, Summary) and np.isnan(xs).any()
    filled = np.where(np.isnan(xs), np.nanmean(xs, 0, dtype=float), xs).astype(xs.dtype) if has_holes else xs
    params = ppca_mle(filled, min(num_latents, most))
    if has_holes:  # filling has taken variance away: the floor is that of what was observed
        params = params._replace(log_psi=jnp.maximum(params.log_psi, jnp.log(_floor(xs).max())))
    unused = jnp.zeros((num_features, num_latents - min(num_latents, most)), params.W.dtype)
    return params._replace(W=jnp.concatenate([params.W, unused], 1))


def ppca_mle(xs, num_latents):
    """Maximum likelihood for PPCA in closed form, from the eigenvalues of the covariance of xs (N, D).

    psi = the mean of the D - L smallest eigenvalues,  W = the L largest eigenvectors, each times sqrt(eigenvalue - psi)

    Args:
        xs: (N, D) finite floats, N > 1, or their `summarize`.
        num_latents: L, at most min(N, D) - 1.

    Returns:
        LinearGaussianParams with equal noise; the noise has the floor that the module describes.

    Raises:
        ValueError: bad data, or L out of range.

    Source: Tipping and Bishop (1999), Probabilistic Principal Component Analysis; Bishop (2006), section 12.2.1,
    (12.45) and (12.46).
    """
    num_examples, num_features = _shape(xs)
    if isinstance(xs, Summary):
        check_count("num_latents", num_latents)
        params, total = pca_of_cov(xs.mean, xs.cov, min(num_latents, num_features)), jnp.diagonal(xs.cov)
    else:
        params, total = pca(xs, num_latents), jnp.asarray(xs).var(0)
    if num_latents > min(num_examples, num_features) - 1:
        raise ValueError(f"num_latents is {num_latents}, but PPCA on {_shape(xs)} needs one less than min(N, D)")
    psi = (total.sum() - params.variances.sum()) / (num_features - num_latents)
    psi = jnp.maximum(psi, _floor_of(params.mean, total).max())
    W = params.W * jnp.sqrt(jnp.maximum(params.variances - psi, 0))[None]
    return LinearGaussianParams(W, params.mean, jnp.full(num_features, jnp.log(psi), W.dtype))


def m_step(params, xs, nodes, shared_noise=False):
    """Maximum likelihood on the completed data: regress every feature on z, with an intercept, over all completions.

    [W_d, b_d] = (sum_n o_nd E[x_nd y_n']) (sum_n o_nd E[y_n y_n'])^-1  with y = (z, 1)
    psi_d = sum_n o_nd E[(x_nd - W_d z_n - b_d)^2] / sum_n o_nd

    with o_nd = 1 where x_nd was observed, 0 where it is missing; for PPCA psi is the average over all observed entries.

    Args:
        params: LinearGaussianParams before the step.
        xs: (N, D), NaN where missing.
        nodes: Nodes of all examples, leaves with the leading axis N; cubature nodes or samples.
        shared_noise: one psi for all features, as in PPCA.

    Returns:
        LinearGaussianParams.

    Source: Rubin and Thayer (1982), EM algorithms for ML factor analysis; Bishop (2006), section 12.2.4.
    """
    observed = ~jnp.isnan(xs)
    filled = jnp.where(observed, xs - params.b[None], 0)  # around the old b, so that large means cost no digits
    seen = observed.astype(filled.dtype)
    y = jnp.concatenate([nodes.z, jnp.ones_like(nodes.z[..., :1])], -1)  # (N, S, L + 1)
    first = jnp.einsum("ns,nsi->ni", nodes.weight, y)
    second = jnp.einsum("ns,nsi,nsj->nij", nodes.weight, y, y)
    gram = jnp.einsum("nd,nij->dij", seen, second)
    cross = filled.T @ first  # (D, L + 1)
    coef = jnp.linalg.solve(gram, cross[:, :, None])[:, :, 0]
    squares = (filled**2).sum(0) - 2 * (coef * cross).sum(1) + jnp.einsum("di,dij,dj->d", coef, gram, coef)
    return _with_noise(coef[:, :-1], params.b + coef[:, -1], squares, seen.sum(0), _floor(xs), shared_noise)


class Summary(NamedTuple):
    """All that EM needs to know of complete data."""

    num_examples: Array  # ()
    mean: Array  # (D,)
    cov: Array  # (D, D) with 1/N


def summarize(xs):
    """Mean and covariance of xs (N, D): EM on them costs the same for any N. ValueError where xs holds NaN.

    `init`, `ppca_mle` and `vaejax.em` take a summary in place of xs, and so need not look at the data again.
    """
    if isinstance(xs, Summary):
        return xs
    table = by_device(xs)[0]
    is_table = getattr(table, "ndim", 0) == 2 and jnp.issubdtype(table.dtype, jnp.floating)
    if not is_table or table.dtype.itemsize < 4 or count_examples(xs) < 2:
        came = f"{table.dtype}{list(table.shape)}" if hasattr(table, "dtype") else type(table).__name__
        raise ValueError(f"xs is {came}: expected float32 or float64 (N, D), at least two examples")
    with np.errstate(invalid="ignore", over="ignore"):
        mean, cov = _moments_of_sharded(xs) if isinstance(xs, Sharded) else mean_and_cov(xs)
    if not isinstance(cov, jax.core.Tracer) and not jnp.isfinite(cov).all():
        if _has_nan(table):
            raise ValueError("xs holds NaN, and the fused step needs complete data: use em(..., fused=False)")
        raise ValueError(f"xs holds entries that are infinite, or whose squares are in {cov.dtype}: rescale xs")
    return Summary(jnp.asarray(count_examples(xs), mean.dtype), mean, cov)


def _has_nan(table):
    return any(np.isnan(b).any() for b in blocks(table)) if isinstance(table, np.ndarray) else jnp.isnan(table).any()


@jax.jit
def _moments_of_sharded(xs):
    return mean_and_cov(drop_padding(xs))


def em_step(params, summary, shared_noise=False):
    """E-step and M-step on the covariance alone: the moments of z are linear in those of x.

    With B = cov_z W' Psi^-1, z has the posterior mean B (x - b); so over the data cov(x, z) = S B' and
    cov(z) = cov_z + B S B'.

    What a feature does not share with the others is left over from large numbers here. In float32, with noise of a
    thousandth of the variance and less, the bounds of two steps may so differ by 0.01 nats and more in either
    direction: take float64, or `em(..., fused=False)`.

    Args:
        params: LinearGaussianParams.
        summary: from `summarize`.
        shared_noise: one psi for all features, as in PPCA.

    Returns:
        (params, bound): after the step, and the mean log likelihood before it, () nats per example.
    """
    num_examples, mean, cov = summary
    _, B, cov_z = _posterior_map(params)
    shift = mean - params.b
    cross = cov @ B.T  # (D, L)

    W = jnp.linalg.solve(cov_z + B @ cross, cross.T).T
    b = mean - W @ (B @ shift)
    squares = num_examples * (jnp.diagonal(cov) - (W * cross).sum(1))
    counts = jnp.full_like(squares, num_examples)
    floor = _floor_of(mean, jnp.diagonal(cov))
    return _with_noise(W, b, squares, counts, floor, shared_noise), mean_log_marginal(params, summary)


def mean_log_marginal(params, summary):
    """The mean of `log_marginal` over the data that `summarize` has seen. () nats; costs D^2 L, for any N.

    With the error e = x - b and B as in `em_step`, e' (W W' + Psi)^-1 e = e' Psi^-1 e - e' Psi^-1 W B e.
    """
    _, mean, cov = summary
    log_det, B, _ = _posterior_map(params)
    inverse_psi, shift = jnp.exp(-params.log_psi), mean - params.b
    around_b = (jnp.diagonal(cov) + shift**2) @ inverse_psi
    scaled = inverse_psi[:, None] * params.W
    explained = (scaled * (cov @ B.T)).sum() + (scaled.T @ shift) @ (B @ shift)
    return -0.5 * (around_b - explained + log_det + mean.size * LOG_2PI)


def _posterior_map(params):
    """log |W W' + Psi| (), B (L, D) with E[z | x] = B (x - b), and the covariance of z given x (L, L)."""
    num_features, num_latents = params.W.shape
    scaled = jnp.exp(-params.log_psi)[:, None] * params.W
    eye = jnp.eye(num_latents, dtype=scaled.dtype)
    chol = jnp.linalg.cholesky(eye + params.W.T @ scaled)
    solved = cho_solve((chol, True), jnp.concatenate([scaled.T, eye], 1))
    log_det = 2 * jnp.log(jnp.diagonal(chol)).sum() + params.log_psi.sum()
    return log_det, solved[:, :num_features], solved[:, num_features:]


def validate(params, xs):
    """ValueError unless params are those of a linear Gaussian model for xs (N, D), which may hold NaN."""
    num_features = _shape(xs if isinstance(xs, Summary) else _check_table(xs))[1]
    if not isinstance(params, LinearGaussianParams):
        raise ValueError(
            f"params are {type(params).__name__}: expected LinearGaussianParams, as linear_gaussian.init makes them"
        )
    W, b, log_psi = (np.asarray(p) for p in params)
    if W.ndim != 2 or W.shape[0] != num_features or b.shape != (num_features,) or log_psi.shape != (num_features,):
        raise ValueError(
            f"params have shapes {W.shape}, {b.shape}, {log_psi.shape} beside examples of {num_features} features: "
            "expected (D, L), (D,), (D,)"
        )
    if not (np.isfinite(W).all() and np.isfinite(b).all() and np.isfinite(log_psi).all()):
        raise ValueError("params hold NaN or infinity: expected finite loadings, and noise variances above zero")


FACTOR_ANALYSIS = LatentModel(log_joint, posterior, m_step=m_step, check=validate)
PPCA = FACTOR_ANALYSIS._replace(m_step=partial(m_step, shared_noise=True))


def _shape(xs):
    """(N, D) of a table or of its summary."""
    return (int(xs.num_examples), xs.mean.size) if isinstance(xs, Summary) else np.shape(xs)


def _check_table(xs):
    """A table that may hold NaN, but no infinity, no column without an entry, and more than one row."""
    check_examples(xs, as_table=True, allow_nan=True)
    xs = np.asarray(xs)
    if len(xs) < 2:
        raise ValueError(f"xs has shape {xs.shape}: expected (N, D) with at least two examples")
    never = np.all([np.isnan(block).all(0) for block in blocks(xs)], 0)
    if never.any():
        raise ValueError(f"column {int(never.argmax())} was never observed: nothing can be learned about it, drop it")
    return xs


def _floor(xs):
    """The least noise variance of each column of xs (N, D): see the module's guard."""
    return _floor_of(jnp.nanmean(xs, 0), jnp.nanvar(xs, 0))


def _floor_of(means, variances):
    rounding = (8 * jnp.finfo(variances.dtype).eps * means) ** 2  # what the mean of a constant column is off by
    varies = variances > rounding
    average = jnp.where(varies.any(), jnp.where(varies, variances, 0).mean(), 1)
    return NOISE_FLOOR * jnp.where(varies, variances, average)


def _with_noise(W, b, squares, counts, floor, shared_noise):
    """The M-step's noise: mean squared error per feature (D,), or over all features, but no less than the floor."""
    psi = jnp.full_like(squares, squares.sum() / counts.sum()) if shared_noise else squares / counts
    floor = jnp.full_like(psi, floor.max()) if shared_noise else floor
    return LinearGaussianParams(W, b, jnp.log(jnp.maximum(psi, floor)))
