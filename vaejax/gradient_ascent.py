"""Gradient ascent: the way up a bound that has no closed M-step.

`history` is always the objective, larger is better. Because optax descends, `_gradient_steps` hands it minus the slope.
"""

import itertools
import sys
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from tqdm import tqdm

from vaejax import doors
from vaejax.bounds import LatentModel, check_model_data, check_weights_of, elbo, mean_bound
from vaejax.checkpoints import Checkpoints
from vaejax.doors import check_batch, check_count, check_key, count_examples, is_mapped, require_concrete
from vaejax.expectation import check_history, own_copy
from vaejax.sharding import drop_padding, replicate_like, spread_as

SLOWER = "try a smaller learning rate"
AT_START = "no step was taken, so look at the objective, where params start, and the data"
BLOCK = 100  # gradient steps in one compiled call; then the history is looked at


def maximize(
    objective,
    params,
    data,
    key,
    *,
    optimizer,
    num_steps,
    batch_size=None,
    bound=elbo,
    num_samples=1,
    frozen=None,
    checkpoint=None,
    checkpoint_every=1000,
):
    """Gradient ascent on `objective`, in blocks of steps that run compiled, with the data on the device.

    Args:
        objective: function (params, data, key) -> (), to be made large. A mean over the examples of `data`, so that a
            minibatch estimates the whole. Static: define it once, and pass what it needs as `data`, not as a closure.
            Or a `LatentModel`: then it is the model's `mean_bound`, the model checks its data first, and every entry
            of its parameters is climbed: the noise of PPCA is then free for each feature, and the `log_pi` of a mixture
            wants `jax.nn.log_softmax` afterwards.
        params: where to start, a pytree of floating arrays; not changed. What is no parameter stays as it is: keys,
            and of flax modules the integers and each `nnx.Variable` that is no `nnx.Param`, as running means.
        data: an array, or a pytree whose leaves share the leading axis N; or what `vaejax.shard` makes of them. With a
            `batch_size`, arrays that are mapped from a file, `np.load(path, mmap_mode="r")`, are not loaded: BLOCK
            batches at a time are read, so they may be larger than memory; the shuffled order takes about 16 bytes for
            each example.
        key: a key from `jax.random.key`; the same key gives the same fit.
        optimizer: from optax, for instance `optax.adam(1e-2)`, or `optax.MultiSteps` around one; those that ask for the
            value as well, such as `optax.lbfgs()`, get it. Static, too: another object compiles anew.
        num_steps: number of gradient steps, at least 1.
        batch_size: examples in each step, drawn from one shuffled pass through the data after another; None takes all.
        bound, num_samples: of a `LatentModel`, which bound is climbed, with how many draws; as in `mean_bound`.
        frozen: what of params stays as it is, a pytree of True and False with the structure of params, or of their
            upper part, such as `vae.VAEParams(encoder=False, decoder=True, log_sigma2=True)`; None: nothing.
        checkpoint: a folder in which to keep what was reached, through orbax, which comes with flax. A fit that finds a
            checkpoint there goes on from it, and ends as if it had never been interrupted: bit for bit, on the same
            machine. With a larger num_steps it goes on from where it had ended. Another key, batch_size or shape is
            refused, and so are an objective and data that make another value of what was reached, by more than the
            thousandth that another machine may round. Another optimiser is not noticed. Give each fit a folder of its
            own.
        checkpoint_every: steps from one checkpoint to the next, in effect a multiple of BLOCK; one more at the end.

    Returns:
        params: after the last step.
        history: (num_steps,) the objective before each step, on that step's minibatch.

    Raises:
        ValueError: bad data or arguments, or the checkpoint is of another fit.
        FloatingPointError: the objective or a parameter became NaN or infinite.
        OSError: a checkpoint cannot be written.
    """
    require_concrete("maximize", params, data, key)
    check_key(key)
    check_count("num_steps", num_steps)
    check_count("checkpoint_every", checkpoint_every)
    num_steps, num_examples = int(num_steps), count_examples(data)
    if batch_size is not None:
        check_count("batch_size", batch_size)
        batch_size = int(batch_size)
        if batch_size > num_examples:
            raise ValueError(f"batch_size is {batch_size}, but there are {num_examples} examples: use fewer, or None")
    if isinstance(optimizer, optax.MultiSteps):  # which has both methods and is none
        optimizer = optax.GradientTransformationExtraArgs(optimizer.init, optimizer.update)
    if not isinstance(optimizer, optax.GradientTransformation):
        raise ValueError(f"optimizer is {type(optimizer).__name__}: expected one from optax, such as optax.adam(1e-2)")
    objective = _as_objective(objective, params, data, key, bound, num_samples)
    in_parts = batch_size is not None and is_mapped(data)
    data = data if in_parts else jax.tree.map(jnp.asarray, data)
    key_batches, key_steps = jax.random.split(key)
    moving, still = _split(params, _moves(params, frozen))
    moving = own_copy(moving)
    state = moving, own_copy(optimizer.init(moving))
    state, still, key_steps = replicate_like(data, (state, still, key_steps))
    _check_objective(objective, _merge(state[0], still), data, key_steps, batch_size)
    identity = {
        "key": jax.random.key_data(key).tolist(),
        "number of examples": num_examples,
        "batch_size": batch_size,
        "example": [f"{leaf.dtype}{list(leaf.shape[1:])}" for leaf in jax.tree.leaves(data)],
        "state": [f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(state)],
        "history": jnp.zeros(0).dtype.name,
    }

    def read(batches, count):
        """The data, and (BLOCK, B) which of them are in each batch; of a mapped file only the rows that are."""
        if batch_size is None:
            return data, None
        indices = np.pad(np.stack(list(itertools.islice(batches, count))), [(0, BLOCK - count), (0, 0)])
        if not in_parts:
            return data, indices
        rows = jax.tree.map(lambda leaf: np.asarray(leaf[indices.ravel()]), data)
        return rows, np.arange(indices.size, dtype=np.int32).reshape(indices.shape)

    def height(state):
        """Its objective on the first batch, which the same objective keeps however it is written and compiled."""
        rows, indices = read(_batch_stream(key_batches, num_examples, batch_size), 1)
        _, values = _gradient_steps(objective, optimizer, own_copy(state), still, rows, key_steps, indices, 0, 1)
        return float(values[0])

    with (
        Checkpoints(checkpoint, identity, height) as checkpoints,
        tqdm(total=num_steps, unit="step", delay=10, leave=False, disable=not _is_watched()) as bar,
    ):
        done, state, history = checkpoints.newest(state)
        if done > num_steps:
            raise ValueError(f"num_steps is {num_steps}, but the checkpoint in {checkpoint} has done {done}: give more")
        history = [history]
        bar.update(done)
        batches = itertools.islice(_batch_stream(key_batches, num_examples, batch_size), done, None)
        while done < num_steps:
            count = min(BLOCK, num_steps - done)
            rows, indices = read(batches, count)
            state, values = _gradient_steps(objective, optimizer, state, still, rows, key_steps, indices, done, count)
            values = np.asarray(values)[:count]  # cut on the device, each length would be a program
            check_history(values, done, SLOWER if done or np.isfinite(values[0]) else AT_START)
            history.append(values)
            before, done = done, done + count
            bar.update(count)
            if done == num_steps or done // checkpoint_every > before // checkpoint_every:
                _check_finite(state[0], done)
                checkpoints.save(done, state, np.concatenate(history))
    return _merge(state[0], still), jax.device_put(np.concatenate(history))


@partial(jax.jit, static_argnames=("objective", "optimizer"), donate_argnames="state")
def _gradient_steps(objective, optimizer, state, still, data, key, indices, start, count):
    """`count` <= BLOCK steps. `count` is no static argument: any number of steps runs the same compiled code."""
    xs, optimizer = drop_padding(data), optax.with_extra_args_support(optimizer)

    def step(i, carry):
        (params, opt_state), history = carry
        batch = xs if indices is None else spread_as(data, jax.tree.map(lambda leaf: leaf[indices[i]], xs))
        step_key = jax.random.fold_in(key, start + i)

        def height(params):
            return objective(_merge(params, still), batch, step_key)

        value, grad = jax.value_and_grad(height)(params)
        descent = jax.tree.map(jnp.negative, grad)  # the one minus sign: optax descends, we climb
        more = {"value": -value, "grad": descent, "value_fn": lambda params: -height(params)}
        updates, opt_state = optimizer.update(descent, opt_state, params, **more)
        return (optax.apply_updates(params, updates), opt_state), history.at[i].set(value)

    return jax.lax.fori_loop(0, count, step, (state, jnp.zeros(BLOCK)))


@lru_cache
def _bound_of(model, bound, num_samples):
    """A bound of `model` as an objective: the same function for the same arguments, so that it compiles once."""
    return lambda params, xs, key: mean_bound(model, params, xs, key, bound, num_samples)


def _moves(params, frozen):
    """True for each leaf of params that is climbed, in their structure."""
    frozen = False if frozen is None else frozen
    if any(not isinstance(leaf, bool) for leaf in jax.tree.leaves(frozen)):
        raise ValueError(f"frozen holds {jax.tree.leaves(frozen)}: expected True where params are to stay, else False")
    try:
        frozen = jax.tree.broadcast(frozen, params)
    except ValueError as error:
        raise ValueError(f"frozen does not have the structure of params, or of their upper part: {error}") from error

    def is_float(leaf):
        return bool(jnp.issubdtype(jnp.result_type(leaf), jnp.floating))

    def in_module(node):  # a Variable, or an array that is none
        is_state = isinstance(node, nnx.Variable) and not isinstance(node, nnx.Param)
        return jax.tree.map(lambda leaf: not is_state and is_float(leaf), node)

    def moves(node):
        if isinstance(node, nnx.Pytree | nnx.Variable):
            return jax.tree.map(in_module, node, is_leaf=lambda part: isinstance(part, nnx.Variable))
        return not jax.dtypes.issubdtype(getattr(node, "dtype", None), jax.dtypes.prng_key)

    may_move = jax.tree.map(moves, params, is_leaf=lambda node: isinstance(node, nnx.Pytree | nnx.Variable))
    mask = jax.tree.map(lambda may, is_frozen: may and not is_frozen, may_move, frozen)
    kinds = {jnp.result_type(leaf).name for leaf in jax.tree.leaves(_split(params, mask)[0])}
    if not kinds or not all(jnp.issubdtype(kind, jnp.floating) for kind in kinds):
        raise ValueError(
            f"params hold {sorted(kinds) or 'no arrays'} to be climbed: gradient ascent expects floating arrays; "
            "others can be frozen"
        )
    return mask


def _split(params, mask):
    """(what moves, what is still), each with None where the other has a leaf."""
    moving = jax.tree.map(lambda leaf, moves: leaf if moves else None, params, mask)
    return moving, jax.tree.map(lambda leaf, moves: None if moves else leaf, params, mask)


def _merge(moving, still):
    return jax.tree.map(lambda a, b: b if a is None else a, moving, still, is_leaf=lambda leaf: leaf is None)


def _batch_stream(key, num_examples, batch_size):
    """Index arrays (batch_size,), cut from one shuffled pass after another: every example comes equally often."""
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))  # 40 times faster than jax.random.permutation
    queue = np.empty(0, np.int32 if num_examples < 2**31 else np.int64)
    while True:
        while len(queue) < batch_size:
            queue = np.concatenate([queue, rng.permutation(num_examples).astype(queue.dtype)])
        yield queue[:batch_size]
        queue = queue[batch_size:]


def _as_objective(objective, params, data, key, bound, num_samples):
    """The objective as a function; ValueError where the data will not do for it."""
    check_count("num_samples", num_samples)
    if isinstance(objective, LatentModel):
        check_model_data(objective, params, data)
        check_weights_of(objective, params, data, key)
        return _bound_of(objective, bound, int(num_samples))
    if bound is not elbo or num_samples != 1:
        raise ValueError("bound and num_samples are for a LatentModel; this objective is a function: leave them out")
    doors.check_function("objective", objective, "one from (params, data, key) to a float; or a vaejax.LatentModel")
    check_batch(data)
    return objective


def _check_objective(objective, params, data, key, batch_size):
    """ValueError, before anything is compiled, unless the objective returns one float."""

    def height(params, data):
        return objective(params, jax.tree.map(lambda leaf: leaf[:batch_size], drop_padding(data)), key)

    out = jax.eval_shape(height, params, data)
    if getattr(out, "shape", None) != () or not jnp.issubdtype(out.dtype, jnp.floating):
        raise ValueError(f"objective returned {out}: expected one float; average inside the objective")


def _check_finite(params, step):
    if not all(np.isfinite(leaf).all() for leaf in map(np.asarray, jax.tree.leaves(params))):
        raise FloatingPointError(f"a parameter became NaN or infinite by step {step - 1}: {SLOWER}")


def _is_watched():
    """Does a person watch this run? True in a terminal and in a live notebook, false where outputs are stored.

    A notebook in Jupyter or Colab could ask its reader for input; nbconvert and nbval say that theirs cannot.
    """
    try:
        kernel = get_ipython().kernel
    except (NameError, AttributeError):
        return sys.stderr.isatty()
    return bool(getattr(kernel, "_allow_stdin", False))
