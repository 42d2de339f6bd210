import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from problems import assert_close, random_tril, seeds
from scipy import stats
from scipy.integrate import quad

import vaejax as vj
from vaejax import gaussian as g
from vaejax.book import data


def random_problem(seed, num_examples=50, dim=3, missing=0.3):
    rng = np.random.default_rng(seed)
    params = g.GaussianParams(jnp.asarray(rng.standard_normal(dim)), jnp.asarray(random_tril(rng, dim)))
    xs = np.asarray(params.mean) + rng.standard_normal((num_examples, dim)) @ np.asarray(params.scale_tril).T
    return params, np.where(rng.random(xs.shape) < missing, np.nan, xs)


def observed_log_prob(params, x):
    """By scipy, from the block of the covariance that belongs to the observed entries."""
    seen = ~np.isnan(x)
    cov = np.asarray(params.scale_tril @ params.scale_tril.T)[np.ix_(seen, seen)]
    return stats.multivariate_normal(np.asarray(params.mean)[seen], cov).logpdf(x[seen]) if seen.any() else 0.0


def mean_log_prob(params, xs):
    return jax.vmap(g.log_prob, (None, 0))(params, xs).mean()


@given(seeds)
def test_log_prob_is_the_density_of_the_observed_block(seed):
    params, xs = random_problem(seed, 8)
    got = jax.vmap(g.log_prob, (None, 0))(params, xs)
    assert_close(got, np.array([observed_log_prob(params, x) for x in xs]))


def test_log_prob_is_the_joint_density_integrated_over_what_is_missing():
    params, _ = random_problem(0, dim=2)
    x = np.array([0.3, np.nan])
    joint = stats.multivariate_normal(np.asarray(params.mean), np.asarray(params.scale_tril @ params.scale_tril.T))
    integral = quad(lambda y: joint.pdf([x[0], y]), -60, 60, points=[float(params.mean[1])], limit=200)[0]
    assert_close(jnp.exp(g.log_prob(params, x)), integral)


@given(seeds)
def test_the_bound_at_the_posterior_is_log_p_of_what_was_observed(seed):
    params, xs = random_problem(seed, 10)
    expected = np.mean([observed_log_prob(params, x) for x in xs])
    for bound in (vj.elbo, vj.iw_bound):
        assert_close(vj.mean_bound(g.GAUSSIAN, params, xs, None, bound), expected, atol=1e-8)


def test_the_conditional_is_the_normalised_slice():
    params, _ = random_problem(1, dim=2)
    x = np.array([np.nan, -0.4])
    joint = stats.multivariate_normal(np.asarray(params.mean), np.asarray(params.scale_tril @ params.scale_tril.T))
    moment = lambda p: quad(lambda y: y**p * joint.pdf([y, x[1]]), -60, 60, points=[0], limit=300)[0]
    mean, cov = g.conditional(params, x)
    assert_close(mean, np.array([moment(1) / moment(0), -0.4]))
    assert_close(cov, np.diag([moment(2) / moment(0) - (moment(1) / moment(0)) ** 2, 0]))
    assert_close(g.impute(params, x), mean)


@given(seeds)
def test_the_m_step_is_the_weighted_fit_to_the_completions(seed):
    params, xs = random_problem(seed, 20)
    rng = np.random.default_rng(seed)
    zs, weight = rng.standard_normal((20, 4, 3)), rng.dirichlet(np.ones(4), 20)
    nodes = vj.Nodes(jnp.asarray(zs), jnp.asarray(weight), jnp.zeros((20, 4)))
    each = jax.vmap(g.statistics, (None, 0, 0))(params, xs, nodes)
    fitted = g.m_step(params, jax.tree.map(lambda leaf: leaf.mean(0), each))
    filled = np.where(np.isnan(xs)[:, None], zs, xs[:, None]).reshape(-1, 3)
    assert_close(fitted.mean, np.average(filled, axis=0, weights=weight.ravel()))
    expected = np.cov(filled.T, aweights=weight.ravel(), bias=True)
    assert_close(fitted.scale_tril @ fitted.scale_tril.T, expected)


def test_init_has_mean_and_spread_of_what_was_observed():
    _, xs = random_problem(5)
    start = g.init(xs)
    columns = [x[~np.isnan(x)] for x in xs.T]
    assert_close(start.mean, np.array([x.mean() for x in columns]))
    assert_close(start.scale_tril, np.diag([x.std() for x in columns]))


def test_em_without_missing_entries_is_maximum_likelihood_in_one_step():
    start, xs = random_problem(2, missing=0)
    params, history = vj.em(g.GAUSSIAN, start, xs, num_steps=2)
    assert_close(params.mean, xs.mean(0))
    assert_close(params.scale_tril @ params.scale_tril.T, np.cov(xs.T, bias=True))
    assert_close(history[1], stats.multivariate_normal(xs.mean(0), np.cov(xs.T, bias=True)).logpdf(xs).mean())


@pytest.mark.long
@pytest.mark.double
def test_em_never_falls_and_ends_where_the_observed_data_likelihood_is_flat():
    for seed in range(20):
        _, xs = random_problem(seed)
        params, history = vj.em(g.GAUSSIAN, g.init(xs), xs, num_steps=500)
        assert np.diff(history).min() > -1e-9
        slopes = jax.grad(mean_log_prob)(params, xs)
        assert float(jnp.abs(slopes.mean).max()) < 1e-6
        assert float(jnp.abs(jnp.tril(slopes.scale_tril)).max()) < 1e-6


@pytest.mark.long
def test_em_finds_the_truth_in_much_data():
    truth, xs = random_problem(3, 20_000)
    params, _ = vj.em(g.GAUSSIAN, g.init(xs), xs, num_steps=100)
    assert abs(params.mean - truth.mean).max() < 0.1
    assert abs(params.scale_tril - truth.scale_tril).max() < 0.1


@pytest.mark.long
@pytest.mark.double
def test_a_row_with_nothing_in_it_contributes_nothing():
    _, xs = random_problem(4)
    xs = xs[~np.isnan(xs).all(1)]
    more = np.concatenate([xs, np.full((5, 3), np.nan)])
    params, history = vj.em(g.GAUSSIAN, g.init(xs), xs, num_steps=500)
    padded, padded_history = vj.em(g.GAUSSIAN, g.init(more), more, num_steps=800)
    assert_close(padded.mean, params.mean)
    assert_close(padded.scale_tril, params.scale_tril)
    assert_close(padded_history[-1] * len(more), history[-1] * len(xs))
    assert g.log_prob(params, np.full(3, np.nan)) == 0


@pytest.mark.long
def test_air_quality():
    xs = data.load("air_quality").xs[:, :4].astype(float)
    params, history = vj.em(g.GAUSSIAN, g.init(xs), xs, num_steps=100)
    assert np.diff(history).min() > -1e-9
    filled = jax.vmap(g.impute, (None, 0))(params, xs)
    assert np.isfinite(filled).all()
    assert_close(np.asarray(filled)[~np.isnan(xs)], xs[~np.isnan(xs)])
    assert np.corrcoef(filled[:, 0], filled[:, 3])[0, 1] > 0.5  # hot days have more ozone, imputed ones too


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda xs: xs[:, 0], r"\(N, D\)"),
        (lambda xs: np.where(np.isnan(xs), np.inf, xs), r"hold \d+ infinite entries"),
        (lambda xs: np.zeros((0, 3)), "at least one example"),
        (lambda xs: np.zeros((4, 3), int), "expected float32 or float64"),
    ],
)
def test_bad_data_are_refused_with_advice(change, says):
    params, xs = random_problem(0)
    for call in (lambda: g.init(change(xs)), lambda: vj.em(g.GAUSSIAN, params, change(xs), num_steps=1)):
        with pytest.raises(ValueError, match=says):
            call()


def test_a_column_never_observed_can_be_scored_and_not_be_fitted_to():
    params, xs = random_problem(0)
    xs = np.where(np.arange(3) == 1, np.nan, xs)
    with pytest.raises(ValueError, match="column 1 was never observed"):
        g.init(xs)
    expected = np.mean([observed_log_prob(params, x) for x in xs])
    assert_close(vj.mean_bound(g.GAUSSIAN, params, xs, None), expected)


def test_bad_params_are_refused():
    params, xs = random_problem(0)
    for change, says in (
        ({"mean": jnp.zeros(2)}, "3 features"),
        ({"scale_tril": jnp.zeros((3, 3))}, "singular"),
        ({"scale_tril": -jnp.eye(3)}, "singular"),
        ({"scale_tril": jnp.eye(3).at[2, 0].set(jnp.inf)}, "NaN, infinity"),
        ({"scale_tril": jnp.ones(3)}, "3 features"),
        ({"mean": jnp.full(3, jnp.nan)}, "NaN, infinity"),
    ):
        with pytest.raises(ValueError, match=says):
            vj.em(g.GAUSSIAN, params._replace(**change), xs, num_steps=1)
    with pytest.raises(ValueError, match="column 0 is the same wherever it was observed"):
        g.init(np.ones((4, 2)))


def test_float32_data_far_from_zero_keep_their_digits():
    xs = (np.random.default_rng(0).standard_normal((5000, 3)) + 1e4).astype(np.float32)
    fitted, history = vj.em(g.GAUSSIAN, g.init(xs), xs, num_steps=3)
    exact = xs.astype(float)
    assert_close(fitted.mean.astype(float), exact.mean(0), atol=1e-6)  # relative above one
    assert_close(fitted.scale_tril @ fitted.scale_tril.T, np.cov(exact.T, bias=True), atol=1e-3)
    assert (np.diff(history) > -1e-4).all()
