from contextlib import nullcontext
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import (
    LINEAR,
    ONE_GAUSSIAN,
    Linear,
    Mixture,
    assert_close,
    bent_log_joint,
    elbo,
    iw_bound,
    linear_log_joint,
    log_weights,
    mixture_log_joint,
    random_tril,
    seeds,
)
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp

import vaejax as vj
from vaejax import gmm, vae
from vaejax.densities import kl_categorical, kl_gaussian
from vaejax.doors import check_rows


def mixture_problem(seed, num_components=3, num_features=2):
    rng = np.random.default_rng(seed)
    mixture = Mixture.random(rng, num_components, num_features)
    return rng, mixture, 2 * rng.standard_normal(num_features)


def linear_problem(seed, num_features=3, num_latents=2):
    rng = np.random.default_rng(seed)
    model = Linear.random(rng, num_features, num_latents)
    return rng, model, 2 * rng.standard_normal(num_features)


@given(seeds, st.sampled_from(["enumerate", "cubature", "quadrature", "grid", "sample"]))
def test_elbo_is_never_above_iw_bound_on_the_same_nodes(seed, kind):
    rng, mixture, x = mixture_problem(seed)
    if kind == "enumerate":
        log_joint, params = mixture_log_joint, mixture
        nodes = vj.enumerate_nodes(jax.nn.log_softmax(rng.standard_normal(3)))
    else:
        _, params, x = linear_problem(seed)
        log_joint, mean, tril = linear_log_joint, rng.standard_normal(2), random_tril(rng, 2)
        nodes = {
            "cubature": lambda: vj.cubature_nodes(mean, tril),
            "quadrature": lambda: vj.quadrature_nodes(mean, tril, 5),
            "grid": lambda: vj.grid_nodes(mean - 3, mean + 3, 8),
            "sample": lambda: vj.sample_nodes(jax.random.key(seed), mean, tril, 9),
        }[kind]()
    assert elbo(log_joint, params, x, nodes) <= iw_bound(log_joint, params, x, nodes) + 1e-10


@given(seeds, st.sampled_from([(1, 2), (4, 1), (3, 3)]))
def test_enumerated_nodes_of_a_mixture(seed, shape):
    rng, mixture, x = mixture_problem(seed, *shape)
    log_joint = mixture.log_joint_all(x)
    log_p = logsumexp(log_joint)
    posterior = log_joint - log_p

    exact = vj.enumerate_nodes(posterior)
    assert_close(elbo(mixture_log_joint, mixture, x, exact), log_p, atol=1e-10)
    assert_close(iw_bound(mixture_log_joint, mixture, x, exact), log_p, atol=1e-10)

    wrong = jax.nn.log_softmax(rng.standard_normal(len(posterior)))
    nodes = vj.enumerate_nodes(wrong)
    gap = log_p - elbo(mixture_log_joint, mixture, x, nodes)
    assert_close(gap, kl_categorical(wrong, posterior), atol=1e-10)
    assert_close(iw_bound(mixture_log_joint, mixture, x, nodes), log_p, atol=1e-10)  # for any q > 0


@given(seeds, st.sampled_from([(1, 1), (2, 3), (5, 2)]))
def test_gaussian_nodes_of_a_linear_model_at_its_posterior(seed, shape):
    _, model, x = linear_problem(seed, *shape)
    mean, cov = model.posterior(x)
    tril = np.linalg.cholesky(cov)
    for nodes in (vj.cubature_nodes(mean, tril), vj.quadrature_nodes(mean, tril, 4)):
        assert_close(elbo(linear_log_joint, model, x, nodes), model.log_marginal(x), atol=1e-9)
        assert_close(iw_bound(linear_log_joint, model, x, nodes), model.log_marginal(x), atol=1e-9)


@given(seeds, st.sampled_from([(1, 1), (2, 4), (5, 3)]))
def test_cubature_is_the_closed_form_of_the_bound_for_any_gaussian_q(seed, shape):
    rng, model, x = linear_problem(seed, *shape)
    num_latents = shape[1]
    mean, tril = rng.standard_normal(num_latents), random_tril(rng, num_latents)
    cov = tril @ tril.T
    got = elbo(linear_log_joint, model, x, vj.cubature_nodes(mean, tril))
    entropy = stats.multivariate_normal(mean, cov).entropy()
    closed_form = model.expected_log_joint(x, mean, cov) + entropy
    assert_close(got, closed_form, atol=1e-10)
    post_mean, post_cov = model.posterior(x)
    gap = kl_gaussian(mean, tril, post_mean, np.linalg.cholesky(post_cov))
    assert_close(model.log_marginal(x) - got, gap, atol=1e-9)


@pytest.mark.double
@given(seeds)
def test_quadrature_and_grid_converge_to_scipys_integral(seed):
    rng = np.random.default_rng(seed)
    noise, x = rng.uniform(1, 2), rng.uniform(-2, 2, 2)

    def integrand(z):
        squares = z**2 + ((x[0] - z) ** 2 + (x[1] - z**2 / 2) ** 2) / noise**2
        return np.exp(-squares / 2) / (2 * np.pi) ** 1.5 / noise**2

    log_p = np.log(quad(integrand, -10, 10, epsabs=1e-14, epsrel=1e-11, limit=500, points=[-2, 0, 2])[0])
    bound = lambda nodes: float(iw_bound(bent_log_joint, noise, x, nodes))
    rule = [abs(bound(vj.quadrature_nodes(np.zeros(1), np.ones(1), n)) - log_p) for n in (4, 16, 100)]
    grid = [abs(bound(vj.grid_nodes([-10.0], [10.0], n)) - log_p) for n in (10, 40, 400)]
    assert rule[2] < 1e-6 and rule[2] <= rule[1] + 1e-9 and rule[1] <= rule[0] + 1e-9
    assert grid[2] < 1e-9 and grid[2] <= grid[1] + 1e-9 and grid[1] <= grid[0] + 1e-9


@jax.jit
def sampled_bounds(model, x, mean, tril, keys):
    return jax.vmap(lambda key: vj.elbo(linear_log_joint, model, x, vj.sample_nodes(key, mean, tril, 4)))(keys)


@given(seeds)
def test_sampled_bound_is_unbiased(seed):
    rng, model, x = linear_problem(seed)
    mean, tril = rng.standard_normal(2), random_tril(rng, 2)
    exact = elbo(linear_log_joint, model, x, vj.cubature_nodes(mean, tril))
    keys = jax.random.split(jax.random.key(seed), 4000)
    draws = sampled_bounds(model, x, mean, tril, keys)
    assert abs(draws.mean() - exact) < 5 * draws.std(ddof=1) / np.sqrt(len(draws))


def test_a_table_that_is_a_constant_of_compiled_code_is_looked_at():
    xs = jnp.asarray(np.random.default_rng(0).standard_normal((20, 2)))
    params = gmm.init(xs, 2, jax.random.key(0))
    inside = jax.jit(lambda p: vj.mean_bound(gmm.GMM, p, xs, None))(params)
    assert_close(inside, vj.mean_bound(gmm.GMM, params, xs, None))
    mean = jax.jit(lambda shift: shift + vj.linear_gaussian.pca(xs, 1).mean)(0.0)
    assert_close(mean, xs.mean(0))
    broken = xs.at[0, 0].set(jnp.nan)
    with pytest.raises(ValueError, match="1 NaN or infinite"):
        jax.jit(lambda shift: shift + vj.linear_gaussian.pca(broken, 1).mean)(0.0)


@pytest.mark.long
def test_importance_weighted_bound_rises_with_samples_towards_log_p():
    rng, model, x = linear_problem(0)
    mean, cov = model.posterior(x)
    mean, tril = mean + 0.5, 1.3 * np.linalg.cholesky(cov)
    keys = jax.random.split(jax.random.key(0), 4000)
    one = lambda key, s: vj.iw_bound(linear_log_joint, model, x, vj.sample_nodes(key, mean, tril, s))
    bound = jax.jit(lambda s: jax.vmap(lambda key: one(key, s))(keys), static_argnums=0)
    draws = [np.asarray(bound(s)) for s in (1, 5, 50)]
    means, ses = [d.mean() for d in draws], [d.std() / np.sqrt(len(d)) for d in draws]
    log_p = model.log_marginal(x)
    assert means[0] + 6 * ses[0] < means[1] - 6 * ses[1] < means[2] < log_p + 6 * ses[2]
    assert log_p - means[2] < 0.05


@jax.jit
def slopes_of_a_mixture(params, x, nodes):
    log_p = lambda p: jax.nn.logsumexp(jax.vmap(lambda z: mixture_log_joint(p, x, z))(jnp.arange(3)))
    bound = lambda p: vj.elbo(mixture_log_joint, p, x, nodes)
    return jax.grad(bound)(params), jax.grad(log_p)(params)


@jax.jit
def slopes_of_a_linear_model(params, x, nodes):
    marginal = lambda p: jax.scipy.stats.multivariate_normal.logpdf(x, p.b, p.W @ p.W.T + jnp.diag(p.psi))
    bound = lambda p: vj.elbo(linear_log_joint, p, x, nodes)
    return jax.grad(bound)(params), jax.grad(marginal)(params)


@given(seeds)
def test_fishers_identity(seed):
    """At the exact posterior, held fixed, the bound has the gradient of log p."""
    rng, mixture, x = mixture_problem(seed)
    nodes = vj.enumerate_nodes(mixture.log_joint_all(x) - logsumexp(mixture.log_joint_all(x)))
    jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-9), *slopes_of_a_mixture(mixture, x, nodes))

    _, model, x = linear_problem(seed)
    mean, cov = model.posterior(x)
    nodes = vj.cubature_nodes(mean, np.linalg.cholesky(cov))
    jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-9), *slopes_of_a_linear_model(model, x, nodes))


def test_a_node_of_weight_zero_counts_for_nothing_and_leaves_gradients_finite():
    log_joint = lambda params, x, z: jnp.where(z == 1, -jnp.inf, params * x[0])
    nodes = vj.enumerate_nodes(jnp.array([0.0, -jnp.inf]))
    for bound in (vj.elbo, vj.iw_bound):
        value, grad = jax.value_and_grad(lambda p, bound=bound: bound(log_joint, p, jnp.array([3.0]), nodes))(2.0)
        assert (float(value), float(grad)) == (6.0, 3.0)


def test_a_node_of_weight_zero_gives_no_gradient():
    log_p, weight = jnp.array([-1.0, -jnp.inf, -2]), np.array([0.3, 0, 0.7])
    log_joint = lambda params, x, z: params[z]
    nodes = vj.enumerate_nodes(jnp.log(weight))
    gradient = lambda bound: jax.grad(bound, 3, allow_int=True)
    elbo = gradient(vj.elbo)(log_joint, log_p, None, nodes)
    log_w = np.array([-1 - np.log(0.3), 0, -2 - np.log(0.7)])
    assert_close(elbo.weight, log_w)  # of sum_s weight_s (log p_s - log q_s)
    assert_close(elbo.log_q, -weight)
    iw = gradient(vj.iw_bound)(log_joint, log_p, None, nodes)
    ratio = np.array([np.exp(-1) / 0.3, 0, np.exp(-2) / 0.7])
    total = np.exp(-1) + np.exp(-2)
    assert_close(iw.weight, ratio / total)  # of log sum_s weight_s p_s / q_s
    assert_close(iw.log_q, -weight * ratio / total)


def test_elbo_is_minus_infinity_where_q_allows_what_p_forbids():
    log_joint = lambda params, x, z: jnp.where(z == 1, -jnp.inf, 0.0)
    nodes = vj.enumerate_nodes(jnp.log(jnp.array([0.5, 0.5])))
    assert np.isneginf(vj.elbo(log_joint, None, None, nodes))
    assert_close(vj.iw_bound(log_joint, None, None, nodes), 0.0)


@given(seeds)
def test_mean_bound_is_the_mean_of_single_bounds(seed):
    rng, model, _ = linear_problem(seed)
    xs = rng.standard_normal((6, 3))
    params = jax.tree.map(jnp.asarray, model)
    expected = np.mean([model.log_marginal(x) for x in xs])
    for bound in (vj.elbo, vj.iw_bound):
        assert_close(vj.mean_bound(LINEAR, params, xs, None, bound), expected, atol=1e-9)


def uniform_posterior(params, x, key):
    return vj.enumerate_nodes(-jnp.log(3) * jnp.ones(3))


def test_mean_bound_is_of_the_bound_that_was_asked_for():
    rng, mixture, _ = mixture_problem(0)
    xs = rng.standard_normal((5, 2))
    log_joint = np.stack([mixture.log_joint_all(x) for x in xs])
    model = vj.LatentModel(mixture_log_joint, uniform_posterior)
    elbo, log_p = log_joint.mean() + np.log(3), logsumexp(log_joint, 1).mean()
    bound = lambda *which: vj.mean_bound(model, mixture, xs, None, *which)
    assert_close([bound(), bound(vj.elbo)], [elbo, elbo])
    assert_close(bound(vj.iw_bound), log_p)


def test_mean_bound_works_inside_jit_and_grad():
    xs = np.random.default_rng(0).standard_normal((5, 2))

    @jax.jit
    def value(mean, xs):
        return vj.mean_bound(ONE_GAUSSIAN, (mean, jnp.eye(2)), xs, None)

    expected = stats.multivariate_normal([0, 0]).logpdf(xs).mean()
    assert_close(value(jnp.zeros(2), xs), expected)
    assert_close(jax.grad(value)(jnp.zeros(2), xs), xs.mean(0))


def sampled_posterior(params, x, key):
    mean, tril = jnp.zeros(2), jnp.eye(2)
    return vj.sample_nodes(key, mean, tril, 3)


SAMPLED = vj.LatentModel(linear_log_joint, sampled_posterior)
WIDE = SAMPLED._replace(posterior=lambda p, x, key: vj.sample_nodes(key, jnp.zeros(2), 2 * jnp.eye(2), 1))


@cache
def bound_and_gradient(bound, chunk_size):
    model, xs = vae.make_vae(), np.random.default_rng(0).random((10, 4))
    params, key = vae.init(jax.random.key(0), 4, 2, hidden=(3,)), jax.random.key(1)
    mean = lambda params: vj.mean_bound(model, params, xs, key, bound=bound, num_samples=3, chunk_size=chunk_size)
    return jax.jit(jax.value_and_grad(mean))(params)


@pytest.mark.long
@pytest.mark.parametrize("bound", [vj.elbo, vj.iw_bound])
@pytest.mark.parametrize("chunk_size", [1, 4, 99])
def test_chunks_change_neither_a_bound_nor_its_gradient(bound, chunk_size):
    jax.tree.map(assert_close, bound_and_gradient(bound, chunk_size), bound_and_gradient(bound, None))


def test_chunks_need_no_key_where_the_posterior_is_exact():
    xs = np.random.default_rng(1).standard_normal((7, 2))
    start = gmm.init(xs, 2, jax.random.key(0))
    assert_close(vj.mean_bound(gmm.GMM, start, xs, None, chunk_size=3), vj.mean_bound(gmm.GMM, start, xs, None))
    with pytest.raises(ValueError, match="chunk_size is 0"):
        vj.mean_bound(gmm.GMM, start, xs, None, chunk_size=0)


@pytest.mark.long
def test_the_memory_of_a_gradient_grows_with_the_chunk_not_with_the_data():
    params, key = vae.init(jax.random.key(0), 50, 2, hidden=(40,)), jax.random.key(1)
    model = vae.make_vae()

    def temporary_bytes(num_examples, chunk_size):
        gradient = jax.jit(jax.grad(lambda p, xs: vj.mean_bound(model, p, xs, key, vj.iw_bound, 50, chunk_size)))
        compiled = gradient.lower(params, jnp.zeros((num_examples, 50))).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(128, 8) < temporary_bytes(128, None) / 4
    assert temporary_bytes(512, 8) < temporary_bytes(128, 8) + 2 * 8 * (512 - 128) * 50  # twice the data themselves


def test_one_key_one_value_and_a_key_of_its_own_for_each_example():
    _, model, _ = linear_problem(1)
    xs = np.zeros((4, 3))
    value = lambda seed: float(vj.mean_bound(SAMPLED, model, xs, jax.random.key(seed)))
    assert value(0) == value(0) != value(1)
    each = vj.log_likelihood(WIDE, model, xs, jax.random.key(0), num_samples=6, chunk_size=2)
    assert len(np.unique(each)) == 4
    older = vj.log_likelihood(WIDE, model, xs, jax.random.PRNGKey(0), num_samples=6, chunk_size=2)
    np.testing.assert_array_equal(older, each)


def test_xs_may_be_a_pytree():
    model = vj.LatentModel(lambda p, x, z: p * x["a"].sum() + x["label"], lambda p, x, key: vj.observed())
    xs = {"a": np.ones((4, 2)), "label": np.arange(4)}
    assert_close(vj.mean_bound(model, jnp.array(2.0), xs, None), 4 + 1.5)
    draw = vj.LatentModel(lambda p, x, z: jax.random.normal(x[0]), lambda p, x, key: vj.observed())
    keys = jax.random.split(jax.random.key(0), 4)
    assert_close(vj.mean_bound(draw, None, (keys,), None), jax.vmap(jax.random.normal)(keys).mean())


def test_within_compiled_code_examples_are_counted_and_their_values_left_alone():
    xs = np.full((4, 2), np.nan)
    assert_close(jax.jit(lambda xs: jnp.asarray(check_rows(xs)))(xs), 4)


@pytest.mark.parametrize(
    ("xs", "says"),
    [
        (np.zeros((0, 2)), "at least one example"),
        (np.zeros((3, 0)), "at least one example"),
        (np.array([[1.0, np.nan], [0, np.inf]]), "2 NaN or infinite"),
        (np.array([[np.nan, -np.inf]], np.float32), "2 NaN or infinite"),
        (jnp.array([[1.0, jnp.nan]], jnp.bfloat16), "1 NaN or infinite"),
        ({"a": np.zeros((3, 2)), "b": np.zeros((4, 2))}, "share the first axis"),
        ({"a": np.zeros((3, 2), int), "b": np.full((3, 2), np.nan)}, "6 NaN or infinite"),
        ({}, "at least one example"),
    ],
)
def test_bad_data_are_refused_with_advice(xs, says):
    with pytest.raises(ValueError, match=says):
        vj.mean_bound(ONE_GAUSSIAN, (jnp.zeros(2), jnp.eye(2)), xs, None)
    with pytest.raises(ValueError, match=says):
        vj.em(ONE_GAUSSIAN, (jnp.zeros(2), jnp.eye(2)), xs, num_steps=1)


def test_a_log_joint_that_is_no_scalar_is_refused():
    with pytest.raises(ValueError, match=r"an array of shape \(2,\) for one example.*expected one number"):
        vj.elbo(lambda params, x, z: x, None, np.zeros(2), vj.observed())
    nodes = vj.enumerate_nodes(np.log(np.full(3, 1 / 3)))
    with pytest.raises(ValueError, match=r"log_q of shape \(3, 1\)"):  # a column of logs would be broadcast to a table
        vj.elbo(lambda params, x, z: x.sum(), None, np.zeros(2), nodes._replace(log_q=nodes.log_q[:, None]))


def test_parameters_of_numpy_may_be_looked_up_by_label():
    log_joints = np.array([-1.0, -2.0, -3.0])
    bounds = [
        vj.elbo(
            lambda params, x, z: params["table"][z],
            {"table": table},
            np.zeros(2),
            vj.enumerate_nodes(np.log(np.full(3, 1 / 3))),
        )
        for table in (log_joints, jnp.asarray(log_joints))
    ]
    assert_close(bounds, np.full(2, -2 + np.log(3)))


def test_a_model_checks_its_data_its_own_way():
    def refuse(params, xs):
        raise ValueError("not these")

    model = ONE_GAUSSIAN._replace(check=refuse)
    with pytest.raises(ValueError, match="not these"):
        vj.mean_bound(model, (jnp.zeros(2), jnp.eye(2)), np.zeros((3, 2)), None)
    with pytest.raises(ValueError, match="LatentModel"):
        vj.mean_bound("gmm", None, np.zeros((3, 2)), None)


def test_a_decoder_of_the_wrong_shape_is_refused_by_name_of_the_shapes():
    def log_joint(params, x, z):  # a decoder that gives three numbers for an x of two
        return vj.densities.log_gaussian(x, jnp.ones(3) * z[0], jnp.ones(3))

    nodes = vj.grid_nodes(-jnp.ones(1), jnp.ones(1), 5)
    with pytest.raises(ValueError, match=r"x has shape \(2,\) and mean \(3,\)"):
        vj.elbo(log_joint, None, jnp.zeros(2), nodes)


def test_a_phi_too_few_is_refused_by_name_of_the_sizes():
    def bound(params, xs, key):  # chapter 5: a q of its own for every point
        def one(x, phi):
            return elbo(bent_log_joint, params[0], x, vj.quadrature_nodes(phi[:1], jnp.exp(phi[1:]), 4))

        return jax.vmap(one)(xs, params[1]).mean()

    params = (jnp.ones(2), jnp.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"(?s)inconsistent sizes.*size 5.*size 4"):
        vj.maximize(bound, params, jnp.zeros((5, 2)), jax.random.key(0), optimizer=optax.sgd(0.1), num_steps=1)


@pytest.mark.parametrize("height", [-2000.0, 2000.0])
def test_iw_bound_keeps_its_digits_where_exp_has_none(height):
    nodes = vj.enumerate_nodes(np.log([0.25, 0.75]))
    log_joint = lambda params, x, z: height + jnp.log(jnp.array([0.5, 1.5]))[z]  # weights 2 and 2, times exp(height)
    assert_close(vj.iw_bound(log_joint, None, None, nodes), height + np.log(2), atol=1e-9)


@pytest.mark.parametrize("bound", [vj.elbo, vj.iw_bound])
def test_no_nan_in_a_gradient_at_a_node_of_weight_zero(bound):
    """Where p says log 0, too: of the z that q leaves out nothing is asked, not even a slope."""
    nodes = vj.enumerate_nodes(jnp.array([-jnp.inf, 0.0, -jnp.inf]))
    log_joint = lambda p, x, z: jnp.log(p[z])
    value, slope = jax.jit(jax.value_and_grad(lambda p: bound(log_joint, p, None, nodes)))(jnp.array([0.0, 0.5, 0.0]))
    assert_close(value, np.log(0.5))
    assert_close(slope, [0.0, 2.0, 0.0])
    pair = nodes._replace(z={"label": nodes.z, "root": jnp.array([0.0, 4.0, 0.0])})
    log_joint = lambda p, x, z: p * jnp.sqrt(z["root"]) + jnp.log(z["label"] * p)
    assert_close(jax.grad(lambda p: bound(log_joint, p, None, pair))(2.0), 2.5)


def test_draws_are_joined():
    """S draws: the ELBO averages them, the importance-weighted bound is that of S; by the posterior's own draws."""
    _, params, x = linear_problem(2)
    one = vj.LatentModel(linear_log_joint, lambda p, x, key: vj.sample_nodes(key, jnp.zeros(2), jnp.eye(2), 2))
    key = jax.random.key(5)
    parts = [one.posterior(params, x, k) for k in jax.random.split(key, 3)]
    log_w = np.concatenate([log_weights(linear_log_joint, params, x, part) for part in parts])
    nodes = vj.bounds.complete(one, params, x, key, 3)
    assert_close(log_weights(linear_log_joint, params, x, nodes), log_w)
    assert_close(elbo(linear_log_joint, params, x, nodes), log_w.mean())
    assert_close(iw_bound(linear_log_joint, params, x, nodes), logsumexp(log_w) - np.log(6))
    alone, same = vj.bounds.complete(one, params, x, key), one.posterior(params, x, key)  # the key as it is
    assert (alone.z == same.z).all()


def test_mean_bound_takes_the_number_of_draws():
    _, params, _ = linear_problem(3)
    xs, key = np.random.default_rng(0).standard_normal((5, 3)), jax.random.key(1)
    nodes = [vj.bounds.complete(WIDE, params, x, k, 7) for x, k in zip(xs, jax.random.split(key, 5), strict=True)]
    assert nodes[0].z.shape == (7, 2)
    expected = [iw_bound(linear_log_joint, params, x, n) for x, n in zip(xs, nodes, strict=True)]
    got = vj.mean_bound(WIDE, params, xs, key, vj.iw_bound, num_samples=np.int32(7))
    assert_close(got, np.mean(expected))
    assert_close(vj.mean_bound(WIDE, params, xs, key, vj.iw_bound, 7, chunk_size=2), got)
    with pytest.raises(ValueError, match="num_samples is 0"):
        vj.mean_bound(SAMPLED, params, xs, key, num_samples=0)


def test_the_log_likelihood_of_any_model():
    rng, mixture, _ = mixture_problem(4)
    xs = rng.standard_normal((5, 2))
    exact = logsumexp([mixture.log_joint_all(x) for x in xs], 1)
    guess = vj.LatentModel(mixture_log_joint, uniform_posterior)
    assert_close(vj.log_likelihood(guess, mixture, xs, None), exact)  # all values: once is enough
    assert_close(vj.log_likelihood(guess, mixture, xs, jax.random.key(0), num_samples=6, chunk_size=3), exact)

    _, params, _ = linear_problem(5)
    xs = rng.standard_normal((4, 3))
    exact = np.array([params.log_marginal(x) for x in xs])
    ends = dict(low=np.full(2, -7.0), high=np.full(2, 7.0))
    assert_close(vj.log_likelihood_on_grid(SAMPLED, params, xs, num_points=np.int32(150), **ends), exact, atol=1e-5)
    got = vj.log_likelihood(WIDE, params, xs, jax.random.key(1), num_samples=40_000, chunk_size=8000)
    assert_close(got, exact, atol=0.2)
    table = {"x": xs, "unused": np.arange(4)}
    model = SAMPLED._replace(log_joint=lambda p, example, z: linear_log_joint(p, example["x"], z))
    assert_close(vj.log_likelihood_on_grid(model, params, table, num_points=150, **ends), exact, atol=1e-5)


@pytest.mark.parametrize("pairs", [1, 40, 97, 10**6])
def test_a_grid_is_summed_in_whatever_chunks(pairs, monkeypatch):
    _, params, _ = linear_problem(6)
    xs = np.random.default_rng(1).standard_normal((4, 3))
    monkeypatch.setattr(vj.bounds, "MOST_PAIRS", pairs)
    model = SAMPLED._replace(log_joint=lambda p, x, z: linear_log_joint(p, x, z))  # compiled anew
    box = vj.grid_nodes([-2.0, -1], [1.0, 3], 9)
    expected = [iw_bound(linear_log_joint, params, x, box) for x in xs]
    got = vj.log_likelihood_on_grid(model, params, xs, low=[-2.0, -1], high=[1.0, 3], num_points=9)
    assert_close(got, np.array(expected))


def test_a_grid_of_many_chunks_keeps_its_digits(monkeypatch):
    """A sum of 640,000 terms, one by one: in plain float32 it is 1.6e-4 off."""
    monkeypatch.setattr(vj.bounds, "MOST_PAIRS", 1)
    model = SAMPLED._replace(log_joint=lambda params, x, z: -((x - z) ** 2).sum())
    low, high = np.array([-1, -2], np.float32), np.array([2, 1], np.float32)
    xs = np.array([[0.3, 0.1]], np.float32)
    (got,) = vj.log_likelihood_on_grid(model, (), xs, low=low, high=high, num_points=800)
    ticks = low[:, None] + (high - low)[:, None] * (np.arange(800) + 0.5) / 800
    exact = np.log(np.exp(-((xs[0][:, None] - ticks) ** 2)).sum(1) * 3 / 800).sum()
    assert got.dtype == np.float32 and abs(got - exact) < 5e-6


def test_a_grid_where_nothing_is_possible_says_so():
    model = vj.LatentModel(lambda p, x, z: jnp.where(x > 0, -jnp.inf, -(z**2).sum()), lambda p, x, key: vj.observed())
    got = vj.log_likelihood_on_grid(model, None, np.array([1.0, -1.0]), low=[-6.0], high=[6.0], num_points=500)
    assert_close(got, [-np.inf, 0.5 * np.log(np.pi)])


class Unhashable(list):
    def __call__(self, params, x, key):
        return vj.observed()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda n: vj.elbo(lambda p, x, z: 0.0, None, None, n._replace(weight=3 * n.weight)), "add up to 3, not to 1"),
        (lambda n: vj.iw_bound(lambda p, x, z: 0.0, None, None, n._replace(weight=0 * n.weight)), "add up to 0, not"),
        (lambda n: vj.elbo(lambda p, x, z: 0.0, None, None, jax.tree.map(lambda a: a[:0], n)), "S at least 1"),
        (lambda n: vj.elbo(lambda p, x, z: 0.0, None, None, n._replace(z=n.z[:1])), r"z of \(1,\)"),
        (lambda n: vj.elbo(lambda p, x, z: 0.0, None, None, tuple(n)), "returned a tuple: expected vaejax.Nodes"),
        (lambda n: score(ONE_GAUSSIAN._replace(posterior=lambda p, x, k: x)), "Tracer: expected vaejax.Nodes"),
        (lambda n: score(ONE_GAUSSIAN._replace(posterior=Unhashable())), "cannot be hashed.*Unhashable.*plain"),
        (lambda n: vj.log_likelihood(SAMPLED, None, np.zeros((3, 2)), 3), "key is int"),
    ],
)  # fmt: skip
def test_a_slip_of_a_posterior_is_told_in_a_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call(vj.enumerate_nodes(np.log([0.5, 0.5])))


@pytest.mark.parametrize("door", ["mean_bound", "log_likelihood", "maximize", "em"])
@pytest.mark.parametrize("thrice", [False, True])
def test_a_posterior_of_ones_own_that_counts_thrice_is_told_at_every_door(door, thrice):
    def posterior(params, x, key):
        nodes = gmm.posterior(params, x, key)
        return nodes._replace(weight=(3 if thrice else 1) * nodes.weight)

    posterior.__module__ = None  # as of what exec defines
    xs = np.random.default_rng(0).normal(size=(50, 2))
    model = gmm.GMM._replace(posterior=posterior, fast=None)
    params, key = gmm.init(xs, 2, jax.random.key(0)), jax.random.key(1)
    call = {
        "mean_bound": lambda: vj.mean_bound(model, params, xs, None),
        "log_likelihood": lambda: vj.log_likelihood(model, params, xs, None),
        "maximize": lambda: vj.maximize(model, params, xs, key, optimizer=optax.sgd(0.1), num_steps=1),
        "em": lambda: vj.em(model, params, xs, num_steps=1),
    }[door]
    with pytest.raises(ValueError, match="add up to 3, not to 1") if thrice else nullcontext():
        call()


def score(model):
    return vj.mean_bound(model, (jnp.zeros(2), jnp.eye(2)), np.zeros((3, 2)), None)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_all_kinds_score_each_example_by_draws_of_its_own(kind):
    _, params, _ = linear_problem(1)
    xs, key = np.zeros((4, 3)), jax.random.key(0, impl=kind)
    assert np.isfinite(vj.mean_bound(WIDE, params, xs, key, num_samples=2))
    each = vj.log_likelihood(WIDE, params, xs, key, num_samples=4, chunk_size=2)
    assert np.isfinite(each).all() and len(np.unique(each)) == 4
