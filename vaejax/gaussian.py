"""One Gaussian from examples with missing entries: NaN marks what is missing.

p(x_obs) = N(x_obs; mean_obs, Sigma_oo): what is missing is integrated out, so it is latent.

z has D coordinates, whatever is missing. Where x is observed, z is idle: N(0, 1) in the joint and in q, so that it
cancels. All examples then have latents of one shape, and `cubature_nodes` fits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import cho_solve

from vaejax.bounds import LatentModel
from vaejax.densities import LOG_2PI, log_gaussian
from vaejax.doors import check_example, check_fittable, check_gaussians, check_params, check_spread, check_table
from vaejax.nodes import cubature_nodes
from vaejax.numerics import full_precision


class GaussianParams(NamedTuple):
    """Parameters of a Gaussian in D dimensions."""

    mean: Array  # (D,)
    scale_tril: Array  # (D, D) lower Cholesky factor of the covariance


def complete(x, z):
    """The example x (D,) with its missing entries, NaN, filled in from z (D,)."""
    return jnp.where(jnp.isnan(x), z, x)


@full_precision
def log_joint(params, x, z):
    """log p(x_obs, z) = log N(complete(x, z); mean, S S') + sum over observed d of log N(z_d; 0, 1). () nats."""
    check_example(x, params.mean.size)
    check_example(z, params.mean.size, "z")
    idle = jnp.where(jnp.isnan(x), 0, -0.5 * (z**2 + LOG_2PI)).sum()
    return log_gaussian(complete(x, z), *params) + idle


@full_precision
def log_prob(params, x):
    """Log density of the observed entries of x (D,): log N(x_obs; mean_obs, Sigma_oo). () nats, 0 if there are none.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, section 2.3.2, (2.98).
    """
    check_example(x, params.mean.size)
    missing = jnp.isnan(x)
    residual, chol = _observed_part(params, x)
    # where x is missing, `chol` has ones and the residual is zero: take back the constant of those standard Gaussians
    return log_gaussian(residual, jnp.zeros_like(residual), chol) + 0.5 * LOG_2PI * missing.sum()


@full_precision
def conditional(params, x):
    """Mean (D,) and covariance (D, D) of the completed example given its observed entries, which have variance zero.

    mean_mis + Sigma_mo Sigma_oo^-1 (x_obs - mean_obs),  Sigma_mm - Sigma_mo Sigma_oo^-1 Sigma_om

    Where the observed entries leave less than 1e-7 of a variance, float32 loses it in the difference: give doubles.

    Source: Bishop (2006), section 2.3.1, (2.81) and (2.82).
    """
    check_example(x, params.mean.size)
    missing = jnp.isnan(x)
    residual, chol = _observed_part(params, x)
    cov = _covariance(params)
    cross = jnp.where(missing[:, None] & ~missing[None], cov, 0)  # (D, D): rows missing, columns observed
    solved = cho_solve((chol, True), jnp.column_stack([residual, cross.T]))  # Sigma_oo^-1 times both, at once
    mean = jnp.where(missing, params.mean + cross @ solved[:, 0], x)
    schur = cov - cross @ solved[:, 1:]
    return mean, jnp.where(missing[:, None] & missing[None], schur, 0)


def impute(params, x):
    """x (D,) with its missing entries filled in by their conditional mean."""
    return conditional(params, x)[0]


def posterior(params, x, key):
    """The exact posterior of z, as 2D cubature nodes: the conditional where x is missing, N(0, 1) elsewhere."""
    del key
    mean, cov = conditional(params, x)
    missing = jnp.isnan(x)
    scale_tril = jnp.linalg.cholesky(cov + jnp.diag((~missing).astype(cov.dtype)))
    return cubature_nodes(jnp.where(missing, mean, 0), scale_tril)


@full_precision
def statistics(params, x, nodes):
    """Mean (D,) and second moment (D, D) of the completed example, around the present mean."""
    away = jax.vmap(complete, (None, 0))(x, nodes.z) - params.mean[None]  # (S, D)
    weighted = nodes.weight[:, None] * away
    return weighted.sum(0), weighted.T @ away


def recentre(T, old, new):
    """The statistics T, a mean over the examples, taken around the mean of `old`, around that of `new`."""
    first, second = T
    shift = old.mean - new.mean
    cross = jnp.outer(first, shift)
    return first + shift, second + cross + cross.T + jnp.outer(shift, shift)


def m_step(params, T):
    """Maximum likelihood from the averages: mean and covariance of all completions, each with its weight.

    mean += E[x - mean],  Sigma = E[(x - mean)(x - mean)'] around the new mean

    Args:
        params: GaussianParams before the step.
        T: the mean of `statistics` over the examples.

    Returns:
        GaussianParams.

    Source: Little and Rubin (2002), Statistical Analysis with Missing Data, 2nd edition, section 11.2.
    """
    moved = params._replace(mean=params.mean + T[0])
    return moved._replace(scale_tril=jnp.linalg.cholesky(recentre(T, params, moved)[1]))


def init(xs):
    """Start EM from the mean and the variance of what was observed in each column. xs (N, D) -> GaussianParams.

    Raises:
        ValueError: xs is no table of numbers, NaN where one is missing; or a column is constant, or all missing.
    """
    check_table(xs, holes=True)
    check_fittable(xs)
    check_spread(xs)
    xs = np.asarray(xs)
    sd = np.nanstd(xs, axis=0, dtype=float).astype(xs.dtype)
    mean = np.nanmean(xs, axis=0, dtype=float).astype(xs.dtype)
    return GaussianParams(jnp.asarray(mean), jnp.diag(jnp.asarray(sd)))


def check(params, xs):
    """ValueError unless params are those of a Gaussian for xs (N, D), which may hold NaN but no infinity."""
    check_table(xs, holes=True)
    check_params(params, GaussianParams, xs, "D", "DD")
    check_gaussians(params.mean, params.scale_tril)


GAUSSIAN = LatentModel(log_joint, posterior, statistics, m_step, recentre, check=check)


def _covariance(params):
    factor = jnp.tril(params.scale_tril)  # no gradient, then, above the diagonal
    return factor @ factor.T


def _observed_part(params, x):
    """x - mean with zeros where x is missing, and the Cholesky factor of Sigma with the missing rows those of I."""
    missing = jnp.isnan(x)
    both = ~missing[:, None] & ~missing[None]
    cov = _covariance(params)
    chol = jnp.linalg.cholesky(jnp.where(both, cov, jnp.eye(x.size, dtype=cov.dtype)))
    return jnp.where(missing, 0, x - params.mean), chol
