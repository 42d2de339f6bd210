"""Models as a reader would write them, from the parts that the library has."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from problems import assert_close
from scipy import stats
from scipy.special import logsumexp

import vaejax as vj
from vaejax.densities import log_bernoulli, log_gaussian


# A VAE whose digits have labels y, known for some: q(y) q(z | x, y), where q(y) is certain if y is known (y >= 0).
class Half(NamedTuple):
    classify: nnx.Linear  # x (D,) -> (K,) logits of q(y | x)
    encode: nnx.Linear  # (x, y as one-hot) (D + K,) -> (2 L,) mean and log scale of q(z | x, y)
    decode: nnx.Linear  # (z, y as one-hot) (L + K,) -> (D,) logits


def half_log_joint(params, example, completion):
    (x, _), (y, z) = example, completion
    told = jax.nn.one_hot(y, K)
    log_prior = log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z)) - jnp.log(K)
    return log_prior + log_bernoulli(x, params.decode(jnp.concatenate([z, told])))


def half_posterior(params, example, key):
    x, y = example
    known = jnp.where(jnp.arange(K) == y, 0.0, -jnp.inf)
    labels = vj.enumerate_nodes(jnp.where(y >= 0, known, jax.nn.log_softmax(params.classify(x))))

    def given(y, key):
        mean, log_scale = jnp.split(params.encode(jnp.concatenate([x, jax.nn.one_hot(y, K)])), 2)
        return vj.sample_nodes(key, mean, jnp.exp(log_scale), 1)

    return vj.bind(labels, given, key)


K = 3
HALF = vj.LatentModel(half_log_joint, half_posterior)


def half_problem(num_examples=60, num_features=6):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, K, num_examples)
    xs = rng.random((num_examples, num_features)) < np.where(labels[:, None] * 2 == np.arange(6) // 2 * 2, 0.9, 0.2)
    rngs = nnx.Rngs(0)
    params = Half(nnx.Linear(6, K, rngs=rngs), nnx.Linear(6 + K, 4, rngs=rngs), nnx.Linear(2 + K, 6, rngs=rngs))
    return jax.tree.map(lambda leaf: leaf.astype(float), params), xs.astype(float), labels


def test_a_vae_with_some_labels_learns_all_of_them():
    params, xs, labels = half_problem()
    some = np.where(np.arange(len(labels)) < 15, labels, -1)
    options = dict(optimizer=optax.adam(0.05), num_steps=300)
    fitted, history = vj.maximize(HALF, params, (xs, some), jax.random.key(0), **options)
    assert np.isfinite(history).all() and history[-50:].mean() > history[:50].mean() + 0.3
    guess = jax.vmap(lambda x: fitted.classify(x).argmax())(xs[15:])
    assert (guess == labels[15:]).mean() > 0.7


def test_an_unknown_label_is_summed_out_and_a_known_one_is_not():
    """log p(x) is that of all labels, log p(x, y) that of one: by scipy, on a grid of z."""
    params, xs, labels = half_problem(4)
    axis = np.linspace(-6, 6, 61)
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    kernel, bias = (np.asarray(part[...]) for part in (params.decode.kernel, params.decode.bias))
    log_weight = stats.norm.logpdf(grid).sum(1) + 2 * np.log(axis[1] - axis[0]) - np.log(K)

    def exact(x, y):
        logits = grid @ kernel[:2] + kernel[2 + y] + bias
        return logsumexp(log_weight + np.where(x == 1, -np.log1p(np.exp(-logits)), -np.log1p(np.exp(logits))).sum(1))

    table = np.array([[exact(x, y) for y in range(K)] for x in xs])
    score = lambda ys: vj.log_likelihood(HALF, params, (xs, ys), jax.random.key(1), num_samples=20_000, chunk_size=4000)
    assert_close(score(labels), table[np.arange(4), labels], atol=0.05)
    assert_close(score(np.full(4, -1)), logsumexp(table, 1), atol=0.05)


def test_a_known_label_leaves_no_trace_of_nan_in_a_gradient():
    params, xs, labels = half_problem(6)
    for bound in (vj.elbo, vj.iw_bound):
        slope = jax.grad(lambda p, bound=bound: vj.mean_bound(HALF, p, (xs, labels), jax.random.key(2), bound))(params)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
        assert not np.any(slope.classify.kernel[...])  # nothing is asked of it


# Counts of photons: integers (N,), one latent log rate. Images (N, H, W): a model need not have rows.
def photons_log_joint(rate, x, z):
    return jax.scipy.stats.norm.logpdf(z[0]) + jax.scipy.stats.poisson.logpmf(x, jnp.exp(rate + z[0]))


PHOTONS = vj.LatentModel(photons_log_joint, lambda rate, x, key: vj.sample_nodes(key, jnp.zeros(1), jnp.ones(1), 1))


def test_counts_are_examples():
    xs = np.array([0, 3, 7, 1], np.int16)
    z = np.linspace(-10, 10, 4001)
    exact = [np.log((stats.norm.pdf(z) * stats.poisson.pmf(x, np.exp(0.5 + z))).sum() * (z[1] - z[0])) for x in xs]
    got = vj.log_likelihood_on_grid(PHOTONS, 0.5, xs, low=[-10.0], high=[10.0], num_points=2000)
    assert_close(got, np.array(exact), atol=1e-6)
    assert np.isfinite(vj.maximize(PHOTONS, 0.5, xs, jax.random.key(0), optimizer=optax.sgd(0.1), num_steps=3)[0])


@pytest.mark.parametrize("dtype", [float, np.uint8, bool])
def test_images_are_examples(dtype):
    xs = np.random.default_rng(0).integers(0, 2, (5, 4, 3)).astype(dtype)
    bright = vj.LatentModel(lambda p, x, z: log_bernoulli(x.ravel(), jnp.full(12, p)), lambda p, x, key: vj.observed())
    expected = stats.bernoulli(1 / (1 + np.exp(-0.3))).logpmf(xs.astype(int)).sum((1, 2)).mean()
    assert_close(vj.mean_bound(bright, 0.3, xs, None), expected)
