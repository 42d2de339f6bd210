"""Matrix products keep all digits of float32, whatever the accelerator's default: read off the lowered programs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vaejax as vj
from vaejax import densities as d
from vaejax import expectation, gaussian, gmm, vae
from vaejax import linear_gaussian as lg
from vaejax.pca import mean_and_cov, pca_of_cov

X, S = jnp.ones(3), jnp.eye(3)
XS = jnp.asarray(np.random.default_rng(0).standard_normal((20, 3)))
PLANE = lg.PCAResult(X, S[:, :2], X[:2])

PROGRAMS = {
    "log_gaussian": (d.log_gaussian, X, X, S),
    "log_gaussian, diagonal": (d.log_gaussian, X, X, X),
    "log_bernoulli": (d.log_bernoulli, X, X),
    "log_categorical": (d.log_categorical, 1, X),
    "kl_gaussian": (d.kl_gaussian, X, S, X, S),
    "kl_categorical": (d.kl_categorical, X, X),
    "cubature_nodes": (vj.cubature_nodes, X, S),
    "quadrature_nodes": (lambda mean, tril: vj.quadrature_nodes(mean, tril, 3), X, S),
    "sample_nodes": (lambda key, mean, tril: vj.sample_nodes(key, mean, tril, 3), jax.random.key(0), X, S),
    "grid_nodes": (lambda low, high: vj.grid_nodes(low, high, 3), X, X + 1),
    "pca": (lambda xs: lg.pca(xs, 2), XS),
    "pca of few": (lambda xs: lg.pca(xs, 2), XS[:2]),
    "pca_of_cov": (lambda mean, cov: pca_of_cov(mean, cov, 2), X, S),
    "mean_and_cov": (mean_and_cov, XS),
    "project": (lg.project, PLANE, X),
    "reconstruct": (lg.reconstruct, PLANE, X),
    "als": (lambda xs, key: lg.als(xs, 2, 3, key), XS, jax.random.key(0)),
    "varimax": (lg.varimax, S),
}
MIXTURE = gmm.GMMParams(jnp.log(jnp.full(2, 0.5)), jnp.stack([X, -X]), jnp.stack([S, S]))
FACTORS = lg.LinearGaussianParams(S[:, :2], X, X)
ONE = gaussian.GaussianParams(X, S)
HOLE = X.at[1].set(jnp.nan)
TABLE = vj.prepare(gmm.GMM, XS), vj.prepare(lg.PPCA, XS)
PROGRAMS |= {
    "expect": (lambda z: vj.expect(lambda z: jnp.outer(z, z), vj.cubature_nodes(z, S)), X),
    "mixture: log_prob": (gmm.log_prob, MIXTURE, X),
    "mixture: sample": (lambda p, key: gmm.sample(p, key, 3), MIXTURE, jax.random.key(0)),
    "mixture: statistics": (lambda p, x: gmm.statistics(p, x, gmm.posterior(p, x, None)), MIXTURE, X),
    "mixture: plain step": (lambda p, xs: vj.em_step(gmm.GMM, p, xs), MIXTURE, XS),
    "mixture: fast step": (lambda p, xs: vj.em_step(gmm.GMM, p, xs), MIXTURE, TABLE[0]),
    "factors: log_joint": (lg.log_joint, FACTORS, X, X[:2]),
    "factors: log_marginal": (lg.log_marginal, FACTORS, X),
    "factors: impute": (lg.impute, FACTORS, HOLE),
    "factors: sample": (lambda p, key: lg.sample(p, key, 3), FACTORS, jax.random.key(0)),
    "factors: statistics": (lambda p, x: lg.statistics(p, x, lg.posterior(p, x, None)), FACTORS, X),
    "factors: plain step": (lambda p, xs: vj.em_step(lg.PPCA, p, xs), FACTORS, XS),
    "factors: fast step": (lambda p, xs: vj.em_step(lg.PPCA, p, xs), FACTORS, TABLE[1]),
    "mixture: prepared": (lambda xs: vj.prepare(gmm.GMM, xs).content, XS),
    "mixture: part of a file": (
        lambda p, xs: expectation._e_step_of_part(gmm.GMM, p, xs, jnp.full(20, 0.05), 0, None, True),
        MIXTURE,
        XS,
    ),
    "mixture: prepared on a mesh": (lambda xs: vj.prepare(gmm.GMM, xs).content, vj.shard(XS)),
    "factors: prepared on a mesh": (lambda xs: vj.prepare(lg.PPCA, xs).content, vj.shard(XS)),
    "VAE: log p on a grid": (
        lambda xs: vj.log_likelihood_on_grid(
            vae.make_vae(), vae.init(jax.random.key(0), 3, 2, hidden=()), xs, low=-X[:2], high=X[:2], num_points=3
        ),
        XS,
    ),
    "one Gaussian: log_prob": (gaussian.log_prob, ONE, HOLE),
    "one Gaussian: impute": (gaussian.impute, ONE, HOLE),
    "one Gaussian: step": (lambda p, xs: vj.em_step(gaussian.GAUSSIAN, p, xs), ONE, XS),
}
SCORES = {  # not the bound of a summary: JAX differentiates its QR at the default precision
    "mixture": (lambda p, xs: vj.mean_bound(gmm.GMM, p, xs, None), MIXTURE, XS),
    "factors": (lambda p, xs: vj.mean_bound(lg.PPCA, p, xs, None), FACTORS, XS),
    "one Gaussian": (lambda p, xs: vj.mean_bound(gaussian.GAUSSIAN, p, xs, None), ONE, XS),
}
WITHOUT_PRODUCTS = {
    "log_gaussian", "log_gaussian, diagonal", "log_bernoulli", "log_categorical", "kl_gaussian", "kl_categorical",
    "grid_nodes", "pca_of_cov", "varimax",
}  # fmt: skip


def products(function, *args):
    """The matrix products of the compiled function, as lines of its program."""
    with jax.default_matmul_precision("bfloat16"):
        jax.clear_caches()
        text = jax.jit(jax.vmap(function, axis_size=2, in_axes=None)).lower(*args).as_text()
    return [line for line in text.splitlines() if "dot_general" in line]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_matrix_product_is_exact(name):
    lines = products(*PROGRAMS[name])
    assert bool(lines) == (name not in WITHOUT_PRODUCTS)
    for line in lines:
        assert re.search(r"precision = \[HIGHEST, HIGHEST\]", line), line


@pytest.mark.parametrize("name", SCORES)
def test_every_matrix_product_of_a_gradient_is_exact(name):
    score, *args = SCORES[name]
    lines = products(jax.grad(score), *args)
    assert lines and all(re.search(r"precision = \[HIGHEST, HIGHEST\]", line) for line in lines)
