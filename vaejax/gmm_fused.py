"""The E-step and the M-step of a mixture in one pass over the data: `vaejax.gmm`, fast.

First the data are whitened, y = A^-1 (x - center), so that squares lose few digits. The log of a Gaussian is linear in
the P features phi(y) = [1, y_i, y_i y_j (i <= j)]. So with the features of a chunk of examples in Phi (P, CHUNK), and
the coefficients in Theta (K, P), the logits of all components are one matrix product, Theta Phi; and the sums that the
M-step needs are another one, R Phi', with the responsibilities R (K, CHUNK). Chunks are small enough for the cache.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.linalg import solve_triangular

from vaejax.densities import LOG_2PI, log_det_tril
from vaejax.doors import count_examples
from vaejax.pca import mean_and_cov
from vaejax.sharding import by_device, drop_padding, is_mapped, spread_as

CHUNK = 512  # examples that the step looks at together
BUDGET = 2**29  # bytes of features that may be stored; beyond, the step builds them as it goes
PART = 2**22  # bytes of a mapped file that are read together


class Summary(NamedTuple):
    """What the step needs of the data: whitened examples y = A^-1 (x - center), in chunks, padded with zeros.

    Each of G devices, mostly one, has C chunks.
    """

    num_examples: Array  # () N; in a part of the data, too, that of all
    center: Array  # (D,) mean of the data
    scale: Array  # (D, D) Cholesky factor A of their covariance
    mask: Array  # (C, G, CHUNK) 1 for an example, 0 for padding
    chunks: Array  # (C, G, P, CHUNK) features of y where they fit into BUDGET, else (C, G, D, CHUNK) y itself


class Parts:
    """The summary of a file that memory need not hold: a `Summary` of each part, read when its turn comes."""

    def __init__(self, xs):
        self.xs = xs
        self.center, cov = mean_and_cov(xs)
        self.scale = jnp.linalg.cholesky(cov)

    def __iter__(self):
        num_examples, dim = self.xs.shape
        num_chunks = PART // (dim * self.scale.dtype.itemsize * CHUNK)
        size = CHUNK * min(max(num_chunks, 1), -(-num_examples // CHUNK))
        for start in range(0, num_examples, size):
            rows = np.asarray(self.xs[start : start + size], self.scale.dtype)
            table = np.pad(rows, ((0, size - len(rows)), (0, 0)))  # all parts of one shape: one program
            yield _part(table, len(rows), float(num_examples), self.center, self.scale)


def summarize(xs):
    """Whiten the data and lay them out in chunks for `em_step`.

    Args:
        xs: (N, D); or what `vaejax.shard` makes of it; or a table mapped from a file, `np.load(path, mmap_mode="r")`.

    Returns:
        Summary; of a mapped table `Parts`, each a Summary, whose `statistics` are to be added up.
    """
    if is_mapped(xs):
        return Parts(xs)
    table, num_devices = by_device(xs)
    stored = len(table) // num_devices * _num_features(table.shape[1]) * table.dtype.itemsize <= BUDGET
    return _summarize(xs, stored)


@partial(jax.jit, static_argnames="stored")
def _summarize(xs, stored):
    center, scale = center_and_scale(drop_padding(xs))
    laid_out = _lay_out(*by_device(xs), count_examples(xs), center, scale, stored)
    return Summary(jnp.asarray(count_examples(xs), center.dtype), center, scale, *spread_as(xs, laid_out, axis=1))


@jax.jit
def _part(table, num_rows, num_examples, center, scale):
    num_examples = jnp.asarray(num_examples, center.dtype)
    return Summary(num_examples, center, scale, *_lay_out(table, 1, num_rows, center, scale, stored=False))


def _lay_out(table, num_devices, num_rows, center, scale, stored):
    """Mask and chunks of `Summary`, of which the first `num_rows` rows of the table are examples."""
    parts = table.reshape(num_devices, -1, table.shape[1])
    num_chunks = -(-parts.shape[1] // CHUNK)

    def lay_out(part, is_example):
        white = solve_triangular(scale, (part - center[None]).T, lower=True)
        unused = num_chunks * CHUNK - white.shape[1]
        chunks = jnp.pad(white, ((0, 0), (0, unused))).reshape(-1, num_chunks, CHUNK).transpose(1, 0, 2)
        return jnp.pad(is_example, (0, unused)).reshape(num_chunks, CHUNK), chunks

    is_example = (jnp.arange(len(table)) < num_rows).astype(table.dtype).reshape(num_devices, -1)
    mask, chunks = jax.vmap(lay_out, out_axes=1)(parts, is_example)
    return mask, jax.vmap(jax.vmap(_features))(chunks) if stored else chunks


def statistics(params, summary):
    """The E-step: expected sufficient statistics of these examples, R Phi', and the sum of log p(x). (K P + 1,)

    A sum over examples: those of two parts of the data add up to those of both.
    """
    _, center, scale, mask, chunks = summary
    dim, num_components, num_features = center.size, params.log_pi.size, _num_features(center.size)
    build = _features if chunks.shape[2] == dim else (lambda features: features)
    theta = _theta(params, center, scale)

    def add_chunk(total, chunk):
        feats, valid = build(chunk[0]), chunk[1]
        logits = theta @ feats  # (K, CHUNK)
        top = logits.max(0, keepdims=True)
        unnormalised = jnp.exp(logits - top)
        mass = unnormalised.sum(0, keepdims=True)
        resp = unnormalised * (valid[None] / mass)
        log_p = (top + jnp.log(mass))[0]
        return (total[0] + resp @ feats.T, total[1] + log_p @ valid), None

    def on_one_device(chunks, mask):
        kind = jnp.result_type(theta, chunks)
        zero = jnp.zeros((num_components, num_features), kind), jnp.zeros((), kind)
        (sums, log_p), _ = jax.lax.scan(add_chunk, zero, (chunks, mask))
        return jnp.append(sums.ravel(), log_p)  # one array, so that devices need to talk but once

    if chunks.shape[1] == 1:
        return on_one_device(chunks[:, 0], mask[:, 0])
    return jax.vmap(on_one_device, in_axes=1)(chunks, mask).sum(0)


def em_step(params, summary, total=None, *, min_variance=1e-6):
    """E-step and M-step in one pass over the data, two matrix products a chunk and never an (N, K, D) array.

    Args:
        params: GMMParams.
        summary: from `summarize`.
        total: the `statistics` of all parts of the data, where `summary` is that of one of them.
        min_variance: the floor, relative to the covariance of the data.

    Returns:
        (params, bound): after the step, and the mean log likelihood before it, () nats per example.
    """
    num_examples, center, scale, *_ = summary
    total = statistics(params, summary) if total is None else total
    dim = center.size
    sums, log_p = total[:-1].reshape(params.log_pi.size, -1), total[-1]
    num = sums[:, 0]
    moments = sums / jnp.where(num > 0, num, 1)[:, None]
    mean = moments[:, 1 : dim + 1]
    upper = np.triu_indices(dim)
    second = jnp.zeros((len(mean), dim, dim), mean.dtype).at[:, upper[0], upper[1]].set(moments[:, dim + 1 :])
    second = second + jnp.triu(second, 1).transpose(0, 2, 1)
    white = floored_cholesky(second - mean[:, :, None] * mean[:, None, :], min_variance)
    mu = center[None] + mean @ scale.T
    params = keep_unused(params, num, num_examples, mu, jnp.einsum("ij,kjl->kil", scale, white))
    return params, log_p / num_examples


def center_and_scale(xs):
    """Mean (D,) of the data, and Cholesky factor (D, D) of their covariance."""
    center = xs.mean(0)
    away = xs - center[None]
    return center, jnp.linalg.cholesky(away.T @ away / len(xs))


def floored_cholesky(cov, floor):
    """Cholesky factors of (K, D, D) covariances whose eigenvalues are raised to `floor` where they lie below."""
    eye = jnp.eye(cov.shape[-1], dtype=cov.dtype)

    def raise_eigenvalues(cov):
        values, vectors = jnp.linalg.eigh(cov)
        root = vectors * jnp.sqrt(jnp.maximum(values, floor))[:, None, :]
        return jnp.linalg.cholesky(root @ root.transpose(0, 2, 1))

    above = jnp.isfinite(jnp.linalg.cholesky(cov - floor * eye[None])).all()  # a NaN says: some eigenvalue is below
    return jax.lax.cond(above, jnp.linalg.cholesky, raise_eigenvalues, cov)


def keep_unused(params, num, num_examples, mu, scale_tril):
    """A component that no example uses is as good anywhere: leave it where it was."""
    used = num > 0
    return params._replace(
        log_pi=jnp.log(num / num_examples),
        mu=jnp.where(used[:, None], mu, params.mu),
        scale_tril=jnp.where(used[:, None, None], scale_tril, params.scale_tril),
    )


def _num_features(dim):
    return 1 + dim + dim * (dim + 1) // 2


def _features(y):
    """phi of the columns of y (D, M): [1, y_i, y_i y_j for i <= j], (P, M)."""
    i, j = np.triu_indices(len(y))
    return jnp.concatenate([jnp.ones_like(y[:1]), y, y[i] * y[j]])


def _theta(params, center, scale):
    """(K, P): log pi_k + log N(x; mu_k, S_k S_k') as a linear function of the features of y = scale^-1 (x - center)."""
    dim = center.size
    i, j = np.triu_indices(dim)
    pair = -jnp.where(i == j, 0.5, 1.0).astype(scale.dtype)

    def row(log_pi, mu, scale_tril):
        mean = solve_triangular(scale, mu - center, lower=True)
        white = solve_triangular(scale, scale_tril, lower=True)
        inverse = solve_triangular(white, jnp.eye(dim, dtype=scale.dtype), lower=True)
        white_mean = inverse @ mean
        log_norm = 0.5 * dim * LOG_2PI + log_det_tril(white) + log_det_tril(scale)
        constant = log_pi - 0.5 * (white_mean @ white_mean) - log_norm
        return jnp.concatenate([constant[None], inverse.T @ white_mean, pair * (inverse.T @ inverse)[i, j]])

    return jax.vmap(row)(*params)
