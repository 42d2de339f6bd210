import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import assert_close, random_tril, seeds
from scipy import stats
from scipy.integrate import dblquad

import vaejax as vj
from vaejax.nodes import on_support

ONE = np.ones(1)


def gaussian_nodes(kind, mean, scale):
    makers = {
        "cubature": lambda: vj.cubature_nodes(mean, scale),
        "quadrature": lambda: vj.quadrature_nodes(mean, scale, 6),
        "sample": lambda: vj.sample_nodes(jax.random.key(0), mean, scale, 7),
    }
    return makers[kind]()


@given(seeds, st.integers(1, 3), st.booleans(), st.sampled_from(["cubature", "quadrature", "sample"]))
def test_gaussian_nodes_have_unit_weight_and_scipys_density(seed, dim, diagonal, kind):
    rng = np.random.default_rng(seed)
    mean, tril = rng.standard_normal(dim), random_tril(rng, dim)
    tril = np.diag(np.diag(tril)) if diagonal else tril
    nodes = gaussian_nodes(kind, mean, np.diag(tril) if diagonal else tril)
    assert nodes.z.shape == (len(nodes.weight), dim)
    assert_close(nodes.weight.sum(), 1.0)
    expected = np.atleast_1d(stats.multivariate_normal(mean, tril @ tril.T).logpdf(np.asarray(nodes.z)))
    assert_close(nodes.log_q, expected)


@given(seeds, st.integers(1, 5))
def test_cubature_is_exact_to_degree_three(seed, dim):
    rng = np.random.default_rng(seed)
    mean, tril = rng.standard_normal(dim), random_tril(rng, dim)
    nodes = vj.cubature_nodes(mean, tril)
    assert nodes.z.shape == (2 * dim, dim)
    a = rng.standard_normal(dim)
    m, v = a @ mean, a @ tril @ tril.T @ a  # a'z is N(m, v)
    got = [vj.expect(lambda z, p=power: (a @ z) ** p, nodes) for power in (1, 2, 3)]
    assert_close(np.array(got), [m, m**2 + v, m**3 + 3 * m * v], atol=1e-9)


def test_quadrature_with_all_the_points_that_it_admits():
    got = vj.expect(lambda z: jnp.cos(z[0]), vj.quadrature_nodes(np.zeros(1), ONE, 200))
    assert_close(got, np.exp(-0.5))  # the characteristic function of N(0, 1) at one


@given(seeds, st.integers(2, 5))
def test_quadrature_with_a_full_factor_is_exact_in_the_total_degree(seed, num_points):
    rng = np.random.default_rng(seed)
    mean, a, tril = rng.standard_normal(2), rng.standard_normal(2), random_tril(rng, 2)
    power = 2 * num_points - 1
    got = vj.expect(lambda z: (a @ z) ** power, vj.quadrature_nodes(mean, tril, num_points))
    assert_close(got, stats.norm(a @ mean, np.linalg.norm(a @ tril)).moment(power), atol=1e-7)


@given(seeds, st.integers(1, 3), st.integers(1, 8))
def test_quadrature_is_exact_to_degree_2n_minus_1(seed, dim, num_points):
    rng = np.random.default_rng(seed)
    mean, sd = rng.standard_normal(dim), np.exp(0.3 * rng.standard_normal(dim))
    nodes = vj.quadrature_nodes(mean, sd, num_points)
    assert nodes.z.shape == (num_points**dim, dim)
    power = 2 * num_points - 1
    got = vj.expect(lambda z: z**power, nodes)
    expected = np.array([stats.norm(m, s).moment(power) for m, s in zip(mean, sd, strict=True)])
    assert_close(got, expected, atol=1e-7)


def test_grid_is_a_midpoint_rule_on_the_box():
    nodes = vj.grid_nodes([-1.0, 0], [3, 2], 40)
    assert_close(nodes.weight.sum(), 1.0)
    assert_close(jnp.exp(nodes.log_q), np.full(1600, 1 / 8))  # uniform density on a box of area 8
    expected = dblquad(lambda b, a: np.exp(-(a**2)) * np.cos(b), -1, 3, 0, 2)[0] / 8
    assert_close(vj.expect(lambda z: jnp.exp(-(z[0] ** 2)) * jnp.cos(z[1]), nodes), expected, atol=5e-4)


def test_grid_error_falls_as_the_square_of_the_spacing():
    exact = np.sin(2.0) / 2  # mean of cos on [0, 2]
    errors = [float(vj.expect(lambda z: jnp.cos(z[0]), vj.grid_nodes([0.0], [2], n)) - exact) for n in (10, 20, 40)]
    assert_close(np.array(errors[:-1]) / errors[1:], [4.0, 4.0], atol=0.02)


def test_enumerated_nodes_sum_over_all_values():
    probs = np.array([0.5, 0.0, 0.2, 0.3])
    with np.errstate(divide="ignore"):
        nodes = vj.enumerate_nodes(np.log(probs))
    assert_close(vj.expect(lambda z: jax.nn.one_hot(z, 4), nodes), probs)


def test_weights_of_enumerated_nodes_are_their_masses():
    nodes = vj.enumerate_nodes(np.log([0.2, 0.3, 0.5]))
    assert_close(nodes.weight, [0.2, 0.3, 0.5])
    assert_close(vj.expect(lambda z: nodes.log_q[z], nodes), 0.2 * np.log(0.2) + 0.3 * np.log(0.3) + 0.5 * np.log(0.5))


def test_what_has_no_weight_counts_for_nothing():
    with np.errstate(divide="ignore"):
        log_probs = np.log([0.25, 0.0, 0.75])
    nodes = vj.enumerate_nodes(log_probs)
    entropy = -vj.expect(lambda z: nodes.log_q[z], nodes)
    assert_close(entropy, stats.entropy([0.25, 0.75]))


def test_expect_takes_pytrees():
    nodes = vj.enumerate_nodes(jnp.log(jnp.array([0.25, 0.75])))
    got = vj.expect(lambda z: {"label": z.astype(float), "square": jnp.full((2, 2), z * 3.0)}, nodes)
    assert_close(got["label"], 0.75)
    assert_close(got["square"], np.full((2, 2), 2.25))


def test_observed_is_one_completion_of_weight_one():
    nodes = vj.observed()
    assert (nodes.z.shape, float(nodes.weight[0]), float(nodes.log_q[0])) == ((1, 0), 1.0, 0.0)
    then = vj.bind(nodes, lambda z: nodes)
    assert ([z.shape for z in then.z], float(then.log_q[0])) == ([(1, 0), (1, 0)], 0.0)


def test_z_may_be_numpys_where_weights_are_traced():
    count = jax.jit(lambda weight: on_support(vj.Nodes(np.arange(3), weight, jnp.zeros(3)))[1])
    np.testing.assert_array_equal(count(jnp.array([0.0, 0.5, 0.5])), [1, 1, 2])


def test_samples_follow_q_and_their_key():
    mean, tril = np.array([1.0, -2]), np.array([[2.0, 0], [1, 0.5]])
    nodes = vj.sample_nodes(jax.random.key(3), mean, tril, 100_000)
    white = np.linalg.solve(tril, (np.asarray(nodes.z) - mean).T)
    for axis in white:  # Dvoretzky-Kiefer-Wolfowitz: P(distance > eps) <= 2 exp(-2 n eps^2)
        assert stats.kstest(axis, "norm").statistic < np.sqrt(np.log(2 / 1e-9) / (2 * len(axis)))
    assert abs(np.corrcoef(white)[0, 1]) < 6 / np.sqrt(white.shape[1])
    again = vj.sample_nodes(jax.random.key(3), mean, tril, 100_000)
    other = vj.sample_nodes(jax.random.key(4), mean, tril, 100_000)
    assert (again.z == nodes.z).all() and not (other.z == nodes.z).any()


def test_the_older_keys_of_jax_serve_as_well():
    new, old = jax.random.key(3), jax.random.PRNGKey(3)
    assert (vj.sample_nodes(new, ONE, ONE, 5).z == vj.sample_nodes(old, ONE, ONE, 5).z).all()


def test_gradients_flow_through_sampled_nodes():
    # d/dm E[z] = 1, d/ds E[z^2] = 2 s in expectation; for a fixed draw, z = m + s eps is differentiated path by path
    key = jax.random.key(0)
    eps = vj.sample_nodes(key, jnp.zeros(1), jnp.ones(1), 50).z[:, 0]
    second_moment = lambda m, s: vj.expect(lambda z: z[0] ** 2, vj.sample_nodes(key, m, s, 50))
    got = jax.grad(second_moment, (0, 1))(jnp.array([2.0]), jnp.array([3.0]))
    assert_close(got[0][0], (2 * (2 + 3 * eps)).mean())
    assert_close(got[1][0], (2 * (2 + 3 * eps) * eps).mean())


@pytest.mark.parametrize("kind", ["cubature", "quadrature", "sample"])
def test_nodes_keep_float32(kind):
    nodes = gaussian_nodes(kind, np.zeros(2, np.float32), np.ones(2, np.float32))
    assert {a.dtype for a in nodes} == {np.dtype("float32")}


def test_a_grid_between_float32_corners_is_float32():
    nodes = vj.grid_nodes(np.zeros(2, np.float32), np.ones(2, np.float32), 3)
    assert {a.dtype for a in nodes} == {np.dtype("float32")}


def test_nodes_are_made_inside_vmap_and_jit():
    means = jnp.arange(6.0).reshape(3, 2)
    nodes = jax.jit(jax.vmap(lambda m: vj.quadrature_nodes(m, jnp.eye(2), 3)))(means)
    assert nodes.z.shape == (3, 9, 2)
    assert_close(jax.vmap(lambda n: vj.expect(lambda z: z, n))(nodes), means)
    boxes = jax.jit(jax.vmap(lambda m: vj.grid_nodes(m - 1, m + 1, 3)))(means)
    assert_close(boxes.z.mean(1), means)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: vj.quadrature_nodes(np.zeros(4), np.ones(4), 5), "sample_nodes"),
        (lambda: vj.grid_nodes(np.zeros(4), np.ones(4), 5), "sample_nodes"),
        (lambda: vj.quadrature_nodes(np.zeros(2), np.ones(2), 0), "num_points is 0"),
        (lambda: vj.quadrature_nodes(np.zeros(1), np.ones(1), 201), "take num_points=200 or fewer"),
        (lambda: vj.quadrature_nodes(np.zeros(3), np.ones(3), 300), "take num_points=200 or fewer"),
        (lambda: vj.grid_nodes(np.zeros(2), np.ones(2), 2.5), "num_points is 2.5"),
        (lambda: vj.grid_nodes(np.ones(2), np.zeros(2), 3), "low < high"),
        (lambda: vj.grid_nodes([0.0, 1], [1.0, 1], 3), "low < high"),  # a box without a volume
        (lambda: vj.grid_nodes([-np.inf], [np.inf], 3), "finite"),
        (lambda: vj.grid_nodes([0.0, 0], [1.0, np.inf], 3), "finite"),
        (lambda: vj.grid_nodes([0.0, -np.inf], [1.0, 1], 3), "finite"),
        (lambda: vj.grid_nodes(np.zeros(0), np.ones(0), 3), "one shape"),
        (lambda: vj.cubature_nodes(np.zeros(0), np.zeros(0)), "vector of shape"),
        (lambda: vj.grid_nodes(0.0, 1.0, 3), "one shape"),
        (lambda: vj.grid_nodes(np.zeros((3, 2)), np.ones((3, 2)), 3), "one shape"),
        (lambda: vj.grid_nodes(np.zeros(2), np.ones(1), 3), "one shape"),
        (lambda: vj.grid_nodes(np.zeros(1), np.ones(2), 3), "one shape"),
        (lambda: vj.sample_nodes(jax.random.key(0), np.zeros(2), np.ones(2), 0), "num_samples is 0"),
        (lambda: vj.sample_nodes(None, np.zeros(2), np.ones(2), 3), "pass key="),
        (lambda: vj.sample_nodes(np.zeros(2), np.zeros(2), np.ones(2), 3), r"key is float64\[2\]"),
        (lambda: vj.sample_nodes(np.zeros(3, np.uint32), np.zeros(2), np.ones(2), 3), r"key is uint32\[3\]"),
        (lambda: vj.sample_nodes(jax.random.split(jax.random.key(0), 2), ONE, ONE, 3), "key is key<fry>"),
        (lambda: vj.bind(vj.observed(), lambda z: (z, z)), "f returned a tuple: expected vaejax.Nodes"),
        (lambda: vj.bind(vj.observed(), lambda z, key: vj.observed(), 3), "pass key="),
        (lambda: vj.cubature_nodes(np.zeros((5, 2)), np.ones((5, 2))), "use jax.vmap"),
        (lambda: vj.cubature_nodes(np.zeros(2), np.ones(3)), "lower triangular"),
        (lambda: vj.enumerate_nodes(np.zeros((3, 2))), "vmap"),
        (lambda: vj.enumerate_nodes(0.0), "vmap"),
        (lambda: vj.enumerate_nodes([0.5, 0.5]), "add up to 3.29744, not to 1"),
        (lambda: vj.enumerate_nodes(np.log([0.5, 0.4])), "log_softmax"),
        (lambda: vj.enumerate_nodes(np.log([0.5, 0.6])), "log_softmax"),
        (lambda: vj.enumerate_nodes(np.zeros(0)), "expected"),
    ],
)
def test_bad_nodes_are_refused_with_advice(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_bound_nodes_are_all_pairs_with_their_products():
    q_z, q_u = np.array([0.2, 0.5, 0.3]), np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    nodes = vj.bind(vj.enumerate_nodes(np.log(q_z)), lambda z: vj.enumerate_nodes(jnp.log(jnp.asarray(q_u))[z]))
    table = {(int(z), int(u)): (w, lq) for z, u, w, lq in zip(*nodes.z, nodes.weight, nodes.log_q, strict=True)}
    assert len(table) == 6
    for (z, u), (weight, log_q) in table.items():
        assert_close(weight, q_z[z] * q_u[z, u])
        assert_close(log_q, np.log(q_z[z] * q_u[z, u]))


def test_bound_nodes_average_a_scale_mixture_as_it_is():
    """z a label, u ~ N(z, (1 + z)^2): E[u^2] by the law of total variance; and three deep, with pytrees for z."""
    labels = vj.enumerate_nodes(np.log([0.25, 0.75]))
    pair = vj.bind(labels, lambda z: vj.cubature_nodes(z * jnp.ones(1), (1.0 + z) * jnp.ones(1)))
    assert_close(vj.expect(lambda zu: zu[1][0] ** 2, pair), 0.25 * 1 + 0.75 * (1 + 4))
    three = vj.bind(pair, lambda zu: vj.cubature_nodes(zu[1], jnp.ones(1)))
    assert_close(vj.expect(lambda zuv: zuv[1][0] ** 2, three), 0.25 * 1 + 0.75 * 5 + 1)
    assert_close(three.weight.sum(), 1.0)


def test_each_of_the_bound_nodes_draws_with_a_key_of_its_own():
    labels = vj.enumerate_nodes(np.log(np.full(4, 0.25)))
    draw = lambda z, key: vj.sample_nodes(key, jnp.zeros(2), jnp.ones(2), 3)
    nodes = vj.bind(labels, draw, jax.random.key(0))
    assert nodes.z[1].shape == (12, 2) and len(np.unique(nodes.z[1])) == 24
    assert_close(nodes.log_q, np.log(0.25) + stats.norm.logpdf(nodes.z[1]).sum(1))
    assert_close(nodes.z[0], np.repeat(np.arange(4), 3))


def test_expect_gives_no_nan_to_a_gradient_at_what_has_no_weight():
    nodes = vj.enumerate_nodes(jnp.array([0.0, -jnp.inf]))
    value, slope = jax.value_and_grad(lambda p: vj.expect(lambda z: jnp.log(p[z]), nodes))(jnp.array([0.5, 0.0]))
    assert_close(value, np.log(0.5))
    assert_close(slope, [2.0, 0.0])


def test_z_may_be_any_pytree():
    z = {"label": jnp.arange(3), "place": jnp.ones((3, 2)) * jnp.arange(3.0)[:, None]}
    nodes = vj.Nodes(z, jnp.array([0.5, 0.0, 0.5]), jnp.zeros(3))
    slope = jax.grad(lambda p: vj.expect(lambda z: (p / z["place"] ** 0.5).sum() + jnp.log(2 - z["label"]), nodes))
    assert not np.isfinite(slope(1.0))  # at the origin, which has weight
    used = nodes._replace(weight=jnp.array([0.0, 1.0, 0.0]))
    assert_close(jax.grad(lambda p: vj.expect(lambda z: (p / z["place"] ** 0.5).sum(), used))(1.0), 2.0)


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg", "unsafe_rbg"])
def test_keys_of_all_kinds_serve(kind):
    key = jax.random.key(3, impl=kind)
    with jax.default_prng_impl(kind):
        old = jax.random.PRNGKey(3)
        assert (vj.sample_nodes(key, ONE, ONE, 5).z == vj.sample_nodes(old, ONE, ONE, 5).z).all()
        with pytest.raises(ValueError, match=r"key is uint32\[3\]"):
            vj.sample_nodes(np.zeros(3, np.uint32), ONE, ONE, 3)
