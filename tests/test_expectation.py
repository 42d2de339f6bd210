"""EM by statistics: pure steps, restarts in one program, online EM, and what is the same for every model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from problems import assert_close

import vaejax as vj
from vaejax import expectation, gaussian, gmm, gmm_fast, numerics
from vaejax import linear_gaussian as lg
from vaejax.book import data

KEY = jax.random.key(0)


def clouds(num_examples=300, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((num_examples, 2)) + 4 * rng.integers(0, 2, (num_examples, 1))


def models():
    xs = clouds()
    mixture = gmm.GMMParams(jnp.log(jnp.full(2, 0.5)), jnp.array([[0.0, 0], [4, 4]]), jnp.tile(jnp.eye(2), (2, 1, 1)))
    return {
        "gaussian": (gaussian.GAUSSIAN, gaussian.init(xs)),
        "mixture": (gmm.GMM, mixture),
        "factors": (lg.FACTOR_ANALYSIS, lg.init(xs, 1)),
        "ppca": (lg.PPCA, lg.init(xs, 1)),
    }


@pytest.mark.parametrize("name", models())
def test_an_em_step_is_an_e_step_then_an_m_step_and_em_is_many(name):
    model, start = models()[name]
    xs = clouds()
    average, bound = vj.e_step(model, start, xs)
    params, same = vj.em_step(model, start, xs)
    jax.tree.map(assert_close, (model.m_step(start, average), bound), (params, same))
    scanned = jax.jit(lambda p: jax.lax.scan(lambda p, _: vj.em_step(model, p, xs), p, length=7))(start)
    jax.tree.map(assert_close, scanned, vj.em(model, start, xs, num_steps=7, fast=False))


@pytest.mark.parametrize("name", models())
def test_statistics_are_linear_in_the_weights_and_recentre_moves_their_centre(name):
    model, old = models()[name]
    new = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.cos(jnp.arange(leaf.size, dtype=float)).reshape(leaf.shape), old)
    x = jnp.array([0.3, -1.2])
    nodes = model.posterior(old, x, None)
    T = model.statistics(old, x, nodes)
    jax.tree.map(assert_close, model.recentre(T, old, new), model.statistics(new, x, nodes))
    third = model.statistics(old, x, nodes._replace(weight=nodes.weight / 3))
    jax.tree.map(lambda a, b: assert_close(3 * a, b), third, T)


@pytest.mark.long
def test_twenty_restarts_are_one_program():
    xs = clouds()
    starts = [gmm.init(xs, 2, key, method="random") for key in jax.random.split(KEY, 20)]
    prepared = vj.prepare(gmm.GMM, xs)

    def climb(start):
        return jax.lax.scan(lambda p, _: vj.em_step(gmm.GMM, p, prepared), start, length=30)

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *starts)
    together = jax.jit(partial(jax.lax.map, climb))(stacked)
    mapped = jax.jit(jax.vmap(climb))(stacked)
    for i in (0, 7, 19):
        alone = vj.em(gmm.GMM, starts[i], xs, num_steps=30)
        for fits in (together, mapped):
            jax.tree.map(lambda a, b, i=i: assert_close(a[i], b, atol=1e-7), fits, alone)


def test_any_number_of_steps_is_one_program_and_any_number_can_be_done():
    xs, (model, start) = clouds(), models()["mixture"]
    long, history = vj.em(model, start, xs, num_steps=2 * expectation.BLOCK + 5)
    compiled = expectation._steps._cache_size()
    for num_steps in (5, 6, 7, expectation.BLOCK, expectation.BLOCK + 1):
        assert_close(vj.em(model, start, xs, num_steps=num_steps)[1], history[:num_steps], atol=0)
    assert expectation._steps._cache_size() == compiled and len(history) == 2 * expectation.BLOCK + 5
    half, _ = vj.em(model, start, xs, num_steps=5)
    jax.tree.map(
        lambda a, b: assert_close(a, b, atol=1e-12), vj.em(model, half, xs, num_steps=len(history) - 5)[0], long
    )


def online(model, start, batches, rate, blend=vj.blend):
    """Online EM as a reader would write it. Returns the parameters on the way."""

    def step(carry, xs):
        running, params = carry
        batch = vj.e_step(model, params, xs)[0], params
        average = blend(model, running, batch, rate)
        return ((average, params), model.m_step(params, average)), params

    first = (vj.e_step(model, start, batches[0])[0], start), start
    return jax.lax.scan(step, first, batches)[1]


def forgetful(model, running, batch, rate):
    """The running average that forgets where its centre was."""
    return jax.tree.map(lambda a, b: (1 - rate) * a + rate * b, running[0], batch[0])


@pytest.mark.long
@pytest.mark.parametrize("name", ["gaussian", "mixture", "factors"])
def test_online_em_averages_as_its_rate_says(name):
    """A running average of independent batches has rate / (2 - rate) of a batch's variance, a forgetful one half."""
    model, start = models()[name]
    batches = clouds(100 * 3000, seed=1).reshape(3000, 100, 2)

    def variance(rate, blend=vj.blend):
        path = jax.jit(partial(online, model, rate=rate, blend=blend))(start, batches)
        place = path.mu[500:, 0, 0] if name == "mixture" else jax.tree.leaves(path)[name == "factors"][500:, 0]
        return float(place.var())

    batch = variance(1.0)
    for rate in (0.1, 0.02):
        expected = rate / (2 - rate) * (1.5 if name == "mixture" else 1)  # of a mixture: and what its labels add
        assert 0.5 * expected < variance(rate) / batch < 2 * expected
    assert variance(0.1, forgetful) / batch > 0.3


def test_with_falling_rates_online_em_ends_at_the_maximum_likelihood():
    model, start = models()["factors"]
    xs = clouds(64 * 100)
    best = vj.em(model, start, xs, num_steps=500)[1][-1]

    def step(carry, inputs):
        running, params = carry
        batch, rate = inputs
        average = vj.blend(model, running, (vj.e_step(model, params, batch)[0], params), rate)
        return ((average, params), model.m_step(params, average)), None

    order = np.random.default_rng(0).permutation(np.tile(np.arange(len(xs)), 30))
    batches = xs[order].reshape(-1, 64, 2)
    rates = (2 + jnp.arange(len(batches), dtype=float)) ** -0.7
    first = (vj.e_step(model, start, batches[0])[0], start), start
    (_, params), _ = jax.jit(partial(jax.lax.scan, step))(first, (batches, rates))
    assert best - 1e-3 < vj.e_step(model, params, xs)[1] <= best + 1e-9


@pytest.mark.long
def test_a_chunk_is_no_part_of_the_result(monkeypatch):
    xs, (model, start) = clouds(1000), models()["mixture"]

    def posterior(params, x, key):
        label = jax.random.categorical(key, gmm.log_joints(params, x))
        return vj.Nodes(label[None], jnp.ones(1), jnp.zeros(1))

    drawn = model._replace(posterior=posterior)
    whole = vj.e_step(drawn, start, xs, KEY), vj.e_step(model, start, xs)
    for size in (2**12, 2**14):
        jax.clear_caches()
        monkeypatch.setitem(numerics.CHUNK_BYTES, "cpu", size)
        again = vj.e_step(drawn, start, xs, KEY), vj.e_step(model, start, xs)
        jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-12), again, whole)


def test_the_cache_of_a_cpu_is_not_imposed_on_an_accelerator(monkeypatch):
    assert 32 <= numerics.chunk_size(264, 10**6) <= 4096
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert numerics.chunk_size(264, 10**6) >= 250_000
    assert numerics.chunk_size(264, 1000) == 1000
    assert gmm_fast.prepare(np.zeros((2**16, 1)), None).weight.shape == (2, 2**15), "as (K, D, rows) must fit, too"


def test_sums_of_many_equal_terms_do_not_drift():
    term = jnp.float32(0.1) * jnp.ones(3, jnp.float32)
    zero = jnp.zeros(3, jnp.float32)
    add = lambda total, _: (numerics.kahan_add(total, term), None)
    (total, _), _ = jax.jit(lambda: jax.lax.scan(add, (zero, zero), length=1_000_000))()
    assert_close(total.astype(float) / (1e6 * np.float32(0.1).astype(float)), np.ones(3), atol=2e-7)


@pytest.mark.parametrize("row", [0, 60])  # of three chunks of 32: the last looks at row 60 again, with weight zero
def test_an_example_that_cannot_be_makes_the_bound_minus_infinity_in_any_number_of_chunks(monkeypatch, row):
    monkeypatch.setattr(numerics, "CHUNK_BYTES", {"cpu": 1})
    usual, xs = gaussian.GAUSSIAN, clouds(70)
    log_joint = lambda params, x, z: jnp.where(x[0] > 100, -jnp.inf, usual.log_joint(params, x, z))
    start, model = gaussian.init(xs), usual._replace(log_joint=log_joint)
    assert_close(vj.e_step(model, start, xs)[1], vj.e_step(usual, start, xs)[1])
    xs[row] = 101
    assert vj.e_step(model, start, xs)[1] == -np.inf


class WithoutHash:
    __hash__ = None

    def __call__(self, *args):
        return jnp.zeros(())


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (gaussian.GAUSSIAN._replace(posterior=lambda params, x, key: x), "the posterior returned .*: expected .*Nodes"),
        (gaussian.GAUSSIAN._replace(log_joint=WithoutHash()), "cannot be hashed"),
        (gaussian.GAUSSIAN._replace(statistics=None), "no statistics"),
        (gaussian.GAUSSIAN._replace(m_step=None), "no m_step"),
        ("GMM", "expected a vaejax.LatentModel"),
    ],
)
def test_a_model_that_will_not_do_is_told_in_a_sentence(model, says):
    xs = clouds(20)
    with pytest.raises(ValueError, match=says):
        vj.em(model, gaussian.init(xs), xs, num_steps=1)


@pytest.fixture(params=[7, 10], ids=["bfloat16", "TF32"])
def rounding(monkeypatch, request):
    """An accelerator that keeps so many bits of the operands of products, unless it is asked for full precision."""
    exact = jax.lax.dot_general

    def dot_general(lhs, rhs, *args, precision=None, **kwargs):
        if precision is None and jax.config.jax_default_matmul_precision is None and lhs.dtype == np.float32:
            lhs, rhs = (jax.lax.reduce_precision(a, 8, request.param) for a in (lhs, rhs))
        return exact(lhs, rhs, *args, precision=precision, **kwargs)

    jax.clear_caches()
    monkeypatch.setattr(jax._src.lax.lax, "dot_general", dot_general)
    with jax.default_matmul_precision(None), jax.enable_x64(False):
        yield request.param
    jax.clear_caches()


@pytest.mark.long
def test_an_accelerators_default_does_not_move_em(rounding):
    """Old Faithful and the questionnaire. Where sums are rounded, EM can end above the maximum likelihood."""
    thirds = jnp.full((8, 8), 1 / 3, jnp.float32)
    assert abs(float((thirds @ thirds)[0, 0]) * 9 / 8 - 1) > 2.0 ** -(rounding + 3)  # it does round
    people = data.load("bfi").xs
    people = people[~np.isnan(people).any(1)]
    for model, init, xs in (
        (gmm.GMM, lambda xs: gmm.init(xs, 2, KEY), data.load("old_faithful").xs),
        (lg.FACTOR_ANALYSIS, lambda xs: lg.init(xs, 5), people),
    ):
        with jax.enable_x64(True):
            _, exact = vj.em(model, init(xs.astype(float)), xs.astype(float), num_steps=20)
        for fast in (True, False):
            assert_close(vj.em(model, init(xs), xs, num_steps=20, fast=fast)[1], np.asarray(exact), atol=1e-4)
