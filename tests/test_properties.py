"""What holds for every model, shape, scale and data set, tried on random ones: VAEJAX_EXAMPLES=100 tries more."""

import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import Linear, Mixture, random_tril
from problems import seeds as any_seed

import vaejax as vj
from vaejax import densities, gaussian, gmm, vae
from vaejax import linear_gaussian as lg

pytestmark = pytest.mark.long
few = settings(max_examples=int(os.environ.get("VAEJAX_EXAMPLES", "1")))  # each compiles anew
seeds = any_seed.filter(bool)  # or the first example, and here the only one, would always be the simplest
sizes = st.integers(1, 3)
scales = st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6])
KEY = jax.random.key(0)


# --- one example: functions of an array and of parameters ---------------------------------------------------------


def gaussian_arguments(rng, dim, scale, diagonal=False):
    tril = random_tril(rng, dim)
    return scale * rng.standard_normal(dim), scale * (np.diag(tril) if diagonal else tril)


def mixture_arguments(rng, dim, num, scale):
    log_pi, mu, scale_tril = Mixture.random(rng, num, dim)
    return gmm.GMMParams(log_pi, scale * mu, scale * scale_tril), scale * rng.standard_normal(dim)


def linear_arguments(rng, dim, num, scale):
    model = Linear.random(rng, dim, num)
    params = lg.LinearGaussianParams(scale * model.W, scale * model.b, np.log(scale**2 * model.psi))
    return params, scale * rng.standard_normal(dim)


def holes(rng, x):
    return np.where(rng.random(x.size) < 0.4, np.nan, x)


def linear_arguments_with_holes(rng, dim, num, scale):
    params, x = linear_arguments(rng, dim, num, scale)
    return params, holes(rng, x)


def gaussian_arguments_with_holes(rng, dim, num, scale):
    del num
    params = gaussian.GaussianParams(*gaussian_arguments(rng, dim, scale))
    return params, holes(rng, scale * rng.standard_normal(dim))


def plane_arguments(rng, dim, num, scale):
    xs = scale * rng.standard_normal((dim + num + 2, dim + num))
    return lg.pca(xs, num), xs[0]


def network_arguments(rng, dim, num, scale, likelihood):
    params = vae.init(jax.random.key(rng.integers(2**31)), dim, num, hidden=(3,), likelihood=likelihood)
    del scale  # pixels lie between 0 and 1
    return params, rng.random(dim), rng.standard_normal(num)


def bound_of_linear(bound, nodes_of):
    """A bound as a function of everything in it: the model, the example, and the mean and scale of q."""

    def f(params, x, mean, scale_tril):
        return bound(lg.log_joint, params, x, nodes_of(mean, scale_tril))

    def arguments(rng, dim, num, scale):
        return *linear_arguments(rng, dim, num, scale), rng.standard_normal(num), random_tril(rng, num)

    return f, arguments


def bound_of_mixture(bound):
    def f(params, x, logits):
        return bound(gmm.log_joint, params, x, vj.enumerate_nodes(jax.nn.log_softmax(logits)))

    return f, lambda rng, dim, num, scale: (*mixture_arguments(rng, dim, num, scale), rng.standard_normal(num))


def bent(params, x, z):
    """x = (z, z^2 / 2) and noise: no Gaussian posterior."""
    del params
    mean = jnp.stack([z[0], z[0] ** 2 / 2])
    return densities.log_gaussian(z, 0 * z, jnp.ones_like(z)) + densities.log_gaussian(x, mean, jnp.ones_like(x))


FUNCTIONS = {  # name -> the function, and arguments of a size and a scale
    "log_gaussian": (
        densities.log_gaussian,
        lambda rng, dim, num, scale: (scale * rng.standard_normal(dim), *gaussian_arguments(rng, dim, scale)),
    ),
    "log_gaussian, diagonal": (
        densities.log_gaussian,
        lambda rng, dim, num, scale: (scale * rng.standard_normal(dim), *gaussian_arguments(rng, dim, scale, True)),
    ),
    "log_bernoulli": (
        densities.log_bernoulli,
        lambda rng, dim, num, scale: (rng.random(dim), scale * rng.standard_normal(dim)),
    ),
    "log_categorical": (
        lambda logits: densities.log_categorical(0, logits),
        lambda rng, dim, num, scale: (scale * rng.standard_normal(num),),
    ),
    "kl_gaussian": (
        densities.kl_gaussian,
        lambda rng, dim, num, scale: (*gaussian_arguments(rng, dim, scale), *gaussian_arguments(rng, dim, scale)),
    ),
    "kl_gaussian, diagonal": (
        densities.kl_gaussian,
        lambda rng, dim, num, scale: (
            *gaussian_arguments(rng, dim, scale, True),
            *gaussian_arguments(rng, dim, scale),
        ),
    ),
    "kl_categorical": (
        densities.kl_categorical,
        lambda rng, dim, num, scale: tuple(scale * rng.standard_normal((2, num))),
    ),
    "expect": (
        lambda mean, tril: vj.expect(lambda z: z[:, None] * z[None], vj.cubature_nodes(mean, tril)),
        lambda rng, dim, num, scale: gaussian_arguments(rng, dim, scale),
    ),
    "elbo, cubature": bound_of_linear(vj.elbo, vj.cubature_nodes),
    "elbo, quadrature": bound_of_linear(vj.elbo, lambda mean, tril: vj.quadrature_nodes(mean, tril, 5)),
    "elbo, sampled": bound_of_linear(vj.elbo, lambda mean, tril: vj.sample_nodes(KEY, mean, tril, 3)),
    "iw_bound, sampled": bound_of_linear(vj.iw_bound, lambda mean, tril: vj.sample_nodes(KEY, mean, tril, 3)),
    "elbo, enumerated": bound_of_mixture(vj.elbo),
    "iw_bound, enumerated": bound_of_mixture(vj.iw_bound),
    "iw_bound, grid": (
        lambda x, low, log_size: vj.iw_bound(bent, None, x, vj.grid_nodes(low, low + jnp.exp(log_size), 6)),
        lambda rng, dim, num, scale: (rng.standard_normal(2), -1 - rng.random(1), rng.random(1)),
    ),
    "gmm.log_joints": (gmm.log_joints, mixture_arguments),
    "gmm.log_prob": (gmm.log_prob, mixture_arguments),
    "gmm.responsibilities": (gmm.responsibilities, mixture_arguments),
    "gaussian.log_prob": (gaussian.log_prob, gaussian_arguments_with_holes),
    "gaussian.conditional": (gaussian.conditional, gaussian_arguments_with_holes),
    "linear_gaussian.log_marginal": (lg.log_marginal, linear_arguments),
    "linear_gaussian.posterior_moments": (lg.posterior_moments, linear_arguments),
    "linear_gaussian.impute": (lg.impute, linear_arguments_with_holes),
    "linear_gaussian.log_joint": (
        lg.log_joint,
        lambda rng, dim, num, scale: (*linear_arguments_with_holes(rng, dim, num, scale), rng.standard_normal(num)),
    ),
    "linear_gaussian.project": (lg.project, plane_arguments),
    "linear_gaussian.reconstruct": (lg.reconstruct, plane_arguments),
    "vae.log_joint, bernoulli": (vae.log_joint, functools.partial(network_arguments, likelihood="bernoulli")),
    "vae.log_joint, gaussian": (vae.log_joint, functools.partial(network_arguments, likelihood="gaussian")),
    "vae.reconstruct": (
        lambda params, x, z: vae.reconstruct(params, x),
        functools.partial(network_arguments, likelihood="bernoulli"),
    ),
    "vae.decode": (
        lambda params, x, z: vae.decode(params, z),
        functools.partial(network_arguments, likelihood="gaussian"),
    ),
}


def arguments_of(name, seed, dim, num, scale, dtype=float):
    f, make = FUNCTIONS[name]
    arguments = make(np.random.default_rng(seed), dim, num, scale)
    return f, jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), arguments)


def assert_tree_close(got, expected, rtol, atol=1e-12):
    """Each array within `rtol` of its own size."""

    def compare(a, b):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max(initial=0) + atol)

    jax.tree.map(compare, got, expected)


for_each_function = pytest.mark.parametrize("name", FUNCTIONS)


@for_each_function
@given(seeds, sizes, sizes, scales)
@few
def test_legal_arguments_give_finite_results_and_jit_and_vmap_change_nothing(name, seed, dim, num, scale):
    f, arguments = arguments_of(name, seed, dim, num, scale)
    result = f(*arguments)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result))
    assert_tree_close(jax.jit(f)(*arguments), result, rtol=1e-9)
    _, others = arguments_of(name, seed + 1, dim, num, scale)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), arguments, others)
    loop = jax.tree.map(lambda a, b: jnp.stack([a, b]), result, f(*others))
    assert_tree_close(jax.vmap(f)(*both), loop, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if "sampled" not in name])  # other draws in float32
@given(seeds, sizes, sizes, scales)
@few
def test_float32_agrees_with_float64(name, seed, dim, num, scale):
    f, arguments = arguments_of(name, seed, dim, num, scale)
    _, rounded = arguments_of(name, seed, dim, num, scale, np.float32)
    result = f(*rounded)
    assert {leaf.dtype for leaf in jax.tree.leaves(result)} == {np.dtype(np.float32)}
    # float32 has seven digits; random_tril keeps conditions below about 1e3, and nats are differences of logits
    rounding = 1e-6 * max(scale, 1) if "categorical" in name or "bernoulli" in name else 1e-12
    assert_tree_close(result, f(*arguments), rtol=2e-3, atol=rounding)


@for_each_function
@given(seeds, sizes, sizes, scales)
@few
def test_gradients_are_finite_differences(name, seed, dim, num, scale):
    f, arguments = arguments_of(name, seed, dim, num, scale)
    rng = np.random.default_rng(seed)

    @jax.jit  # where no value is looked at: a step may leave the triangle of a factor
    def number(arguments):
        """One number, in which all that f returns has a part of its own."""
        leaves = jax.tree.leaves(f(*arguments))
        return sum((np.cos(np.arange(leaf.size)).reshape(leaf.shape) * leaf).sum() for leaf in leaves)

    # one direction for all arguments, each in units of its own size; NaN, which marks what is missing, stays
    direction = jax.tree.map(
        lambda leaf: (np.nanmax(np.abs(leaf), initial=0) or 0.1) * rng.standard_normal(leaf.shape), arguments
    )

    def moved(step):
        return number(jax.tree.map(lambda a, d: a + step * d, arguments, direction))

    value, slope = jax.jvp(moved, (0.0,), (1.0,))
    size = abs(float(value)) + abs(float(slope)) + 1e-6
    step = 1e-5
    assert abs(float(slope) - float(moved(step) - moved(-step)) / (2 * step)) < 1e-4 * size
    backward = jax.grad(number)(arguments)
    total = sum(float((g * d).sum()) for g, d in zip(*map(jax.tree.leaves, (backward, direction)), strict=True))
    assert np.isfinite(total) and abs(total - float(slope)) < 1e-8 * size


# --- bounds -------------------------------------------------------------------------------------------------------


@given(seeds, sizes, sizes, scales)
def test_log_p_minus_the_elbo_is_the_kl_to_the_posterior_of_a_mixture(seed, dim, num, scale):
    rng = np.random.default_rng(seed)
    params, x = jax.tree.map(jnp.asarray, mixture_arguments(rng, dim, num, scale))
    logits = jax.nn.log_softmax(rng.standard_normal(num))
    elbo, iw = (bound(gmm.log_joint, params, x, vj.enumerate_nodes(logits)) for bound in (vj.elbo, vj.iw_bound))
    log_p = gmm.log_prob(params, x)
    gap = densities.kl_categorical(logits, gmm.log_joints(params, x))
    size = 1e-9 * (abs(log_p) + abs(gap) + 1)
    assert abs(log_p - elbo - gap) < size and elbo <= iw + size and abs(iw - log_p) < size


@given(seeds, sizes, sizes, scales)
def test_log_p_minus_the_elbo_is_the_kl_to_the_posterior_of_a_linear_model(seed, dim, num, scale):
    rng = np.random.default_rng(seed)
    params, x = jax.tree.map(jnp.asarray, linear_arguments(rng, dim, num, scale))
    mean, tril = rng.standard_normal(num), random_tril(rng, num)
    elbo = vj.elbo(lg.log_joint, params, x, vj.cubature_nodes(mean, tril))
    at, cov = lg.posterior_moments(params, x)
    gap = densities.kl_gaussian(mean, tril, at, jnp.linalg.cholesky(cov))
    log_p = lg.log_marginal(params, x)
    assert abs(log_p - elbo - gap) < 1e-8 * (abs(log_p) + abs(gap) + 1)
    draws = vj.sample_nodes(jax.random.key(seed), mean, tril, 5)
    low, high = (bound(lg.log_joint, params, x, draws) for bound in (vj.elbo, vj.iw_bound))
    assert low <= high + 1e-9 * (abs(high) + 1)


# --- fits ---------------------------------------------------------------------------------------------------------


def turned(rng, xs):
    return xs @ np.linalg.qr(rng.standard_normal((xs.shape[1],) * 2))[0]


TABLES = {  # N examples of D features, some of them hard to fit
    "a cloud": lambda rng, n, d: rng.standard_normal((n, d)),
    "far from the origin": lambda rng, n, d: 1e3 + rng.standard_normal((n, d)),
    "each example three times": lambda rng, n, d: np.repeat(rng.standard_normal((n, d)), 3, 0),
    "whole numbers": lambda rng, n, d: rng.integers(-2, 3, (n, d)).astype(float) + 1e-3 * rng.standard_normal((n, d)),
    "one far outlier": lambda rng, n, d: np.concatenate([rng.standard_normal((n, d)), np.full((1, d), 1e3)]),
    "nearly a plane": lambda rng, n, d: turned(rng, rng.standard_normal((n, d)) * 0.01 ** np.arange(d)),
}
FLAT = {  # of less than full rank, which the linear model takes
    "a column twice": lambda rng, n, d: rng.standard_normal((n, 1)) + np.zeros((1, d)),
    "a constant column": lambda rng, n, d: rng.standard_normal((n, d)) * (np.arange(d) > 0),
}
MODELS = {"gmm": gmm.GMM, "ppca": lg.PPCA, "factor analysis": lg.FACTOR_ANALYSIS, "gaussian": gaussian.GAUSSIAN}


def start_of(model, xs, num, seed):
    if model == "gmm":
        return gmm.init(xs, min(num, len(np.unique(xs, axis=0))), jax.random.key(seed))
    return gaussian.init(xs) if model == "gaussian" else lg.init(xs, min(num, xs.shape[1] - 1))


def table_of(tables, kind, model, seed, dim, num, scale):
    rng = np.random.default_rng(seed)
    dim = dim + (model != "gmm")  # a single feature has nothing in common with another
    return scale * tables[kind](rng, dim + num + 3, dim)


@pytest.mark.parametrize(
    ("model", "kind"),
    [(model, kind) for model in MODELS for kind in TABLES]
    + [(m, k) for m in ("ppca", "factor analysis") for k in FLAT],
)
@given(seeds, sizes, sizes, scales, st.booleans())
@few
def test_em_never_falls(model, kind, seed, dim, num, scale, fast):
    xs = table_of(TABLES | FLAT, kind, model, seed, dim, num, scale)
    params, history = vj.em(MODELS[model], start_of(model, xs, num, seed), xs, num_steps=30, fast=fast)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)) and np.isfinite(history[-1])
    assert (np.diff(history) > -1e-6 * (1 + abs(history[1:]))).all()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_start_and_data_may_differ_in_precision(model, fast):
    """The fit is as precise as the more precise of both."""
    coarse_xs = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    fine_xs = coarse_xs.astype(float)
    coarse = jax.tree.map(lambda leaf: leaf.astype(np.float32), start_of(model, fine_xs, 2, 0))
    fine, first_coarse = jax.tree.map(lambda leaf: leaf.astype(float), coarse), iter(jax.tree.leaves(coarse)[:1])
    mixed = jax.tree.map(lambda leaf: next(first_coarse, leaf), fine)
    expected = vj.em(MODELS[model], fine, fine_xs, num_steps=3, fast=fast)
    for start, xs in ((fine, coarse_xs), (coarse, fine_xs), (mixed, fine_xs)):
        found = vj.em(MODELS[model], start, xs, num_steps=3, fast=fast)
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype(float)}
        assert_tree_close(found, expected, rtol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@given(seeds, sizes, sizes)
@few
def test_the_order_of_the_examples_is_of_no_account(model, seed, dim, num):
    xs = table_of(TABLES, "a cloud", model, seed, dim, num, 1.0)
    start = start_of(model, xs, num, seed)
    order = np.random.default_rng(seed).permutation(len(xs))
    assert_tree_close(*(vj.em(MODELS[model], start, table, num_steps=5) for table in (xs[order], xs)), rtol=1e-6)


@given(seeds, sizes, sizes)
@few
def test_components_have_no_order(seed, dim, num):
    xs = table_of(TABLES, "a cloud", "gmm", seed, dim, num, 1.0)
    start = start_of("gmm", xs, num, seed)
    order = np.random.default_rng(seed).permutation(len(start.log_pi))
    shuffle = functools.partial(jax.tree.map, lambda leaf: leaf[order])
    (params, history), (moved, same) = (vj.em(gmm.GMM, s, xs, num_steps=5) for s in (start, shuffle(start)))
    assert_tree_close((moved, same), (shuffle(params), history), rtol=1e-6)


@given(seeds, sizes, sizes, scales)
@few
def test_another_frame_for_the_data_of_a_mixture_moves_the_fit_along(seed, dim, num, scale):
    """x -> A x + c: the means and the covariances go along, and the bound falls by log |det A|."""
    rng = np.random.default_rng(seed)
    xs = table_of(TABLES, "a cloud", "gmm", seed, dim, num, 1.0)
    A, c = scale * random_tril(rng, dim), scale * rng.standard_normal(dim)

    def move(params):
        return params._replace(mu=params.mu @ A.T + c[None], scale_tril=A[None] @ params.scale_tril)

    start = start_of("gmm", xs, num, seed)
    params, history = vj.em(gmm.GMM, start, xs, num_steps=5)
    moved, shifted = vj.em(gmm.GMM, move(start), xs @ A.T + c[None], num_steps=5)
    assert_tree_close(moved, move(params), rtol=1e-6)
    assert_tree_close(shifted, history - np.log(np.diagonal(A)).sum(), rtol=1e-6)


@pytest.mark.parametrize("model", ["ppca", "factor analysis"])
@given(seeds, sizes, sizes, scales)
@few
def test_another_frame_for_the_data_of_a_linear_model_moves_the_fit_along(model, seed, dim, num, scale):
    """PPCA knows no axes, and factor analysis no units; neither knows which way its latents are turned."""
    rng = np.random.default_rng(seed)
    xs = table_of(TABLES, "a cloud", model, seed, dim, num, 1.0)
    start = start_of(model, xs, num, seed)
    shift, (D, L) = scale * rng.standard_normal(xs.shape[1]), start.W.shape
    if model == "ppca":
        A = scale * np.linalg.qr(rng.standard_normal((D, D)))[0]
    else:
        A = scale * np.diag(np.exp(rng.standard_normal(D)))
    turn = np.linalg.qr(rng.standard_normal((L, L)))[0]

    def move(params):
        log_psi = params.log_psi + np.log((A**2).sum(1))  # the rows of A are at right angles
        return params._replace(W=A @ params.W @ turn, b=A @ params.b + shift, log_psi=log_psi)

    params, history = vj.em(MODELS[model], start, xs, num_steps=5)
    moved, shifted = vj.em(MODELS[model], move(start), xs @ A.T + shift[None], num_steps=5)
    assert_tree_close(moved, move(params), rtol=1e-6)
    assert_tree_close(shifted, history - np.log((A**2).sum(1)).sum() / 2, rtol=1e-6)


@pytest.mark.parametrize("kind", TABLES | FLAT)
@given(seeds, sizes, sizes, scales)
@few
def test_the_best_plane_in_any_frame(kind, seed, dim, num, scale):
    """Of any table, wide ones too: the variances are numpy's singular values, and what is lost is what they leave."""
    rng = np.random.default_rng(seed)
    xs = scale * (TABLES | FLAT)[kind](rng, num + 2, dim + num)
    D, size = dim + num, np.square(xs).sum(1).mean()
    plane = lg.pca(xs, num)
    spread = np.linalg.svd(xs - xs.mean(0), compute_uv=False) ** 2 / len(xs)
    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-9 * size)
    np.testing.assert_allclose(plane.W.T @ plane.W, np.eye(num), atol=1e-9)
    close(plane.variances, spread[:num])
    shadows = jax.vmap(lg.reconstruct, (None, 0))(plane, xs)
    close(np.square(xs - shadows).sum(1).mean(), spread[num:].sum())
    _, losses = lg.als(xs, num, 5, jax.random.key(seed))
    assert (np.diff(losses) < 1e-9 * size).all() and losses[-1] > spread[num:].sum() - 1e-9 * size
    turn, shift = np.linalg.qr(rng.standard_normal((D, D)))[0], scale * rng.standard_normal(D)
    close(lg.pca(xs @ turn + shift, num).variances, plane.variances)


@given(seeds, sizes, sizes, scales)
def test_latents_have_no_order_and_no_sign(seed, dim, num, scale):
    rng = np.random.default_rng(seed)
    turn = np.eye(num)[rng.permutation(num)] * rng.choice([-1, 1], num)
    params, x = linear_arguments(rng, dim, num, scale)
    for each in (params._replace(W=params.W @ turn), params._replace(W=lg.varimax(params.W)[0])):
        assert_tree_close(lg.log_marginal(each, x), lg.log_marginal(params, x), rtol=1e-8)
    linear = functools.partial(lg.log_joint, params._replace(W=params.W @ turn), x)
    z = rng.standard_normal(num)
    assert_tree_close(linear(turn.T @ z), lg.log_joint(params, x, z), rtol=1e-8)
    network, pixels, _ = network_arguments(rng, dim, num, scale, "bernoulli")
    turned_network = jax.tree.map(jnp.asarray, network)
    first = turned_network.decoder.hidden[0].kernel
    first[...] = jnp.asarray(turn.T, first.dtype) @ first[...]
    assert_tree_close(vae.log_joint(turned_network, pixels, turn.T @ z), vae.log_joint(network, pixels, z), rtol=1e-6)


@given(seeds, sizes, st.integers(1, 150), st.sampled_from([1e-3, 1.0, 1e3]))
@few
def test_gradient_ascent_on_a_quadratic_is_known_at_every_step(seed, dim, num_steps, scale):
    """From p, with rate r, on the mean of -(p - x)' H (p - x) / 2: p_t - m = (I - r H)^t (p_0 - m), m the mean."""
    rng = np.random.default_rng(seed)
    H = random_tril(rng, dim)
    H = H @ H.T / np.linalg.eigvalsh(H @ H.T).max()
    xs, start = scale * rng.standard_normal((7, dim)), scale * rng.standard_normal(dim)

    def height(p, xs, key):
        return -jnp.einsum("nd,de,ne->n", p[None] - xs, H, p[None] - xs).mean() / 2

    fit, history = vj.maximize(height, start, xs, KEY, optimizer=optax.sgd(0.5), num_steps=num_steps)
    values, axes = np.linalg.eigh(H)
    paths = (1 - 0.5 * values) ** np.arange(num_steps + 1)[:, None] * (axes.T @ (start - xs.mean(0))) @ axes.T
    assert_tree_close(fit, paths[-1] + xs.mean(0), rtol=1e-9)
    lost = ((paths @ H) * paths).sum(1) + np.einsum("nd,de,ne->n", *(xs - xs.mean(0), H, xs - xs.mean(0))).mean()
    assert_tree_close(history, -lost[:-1] / 2, rtol=1e-9)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@given(seeds, sizes, sizes)
@few
def test_a_network_fits_the_same_whatever_the_order_of_the_examples(likelihood, seed, dim, num):
    """With all of them in each step, and a q that draws nothing: cubature of the encoder's Gaussian."""
    rng = np.random.default_rng(seed)
    model = vj.LatentModel(vae.log_joint, lambda params, x, key: vj.cubature_nodes(*vae.encode(params, x)))
    start = vae.init(jax.random.key(seed), dim, num, hidden=(3,), likelihood=likelihood)
    xs = rng.random((dim + num, dim))
    fits = [
        vj.maximize(model, start, table, KEY, optimizer=optax.sgd(0.01), num_steps=5)[1]
        for table in (xs, xs[rng.permutation(len(xs))])
    ]
    assert_tree_close(*fits, rtol=1e-4)
    assert (np.diff(fits[0]) > 0).all()
