"""A second call of a public function, with other numbers of the same shapes, compiles nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vaejax as vj
from vaejax import densities as d
from vaejax import gaussian, gmm, vae
from vaejax import linear_gaussian as lg

KEY, ADAM = jax.random.key(0), optax.adam(0.1)
VAE = vae.make_vae()


def nodes_at(z):
    return vj.quadrature_nodes(z[:1], np.ones(1), 3)


def squares(params, data, key):
    return -((data - params[None]) ** 2).mean()


def arguments(seed):
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((40, 3))
    mixture = gmm.GMMParams(jnp.log(jnp.full(2, 0.5)), jnp.asarray(xs[:2]), jnp.tile(jnp.eye(3), (2, 1, 1)))
    factors = lg.LinearGaussianParams(jnp.asarray(xs[:3, :2]), jnp.asarray(xs[4]), jnp.asarray(xs[5]))
    one = gaussian.GaussianParams(jnp.asarray(xs[0]), jnp.eye(3) * (1 + seed))
    return xs, jax.random.key(seed), mixture, factors, one, vae.init(jax.random.key(seed), 3, 2, hidden=(4,))


CALLS = {
    "log_gaussian": lambda xs, key, m, f, g, n: d.log_gaussian(xs[0], xs[1], np.eye(3)),
    "log_bernoulli": lambda xs, key, m, f, g, n: d.log_bernoulli(xs[0] > 0, xs[1]),
    "kl_gaussian": lambda xs, key, m, f, g, n: d.kl_gaussian(xs[0], np.eye(3), xs[1], np.ones(3)),
    "densities": lambda xs, key, m, f, g, n: (
        d.log_categorical(1, xs[0]), d.kl_categorical(jax.nn.log_softmax(xs[0]), jax.nn.log_softmax(xs[1]))
    ),
    "nodes": lambda xs, key, m, f, g, n: (
        vj.enumerate_nodes(jax.nn.log_softmax(xs[0])), vj.observed(),
        vj.bind(vj.sample_nodes(key, xs[0], np.eye(3), 3), nodes_at),
        vj.expect(jnp.sin, vj.quadrature_nodes(xs[0, :1], np.ones(1), 3)),
    ),
    "bounds of one example": lambda xs, key, m, f, g, n: tuple(
        bound(gmm.log_joint, m, xs[0], gmm.posterior(m, xs[0], None)) for bound in (vj.elbo, vj.iw_bound)
    ),
    "online": lambda xs, key, m, f, g, n: vj.blend(
        gmm.GMM, (vj.e_step(gmm.GMM, m, xs)[0], m), (vj.e_step(gmm.GMM, m, xs)[0], m), 0.1
    ),
    "grid_nodes": lambda xs, key, m, f, g, n: vj.grid_nodes(xs[0] - 9, xs[0] + 9, 3),
    "cubature_nodes": lambda xs, key, m, f, g, n: vj.cubature_nodes(xs[0], np.eye(3)),
    "quadrature_nodes": lambda xs, key, m, f, g, n: vj.quadrature_nodes(xs[0], np.eye(3), 3),
    "sample_nodes": lambda xs, key, m, f, g, n: vj.sample_nodes(key, xs[0], np.eye(3), 3),
    "mixture": lambda xs, key, m, f, g, n: (
        gmm.log_prob(m, xs[0]), gmm.predict(m, xs[0]), gmm.responsibilities(m, xs[0]), gmm.posterior(m, xs[0], None),
        gmm.sample(m, key, 3), gmm.init(xs, 2, key),
    ),
    "mixture, m_step": lambda xs, key, m, f, g, n: gmm.m_step(m, vj.e_step(gmm.GMM, m, xs)[0]),
    "factors": lambda xs, key, m, f, g, n: (
        lg.log_marginal(f, xs[0]), lg.posterior_moments(f, xs[0]), lg.posterior(f, xs[0], None), lg.impute(f, xs[0]),
        lg.sample(f, key, 3), lg.init(xs, 2), lg.varimax(f.W), lg.pca(xs, 2), lg.als(xs, 2, 3, key),
        lg.ppca_mle(xs, 2), lg.log_joint(f, xs[0], xs[1, :2]),
    ),
    "factors, m_step": lambda xs, key, m, f, g, n: lg.m_step(f, vj.e_step(lg.PPCA, f, xs)[0]),
    "one Gaussian": lambda xs, key, m, f, g, n: (
        gaussian.log_prob(g, xs[0]), gaussian.conditional(g, xs[0]), gaussian.impute(g, xs[0]), gaussian.init(xs)
    ),
    "em": lambda xs, key, m, f, g, n: (
        vj.em(gmm.GMM, m, xs, num_steps=2), vj.em(lg.PPCA, f, xs, num_steps=3, fast=False),
        vj.em(gaussian.GAUSSIAN, g, xs, num_steps=2), vj.em_step(gmm.GMM, m, vj.prepare(gmm.GMM, xs)),
    ),
    "mean_bound": lambda xs, key, m, f, g, n: (
        vj.mean_bound(gmm.GMM, m, xs, None), vj.mean_bound(VAE, n, xs > 0, key, vj.iw_bound, num_samples=3),
        vj.log_likelihood(VAE, n, xs > 0, key, num_samples=4, chunk_size=2),
        vj.log_likelihood_on_grid(VAE, n, xs > 0, low=[-4.0] * 2, high=[4.0] * 2, num_points=5),
    ),
    "maximize": lambda xs, key, m, f, g, n: vj.maximize(squares, xs[0], xs, key, optimizer=ADAM, num_steps=3),
    "vae": lambda xs, key, m, f, g, n: (
        vae.encode(n, xs[0]), vae.decode(n, xs[0, :2]), vae.reconstruct(n, xs[0]), vae.sample(n, key, 3)
    ),
}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_a_second_call_compiles_nothing(name):
    first, second = arguments(0), arguments(1)
    jax.block_until_ready(CALLS[name](*first))
    assert not compiled_by(lambda: CALLS[name](*second))


def test_another_number_of_steps_compiles_nothing():
    xs, key, mixture, *_ = arguments(0)
    for fit in (
        lambda num_steps: vj.em(gmm.GMM, mixture, xs, num_steps=num_steps),
        lambda num_steps: vj.em(gmm.GMM, mixture, xs, num_steps=num_steps, fast=False),
        lambda num_steps: vj.maximize(squares, xs[0], xs, key, optimizer=ADAM, num_steps=num_steps),
    ):
        jax.block_until_ready(fit(2))
        assert not compiled_by(lambda fit=fit: fit(70))


def test_the_count_of_compilations_counts():
    assert compiled_by(lambda: jax.jit(lambda x: 3 * x + 1)(1.0))


def compiled_by(call):
    """What is compiled during a call."""
    compiled = []
    listen = lambda event, duration, **_: compiled.append(event) if "backend_compile" in event else None
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.block_until_ready(call())
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    return compiled
