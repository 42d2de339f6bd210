import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import assert_close, seeds
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA, FactorAnalysis

import vaejax as vj
from vaejax import linear_gaussian as lg
from vaejax.pca import CHUNK, mean_and_cov

SHAPES = [(50, 4), (5, 12), (7, 7)]


def cloud(seed, num_examples, num_features):
    rng = np.random.default_rng(seed)
    stretch = np.geomspace(3, 0.3, num_features)
    turn = np.linalg.qr(rng.standard_normal((num_features, num_features)))[0]
    return rng.standard_normal((num_examples, num_features)) * stretch @ turn + rng.standard_normal(num_features)


def mean_squared_distance(xs, W):
    centred = xs - xs.mean(0)
    return ((centred - centred @ W @ np.linalg.pinv(W)) ** 2).sum(1).mean()


@pytest.mark.parametrize("shape", SHAPES)
@given(seed=seeds)
def test_pca_is_scikit_learns(shape, seed):
    xs = cloud(seed, *shape)
    params, oracle = lg.pca(xs, 3), PCA(3, svd_solver="full").fit(xs)
    assert_close(params.mean, xs.mean(0))
    assert_close(params.variances, oracle.explained_variance_ * (len(xs) - 1) / len(xs))
    assert subspace_angles(np.asarray(params.W), oracle.components_.T).max() < 1e-5
    for column, component in zip(params.W.T, oracle.components_, strict=True):
        assert_close(abs(column @ component), 1.0)
        assert column[jnp.abs(column).argmax()] > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_columns_are_orthonormal_and_residuals_stand_on_them(shape):
    xs = cloud(0, *shape)
    params = lg.pca(xs, 3)
    assert_close(params.W.T @ params.W, np.eye(3))
    shadows = jax.vmap(lg.reconstruct, (None, 0))(params, xs)
    assert_close((xs - shadows) @ params.W, np.zeros((len(xs), 3)))
    coordinates = jax.vmap(lg.project, (None, 0))(params, xs)
    assert_close(coordinates.T @ coordinates / len(xs), np.diag(params.variances))
    assert_close(shadows, params.mean[None] + coordinates @ params.W.T)


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_lost_is_the_sum_of_the_dropped_eigenvalues(shape):
    xs = cloud(1, *shape)
    eigenvalues = np.linalg.eigvalsh(np.cov(xs.T, bias=True))
    lost = mean_squared_distance(xs, lg.pca(xs, 2).W)
    assert_close(lost, np.sort(eigenvalues)[:-2].sum(), atol=1e-8)


@given(seeds)
def test_no_random_plane_is_nearer(seed):
    xs = cloud(seed, 40, 5)
    best = mean_squared_distance(xs, lg.pca(xs, 2).W)
    planes = np.random.default_rng(seed).standard_normal((40, 5, 2))
    assert min(mean_squared_distance(xs, plane) for plane in planes) >= best


@given(seeds, st.integers(1, 4))
def test_turning_and_shifting_the_data_turns_and_shifts_the_plane(seed, num_latents):
    xs, rng = cloud(seed, 30, 4), np.random.default_rng(seed)
    turn, shift = np.linalg.qr(rng.standard_normal((4, 4)))[0], rng.standard_normal(4)
    plain, moved = lg.pca(xs, num_latents), lg.pca(xs @ turn.T + shift, num_latents)
    assert_close(moved.mean, turn @ plain.mean + shift)
    assert_close(moved.variances, plain.variances)
    assert_close(moved.W @ moved.W.T, turn @ plain.W @ plain.W.T @ turn.T)


@pytest.mark.parametrize("shape", [(30, 6), (4, 20)])
def test_data_of_low_rank_fill_up_with_directions_of_variance_zero(shape):
    rng = np.random.default_rng(3)
    xs = rng.standard_normal((shape[0], 2)) @ rng.standard_normal((2, shape[1]))
    params = lg.pca(xs, 4)
    assert_close(params.variances[2:], np.zeros(2), atol=1e-12)
    assert_close(params.W.T @ params.W, np.eye(4), atol=1e-8)
    assert_close(jax.vmap(lg.reconstruct, (None, 0))(params, xs), xs, atol=1e-7)


def test_no_variance_is_negative():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        xs = rng.standard_normal((30, 1)) @ rng.standard_normal((1, 6))
        assert (lg.pca(xs, 6).variances >= 0).all()


def test_with_fewer_examples_than_features_no_matrix_is_features_by_features():
    xs = np.random.default_rng(0).standard_normal((3, 300_000)).astype(np.float32)  # such a matrix: 360 GB
    centred = xs.astype(float) - xs.mean(0, dtype=float)
    assert_close(lg.pca(xs, 2).variances.sum() / (centred**2).sum() * 3, 1, atol=1e-4)


@given(seeds)
def test_mean_and_covariance_by_chunks_are_numpys(seed):
    xs = 1e4 + cloud(seed, CHUNK + 300, 3)
    for table in (xs, jnp.asarray(xs)):
        mean, cov = mean_and_cov(table)
        assert_close(mean, xs.mean(0), atol=1e-8)
        assert_close(cov, np.cov(xs.T, bias=True), atol=1e-7)
    assert_close(jax.jit(mean_and_cov)(xs)[1], np.cov(xs.T, bias=True), atol=1e-7)
    with pytest.MonkeyPatch.context() as patch:  # as on an accelerator
        patch.setattr("vaejax.doors.is_on_one_cpu", lambda xs: False)
        assert_close(mean_and_cov(xs)[1], np.cov(xs.T, bias=True), atol=1e-7)
    single = mean_and_cov(xs.astype(np.float32))[1]
    assert single.dtype == np.float32
    assert_close(single, np.cov(xs.astype(np.float32).astype(float).T, bias=True), atol=1e-2)


@given(seeds)
def test_the_bound_of_a_summary_is_the_mean_log_marginal(seed):
    xs = 3 + cloud(seed, 30, 5)
    params, prepared = lg.init(xs, 2)._replace(b=jnp.arange(5.0)), vj.prepare(lg.PPCA, xs)
    by_example = jax.value_and_grad(lambda p: jax.vmap(lg.log_marginal, (None, 0))(p, xs).mean())(params)
    by_summary = jax.value_and_grad(lambda p: vj.e_step(lg.PPCA, p, prepared)[1])(params)
    jax.tree.map(assert_close, by_summary, by_example)


def test_what_is_prepared_stands_for_the_data_from_the_start_to_the_fit():
    xs = cloud(1, 200, 5)
    prepared = vj.prepare(lg.FACTOR_ANALYSIS, xs)
    jax.tree.map(assert_close, lg.ppca_mle(prepared, 2), lg.ppca_mle(xs, 2))
    start = lg.init(prepared, 2)
    jax.tree.map(assert_close, start, lg.init(xs, 2))
    short, long = (vj.em(lg.FACTOR_ANALYSIS, start, data, num_steps=20) for data in (prepared, xs))
    jax.tree.map(assert_close, short, long)
    with pytest.raises(ValueError, match="at most one less than min"):
        lg.ppca_mle(prepared, 5)
    with pytest.raises(ValueError, match="beside examples of 5 features"):
        vj.em(lg.FACTOR_ANALYSIS, lg.init(cloud(0, 20, 4), 2), prepared, num_steps=1)


@pytest.mark.parametrize("fast", [True, False])
def test_noise_of_a_thousandth_does_not_make_float32_fall(fast):
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((5000, 3)) @ rng.standard_normal((3, 10)) + 1e-3 * rng.standard_normal((5000, 10)) + 1
    with jax.enable_x64(False):
        xs = xs.astype(np.float32)
        _, history = vj.em(lg.FACTOR_ANALYSIS, lg.init(xs, 3), xs, num_steps=100, fast=fast)
    assert history.dtype == np.float32 and history[-1] > 25
    assert np.diff(history).min() > -1e-4  # with e'e - explained it was 0.05 and 2 nats


def test_a_root_of_float32_alone_would_lose_small_noise():
    rng = np.random.default_rng(0)
    xs = (rng.standard_normal((3000, 2)) @ rng.standard_normal((2, 6)) + 1e-3 * rng.standard_normal((3000, 6))).astype(
        "f"
    )
    with jax.enable_x64(False):
        root = np.asarray(lg.summarize(xs).root, float)
    exact = np.cov(xs.astype(float).T, bias=True)
    assert_close(np.linalg.eigvalsh(root @ root.T)[:4] / np.linalg.eigvalsh(exact)[:4], np.ones(4), atol=1e-2)


def test_a_constant_feature_has_no_weight():
    xs = cloud(4, 30, 3)
    xs[:, 1] = 5.0
    params = lg.pca(xs, 2)
    assert_close(params.W[1], np.zeros(2))
    assert_close(params.mean[1], 5.0)


def test_float32_stays_float32():
    params = lg.pca(cloud(0, 50, 4).astype(np.float32), 2)
    assert {leaf.dtype for leaf in params} == {np.dtype("float32")}


@pytest.mark.double
@given(seeds)
def test_als_never_gets_worse_and_ends_on_the_pca_plane(seed):
    xs = cloud(seed, 60, 5)
    W, losses = lg.als(xs, 2, 200, jax.random.key(seed))
    assert (np.diff(losses) <= 1e-10).all()
    best = lg.pca(xs, 2)
    assert_close(losses[-1], mean_squared_distance(xs, best.W), atol=1e-6)
    assert subspace_angles(np.asarray(W), np.asarray(best.W)).max() < 1e-3


def test_als_shrinks_the_angle_at_the_ratio_of_the_eigenvalues_and_the_excess_at_its_square():
    xs = cloud(0, 200, 5)
    spectrum = np.sort(np.linalg.eigvalsh(np.cov(xs.T, bias=True)))[::-1]
    ratio, best = spectrum[2] / spectrum[1], np.asarray(lg.pca(xs, 2).W)
    early, late = (np.asarray(lg.als(xs, 2, n, jax.random.key(1))[0]) for n in (7, 10))
    angle = [np.tan(subspace_angles(W, best).max()) for W in (early, late)]
    assert_close((angle[1] / angle[0]) ** (1 / 3), ratio, atol=5e-3)
    excess = [mean_squared_distance(xs, W) - spectrum[2:].sum() for W in (early, late)]
    assert_close((excess[1] / excess[0]) ** (1 / 3), ratio**2, atol=1e-2)


def test_als_counts_its_loss_after_both_halves_of_a_step():
    xs = cloud(2, 20, 3)
    W, losses = lg.als(xs, 1, 1, jax.random.key(0))
    start = jax.random.normal(jax.random.key(0), (3, 1))
    centred = xs - xs.mean(0)
    Z = np.linalg.lstsq(start, centred.T, rcond=None)[0].T
    fit = np.linalg.lstsq(Z, centred, rcond=None)[0].T
    assert_close(W, fit)
    assert_close(losses, [((centred - Z @ fit.T) ** 2).sum(1).mean()])


GOOD = cloud(0, 10, 4)


@pytest.mark.parametrize(
    ("xs", "num_latents", "words"),
    [
        (GOOD, 0, "num_latents is 0: expected a whole number of at least 1"),
        (GOOD, 5, "num_latents is 5, but xs"),
        (GOOD[:3], 4, "at most 3 dimensions"),
        (GOOD, 2.0, "expected a whole number"),
        (GOOD[:1], 1, "at least two examples"),
        (GOOD[0], 1, "expected \\(N, D\\)"),
        (np.where(GOOD > 1, np.nan, GOOD), 2, "NaN or infinite"),
        (GOOD.astype(int), 2, "expected float32 or float64"),
        (GOOD.tolist(), 2, "numpy.asarray"),
        (GOOD[:0], 2, "at least one example"),
    ],
)
def test_bad_input_is_refused_with_advice(xs, num_latents, words):
    with pytest.raises(ValueError, match=words):
        lg.pca(xs, num_latents)
    with pytest.raises(ValueError, match=words):
        lg.als(xs, num_latents, 3, jax.random.key(0))


def test_als_wants_a_step():
    with pytest.raises(ValueError, match="num_steps is 0"):
        lg.als(GOOD, 2, 0, jax.random.key(0))


def random_params(rng, num_features, num_latents):
    loadings = rng.standard_normal((num_features, num_latents))
    return lg.LinearGaussianParams(
        *map(jnp.asarray, (loadings, rng.standard_normal(num_features), rng.normal(-1, 0.5, num_features)))
    )


def covariance(params):
    return np.asarray(params.W @ params.W.T + jnp.diag(jnp.exp(params.log_psi)))


def mean_log_marginal(params, xs):
    return jax.vmap(lg.log_marginal, (None, 0))(params, xs).mean()


def problem(seed, num_examples=60, num_features=5, num_latents=2, share_missing=0.0):
    rng = np.random.default_rng(seed)
    params = random_params(rng, num_features, num_latents)
    xs = np.asarray(lg.sample(params, jax.random.key(seed), num_examples)[0])
    return np.where(rng.random(xs.shape) < share_missing, np.nan, xs), rng


@given(seeds)
def test_marginal_and_posterior_are_those_of_the_dense_gaussian(seed):
    rng = np.random.default_rng(seed)
    params, x = random_params(rng, 5, 2), rng.standard_normal(5)
    dense = covariance(params)
    assert_close(lg.log_marginal(params, x), multivariate_normal(params.b, dense).logpdf(x), atol=1e-8)
    mean, cov = lg.posterior_moments(params, x)
    gain = params.W.T @ np.linalg.inv(dense)
    assert_close(mean, gain @ (x - params.b), atol=1e-8)
    assert_close(cov, np.eye(2) - gain @ params.W, atol=1e-8)
    nodes = lg.posterior(params, x, None)
    assert_close(vj.elbo(lg.log_joint, params, x, nodes), lg.log_marginal(params, x), atol=1e-8)
    assert_close(vj.iw_bound(lg.log_joint, params, x, nodes), lg.log_marginal(params, x), atol=1e-8)


@pytest.mark.long
@pytest.mark.parametrize("num_latents", [1, 2])
def test_marginal_is_the_integral(num_latents):
    rng = np.random.default_rng(0)
    params, x = random_params(rng, 3, num_latents), rng.standard_normal(3)
    mean, cov = lg.posterior_moments(params, x)
    nodes = vj.quadrature_nodes(mean, 1.3 * jnp.linalg.cholesky(cov), 60)
    assert_close(vj.iw_bound(lg.log_joint, params, x, nodes), lg.log_marginal(params, x), atol=1e-8)


@given(seeds)
def test_missing_entries_are_summed_out(seed):
    rng = np.random.default_rng(seed)
    params, x = random_params(rng, 5, 2), rng.standard_normal(5)
    seen = np.array([True, False, True, True, False])
    dense, holed = covariance(params), np.where(seen, x, np.nan)
    expected = multivariate_normal(params.b[seen], dense[np.ix_(seen, seen)]).logpdf(x[seen])
    assert_close(vj.elbo(lg.log_joint, params, holed, lg.posterior(params, holed, None)), expected, atol=1e-8)
    slope = dense[np.ix_(~seen, seen)] @ np.linalg.inv(dense[np.ix_(seen, seen)])
    filled = lg.impute(params, holed)
    assert_close(filled[seen], x[seen])
    assert_close(filled[~seen], params.b[~seen] + slope @ (x[seen] - params.b[seen]), atol=1e-8)


@pytest.mark.parametrize("shared_noise", [False, True])
@given(seed=seeds)
def test_the_m_step_is_a_weighted_regression_on_the_completions(seed, shared_noise):
    xs, rng = problem(seed)
    zs, weight = rng.standard_normal((60, 4, 2)), rng.dirichlet(np.ones(4), 60)
    nodes, params = vj.Nodes(jnp.asarray(zs), jnp.asarray(weight), jnp.zeros((60, 4))), random_params(rng, 5, 2)
    each = jax.vmap(lg.statistics, (None, 0, 0))(params, xs, nodes)
    params = lg.m_step(params, jax.tree.map(lambda leaf: leaf.mean(0), each), shared_noise)
    root = np.sqrt(weight).ravel()
    design = np.column_stack([zs.reshape(-1, 2), np.ones(root.size)]) * root[:, None]
    target = np.repeat(xs, 4, 0) * root[:, None]
    coef = np.linalg.lstsq(design, target, rcond=None)[0]
    assert_close(np.column_stack([params.W, params.b]), coef.T)
    squares = ((target - design @ coef) ** 2).sum(0) / 60
    assert_close(jnp.exp(params.log_psi), np.full(5, squares.mean()) if shared_noise else squares)


@pytest.mark.double
def test_a_missing_entry_counts_as_what_the_model_makes_of_it():
    """E[e y'] and E[e^2] of draws of the missing entry itself, beside what `statistics` says of a hole."""
    rng = np.random.default_rng(0)
    params, x = random_params(rng, 3, 2), np.array([0.3, np.nan, -1.0])
    mean, cov = lg.posterior_moments(params, x)
    z = rng.multivariate_normal(mean, cov, 200_000)
    noise = np.exp(0.5 * np.asarray(params.log_psi)[1]) * rng.standard_normal(len(z))
    filled = np.tile(x, (len(z), 1))
    filled[:, 1] = z @ np.asarray(params.W)[1] + np.asarray(params.b)[1] + noise
    error = filled - z @ np.asarray(params.W).T - np.asarray(params.b)
    y = np.column_stack([z, np.ones(len(z))])
    draws = np.einsum("ni,nj->nij", error, y), error**2
    for each, got in zip(draws, lg.statistics(params, x, lg.posterior(params, x, None))[1:], strict=True):
        assert (np.abs(each.mean(0) - got) < 6 * each.std(0) / np.sqrt(len(z)) + 1e-9).all()


@given(seeds)
def test_init_is_ppca_after_filling_with_column_means(seed):
    xs, _ = problem(seed, share_missing=0.2)
    xs = xs + 10
    start = lg.init(xs, 2)
    filled = np.where(np.isnan(xs), np.nanmean(xs, 0)[None], xs)
    values, vectors = np.linalg.eigh(np.cov(filled.T, bias=True))
    psi = values[:3].mean()
    assert_close(start.b, np.nanmean(xs, 0))
    assert_close(start.log_psi, np.full(5, np.log(psi)))
    assert_close(start.W @ start.W.T, (vectors[:, 3:] * (values[3:] - psi)) @ vectors[:, 3:].T)


def test_init_stays_in_float32_with_missing_entries():
    start = lg.init(problem(0, share_missing=0.2)[0].astype(np.float32), 2)
    assert {leaf.dtype for leaf in start} == {np.dtype("float32")}


def test_init_warns_from_the_first_loading_too_many_and_not_before():
    xs = cloud(1, 4, 20)
    assert lg.init(xs, 3).W.shape == (20, 3)
    with pytest.warns(UserWarning, match="4 latents for 20 features and 4 examples: 3 latents can fit"):
        start = lg.init(xs, 4)
    assert_close(start.W[:, 3], np.zeros(20))
    assert (jnp.abs(start.W[:, :3]).max(0) > 0).all()


def test_ppca_on_one_line_stops_at_the_floor_and_stays_there():
    xs = np.random.default_rng(0).standard_normal((30, 1)) * np.array([[1.0, 2.0, 10.0, 0.1]])
    floor = lg.NOISE_FLOOR * xs.var(0).max()
    closed = lg.ppca_mle(xs, 2)
    assert_close(closed.W @ closed.W.T, np.cov(xs.T, bias=True), atol=1e-4)
    for params in (closed, *(vj.em(lg.PPCA, closed, xs, num_steps=2, fast=fast)[0] for fast in (True, False))):
        assert_close(params.log_psi, np.full(4, np.log(floor)))


def test_data_without_any_variance_are_refused():
    with pytest.raises(ValueError, match="all 10 examples are the same"):
        lg.init(np.full((10, 3), 7.0), 1)


def test_samples_have_the_models_moments():
    params = random_params(np.random.default_rng(0), 4, 2)
    xs, zs = lg.sample(params, jax.random.key(0), 40_000)
    se = np.sqrt(np.diag(covariance(params)) / len(xs))
    assert (abs(xs.mean(0) - params.b) < 6 * se).all()
    spread = np.outer(np.diag(covariance(params)), np.diag(covariance(params)))
    assert (abs(np.cov(xs.T) - covariance(params)) < 6 * np.sqrt(2 * spread / len(xs))).all()
    assert_close(np.cov(xs.T, zs.T)[:4, 4:], np.asarray(params.W), atol=0.1)


@given(seeds)
def test_the_noise_of_a_sample_knows_nothing_of_its_latents(seed):
    params = random_params(np.random.default_rng(seed), 3, 3)
    xs, zs = lg.sample(params, jax.random.key(seed), 1000)
    noise = np.asarray(xs) - np.asarray(zs) @ np.asarray(params.W).T - np.asarray(params.b)
    assert abs(np.corrcoef(noise.T, zs.T)[:3, 3:]).max() < 0.25  # eight standard errors


@pytest.mark.long
@pytest.mark.parametrize("model", [lg.FACTOR_ANALYSIS, lg.PPCA], ids=["fa", "ppca"])
@given(seed=seeds)
def test_the_fast_step_is_the_textbook_step(model, seed):
    xs, rng = problem(seed)
    start = random_params(rng, 5, 2)
    if model is lg.PPCA:
        start = start._replace(log_psi=jnp.full(5, -0.5))
    # an odd number of steps: a wrong sign in the update of b would cancel in an even one
    fast, slow = (vj.em(model, start, xs, num_steps=5, fast=fast) for fast in (True, False))
    assert_close(fast[1], slow[1], atol=1e-8)
    for a, b in zip(fast[0], slow[0], strict=True):
        assert_close(a, b, atol=1e-8)


@pytest.mark.long
def test_the_fast_path_keeps_up_in_float32():
    xs, rng = problem(0, num_examples=500, num_features=20, num_latents=4)
    xs = (1000 + 5 * xs).astype(np.float32)
    start = lg.init(xs, 4)
    (_, fast), (_, slow) = (vj.em(lg.FACTOR_ANALYSIS, start, xs, num_steps=30, fast=f) for f in (True, False))
    double = vj.em(lg.FACTOR_ANALYSIS, jax.tree.map(np.float64, start), xs.astype(float), num_steps=30, fast=False)[1]
    assert_close(fast, np.asarray(double), atol=1e-3)
    assert_close(slow, np.asarray(double), atol=1e-3)


@pytest.mark.parametrize("share_missing", [0.0, 0.2])
@pytest.mark.parametrize("model", [lg.FACTOR_ANALYSIS, lg.PPCA], ids=["fa", "ppca"])
def test_em_never_lowers_the_log_likelihood_in_200_problems(model, share_missing):
    for seed in range(50):
        xs, rng = problem(seed, share_missing=share_missing)
        xs[0] = rng.standard_normal(5)
        start = random_params(rng, 5, 2)._replace(log_psi=jnp.full(5, 0.3))
        history = vj.em(model, start, xs, num_steps=25, fast=share_missing == 0)[1]
        assert np.diff(history).min() > -1e-9


@pytest.mark.long
@pytest.mark.parametrize("share_missing", [0.0, 0.2])
def test_the_fixed_point_has_no_slope(share_missing):
    xs, _ = problem(1, num_examples=300, num_latents=1, share_missing=share_missing)
    params, _ = vj.em(
        lg.FACTOR_ANALYSIS,
        lg.init(xs, 1),
        xs,
        num_steps=20_000 if share_missing == 0 else 4000,
        fast=share_missing == 0,
    )

    def mean_log_p(params):  # by scipy's route: the dense marginal of what was observed
        dense = params.W @ params.W.T + jnp.diag(jnp.exp(params.log_psi))
        seen = ~jnp.isnan(xs)
        both = seen[:, :, None] & seen[:, None]
        cov = jnp.where(both, dense[None], jnp.eye(5)[None])
        error = jnp.where(seen, xs - params.b[None], 0)
        quadratic = jnp.einsum("ni,nij,nj->n", error, jnp.linalg.inv(cov), error)
        return -0.5 * (quadratic + jnp.linalg.slogdet(cov)[1]).mean()

    for slope in jax.grad(mean_log_p)(params):
        assert_close(slope, np.zeros(slope.shape), atol=1e-5)


@pytest.mark.long
def test_factor_analysis_is_scikit_learns():
    xs, _ = problem(2, num_examples=300, num_features=8, num_latents=2)
    oracle = FactorAnalysis(2, tol=1e-12, max_iter=20_000, svd_method="lapack").fit(xs)
    params, _ = vj.em(lg.FACTOR_ANALYSIS, lg.init(xs, 2), xs, num_steps=5000)
    assert_close(mean_log_marginal(params, xs), oracle.score(xs), atol=1e-6)
    assert_close(np.exp(params.log_psi), oracle.noise_variance_, atol=1e-3)


@pytest.mark.long
def test_ppca_by_em_reaches_the_closed_form_and_that_is_a_summit():
    xs, rng = problem(3, num_examples=200)
    closed = lg.ppca_mle(xs, 2)
    start = random_params(rng, 5, 2)._replace(log_psi=jnp.zeros(5))
    climbed, history = vj.em(lg.PPCA, start, xs, num_steps=5000)
    assert_close(history[-1], mean_log_marginal(closed, xs), atol=1e-8)
    assert_close(climbed.W @ climbed.W.T, closed.W @ closed.W.T, atol=1e-4)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(xs.T, bias=True)))
    assert_close(jnp.exp(closed.log_psi), np.full(5, eigenvalues[:3].mean()))


def test_without_noise_the_posterior_is_the_shadow():
    xs, _ = problem(4)
    plane = lg.pca(xs, 2)
    model = lg.LinearGaussianParams(plane.W, plane.mean, jnp.full(5, jnp.log(1e-10)))
    for x in xs[:5]:
        mean, cov = lg.posterior_moments(model, x)
        assert_close(mean, lg.project(plane, x), atol=1e-6)
        assert_close(cov, np.zeros((2, 2)), atol=1e-6)


@given(seeds)
def test_varimax_rotates_and_no_small_turn_is_better(seed):
    W = np.random.default_rng(seed).standard_normal((8, 3))
    turned, R = lg.varimax(jnp.asarray(W), num_steps=500)
    assert_close(R @ R.T, np.eye(3), atol=1e-8)
    assert_close(turned, W @ R)
    criterion = lambda W: (np.asarray(W) ** 2).var(0).sum()
    assert criterion(turned) >= criterion(W) - 1e-9
    for i, j in [(0, 1), (0, 2), (1, 2)]:
        for angle in (-0.02, 0.02):
            turn = np.eye(3)
            turn[[i, i, j, j], [i, j, i, j]] = [np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)]
            assert criterion(turned @ turn) <= criterion(turned) + 1e-7


@pytest.mark.parametrize("angle", [np.pi / 4, 0.3, -2.0])
def test_varimax_turns_a_simple_structure_back(angle):
    simple = np.array([[1.0, 0], [2, 0], [0, 1], [0, 3]])
    turned, _ = lg.varimax(simple @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))
    assert_close(np.abs(turned @ turned.T), np.abs(simple @ simple.T), atol=1e-9)
    assert_close(np.sort(np.abs(turned), 1), np.sort(simple, 1), atol=1e-9)  # in each row one loading is left


def test_varimax_of_one_factor_changes_nothing():
    turned, R = lg.varimax(np.ones((3, 1), np.float32))
    assert_close(turned, np.ones((3, 1)))
    assert_close(R, np.eye(1))


@pytest.mark.long
@pytest.mark.double
def test_a_constant_column_and_a_copied_one_stop_at_the_floor():
    xs, _ = problem(5, num_features=4, num_latents=1)
    xs[:, 1], xs[:, 3] = 7.0, 2 * xs[:, 2]
    params, history = vj.em(lg.FACTOR_ANALYSIS, lg.init(xs, 2), xs, num_steps=300)
    variance = xs.var(0)
    assert np.isfinite(history).all() and np.diff(history).min() > -1e-9
    assert (np.exp(params.log_psi) >= lg.NOISE_FLOOR * variance * (1 - 1e-9)).all()
    assert_close(jnp.exp(params.log_psi[1]), lg.NOISE_FLOOR**2 * variance.mean())


@pytest.mark.long
@pytest.mark.double
def test_the_first_step_from_data_with_holes_and_no_noise_does_not_fall():
    xs = np.full((40, 3), 7.0)
    xs[:, 0] = np.random.default_rng(0).standard_normal(40)
    xs[::2, 0] = np.nan
    assert np.diff(vj.em(lg.PPCA, lg.init(xs, 1), xs, num_steps=20, fast=False)[1]).min() > -1e-6


@pytest.mark.long
@pytest.mark.parametrize("scale", [1e8, 1e-8])
def test_scale_does_not_matter(scale):
    xs, _ = problem(6, num_examples=100)
    plain, scaled = (vj.em(lg.FACTOR_ANALYSIS, lg.init(s * xs, 2), s * xs, num_steps=50)[1] for s in (1.0, scale))
    assert_close(scaled, plain - 5 * np.log(scale), atol=1e-6)


def test_more_loadings_than_are_identified_are_warned_of_and_stay_zero():
    xs, _ = problem(7, num_features=3, num_latents=1)
    with pytest.warns(UserWarning, match="2 latents can fit their covariance exactly"):
        start = lg.init(xs, 4)
    params, history = vj.em(lg.FACTOR_ANALYSIS, start, xs, num_steps=20)
    assert_close(params.W[:, 2:], np.zeros((3, 2)))
    assert np.isfinite(history).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda xs, p: vj.em(lg.FACTOR_ANALYSIS, p, np.where(xs > 1, np.nan, xs), num_steps=2), "fast=False"),
        (lambda xs, p: vj.em(lg.FACTOR_ANALYSIS, p, xs[:, :3], num_steps=2), "examples of 3 features"),
        (
            lambda xs, p: vj.em(lg.PPCA, p._replace(log_psi=p.log_psi - np.inf), xs, num_steps=2),
            "noise variances above",
        ),
        (lambda xs, p: vj.em(lg.PPCA, p._replace(W=p.W * np.nan), xs, num_steps=2), "NaN or infinity"),
        (lambda xs, p: vj.em(lg.PPCA, p._replace(b=p.b * np.nan), xs, num_steps=2), "NaN or infinity"),
        (lambda xs, p: vj.em(lg.PPCA, p._replace(W=p.W[:3]), xs, num_steps=2), r"expected \(D, L\)"),
        (lambda xs, p: vj.em(lg.PPCA, p._replace(W=p.W[:, 0]), xs, num_steps=2), r"expected \(D, L\)"),
        (lambda xs, p: vj.em(lg.PPCA, p._replace(b=p.b[:3]), xs, num_steps=2), r"expected \(D, L\)"),
        (lambda xs, p: vj.em(lg.PPCA, p._replace(log_psi=p.log_psi[:3]), xs, num_steps=2), r"expected \(D, L\)"),
        (lambda xs, p: vj.em(lg.PPCA, p, np.where(xs > 1, np.inf, xs), num_steps=2), "infinite"),
        (lambda xs, p: lg.init(np.where(np.arange(5) == 2, np.nan, xs), 2), "column 2 was never observed"),
        (lambda xs, p: lg.init(xs[:1], 1), "at least two examples"),
        (lambda xs, p: lg.init(xs, 0), "num_latents is 0"),
        (lambda xs, p: lg.ppca_mle(xs, 5), "one less than"),
        (lambda xs, p: lg.sample(p, jax.random.key(0), 0), "num_samples is 0"),
    ],
)
def test_a_linear_gaussian_model_refuses_bad_input_with_advice(call, words):
    xs, rng = problem(8)
    with pytest.raises(ValueError, match=words):
        call(xs, random_params(rng, 5, 2))


@pytest.mark.long
@pytest.mark.parametrize("fast", [True, False])
def test_a_constant_that_float32_cannot_hold_exactly_is_still_constant(fast):
    xs = np.random.default_rng(0).standard_normal((1000, 4)).astype(np.float32)
    xs[:, 1] = 0.1
    params, _ = vj.em(lg.FACTOR_ANALYSIS, lg.init(xs, 1), xs, num_steps=20, fast=fast)
    assert_close(np.exp(params.log_psi[1]) / (lg.NOISE_FLOOR**2 * xs.var(0).mean()), 1.0, atol=1e-3)
