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


@pytest.mark.long
def test_a_vae_with_some_labels_learns_all_of_them():
    params, xs, labels = half_problem()
    some = np.where(np.arange(len(labels)) < 15, labels, -1)
    options = dict(optimizer=optax.adam(0.05), num_steps=300)
    fitted, history = vj.maximize(HALF, params, (xs, some), jax.random.key(0), **options)
    assert np.isfinite(history).all() and history[-50:].mean() > history[:50].mean() + 0.3
    guess = jax.vmap(lambda x: fitted.classify(x).argmax())(xs[15:])
    assert (guess == labels[15:]).mean() > 0.7


@pytest.mark.long
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


@pytest.mark.long
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


# A mixture of Bernoullis: pictures of two kinds. Twenty lines, and files, devices, restarts come with them.
class Kinds(NamedTuple):
    log_pi: jax.Array  # (K,)
    logits: jax.Array  # (K, D)


def kinds_log_joint(params, x, z):
    return params.log_pi[z] + log_bernoulli(x, params.logits[z])


def kinds_posterior(params, x, key):
    del key
    scores = jax.vmap(kinds_log_joint, (None, None, 0))(params, x, jnp.arange(len(params.log_pi)))
    return vj.enumerate_nodes(jax.nn.log_softmax(scores))


def kinds_statistics(params, x, nodes):
    return nodes.weight, jnp.outer(nodes.weight, x)


def kinds_m_step(params, T):
    share, ink = T
    ink = jnp.clip(ink / share[:, None], 1e-3, 1 - 1e-3)
    return Kinds(jnp.log(share), jnp.log(ink) - jnp.log1p(-ink))


KINDS = vj.LatentModel(kinds_log_joint, kinds_posterior, kinds_statistics, kinds_m_step)


@pytest.mark.long
def test_a_mixture_of_bernoullis_finds_the_kinds_from_anywhere(tmp_path):
    rng = np.random.default_rng(0)
    ink = np.array([[0.9] * 6 + [0.1] * 6, [0.2] * 6 + [0.7] * 6])
    z = rng.integers(0, 2, 3000)
    xs = (rng.random((3000, 12)) < ink[z]).astype(float)
    start = Kinds(jnp.log(jnp.full(2, 0.5)), 0.5 * jax.random.normal(jax.random.key(1), (2, 12)))
    params, history = vj.em(KINDS, start, xs, num_steps=60)
    assert np.diff(history).min() > -1e-9
    assert_close(np.sort(jax.nn.sigmoid(params.logits), 0), np.sort(ink, 0), atol=0.06)
    np.save(tmp_path / "xs.npy", xs)
    read = vj.em(KINDS, start, np.load(tmp_path / "xs.npy", mmap_mode="r"), num_steps=60)
    spread = vj.em(KINDS, start, vj.shard(xs), num_steps=60)
    for fit in (read, spread):
        jax.tree.map(lambda a, b: assert_close(a, b, atol=1e-9), fit, (params, history))
    starts = Kinds(jnp.tile(start.log_pi, (5, 1)), jax.random.normal(jax.random.key(2), (5, 2, 12)))
    climb = lambda p: jax.lax.scan(lambda p, _: vj.em_step(KINDS, p, xs), p, length=60)
    assert_close(jax.jit(lambda p: jax.lax.map(climb, p))(starts)[1].max(0)[-1], history[-1], atol=1e-3)


# Counts with one factor: x_d is Poisson, z ~ N(0, 1); its posterior on a grid, so the bound is log p(x).
def counts_log_joint(params, x, z):
    loadings, base = params
    rate = loadings * z[0] + base
    log_prior = log_gaussian(z, jnp.zeros(1), jnp.ones(1))
    return log_prior + (x * rate - jnp.exp(rate) - jax.scipy.special.gammaln(x + 1.0)).sum()


def counts_posterior(params, x, key):
    del key
    grid = vj.grid_nodes(jnp.full(1, -6.0), jnp.full(1, 6.0), 200)
    log_w = jax.nn.log_softmax(vj.log_weights(counts_log_joint, params, x, grid))
    return grid._replace(weight=jnp.exp(log_w), log_q=log_w + jnp.log(200.0) + grid.log_q)


COUNTS = vj.LatentModel(counts_log_joint, counts_posterior)


@pytest.mark.long
def test_a_poisson_factor_model_finds_its_loadings_in_counts_of_any_type():
    rng = np.random.default_rng(0)
    loadings, base = np.array([0.8, -0.5, 0.3, 0.6]), np.array([1.0, 1.5, 0.5, 1.0])
    xs = rng.poisson(np.exp(rng.standard_normal((4000, 1)) * loadings + base)).astype(np.int32)
    start = 0.1 * jnp.ones(4), jnp.log(jnp.asarray(xs.mean(0)))
    key, options = jax.random.key(0), dict(optimizer=optax.adam(0.02), num_steps=200, batch_size=200)
    (found, found_base), history = vj.maximize(COUNTS, start, xs, key, **options)
    assert_close(found * np.sign(found[0]), loadings, atol=0.1)
    assert_close(found_base, base, atol=0.1)
    on_grid = vj.mean_bound(COUNTS, (found, found_base), xs, None)
    assert_close(on_grid, vj.mean_bound(COUNTS, (found, found_base), xs.astype(float), None))
    assert on_grid > vj.mean_bound(COUNTS, start, xs, None)
