import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import assert_close, seeds
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from vaejax import linear_gaussian as lg

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


def test_a_constant_feature_has_no_weight():
    xs = cloud(4, 30, 3)
    xs[:, 1] = 5.0
    params = lg.pca(xs, 2)
    assert_close(params.W[1], np.zeros(2))
    assert_close(params.mean[1], 5.0)


def test_float32_stays_float32():
    params = lg.pca(cloud(0, 50, 4).astype(np.float32), 2)
    assert {leaf.dtype for leaf in params} == {np.dtype("float32")}


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
        (GOOD.astype(int), 2, "expected floats"),
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
