import gc
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from problems import LINEAR, Linear, assert_close, mean_log_gaussian, seeds

import vaejax as vj
from vaejax import gradient_ascent, vae

ADAM, SGD = optax.adam(0.05), optax.sgd(0.1)


def draw(seed, num_examples=40):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((num_examples, 2)) @ [[2.0, 0], [1, 0.5]] + [1, -1]


@given(seeds, st.sampled_from([None, 40, 13]))
def test_maximize_climbs_to_maximum_likelihood(seed, batch_size):
    xs = draw(seed)
    optimizer = optax.adam(optax.exponential_decay(0.1, 250, 0.2)) if batch_size else ADAM
    start = (np.zeros(2), np.zeros(2))
    (mean, log_sd), history = vj.maximize(
        mean_log_gaussian, start, xs, jax.random.key(seed), optimizer=optimizer, num_steps=1000, batch_size=batch_size
    )
    assert history.shape == (1000,)
    tolerance = 0.05 if batch_size == 13 else 1e-4  # a small batch leaves noise of the size of the last steps
    assert_close(mean, xs.mean(0), atol=tolerance)
    assert_close(log_sd, np.log(xs.std(0)), atol=tolerance)


def test_maximize_records_the_objective_before_each_step():
    xs = draw(3)
    (mean, _), history = vj.maximize(
        lambda params, data, key: -((data.mean(0) - params[0]) ** 2).sum() + 0 * params[1].sum(),
        (np.zeros(2), np.zeros(2)), xs, jax.random.key(0), optimizer=SGD, num_steps=3,
    )  # fmt: skip
    gaps = [xs.mean(0) * 0.8**k for k in range(4)]  # x <- x + 0.1 * 2 * gap
    assert_close(history, np.array([-(g**2).sum() for g in gaps[:3]]))
    assert_close(mean, xs.mean(0) - gaps[3])


def test_maximize_is_the_same_run_in_whatever_blocks():
    xs, start = draw(4), (np.zeros(2), np.zeros(2))
    args = dict(optimizer=ADAM, batch_size=7)
    long, long_history = vj.maximize(mean_log_gaussian, start, xs, jax.random.key(1), num_steps=250, **args)
    short, short_history = vj.maximize(mean_log_gaussian, start, xs, jax.random.key(1), num_steps=130, **args)
    assert (long_history[:130] == short_history).all()
    again, _ = vj.maximize(mean_log_gaussian, start, xs, jax.random.key(1), num_steps=250, **args)
    other, _ = vj.maximize(mean_log_gaussian, start, xs, jax.random.key(2), num_steps=250, **args)
    assert (again[0] == long[0]).all() and not (other[0] == long[0]).all()


def draw_only(params, data, key):
    return 0 * params + jax.random.uniform(key, dtype=float)


def test_each_step_of_maximize_draws_afresh():
    xs, args = np.ones((3, 1)), dict(optimizer=SGD, num_steps=250)
    _, history = vj.maximize(draw_only, 0.0, xs, jax.random.key(0), **args)
    # in all three blocks; honest draws of 52 bits coincide once in 10^11
    assert len(np.unique(history)) == 250


def test_batches_and_steps_have_keys_of_their_own(monkeypatch):
    keys = [jax.random.key(0)]

    def note(name, position):
        function = getattr(gradient_ascent, name)

        def noting(*args):
            keys.append(args[position])
            return function(*args)

        monkeypatch.setattr(gradient_ascent, name, noting)

    note("_batch_stream", 0)
    note("_gradient_steps", 5)
    args = dict(optimizer=SGD, num_steps=1, batch_size=2)
    vj.maximize(draw_only, 0.0, np.ones((3, 1)), keys[0], **args)
    assert len(keys) == 3
    numbers = [jax.random.key_data(key) for key in keys]
    assert len(np.unique(numbers, axis=0)) == 3


def test_the_optimizer_sees_the_parameters():
    # where the objective is flat, adamw shrinks by 1 - rate * decay a step
    flat = lambda params, data, key: 0 * params.sum()
    start, optimizer = np.array([1.0, -2]), optax.adamw(0.1, weight_decay=0.5)
    args = dict(optimizer=optimizer, num_steps=7)
    xs, key = np.ones((3, 1)), jax.random.key(0)
    end, _ = vj.maximize(flat, start, xs, key, **args)
    assert_close(end, start * 0.95**7)


def test_a_batch_takes_the_same_examples_from_every_array():
    xs = np.random.default_rng(0).standard_normal((20, 3))
    data = {"table": xs, "column": xs[:, 0], "cube": xs[:, :, None]}

    def mismatch(params, data, key):
        column = jnp.abs(data["table"][:, 0] - data["column"]).sum()
        cube = jnp.abs(data["table"] - data["cube"][:, :, 0]).sum()
        return 0 * params - column - cube

    args = dict(optimizer=SGD, num_steps=5, batch_size=7)
    _, history = vj.maximize(mismatch, 0.0, data, jax.random.key(0), **args)
    assert (history == 0).all()


@pytest.mark.parametrize("start", [0.0, np.zeros(()), jnp.asarray(0.0)])
def test_a_start_is_an_array_whatever_it_was(start):
    towards_one = lambda params, data, key: -((params - data.mean()) ** 2)
    args = dict(optimizer=SGD, num_steps=250)
    gc.collect()  # programs of objectives that are gone go, too
    before = gradient_ascent._gradient_steps._cache_size()
    xs, key = np.ones((3, 1)), jax.random.key(0)
    end, _ = vj.maximize(towards_one, start, xs, key, **args)
    compiled = gradient_ascent._gradient_steps._cache_size() - before
    assert compiled == 1  # for all three blocks
    assert_close(end, 1.0)


def test_any_number_of_steps_runs_the_same_compiled_code():
    xs, start, key = draw(5), (np.zeros(2), np.zeros(2)), jax.random.key(0)
    vj.maximize(mean_log_gaussian, start, xs, key, optimizer=SGD, num_steps=3)
    before = gradient_ascent._gradient_steps._cache_size()
    for num_steps in (1, 99, 100, 101, 250):
        vj.maximize(mean_log_gaussian, start, xs, key, optimizer=SGD, num_steps=num_steps)
    assert gradient_ascent._gradient_steps._cache_size() == before


def test_each_pass_through_the_data_takes_every_example_once():
    batches = gradient_ascent._batch_stream(jax.random.key(0), num_examples=10, batch_size=4)
    flat = np.concatenate([next(batches) for _ in range(25)])
    for one_pass in flat.reshape(10, 10):
        assert sorted(one_pass) == list(range(10))
    assert len({tuple(p) for p in flat.reshape(10, 10)}) > 1


def test_the_callers_arrays_survive():
    mean, log_sd = jnp.zeros(2), jnp.zeros(2)
    vj.maximize(mean_log_gaussian, (mean, log_sd), draw(0), jax.random.key(0), optimizer=SGD, num_steps=2)
    assert_close(mean, np.zeros(2))  # a donated array would raise here


def test_networks_are_parameters():
    network = nnx.Linear(1, 1, rngs=nnx.Rngs(0))
    xs = np.linspace(-1, 1, 20)[:, None]

    def fit_line(params, data, key):
        return -((params(data) - (3 * data + 1)) ** 2).mean()

    fitted, history = vj.maximize(fit_line, network, xs, jax.random.key(0), optimizer=optax.adam(0.1), num_steps=500)
    assert history[-1] > -1e-4 > history[0]
    assert_close(fitted(np.ones((1, 1))), np.full((1, 1), 4.0), atol=0.02)


@pytest.mark.parametrize("fails_at, advice", [(0, "no step was taken"), (1, "try a smaller"), (150, "try a smaller")])
def test_a_bound_that_becomes_nan_stops_the_fit_and_says_when(fails_at, advice):
    def objective(params, data, key):
        return jnp.where(params > fails_at - 0.5, jnp.nan, params)  # climbs one a step

    with pytest.raises(FloatingPointError, match=f"nan at step {fails_at}: {advice}"):
        vj.maximize(objective, 0.0, np.zeros((3, 1)), jax.random.key(0), optimizer=optax.sgd(1.0), num_steps=400)


@pytest.fixture
def nothing_compiles(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("compiled before the arguments were checked")

    monkeypatch.setattr(gradient_ascent, "_gradient_steps", refuse)


GOOD = dict(
    objective=mean_log_gaussian, params=(np.zeros(2), np.zeros(2)), data=draw(0), key=jax.random.key(0),
    optimizer=SGD, num_steps=3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"batch_size": 41}, "batch_size is 41, but there are 40 examples"),
        ({"batch_size": 0}, "batch_size is 0: expected a whole number"),
        ({"num_steps": 0}, "num_steps is 0: expected a whole number"),
        ({"num_steps": 2.0}, "num_steps is 2.0"),
        ({"num_steps": True}, "num_steps is True"),
        ({"data": np.zeros((0, 2))}, "at least one example"),
        ({"data": np.array([[np.nan, 1.0]])}, "1 NaN or infinite"),
        ({"data": np.array([[np.nan, 1.0]], np.float32)}, "1 NaN or infinite"),
        ({"data": {"a": np.zeros((3, 1)), "b": np.zeros(4)}}, "share the first axis"),
        ({"data": np.float64(3)}, "at least one example"),
        ({"key": None}, "pass key="),
        ({"optimizer": 0.1}, "such as optax.adam"),
        ({"bound": vj.iw_bound}, "bound and num_samples are for a LatentModel"),
        ({"num_samples": 2}, "bound and num_samples are for a LatentModel"),
        ({"num_samples": 0}, "num_samples is 0"),
        ({"params": (np.zeros(2, int), np.zeros(2))}, "expects floating arrays"),
        ({"params": ()}, "no arrays"),
        ({"objective": lambda params, data, key: data[:, 0] * params[0][0]}, "expected one float"),
        ({"objective": lambda params, data, key: jnp.array(3)}, "expected one float"),
        ({"objective": lambda params, data, key: (jnp.array(3.0), None)}, "expected one float"),
    ],
)
def test_maximize_refuses_bad_arguments_before_it_compiles(nothing_compiles, change, says):
    arguments = GOOD | change
    positional = [arguments.pop(name) for name in ("objective", "params", "data", "key")]
    with pytest.raises(ValueError, match=says):
        vj.maximize(*positional, **arguments)


class Kernel:
    def __init__(self, allow_stdin):
        self.kernel = type("IPythonKernel", (), {"_allow_stdin": allow_stdin})()


@pytest.mark.parametrize(("where", "watched"), [("terminal", True), ("pipe", False), ("lab", True), ("nbval", False)])
def test_the_bar_is_for_people(monkeypatch, where, watched):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: where == "terminal", raising=False)
    if where in ("lab", "nbval"):
        monkeypatch.setattr("builtins.get_ipython", lambda: Kernel(where == "lab"), raising=False)
    assert gradient_ascent._is_watched() == watched


def test_the_bar_counts_every_step_and_leaves_nothing_behind(monkeypatch, capsys):
    monkeypatch.setattr(gradient_ascent, "_is_watched", lambda: True)
    bars = []

    class Bar(gradient_ascent.tqdm):
        def __init__(self, *args, **kwargs):
            bars.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(gradient_ascent, "tqdm", Bar)
    vj.maximize(*(GOOD[k] for k in ("objective", "params", "data", "key")), optimizer=SGD, num_steps=230)
    assert (bars[0].n, bars[0].total, bars[0].delay, bars[0].leave) == (230, 230, 10, False)
    assert capsys.readouterr() == ("", "")  # a short run shows no bar at all


def test_gradients_may_be_added_up_over_several_steps():
    """Two steps of MultiSteps are one of the optimiser within; and calling again compiles nothing."""
    xs, start = draw(5), (np.zeros(2), np.zeros(2))
    options = dict(data=xs, key=jax.random.key(0))
    twice = optax.MultiSteps(SGD, 2)
    params, history = vj.maximize(mean_log_gaussian, start, **options, optimizer=twice, num_steps=8)
    once, expected = vj.maximize(mean_log_gaussian, start, **options, optimizer=SGD, num_steps=4)
    jax.tree.map(assert_close, params, once)
    assert_close(history, np.repeat(expected, 2))
    compiled = gradient_ascent._gradient_steps._cache_size()
    vj.maximize(mean_log_gaussian, start, **options, optimizer=twice, num_steps=3)
    assert gradient_ascent._gradient_steps._cache_size() == compiled


def test_an_optimizer_may_ask_for_the_value():
    scale, top = np.array([1.0, 10.0, 100.0]), np.array([1.0, -2.0, 3.0])

    def valley(params, xs, key):
        return -(scale * (params - top) ** 2).sum() + 0 * xs.sum()

    found, history = vj.maximize(
        valley, jnp.zeros(3), np.zeros((1, 1)), jax.random.key(0), optimizer=optax.lbfgs(), num_steps=20
    )
    assert_close(found, top, atol=1e-6)  # plain gradient ascent, stable below a rate of 0.01, would be far off in x_0
    assert_close(history[-1], 0.0, atol=1e-9)


def noisy_heights(params, data, key):
    return -((data.mean(0) - params) ** 2).sum() + (params * jax.random.normal(key, 2, data.dtype)).sum()


@pytest.mark.long
def test_the_bound_and_its_draws_are_what_is_climbed():
    rng = np.random.default_rng(0)
    params, xs, key = Linear.random(rng, 3, 2), rng.standard_normal((6, 3)), jax.random.key(2)
    model = vj.LatentModel(LINEAR.log_joint, lambda p, x, key: vj.sample_nodes(key, jnp.zeros(2), jnp.ones(2), 1))
    args = dict(optimizer=SGD, num_steps=5)
    written = lambda p, xs, key: vj.mean_bound(model, p, xs, key, vj.iw_bound, 4)
    asked = vj.maximize(model, params, xs, key, bound=vj.iw_bound, num_samples=4, **args)
    jax.tree.map(np.testing.assert_array_equal, asked, vj.maximize(written, params, xs, key, **args))
    before = gradient_ascent._gradient_steps._cache_size()
    vj.maximize(model, params, xs, key, bound=vj.iw_bound, num_samples=np.int64(4), **args)
    assert gradient_ascent._gradient_steps._cache_size() == before
    assert not (vj.maximize(model, params, xs, key, num_samples=4, **args)[1] == asked[1]).any()


class Restless(nnx.Module):
    """One parameter, and of everything else that a module may hold."""

    def __init__(self):
        self.slope, self.steps, self.table = nnx.Param(jnp.zeros(2)), nnx.Param(jnp.arange(2)), jnp.arange(3)
        self.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))
        self.drop = nnx.Dropout(0.5, rngs=nnx.Rngs(1))

    def __call__(self, x):
        return self.norm(self.drop(x)) @ self.slope


def test_what_is_no_parameter_stays_as_it_is():
    start = {"net": Restless(), "key": jax.random.key(7), "w": jnp.ones(2)}

    def objective(params, xs, key):
        noise = jax.random.normal(params["key"], 2, float)
        drift = (params["net"].norm.mean[...] * noise).sum()  # before the network is called, which sets it
        return drift + params["net"](xs).mean() + params["net"].slope.sum() - params["w"].sum() ** 2

    end, _ = vj.maximize(objective, start, np.float32(draw(0)), jax.random.key(0), optimizer=ADAM, num_steps=3)
    moved = {
        jax.tree_util.keystr(path)
        for (path, old), new in zip(jax.tree.leaves_with_path(start), jax.tree.leaves(end), strict=True)
        if not (old == new).all()
    }
    assert {"['net'].slope.value", "['w']"} <= moved
    assert moved <= {"['net'].slope.value", "['w']", "['net'].norm.scale.value", "['net'].norm.bias.value"}
    assert end["net"].drop.rngs.key.dtype == start["net"].drop.rngs.key.dtype


@pytest.mark.long
def test_what_is_frozen_comes_back_bit_for_bit_and_costs_no_state():
    xs, key = (draw(1) > 0).astype(float), jax.random.key(0)
    start = vae.init(key, 2, 1, hidden=(3,))
    sizes = []

    def measure(params):
        sizes.append(len(jax.tree.leaves(params)))
        return ADAM.init(params)

    optimizer = optax.GradientTransformation(measure, ADAM.update)
    frozen = vae.VAEParams(encoder=False, decoder=True, log_sigma2=True)
    end, history = vj.maximize(vae.make_vae(), start, xs, key, optimizer=optimizer, num_steps=30, frozen=frozen)
    jax.tree.map(np.testing.assert_array_equal, end.decoder, start.decoder)
    assert all((a != b).any() for a, b in zip(*map(jax.tree.leaves, (end.encoder, start.encoder)), strict=True))
    assert sizes == [len(jax.tree.leaves(start.encoder))]

    def of_encoder(encoder, xs, key):  # the same climb, by hand
        return vj.mean_bound(vae.make_vae(), start._replace(encoder=encoder), xs, key)

    by_hand, heights = vj.maximize(of_encoder, start.encoder, xs, key, optimizer=ADAM, num_steps=30)
    jax.tree.map(assert_close, by_hand, end.encoder)
    assert_close(history, heights)


def test_integers_can_be_frozen():
    start = {"degree": np.array([1, 2]), "w": np.zeros(2)}
    objective = lambda p, xs, key: -((p["w"] - p["degree"]) ** 2).sum()
    args = dict(optimizer=SGD, num_steps=100)
    end, _ = vj.maximize(objective, start, draw(0), jax.random.key(0), frozen={"degree": True, "w": False}, **args)
    assert end["degree"].dtype == int
    assert_close(end["w"], [1.0, 2.0])
    for frozen, says in [
        (None, r"params hold \['float64', 'int64'\] to be climbed"),
        (True, "no arrays to be climbed"),
        ({"degree": True}, "frozen does not have the structure of params"),
        ({"degree": 1, "w": 0}, r"frozen holds \[1, 0\]: expected True"),
    ]:
        with pytest.raises(ValueError, match=says):
            vj.maximize(objective, start, draw(0), jax.random.key(0), frozen=frozen, **args)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_keys_of_other_kinds_serve(kind):
    xs, args = draw(0), dict(optimizer=SGD, num_steps=2, batch_size=9)
    new, _ = vj.maximize(noisy_heights, np.zeros(2), xs, jax.random.key(0, impl=kind), **args)
    assert not (new == vj.maximize(noisy_heights, np.zeros(2), xs, jax.random.key(0), **args)[0]).any()
    if kind == "unsafe_rbg":
        return  # jit does not look at what kind an old key is, and takes both of length four for the same
    with jax.default_prng_impl(kind):
        old, _ = vj.maximize(noisy_heights, np.zeros(2), xs, jax.random.PRNGKey(0), **args)
    assert (new == old).all()
