"""Models drawn at random, and their formulas in NumPy: what random_use.py holds beside the module.

Each formula takes a `Rounding` and passes every number that it makes through it. With the one that does nothing the
formula is exact, in float64; with others it tells what rounding may do to the value.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

import vaejax as vj
from vaejax import gaussian, gmm, vae
from vaejax import linear_gaussian as lg
from vaejax.densities import log_bernoulli, log_gaussian

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
        size = np.where(np.isfinite(size) & (size != 0), self.eps * np.abs(size) + self.least, 0)
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
        return r(log_pi + np.stack([log_normal(r, x, *of) for of in zip(params.mu, params.scale_tril, strict=True)]))

    def joint(self, r, params, x, z):
        return self.joints(r, params, x)[z]

    def nodes(self, r, params, x, key, dtype):
        joints = self.joints(r, params, x)
        log_q = r(joints - log_sum_exp(r, joints))
        return np.arange(self.K), r(np.exp(log_q)), log_q

    def log_p(self, r, params, x):
        covs = params.scale_tril @ params.scale_tril.swapaxes(1, 2)
        joints = np.stack([log_normal_of(r, x, m, c) for m, c in zip(params.mu, covs, strict=True)]) + params.log_pi
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
        A = r(np.linalg.cholesky((whole + whole.T) / 2))
        inverse = r(np.linalg.inv(A))
        white = r(r(inverse @ cov) @ inverse.T)
        values, vectors = np.linalg.eigh((white + white.swapaxes(1, 2)) / 2)
        root = r(A @ r(vectors * np.sqrt(np.maximum(r(values), 1e-6))[:, None]))
        if (values < 1e-6).any():  # the module squares the root, so that rounding beside the floor counts
            square = r(root @ root.swapaxes(1, 2))
            cov = (square + square.swapaxes(1, 2)) / 2
        tril = np.linalg.cholesky(cov)
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
            "A": 0.3 * rng.standard_normal((L, D)), "m": rng.standard_normal(L),
            "tril": np.diagonal(tril).copy() if self.diagonal else tril,
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
        u, weight, log_u = (np.concatenate(part) for part in zip(*inner, strict=True))
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
    z, weight, log_q = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return z, weight / num, log_q
