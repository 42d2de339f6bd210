"""What the plates of the site should show, by the library: settings come in as JSON, and numbers go out.

`tests/built_plates.py` calls this program, because what has the browser has no JAX. Each function has the name of a
plate and takes its settings; where the page has a formula, this goes another way: nodes, grids, draws.
"""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from scipy import stats

import vaejax as vj
from vaejax import gmm, linear_gaussian, vae
from vaejax.book import data

jax.config.update("jax_enable_x64", True)
XS = jnp.asarray(data.load("old_faithful").xs, float)
IS_LONG = np.asarray(XS[:, 0] > 3)
RULER = gmm.GMMParams(
    jnp.log(jnp.array([(~IS_LONG).mean(), IS_LONG.mean()])),
    jnp.stack([XS[~IS_LONG].mean(0), XS[IS_LONG].mean(0)]),
    jnp.stack([jnp.linalg.cholesky(jnp.cov(XS[kind].T, bias=True)) for kind in (~IS_LONG, IS_LONG)]),
)
A = 0.627 * jnp.array([jnp.cos(0.6 * jnp.pi), jnp.sin(0.6 * jnp.pi)])


def bell(mu, log_sd):
    waits = XS[:, 1]
    nats = norm.logpdf(waits, mu, jnp.exp(log_sd)).mean()
    return {"nats": nats, "best": norm.logpdf(waits, waits.mean(), waits.std()).mean()}


def dial(r):
    gap = XS[jnp.abs(XS - jnp.array([2.9, 63])).sum(1).argmin()]
    log_p = gmm.log_prob(RULER, gap)
    bound = vj.elbo(gmm.log_joint, RULER, gap, vj.enumerate_nodes(jnp.log(jnp.array([1 - r, r]))))
    posterior = gmm.responsibilities(RULER, gap)[1]
    return {"log_p": log_p, "bound": bound, "gap": log_p - bound, "posterior": posterior}


def touch(theta):
    waits = XS[:, 1:]

    def at(t):
        return gmm.GMMParams(RULER.log_pi, jnp.array([[RULER.mu[0, 1]], [t]]), 6.0 * jnp.ones((2, 1, 1)))

    q = jax.vmap(gmm.posterior, (None, 0, None))(at(theta), waits, None)
    bounds = jax.vmap(lambda t: vj.bounds.batch_bound(gmm.GMM, at(t), waits, q))
    line, coarse = jnp.linspace(62, 86, 97), jnp.linspace(60, 90, 301)
    around = coarse[bounds(coarse).argmax()] + jnp.linspace(-0.1, 0.1, 201)
    peak = around[bounds(around).argmax()]
    log_p = jax.vmap(lambda t: jax.vmap(gmm.log_prob, (None, 0))(at(t), waits).mean())
    here, there = log_p(jnp.array([theta, peak]))
    return {"here": here, "there": there, "peak": peak, "log_p": log_p(line), "bound": bounds(line)}


def frames(steps, first, second):
    root = jnp.linalg.cholesky(jnp.cov(XS.T, bias=True))
    xs = jnp.array(sorted(XS.tolist()))
    params = gmm.GMMParams(jnp.log(jnp.ones(2) / 2), xs[jnp.array([first, second])], jnp.stack([root] * 2))
    for _ in range(steps):
        params, _ = vj.em_step(gmm.GMM, params, xs)
    resp = jax.vmap(gmm.responsibilities, (None, 0))(params, xs)[:, 1]
    nats = jax.vmap(gmm.log_prob, (None, 0))(params, xs).mean()
    best = RULER
    for _ in range(60):
        best, bound = vj.em_step(gmm.GMM, best, xs)
    return {"nats": nats, "means": params.mu, "shares": jnp.exp(params.log_pi), "resp": resp, "best": bound}


def line(angle):
    table = data.load("air_quality").xs[:, [1, 0]].astype(float)
    table = table[~np.isnan(table).any(1)]
    table[:, 1] = np.log(table[:, 1])
    xs = (table - table.mean(0)) / table.std(0)
    across = np.array([-np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))])
    lost, r = ((xs @ across) ** 2).mean(), np.corrcoef(xs.T)[0, 1]
    slope = np.tan(np.deg2rad(angle))
    return {"lost": lost, "kept": 2 - lost, "upwards": 1 - 2 * slope * r + slope**2}


def latents(L, which):
    digits = data.load("digits")
    x = digits.test_xs[61 + 100 * which]
    total = digits.train_xs.var(0).sum()
    if L == 0:
        return {"picture": digits.train_xs.mean(0), "lost": ((x - digits.train_xs.mean(0)) ** 2).sum(), "kept": 0}
    fit = linear_gaussian.pca(digits.train_xs, L)
    picture = linear_gaussian.reconstruct(fit, x)
    return {"picture": picture, "lost": ((x - picture) ** 2).sum(), "kept": fit.variances.sum() / total}


def places(x1, x2, noise, tilt):
    W, x, psi = jnp.array([[2.0], [1.0]]), jnp.array([x1, x2]), 10 ** jnp.array([noise - tilt / 2, noise + tilt / 2])
    model = linear_gaussian.LinearGaussianParams(W, jnp.zeros(2), jnp.log(psi))
    mean, cov = linear_gaussian.posterior_moments(model, x)
    peak = np.linalg.lstsq(W / np.sqrt(psi)[:, None], x / np.sqrt(psi), rcond=None)[0]
    foot = np.linalg.pinv(W) @ x
    return {"mean": mean[0], "sd": jnp.sqrt(cov[0, 0]), "peak": peak[0], "foot": foot[0]}


def log_joint(_, x, z):
    u = norm.cdf(z[0])
    f = (0.2 + 0.8 * u) * jnp.stack([jnp.cos(3 * jnp.pi * u), jnp.sin(3 * jnp.pi * u)])
    return norm.logpdf(z).sum() + norm.logpdf(x, f, 0.1).sum()


def humps(x1, x2):
    x, nodes = jnp.array([x1, x2]), vj.grid_nodes(jnp.full(1, -6.0), jnp.full(1, 6.0), 3000)
    weight = jax.nn.softmax(vj.log_weights(log_joint, None, x, nodes))
    return {"log_p": vj.iw_bound(log_joint, None, x, nodes), "left": weight @ (nodes.z[:, 0] < 0)}


def draws(log_S, mu, sd):
    """One draw and two by sums over a grid; S by 4,000 tries, with the standard error that chance leaves."""
    at, width = jnp.full(1, mu), jnp.full(1, sd)
    grid = mu + sd * jnp.linspace(-7, 7, 1501)
    q = jax.nn.softmax(norm.logpdf(grid, mu, sd))
    log_w = jax.vmap(lambda z: log_joint(None, A, z[None]))(grid) - norm.logpdf(grid, mu, sd)
    two = q @ (jnp.logaddexp(log_w[:, None], log_w) - jnp.log(2)) @ q
    tries = jax.lax.map(
        lambda key: vj.iw_bound(log_joint, None, A, vj.sample_nodes(key, at, width, round(10**log_S))),
        jax.random.split(jax.random.key(0), 4000),
    )
    return {"bounds": [q @ log_w, two], "bound": tries.mean(), "chance": tries.std() / 4000**0.5}


def rungs(k, place, z):
    M = 2**k
    m = 1 + int(np.floor(place * (M - 1) + 0.5))
    steps = [step_back(each, M, z) for each in range(1, M + 1)]
    return {"m": m, "kl": steps[m - 1][0], "model": steps[m - 1][1], "kls": [kl for kl, _ in steps]}


LONG = vj.load(
    data.path("digits_vae.npz"),
    {name: vae.init(jax.random.key(0), 784, L, hidden=(200, 200)) for name, L in (("map", 2), ("many", 50))},
)["map"]


def digit(z1, z2):
    return {"picture": vae.decode(LONG, jnp.array([z1, z2])), "beyond": stats.chi2.sf(z1**2 + z2**2, 2)}


def guess(which, right, up, wide):
    """log p(x) by a finer and wider grid, and the bound by more nodes."""
    greys = data.load("digits").test_xs[[61, 173, 261, 361, 461, 561, 661, 761]]
    x = (np.random.default_rng(0).random(greys.shape) < greys)[which].astype(np.float32)
    mean, scale = LONG.encoder(x)
    (log_p,) = vj.log_likelihood_on_grid(vae.make_vae(), LONG, x[None], low=mean - 1, high=mean + 1, num_points=300)
    q = mean + scale * jnp.array([right, up]), scale * 2**wide
    bound = vj.elbo(vae.log_joint, LONG, x, vj.quadrature_nodes(*q, 20))
    return {"log_p": log_p, "bound": bound, "gap": log_p - bound, "at": q[0], "sd": q[1]}


def step_back(m, M, z):
    """The KL of the model's Gaussian from the way back, and the Gaussian, by sums over a line."""
    logits = np.append(np.inf, np.linspace(5, -6, M))
    s, s_before = 1 / (1 + np.exp(-logits[[m, m - 1]]))
    y = np.linspace(-8, 8, 16001)
    data_x = (stats.norm.pdf(y, -1, 0.35) + stats.norm.pdf(y, 1, 0.35)) / 2
    mass = data_x * stats.norm.pdf(z, np.sqrt(s) * y, np.sqrt(1 - s))
    x = mass @ y / mass.sum()  # the best guess
    if m == 1:
        truth, mean, var = mass, x, np.exp(-logits[1])
    else:
        a, spread = s / s_before, np.sqrt(0.35**2 * s_before + 1 - s_before)
        level = sum(stats.norm.pdf(y, c * np.sqrt(s_before), spread) for c in (-1, 1))
        truth = level * stats.norm.pdf(z, np.sqrt(a) * y, np.sqrt(1 - a))
        mean = (np.sqrt(s_before) * (1 - a) * x + np.sqrt(a) * (1 - s_before) * z) / (1 - s)
        var = (1 - s_before) * (1 - a) / (1 - s)
    q = truth / truth.sum()
    log_ratio = np.where(q > 0, np.log(q / 0.001 + 1e-300) - stats.norm.logpdf(y, mean, np.sqrt(var)), 0)
    return q @ log_ratio, [mean, var]


def main():
    asked = json.load(sys.stdin)
    found = {name: [globals()[name](**settings) for settings in each] for name, each in asked.items()}
    json.dump(found, sys.stdout, default=lambda array: np.asarray(array, float).tolist())


if __name__ == "__main__":
    main()
