"""Random models small enough that scipy knows the answer, and the one tolerance table of the tests."""

import os
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st
from scipy import stats
from scipy.special import logsumexp

import vaejax as vj
from vaejax import densities

IN_FLOAT32 = os.environ.get("VAEJAX_FLOAT32") == "1"  # the same tests as users have it; see conftest.py
TOLERANCE = {np.dtype("float32"): 5e-4, np.dtype("float64"): 5e-7}

seeds = st.integers(0, 2**32 - 1)

# Compiled once for each shape: a test that asks many times spends its time on numbers, not on single operations.
elbo, iw_bound, log_weights = (jax.jit(f, static_argnums=0) for f in (vj.elbo, vj.iw_bound, vj.log_weights))


def assert_close(got, expected, atol=None):
    """Equal up to `atol`, by default the table's value for the less precise of the two, relative above one."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"shapes {got.shape} and {expected.shape}"
    table = max(TOLERANCE.get(a.dtype, 5e-7) for a in (got, expected))
    if atol is None or IN_FLOAT32:
        atol = max(atol or 0, table)
    np.testing.assert_allclose(got, expected, rtol=atol, atol=atol)


def random_tril(rng, dim):
    """A lower triangular factor with condition below about 1e3."""
    return np.tril(0.5 * rng.standard_normal((dim, dim)), -1) + np.diag(np.exp(0.5 * rng.standard_normal(dim)))


class Mixture(NamedTuple):
    """K Gaussians in D dimensions: the posterior is a softmax, log p(x) a log-sum-exp."""

    log_pi: np.ndarray  # (K,)
    mu: np.ndarray  # (K, D)
    scale_tril: np.ndarray  # (K, D, D)

    @staticmethod
    def random(rng, num_components, num_features):
        logits = rng.standard_normal(num_components)
        trils = [random_tril(rng, num_features) for _ in range(num_components)]
        mu = 2 * rng.standard_normal((num_components, num_features))
        return Mixture(logits - logsumexp(logits), mu, np.stack(trils))

    def log_joint_all(self, x):
        """(K,) by scipy."""
        parts = zip(self.log_pi, self.mu, self.scale_tril, strict=True)
        return np.array([lp + stats.multivariate_normal(m, s @ s.T).logpdf(x) for lp, m, s in parts])


def mixture_log_joint(params, x, z):
    log_pi, mu, scale_tril = (jnp.asarray(p) for p in params)
    return log_pi[z] + densities.log_gaussian(x, mu[z], scale_tril[z])


class Linear(NamedTuple):
    """x = W z + b + e, z ~ N(0, I), e ~ N(0, diag psi): posterior and marginal are Gaussian."""

    W: np.ndarray  # (D, L)
    b: np.ndarray  # (D,)
    psi: np.ndarray  # (D,)

    @staticmethod
    def random(rng, num_features, num_latents):
        psi = np.exp(0.5 * rng.standard_normal(num_features))
        return Linear(rng.standard_normal((num_features, num_latents)), rng.standard_normal(num_features), psi)

    def log_marginal(self, x):
        return stats.multivariate_normal(self.b, self.W @ self.W.T + np.diag(self.psi)).logpdf(x)

    def posterior(self, x):
        """Mean and covariance."""
        cov = np.linalg.inv(np.eye(self.W.shape[1]) + self.W.T @ (self.W / self.psi[:, None]))
        return cov @ self.W.T @ ((x - self.b) / self.psi), cov

    def expected_log_joint(self, x, mean, cov):
        """E_q[log p(x, z)] for q = N(mean, cov): a quadratic has a closed form."""
        residual = x - self.b - self.W @ mean
        spread = np.einsum("dl,lm,dm->d", self.W, cov, self.W)
        log_lik = -0.5 * ((residual**2 + spread) / self.psi + np.log(2 * np.pi * self.psi)).sum()
        return log_lik - 0.5 * (mean @ mean + np.trace(cov) + len(mean) * np.log(2 * np.pi))


def linear_log_joint(params, x, z):
    W, b, psi = (jnp.asarray(p) for p in params)
    prior = densities.log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z))
    return prior + densities.log_gaussian(x, W @ z + b, jnp.sqrt(psi))


def linear_posterior(params, x, key):
    """The exact posterior, in jax, as cubature nodes."""
    del key
    W, b, psi = (jnp.asarray(p) for p in params)
    precision = jnp.eye(W.shape[1]) + W.T @ (W / psi[:, None])
    cov = jnp.linalg.inv(precision)
    return vj.cubature_nodes(cov @ W.T @ ((x - b) / psi), jnp.linalg.cholesky(cov))


LINEAR = vj.LatentModel(linear_log_joint, linear_posterior)


def bent_log_joint(params, x, z):
    """x = (z, z^2 / 2) + noise in the plane: a posterior that is no Gaussian."""
    prior = densities.log_gaussian(z, jnp.zeros(1), jnp.ones(1))
    return prior + densities.log_gaussian(x, jnp.stack([z[0], 0.5 * z[0] ** 2]), params * jnp.ones(2))


# One Gaussian, nothing missing: chapter 1 as a LatentModel.
def gaussian_log_joint(params, x, z):
    del z
    return densities.log_gaussian(x, *params)


def gaussian_statistics(params, x, nodes):
    del params
    return nodes.weight.sum() * x, nodes.weight.sum() * jnp.outer(x, x)


def gaussian_m_step(params, T):
    del params
    mean, second = T
    return mean, jnp.linalg.cholesky(second - jnp.outer(mean, mean))


def observed_posterior(params, x, key):
    del params, x, key
    return vj.observed()


ONE_GAUSSIAN = vj.LatentModel(gaussian_log_joint, observed_posterior, gaussian_statistics, gaussian_m_step)


def mean_log_gaussian(params, data, key):
    """An objective for `maximize`: params are (mean, log standard deviations)."""
    del key
    mean, log_sd = params
    return jax.vmap(lambda x: densities.log_gaussian(x, mean, jnp.exp(log_sd)))(data).mean()
