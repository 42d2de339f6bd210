"""Expectation-maximisation: complete the data, then estimate as if they were complete."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from vaejax.bounds import batch_bound, check_model_data, posterior_nodes
from vaejax.doors import check_count, check_key, require_concrete
from vaejax.sharding import drop_padding, is_mapped, replicate_like

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
    require_concrete("em", params, xs, key)
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
    params, key = replicate_like(xs, (_as_precise(own_copy(params), xs), key))
    if fused and is_mapped(xs) and model.statistics is not None:
        params, history = _em_by_parts(model, int(num_steps), params, data, tol)
    else:
        params, history, steps_done = _em(model, fused, int(num_steps), params, data, key, tol)
        history = history[: int(steps_done)]
    check_history(history, 0, COLLAPSED)
    if any(np.isnan(leaf).any() for leaf in map(np.asarray, jax.tree.leaves(params))):
        raise FloatingPointError(f"a parameter became NaN at step {len(history) - 1}: {COLLAPSED}")
    return params, history


@partial(jax.jit, static_argnames=("model", "fused", "num_steps"))
def _em(model, fused, num_steps, params, data, key, tol):
    data = data if fused else drop_padding(data)

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


def check_history(history, start, advice):
    bad = ~np.isfinite(np.asarray(history))
    if bad.any():
        step = int(bad.argmax())
        raise FloatingPointError(f"the bound became {float(history[step])} at step {start + step}: {advice}")
