import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import Mixture, assert_close, seeds
from scipy import stats
from scipy.integrate import dblquad
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

import vaejax as vj
from vaejax import gmm, gmm_fast, numerics


def random_params(rng, num_components, num_features):
    return gmm.GMMParams(*map(jnp.asarray, Mixture.random(rng, num_components, num_features)))


def random_problem(seed, num_examples=60, num_components=3, num_features=2):
    rng = np.random.default_rng(seed)
    centres = 3 * rng.standard_normal((num_components, num_features))
    xs = centres[rng.integers(num_components, size=num_examples)] + rng.standard_normal((num_examples, num_features))
    return xs, gmm.init(xs, num_components, jax.random.key(seed))


@jax.jit
def mean_log_prob(params, xs):
    return jax.vmap(gmm.log_prob, (None, 0))(params, xs).mean()


def covariances(params):
    return np.einsum("kij,klj->kil", params.scale_tril, params.scale_tril)


@given(seeds)
def test_density_posterior_and_labels_are_scipys(seed):
    rng = np.random.default_rng(seed)
    params, x = random_params(rng, 3, 2), 2 * rng.standard_normal(2)
    log_joint = Mixture(*map(np.asarray, params)).log_joint_all(x)
    assert_close(gmm.log_prob(params, x), logsumexp(log_joint))
    assert_close(gmm.responsibilities(params, x), np.exp(log_joint - logsumexp(log_joint)))
    assert gmm.predict(params, x) == log_joint.argmax()
    nodes = gmm.posterior(params, x, None)
    assert_close(vj.elbo(gmm.log_joint, params, x, nodes), logsumexp(log_joint), atol=1e-10)


def test_no_lapack_call_is_batched_over_the_examples():
    xs, params = random_problem(0, num_examples=1009)

    calls = re.findall(r"custom_call @lapack_.*", jax.jit(partial(vj.em_step, gmm.GMM)).lower(params, xs).as_text())
    batched = [call for call in calls if re.search(r"tensor<1009x\d+x", call)]
    assert calls and not batched, "two of these at once can deadlock: see gmm.log_joints"


def test_density_integrates_to_one():
    params = random_params(np.random.default_rng(0), 2, 2)
    density = jax.jit(lambda a, b: jnp.exp(gmm.log_prob(params, jnp.array([a, b]))))
    assert_close(dblquad(lambda b, a: float(density(a, b)), -15, 15, -15, 15, epsabs=1e-5)[0], 1.0, atol=1e-4)


def test_samples_have_the_mixtures_moments_and_shares():
    params = random_params(np.random.default_rng(1), 3, 2)
    xs, labels = gmm.sample(params, jax.random.key(0), 40_000)
    pi, mu, cov = np.exp(params.log_pi), np.asarray(params.mu), covariances(params)
    mean = pi @ mu
    total = np.einsum("k,kij->ij", pi, cov + np.einsum("ki,kj->kij", mu - mean, mu - mean))
    away = np.asarray(xs) - mean
    outer = np.einsum("ni,nj->nij", away, away)
    inside = np.asarray(xs) - mu[np.asarray(labels)]  # without the spread of the means, which is much larger
    within = np.einsum("ni,nj->nij", inside, inside), np.einsum("k,kij->ij", pi, cov)
    for draws, expected in ((np.asarray(xs), mean), (outer, total), within, (np.eye(3)[np.asarray(labels)], pi)):
        se = draws.std(0) / np.sqrt(len(draws))
        assert (np.abs(draws.mean(0) - expected) < 6 * se).all()


@pytest.mark.parametrize(("num_components", "num_features"), [(1, 1), (2, 2), (4, 3)])
def test_em_is_scikit_learns(num_components, num_features):
    """Same start, same steps, guard inactive."""
    xs, start = random_problem(5, 500, num_components, num_features)
    precisions = np.linalg.inv(covariances(start))
    theirs = GaussianMixture(
        num_components, reg_covar=0, tol=0, max_iter=30, weights_init=np.exp(start.log_pi),
        means_init=np.asarray(start.mu), precisions_init=precisions,
    )  # fmt: skip
    with pytest.warns(match="did not converge"):
        theirs.fit(xs)
    for fast in (True, False):
        ours, _ = vj.em(gmm.GMM, start, xs, num_steps=30, fast=fast)
        assert_close(mean_log_prob(ours, xs), theirs.score(xs), atol=1e-8)
        assert_close(np.exp(ours.log_pi), theirs.weights_, atol=1e-6)
        assert_close(ours.mu, theirs.means_, atol=1e-6)
        assert_close(covariances(ours), theirs.covariances_, atol=1e-6)


@cache
def fast_e_step(lost):
    """Compiled once, though each is traced where LOST_NATS has the value `lost`."""
    return jax.jit(lambda params, content: gmm_fast.e_step(params, content))


@pytest.mark.parametrize("stored", [gmm_fast.STORED_BYTES, 0])  # features stored, or built inside the scan
@given(seed=seeds, num_examples=st.sampled_from([60, 1100]))
def test_the_fast_averages_are_the_plain_ones(stored, seed, num_examples):
    xs, params = random_problem(seed, num_examples)
    params = params._replace(log_pi=params.log_pi + 3)  # off the simplex, as gradient ascent leaves it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gmm_fast, "STORED_BYTES", stored)
        patch.setitem(numerics.CHUNK_BYTES, "cpu", 2**12)  # so that the last of three chunks is filled up
        prepared = vj.prepare(gmm.GMM, xs)
    assert prepared.content.chunks.shape == (-(-num_examples // 512), 6 if stored else 2, min(num_examples, 512))
    plain = vj.e_step(gmm.GMM, params, xs)
    for lost in (gmm_fast.LOST_NATS, -1.0):  # expanded squares, or the precise form
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gmm_fast, "LOST_NATS", lost)
            fast = fast_e_step(lost)(params, prepared.content)
        jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-8), fast, plain)
    assert_close(plain[1], mean_log_prob(params, xs), atol=1e-8)


def test_the_averages_are_numpys():
    xs, params = random_problem(4)
    (resp, first, second), _ = vj.e_step(gmm.GMM, params, xs)
    r = np.asarray(jax.vmap(gmm.responsibilities, (None, 0))(params, xs))
    away = xs[:, None] - np.asarray(params.mu)
    assert_close(resp, r.mean(0))
    assert_close(first, np.einsum("nk,nki->ki", r, away) / len(xs))
    assert_close(second, np.einsum("nk,nki,nkj->kij", r, away, away) / len(xs))


@pytest.mark.parametrize("fast", [True, False])
def test_components_a_thousandth_as_wide_as_the_data_do_not_fall_in_float32(fast):
    rng = np.random.default_rng(0)
    xs = (rng.standard_normal((5, 4))[rng.integers(0, 5, 4000)] + 1e-3 * rng.standard_normal((4000, 4))).astype("f")
    with jax.enable_x64(False):
        _, history = vj.em(gmm.GMM, gmm.init(xs, 5, jax.random.key(0)), xs, num_steps=60, fast=fast)
    assert history.dtype == np.float32 and history[-1] > 15
    assert np.diff(history).min() > -1e-4  # as expanded squares it was 0.1 to 45 nats


@pytest.mark.long
def test_the_fast_path_keeps_up_in_float32():
    xs, start = random_problem(3, 2000, 4, 5)
    exact, exact_history = vj.em(gmm.GMM, start, xs, num_steps=50, fast=False)
    start32 = jax.tree.map(lambda p: p.astype(jnp.float32), start)
    got, history = vj.em(gmm.GMM, start32, xs.astype(np.float32), num_steps=50)
    assert got.mu.dtype == jnp.float32
    assert abs(history - exact_history).max() < 1e-4
    jax.tree.map(lambda a, b: assert_close(a, np.asarray(b, np.float32), atol=1e-3), got, exact)


@pytest.mark.double
def test_exact_em_never_lowers_the_log_likelihood_in_200_problems():
    for seed in range(200):
        xs, start = random_problem(seed)
        params, history = vj.em(gmm.GMM, start, xs, num_steps=30)
        assert np.diff(history).min() > -1e-9
        assert_close(vj.em(gmm.GMM, params, xs, num_steps=1)[1][0], mean_log_prob(params, xs))


@pytest.mark.long
def test_stale_responsibilities_do_lower_it():
    """The check above can fail: an M-step fed with another data set's nodes breaks it."""
    other, _ = random_problem(1)
    averages = lambda params: vj.e_step(gmm.GMM, params, jnp.asarray(other))[0]
    stale = gmm.GMM._replace(m_step=lambda params, T: gmm.m_step(params, averages(params)))
    xs, start = random_problem(0)
    best, _ = vj.em(gmm.GMM, start, xs, num_steps=200)
    _, history = vj.em(stale, best, xs, num_steps=2)
    assert np.diff(history).min() < -1e-3


@pytest.mark.long
@pytest.mark.double
def test_the_fixed_point_has_no_slope():
    xs, start = random_problem(2, 300)
    params, _ = vj.em(gmm.GMM, start, xs, num_steps=3000)
    slopes = jax.grad(lambda p: mean_log_prob(p._replace(log_pi=jax.nn.log_softmax(p.log_pi)), xs))(params)
    assert max(float(jnp.abs(jnp.tril(s) if s.ndim == 3 else s).max()) for s in slopes) < 1e-6


def collapsing():
    """A component that sits on one point, already nearly as narrow as that."""
    xs, _ = random_problem(4, 100, 1)
    start = gmm.GMMParams(jnp.log(jnp.array([0.5, 0.5])), jnp.stack([xs[0], xs.mean(0)]),
                          jnp.stack([0.05 * jnp.eye(2), 2 * jnp.eye(2)]))  # fmt: skip
    return xs, start


@pytest.mark.long
@pytest.mark.double
@pytest.mark.parametrize("fast", [True, False])
def test_the_guard_holds_a_collapsing_component_and_em_still_never_falls(fast):
    xs, start = collapsing()
    params, history = vj.em(gmm.make_gmm(min_variance=1e-4), start, xs, num_steps=200, fast=fast)
    assert np.diff(history).min() > -1e-9
    scale = np.linalg.cholesky(np.cov(xs.T, bias=True))
    white = np.linalg.solve(scale, np.linalg.solve(scale, covariances(params)[0]).T)
    assert_close(np.linalg.eigvalsh(white).min(), 1e-4, atol=1e-6)


def test_without_the_guard_the_likelihood_runs_away_and_em_says_so():
    xs, start = collapsing()
    with pytest.raises(FloatingPointError, match="collapsed"):
        vj.em(gmm.make_gmm(min_variance=0.0), start, xs, num_steps=200)


def test_the_guard_is_idle_on_ordinary_data():
    xs, start = random_problem(7, 300)
    guarded, _ = vj.em(gmm.GMM, start, xs, num_steps=50)
    bare, _ = vj.em(gmm.make_gmm(min_variance=0.0), start, xs, num_steps=50)
    jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-12), guarded, bare)


@pytest.mark.filterwarnings("error")
def test_doubles_of_numpy_are_read_as_the_floats_that_jax_has():
    params = gmm.GMMParams(np.log([0.25, 0.75]), np.zeros((2, 1)), np.ones((2, 1, 1)))
    with jax.enable_x64(False):
        assert_close(gmm.log_prob(params, np.zeros(1)), np.float32(-0.5 * np.log(2 * np.pi)))


def test_the_floor_keeps_its_digits_in_float32():
    """Components on three points each, in four dimensions: two directions are at the floor, a millionth of the rest."""
    xs = np.random.default_rng(0).standard_normal((12, 3, 4)).astype(np.float32)
    mu = xs.mean(1)
    away = xs - mu[:, None]
    T = np.full(12, np.float32(1 / 12)), np.zeros_like(mu), np.einsum("kni,knj->kij", away, away) / np.float32(36)
    start = gmm.GMMParams(np.log(T[0]), mu, np.tile(np.eye(4, dtype=np.float32), (12, 1, 1)))

    def log_dets(dtype):
        with jax.enable_x64(True):
            params, mean = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (start, T))
            tril = np.asarray(gmm.m_step(params, mean).scale_tril)
        assert tril.dtype == dtype and not np.triu(tril, 1).any()
        return np.log(np.diagonal(tril, axis1=1, axis2=2)).sum(1)

    np.testing.assert_allclose(log_dets(np.float32), log_dets(float), atol=1e-3)  # 0.04 nats off if it were squared


def test_make_gmm_gives_the_same_object_for_the_same_floor():
    assert gmm.make_gmm(min_variance=1e-3) is gmm.make_gmm(min_variance=1e-3)
    assert gmm.make_gmm(min_variance=1e-3) is not gmm.make_gmm(min_variance=1e-2)
    with pytest.raises(ValueError, match=r"min_variance is 1.5"):
        gmm.make_gmm(min_variance=1.5)
    assert gmm.make_gmm(1e-6) is gmm.make_gmm() is gmm.make_gmm(min_variance=1e-6) is gmm.GMM


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_units_do_not_matter(scale):
    xs, start = random_problem(8, 200)
    params, history = vj.em(gmm.GMM, start, xs, num_steps=20)
    scaled_start = gmm.init(scale * xs, 3, jax.random.key(8))
    scaled, scaled_history = vj.em(gmm.GMM, scaled_start, scale * xs, num_steps=20)
    assert_close(scaled.mu / scale, params.mu)
    assert_close(scaled_history + 2 * np.log(scale), history)


@pytest.mark.long
def test_sampled_labels_fit_the_same_m_step():
    """One sampled completion for each example: a noisy M-step with the right mean share."""
    xs, start = random_problem(9, 400)

    def posterior(params, x, key):
        label = jax.random.categorical(key, gmm.log_joints(params, x))
        return vj.Nodes(label[None], jnp.ones(1), jnp.zeros(1))

    sampled = gmm.GMM._replace(posterior=posterior, fast=None)
    params, history = vj.em(sampled, start, xs, num_steps=100, key=jax.random.key(0))
    assert np.isfinite(history).all() and np.diff(history).min() < 0  # it does fall now and then
    exact, _ = vj.em(gmm.GMM, start, xs, num_steps=100)
    assert abs(mean_log_prob(params, xs) - mean_log_prob(exact, xs)) < 0.1


def test_an_unused_component_stays_where_it_was():
    xs, start = random_problem(10)
    far = start._replace(mu=start.mu.at[0].set(1e6))
    for fast in (True, False):
        params, history = vj.em(gmm.GMM, far, xs, num_steps=5, fast=fast)
        assert_close(params.mu[0], np.full(2, 1e6))
        assert_close(params.scale_tril[0], far.scale_tril[0])
        assert np.isneginf(params.log_pi[0]) and np.isfinite(history).all()


@pytest.mark.double
@pytest.mark.parametrize("method", ["k-means++", "random"])
def test_init_starts_at_distinct_examples(method):
    xs = np.repeat(random_problem(11, 10)[0], 3, axis=0)
    params = gmm.init(xs, 10, jax.random.key(0), method=method)
    assert len(np.unique(np.asarray(params.mu), axis=0)) == 10
    assert {tuple(m) for m in np.asarray(params.mu)} == {tuple(x) for x in xs}
    assert_close(covariances(params)[3], np.cov(xs.T, bias=True))
    assert_close(np.exp(params.log_pi).sum(), 1.0)


def test_kmeans_plus_plus_spreads_its_means():
    """Two far clusters of ten: a random pair of means is in one cluster 9 times of 19, a careful one hardly ever."""
    xs = np.concatenate([np.random.default_rng(0).standard_normal((10, 2)) * 0.1 + c for c in ([0, 0], [9, 9])])
    apart = {
        method: sum(
            np.ptp((np.asarray(gmm.init(xs, 2, jax.random.key(s), method=method).mu) > 4)[:, 0].astype(int))
            for s in range(60)
        )
        for method in ("k-means++", "random")
    }
    assert apart["k-means++"] >= 55 and apart["random"] <= 50


def test_kmeans_plus_plus_squares_the_distance():
    """Of 0, 1 and 10 it takes the near pair with probability (1 / 101 + 1 / 82) / 3: once or twice in 200."""
    xs = np.array([[0.0], [1.0], [10.0]])
    near = sum(np.ptp(np.asarray(gmm.init(xs, 2, jax.random.key(s)).mu)) == 1 for s in range(200))
    assert near <= 7  # not squared, it would be 13 of 200


@pytest.mark.parametrize("method", ["k-means++", "random"])
def test_the_units_of_a_feature_do_not_matter_to_init(method):
    xs, units = random_problem(12, 50)[0], np.array([1e9, 1e-9])
    for seed in range(5):
        plain, scaled = (gmm.init(u * xs, 4, jax.random.key(seed), method=method) for u in (np.ones(2), units))
        assert_close(np.asarray(scaled.mu) / units, plain.mu)
        assert_close(np.asarray(scaled.scale_tril) / units[:, None], plain.scale_tril)


def bad(**change):
    xs, start = random_problem(0)
    return start._replace(**change), xs


NAN = np.full((4, 2), np.nan)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: gmm.init(random_problem(0)[0], 0, jax.random.key(0)), "num_components is 0"),
        (lambda: gmm.init(random_problem(0)[0], 61, jax.random.key(0)), "only 60 distinct"),
        (lambda: gmm.init(np.repeat(random_problem(0)[0][:4], 9, 0), 5, jax.random.key(0)), "only 4 distinct"),
        (lambda: gmm.init(random_problem(0)[0], 2, jax.random.key(0), method="pca"), "method is"),
        (lambda: gmm.init(NAN, 2, jax.random.key(0)), "gaussian.GAUSSIAN"),
        (lambda: gmm.init(np.ones((5, 2)), 2, jax.random.key(0)), "feature 0 is the same in all 5"),
        (lambda: gmm.init(np.float32([[17e8], [17e8 + 200]]), 1, jax.random.key(0)), "but not in float32, take off"),
        (lambda: gmm.init(np.arange(8.0).reshape(4, 2), 2, jax.random.key(0)), "rank 1"),
        (lambda: gmm.init(np.ones((1, 2)), 1, jax.random.key(0)), "the same in all 1"),
        (lambda: gmm.init(np.ones(5), 1, jax.random.key(0)), r"\(N, D\)"),
        (lambda: vj.em(gmm.GMM, *bad(log_pi=jnp.zeros(3)), num_steps=1), "sum to 3: expected 1"),
        (lambda: vj.em(gmm.GMM, *bad(log_pi=jnp.full(3, np.log(0.3))), num_steps=1), "sum to 0.9: expected 1"),
        (lambda: vj.em(gmm.GMM, *bad(scale_tril=jnp.tile(-jnp.eye(2), (3, 1, 1))), num_steps=1), "singular"),
        (
            lambda: vj.em(gmm.GMM, *bad(scale_tril=jnp.tile(jnp.eye(2).at[1, 0].set(jnp.inf), (3, 1, 1))), num_steps=1),
            "NaN, infinity",
        ),
        (lambda: gmm.make_gmm(min_variance=-1e-3), "min_variance is -0.001"),
        (lambda: vj.em(gmm.GMM, *bad(mu=jnp.zeros((3, 5))), num_steps=1), r"expected \(K,\), \(K, D\)"),
        (lambda: vj.em(gmm.GMM, *bad(scale_tril=jnp.zeros((3, 2, 2))), num_steps=1), "singular"),
        (lambda: vj.em(gmm.GMM, *bad(mu=jnp.full((3, 2), jnp.nan)), num_steps=1), "NaN, infinity"),
        (lambda: vj.em(gmm.GMM, random_problem(0)[1], NAN, num_steps=1), "gaussian.GAUSSIAN"),
        (lambda: vj.mean_bound(gmm.GMM, random_problem(0)[1], NAN, None), "gaussian.GAUSSIAN"),
        (lambda: vj.em(gmm.GMM, random_problem(0)[1], np.ones((9, 2), int), num_steps=1), "expected float32"),
    ],
)
def test_bad_input_is_refused_with_advice(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("fast", [True, False])
def test_examples_far_from_every_component_keep_their_digits(fast):
    xs = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    narrow = gmm.GMMParams(jnp.log(jnp.full(2, 0.5)), jnp.array([[-1.0], [1.0]]), jnp.full((2, 1, 1), 0.01))
    _, history = vj.em(gmm.GMM, narrow, xs, num_steps=1, fast=fast)
    density = np.logaddexp(*(stats.norm.logpdf(xs[:, 0], mean, 0.01) for mean in (-1, 1))) + np.log(0.5)
    assert_close(history[0], density.mean(), atol=1e-6)  # -20,000 nats for the outer two


@pytest.mark.long
@pytest.mark.parametrize("fast", [True, False])
def test_float32_data_far_from_zero_keep_their_digits(fast):
    rng = np.random.default_rng(0)
    xs = (np.concatenate([rng.normal(-3, 1, (18_000, 2)), rng.normal(3, 1, (12_000, 2))]) + 1e4).astype(np.float32)
    start = gmm.init(xs, 2, jax.random.key(0))
    (near, heights), (exact, exact_heights) = (
        vj.em(gmm.GMM, s, x, num_steps=30, fast=fast)
        for s, x in ((start, xs), (jax.tree.map(lambda leaf: leaf.astype(float), start), xs.astype(float)))
    )
    assert np.abs(near.mu.astype(float) - exact.mu).max() < 4 * np.spacing(np.float32(1e4))
    assert_close(near.scale_tril, exact.scale_tril, atol=3e-3)
    assert_close(heights[-1], exact_heights[-1], atol=1e-3)


def test_what_is_no_label_has_no_density():
    params = gmm.GMMParams(jnp.log(jnp.array([0.3, 0.7])), jnp.zeros((2, 1)), jnp.ones((2, 1, 1)))
    found = [gmm.log_joint(params, jnp.zeros(1), z) for z in (-1, 0, 1, 2)]
    assert_close(found[1:3], np.log([0.3, 0.7]) + stats.norm.logpdf(0))
    assert np.isnan([found[0], found[3]]).all()


def test_what_is_a_combination_but_for_rounding_is_refused():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([2, 3, 4], 300).astype(np.float32)  # each row adds up to one
    three = rng.standard_normal((300, 3)).astype(np.float32)
    with_total = np.column_stack([three, three.sum(1)])
    for xs in (shares, with_total, shares + 100):
        with pytest.raises(ValueError, match="has rank"):
            gmm.init(xs, 2, jax.random.key(0))
    refused = 0
    for seed in range(10):  # whether the covariance of float32 has a Cholesky factor is left to its rounding
        one, other = np.random.default_rng(seed).standard_normal((2, 300)).astype(np.float32)
        try:
            start = gmm.init(np.column_stack([one, one + 1e-4 * other]), 2, jax.random.key(0))
            assert np.isfinite(start.scale_tril).all()
        except ValueError as error:
            assert "in float32 the features cannot be told from combinations" in str(error)
            refused += 1
    assert refused > 0
    fine = np.column_stack([three[:, 0], three[:, 0] + 0.01 * three[:, 1]])
    assert np.isfinite(gmm.init(fine, 2, jax.random.key(0)).scale_tril).all()
