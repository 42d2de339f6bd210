import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import assert_close, random_tril, seeds
from scipy import stats
from scipy.integrate import quad

from vaejax import densities as d


@given(seeds, st.integers(1, 4))
def test_log_gaussian_is_scipys(seed, dim):
    rng = np.random.default_rng(seed)
    x, mean, tril = rng.standard_normal(dim), rng.standard_normal(dim), random_tril(rng, dim)
    assert_close(d.log_gaussian(x, mean, tril), stats.multivariate_normal(mean, tril @ tril.T).logpdf(x))
    sd = np.diag(tril)
    assert_close(d.log_gaussian(x, mean, sd), stats.norm(mean, sd).logpdf(x).sum())


@given(seeds, st.integers(1, 6))
def test_log_bernoulli_is_scipys(seed, dim):
    rng = np.random.default_rng(seed)
    logits, x = 3 * rng.standard_normal(dim), rng.integers(0, 2, dim).astype(float)
    assert_close(d.log_bernoulli(x, logits), stats.bernoulli(1 / (1 + np.exp(-logits))).logpmf(x).sum())


def test_log_bernoulli_keeps_its_digits_where_the_naive_form_has_none():
    # log(1 - sigmoid(l)) = -l - exp(-l) + ..., while sigmoid(l) rounds to 1: float32, as in the chapters
    x, logits = jnp.zeros(1, jnp.float32), jnp.full(1, 100, jnp.float32)
    assert jax.nn.sigmoid(logits[0]) == 1  # so log(1 - sigmoid) is -inf
    assert_close(d.log_bernoulli(x, logits), np.float32(-100))
    assert_close(jax.grad(d.log_bernoulli, 1)(x, logits), np.array([-1], np.float32))


def test_the_slope_of_log_bernoulli_is_the_pixel_minus_its_probability():
    """At a logit of zero as well, where an untrained network begins."""
    x, logits = np.array([0.0, 1, 1, 0.3]), np.array([0.0, 0, -3, 2])
    assert_close(jax.grad(d.log_bernoulli, 1)(x, logits), x - 1 / (1 + np.exp(-logits)))


@given(seeds, st.integers(1, 6))
def test_log_categorical_normalises(seed, num_classes):
    logits = 3 * np.random.default_rng(seed).standard_normal(num_classes)
    probs = np.exp(logits) / np.exp(logits).sum()
    got = np.array([d.log_categorical(k, logits) for k in range(num_classes)])
    assert_close(got, np.log(probs))


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16])  # 200 does not fit into int8, 256 not into a byte
def test_a_label_may_be_of_any_type_of_integer(dtype):
    for num_classes in (200, 256):
        assert_close(d.log_categorical(dtype(5), np.zeros(num_classes)), -np.log(num_classes))


def test_log_categorical_outside_the_classes_is_nan_and_impossible_is_minus_infinity():
    logits = jnp.array([0.0, -jnp.inf, 0.0])
    for label in (-1, 3, 4):
        assert np.isnan(d.log_categorical(label, logits))
    assert np.isneginf(d.log_categorical(1, logits))
    assert_close(d.log_categorical(0, logits), np.log(0.5))


@given(seeds)
def test_kl_gaussian_in_one_dimension_is_the_integral(seed):
    rng = np.random.default_rng(seed)
    (mean_q, mean_p), (sd_q, sd_p) = rng.standard_normal(2), np.exp(0.5 * rng.standard_normal(2))
    q, p = stats.norm(mean_q, sd_q), stats.norm(mean_p, sd_p)
    integral = quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mean_q - 12 * sd_q, mean_q + 12 * sd_q, limit=200)
    assert_close(d.kl_gaussian([mean_q], [sd_q], [mean_p], [sd_p]), integral[0])


@given(seeds, st.integers(1, 4), st.booleans(), st.booleans())
def test_kl_gaussian_is_negative_entropy_plus_cross_entropy(seed, dim, diagonal_q, diagonal_p):
    rng = np.random.default_rng(seed)
    mean_q, mean_p = rng.standard_normal((2, dim))
    tril_q, tril_p = (
        np.diag(np.diag(t)) if diagonal else t
        for t, diagonal in ((random_tril(rng, dim), diagonal_q), (random_tril(rng, dim), diagonal_p))
    )
    cov_q, cov_p = tril_q @ tril_q.T, tril_p @ tril_p.T
    p = stats.multivariate_normal(mean_p, cov_p)
    cross_entropy = -p.logpdf(mean_q) + 0.5 * np.trace(np.linalg.solve(cov_p, cov_q))
    expected = cross_entropy - stats.multivariate_normal(mean_q, cov_q).entropy()
    arg_q, arg_p = (np.diag(t) if diag else t for t, diag in ((tril_q, diagonal_q), (tril_p, diagonal_p)))
    assert_close(d.kl_gaussian(mean_q, arg_q, mean_p, arg_p), expected)


@given(seeds, st.integers(1, 6))
def test_kl_categorical_is_scipys(seed, num_classes):
    logits_q, logits_p = 2 * np.random.default_rng(seed).standard_normal((2, num_classes))
    probs = [np.exp(logits) / np.exp(logits).sum() for logits in (logits_q, logits_p)]
    assert_close(d.kl_categorical(logits_q, logits_p), stats.entropy(*probs))


def test_kl_categorical_with_impossible_classes():
    some, all_ = jnp.array([0.0, 0.0, -jnp.inf]), jnp.zeros(3)
    assert_close(d.kl_categorical(some, all_), np.log(3 / 2))
    assert np.isposinf(d.kl_categorical(all_, some))
    assert np.isfinite(jax.grad(d.kl_categorical)(some, all_)).all()
    next_to_none = jnp.array([0.0, 0.0, -2000])  # rounds to a probability of zero
    assert_close(d.kl_categorical(next_to_none, some), 0.0)
    assert_close(d.kl_categorical(next_to_none, all_), np.log(3 / 2))


def test_kl_categorical_leaves_out_a_class_that_both_forbid():
    q, p = np.array([0.2, 0.8, 0]), np.array([0.5, 0.5, 0])
    with np.errstate(divide="ignore"):
        logits = np.log(q), np.log(p)
    kl, grads = jax.value_and_grad(d.kl_categorical, (0, 1))(*logits)
    assert_close(kl, stats.entropy(q, p))
    ratio = np.array([np.log(0.2 / 0.5), np.log(0.8 / 0.5), 0])
    assert_close(grads[0], q * (ratio - stats.entropy(q, p)))
    assert_close(grads[1], p - q)


ZEROS, ONES = np.zeros(2), np.ones(2)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: d.log_gaussian(np.zeros((3, 2)), np.zeros((3, 2)), np.eye(2)), "use jax.vmap"),
        (lambda: d.log_gaussian(np.zeros(2), np.zeros(2), np.eye(3)), r"expected \(2, 2\), a lower triangular"),
        (lambda: d.log_gaussian(np.zeros(3), np.zeros(2), np.eye(2)), "one shape"),
        (lambda: d.log_gaussian(ZEROS[None], ZEROS, ONES), "one shape"),
        (lambda: d.log_gaussian(0.0, 0.0, 1.0), "jnp.atleast_1d"),
        (lambda: d.log_bernoulli(np.zeros(3), np.zeros(2)), "one shape"),
        (lambda: d.log_bernoulli(np.zeros((3, 2)), np.zeros((3, 2))), "vmap"),
        (lambda: d.log_bernoulli(1.0, 0.5), "vmap"),
        (lambda: d.log_gaussian(np.zeros(0), np.zeros(0), np.zeros(0)), "vector of shape"),
        (lambda: d.log_categorical(0, 0.0), "one integer"),
        (lambda: d.log_categorical(1.0, np.zeros(3)), "one integer"),
        (lambda: d.log_categorical(np.zeros(2, int), np.zeros(3)), "one integer"),
        (lambda: d.kl_gaussian(np.zeros(2), np.ones(2), np.zeros(3), np.ones(3)), "expected the same"),
        (lambda: d.kl_gaussian(ZEROS, ONES, ZEROS, ONES[:1]), "triangular"),
        (lambda: d.kl_gaussian(ZEROS, ONES[:1], ZEROS, ONES), "triangular"),
        (lambda: d.kl_categorical(np.zeros(2), np.zeros(3)), "one shape"),
        (lambda: d.kl_categorical(0.0, 0.0), "one shape"),
        (
            lambda: d.log_gaussian(np.ones(2) * 1j, np.zeros(2), np.ones(2)),
            "an array is complex.*expected real numbers",
        ),
        (lambda: d.log_bernoulli(np.zeros(2), np.zeros(2, np.complex64)), "an array is complex.*expected real numbers"),
    ],
)
def test_wrong_shapes_are_refused_with_advice(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1), (2, 3), (3, 2)])  # the longer one first, and second; a lone entry
def test_two_lengths_are_refused_whichever_is_longer(sizes):
    first, second = np.zeros(sizes[0]), np.zeros(sizes[1])
    calls = {
        "log_gaussian": lambda: d.log_gaussian(first, second, np.ones_like(second)),
        "log_bernoulli": lambda: d.log_bernoulli(first, second),
        "kl_gaussian": lambda: d.kl_gaussian(first, np.ones_like(first), second, np.ones_like(second)),
        "kl_categorical": lambda: d.kl_categorical(first, second),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match="expected"):
            call()
