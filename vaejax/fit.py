"""Two ways up the bound: coordinate ascent (`em`) and gradient ascent (`maximize`).

Both climb, both return `(params, history)`, and `history` is always the bound: larger is better. The book's only minus
sign is in `_gradient_steps`, because optax descends.
"""

import itertools
import sys
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from vaejax.bounds import LatentModel, batch_bound, check_examples, check_model_data, mean_bound, posterior_nodes
from vaejax.checkpoints import Checkpoints
from vaejax.nodes import check_count, check_key, check_outside
from vaejax.sharding import beside, count_examples, examples, is_mapped, spread_as

BLOCK = 100  # gradient steps between two looks at the clock
MOST_STEPS = 10**7  # of EM: room for the whole history is made beforehand
COLLAPSED = "the parameters may have collapsed: try another start or a guarded model, or drop redundant features"


def em(model, params, xs, *, num_steps, key=None, tol=None, fused=True):
    """Expectation-maximisation: complete the data (E-step), then fit them as if nothing were missing (M-step).

    Args:
        model: a `LatentModel` with an `m_step`, or with `summarize` and `em_step`. Static: make it once.
        params: where to start, a pytree of arrays; not changed.
        xs: (N, D) examples, or a pytree whose leaves share the leading axis N; or what `vaejax.shard` makes of them.
            A table mapped from a file, `np.load(path, mmap_mode="r")`, may be larger than memory for models of
            `vaejax.gmm`, which read it part by part in each step, and of `vaejax.linear_gaussian`, which summarise it;
            not with fused=False, nor where entries are missing.
        num_steps: number of E- and M-steps, at least 1.
        key: a key from `jax.random.key` for a posterior that samples; None for an exact one.
        tol: stop when a step raises the bound by less than this many nats per example; None runs all steps.
        fused: use the model's `em_step` where it has one: faster, and the same but for rounding. In float32 that shows
            where a component or the noise is some hundred times narrower than the data, or an example as far away: the
            bound is then off by 0.01 nats or so, and may fall.

    Returns:
        params: after the last M-step, in the type of the most precise floats among params and xs.
        history: (steps done,) the bound in nats per example *before* each M-step. With an exact posterior the bound is
            tight there, so this is the mean log likelihood of the parameters that entered the step.

    Raises:
        ValueError: bad data or arguments.
        FloatingPointError: the bound became NaN or infinite, or a parameter NaN.

    Source: Neal and Hinton (1998), A View of the EM Algorithm that Justifies Incremental, Sparse, and Other Variants.
    """
    check_outside("em", params, xs, key)
    check_model_data(model, params, xs)
    check_count("num_steps", num_steps)
    if num_steps > MOST_STEPS:
        raise ValueError(f"num_steps is {num_steps}: expected at most {MOST_STEPS}; to run until it is done, pass tol=")
    if key is not None:
        check_key(key)
    fused = fused and model.em_step is not None
    if not fused and model.m_step is None:
        raise ValueError("this model has no m_step, so em cannot fit it: use vaejax.maximize")
    if tol is not None and not tol >= 0:
        raise ValueError(f"tol is {tol}: expected nats per example, at least 0, or None to run all steps")
    tol = -np.inf if tol is None else tol
    data = model.summarize(xs) if fused else jax.tree.map(jnp.asarray, xs)
    params, key = beside(xs, (_as_precise(_own_copy(params), xs), key))
    if fused and is_mapped(xs) and model.statistics is not None:
        params, history = _em_by_parts(model, int(num_steps), params, data, tol)
    else:
        params, history, steps_done = _em(model, fused, int(num_steps), params, data, key, tol)
        history = history[: int(steps_done)]
    _check_history(history, 0, COLLAPSED)
    if any(np.isnan(leaf).any() for leaf in map(np.asarray, jax.tree.leaves(params))):
        raise FloatingPointError(f"a parameter became NaN at step {len(history) - 1}: {COLLAPSED}")
    return params, history


def maximize(
    objective, params, data, key, *, optimizer, num_steps, batch_size=None, checkpoint=None, checkpoint_every=1000
):
    """Gradient ascent on `objective`, in blocks of steps that run compiled, with the data on the device.

    Args:
        objective: function (params, data, key) -> (), to be made large. A mean over the examples of `data`, so that a
            minibatch estimates the whole. Static: define it once, and pass what it needs as `data`, not as a closure.
            Or a `LatentModel`: then it is the model's `mean_bound`, the model checks its data first, and every entry
            of its parameters is climbed: the noise of PPCA is then free for each feature, and the `log_pi` of a mixture
            wants `jax.nn.log_softmax` afterwards.
        params: where to start, a pytree of floating arrays (networks too); not changed.
        data: an array, or a pytree whose leaves share the leading axis N; or what `vaejax.shard` makes of them. With a
            `batch_size`, arrays that are mapped from a file, `np.load(path, mmap_mode="r")`, are not loaded: BLOCK
            batches at a time are read, so they may be larger than memory; the shuffled order takes about 16 bytes for
            each example.
        key: a key from `jax.random.key`; the same key gives the same fit.
        optimizer: from optax, for instance `optax.adam(1e-2)`; those that ask for the value as well, such as
            `optax.lbfgs()`, get it. Static, too: another object compiles anew.
        num_steps: number of gradient steps, at least 1.
        batch_size: examples in each step, drawn from one shuffled pass through the data after another; None takes all.
        checkpoint: a folder in which to keep what was reached, through orbax, which comes with flax. A fit that finds a
            checkpoint there goes on from it, and ends as if it had never been interrupted: bit for bit, on the same
            machine. With a larger num_steps it goes on from where it had ended. Another key, batch_size or shape is
            refused; another objective, optimiser or content of the data cannot be noticed: give each fit a folder of
            its own.
        checkpoint_every: steps from one checkpoint to the next, in effect a multiple of BLOCK; one more at the end.

    Returns:
        params: after the last step.
        history: (num_steps,) the objective before each step, on that step's minibatch.

    Raises:
        ValueError: bad data or arguments, or the checkpoint is of another fit.
        FloatingPointError: the objective became NaN or infinite.
    """
    check_outside("maximize", params, data, key)
    if isinstance(objective, LatentModel):
        check_model_data(objective, params, data)
        objective = _bound_of(objective)
        num_examples = count_examples(data)
    else:
        num_examples = check_examples(data)
    check_count("num_steps", num_steps)
    check_count("checkpoint_every", checkpoint_every)
    num_steps = int(num_steps)
    if batch_size is not None:
        check_count("batch_size", batch_size)
        batch_size = int(batch_size)
        if batch_size > num_examples:
            raise ValueError(f"batch_size is {batch_size}, but there are {num_examples} examples: use fewer, or None")
    check_key(key)
    if not isinstance(optimizer, optax.GradientTransformation):
        raise ValueError(f"optimizer is {type(optimizer).__name__}: expected one from optax, such as optax.adam(1e-2)")
    in_parts = batch_size is not None and any(map(is_mapped, jax.tree.leaves(data)))
    data = data if in_parts else jax.tree.map(jnp.asarray, data)
    key_batches, key_steps = jax.random.split(key)
    params = _own_copy(params)
    state, key_steps = beside(data, ((params, _own_copy(optimizer.init(params))), key_steps))
    _check_objective(objective, params, data, key_steps, batch_size)
    this_fit = {
        "key": jax.random.key_data(key).tolist(),
        "number of examples": num_examples,
        "batch_size": batch_size,
        "example": [f"{leaf.dtype}{list(leaf.shape[1:])}" for leaf in jax.tree.leaves(data)],
        "state": [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(state)],
        "history": jnp.zeros(0).dtype.name,
    }
    with (
        Checkpoints(checkpoint, this_fit) as checkpoints,
        tqdm(total=num_steps, unit="step", delay=10, leave=False, disable=not _is_watched()) as bar,
    ):
        done, state, history = checkpoints.newest(state)
        if done > num_steps:
            raise ValueError(f"num_steps is {num_steps}, but the checkpoint in {checkpoint} has done {done} already")
        batches = itertools.islice(_batch_stream(key_batches, num_examples, batch_size), done, None)
        history = [history]
        bar.update(done)
        for start in range(done, num_steps, BLOCK):
            count = min(BLOCK, num_steps - start)
            indices = None if batch_size is None else np.stack([next(batches) for _ in range(BLOCK)])
            block, indices = _read(data, indices) if in_parts else (data, indices)
            state, values = _gradient_steps(objective, optimizer, state, block, key_steps, indices, start, count)
            history.append(np.asarray(values[:count]))
            _check_history(history[-1], start, "try a smaller learning rate")
            bar.update(count)
            stop = start + count
            if stop == num_steps or stop // checkpoint_every > start // checkpoint_every:
                _check_finite(state[0], stop)
                checkpoints.save(stop, state, np.concatenate(history))
    return state[0], jnp.asarray(np.concatenate(history))


@partial(jax.jit, static_argnames=("model", "fused", "num_steps"))
def _em(model, fused, num_steps, params, data, key, tol):
    data = data if fused else examples(data)

    def step(carry):
        i, params, history = carry
        if fused:
            fitted, bound = model.em_step(params, data)
        else:
            nodes = posterior_nodes(model, params, data, None if key is None else jax.random.fold_in(key, i))  # E-step
            bound = batch_bound(model, params, data, nodes)
            fitted = model.m_step(params, data, nodes)  # M-step
        _check_kept(params, fitted)
        return i + 1, fitted, history.at[i].set(bound)

    def rising(carry):
        i, _, history = carry
        return (i < num_steps) & ((i < 2) | (history[i - 1] - history[i - 2] >= tol))  # false once a bound is NaN

    i, params, history = jax.lax.while_loop(rising, step, (0, params, jnp.zeros(num_steps)))
    return params, history, i


def _em_by_parts(model, num_steps, params, parts, tol):
    """The fused fit for summaries that come one by one: their statistics add up to those of all the data."""
    history = []
    while len(history) < num_steps and (len(history) < 2 or history[-1] - history[-2] >= tol):
        total = 0.0
        for part in parts:
            found = _statistics(model, params, part)
            total = total + np.asarray(found, float)
        params, bound = _em_step(model, params, part, total.astype(found.dtype))
        history.append(float(bound))
    return params, jnp.asarray(history)


@partial(jax.jit, static_argnames="model")
def _statistics(model, params, part):
    return model.statistics(params, part)


@partial(jax.jit, static_argnames="model")
def _em_step(model, params, part, total):
    return model.em_step(params, part, total)


@partial(jax.jit, static_argnames=("objective", "optimizer"), donate_argnames="state")
def _gradient_steps(objective, optimizer, state, data, key, indices, start, count):
    """`count` <= BLOCK steps. `count` is no static argument: any number of steps runs the same compiled code."""
    xs, optimizer = examples(data), optax.with_extra_args_support(optimizer)

    def step(i, carry):
        (params, opt_state), history = carry
        batch = xs if indices is None else spread_as(data, jax.tree.map(lambda leaf: leaf[indices[i]], xs))
        step_key = jax.random.fold_in(key, start + i)
        value, grad = jax.value_and_grad(objective)(params, batch, step_key)
        descent = jax.tree.map(jnp.negative, grad)  # the one minus sign: optax descends, we climb
        more = {"value": -value, "grad": descent, "value_fn": lambda params: -objective(params, batch, step_key)}
        updates, opt_state = optimizer.update(descent, opt_state, params, **more)
        return (optax.apply_updates(params, updates), opt_state), history.at[i].set(value)

    return jax.lax.fori_loop(0, count, step, (state, jnp.zeros(BLOCK)))


@lru_cache
def _bound_of(model):
    """The bound of `model` as an objective: the same function for the same model, so that it compiles once."""
    return lambda params, xs, key: mean_bound(model, params, xs, key)


def _read(data, indices):
    """The rows that a block of batches (BLOCK, B) asks for, and where they now are."""
    rows = jax.tree.map(lambda leaf: np.asarray(leaf[indices.ravel()]), data)
    return rows, np.arange(indices.size, dtype=np.int32).reshape(indices.shape)


def _batch_stream(key, num_examples, batch_size):
    """Index arrays (batch_size,), cut from one shuffled pass after another: every example comes equally often."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))  # 40 times faster than jax.random.permutation
    queue = np.empty(0, np.int32 if num_examples < 2**31 else np.int64)
    while True:
        while len(queue) < batch_size:
            queue = np.concatenate([queue, rng.permutation(num_examples).astype(queue.dtype)])
        yield queue[:batch_size]
        queue = queue[batch_size:]


def _own_copy(params):
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
    before, after = ([f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)] for tree in (params, fitted))
    if jax.tree.structure(params) != jax.tree.structure(fitted):
        raise ValueError(
            f"the M-step turns a {type(params).__name__} of {len(before)} arrays into a {type(fitted).__name__} of "
            f"{len(after)}: expected the same structure"
        )
    if before != after:
        raise ValueError(
            f"the M-step turns params of {', '.join(before)} into {', '.join(after)}: expected the same shapes and "
            "types; start from floating arrays"
        )


def _check_objective(objective, params, data, key, batch_size):
    """ValueError, before anything is compiled, unless the objective maps floats to one float."""
    kinds = {jnp.dtype(leaf.dtype).name for leaf in jax.tree.leaves(params)}
    if not kinds or not all(jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        raise ValueError(f"params hold {sorted(kinds) or 'no arrays'}: gradient ascent expects floating arrays")
    out = jax.eval_shape(
        lambda data: objective(params, jax.tree.map(lambda leaf: leaf[:batch_size], examples(data)), key), data
    )
    if getattr(out, "shape", None) != () or not jnp.issubdtype(out.dtype, jnp.floating):
        raise ValueError(
            f"objective returned {out}: expected one float, a mean over the examples; average inside the objective"
        )


def _check_history(history, start, advice):
    bad = ~np.isfinite(np.asarray(history))
    if bad.any():
        step = int(bad.argmax())
        raise FloatingPointError(f"the bound became {float(history[step])} at step {start + step}: {advice}")


def _check_finite(params, step):
    if not all(np.isfinite(leaf).all() for leaf in map(np.asarray, jax.tree.leaves(params))):
        raise FloatingPointError(f"a parameter became NaN or infinite at step {step - 1}: try a smaller learning rate")


def _is_watched():
    """Does a person watch this run? True in a terminal and in a live notebook, false where outputs are stored.

    A notebook in Jupyter or Colab could ask its reader for input; nbconvert and nbval say that theirs cannot.
    """
    try:
        kernel = get_ipython().kernel
    except (NameError, AttributeError):
        return sys.stderr.isatty()
    return bool(getattr(kernel, "_allow_stdin", False))
