"""The parts of the module put together at random, beside NumPy in float64: `make random-use MINUTES=60`.

A case draws a model, its q, a bound, a way to call it, the types and sizes of all arrays, and numbers for them. What
comes back is compared with the formula written out in NumPy, on the same numbers.

The rule for rounding: a unit is what the value moves by where every number that the formula makes on its way is off by
a relative eps of the type in use (and each sum by eps times the sum of the sizes of its terms). The unit is measured,
as the largest move in a few runs of the formula with such errors drawn at random; a value may be LIMIT units off.

`python tests/random_use.py case 17` tries case 17 alone. test_random_use.py tries a few.
"""

import collections
import contextlib
import functools
import os
import sys
import tempfile
import time
import traceback
import warnings

if __name__ == "__main__":  # before JAX counts its devices
    os.environ |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp
from jax.sharding import Mesh

import vaejax as vj
from vaejax import gaussian, gmm, vae
from vaejax import linear_gaussian as lg
from vaejax.densities import log_bernoulli, log_gaussian

LIMIT = 32
RUNS = 6  # of the formula with errors, to measure a unit
LOG_2PI = np.log(2 * np.pi)


# --- formulas in NumPy, each number passed through a rounding ---------------------------------------------------------


class Rounding:
    """Makes numbers off by at most a relative eps; the one with eps = 0 leaves them alone."""

    def __init__(self, dtype=None, seed=0):
        info = dtype and jnp.finfo(dtype)
        self.eps, self.least = (float(info.eps), float(info.tiny)) if info else (0.0, 0.0)
        self.rng = np.random.default_rng(seed)

    def slip(self, size):
        """An error for numbers of that size; of complex numbers, which carry a derivative, one for each part."""
        if not self.eps:
            return 0 * size.real
        if np.iscomplexobj(size):
            return self.slip(size.real) + 1j * self.eps * np.abs(size.imag) * self.rng.uniform(-1, 1, np.shape(size))
        size = np.where(np.isfinite(size), self.eps * np.abs(size) + self.least, 0)
        return size * self.rng.uniform(-1, 1, np.shape(size))

    def __call__(self, array):
        array = np.asarray(array)
        return array + self.slip(array) if self.eps else array


def total(r, terms):
    """Their sum along the last axis."""
    terms = r(terms)
    size = np.abs(terms.real) + (1j * np.abs(terms.imag) if np.iscomplexobj(terms) else 0)
    return terms.sum(-1) + r.slip(np.asarray(size.sum(-1)))


def times(r, A, v):
    """A v for v (..., n)."""
    return total(r, A * v[..., None, :])


def log_sum_exp(r, a, weight=1.0):
    top = np.where(np.isfinite(a.real), a.real, -np.inf).max(-1, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return r(np.log(total(r, weight * r(np.exp(r(a - top)))))) + top[..., 0]


def log_normal(r, x, mean, tril):
    """log N(x; mean, S S'), by forward substitution; a vector S is a diagonal."""
    v = r(x - mean)
    if tril.ndim == 1:
        white, diagonal = r(v / tril), tril
    else:
        white, diagonal = np.zeros(v.shape, np.result_type(v, tril)), np.diagonal(tril)
        for i in range(len(tril)):
            terms = np.concatenate([v[..., i : i + 1], -tril[i, :i] * white[..., :i]], -1)
            white[..., i] = r(total(r, terms) / tril[i, i])
    return total(r, -0.5 * r(white**2) - r(np.log(diagonal)) - 0.5 * LOG_2PI)


def log_normal_of(r, x, mean, cov):
    """The same from the covariance: analytic, so that it takes complex numbers."""
    away, cov = r(x - mean), r(cov)
    terms = -0.5 * r(away * r(np.linalg.solve(cov, away))) - 0.5 * LOG_2PI
    return total(r, np.append(terms, -0.5 * r(np.log(np.linalg.det(r(cov))))))


def log_coins(r, x, logits):
    positive = np.where(logits.real > 0, logits, 0)
    small = np.where(logits.real > 0, -logits, logits)
    return total(r, np.concatenate([r(x * logits), -r(positive + r(np.log1p(r(np.exp(small)))))], -1))


def network(r, layers, x):
    for i, (kernel, bias) in enumerate(layers):
        x = r(times(r, kernel.T, x) + bias)
        if i < len(layers) - 1:
            x = r(x / r(1 + r(np.exp(-x))))
    return x


class Q:
    """Nodes of one kind: as the module makes them, and as NumPy does."""

    KINDS = ("cubature", "quadrature", "grid", "sample", "by hand")

    def __init__(self, rng, num_latents, kinds=KINDS):
        self.kind = rng.choice([k for k in kinds if num_latents <= 3 or k not in ("quadrature", "grid")])
        self.num, self.dim, self.draws = int(rng.integers(1, 5)), num_latents, self.kind == "sample"
        self.idle = rng.random(self.num) < 0.4  # nodes by hand of weight zero, far out
        self.idle[0] = False

    def make(self, mean, tril, key):
        if self.kind == "cubature":
            return vj.cubature_nodes(mean, tril)
        if self.kind == "quadrature":
            return vj.quadrature_nodes(mean, tril, self.num)
        if self.kind == "grid":
            return vj.grid_nodes(
                mean, mean + jnp.diagonal(jnp.atleast_2d(tril)) if tril.ndim > 1 else mean + tril, self.num
            )
        if self.kind == "sample":
            return vj.sample_nodes(key, mean, tril, self.num)
        z = mean[None] + jnp.where(self.idle, jnp.inf, np.arange(self.num))[:, None].astype(mean.dtype)
        weight = jnp.asarray(~self.idle / (~self.idle).sum(), mean.dtype)
        return vj.Nodes(z, weight, jnp.where(self.idle, -jnp.inf, jnp.zeros_like(weight)))

    def reference(self, r, mean, tril, key, dtype):
        """z (S, L), weight (S,), log_q (S,)."""
        L, n = self.dim, self.num
        if self.kind == "by hand":
            used = np.flatnonzero(~self.idle)
            return r(mean + used[:, None]), np.full(len(used), 1 / len(used)), np.zeros(len(used))
        if self.kind == "grid":
            side = tril if tril.ndim == 1 else np.diagonal(tril)
            high = r(mean + side)
            index = np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * L, indexing="ij"), -1).reshape(-1, L)
            size = total(r, np.log(r(high - mean)))
            return r(mean + r(r(high - mean) * index)), np.full(n**L, n**-L * 1.0), np.full(n**L, -size)
        if self.kind == "cubature":
            u = np.sqrt(L) * np.concatenate([np.eye(L), -np.eye(L)])
            weight = np.full(2 * L, 0.5 / L)
        elif self.kind == "quadrature":
            points, weights = np.polynomial.hermite.hermgauss(n)
            u = np.sqrt(2) * np.stack(np.meshgrid(*[points] * L, indexing="ij"), -1).reshape(-1, L)
            weight = np.stack(np.meshgrid(*[weights / np.sqrt(np.pi)] * L, indexing="ij"), -1).reshape(-1, L).prod(1)
        else:
            u = np.asarray(jax.random.normal(key, (n, L), dtype), float)
            weight = np.full(n, 1 / n)
        u = r(u)
        z = r(mean + (r(u * tril) if tril.ndim == 1 else times(r, tril, u)))
        diagonal = tril if tril.ndim == 1 else np.diagonal(tril)
        return z, r(weight), log_normal(r, u, np.zeros(L), np.ones(L)) - total(r, r(np.log(diagonal)))


# --- models: the module's, and a reader's own -------------------------------------------------------------------------


def size(rng, most=4):
    return 1 if rng.random() < 0.3 else int(rng.integers(1, most + 1))


def random_tril(rng, dim):
    return np.tril(0.5 * rng.standard_normal((dim, dim)), -1) + np.diag(np.exp(0.5 * rng.standard_normal(dim)))


class MixtureCase:
    """vaejax.gmm"""

    has_statistics, draws, latents = True, False, None
    types = ("float",)
    model = gmm.GMM

    def __init__(self, rng):
        self.K, self.D = size(rng, 5), size(rng)

    def values(self, rng, num):
        scale = rng.choice([1e-3, 1, 1, 1e3])
        logits = rng.standard_normal(self.K)
        tril = np.stack([random_tril(rng, self.D) for _ in range(self.K)])
        params = gmm.GMMParams(
            logits - np.logaddexp.reduce(logits), 2 * scale * rng.standard_normal((self.K, self.D)), scale * tril
        )
        return params, scale * rng.standard_normal((num, self.D)) * 2

    def joints(self, r, params, x):
        log_pi = r(params.log_pi - log_sum_exp(r, params.log_pi))
        return r(log_pi + np.stack([log_normal(r, x, m, s) for m, s in zip(params.mu, params.scale_tril)]))

    def joint(self, r, params, x, z):
        return self.joints(r, params, x)[z]

    def nodes(self, r, params, x, key, dtype):
        joints = self.joints(r, params, x)
        log_q = r(joints - log_sum_exp(r, joints))
        return np.arange(self.K), r(np.exp(log_q)), log_q

    def log_p(self, r, params, x):
        covs = params.scale_tril @ params.scale_tril.swapaxes(1, 2)
        joints = np.stack([log_normal_of(r, x, m, c) for m, c in zip(params.mu, covs)]) + params.log_pi
        return r(log_sum_exp(r, r(joints)) - log_sum_exp(r, params.log_pi))

    def functions(self):
        exact = lambda r, p, x: log_sum_exp(r, self.joints(r, p, x))
        return {
            "log_prob": (gmm.log_prob, exact),
            "responsibilities": (gmm.responsibilities, lambda r, p, x: self.nodes(r, p, x, None, None)[1]),
        }

    def statistics(self, r, params, x):
        resp = self.nodes(r, params, x, None, None)[1]
        away = r(x - params.mu)
        return resp, r(resp[:, None] * away), r(resp[:, None, None] * r(away[:, :, None] * away[:, None]))

    def m_step(self, r, params, T):
        resp, first, second = T
        shift = r(first / resp[:, None])
        mu = r(params.mu + shift)
        cov = r(r(second / resp[:, None, None]) - r(shift[:, :, None] * shift[:, None]))
        share = resp / resp.sum()
        away = r(mu - share @ mu)
        whole = r(np.einsum("k,kij->ij", share, cov + r(away[:, :, None] * away[:, None])))
        A = np.linalg.cholesky(whole)
        inverse = np.linalg.inv(A)
        values, vectors = np.linalg.eigh(r(inverse @ cov @ inverse.T))
        root = A @ (vectors * np.sqrt(np.maximum(values, 1e-6))[:, None])
        tril = np.linalg.cholesky(root @ root.swapaxes(1, 2)) if (values < 1e-6).any() else np.linalg.cholesky(cov)
        return gmm.GMMParams(r(np.log(share)), mu, r(tril))


class LinearCase:
    """vaejax.linear_gaussian, with holes at times"""

    has_statistics, draws = True, False
    types = ("float",)

    def __init__(self, rng):
        self.D, self.latents = 1 + size(rng, 5), size(rng)
        self.shared, self.holes = bool(rng.random() < 0.5), bool(rng.random() < 0.4)
        self.model = lg.PPCA if self.shared else lg.FACTOR_ANALYSIS

    def values(self, rng, num):
        scale = rng.choice([1e-3, 1, 1, 1e3])
        log_psi = np.log(scale**2) + (rng.standard_normal() if self.shared else rng.standard_normal(self.D))
        params = lg.LinearGaussianParams(
            scale * rng.standard_normal((self.D, self.latents)),
            scale * rng.standard_normal(self.D),
            log_psi + np.zeros(self.D),
        )
        xs = 2 * scale * rng.standard_normal((num, self.D))
        return params, np.where(rng.random(xs.shape) < 0.3, np.nan, xs) if self.holes else xs

    def joint(self, r, params, x, z):
        seen = ~np.isnan(x)
        error = r(r(x[seen] - times(r, params.W[seen], z)) - params.b[seen])
        log_psi = params.log_psi[seen]
        terms = -0.5 * (r(r(error**2) / r(np.exp(log_psi))) + log_psi + LOG_2PI)
        return total(r, np.concatenate([terms, -0.5 * r(z**2) - 0.5 * LOG_2PI], -1))

    def moments(self, r, params, x):
        seen = ~np.isnan(x)
        W = params.W[seen]
        scaled = r(W / r(np.exp(params.log_psi[seen]))[:, None])
        precision = np.eye(self.latents) + times(r, scaled.T, W.T)
        cov = r(np.linalg.inv(r((precision + precision.T) / 2)))
        return times(r, cov, times(r, scaled.T, r(x[seen] - params.b[seen]))), (cov + cov.T) / 2

    def nodes(self, r, params, x, key, dtype):
        mean, cov = self.moments(r, params, x)
        rng = np.random.default_rng(0)
        return CUBATURE(self.latents).reference(r, mean, r(np.linalg.cholesky(cov)), None, dtype)

    def log_p(self, r, params, x):
        seen = ~np.isnan(x)
        W = params.W[seen]
        return log_normal_of(r, x[seen], params.b[seen], W @ W.T + np.diag(np.exp(params.log_psi[seen])))

    def functions(self):
        found = {"posterior_moments": (lg.posterior_moments, lambda r, p, x: self.moments(r, p, x))}
        path = lambda r, p, x: elbo_of(r, self, p, x, self.nodes(r, p, x, None, None))
        return found if self.holes else found | {"log_marginal": (lg.log_marginal, path)}

    def statistics(self, r, params, x):
        seen = ~np.isnan(x)
        mean, cov = self.moments(r, params, x)
        y = np.append(mean, 1)
        yy = r(np.outer(y, y))
        yy[:-1, :-1] += cov
        error = np.where(seen, r(r(np.where(seen, x, 0) - params.b) - times(r, params.W, mean)), 0)
        back = np.where(seen[:, None], times(r, cov, params.W), 0)  # W cov
        ey = r(np.outer(error, y))
        ey[:, :-1] = r(ey[:, :-1] - back)
        ee = r(error**2) + np.where(seen, total(r, back * params.W), np.exp(params.log_psi))
        return yy, ey, ee

    def m_step(self, r, params, T):
        yy, ey, ee = T
        step = r(np.linalg.solve(r(yy), r(ey).T).T)
        psi = r(ee - r((step * ey).sum(1)))
        centre, mean_e = yy[:-1, -1], ey[:, -1]
        cov_z, cov_ez = yy[:-1, :-1] - np.outer(centre, centre), ey[:, :-1] - np.outer(mean_e, centre)
        variance = ((params.W @ cov_z + 2 * cov_ez) * params.W).sum(1) + ee - mean_e**2
        floor = 1e-6 * np.maximum(variance, 1e-6 * variance.mean())
        if self.shared:
            psi, floor = np.full(self.D, psi.mean()), np.full(self.D, floor.max())
        return lg.LinearGaussianParams(
            r(params.W + step[:, :-1]), r(params.b + step[:, -1]), r(np.log(np.maximum(psi, floor)))
        )


def CUBATURE(num_latents):
    return Q(np.random.default_rng(0), num_latents, ("cubature",))


class GaussianCase:
    """vaejax.gaussian, with holes at times"""

    has_statistics, draws = True, False
    types = ("float",)
    model = gaussian.GAUSSIAN

    def __init__(self, rng):
        self.D = self.latents = size(rng)
        self.holes = bool(rng.random() < 0.6)

    def values(self, rng, num):
        scale = rng.choice([1e-2, 1, 1, 1e2])
        xs = 2 * scale * rng.standard_normal((num, self.D))
        xs = np.where(rng.random(xs.shape) < 0.3, np.nan, xs) if self.holes else xs
        return gaussian.GaussianParams(scale * rng.standard_normal(self.D), scale * random_tril(rng, self.D)), xs

    def joint(self, r, params, x, z):
        seen = ~np.isnan(x)
        idle = total(r, np.where(seen, -0.5 * r(z**2) - 0.5 * LOG_2PI, 0))
        return r(log_normal(r, np.where(seen, x, z), *params) + idle)

    def conditional(self, r, params, x):
        seen = ~np.isnan(x)
        cov = total(r, params.scale_tril[:, None] * params.scale_tril[None])
        gain = np.zeros((self.D, self.D))
        gain[np.ix_(~seen, seen)] = r(np.linalg.solve(r(cov[np.ix_(seen, seen)]), r(cov[np.ix_(seen, ~seen)])).T)
        away = np.where(seen, r(np.where(seen, x, 0) - params.mean), 0)
        left = np.where(np.outer(~seen, ~seen), r(cov - times(r, gain, cov).T), 0)
        return np.where(seen, x, r(params.mean + times(r, gain, away))), (left + left.T) / 2

    def nodes(self, r, params, x, key, dtype):
        mean, cov = self.conditional(r, params, x)
        seen = ~np.isnan(x)
        tril = r(np.linalg.cholesky(cov + np.diag(seen * 1.0)))
        return CUBATURE(self.D).reference(r, np.where(seen, 0, mean), tril, None, dtype)

    def log_p(self, r, params, x):
        seen = ~np.isnan(x)
        cov = params.scale_tril @ params.scale_tril.T
        return log_normal_of(r, x[seen], params.mean[seen], cov[np.ix_(seen, seen)])

    def functions(self):
        path = lambda r, p, x: elbo_of(r, self, p, x, self.nodes(r, p, x, None, None))
        return {"log_prob": (gaussian.log_prob, path), "conditional": (gaussian.conditional, self.conditional)}

    def statistics(self, r, params, x):
        mean, cov = self.conditional(r, params, x)
        away = r(mean - params.mean)
        return away, r(cov + r(np.outer(away, away)))

    def m_step(self, r, params, T):
        first, second = T
        cov = r(second - r(np.outer(first, first)))
        return gaussian.GaussianParams(r(params.mean + first), r(np.linalg.cholesky((cov + cov.T) / 2)))


class NetworkCase:
    """vaejax.vae"""

    has_statistics, draws = False, True
    types = ("float", "half", "byte", "bool")

    def __init__(self, rng):
        self.D, self.latents = size(rng, 6), size(rng, 3)
        self.hidden = [(), (3,), (4, 2)][rng.integers(3)]
        self.likelihood = str(rng.choice(["bernoulli", "gaussian"]))
        self.model = vae.make_vae(self.likelihood)
        self.like = vae.init(jax.random.key(0), self.D, self.latents, hidden=self.hidden, likelihood=self.likelihood)

    def values(self, rng, num):
        shapes = jax.tree.map(np.shape, jax.tree.leaves(self.like))
        leaves = [rng.standard_normal(shape) * 0.7 for shape in shapes]
        xs = rng.random((num, self.D))
        return jax.tree.unflatten(jax.tree.structure(self.like), leaves), xs if rng.random() < 0.5 else xs.round()

    def networks(self, params):
        layers = lambda module, *last: [(one.kernel[...], one.bias[...]) for one in (*module.hidden, *last)]
        e, d = params.encoder, params.decoder
        return layers(e, e.mean), layers(e, e.log_scale), layers(d, d.out)

    def joint(self, r, params, x, z):
        f = network(r, self.networks(params)[2], z)
        prior = log_normal(r, z, np.zeros(self.latents), np.ones(self.latents))
        if self.likelihood == "bernoulli":
            return r(prior + log_coins(r, x, f))
        sd = r(np.sqrt(r(1e-4 + r(np.exp(params.log_sigma2)))))
        return r(prior + log_normal(r, x, f, np.full(self.D, sd)))

    def nodes(self, r, params, x, key, dtype):
        mean, log_scale, _ = self.networks(params)
        q = Q(np.random.default_rng(0), self.latents, ("sample",))
        q.num = 1
        return q.reference(r, network(r, mean, x), r(np.exp(network(r, log_scale, x))), key, dtype)

    log_p = None

    def functions(self):
        def decode(r, params, x):
            f = network(r, self.networks(params)[2], network(r, self.networks(params)[0], x))
            return r(1 / r(1 + r(np.exp(-f)))) if self.likelihood == "bernoulli" else f

        return {"reconstruct": (vae.reconstruct, decode)}


class BentCase:
    """a model of a reader's own: x = tanh(W z) + b + e, and a q of any kind"""

    has_statistics = False
    types = ("float", "half", "int")
    log_p = None

    def __init__(self, rng):
        self.D, self.latents = size(rng), size(rng)
        self.q = q = Q(rng, self.latents)
        self.draws, self.diagonal = q.draws, bool(rng.random() < 0.5)

        def log_joint(params, x, z):
            error = jnp.tanh(params["W"] @ z) + params["b"]
            return log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z)) + log_gaussian(x, error, params["sd"])

        def posterior(params, x, key):
            return q.make(params["A"] @ x + params["m"], params["tril"], key)

        self.model = vj.LatentModel(log_joint, posterior)

    def values(self, rng, num):
        D, L = self.D, self.latents
        tril = random_tril(rng, L)
        params = {
            "W": rng.standard_normal((D, L)), "b": rng.standard_normal(D), "sd": np.exp(0.5 * rng.standard_normal(D)),
            "A": 0.3 * rng.standard_normal((L, D)), "m": rng.standard_normal(L), "tril": np.diagonal(tril).copy() if self.diagonal else tril,
        }  # fmt: skip
        return params, 2 * rng.standard_normal((num, D))

    def joint(self, r, params, x, z):
        mean = r(r(np.tanh(times(r, params["W"], z))) + params["b"])
        prior = log_normal(r, z, np.zeros(self.latents), np.ones(self.latents))
        return r(prior + log_normal(r, x, mean, params["sd"]))

    def nodes(self, r, params, x, key, dtype):
        return self.q.reference(r, r(times(r, params["A"], x) + params["m"]), params["tril"], key, dtype)

    def functions(self):
        return {}


class PairCase:
    """a model of a reader's own: a label, then a point, z = (k, u), completed in two steps by `bind`"""

    has_statistics, latents = False, None
    types = ("float", "half")
    log_p = None

    def __init__(self, rng):
        self.K, self.D, self.L = size(rng, 3), size(rng, 3), size(rng, 2)
        self.q = q = Q(rng, self.L, ("cubature", "quadrature", "sample"))
        self.draws = q.draws

        def log_joint(params, x, z):
            k, u = z
            prior = jax.nn.log_softmax(params["logits"])[k] + log_gaussian(u, params["mu"][k], jnp.ones_like(u))
            return prior + log_gaussian(x, params["W"] @ u + params["b"][k], params["sd"])

        def posterior(params, x, key):
            labels = vj.enumerate_nodes(jax.nn.log_softmax(params["C"] @ x))
            given = lambda k, key=None: q.make(params["m"][k] + params["A"] @ x, params["tril"], key)
            return vj.bind(labels, given, key if q.draws else None)

        self.model = vj.LatentModel(log_joint, posterior)

    def values(self, rng, num):
        K, D, L = self.K, self.D, self.L
        shapes = {"logits": (K,), "mu": (K, L), "W": (D, L), "b": (K, D), "C": (K, D), "m": (K, L), "A": (L, D)}
        params = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        params |= {"sd": np.exp(0.5 * rng.standard_normal(D)), "tril": random_tril(rng, L)}
        return params, rng.standard_normal((num, D))

    def joint(self, r, params, x, z):
        k, u = z
        prior = r(params["logits"] - log_sum_exp(r, params["logits"]))[k]
        prior = r(prior + log_normal(r, u, params["mu"][k], np.ones(self.L)))
        return r(prior + log_normal(r, x, r(times(r, params["W"], u) + params["b"][k]), params["sd"]))

    def nodes(self, r, params, x, key, dtype):
        logits = times(r, params["C"], x)
        log_q = r(logits - log_sum_exp(r, logits))
        keys = jax.random.split(key, self.K) if self.q.draws else [None] * self.K
        mean = r(params["m"] + times(r, params["A"], x))
        inner = [self.q.reference(r, mean[k], params["tril"], keys[k], dtype) for k in range(self.K)]
        u, weight, log_u = (np.concatenate(part) for part in zip(*inner))
        each = len(u) // self.K
        k = np.repeat(np.arange(self.K), each)
        return (k, u), r(r(np.exp(log_q))[k] * weight), r(log_q[k] + log_u)

    def functions(self):
        return {}


class CoinsCase:
    """a model of a reader's own, with statistics: kinds of pictures, some of which p forbids"""

    has_statistics, draws, latents = True, False, None
    types = ("float", "half", "byte", "bool", "int")

    def __init__(self, rng):
        self.K, self.D = size(rng), size(rng, 6)
        self.forbidden = np.append(False, rng.random(self.K - 1) < 0.3)
        self.exact = exact = bool(rng.random() < 0.7)  # else q is the same for all examples

        def log_joint(params, x, z):
            return params["log_pi"][z] + log_bernoulli(x, params["logits"][z])

        def posterior(params, x, key):
            del key
            scores = jax.vmap(log_joint, (None, None, 0))(params, x, jnp.arange(len(params["log_pi"])))
            return vj.enumerate_nodes(jax.nn.log_softmax(scores if exact else params["q"]))

        def statistics(params, x, nodes):
            return nodes.weight, jnp.outer(nodes.weight, x)

        def m_step(params, T):
            share, ink = T
            ink = jnp.clip(ink / jnp.where(share > 0, share, 1)[:, None], 0.01, 0.99)
            return params | {"log_pi": jnp.log(share), "logits": jnp.log(ink) - jnp.log1p(-ink)}

        self.model = vj.LatentModel(log_joint, posterior, statistics, m_step)

    def values(self, rng, num):
        log_pi = np.where(self.forbidden, -np.inf, rng.standard_normal(self.K))
        params = {
            "log_pi": log_pi - np.logaddexp.reduce(log_pi),
            "logits": 2 * rng.standard_normal((self.K, self.D)),
            "q": rng.standard_normal(self.K),
        }
        return params, rng.integers(0, 2, (num, self.D)) * 1.0

    def joint(self, r, params, x, z):
        return r(params["log_pi"] + log_coins(r, x, params["logits"]))[z]

    def nodes(self, r, params, x, key, dtype):
        scores = self.joint(r, params, x, np.arange(self.K)) if self.exact else params["q"]
        log_q = r(scores - log_sum_exp(r, scores))
        return np.arange(self.K), r(np.exp(log_q)), log_q

    @property
    def log_p(self):
        return (
            (lambda r, params, x: log_sum_exp(r, self.joint(r, params, x, np.arange(self.K)))) if self.exact else None
        )

    def functions(self):
        return {}

    def statistics(self, r, params, x):
        weight = self.nodes(r, params, x, None, None)[1]
        return weight, r(np.outer(weight, x))

    def m_step(self, r, params, T):
        share, ink = T
        ink = r(np.clip(r(ink / np.where(share > 0, share, 1)[:, None]), 0.01, 0.99))
        with np.errstate(divide="ignore"):
            return params | {"log_pi": r(np.log(share)), "logits": r(r(np.log(ink)) - r(np.log1p(-ink)))}


CASES = (MixtureCase, LinearCase, GaussianCase, NetworkCase, BentCase, PairCase, CoinsCase)


# --- bounds in NumPy --------------------------------------------------------------------------------------------------


def log_weights_of(r, case, params, x, nodes):
    z, weight, log_q = nodes
    return r(case.joint(r, params, x, z) - log_q)


def elbo_of(r, case, params, x, nodes):
    used = nodes[1] != 0
    with np.errstate(invalid="ignore"):
        return total(r, np.where(used, nodes[1] * np.where(used, log_weights_of(r, case, params, x, nodes), 0), 0))


def iw_bound_of(r, case, params, x, nodes):
    used = nodes[1] != 0
    with np.errstate(invalid="ignore"):
        return log_sum_exp(r, np.where(used, log_weights_of(r, case, params, x, nodes), -np.inf), nodes[1])


def upper_bound(log_joint, params, x, nodes):
    """A bound of a reader's own: log E_q[w^2] / 2, never below log p(x)."""
    return 0.5 * logsumexp(
        2 * jnp.where(nodes.weight != 0, vj.log_weights(log_joint, params, x, nodes), -jnp.inf), b=nodes.weight
    )


def upper_bound_of(r, case, params, x, nodes):
    with np.errstate(invalid="ignore"):
        log_w = np.where(nodes[1] != 0, log_weights_of(r, case, params, x, nodes), -np.inf)
    return 0.5 * log_sum_exp(r, 2 * log_w, nodes[1])


BOUNDS = {"elbo": (vj.elbo, elbo_of), "iw_bound": (vj.iw_bound, iw_bound_of), "upper": (upper_bound, upper_bound_of)}


def joined(r, case, params, x, key, num, dtype):
    """The nodes of `num` calls of the posterior, each with a key of its own."""
    if not case.draws or num == 1:
        return case.nodes(r, params, x, key, dtype)
    parts = [case.nodes(r, params, x, k, dtype) for k in jax.random.split(key, num)]
    z, weight, log_q = (jax.tree.map(lambda *leaves: np.concatenate(leaves), *part) for part in zip(*parts))
    return z, weight / num, log_q


# --- ways to call them ------------------------------------------------------------------------------------------------


def bound_of(r, case, params, x, key, num, dtype, name):
    """A bound of one example; where q is the posterior of a closed form they are all log p(x)."""
    if case.log_p is not None:
        return case.log_p(r, params, x)
    return BOUNDS[name][1](r, case, params, x, joined(r, case, params, x, key, num, dtype))


class Use:
    """A case's route: what is called, and the same in NumPy. Both return a tree of arrays."""

    of_examples = False  # is the first axis of what comes back that of the examples?
    num_most = 9  # examples

    def __init__(self, rng, case):
        self.case, self.name = case, str(rng.choice(list(BOUNDS)))
        self.bound = BOUNDS[self.name][0]
        self.num = 1 if rng.random() < 0.25 else int(rng.choice([2, 3, 7, 8, self.num_most]))
        self.samples = int(rng.integers(1, 4)) if case.draws else 1
        self.place = str(rng.choice(["numpy", "jax", "spread", "file"]))
        self.setup(rng)

    def setup(self, rng):
        pass

    def key(self, rng):
        return jax.random.key(int(rng.integers(2**31))) if self.case.draws else None

    def keys(self, key, num=None):
        return [None] * self.num if key is None else list(jax.random.split(key, num or self.num))

    def placed(self, xs, folder):
        if self.place == "jax":
            return jnp.asarray(xs)
        if self.place == "spread":
            devices = jax.devices()[: self.num]
            return vj.shard(xs, Mesh(np.array(devices), ("examples",)))
        if self.place == "file" and xs.dtype != jnp.bfloat16:
            np.save(os.path.join(folder, "xs.npy"), xs)
            return np.load(os.path.join(folder, "xs.npy"), mmap_mode="r")
        return xs

    def text(self):
        return {name: value for name, value in vars(self).items() if name not in ("case", "bound", "run", "seed")}


class OneByOne(Use):
    """A function of one example: as it is, compiled, mapped, or both."""

    of_examples = True

    def setup(self, rng):
        self.place = "jax" if self.place == "spread" else self.place
        q = getattr(self.case, "q", None)
        names = [*BOUNDS, *self.case.functions(), "expect"] + ["log_weights"] * (q is None or q.kind != "by hand")
        self.name = str(rng.choice(names))
        self.way = str(rng.choice(["loop", "jit", "vmap", "jit of vmap"]))
        model = self.case.model

        def f(params, x, key):
            if self.name in self.case.functions():
                return self.case.functions()[self.name][0](params, x)
            nodes = model.posterior(params, x, key)
            if self.name == "expect":
                return vj.expect(lambda z: jax.tree.map(lambda leaf: 1.0 * leaf**2, z), nodes)
            bound = vj.log_weights if self.name == "log_weights" else BOUNDS[self.name][0]
            return bound(model.log_joint, params, x, nodes)

        mapped = jax.vmap(f, (None, 0, 0 if self.case.draws else None))
        one = jax.jit(f) if self.way == "jit" else f
        self.run = {"vmap": mapped, "jit of vmap": jax.jit(mapped)}.get(self.way)
        if self.run is None:
            self.run = lambda params, xs, keys: jax.tree.map(
                lambda *leaves: np.stack(leaves),
                *[one(params, x, k) for x, k in zip(xs, self.keys(None) if keys is None else keys)],
            )

    def call(self, params, xs, key):
        return self.run(params, xs, None if key is None else jax.random.split(key, self.num))

    def reference(self, r, params, xs, key, dtype):
        def of(x, key):
            if self.name in self.case.functions():
                return self.case.functions()[self.name][1](r, params, x)
            nodes = self.case.nodes(r, params, x, key, dtype)
            if self.name == "expect":
                w = nodes[1]
                square = lambda leaf: total(
                    r, np.moveaxis(w.reshape(-1, *[1] * (leaf.ndim - 1)) * r(1.0 * leaf**2), 0, -1)
                )
                return jax.tree.map(square, nodes[0])
            if self.name == "log_weights":
                return log_weights_of(r, self.case, params, x, nodes)
            return BOUNDS[self.name][1](r, self.case, params, x, nodes)

        return jax.tree.map(lambda *leaves: np.stack(leaves), *[of(x, k) for x, k in zip(xs, self.keys(key))])


class MeanBound(Use):
    """`mean_bound` over a table, in chunks, on devices, compiled, for many starts."""

    num_most = 33

    def setup(self, rng):
        self.chunk = [None, None, 1, 3, self.num, self.num + 5][rng.integers(6)]
        self.way = str(rng.choice(["as it is", "jit", "starts"]))
        if self.way != "as it is" and self.place in ("spread", "file"):
            self.place = "jax"

    def mean_bound(self, params, xs, key):
        options = dict(bound=self.bound, num_samples=self.samples, chunk_size=self.chunk)
        return vj.mean_bound(self.case.model, params, xs, key, **options)

    def call(self, params, xs, key):
        if self.way == "starts":
            twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
            return jax.vmap(self.mean_bound, (0, None, None))(twice, xs, key)[1]
        return (jax.jit(self.mean_bound) if self.way == "jit" else self.mean_bound)(params, xs, key)

    def reference(self, r, params, xs, key, dtype):
        each = [
            bound_of(r, self.case, params, x, k, self.samples, dtype, self.name) for x, k in zip(xs, self.keys(key))
        ]
        return total(r, np.stack(each)) / self.num


class Slope(MeanBound):
    """The gradient of `mean_bound` by all parameters, as a slope along one direction."""

    num_most = 9

    def setup(self, rng):
        super().setup(rng)
        self.way, self.seed = "slope", int(rng.integers(2**31))
        self.place = "numpy" if self.place == "file" else self.place

    def direction(self, params):
        rng = np.random.default_rng(self.seed)

        def along(leaf):
            leaf = np.asarray(leaf)
            size = np.abs(leaf[np.isfinite(leaf)]).max(initial=0) or 1.0
            kept = leaf != 0 if leaf.ndim > 1 and leaf.shape[-1] == leaf.shape[-2] else np.isfinite(leaf)
            return np.where(kept, size * rng.standard_normal(leaf.shape), 0)

        return jax.tree.map(along, params)

    def call(self, params, xs, key):
        slopes = jax.grad(self.mean_bound)(params, xs, key)
        pairs = zip(*map(jax.tree.leaves, (slopes, self.direction(params))), strict=True)
        return sum((np.asarray(g, float) * d)[d != 0].sum() for g, d in pairs)

    def reference(self, r, params, xs, key, dtype):
        step = 1e-100
        moved = jax.tree.map(lambda leaf, d: leaf + 1j * step * d, params, self.direction(params))
        return np.asarray(super().reference(r, moved, xs, key, dtype)).imag / step


class LogLikelihood(Use):
    of_examples = True

    def setup(self, rng):
        self.chunk, self.chunks = int(rng.integers(1, 4)), int(rng.integers(1, 4))

    def call(self, params, xs, key):
        options = dict(num_samples=self.chunk * self.chunks, chunk_size=self.chunk)
        return vj.log_likelihood(self.case.model, params, xs, key, **options)

    def reference(self, r, params, xs, key, dtype):
        num_chunks = 1 if key is None else self.chunks

        def part(key):
            return np.stack(
                [
                    bound_of(r, self.case, params, x, k, self.chunk, dtype, "iw_bound")
                    for x, k in zip(xs, self.keys(key))
                ]
            )

        parts = [part(key)] if num_chunks == 1 else [part(k) for k in jax.random.split(key, num_chunks)]
        return r(log_sum_exp(r, np.stack(parts, -1)) - np.log(num_chunks))


class OnGrid(Use):
    of_examples = True

    def setup(self, rng):
        self.points = int(rng.integers(1, 8))
        self.low, self.high = np.float32(rng.random((2, self.case.latents)) * 2 + [[-3], [1]])

    def call(self, params, xs, key):
        types = {np.asarray(leaf).dtype for leaf in jax.tree.leaves(params)} & {np.dtype(float)}
        low, high = (end.astype(*types or [np.float32]) for end in (self.low, self.high))
        return vj.log_likelihood_on_grid(self.case.model, params, xs, low=low, high=high, num_points=self.points)

    def reference(self, r, params, xs, key, dtype):
        low, high = self.low.astype(float), self.high.astype(float)
        axes = [(np.arange(self.points) + 0.5) / self.points] * len(low)
        z = r(low + r((high - low) * r(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(low)))))
        cell = total(r, np.log((high - low) / self.points))
        return np.stack([r(log_sum_exp(r, self.case.joint(r, params, x, z)) + cell) for x in xs])


class EStep(Use):
    num_most = 70

    def setup(self, rng):
        self.ready = self.case.model.fast is not None and not getattr(self.case, "holes", False) and rng.random() < 0.5
        self.way = (
            "as it is" if self.place in ("spread", "file") or self.ready else str(rng.choice(["as it is", "jit"]))
        )
        f = functools.partial(vj.e_step, self.case.model)
        self.run = jax.jit(f) if self.way == "jit" else f

    def call(self, params, xs, key):
        return self.run(params, vj.prepare(self.case.model, xs) if self.ready else xs)

    def reference(self, r, params, xs, key, dtype):
        each = [self.case.statistics(r, params, x) for x in xs]
        T = jax.tree.map(lambda *leaves: total(r, np.stack(leaves, -1) / self.num), *each)
        log_p = [bound_of(r, self.case, params, x, None, 1, dtype, "elbo") for x in xs]
        return T, total(r, np.stack(log_p) / self.num)


class EM(EStep):
    num_most = 40

    def setup(self, rng):
        super().setup(rng)
        self.num = max(self.num, int(rng.integers(4, 12)) + 2 * self.case.D)
        self.steps, self.fast = (
            int(rng.integers(1, 4)),
            bool(rng.random() < 0.5) and not getattr(self.case, "holes", False),
        )

    def call(self, params, xs, key):
        data = vj.prepare(self.case.model, xs) if self.ready and self.fast else xs
        return vj.em(self.case.model, params, data, num_steps=self.steps, fast=self.fast)

    def reference(self, r, params, xs, key, dtype):
        history = []
        for _ in range(self.steps):
            T, bound = super().reference(r, params, xs, key, dtype)
            params = self.case.m_step(r, params, T)
            history.append(bound)
        return params, np.stack(history)


def uses_of(case):
    found = [OneByOne, OneByOne, MeanBound, MeanBound, LogLikelihood]
    if not getattr(case, "forbidden", np.zeros(1)).any():
        found += [Slope]
    if case.latents is not None and case.latents <= 3:
        found += [OnGrid]
    if case.has_statistics:
        found += [EStep]
        if getattr(case, "exact", True):
            found += [EM]
    return found


# --- cases ------------------------------------------------------------------------------------------------------------


class Types:
    """Whether JAX has doubles, and the types of the parameters and of the examples."""

    def __init__(self, rng, case, needs_table):
        self.doubles = bool(rng.random() < 0.5)
        kind = str(rng.choice(case.types))
        floats = [np.float32, np.float64]
        half = [np.float16, jnp.bfloat16][rng.integers(2)]
        self.params = floats[rng.integers(2)]
        self.xs = {
            "byte": np.uint8,
            "bool": np.bool_,
            "half": half,
            "int": [np.int8, np.int32, np.int64][rng.integers(3)],
        }.get(kind)
        if self.xs is None:
            self.xs = self.params if rng.random() < 0.7 else floats[rng.integers(2)]
        elif kind == "half" and rng.random() < 0.6:
            self.params = half

    def of_params(self):
        return jnp.dtype(jax.dtypes.canonicalize_dtype(self.params))

    def finest(self):
        kinds = [
            jnp.dtype(jax.dtypes.canonicalize_dtype(t))
            for t in (self.params, self.xs)
            if jnp.issubdtype(t, jnp.floating)
        ]
        return min(kinds, key=lambda t: jnp.finfo(t).eps)

    def text(self):
        names = [jnp.dtype(t).name for t in (self.params, self.xs)]
        return f"params {names[0]}, xs {names[1]}, {'with' if self.doubles else 'without'} doubles"


def distance(got, exact, noisy, eps, of_examples):
    """The largest distance of any number from the exact one, in units of rounding; NaN where rounding leaves none."""
    axes = tuple(range(1 if of_examples else 0, exact.ndim))
    with np.errstate(invalid="ignore"):
        moves = [np.where(n == exact, 0, np.abs(n - exact)).max(axes, keepdims=True, initial=0) for n in noisy]
    finite = np.isfinite(exact)
    size = np.abs(np.where(finite, exact, 0)).max(axes, keepdims=True, initial=0)
    unit = np.maximum(np.max(moves, 0), eps * size) + np.zeros_like(exact)
    if not np.isfinite(unit[finite]).all() or np.isnan(exact).any():
        return np.nan
    if not (got == exact)[~finite].all():
        return np.inf
    off = np.abs(got - exact)[finite]
    return float(np.nan_to_num(off / np.maximum(unit[finite], 1e-300), nan=np.inf).max(initial=0))


def draw(number):
    """The case of that number: (its numbers, the model, the route, the types)."""
    rng = np.random.default_rng([number, 7])
    case = CASES[rng.integers(len(CASES))](rng)
    kinds = uses_of(case)
    use = kinds[rng.integers(len(kinds))](rng, case)
    return rng, case, use, Types(rng, case, use)


def arguments(rng, case, use, types):
    """Parameters, examples and a key in their types."""
    params, xs = case.values(rng, use.num)
    params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(types.params), params)
    if isinstance(params, dict):  # a log_joint of a reader's own reads them by a tracer, as numpy's arrays cannot be
        params = jax.tree.map(jnp.asarray, params)
    is_float = jnp.issubdtype(types.xs, jnp.floating)
    return params, (xs if is_float else xs.round()).astype(types.xs), use.key(rng)


def as_double(leaf):
    """The number that JAX makes of an entry."""
    return np.asarray(leaf).astype(jax.dtypes.canonicalize_dtype(leaf.dtype)).astype(float)


def compare(use, types, params, xs, key, got):
    """The largest distance of any number that came back, in units of rounding."""
    finest = types.finest()
    rounding = finest if isinstance(use, EM) else types.of_params()
    inputs = *jax.tree.map(as_double, (params, xs)), key, finest
    found = [use.reference(Rounding(dtype, i), *inputs) for i, dtype in enumerate([None, *[rounding] * RUNS])]
    exact, *noisy = map(jax.tree.leaves, found)
    worst = 0.0
    for leaf, true, *off in zip(jax.tree.leaves(got), exact, *noisy, strict=True):
        assert np.shape(leaf) == np.shape(true), f"shape {np.shape(leaf)} came back: expected {np.shape(true)}"
        kind = getattr(leaf, "dtype", finest)
        assert jnp.finfo(kind).eps <= jnp.finfo(finest).eps, f"{kind} came back: expected {finest}"
        worst = max(
            worst, distance(np.asarray(leaf, float), true, off, float(jnp.finfo(rounding).eps), use.of_examples)
        )
    return worst


@contextlib.contextmanager
def surroundings(types):
    """A folder, doubles or none, and no warning."""
    with (
        jax.enable_x64(types.doubles),
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(action="error"),
    ):
        yield folder


def attempt(number, draws=3):
    """What a case is, and its largest distance in units of rounding."""
    rng, case, use, types = draw(number)
    kind = f"{type(use).__name__} of {type(case).__name__.removesuffix('Case')}", types.of_params().name
    worst = 0.0
    with surroundings(types) as folder:
        for _ in range(draws):
            params, xs, key = arguments(rng, case, use, types)
            got = use.call(params, use.placed(xs, folder), key)
            worst = max(worst, compare(use, types, params, xs, key, got))
    return kind, worst


# --- slips ------------------------------------------------------------------------------------------------------------


def with_entry(value):
    def spoil(rng, tree):
        leaves, structure = jax.tree.flatten(tree)
        leaves = [np.array(leaf) for leaf in leaves]
        leaf = leaves[rng.integers(len(leaves))]
        leaf.flat[rng.integers(leaf.size)] = value
        return jax.tree.unflatten(structure, leaves)

    return spoil


def reshaped(change):
    def spoil(rng, tree):
        leaves, structure = jax.tree.flatten(tree)
        at = rng.integers(len(leaves))
        leaves[at] = change(np.asarray(leaves[at]))
        return jax.tree.unflatten(structure, leaves)

    return spoil


ARRAYS = {  # of the examples or of a parameter
    "an axis more": lambda a: a[..., None],
    "an axis less": lambda a: a.reshape(-1)[0],
    "twice as wide": lambda a: np.concatenate([a, a], -1) if a.ndim else np.stack([a, a]),
    "nothing left": lambda a: a[:0] if a.ndim else np.zeros((0,), a.dtype),
    "a list": lambda a: a.tolist() if a.ndim else [a.tolist()],
    "words": lambda a: a.astype(str),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
    "masked": lambda a: np.ma.masked_less(a, 0),
    "dates": lambda a: np.zeros(a.shape, "datetime64[s]"),
    "none": lambda a: None,
}
COUNTS = {"zero": 0, "below zero": -2, "a float": 2.0, "true": True, "a word": "3", "an array": np.array([2])}
KEYS = {
    "none": lambda key: None, "a seed": lambda key: 3, "many": lambda key: jax.random.split(key, 3),
    "floats": lambda key: np.zeros(2, np.float32), "a word": lambda key: "key",
}  # fmt: skip


def slip(number):
    """What a spoiled case is, and what became of it. AssertionError where that is no word from the module."""
    rng, case, use, types = draw(number)
    counts = {MeanBound: ["chunk", "samples"], LogLikelihood: ["chunk"], OnGrid: ["points"], EM: ["steps"]}.get(
        type(use)
    )
    if counts is None:
        return "no door", ""
    use.place, use.way = "numpy", "as it is"
    own = type(case) in (BentCase, PairCase, CoinsCase)
    with surroundings(types):
        params, xs, key = arguments(rng, case, use, types)
        what = str(rng.choice(["xs", "count"] + ["params"] * (not own) + ["key"] * (key is not None)))
        if what == "count":
            name = str(rng.choice(list(COUNTS)))
            setattr(use, str(rng.choice(counts)), COUNTS[name])
        elif what == "key":
            name = str(rng.choice(list(KEYS)))
            key = KEYS[name](key)
        else:
            value = float(rng.choice([np.nan, np.inf, -np.inf]))
            may_be = getattr(case, "holes", False) and what == "xs" and np.isnan(value)
            if rng.random() < 0.4 and jnp.issubdtype(types.xs, jnp.floating) and not may_be:
                name, change = f"an entry {value}", with_entry(value)
            else:
                name = str(rng.choice(list(ARRAYS)))
                change = reshaped(ARRAYS[name])
            if what == "xs":
                xs = change(rng, xs)
            else:
                params = change(rng, params)
        kind = f"{type(use).__name__}, {what}: {name}"
        try:
            got = use.call(params, xs, key)
        except (ValueError, TypeError, FloatingPointError) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            of_reader = own and what == "xs"  # whose log_joint it is that cannot read them
            assert of_reader or "vaejax" in where.filename, (
                f"{kind}: {type(error).__name__} from {where.filename}: {str(error)[:300]}"
            )
            return kind, "told"
        finite = all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(got))
        assert finite, f"{kind}: {got}"
        return kind, f"taken"


def describe(number):
    _, case, use, types = draw(number)
    own = {k: v for k, v in vars(case).items() if isinstance(v, int | bool | str)}
    own |= {"q": f"{case.q.kind} {case.q.num}"} if hasattr(case, "q") else {}
    return f"{type(use).__name__} {use.text()} of {type(case).__name__} {own}, {types.text()}"


def main(minutes, seed, attempt):
    """Cases from `seed` on, until the time is up. Returns how many were at fault."""
    found, faults, number, end = collections.defaultdict(list), 0, seed, time.time() + 60 * minutes
    while time.time() < end:
        try:
            kind, outcome = attempt(number)
            assert isinstance(outcome, str) or not outcome > LIMIT, f"{outcome:.3g} units off, {kind}"
            found[kind].append((outcome, number))
        except Exception as error:
            faults += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(where.filename)}:{where.lineno}"
            print(
                f"case {number}: {type(error).__name__}: {str(error)[:400]} ({place})\n  {describe(number)}", flush=True
            )
        number += 1
        if number % 50 == 0:
            jax.clear_caches()
    for kind in sorted(found):
        outcomes = [outcome for outcome, _ in found[kind]]
        if isinstance(outcomes[0], str):
            print(kind, dict(collections.Counter(outcomes)))
        else:
            worst, at = max(found[kind], key=lambda pair: np.nan_to_num(pair[0]))
            lost = np.isnan(outcomes).sum()
            print(
                f"{kind[0]:24} {kind[1]:9} {len(outcomes):5} cases, at most {worst:6.3g} units (case {at})"
                + f", {lost} without digits" * bool(lost)
            )
    print(f"{number - seed} cases, {faults} at fault")
    return faults


if __name__ == "__main__":
    if sys.argv[1] == "case":
        print(describe(int(sys.argv[2])))
        print(attempt(int(sys.argv[2])))
    elif sys.argv[1] == "slip":
        print(describe(int(sys.argv[2])))
        print(slip(int(sys.argv[2])))
    else:
        minutes, seed, what = [*sys.argv[1:], "0", "uses"][:3] if len(sys.argv) < 4 else sys.argv[1:4]
        sys.exit(bool(main(float(minutes), int(seed), slip if what == "slips" else attempt)))
