import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from problems import ONE_GAUSSIAN, assert_close, gaussian_log_joint, observed_posterior, seeds
from scipy import stats

import vaejax as vj
from vaejax import expectation, gaussian, gmm
from vaejax import gradient_ascent as fit
from vaejax import linear_gaussian as lg

ADAM, SGD = optax.adam(0.05), optax.sgd(0.1)


def draw(seed, num_examples=40):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((num_examples, 2)) @ [[2.0, 0], [1, 0.5]] + [1, -1]


START = (np.zeros(2), np.eye(2))


@given(seeds)
def test_em_with_nothing_missing_is_maximum_likelihood_in_one_step(seed):
    xs = draw(seed)
    (mean, tril), history = vj.em(ONE_GAUSSIAN, START, xs, num_steps=3)
    assert_close(mean, xs.mean(0))
    assert_close(tril @ tril.T, np.cov(xs.T, bias=True))
    at_start = stats.multivariate_normal([0, 0]).logpdf(xs).mean()
    best = stats.multivariate_normal(xs.mean(0), np.cov(xs.T, bias=True)).logpdf(xs).mean()
    assert_close(history, np.array([at_start, best, best]))


def test_em_stops_when_a_step_gains_less_than_tol():
    _, history = vj.em(ONE_GAUSSIAN, START, draw(0), num_steps=50, tol=1e-9)
    assert history.shape == (3,)


def next_bound(step, bounds):
    return step + 1, bounds[step.astype(int)]


def first_column(xs, weight):
    return jnp.asarray(xs)[:, 0]


# the data are the bounds, a row a step; the average is the next step
SCRIPTED = ONE_GAUSSIAN._replace(
    fast=vj.FastEStep(first_column, next_bound, replaces=ONE_GAUSSIAN[:3]), m_step=lambda params, T: T
)


@pytest.mark.double
@pytest.mark.parametrize(
    ("bounds", "tol", "steps"),
    [
        ([0, 1, 1.5, 2, 2.25, 9], 0.5, 5),  # tol itself is not less than tol
        ([0, 1, -5, 9, 10, 11], 0.5, 3),  # a loss is
        ([2, 2, 9, 10, 11, 12], 0.5, 2),  # already at the second step
        ([3, 3, 3, 3, 3, 3], 0.0, 2),  # what rounding cannot tell from nothing is nothing
        ([3, 3 + 1e-12, 3 + 3e-12, 3, 3, 3], 0.0, 4),
        ([3, 3.5, 2, 9, 9, 9], 0.0, 3),
        ([3, 2, 1, 0, 0, 0], None, 6),  # no tol, no stop
    ],
)
def test_em_stops_at_the_first_gain_below_tol(bounds, tol, steps):
    xs = np.array(bounds, float)[:, None]
    end, history = vj.em(SCRIPTED, 0.0, xs, num_steps=6, tol=tol)
    assert_close(history, np.array(bounds[:steps], float))
    assert end == steps


def halfway(params, T):
    """A partial M-step, so that the bound rises step by step."""
    mean, tril = params
    return mean + 0.5 * (T[0] - mean), tril


def test_em_history_is_the_bound_before_each_m_step():
    model, xs = ONE_GAUSSIAN._replace(m_step=halfway), draw(1)
    _, history = vj.em(model, START, xs, num_steps=4)
    means = [xs.mean(0) * (1 - 0.5**k) for k in range(4)]
    assert_close(history, np.array([stats.multivariate_normal(m).logpdf(xs).mean() for m in means]))


def test_em_takes_the_fast_route_unless_told_otherwise():
    def fast(params, mean):
        return (mean, jnp.eye(2) + jnp.outer(mean, mean)), jnp.asarray(7.0)

    route = vj.FastEStep(lambda xs, weight: jnp.asarray(xs).mean(0) + 100, fast, replaces=ONE_GAUSSIAN[:3])
    model = ONE_GAUSSIAN._replace(fast=route)
    xs = draw(2)
    prepared = vj.prepare(model, xs)
    for data in (xs, prepared):
        (mean, _), history = vj.em(model, START, data, num_steps=2)
        assert_close(mean, xs.mean(0) + 100)
        assert_close(history, np.full(2, 7.0))
    (mean, _), _ = vj.em(model, START, xs, num_steps=2, fast=False)
    assert_close(mean, xs.mean(0))
    for step, data in ((vj.em_step, prepared), (vj.e_step, prepared)):
        assert_close(step(model, START, data)[1], 7.0)
    assert_close(vj.e_step(model, START, xs)[0][0], xs.mean(0))
    with pytest.raises(ValueError, match="no fast route"):
        vj.prepare(ONE_GAUSSIAN, xs)
    with pytest.raises(ValueError, match="pass xs themselves"):
        vj.e_step(ONE_GAUSSIAN, START, prepared)


@pytest.mark.long
def test_a_fast_route_does_not_outlive_what_it_stands_for():
    xs, start = draw(3).astype("float32"), vj.gmm.init(draw(3), 2, jax.random.key(0))
    model, prepared = vj.gmm.GMM, vj.prepare(vj.gmm.GMM, xs)
    for changed in (
        model._replace(posterior=lambda params, x, key: vj.gmm.posterior(params, x, key)),
        model._replace(log_joint=lambda params, x, z: 2 * vj.gmm.log_joint(params, x, z)),
        model._replace(statistics=lambda params, x, nodes: vj.gmm.statistics(params, x, nodes)),
    ):
        for call in (
            lambda changed=changed: vj.em(changed, start, xs, num_steps=1),
            lambda changed=changed: vj.prepare(changed, xs),
            lambda changed=changed: vj.e_step(changed, start, prepared),
        ):
            with pytest.raises(ValueError, match="stands for another"):
                call()
        vj.em(changed, start, xs, num_steps=1, fast=False)
        vj.em(changed._replace(fast=None), start, xs, num_steps=1)
    vj.em(model._replace(m_step=model.m_step, check=None), start, xs, num_steps=1)  # those may change


def test_em_gives_each_step_and_each_example_its_own_key():
    def statistics(params, x, nodes):  # what was drawn for example x
        return 5 * jax.nn.one_hot(x[0].astype(int), 5) * (nodes.weight @ nodes.z)[0]

    posterior = lambda params, x, key: vj.sample_nodes(key, jnp.zeros(1), jnp.ones(1), 1)
    model = vj.LatentModel(lambda params, x, z: jnp.zeros(()), posterior, statistics, lambda params, T: T - params)
    xs = np.arange(5.0)[:, None]
    once, _ = vj.em(model, np.zeros(5), xs, num_steps=1, key=jax.random.key(0))
    twice, _ = vj.em(model, np.zeros(5), xs, num_steps=2, key=jax.random.key(0))
    assert len(np.unique(once)) == 5 and (np.asarray(twice) != 0).all()
    assert (once == vj.em(model, np.zeros(5), xs, num_steps=1, key=jax.random.key(0))[0]).all()
    with pytest.raises(ValueError, match="pass key="):
        vj.em(model, np.zeros(5), xs, num_steps=1)


def test_em_that_collapses_says_so():
    model = ONE_GAUSSIAN._replace(m_step=lambda params, T: (params[0], params[1] * 0))
    with pytest.raises(FloatingPointError, match="at step 1"):
        vj.em(model, START, draw(0), num_steps=5)


@pytest.fixture
def nothing_compiles(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("compiled before the arguments were checked")

    monkeypatch.setattr(expectation, "_steps", refuse)
    monkeypatch.setattr(fit, "_gradient_steps", refuse)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_steps": 0}, "num_steps is 0"),
        ({"xs": np.array([[np.nan, 1.0]])}, "1 NaN or infinite"),
        ({"tol": -1.0}, "tol is -1.0"),
        ({"tol": float("nan")}, "tol is nan"),
        ({"model": vj.LatentModel(gaussian_log_joint, observed_posterior)}, "use vaejax.maximize"),
    ],
)
def test_em_refuses_bad_arguments_before_it_compiles(nothing_compiles, change, says):
    arguments = dict(model=ONE_GAUSSIAN, xs=draw(0), num_steps=3) | change
    with pytest.raises(ValueError, match=says):
        vj.em(arguments.pop("model"), START, arguments.pop("xs"), **arguments)


def nan_posterior(params, x, key):
    del x, key
    return vj.enumerate_nodes(jax.nn.log_softmax(params))


def one_half(params, x, nodes):
    return 0.5 * nodes.weight.sum()


def test_a_posterior_that_became_nan_stops_the_fit():
    model = vj.LatentModel(
        lambda params, x, z: -0.5 * (x[0] - z) ** 2, nan_posterior, one_half, lambda p, T: p * jnp.nan
    )
    with pytest.raises(FloatingPointError, match="nan at step 1"):
        vj.em(model, jnp.zeros(2), np.ones((3, 1)), num_steps=4)


def test_a_parameter_that_became_nan_stops_em():
    twice = np.array([[1.0, 1.0], [-1.0, -1.0]])  # the covariance is [[1, 1], [1, 1]], which has no Cholesky factor
    with pytest.raises(FloatingPointError, match=r"parameter became NaN at step 0.*combinations of others"):
        vj.em(gaussian.GAUSSIAN, gaussian.init(twice), twice, num_steps=1)


@pytest.mark.long
@pytest.mark.filterwarnings("error")
def test_doubles_are_fitted_in_single_precision_without_a_warning():
    xs = np.random.default_rng(0).standard_normal((50, 2))
    with jax.enable_x64(False):
        for fast in (True, False):
            params, _ = vj.em(gmm.GMM, gmm.init(xs, 2, jax.random.key(0)), xs, num_steps=2, fast=fast)
            assert {leaf.dtype for leaf in params} == {jnp.dtype("float32")}


@pytest.mark.long
@pytest.mark.filterwarnings("error")
def test_doubles_of_numpy_do_in_single_precision_without_a_warning():
    """The parameters of a student who builds a model by hand: drawn from, and used for an M-step."""
    xs = np.random.default_rng(0).standard_normal((50, 2))
    with jax.enable_x64(False):
        starts = [
            (gmm, gmm.GMM, gmm.init(xs, 2, jax.random.key(0))),
            (lg, lg.PPCA, lg.ppca_mle(xs, 1)),
            (gaussian, gaussian.GAUSSIAN, gaussian.init(xs)),
        ]
        for module, model, start in starts:
            params = jax.tree.map(lambda leaf: np.asarray(leaf, float), start)
            step, _ = vj.em_step(model, params, xs)
            drawn = [] if module is gaussian else list(module.sample(params, jax.random.key(0), 3))
            assert "float64" not in {leaf.dtype.name for leaf in [*step, *drawn]}


def test_an_m_step_that_returns_another_structure_is_refused():
    model = gaussian.GAUSSIAN._replace(m_step=lambda p, T: tuple(p))
    xs = np.random.default_rng(0).standard_normal((9, 2))
    with pytest.raises(ValueError, match=r"into a tuple of .*: expected the same structure"):
        vj.em(model, gaussian.init(xs), xs, num_steps=2)


def models_and_data():
    rng = np.random.default_rng(0)
    two = np.concatenate([rng.normal(-2, 1, (150, 2)), rng.normal(2, 0.7, (100, 2))])
    line = rng.standard_normal((200, 1)) @ np.array([[1.0, 2, -1]]) + 0.5 * rng.standard_normal((200, 3))
    holes = np.where(rng.random(line.shape) < 0.2, np.nan, line)
    return {
        "a mixture": (gmm.GMM, gmm.init(two, 2, jax.random.key(1)), two),
        "one Gaussian, holes": (gaussian.GAUSSIAN, gaussian.init(holes), holes),
        "factors": (lg.FACTOR_ANALYSIS, lg.init(line, 1), line),
        "factors, holes": (lg.FACTOR_ANALYSIS, lg.init(holes, 1), holes),
    }


@pytest.mark.long
@pytest.mark.parametrize("name", models_and_data())
def test_gradients_find_the_summit_of_em(name):
    model, start, xs = models_and_data()[name]
    summit, _ = vj.em(model, start, xs, num_steps=400, fast=bool(np.isfinite(xs).all()))
    slope = jax.grad(lambda params: vj.mean_bound(model, params, xs, None))(summit)
    for part in jax.tree.leaves(slope):
        assert_close(part, np.zeros(part.shape), atol=1e-4)
    climbed, _ = vj.maximize(model, start, xs, jax.random.key(0), optimizer=optax.adam(0.02), num_steps=1000)
    if model is gmm.GMM:
        climbed = climbed._replace(log_pi=jax.nn.log_softmax(climbed.log_pi))
    assert_close(vj.mean_bound(model, climbed, xs, None), vj.mean_bound(model, summit, xs, None), atol=1e-3)
