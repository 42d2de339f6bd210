"""Expectation-maximisation: complete the data, then estimate as if they were complete. One engine for every model.

The E-step averages the sufficient statistics of the completed examples under the posterior, the M-step is maximum
likelihood from that average. Averages add up: over the chunks of a table, over the parts of a file, over the devices of
a mesh. So a model says how to complete and count *one* example, and all of that comes for nothing.

Statistics are taken around where the parameters are, because small numbers keep their digits. Averages at the same
parameters add up; averages of different steps do not, until `blend` has moved them to one centre.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from vaejax.bounds import check_model, check_model_data, check_weights_of, complete, elbo
from vaejax.doors import check_count, check_key, check_number, check_table, count_examples, is_mapped, require_concrete
from vaejax.numerics import chunk_size, count_bytes, full_precision, kahan_add
from vaejax.sharding import Sharded, replicate_like

BLOCK = 64  # EM steps between two looks at them
PART_BYTES = 2**22  # of a mapped file that are read together
COLLAPSED = (
    "the parameters may have collapsed: try another start or a guarded model, or drop features that are constant or "
    "combinations of others; and see that no NaN is among data that were prepared or sharded"
)


@partial(jax.tree_util.register_dataclass, data_fields=["content"], meta_fields=["shape", "dtype", "mesh", "by"])
@dataclass(frozen=True)
class Prepared:
    """What a model's fast route needs of a table (N, D), made once by `prepare`; `e_step` and `em` take it for xs."""

    content: Any  # what model.fast.prepare returns; where the data are sharded, with a leading axis over the devices
    shape: tuple  # (N, D) of the table
    dtype: Any
    mesh: Mesh | None
    by: Any  # the model.fast.prepare that did it


def prepare(model, xs):
    """What the fast route of `model` needs of the data, once for many steps and starts.

    Args:
        model: a `LatentModel` with a `fast` route.
        xs: (N, D) examples; or what `vaejax.shard` makes of them; or a table mapped from a file.

    Returns:
        Prepared; of a mapped file whose preparation would grow with N, the file itself: `em` reads it part by part.

    Raises:
        ValueError: the model has no fast route, or that of another model; or it cannot read these data.
    """
    check_model(model)
    if not isinstance(xs, Prepared | Sharded):
        check_table(xs, holes=True)
    return _prepare(model, xs)


def _prepare(model, xs):
    _check_fast(model, xs)
    if isinstance(xs, Prepared) or (is_mapped(xs) and not model.fast.is_summary):
        return xs
    if not isinstance(xs, Sharded):
        return Prepared(full_precision(model.fast.prepare)(xs, None), np.shape(xs), xs.dtype, None, model.fast.prepare)
    shape = (xs.num_examples, *xs.padded.shape[1:])
    return Prepared(_prepare_on_devices(model, xs), shape, xs.padded.dtype, xs.mesh, model.fast.prepare)


def e_step(model, params, data, key=None):
    """The E-step: average the statistics of the completed examples. Pure: jit it, scan it, map it over starts.

    mean over n of E_q[t(x_n, z)], and mean over n of the ELBO, with q(z) = model.posterior(params, x_n)

    Args:
        model: a `LatentModel` with `statistics`. Static: make it once.
        params: its parameters.
        data: (N, D) examples, or a pytree whose leaves share the leading axis N; what `prepare` or `vaejax.shard` makes
            of them; or tables mapped from files, `np.load(path, mmap_mode="r")`, which are read part by part.
        key: a key from `jax.random.key` for a posterior that samples; example n gets `fold_in(key, n)`, wherever it is.

    Returns:
        (mean T, mean bound): what `model.m_step` takes, and () nats per example. The memory is that of one chunk.

    Raises:
        ValueError: the model has no `statistics`, or the data are no examples.

    Source: Dempster, Laird and Rubin (1977), Maximum Likelihood from Incomplete Data via the EM Algorithm, section 2.
    """
    _check_em(model, data, key)
    if is_mapped(data):
        return _e_step_of_file(model, params, data, key, fast=False)
    params, key = replicate_like(data, (params, key))
    return _e_step(model, params, _bare(data), key)


def em_step(model, params, data, key=None):
    """One step of EM: `e_step`, then `model.m_step`. Pure: jit it, scan it, map it over starts.

    Args:
        model, params, data, key: as in `e_step`; the model has an `m_step`, too.

    Returns:
        (params, bound): after the step; and the mean bound before it, () nats per example.

    Raises:
        ValueError: as `e_step`.
    """
    _check_em(model, data, key, fits=True)
    params = replicate_like(data, params)
    mean, bound = e_step(model, params, data, key)
    return _m_step(model, params, mean), bound


def blend(model, running, batch, rate):
    """Online EM: move a running average of statistics towards that of a batch.

    (1 - rate) T + rate T_batch, once T has been moved to the centre of T_batch by `model.recentre`

    T has no memory of its centre: the parameters at which it was taken come with it. A running average of statistics
    around moving centres, without that, looks right and never averages.

    Args:
        model: a `LatentModel`.
        running: (T, the parameters around which it was taken).
        batch: (T, the parameters around which it was taken), from `e_step`.
        rate: between 0 and 1.

    Returns:
        T, around the parameters of the batch.

    Source: Cappe and Moulines (2009), On-line expectation-maximization algorithm for latent data models, (7), with the
    centres added.
    """
    check_model(model)
    (average, old), (new_average, new) = running, batch
    average = average if model.recentre is None else model.recentre(average, old, new)
    return jax.tree.map(lambda a, b: (1 - rate) * a + rate * b, average, new_average)


def em(model, params, xs, *, num_steps, key=None, tol=None, fast=True):
    """Expectation-maximisation: complete the data (E-step), then fit them as if nothing were missing (M-step).

    Args:
        model: a `LatentModel` with `statistics` and `m_step`. Static: make it once.
        params: where to start, a pytree of arrays; not changed.
        xs: (N, D) examples, or a pytree whose leaves share the leading axis N; what `prepare` or `vaejax.shard` makes
            of them; or tables mapped from files, `np.load(path, mmap_mode="r")`, which may be larger than memory: they
            are read part by part in each step, or a few times in all for a summary.
        num_steps: number of E- and M-steps, at least 1.
        key: a key from `jax.random.key` for a posterior that samples; None for an exact one.
        tol: stop when a step raises the bound by less than this many nats per example, or by less than its type can
            tell; None runs all steps.
        fast: use the model's fast route to the same averages where it has one. It counts in the precision of xs: give
            doubles of both where the last digits matter.

    Returns:
        params: after the last M-step, in the type of the most precise floats among params and xs.
        history: (steps done,) the bound in nats per example *before* each M-step. With an exact posterior the bound is
            tight there, so this is the mean log likelihood of the parameters that entered the step.

    Raises:
        ValueError: bad data or arguments.
        FloatingPointError: the bound became NaN or infinite, or a parameter NaN.

    Source: Neal and Hinton (1998), A View of the EM Algorithm that Justifies Incremental, Sparse, and Other Variants.
    """
    require_concrete("em", params, xs, key)
    _check_em(model, xs, key, fits=True)
    like = np.zeros((1, *xs.shape[1:]), xs.dtype) if isinstance(xs, Prepared) else xs
    check_model_data(model, params, like)
    check_count("num_steps", num_steps)
    if tol is not None:
        check_number("tol", tol, lambda tol: tol >= 0, "nats per example, at least 0, or None to run all steps")
    if isinstance(xs, Prepared) and not fast:
        raise ValueError("xs are prepared for the fast route: give xs themselves with fast=False")
    check_weights_of(model, params, xs, key)
    fast = fast and model.fast is not None
    params = _as_precise(own_copy(params), like)
    data = _prepare(model, xs) if fast else xs
    in_file = is_mapped(data)
    if not in_file:
        data = _bare(jax.tree.map(jnp.asarray, data))
        params, key = replicate_like(data, (params, key))
    history = []
    while len(history) < num_steps and not _has_stopped(history, tol):
        done = len(history)
        if in_file:
            mean, bound = _e_step_of_file(model, params, data, _step_key(key, done), fast)
            params, bounds = _m_step(model, params, mean), bound[None]
        else:
            count = min(BLOCK, num_steps - done) if tol is None else 1
            params, bounds = _steps(model, params, data, key, done, count)
            bounds = np.asarray(bounds)[:count]
        check_history(bounds, done, COLLAPSED)
        history += list(bounds)
    if any(np.isnan(leaf).any() for leaf in map(np.asarray, jax.tree.leaves(params))):
        raise FloatingPointError(f"a parameter became NaN at step {len(history) - 1}: {COLLAPSED}")
    return params, jax.device_put(np.array(history))  # asarray, or a cut on the device, would compile for each length


@partial(jax.jit, static_argnames="model")
def _e_step(model, params, data, key):
    """The E-step over all of the data. Each device averages over its own examples; then the devices talk once."""
    mesh = getattr(data, "mesh", None)
    if mesh is None:
        return _average(model, params, data, key, None)
    axes = mesh.axis_names

    def on_device(params, data, key):
        return jax.lax.psum(_average(model, params, data, key, jax.lax.axis_index(axes)), axes)

    everywhere = PartitionSpec()
    specs = everywhere, PartitionSpec(axes), everywhere
    on_all = jax.shard_map(on_device, mesh=mesh, in_specs=specs, out_specs=everywhere, check_vma=False)
    return on_all(params, data, key)


@partial(jax.jit, static_argnames="model")
@full_precision
def _m_step(model, params, mean):
    fitted = model.m_step(params, mean)
    _check_kept(params, fitted)
    return fitted


@partial(jax.jit, static_argnames="model", donate_argnames="params")
def _steps(model, params, data, key, start, count):
    """`count` <= BLOCK steps. `count` is no static argument: one program for any number."""

    def step(i, carry):
        params, history = carry
        mean, bound = _e_step(model, params, data, _step_key(key, start + i))
        return _m_step(model, params, mean), history.at[i].set(bound)

    return jax.lax.fori_loop(0, count, step, (params, jnp.zeros(BLOCK)))


def _has_stopped(history, tol):
    """Has the last step raised the bound by less than tol, or by less than its type can tell?"""
    if tol is None or len(history) < 2:
        return False
    before, bound = history[-2:]
    return bound - before < max(tol, np.finfo(bound.dtype).eps * abs(bound))


def _bare(data):
    """Prepared data without their N, which no program needs: summaries of tables of any length share one."""
    return replace(data, shape=(), dtype=None) if isinstance(data, Prepared) else data


def _step_key(key, i):
    return None if key is None else jax.random.fold_in(key, i)


def _average(model, params, data, key, device):
    """The E-step over the data, or over the part of them that lies on this device."""
    if isinstance(data, Prepared):
        content = data.content if device is None else jax.tree.map(lambda leaf: leaf[0], data.content)
        return full_precision(model.fast.e_step)(params, content)
    if isinstance(data, Sharded):
        return _average_over_rows(model, params, data.padded, key, *_weight_on_device(data, device))
    num_rows = count_examples(data)
    return _average_over_rows(model, params, data, key, jnp.full(num_rows, 1 / num_rows), 0)


def _average_over_rows(model, params, xs, key, weight, first):
    """The plain E-step: the weighted sums over examples first, first + 1, ..., chunk by chunk."""
    num_rows = len(weight)

    def of_example(x, weight, index):
        nodes = complete(model, params, x, _step_key(key, index))
        bound = jnp.where(weight > 0, weight * elbo(model.log_joint, params, x, nodes), 0)  # and not 0 times infinity
        return model.statistics(params, x, nodes._replace(weight=weight * nodes.weight)), bound

    def chunk(start, size):
        rows = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, size), (xs, weight))
        return *rows, start + jnp.arange(size)

    x, one, _ = jax.tree.map(lambda leaf: leaf[0], chunk(0, 1))
    nodes = jax.eval_shape(lambda: model.posterior(params, x, _step_key(key, 0)))
    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(lambda: of_example(x, one, 0)))
    size = chunk_size(count_bytes((nodes, zero)), num_rows)

    def add_chunk(total, begin):
        start = jnp.minimum(begin, num_rows - size)  # the last chunk is a full one, too: what was counted counts zero
        xs, weight, index = chunk(start, size)
        weight = jnp.where(index < begin, 0, weight)
        each = jax.vmap(of_example)(xs, weight, first + index)
        return kahan_add(total, jax.tree.map(lambda leaf: leaf.sum(0), each)), None

    return jax.lax.scan(full_precision(add_chunk), (zero, zero), jnp.arange(0, num_rows, size))[0][0]


def _weight_on_device(data, device):
    """1 / N for the examples on this device and 0 for padding, (rows,); and the number of the first of them."""
    num_rows = count_examples(data.padded)
    first = device * num_rows
    return jnp.where(first + jnp.arange(num_rows) < data.num_examples, 1 / data.num_examples, 0), first


@partial(jax.jit, static_argnames="model")
def _prepare_on_devices(model, data):
    axes = data.mesh.axis_names

    def on_device(data):
        content = full_precision(model.fast.prepare)(data.padded, _weight_on_device(data, jax.lax.axis_index(axes))[0])
        return jax.tree.map(lambda leaf: leaf[None], content)

    spread = PartitionSpec(axes)
    return jax.shard_map(on_device, mesh=data.mesh, in_specs=spread, out_specs=spread, check_vma=False)(data)


def _parts(xs):
    """A file's rows part by part, all of one size: (rows, weight, number of the first). What was read counts zero."""
    num_examples = count_examples(xs)
    bytes_each = sum(leaf.nbytes for leaf in jax.tree.leaves(xs)) // num_examples
    size = min(max(PART_BYTES // bytes_each, 1), num_examples)
    for begin in range(0, num_examples, size):
        start = min(begin, num_examples - size)
        rows = slice(start, start + size)
        weight = jnp.where(start + np.arange(size) < begin, 0, 1 / num_examples)
        yield jax.tree.map(lambda leaf, rows=rows: jnp.asarray(np.asarray(leaf[rows])), xs), weight, start


def _e_step_of_file(model, params, xs, key, fast):
    """`_e_step` part by part, added up in double precision on the host."""
    parts = (_e_step_of_part(model, params, *part, key, fast) for part in _parts(xs))
    first = next(parts)
    total = jax.tree.map(lambda leaf: np.asarray(leaf, float), first)
    for part in parts:
        total = jax.tree.map(np.add, total, part)
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), total, first)


@partial(jax.jit, static_argnames=("model", "fast"))
def _e_step_of_part(model, params, rows, weight, first, key, fast):
    if fast:
        return full_precision(lambda: model.fast.e_step(params, model.fast.prepare(rows, weight)))()
    return _average_over_rows(model, params, rows, key, weight, first)


def _check_em(model, data, key, fits=False):
    """What can be told by types and shapes, inside jit too."""
    check_model(model)
    if fits and model.m_step is None:
        raise ValueError("this model has no m_step, so em cannot fit it: use vaejax.maximize")
    if isinstance(data, Prepared):
        _check_fast(model, data)
    elif model.statistics is None:
        raise ValueError("this model has no statistics, so em cannot fit it: use vaejax.maximize")
    else:
        count_examples(data)
    check_key(key, or_none=True)


def _check_fast(model, data):
    """Models are changed by `_replace`, and nothing else would tell that the fast route was left behind."""
    if model.fast is None or (isinstance(data, Prepared) and data.by is not model.fast.prepare):
        raise ValueError("this model has no fast route, or not that which prepared these data: pass xs themselves")
    if tuple(model.fast.replaces) != model[:3]:
        raise ValueError("the fast route stands for another log_joint, posterior or statistics: make it fast=None")


def own_copy(params):
    """Fresh, strongly typed arrays: what the loops donate and carry must not be the caller's."""
    return jax.tree.map(lambda leaf: jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True), params)


def _as_precise(params, xs):
    """Floats of one type, the most precise in params and data: an M-step makes its results of both."""

    def is_float(leaf):
        return jnp.issubdtype(leaf.dtype, jnp.floating)

    kinds = (leaf.dtype for leaf in jax.tree.leaves((params, xs)) if is_float(leaf))
    kind = jnp.result_type(float, *map(jax.dtypes.canonicalize_dtype, kinds))
    return jax.tree.map(lambda leaf: leaf.astype(kind) if is_float(leaf) else leaf, params)


def _check_kept(params, fitted):
    """ValueError, while the step is compiled, unless an M-step returns what it was given, with other numbers."""
    trees = params, fitted
    kinds = [", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)) for tree in trees]
    if kinds[0] != kinds[1] or jax.tree.structure(params) != jax.tree.structure(fitted):
        raise ValueError(
            f"the M-step turns a {type(params).__name__} of {kinds[0]} into a {type(fitted).__name__} of {kinds[1]}: "
            "expected the same structure, shapes and types; start from floating arrays"
        )


def check_history(history, start, advice):
    """FloatingPointError, with the step and the advice, where the history of a fit holds NaN or infinity."""
    bad = ~np.isfinite(np.asarray(history))
    if bad.any():
        step = int(bad.argmax())
        raise FloatingPointError(f"the bound became {float(history[step])} at step {start + step}: {advice}")
