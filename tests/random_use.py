"""The parts of the module put together at random, beside NumPy in float64: `make random-use MINUTES=60`.

A case draws a model, its q, a bound, a way to call it, the types and sizes of all arrays, and numbers for them. What
comes back is compared with the formula written out in NumPy, on the same numbers.

The rule for rounding: a unit is what the value moves by where every number that the formula makes on its way is off by
a relative eps of the type in use (and each sum by eps times the sum of the sizes of its terms). The unit is measured,
as the largest move in a few runs of the formula with such errors drawn at random; a value may be LIMIT units off.

Each fourth case is a call that is spoiled: another shape, another type, an entry that is no number. It must be refused
in words of the module's own, or not have mattered.

`python tests/random_use.py case 17` tries case 17 alone. test_random_use.py tries a few.
"""

import collections
import contextlib
import functools
import os
import sys
import tempfile
import time
import traceback
import warnings

if __name__ == "__main__":  # before JAX counts its devices
    os.environ |= {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from random_models import (
    BOUNDS,
    CASES,
    BentCase,
    CoinsCase,
    PairCase,
    Rounding,
    joined,
    log_sum_exp,
    log_weights_of,
    total,
)

import vaejax as vj

LIMIT = 32
RUNS = 6  # of the formula with errors, to measure a unit


# --- ways to call them ------------------------------------------------------------------------------------------------


def bound_of(r, case, params, x, key, num, dtype, name):
    """A bound of one example; where q is the posterior of a closed form they are all log p(x)."""
    if case.log_p is not None:
        return case.log_p(r, params, x)
    return BOUNDS[name][1](r, case, params, x, joined(r, case, params, x, key, num, dtype))


class Use:
    """A case's route: what is called, and the same in NumPy. Both return a tree of arrays."""

    of_examples = False  # is the first axis of what comes back that of the examples?
    num_most = 9  # examples

    def __init__(self, rng, case):
        self.case, self.name = case, str(rng.choice(list(BOUNDS)))
        self.bound = BOUNDS[self.name][0]
        self.num = 1 if rng.random() < 0.25 else int(rng.choice([2, 3, 7, 8, self.num_most]))
        self.samples = int(rng.integers(1, 4)) if case.draws else 1
        self.place = str(rng.choice(["numpy", "jax", "spread", "file"]))
        self.setup(rng)

    def setup(self, rng):
        pass

    def key(self, rng):
        return jax.random.key(int(rng.integers(2**31))) if self.case.draws else None

    def keys(self, key, num=None):
        return [None] * self.num if key is None else list(jax.random.split(key, num or self.num))

    def placed(self, xs, folder):
        if self.place == "jax":
            return jnp.asarray(xs)
        if self.place == "spread":
            devices = jax.devices()[: self.num]
            return vj.shard(xs, Mesh(np.array(devices), ("examples",)))
        if self.place == "file" and xs.dtype != jnp.bfloat16:
            np.save(os.path.join(folder, "xs.npy"), xs)
            return np.load(os.path.join(folder, "xs.npy"), mmap_mode="r")
        return xs

    def text(self):
        return {name: value for name, value in vars(self).items() if name not in ("case", "bound", "run", "seed")}


class OneByOne(Use):
    """A function of one example: as it is, compiled, mapped, or both."""

    of_examples = True

    def setup(self, rng):
        self.place = "jax" if self.place == "spread" else self.place
        q, allows_all = getattr(self.case, "q", None), not np.any(getattr(self.case, "forbidden", False))
        names = [*BOUNDS, *self.case.functions(), "expect"] + ["log_weights"] * (
            allows_all and (q is None or q.kind != "by hand")
        )
        self.name = str(rng.choice(names))
        self.way = str(rng.choice(["loop", "jit", "vmap", "jit of vmap"]))
        model = self.case.model

        def f(params, x, key):
            if self.name in self.case.functions():
                return self.case.functions()[self.name][0](params, x)
            nodes = model.posterior(params, x, key)
            if self.name == "expect":
                return vj.expect(lambda z: jax.tree.map(lambda leaf: 1.0 * leaf**2, z), nodes)
            bound = vj.log_weights if self.name == "log_weights" else BOUNDS[self.name][0]
            return bound(model.log_joint, params, x, nodes)

        mapped = jax.vmap(f, (None, 0, 0 if self.case.draws else None))
        one = jax.jit(f) if self.way == "jit" else f
        self.run = {"vmap": mapped, "jit of vmap": jax.jit(mapped)}.get(self.way)
        if self.run is None:
            self.run = lambda params, xs, keys: jax.tree.map(
                lambda *leaves: np.stack(leaves),
                *[one(params, x, k) for x, k in zip(xs, self.keys(None) if keys is None else keys, strict=True)],
            )

    def call(self, params, xs, key):
        return self.run(params, xs, None if key is None else jax.random.split(key, self.num))

    def reference(self, r, params, xs, key, dtype):
        def of(x, key):
            if self.name in self.case.functions():
                return self.case.functions()[self.name][1](r, params, x)
            nodes = self.case.nodes(r, params, x, key, dtype)
            if self.name == "expect":
                w = nodes[1]
                square = lambda leaf: total(
                    r, np.moveaxis(w.reshape(-1, *[1] * (leaf.ndim - 1)) * r(1.0 * leaf**2), 0, -1)
                )
                return jax.tree.map(square, nodes[0])
            if self.name == "log_weights":
                return log_weights_of(r, self.case, params, x, nodes)
            return BOUNDS[self.name][1](r, self.case, params, x, nodes)

        return jax.tree.map(lambda *leaves: np.stack(leaves), *map(of, xs, self.keys(key)))


class MeanBound(Use):
    """`mean_bound` over a table, in chunks, on devices, compiled, for many starts."""

    num_most = 33

    def setup(self, rng):
        self.chunk = [None, None, 1, 3, self.num, self.num + 5][rng.integers(6)]
        self.way = str(rng.choice(["as it is", "jit", "starts"]))
        if self.way != "as it is" and self.place in ("spread", "file"):
            self.place = "jax"

    def mean_bound(self, params, xs, key):
        options = dict(bound=self.bound, num_samples=self.samples, chunk_size=self.chunk)
        return vj.mean_bound(self.case.model, params, xs, key, **options)

    def call(self, params, xs, key):
        if self.way == "starts":
            twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), params)
            return jax.vmap(self.mean_bound, (0, None, None))(twice, xs, key)[1]
        return (jax.jit(self.mean_bound) if self.way == "jit" else self.mean_bound)(params, xs, key)

    def reference(self, r, params, xs, key, dtype):
        bound = lambda x, key: bound_of(r, self.case, params, x, key, self.samples, dtype, self.name)
        return total(r, np.stack([*map(bound, xs, self.keys(key))])) / self.num


class Slope(MeanBound):
    """The gradient of `mean_bound` by all parameters, as a slope along one direction."""

    num_most = 9

    def setup(self, rng):
        super().setup(rng)
        self.way, self.seed = "slope", int(rng.integers(2**31))
        self.place = "numpy" if self.place == "file" else self.place

    def direction(self, params):
        rng = np.random.default_rng(self.seed)

        def along(leaf):
            leaf = np.asarray(leaf)
            size = np.abs(leaf[np.isfinite(leaf)]).max(initial=0) or 1.0
            kept = leaf != 0 if leaf.ndim > 1 and leaf.shape[-1] == leaf.shape[-2] else np.isfinite(leaf)
            return np.where(kept, size * rng.standard_normal(leaf.shape), 0)

        return jax.tree.map(along, params)

    def call(self, params, xs, key):
        slopes = jax.grad(self.mean_bound)(params, xs, key)
        pairs = zip(*map(jax.tree.leaves, (slopes, self.direction(params))), strict=True)
        return sum((np.asarray(g, float) * d)[d != 0].sum() for g, d in pairs)

    def reference(self, r, params, xs, key, dtype):
        step = 1e-100
        moved = jax.tree.map(lambda leaf, d: leaf + 1j * step * d, params, self.direction(params))
        return np.asarray(super().reference(r, moved, xs, key, dtype)).imag / step


class LogLikelihood(Use):
    of_examples = True

    def setup(self, rng):
        self.chunk, self.chunks = int(rng.integers(1, 4)), int(rng.integers(1, 4))

    def call(self, params, xs, key):
        options = dict(num_samples=self.chunk * self.chunks, chunk_size=self.chunk)
        return vj.log_likelihood(self.case.model, params, xs, key, **options)

    def reference(self, r, params, xs, key, dtype):
        num_chunks = 1 if key is None else self.chunks

        def part(key):
            bound = lambda x, key: bound_of(r, self.case, params, x, key, self.chunk, dtype, "iw_bound")
            return np.stack([*map(bound, xs, self.keys(key))])

        parts = [part(key)] if num_chunks == 1 else [part(k) for k in jax.random.split(key, num_chunks)]
        return r(log_sum_exp(r, np.stack(parts, -1)) - np.log(num_chunks))


class OnGrid(Use):
    of_examples = True

    def setup(self, rng):
        self.points = int(rng.integers(1, 8))
        self.low, self.high = np.float32(rng.random((2, self.case.latents)) * 2 + [[-3], [1]])

    def call(self, params, xs, key):
        types = {np.asarray(leaf).dtype for leaf in jax.tree.leaves(params)} & {np.dtype(float)}
        low, high = (end.astype(*types or [np.float32]) for end in (self.low, self.high))
        return vj.log_likelihood_on_grid(self.case.model, params, xs, low=low, high=high, num_points=self.points)

    def reference(self, r, params, xs, key, dtype):
        low, high = self.low.astype(float), self.high.astype(float)
        axes = [(np.arange(self.points) + 0.5) / self.points] * len(low)
        z = r(low + r((high - low) * r(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(low)))))
        cell = total(r, np.log((high - low) / self.points))
        return np.stack([r(log_sum_exp(r, self.case.joint(r, params, x, z)) + cell) for x in xs])


class EStep(Use):
    num_most = 70

    def setup(self, rng):
        self.ready = self.case.model.fast is not None and not getattr(self.case, "holes", False) and rng.random() < 0.5
        self.way = (
            "as it is" if self.place in ("spread", "file") or self.ready else str(rng.choice(["as it is", "jit"]))
        )
        f = functools.partial(vj.e_step, self.case.model)
        self.run = jax.jit(f) if self.way == "jit" else f

    def call(self, params, xs, key):
        return self.run(params, vj.prepare(self.case.model, xs) if self.ready else xs)

    def reference(self, r, params, xs, key, dtype):
        each = [self.case.statistics(r, params, x) for x in xs]
        T = jax.tree.map(lambda *leaves: total(r, np.stack(leaves, -1) / self.num), *each)
        log_p = [bound_of(r, self.case, params, x, None, 1, dtype, "elbo") for x in xs]
        return T, total(r, np.stack(log_p) / self.num)


class EM(EStep):
    num_most = 40

    def setup(self, rng):
        super().setup(rng)
        self.num = max(self.num, int(rng.integers(4, 12)) + 2 * self.case.D)
        self.steps, self.fast = (
            int(rng.integers(1, 4)),
            bool(rng.random() < 0.5) and not getattr(self.case, "holes", False),
        )

    def call(self, params, xs, key):
        data = vj.prepare(self.case.model, xs) if self.ready and self.fast else xs
        return vj.em(self.case.model, params, data, num_steps=self.steps, fast=self.fast)

    def reference(self, r, params, xs, key, dtype):
        history = []
        for _ in range(self.steps):
            T, bound = super().reference(r, params, xs, key, dtype)
            params = self.case.m_step(r, params, T)
            history.append(bound)
        return params, np.stack(history)


def uses_of(case):
    found = [OneByOne, OneByOne, MeanBound, MeanBound, LogLikelihood]
    if not getattr(case, "forbidden", np.zeros(1)).any():
        found += [Slope]
    if case.latents is not None and case.latents <= 3:
        found += [OnGrid]
    if case.has_statistics:
        found += [EStep]
        if getattr(case, "exact", True):
            found += [EM]
    return found


# --- cases ------------------------------------------------------------------------------------------------------------


class Types:
    """Whether JAX has doubles, and the types of the parameters and of the examples."""

    def __init__(self, rng, case, needs_table):
        self.doubles = bool(rng.random() < 0.5)
        kind = str(rng.choice(case.types))
        floats = [np.float32, np.float64]
        half = [np.float16, jnp.bfloat16][rng.integers(2)]
        self.params = floats[rng.integers(2)]
        self.xs = {
            "byte": np.uint8,
            "bool": np.bool_,
            "half": half,
            "int": [np.int8, np.int32, np.int64][rng.integers(3)],
        }.get(kind)
        if self.xs is None:
            self.xs = self.params if rng.random() < 0.7 else floats[rng.integers(2)]
        elif kind == "half" and rng.random() < 0.6:
            self.params = half

    def of_params(self):
        return jnp.dtype(jax.dtypes.canonicalize_dtype(self.params))

    def floats(self):
        kinds = [jax.dtypes.canonicalize_dtype(t) for t in (self.params, self.xs) if jnp.issubdtype(t, jnp.floating)]
        return sorted(map(jnp.dtype, kinds), key=lambda t: jnp.finfo(t).eps)

    def finest(self):
        return self.floats()[0]

    def coarsest(self):
        return self.floats()[-1]

    def text(self):
        names = [jnp.dtype(t).name for t in (self.params, self.xs)]
        return f"params {names[0]}, xs {names[1]}, {'with' if self.doubles else 'without'} doubles"


def distance(got, exact, noisy, eps, of_examples):
    """The largest distance of any number from the exact one, in units of rounding; NaN where rounding leaves none."""
    axes = tuple(range(1 if of_examples else 0, exact.ndim))
    with np.errstate(invalid="ignore"):
        moves = [np.where(n == exact, 0, np.abs(n - exact)).max(axes, keepdims=True, initial=0) for n in noisy]
    finite = np.isfinite(exact)
    size = np.abs(np.where(finite, exact, 0)).max(axes, keepdims=True, initial=0)
    unit = np.maximum(np.max(moves, 0), eps * size) + np.zeros_like(exact)
    if not np.isfinite(unit[finite]).all() or np.isnan(exact).any():
        return np.nan
    if not (got == exact)[~finite].all():
        return np.inf
    off = np.abs(got[finite] - exact[finite])
    return float(np.nan_to_num(off / np.maximum(unit[finite], 1e-300), nan=np.inf).max(initial=0))


def draw(number):
    """The case of that number: (its numbers, the model, the route, the types)."""
    rng = np.random.default_rng([number, 7])
    case = CASES[rng.integers(len(CASES))](rng)
    kinds = uses_of(case)
    use = kinds[rng.integers(len(kinds))](rng, case)
    return rng, case, use, Types(rng, case, use)


def arguments(rng, case, use, types):
    """Parameters, examples and a key in their types."""
    params, xs = case.values(rng, use.num)
    params = jax.tree.map(lambda leaf: np.asarray(leaf).astype(types.params), params)
    if isinstance(params, dict):  # a log_joint of a reader's own reads them by a tracer, as numpy's arrays cannot be
        params = jax.tree.map(jnp.asarray, params)
    is_float = jnp.issubdtype(types.xs, jnp.floating)
    return params, (xs if is_float else xs.round()).astype(types.xs), use.key(rng)


def as_double(leaf):
    """The number that JAX makes of an entry."""
    return np.asarray(leaf).astype(jax.dtypes.canonicalize_dtype(leaf.dtype)).astype(float)


def compare(use, types, params, xs, key, got):
    """The largest distance of any number that came back, in units of rounding."""
    finest, rounding = types.finest(), types.of_params()
    if isinstance(use, EStep) and (use.ready or getattr(use, "fast", False)):
        rounding = types.coarsest()  # the fast route computes in the type of xs
    elif isinstance(use, EM):
        rounding = finest
    inputs = *jax.tree.map(as_double, (params, xs)), key, finest
    found = [use.reference(Rounding(dtype, i), *inputs) for i, dtype in enumerate([None, *[rounding] * RUNS])]
    exact, *noisy = map(jax.tree.leaves, found)
    worst = 0.0
    for leaf, true, *off in zip(jax.tree.leaves(got), exact, *noisy, strict=True):
        assert np.shape(leaf) == np.shape(true), f"shape {np.shape(leaf)} came back: expected {np.shape(true)}"
        kind = getattr(leaf, "dtype", finest)
        assert jnp.finfo(kind).eps <= jnp.finfo(finest).eps, f"{kind} came back: expected {finest}"
        worst = max(
            worst, distance(np.asarray(leaf, float), true, off, float(jnp.finfo(rounding).eps), use.of_examples)
        )
    return worst


@contextlib.contextmanager
def surroundings(types):
    """A folder, doubles or none, and no warning."""
    with (
        jax.enable_x64(types.doubles),
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(action="error"),
    ):
        yield folder


def attempt(number, draws=3):
    """What a case is, and its largest distance in units of rounding."""
    rng, case, use, types = draw(number)
    worst = 0.0
    with surroundings(types) as folder:
        kind = f"{type(use).__name__} of {type(case).__name__.removesuffix('Case')}", types.of_params().name
        for _ in range(draws):
            params, xs, key = arguments(rng, case, use, types)
            got = use.call(params, use.placed(xs, folder), key)
            worst = max(worst, compare(use, types, params, xs, key, got))
    return kind, worst


# --- slips ------------------------------------------------------------------------------------------------------------


def with_entry(value):
    def spoil(rng, tree):
        leaves, structure = jax.tree.flatten(tree)
        leaves = [np.array(leaf) for leaf in leaves]
        leaf = leaves[rng.integers(len(leaves))]
        leaf.flat[rng.integers(leaf.size)] = value
        return jax.tree.unflatten(structure, leaves)

    return spoil


def reshaped(change):
    def spoil(rng, tree):
        leaves, structure = jax.tree.flatten(tree)
        at = rng.integers(len(leaves))
        leaves[at] = change(np.asarray(leaves[at]))
        return jax.tree.unflatten(structure, leaves)

    return spoil


ARRAYS = {  # of the examples or of a parameter
    "an axis more": lambda a: a[..., None],
    "an axis less": lambda a: a.reshape(-1)[0],
    "twice as wide": lambda a: np.concatenate([a, a], -1) if a.ndim else np.stack([a, a]),
    "nothing left": lambda a: a[:0] if a.ndim else np.zeros((0,), a.dtype),
    "a list": lambda a: a.tolist() if a.ndim else [a.tolist()],
    "words": lambda a: a.astype(str),
    "objects": lambda a: a.astype(object),
    "complex": lambda a: a.astype(complex),
    "masked": lambda a: np.ma.masked_less(a, 0),
    "dates": lambda a: np.zeros(a.shape, "datetime64[s]"),
    "none": lambda a: None,
}
COUNTS = {"zero": 0, "below zero": -2, "a float": 2.0, "true": True, "a word": "3", "an array": np.array([2])}
KEYS = {
    "none": lambda key: None, "a seed": lambda key: 3, "many": lambda key: jax.random.split(key, 3),
    "floats": lambda key: np.zeros(2, np.float32), "a word": lambda key: "key",
}  # fmt: skip


def slip(number):
    """What a spoiled case is, and what became of it. AssertionError where that is no word from the module."""
    rng, case, use, types = draw(number)
    counts = {MeanBound: ["chunk", "samples"], LogLikelihood: ["chunk"], OnGrid: ["points"], EM: ["steps"]}.get(
        type(use)
    )
    if counts is None:
        return "no door", ""
    use.place, use.way = "numpy", "as it is"
    own = type(case) in (BentCase, PairCase, CoinsCase)
    with surroundings(types):
        params, xs, key = arguments(rng, case, use, types)
        what = str(rng.choice(["xs", "count"] + ["params"] * (not own) + ["key"] * (key is not None)))
        if what == "count":
            name = str(rng.choice(list(COUNTS)))
            setattr(use, str(rng.choice(counts)), COUNTS[name])
        elif what == "key":
            name = str(rng.choice(list(KEYS)))
            key = KEYS[name](key)
        else:
            value = float(rng.choice([np.nan, np.inf, -np.inf]))
            may_be = getattr(case, "holes", False) and what == "xs" and np.isnan(value)
            if rng.random() < 0.4 and jnp.issubdtype(types.xs, jnp.floating) and not may_be:
                name, change = f"an entry {value}", with_entry(value)
            else:
                name = str(rng.choice(list(ARRAYS)))
                change = reshaped(ARRAYS[name])
            if what == "xs":
                xs = change(rng, xs)
            else:
                params = change(rng, params)
        kind = f"{type(use).__name__}, {what}: {name}"
        try:
            got = use.call(params, xs, key)
        except (ValueError, TypeError, FloatingPointError) as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            of_reader = own and what == "xs"  # whose log_joint it is that cannot read them
            assert of_reader or "vaejax" in where.filename, (
                f"{kind}: {type(error).__name__} from {where.filename}: {str(error)[:300]}"
            )
            return kind, "told"
        finite = all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(got))
        assert finite, f"{kind}: {got}"
        return kind, "taken"


def describe(number):
    _, case, use, types = draw(number)
    own = {k: v for k, v in vars(case).items() if isinstance(v, int | bool | str)}
    own |= {"q": f"{case.q.kind} {case.q.num}"} if hasattr(case, "q") else {}
    return f"{type(use).__name__} {use.text()} of {type(case).__name__} {own}, {types.text()}"


def try_case(number):
    """What a case is, and what became of it: units of rounding, or, of each fourth, the answer to a spoiled call."""
    kind, outcome = slip(number) if number % 4 == 3 else attempt(number)
    assert isinstance(outcome, str) or not outcome > LIMIT, f"{outcome:.3g} units off, {kind}"
    return kind, outcome


def report(found):
    """How many cases of each kind there were, and the worst of them."""
    for kind in sorted(kind for kind in found if isinstance(kind, tuple)):
        worst, at = max(found[kind], key=lambda pair: np.nan_to_num(pair[0]))
        lost = sum(bool(np.isnan(outcome)) for outcome, _ in found[kind])
        beside = f", {lost} without digits" if lost else ""
        print(f"{' '.join(kind):34} {len(found[kind]):5} cases, at most {worst:6.3g} units (case {at}){beside}")
    answers = collections.Counter(answer for kind in found if isinstance(kind, str) for answer, _ in found[kind])
    print(f"spoiled calls: {dict(answers)}, those taken: {sorted(k for k in found if ('taken' in dict(found[k])))}")


def main(minutes, seed):
    """Cases from `seed` on, until the time is up. Returns how many were at fault."""
    found, faults, number, end = collections.defaultdict(list), 0, seed, time.time() + 60 * minutes
    try:
        while time.time() < end:
            try:
                kind, outcome = try_case(number)
                found[kind].append((outcome, number))
            except Exception as error:
                faults += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                place = f"{os.path.basename(where.filename)}:{where.lineno}"
                print(
                    f"case {number}, {describe(number)}\n  {type(error).__name__} at {place}: {str(error)[:400]}",
                    flush=True,
                )
            number += 1
            if number % 50 == 0:
                jax.clear_caches()
    except KeyboardInterrupt:
        pass  # what was found so far is worth a report
    report(found)
    print(f"{number - seed} cases, {faults} at fault")
    return faults


if __name__ == "__main__":
    if sys.argv[1] == "case":
        print(describe(int(sys.argv[2])))
        print(try_case(int(sys.argv[2])))
    else:
        sys.exit(bool(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 10**9)))
