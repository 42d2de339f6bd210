"""The checks at the doors: what comes in from outside is looked at once, and a refusal says what came and what to do.

Can it be scored, can it be fitted? The doors that score (`mean_bound`, `log_likelihood`) ask the first question, the
`init` of a model asks the second as well.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


def check_count(name, value):
    """ValueError unless `value` is a whole number of at least one. (A bool or an array is none: shapes are static.)"""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}: expected a whole number of at least 1")


def check_key(key):
    """ValueError unless `key` is one of JAX's, from `jax.random.key` or the older `jax.random.PRNGKey`."""
    dtype, shape = getattr(key, "dtype", None), np.shape(key)
    is_new = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    words = 2 if jax.config.jax_default_prng_impl == "threefry2x32" else 4
    is_old = dtype == np.uint32 and shape == (words,)
    if not is_new and not is_old:
        came = type(key).__name__ if dtype is None else f"{dtype}{list(shape)}"
        raise ValueError(f"key is {came}: pass key=jax.random.key(0), or with another number")


def is_traced(*trees):
    """Do `trees` hold what jit, vmap or grad put in the place of numbers?"""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def require_concrete(name, *trees):
    """ValueError if `trees` hold what jit, vmap or grad put in the place of numbers."""
    if is_traced(*trees):
        raise ValueError(
            f"{name} looks at its numbers as it goes, which jit, vmap and grad hide from it: call it outside of them, "
            "for one start after the other"
        )


def count_examples(data):
    """N; ValueError unless the data are arrays that share the first axis."""
    if hasattr(data, "padded"):  # a vaejax.sharding.Sharded knows its own
        return data.num_examples
    leaves = jax.tree.leaves(data)
    shapes = [np.shape(leaf) for leaf in leaves]
    if not shapes or any(len(shape) == 0 or 0 in shape for shape in shapes):
        raise ValueError(
            f"the data have shapes {shapes}: expected at least one example along the first axis of each "
            "array; make a list an array with numpy.asarray"
        )
    for leaf in leaves:
        if isinstance(leaf, np.ma.MaskedArray):
            raise ValueError("the data are masked: expected plain arrays; mark what is missing by xs.filled(numpy.nan)")
        if not hasattr(leaf, "dtype"):
            raise ValueError(
                f"the data are a {type(leaf).__name__}: expected arrays; convert with numpy.asarray(xs, 'float32')"
            )
    if len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"the data have shapes {shapes}: expected all arrays to share the first axis, the examples")
    return shapes[0][0]


def check_batch(data):
    """N; ValueError unless the data are an array or a pytree of arrays (N, ...) of finite numbers, of whatever type."""
    return check_examples(data)


def check_rows(xs):
    """N; ValueError unless xs is one array (N, D) of finite numbers of whatever type: counts, bytes, halves, floats."""
    if hasattr(xs, "dtype") and not jnp.issubdtype(xs.dtype, jnp.floating):
        check_examples(xs[:1].astype("float32"), as_table=True)
        return count_examples(xs)
    return check_examples(xs, as_table=True, allow_half=True)


def check_examples(xs, as_table=False, allow_nan=False, allow_half=False):
    """ValueError unless xs is a non-empty batch of finite examples. Values are looked at where they are concrete.

    Args:
        xs: an array, or a pytree of arrays, with the examples along the first axis.
        as_table: it must be a lone array, (N, D) floats; False takes any pytree of arrays.
        allow_nan: NaN marks a missing entry; only infinities are refused.
        allow_half: a table of half precision will do, as it does for networks; no factorisation takes it.

    Returns:
        N, the number of examples.
    """
    if as_table and hasattr(xs, "padded"):
        raise ValueError("xs is sharded: expected an array, such as xs[:5000], a part of the data before vaejax.shard")
    if as_table and not hasattr(xs, "shape"):
        advice = "pass its .xs" if hasattr(xs, "xs") else "convert with numpy.asarray(xs, 'float32')"
        raise ValueError(f"xs is a {type(xs).__name__}: expected an array (N, D); {advice}")
    num_examples = count_examples(xs)
    if as_table:
        if xs.ndim != 2:
            raise ValueError(f"xs has shape {xs.shape}: expected (N, D), N examples of D features; see numpy.reshape")
        if not jnp.issubdtype(xs.dtype, jnp.floating):
            raise ValueError(f"xs holds {xs.dtype}: expected floats; convert with xs.astype('float32')")
        if not allow_half and xs.dtype.itemsize < 4:
            raise ValueError(f"xs holds {xs.dtype}: expected float32 or float64; convert with xs.astype('float32')")
    for leaf in jax.tree.leaves(xs):
        if not getattr(leaf.dtype, "isnative", True):
            raise ValueError(f"the data hold {leaf.dtype}, the byte order of another machine: use .astype('float32')")
        if isinstance(leaf, jax.core.Tracer) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        with jax.ensure_compile_time_eval():  # within jit, a table that is a constant there has values all the same
            num_bad = int(_count_bad(leaf, allow_nan))
        if num_bad:
            kind = "infinite" if allow_nan else "NaN or infinite"
            raise ValueError(
                f"the data hold {num_bad} {kind} entries: expected finite numbers; drop those examples, fill them in, "
                "or pass the values together with a mask and let log_joint read the mask"
            )
    return num_examples


def check_example(x, size, name="x"):
    """ValueError unless x, or what `name` is, is one array (size,): others may broadcast to a meaningless number."""
    if not hasattr(x, "shape"):
        raise ValueError(f"{name} is a {type(x).__name__}: expected an array ({size},); convert with numpy.asarray")
    if x.shape != (size,):
        raise ValueError(f"{name} has shape {x.shape}: expected one example ({size},); vmap over batches")


def blocks(table, size=4096):
    """A numpy array by parts of so many rows: what is computed of each never takes the memory of the whole."""
    return (np.asarray(table[start : start + size]) for start in range(0, len(table), size))


def _count_bad(leaf, allow_nan):
    """By numpy where the array is numpy's, part by part, so that nothing is copied; compiled elsewhere."""
    if isinstance(leaf, np.ndarray):
        return sum(np.isinf(part).sum() if allow_nan else part.size - np.isfinite(part).sum() for part in blocks(leaf))
    return _count_bad_on_device(leaf, allow_nan)


@partial(jax.jit, static_argnames="allow_nan")
def _count_bad_on_device(leaf, allow_nan):
    return (jnp.isinf(leaf) if allow_nan else ~jnp.isfinite(leaf)).sum()
