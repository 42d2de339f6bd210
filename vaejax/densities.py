"""Log densities and Kullback-Leibler divergences, in nats.

Each function scores one example; `jax.vmap` scores many. Shapes are checked. Values are not, as these functions run
inside `jit`, where none can be looked at; but a covariance in the place of its factor is refused where it is seen.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from vaejax.doors import as_float, check_lower

LOG_2PI = math.log(2 * math.pi)


def check_gaussian(mean, scale_tril):
    """ValueError unless `mean` is (D,), D >= 1, and `scale_tril` lower triangular (D, D), or (D,) for a diagonal."""
    mean_shape, scale_shape = np.shape(mean), np.shape(scale_tril)
    if len(mean_shape) != 1 or mean_shape == (0,):
        raise ValueError(
            f"mean has shape {mean_shape}, but one example is a vector of shape (D,): use jax.vmap for a batch, "
            "and jnp.atleast_1d for a single number"
        )
    if scale_shape not in (mean_shape, mean_shape * 2):
        raise ValueError(
            f"scale_tril has shape {scale_shape} beside a mean of shape {mean_shape}: expected {mean_shape * 2}, a "
            f"lower triangular Cholesky factor, or {mean_shape}, the standard deviations of a diagonal Gaussian"
        )
    if len(scale_shape) == 2:
        check_lower(scale_tril)


def log_det_tril(scale_tril):
    """log |S| of a lower triangular S (D, D), or of the diagonal matrix with diagonal S (D,). Returns ()."""
    return jnp.log(scale_tril if scale_tril.ndim == 1 else jnp.diagonal(scale_tril)).sum()


def log_gaussian(x, mean, scale_tril):
    """Log density of a Gaussian with covariance S S', where S is `scale_tril`.

    log N(x; mean, S S') = -|S^-1 (x - mean)|^2 / 2 - log |S| - (D / 2) log(2 pi)

    Args:
        x: (D,) one example.
        mean: (D,).
        scale_tril: (D, D) lower triangular Cholesky factor of the covariance, or (D,) standard deviations of a diagonal
            Gaussian. Its diagonal must be positive: the result is NaN or infinite otherwise.

    Returns:
        () nats.

    Raises:
        ValueError: the shapes do not fit each other.

    Source: Bishop (2006), Pattern Recognition and Machine Learning, section 2.3, the logarithm of (2.43).
    """
    x, mean, scale_tril = as_float(x, mean, scale_tril)
    check_gaussian(mean, scale_tril)
    if x.shape != mean.shape:
        raise ValueError(f"x has shape {x.shape} and mean {mean.shape}: expected one shape (D,); vmap over batches")
    white = _whiten(scale_tril, x - mean)
    return -0.5 * (white**2).sum() - log_det_tril(scale_tril) - 0.5 * x.size * LOG_2PI


def log_bernoulli(x, logits):
    """Log mass of independent Bernoulli pixels, in the form that neither overflows nor rounds to log 0.

    sum_d x_d log pi_d + (1 - x_d) log(1 - pi_d) = sum_d x_d l_d - log(1 + exp(l_d)),  with l = log(pi / (1 - pi))

    Args:
        x: (D,) zeros and ones (or grey values between them).
        logits: (D,) finite.

    Returns:
        () nats.

    Raises:
        ValueError: the shapes differ.

    Source: derived in chapter 1; Bishop (2006), section 2.1, (2.2), for one pixel.
    """
    x, logits = as_float(x, logits)
    if x.shape != logits.shape or x.ndim != 1:
        raise ValueError(f"x has shape {x.shape} and logits {logits.shape}: expected one shape (D,); vmap over batches")
    positive = jnp.where(logits >= 0, logits, 0)  # not maximum: at 0 its slope, 1/2, and that of abs, 1, cancel
    softplus = positive + jnp.log1p(jnp.exp(-jnp.abs(logits)))
    return (x * logits - softplus).sum()


def log_categorical(label, logits):
    """Log mass of one of K classes: logits[label] - logsumexp(logits).

    Args:
        label: () integer in 0..K-1; NaN comes back for any other.
        logits: (K,) unnormalised log probabilities; -inf for an impossible class, whose log mass is then -inf.

    Returns:
        () nats.

    Raises:
        ValueError: wrong rank, or a label that is no integer.

    Source: Bishop (2006), section 2.2, (2.26).
    """
    label = label if isinstance(label, jax.Array) else np.asarray(label)
    (logits,) = as_float(logits)
    if logits.ndim != 1 or label.ndim != 0 or not jnp.issubdtype(label.dtype, jnp.integer):
        raise ValueError(
            f"label is {label.dtype}{label.shape} and logits {logits.shape}: expected one integer () and logits (K,); "
            "vmap over batches"
        )
    is_label = np.arange(logits.size) == label  # by numpy, if it is numpy's: JAX would cut 2^32 + 1 down to 1
    log_probs = jnp.where(is_label, jax.nn.log_softmax(logits), 0)
    return jnp.where(is_label.any(), log_probs.sum(), jnp.nan)


def kl_gaussian(mean_q, scale_tril_q, mean_p, scale_tril_p):
    """KL(q || p) of two Gaussians with covariances S_q S_q' and S_p S_p'.

    (|S_p^-1 S_q|_F^2 + |S_p^-1 (mean_p - mean_q)|^2 - D) / 2 + log |S_p| - log |S_q|

    Args:
        mean_q, mean_p: (D,).
        scale_tril_q, scale_tril_p: (D, D) Cholesky factors or (D,) standard deviations, in any combination.

    Returns:
        () nats, never negative up to rounding.

    Raises:
        ValueError: the shapes do not fit each other.

    Source: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, appendix A, (A.23).
    """
    mean_q, scale_tril_q, mean_p, scale_tril_p = as_float(mean_q, scale_tril_q, mean_p, scale_tril_p)
    check_gaussian(mean_q, scale_tril_q)
    check_gaussian(mean_p, scale_tril_p)
    if mean_q.shape != mean_p.shape:
        raise ValueError(f"mean_q has shape {mean_q.shape} and mean_p {mean_p.shape}: expected the same (D,)")
    if scale_tril_q.ndim != scale_tril_p.ndim:  # one full, one diagonal: write both as matrices
        scale_tril_q, scale_tril_p = (jnp.diag(s) if s.ndim == 1 else s for s in (scale_tril_q, scale_tril_p))
    ratio = _whiten(scale_tril_p, scale_tril_q)
    shift = _whiten(scale_tril_p, mean_p - mean_q)
    quadratic = (ratio**2).sum() + (shift**2).sum() - mean_q.size
    return 0.5 * quadratic + log_det_tril(scale_tril_p) - log_det_tril(scale_tril_q)


def kl_categorical(logits_q, logits_p):
    """KL(q || p) of two categoricals over the same K classes: sum_k q_k (log q_k - log p_k), with 0 log 0 = 0.

    Args:
        logits_q, logits_p: (K,) unnormalised log probabilities; -inf for an impossible class.

    Returns:
        () nats, never negative up to rounding; infinite where q allows a class that p forbids. (A class that q gives
        so little that it rounds to zero counts for nothing.)

    Raises:
        ValueError: the shapes differ.

    Source: Bishop (2006), section 1.6.1, the discrete form of (1.113).
    """
    logits_q, logits_p = as_float(logits_q, logits_p)
    if logits_q.shape != logits_p.shape or logits_q.ndim != 1:
        raise ValueError(f"logits have shapes {logits_q.shape} and {logits_p.shape}: expected one shape (K,)")
    log_q, log_p = jax.nn.log_softmax(logits_q), jax.nn.log_softmax(logits_p)
    q = jnp.exp(log_q)
    log_ratio = jnp.where(q > 0, log_q, 0) - jnp.where(q > 0, log_p, 0)
    return (q * log_ratio).sum()


def _whiten(scale_tril, v):
    """S^-1 v, for v (D,) or, where S is a matrix, (D, M); a diagonal S (D,) divides a diagonal v (D,)."""
    return v / scale_tril if scale_tril.ndim == 1 else solve_triangular(scale_tril, v, lower=True)
