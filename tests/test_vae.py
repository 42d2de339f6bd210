from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from problems import assert_close, seeds
from scipy import special, stats

import vaejax as vj
from vaejax import gradient_ascent, vae
from vaejax import linear_gaussian as lg

LIKELIHOODS = ("bernoulli", "gaussian")
ADAM = optax.adam(0.02)


def random_vae(seed, num_features=3, num_latents=2, hidden=(4,), likelihood="bernoulli"):
    """Every parameter is drawn, biases too; float64."""
    rng = np.random.default_rng(seed)
    start = vae.init(jax.random.key(0), num_features, num_latents, hidden=hidden, likelihood=likelihood)
    return jax.tree.map(lambda leaf: jnp.asarray(0.7 * rng.standard_normal(leaf.shape)), start)


def wide_vae(likelihood):
    """One whose q is wider than the posterior, so that importance weights are bounded."""
    params = random_vae(3, likelihood=likelihood)
    encoder = jax.tree.map(lambda leaf: 0.1 * leaf, params.encoder)
    encoder.log_scale.bias = nnx.Param(jnp.array([0.3, 0.4]))
    return params._replace(encoder=encoder)


def draw(seed, likelihood, num_examples=4, num_features=3):
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((num_examples, num_features))
    return xs if likelihood == "gaussian" else (xs > 0).astype(float)


def affine(layer, v):
    return v @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])


def silu_layers(layers, v):
    for layer in layers:
        v = affine(layer, v)
        v = v * special.expit(v)
    return v


def encode_by_hand(params, x):
    top = silu_layers(params.encoder.hidden, x)
    return affine(params.encoder.mean, top), np.exp(affine(params.encoder.log_scale, top))


def outputs_by_hand(params, z):
    return affine(params.decoder.out, silu_layers(params.decoder.hidden, z))


def log_joint_by_scipy(params, x, z):
    """For z (..., L)."""
    f = outputs_by_hand(params, z)
    if params.log_sigma2 is None:
        log_lik = np.where(x == 1, -np.log1p(np.exp(-f)), -np.log1p(np.exp(f))).sum(-1)
    else:
        log_lik = stats.norm(f, np.sqrt(1e-4 + np.exp(float(params.log_sigma2)))).logpdf(x).sum(-1)
    return stats.norm.logpdf(z).sum(-1) + log_lik


def square_grid(num_points=241, reach=8.0):
    """Points (n^2, 2) and log weights of N(0, I) on a fine grid, by the trapezoid rule."""
    axis = np.linspace(-reach, reach, num_points)
    u = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    log_weight = stats.norm.logpdf(u).sum(1)
    return u, log_weight - special.logsumexp(log_weight)


def exact_bound(params, x):
    """E_q[log p(x, z) - log q(z)], with numpy and scipy alone; L = 2."""
    mean, scale = encode_by_hand(params, x)
    u, log_weight = square_grid()
    entropy = stats.norm(mean, scale).entropy().sum()
    return np.exp(log_weight) @ log_joint_by_scipy(params, x, mean + scale * u) + entropy


def exact_log_likelihood(params, x):
    """log of the integral of p(x | z) over the prior; L = 2."""
    u, log_weight = square_grid(num_points=401)
    return special.logsumexp(log_weight + log_joint_by_scipy(params, x, u) - stats.norm.logpdf(u).sum(1))


def within_six_standard_errors(draws, expected, rounding=1e-4):
    draws = np.asarray(draws)
    error = np.abs(draws.mean(0) - np.asarray(expected))
    return (error < 6 * draws.std(0) / np.sqrt(len(draws)) + rounding).all()


def same(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        (x == y).all() for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize("hidden", [(), (5, 3)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@settings(max_examples=3)
@given(seed=seeds)
def test_the_log_joint_is_scipys(likelihood, hidden, seed):
    params, x = random_vae(seed, 6, 2, hidden, likelihood), draw(seed, likelihood, 1, 6)[0]
    z = np.random.default_rng(seed).standard_normal(2)
    expected = stats.norm.logpdf(z).sum()
    f = outputs_by_hand(params, z)
    if likelihood == "bernoulli":
        expected += stats.bernoulli(special.expit(f)).logpmf(x.astype(int)).sum()
    else:
        noise = (1e-4 + np.exp(float(params.log_sigma2))) * np.eye(6)
        expected += stats.multivariate_normal(f, noise).logpdf(x)
    assert_close(vae.log_joint(params, x, z), expected)


def test_grey_pixels_count_as_averages_of_black_and_white():
    params, z = random_vae(0), np.array([0.3, -1.0])
    black, white = np.array([0.0, 1, 0]), np.array([1.0, 1, 0])
    expected = 0.25 * log_joint_by_scipy(params, black, z) + 0.75 * log_joint_by_scipy(params, white, z)
    assert_close(vae.log_joint(params, 0.25 * black + 0.75 * white, z), expected)


@pytest.mark.parametrize("hidden", [(), (5, 3)])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_networks_are_silu_networks(likelihood, hidden):
    params, x = random_vae(1, 6, 2, hidden, likelihood), draw(1, likelihood, 1, 6)[0]
    mean, scale = encode_by_hand(params, x)
    got_mean, got_scale = vae.encode(params, x)
    assert_close(got_mean, mean)
    assert_close(got_scale, scale)
    expectation = special.expit if likelihood == "bernoulli" else np.asarray
    z = np.array([2.0, -1.0])
    assert_close(vae.decode(params, z), expectation(outputs_by_hand(params, z)))
    assert_close(vae.reconstruct(params, x), expectation(outputs_by_hand(params, mean)))


def test_hidden_sizes_of_the_decoder_are_those_of_the_encoder_in_reverse():
    params = vae.init(jax.random.key(0), 7, 2, hidden=(5, 3), likelihood="gaussian")
    shapes = lambda layers: [layer.kernel.shape for layer in layers]
    assert shapes(params.encoder.hidden) == [(7, 5), (5, 3)]
    assert shapes([params.encoder.mean, params.encoder.log_scale]) == [(3, 2), (3, 2)]
    assert shapes([*params.decoder.hidden, params.decoder.out]) == [(2, 3), (3, 5), (5, 7)]
    assert_close(vae.sigma2(params), 1 + vae.MIN_SIGMA2)
    assert vae.init(jax.random.key(0), 7, 2).log_sigma2 is None


def test_the_start_depends_on_the_key_alone():
    first, again, other = (vae.init(jax.random.key(k), 7, 2, hidden=(5,)) for k in (0, 0, 1))
    assert same(first, again)
    kernels = lambda p: [
        layer.kernel for layer in (*p.encoder.hidden, p.encoder.mean, *p.decoder.hidden, p.decoder.out)
    ]
    assert all(not np.any(np.asarray(a) == np.asarray(b)) for a, b in zip(kernels(first), kernels(other), strict=True))


def test_at_the_start_q_is_as_wide_as_the_prior_for_every_x():
    params = vae.init(jax.random.key(3), 7, 2, hidden=(5,))
    for x in (np.zeros(7), np.linspace(-4, 9, 7)):
        assert_close(vae.encode(params, x)[1], np.ones(2))


def test_the_same_arguments_give_the_same_model():
    model = vae.make_vae()
    assert model is vae.make_vae("bernoulli") is vae.make_vae(likelihood="bernoulli")
    assert len({model, vae.make_vae("gaussian")}) == 2


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_posterior_draws_from_the_encoders_gaussian(likelihood):
    params, x = random_vae(2, likelihood=likelihood), draw(2, likelihood)[0]
    nodes = vj.bounds.complete(vae.make_vae(likelihood), params, x, jax.random.key(0), num_samples=5000)
    mean, scale = encode_by_hand(params, x)
    assert nodes.z.shape == (5000, 2)
    assert_close(nodes.log_q, stats.norm(mean, scale).logpdf(nodes.z).sum(1))
    for column, m, s in zip(np.asarray(nodes.z).T, mean, scale, strict=True):
        assert stats.kstest(column, stats.norm(m, s).cdf).pvalue > 1e-7


def as_ppca(closed):
    """Linear networks that say what PPCA says: its W and b, and its exact posterior, diagonal as W is orthogonal."""
    W, b = np.asarray(closed.W), np.asarray(closed.b)
    num_features, num_latents = W.shape
    noise = np.exp(float(closed.log_psi[0]))
    inverse = np.linalg.inv(W.T @ W + noise * np.eye(num_latents))
    params = random_vae(0, num_features, num_latents, (), "gaussian")
    for layer, kernel, bias in (
        (params.encoder.mean, W @ inverse, -inverse @ W.T @ b),
        (params.encoder.log_scale, np.zeros_like(W), 0.5 * np.log(noise * np.diag(inverse))),
        (params.decoder.out, W.T, b),
    ):
        layer.kernel, layer.bias = nnx.Param(jnp.asarray(kernel)), nnx.Param(jnp.asarray(bias))
    return params._replace(log_sigma2=jnp.log(noise - vae.MIN_SIGMA2))


@settings(max_examples=3)
@given(seeds)
def test_a_linear_vae_can_be_ppca(seed):
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((50, 2)) @ rng.standard_normal((2, 5)) + 0.5 * rng.standard_normal((50, 5)) + 3
    closed = lg.ppca_mle(xs, 2)
    params = as_ppca(closed)
    dense = stats.multivariate_normal(closed.b, closed.W @ closed.W.T + np.diag(np.exp(closed.log_psi)))
    for x in xs[:2]:
        nodes = vj.cubature_nodes(*vae.encode(params, x))
        for bound in (vj.elbo, vj.iw_bound):
            assert_close(bound(vae.log_joint, params, x, nodes), dense.logpdf(x), atol=1e-8)
            assert_close(bound(vae.log_joint, params, x, nodes), lg.log_marginal(closed, x), atol=1e-8)
    sharp = vj.log_likelihood(vae.make_vae("gaussian"), params, xs, jax.random.key(0), num_samples=2, chunk_size=1)
    assert_close(sharp, dense.logpdf(xs), atol=1e-8)  # q is the posterior, so every weight is p(x)


@pytest.mark.long
@pytest.mark.parametrize(("likelihood", "num_samples"), [("bernoulli", 1), ("gaussian", 3)])
def test_the_sampled_bound_and_its_gradient_are_unbiased(likelihood, num_samples):
    params, x = random_vae(4, likelihood=likelihood), draw(4, likelihood)[0]
    model = vae.make_vae(likelihood)

    def sampled(params, key):
        return vj.elbo(model.log_joint, params, x, vj.bounds.complete(model, params, x, key, num_samples))

    keys = jax.random.split(jax.random.key(1), 20_000)
    values, grads = jax.jit(jax.vmap(jax.value_and_grad(sampled), in_axes=(None, 0)))(params, keys)
    assert within_six_standard_errors(values, exact_bound(params, x))
    leaves, structure = jax.tree.flatten(params)
    for i, (leaf, grad) in enumerate(zip(leaves, jax.tree.leaves(grads), strict=True)):
        for j in {0, leaf.size - 1}:

            def moved(by, i=i, j=j):
                near = np.array(leaves[i])
                near.flat[j] += by
                return exact_bound(jax.tree.unflatten(structure, [*leaves[:i], near, *leaves[i + 1 :]]), x)

            slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
            assert within_six_standard_errors(grad.reshape(len(keys), -1)[:, j], slope), structure


def test_mean_bound_averages_the_examples():
    params, xs = random_vae(5, likelihood="gaussian"), draw(5, "gaussian")
    bounds = jax.vmap(partial(vj.mean_bound, vae.make_vae("gaussian"), params, xs))
    values = bounds(jax.random.split(jax.random.key(2), 5000))
    assert within_six_standard_errors(values, np.mean([exact_bound(params, x) for x in xs]))


def test_the_log_likelihood_is_the_log_of_an_unbiased_estimate_whatever_the_chunks():
    params, xs = wide_vae("bernoulli"), draw(6, "bernoulli")
    truth = np.array([exact_log_likelihood(params, x) for x in xs])
    keys = jax.random.split(jax.random.key(3), 1000)
    spreads = []
    for chunk_size in (4, 40):
        estimates = partial(vj.log_likelihood, vae.make_vae(), params, xs, num_samples=40, chunk_size=chunk_size)
        ratio = np.exp(np.asarray(jax.vmap(estimates)(keys)) - truth)
        assert ratio.shape == (1000, 4)
        assert within_six_standard_errors(ratio, 1.0)
        spreads.append(ratio.var(0))
    ratio = spreads[0] / spreads[1]
    assert (ratio < 2).all() and (ratio > 0.5).all()  # each variance is known to about 5 %


@pytest.mark.long
def test_many_samples_are_close_to_the_truth():
    params, xs = wide_vae("gaussian"), draw(7, "gaussian")
    got = vj.log_likelihood(
        vae.make_vae("gaussian"), params, xs, jax.random.key(4), num_samples=40_000, chunk_size=2000
    )
    assert_close(got, np.array([exact_log_likelihood(params, x) for x in xs]), atol=0.03)


@pytest.mark.long
def test_few_samples_estimate_too_low():
    params, xs = wide_vae("gaussian"), draw(8, "gaussian")
    keys = jax.random.split(jax.random.key(5), 5000)
    one, four = (
        np.asarray(
            jax.vmap(partial(vj.log_likelihood, vae.make_vae("gaussian"), params, xs, num_samples=s, chunk_size=s))(
                keys
            )
        )
        for s in (1, 4)
    )
    assert within_six_standard_errors(one, [exact_bound(params, x) for x in xs])
    truth = np.array([exact_log_likelihood(params, x) for x in xs])
    error_one, error_four = (6 * e.std(0) / np.sqrt(len(keys)) for e in (one, four))
    assert (one.mean(0) + error_one + error_four < four.mean(0)).all()
    assert (four.mean(0) + error_four < truth).all()


def test_each_example_and_each_chunk_has_draws_of_its_own():
    params, x = random_vae(6), draw(9, "bernoulli")[:1]
    got = vj.log_likelihood(vae.make_vae(), params, np.repeat(x, 5, 0), jax.random.key(6), num_samples=6, chunk_size=2)
    assert len(np.unique(got)) == 5


@pytest.mark.long
def test_the_log_likelihood_takes_data_of_less_precision_than_the_parameters():
    params, xs = wide_vae("gaussian"), draw(10, "gaussian").astype(np.float16)
    few = partial(
        vj.log_likelihood, vae.make_vae("gaussian"), params, key=jax.random.key(7), num_samples=20, chunk_size=5
    )
    assert_close(few(xs), few(xs.astype(float)), atol=1e-10)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("num_points", [128, 203])  # whole chunks of the grid, and a part of one
def test_the_sum_over_a_grid_is_the_log_likelihood(likelihood, num_points, monkeypatch):
    monkeypatch.setattr(vj.bounds, "MOST_PAIRS", 4096)
    params, xs = random_vae(11, likelihood=likelihood), draw(11, likelihood)
    model, ends = vae.make_vae(likelihood), dict(low=np.full(2, -9.0), high=np.full(2, 9.0))
    got = vj.log_likelihood_on_grid(model, params._replace(encoder=None), xs, num_points=num_points, **ends)
    assert_close(got, np.array([exact_log_likelihood(params, x) for x in xs]), atol=1e-6)


@pytest.mark.double
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_all_pairs_are_the_pairs(likelihood):
    params, xs = random_vae(11, likelihood=likelihood), draw(11, likelihood)
    zs = np.random.default_rng(0).standard_normal((5, 2))
    got = vae.log_joint.all_pairs(params, xs, zs)
    assert_close(got, np.array([[log_joint_by_scipy(params, x, z) for x in xs] for z in zs]))


def test_a_model_with_another_prior_is_another_model_on_a_grid_too():
    """x = pixels of f(2 z - 1), z ~ N(0, I), are those of f(u), u ~ N(-1, 4 I)."""
    params, xs = random_vae(12), draw(12, "bernoulli")

    def log_prior(u):
        return jax.scipy.stats.norm.logpdf(u, -1.0, 2.0).sum()

    def log_joint(params, x, u):
        return log_prior(u) + vj.densities.log_bernoulli(x, params.decoder(u))

    decoder = nnx.clone(params.decoder)
    kernel, bias = params.decoder.hidden[0].kernel[...], params.decoder.hidden[0].bias[...]
    decoder.hidden[0].kernel, decoder.hidden[0].bias = nnx.Param(2 * kernel), nnx.Param(bias - kernel.sum(0))
    ends = dict(low=np.full(2, -18.0), high=np.full(2, 18.0))
    expected = [exact_log_likelihood(params._replace(decoder=decoder), x) for x in xs]
    for model in (vae.make_vae(log_prior=log_prior), vae.make_vae()._replace(log_joint=log_joint)):
        got = vj.log_likelihood_on_grid(model, params, xs, num_points=300, **ends)
        assert_close(got, np.array(expected), atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64])
def test_pixels_are_bits_or_bytes_as_well(dtype):
    params, xs, key = random_vae(5), draw(5, "bernoulli"), jax.random.key(0)
    model, box = vae.make_vae(), dict(low=[-3.0, -3], high=[3.0, 3], num_points=20)
    whole = xs.astype(dtype)
    assert_close(vj.mean_bound(model, params, whole, key), vj.mean_bound(model, params, xs, key))
    assert_close(
        vj.log_likelihood_on_grid(model, params, whole, **box), vj.log_likelihood_on_grid(model, params, xs, **box)
    )
    options = dict(optimizer=ADAM, num_steps=2)
    assert same(vj.maximize(model, params, whole, key, **options), vj.maximize(model, params, xs, key, **options))
    if dtype is not bool:
        with pytest.raises(ValueError, match=r"between 0 and 255: .*divide bytes by 255"):
            vj.mean_bound(model, params, whole * 255, key)


def test_bytes_take_the_type_of_the_networks():
    """As densities and decoders do, so that the draws of a float32 network are those of float32 beside doubles, too."""
    nets = vae.init(jax.random.key(0), 5, 2, hidden=())
    assert nets.encoder.mean.kernel.dtype == np.float32
    for dtype in (bool, np.uint8, np.int64):
        assert {leaf.dtype for leaf in vae.encode(nets, np.ones(5, dtype))} == {np.dtype(np.float32)}


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_samples_have_the_models_moments_and_need_no_encoder(likelihood):
    params = random_vae(7, likelihood=likelihood)._replace(encoder=None)
    xs, zs = (np.asarray(a) for a in vae.sample(params, jax.random.key(8), 40_000))
    assert xs.shape == (40_000, 3) and zs.shape == (40_000, 2)
    assert stats.kstest(zs.ravel(), "norm").pvalue > 1e-7
    assert abs(np.corrcoef(zs.T)[0, 1]) < 6 / np.sqrt(40_000)
    u, log_weight = square_grid()
    means, weight = outputs_by_hand(params, u), np.exp(log_weight)
    if likelihood == "bernoulli":
        assert set(np.unique(xs)) == {0.0, 1.0}
        means = special.expit(means)
    assert within_six_standard_errors(xs, weight @ means)
    product = np.einsum("n,ni,nj->ij", weight, means, means)
    if likelihood == "gaussian":
        noise = xs - outputs_by_hand(params, zs)
        variance = 1e-4 + np.exp(float(params.log_sigma2))
        assert within_six_standard_errors(noise**2, np.full(3, variance))
        assert stats.kstest(noise.ravel() / np.sqrt(variance), "norm").pvalue > 1e-7
    for i, j in [(0, 1), (0, 2), (1, 2)]:  # features are tied through z alone
        assert within_six_standard_errors(xs[:, i] * xs[:, j], product[i, j])


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_given_z_what_remains_of_a_sample_is_noise(likelihood):
    params = random_vae(8, num_features=2, likelihood=likelihood)  # D = L: the same draws for both would show
    xs, zs = (np.asarray(a) for a in vae.sample(params, jax.random.key(9), 40_000))
    means = outputs_by_hand(params, zs)
    noise = xs - (special.expit(means) if likelihood == "bernoulli" else means)
    for feature in np.column_stack([np.ones(len(zs)), zs, zs[:, 0] * zs[:, 1]]).T:
        assert within_six_standard_errors(noise * feature[:, None], np.zeros(2))


@pytest.mark.long
def test_maximize_takes_the_model_and_climbs_its_mean_bound():
    params, xs, key = random_vae(9, likelihood="bernoulli"), draw(11, "bernoulli", 30), jax.random.key(10)
    model = vae.make_vae("bernoulli")
    args = dict(optimizer=ADAM, num_steps=200, batch_size=10)
    fitted, history = vj.maximize(model, params, xs, key, **args)
    explicit = lambda params, xs, key: vj.mean_bound(model, params, xs, key)
    by_hand, explicit_history = vj.maximize(explicit, params, xs, key, **args)
    assert same(fitted, by_hand) and (history == explicit_history).all()
    before, after = (np.mean([exact_bound(p, x) for x in xs]) for p in (params, fitted))
    assert after > before + 0.5


@pytest.mark.long
def test_a_linear_vae_learns_ppca():
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((200, 1)) @ np.array([[2.0, -1, 1]]) + rng.standard_normal((200, 3)) + 1
    closed = lg.ppca_mle(xs, 1)
    dense = stats.multivariate_normal(closed.b, closed.W @ closed.W.T + np.diag(np.exp(closed.log_psi)))
    start = vae.init(jax.random.key(0), 3, 1, hidden=(), likelihood="gaussian")
    fitted, _ = vj.maximize(
        vae.make_vae("gaussian"), start, xs, jax.random.key(1),
        optimizer=optax.adam(optax.cosine_decay_schedule(0.1, 2500)), num_steps=2500,
    )  # fmt: skip
    exact = lambda x: vj.elbo(vae.log_joint, fitted, x, vj.cubature_nodes(*vae.encode(fitted, x)))
    reached, summit = jax.vmap(exact)(xs).mean(), dense.logpdf(xs).mean()
    assert summit - 2e-3 < reached < summit
    assert_close(vae.sigma2(fitted), np.exp(closed.log_psi[0]), atol=0.05)


def test_the_same_model_compiles_once():
    params, xs = random_vae(10), draw(12, "bernoulli")
    traced = []

    def counting(params, x, z):
        traced.append(1)
        return vae.log_joint(params, x, z)

    model = vae.make_vae()._replace(log_joint=counting)
    fit_once = lambda model: vj.maximize(model, params, xs, jax.random.key(0), optimizer=ADAM, num_steps=3)
    fit_once(model), fit_once(vae.make_vae("bernoulli"))
    compiled, traces = gradient_ascent._gradient_steps._cache_size(), len(traced)
    fit_once(model), fit_once(vae.make_vae(likelihood="bernoulli"))
    assert gradient_ascent._gradient_steps._cache_size() == compiled and len(traced) == traces > 0


@pytest.mark.parametrize("log_sigma2", [-50.0, -1000.0])
def test_the_noise_has_a_floor(log_sigma2):
    params = random_vae(11, likelihood="gaussian")._replace(log_sigma2=jnp.asarray(log_sigma2))
    assert_close(vae.sigma2(params), 1e-4, atol=1e-12)
    x, z = draw(13, "gaussian")[0], np.array([0.5, 1.0])
    expected = stats.norm.logpdf(z).sum() + stats.norm(outputs_by_hand(params, z), 0.01).logpdf(x).sum()
    assert_close(vae.log_joint(params, x, z), expected)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(jax.grad(vae.log_joint)(params, x, z)))


@pytest.mark.parametrize("log_sigma2", [-5.0, 0.0, 2.0])
def test_above_the_floor_the_noise_is_what_was_learnt(log_sigma2):
    params = random_vae(11, likelihood="gaussian")._replace(log_sigma2=jnp.asarray(log_sigma2))
    assert_close(vae.sigma2(params), np.exp(log_sigma2), atol=1.01e-4)


XS, KEY = draw(14, "bernoulli", 6, 4), jax.random.key(0)
BERNOULLI, GAUSSIAN = (random_vae(12, 4, likelihood=name) for name in LIKELIHOODS)
FIVE = {name: random_vae(13, 5, likelihood=name).decoder for name in LIKELIHOODS}


def bound(params, xs, likelihood="bernoulli", key=KEY):
    return vj.mean_bound(vae.make_vae(likelihood), params, xs, key)


def climb(xs, num_steps=2, batch_size=None, params=BERNOULLI):
    return vj.maximize(vae.make_vae(), params, xs, KEY, optimizer=ADAM, num_steps=num_steps, batch_size=batch_size)


def estimate(params, xs, num_samples=4, chunk_size=2):
    model = vae.make_vae("gaussian" if params is GAUSSIAN else "bernoulli")
    return vj.log_likelihood(model, params, xs, KEY, num_samples=num_samples, chunk_size=chunk_size)


def on_grid(params, xs, reach=6.0, num_points=50, likelihood="bernoulli"):
    ends = dict(low=np.full(2, -reach), high=np.full(2, reach))
    return vj.log_likelihood_on_grid(vae.make_vae(likelihood), params, xs, num_points=num_points, **ends)


def with_nan(xs):
    return np.where(np.arange(xs.size).reshape(xs.shape) == 3, np.nan, xs)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bound(BERNOULLI, XS * 255), "between 0 and 255: Bernoulli pixels"),
        (lambda: bound(BERNOULLI, XS - 0.01), "between -0.01 and 0.99: Bernoulli pixels"),
        (lambda: climb(XS * 1.01), "between 0 and 1.01: Bernoulli pixels"),
        (lambda: estimate(BERNOULLI, jnp.asarray(XS) * 2), "between 0 and 2: Bernoulli pixels"),
        (lambda: bound(BERNOULLI, XS[:, :3]), r"x has shape \(3,\): this encoder reads one example of shape \(4,\)"),
        (lambda: bound(GAUSSIAN, XS[:, :3], "gaussian"), r"x has shape \(3,\): this encoder"),
        (lambda: climb(XS[:, :3]), r"x has shape \(3,\): this encoder"),
        (lambda: estimate(GAUSSIAN, XS[:, :3]), r"x has shape \(3,\): this encoder"),
        (lambda: vae.encode(BERNOULLI, XS), r"x has shape \(6, 4\): this encoder"),
        (lambda: vae.reconstruct(BERNOULLI, XS[0, :3]), r"x has shape \(3,\): this encoder"),
        (lambda: bound(BERNOULLI, XS[0]), r"expected \(N, D\)"),
        (lambda: bound(BERNOULLI, XS[:0]), "at least one example"),
        (lambda: bound(BERNOULLI, with_nan(XS)), "1 NaN or infinite"),
        (lambda: bound(GAUSSIAN, with_nan(XS), "gaussian"), "1 NaN or infinite"),
        (lambda: climb(with_nan(XS)), "1 NaN or infinite"),
        (lambda: estimate(GAUSSIAN, with_nan(XS)), "1 NaN or infinite"),
        (lambda: bound(BERNOULLI, XS, "gaussian"), r'the model is make_vae\("gaussian"\), but log_sigma2'),
        (lambda: bound(GAUSSIAN, XS), r'the model is make_vae\("bernoulli"\), but log_sigma2'),
        (lambda: climb(XS, params=GAUSSIAN), r'the model is make_vae\("bernoulli"\), but log_sigma2'),
        (lambda: bound(tuple(BERNOULLI), XS), "params are tuple: expected VAEParams"),
        (lambda: climb(XS, params=BERNOULLI.encoder), "params are Encoder: expected VAEParams"),
        (lambda: estimate(BERNOULLI.encoder, XS), "params are Encoder: expected VAEParams"),
        (lambda: bound(BERNOULLI._replace(decoder=FIVE["bernoulli"]), XS), r"\(4,\) and logits \(5,\)"),
        (lambda: bound(GAUSSIAN._replace(decoder=FIVE["gaussian"]), XS, "gaussian"), r"\(4,\) and mean \(5,\)"),
        (lambda: climb(XS, params=BERNOULLI._replace(decoder=FIVE["bernoulli"])), r"\(4,\) and logits \(5,\)"),
        (lambda: bound(BERNOULLI, XS, key=None), "pass key="),
        (lambda: climb(XS, num_steps=0), "num_steps is 0"),
        (lambda: climb(XS, batch_size=7), "batch_size is 7, but there are 6 examples"),
        (lambda: vj.em(vae.make_vae(), BERNOULLI, XS, num_steps=1, key=KEY), "use vaejax.maximize"),
        (lambda: estimate(BERNOULLI, XS, 5, 2), "num_samples is 5: expected a multiple of chunk_size, which is 2"),
        (lambda: estimate(BERNOULLI, XS, 2, 4), "num_samples is 2: expected a multiple of chunk_size, which is 4"),
        (lambda: estimate(BERNOULLI, XS, 0), "num_samples is 0"),
        (lambda: estimate(BERNOULLI, XS, 4, 0), "chunk_size is 0"),
        (lambda: on_grid(BERNOULLI, XS * 255), "between 0 and 255: Bernoulli pixels"),
        (lambda: on_grid(BERNOULLI, XS[:, :3]), r"x has shape \(3,\): this encoder"),
        (lambda: on_grid(BERNOULLI, with_nan(XS)), "1 NaN or infinite"),
        (lambda: on_grid(GAUSSIAN, XS), r'the model is make_vae\("bernoulli"\), but log_sigma2'),
        (lambda: on_grid(BERNOULLI, XS, num_points=0), "num_points is 0"),
        (lambda: on_grid(BERNOULLI, XS, reach=-1.0), "low < high in every dimension"),
        (lambda: vae.sample(BERNOULLI, KEY, 0), "num_samples is 0"),
        (lambda: vae.sigma2(BERNOULLI), "Bernoulli likelihood, which has no sigma2"),
        (lambda: vae.make_vae("poisson"), 'likelihood is \'poisson\': expected "bernoulli" or "gaussian"'),
        (lambda: vae.init(KEY, 4, 2, likelihood="poisson"), "likelihood is 'poisson'"),
        (lambda: vae.init(KEY, 4, 0), "num_latents is 0"),
        (lambda: vae.init(KEY, 0, 2), "num_features is 0"),
        (lambda: vae.init(KEY, 4, 2, hidden=(3, 0)), "hidden is 0"),
        (lambda: vae.init(KEY, 4, 2, hidden=5), "hidden is 5"),
        (lambda: bound(BERNOULLI._replace(decoder=vae.init(KEY, 4, 7).decoder), XS), r"reads z of shape \(7,\)"),
        (lambda: vae.init(KEY, 4, 2, hidden=(3.5,)), "hidden is 3.5"),
        (lambda: bound(jax.tree.map(lambda leaf: leaf / 0, BERNOULLI), XS), "params hold NaN or infinity"),
    ],
)
def test_a_vae_refuses_bad_input_with_advice(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("xs", [XS * 255, XS[:, :3], with_nan(XS)])
def test_maximize_asks_the_model_about_the_data_before_it_compiles(monkeypatch, xs):
    def refuse(*args, **kwargs):
        raise AssertionError("compiled before the data were checked")

    monkeypatch.setattr(gradient_ascent, "_gradient_steps", refuse)
    monkeypatch.setattr(gradient_ascent, "_check_objective", refuse)
    with pytest.raises(ValueError):
        climb(xs)
