"""The checks at the doors: what comes in from outside is looked at once, and a refusal says what came and what to do.

Can it be scored, can it be fitted? The doors that score (`mean_bound`, `log_likelihood`) ask the first question, by
`check_batch`, or by `check_rows` or `check_table`, which ask for more, and `check_params`; the `init` of a model that
looks at data asks the second as well. Values are looked at where they are known: a tracer passes.
"""

import jax
import jax.numpy as jnp
import numpy as np


def check_count(name, value):
    """ValueError unless `value` is a whole number of at least one. (A bool or an array is none: shapes are static.)"""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} is {value!r}: expected a whole number of at least 1")


def check_number(name, value, is_right, expected):
    """ValueError unless `value` is one real number for which `is_right` holds."""
    array = np.asarray(value)
    if array.ndim > 0 or array.dtype.kind not in "iuf" or not is_right(array):
        raise ValueError(f"{name} is {value!r}: expected {expected}")


def check_function(name, value, like):
    """ValueError unless `value` can be called: a function itself is handed over, not its name."""
    if not callable(value):
        came = repr(value) if value is None or isinstance(value, str | int | float) else f"a {type(value).__name__}"
        raise ValueError(f"{name} is {came}: expected a function, such as {like}")


def check_key(key, or_none=False):
    """ValueError unless `key` is one of JAX's, from `jax.random.key` or the older `PRNGKey`, or perhaps None."""
    dtype, shape = getattr(key, "dtype", None), np.shape(key)
    is_new = dtype is not None and jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key) and shape == ()
    words = 2 if jax.config.jax_default_prng_impl == "threefry2x32" else 4
    is_old = dtype == np.uint32 and shape == (words,)
    if not is_new and not is_old and not (or_none and key is None):
        came = type(key).__name__ if dtype is None else f"{dtype}{list(shape)}"
        raise ValueError(f"key is {came}: pass key=jax.random.key(0), or with another number")


def as_float(*arrays):
    """The arguments as arrays of the floating type that they share: two bytes would wrap around where they meet."""
    arrays = [jnp.asarray(array) for array in arrays]
    dtype = jnp.result_type(float, *arrays)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(f"an array is {dtype}: expected real numbers; give .real and .imag as features of their own")
    return [array.astype(dtype) for array in arrays]


def is_traced(*trees):
    """Do `trees` hold what jit, vmap or grad put in the place of numbers?"""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def is_mapped(data):
    """Is an array among the data a table in a file, `np.load(path, mmap_mode="r")`, which memory need not hold?"""
    return any(isinstance(leaf, np.memmap) for leaf in jax.tree.leaves(data))


def check_finite(name, array):
    """ValueError if `array` holds NaN or infinity."""
    if not is_traced(array) and not np.isfinite(np.asarray(array)).all():
        raise ValueError(f"{name} is {np.asarray(array)}: expected finite numbers; see where NaN or infinity came from")


def check_lower(scale_tril):
    """ValueError where the matrices (..., D, D) have entries above their diagonal, as a covariance has."""
    if not is_traced(scale_tril) and np.triu(np.asarray(scale_tril), 1).any():
        raise ValueError(
            "scale_tril has entries above its diagonal: expected a lower Cholesky factor, such as "
            "numpy.linalg.cholesky makes of a covariance"
        )


def require_concrete(name, *trees):
    """ValueError if `trees` hold what jit, vmap or grad put in the place of numbers."""
    if is_traced(*trees):
        raise ValueError(
            f"{name} looks at its numbers as it goes, which jit, vmap and grad hide from it: call it outside of them, "
            "for one start after the other"
        )


def count_examples(data):
    """N; ValueError unless the data are arrays of numbers that share the first axis. Values are not looked at."""
    if hasattr(data, "padded"):  # a vaejax.sharding.Sharded knows its own
        return data.num_examples
    leaves = jax.tree.leaves(data)
    shapes = [np.shape(leaf) for leaf in leaves]
    for leaf in leaves:
        _check_numbers(leaf)
    if not shapes or any(len(shape) == 0 or 0 in shape for shape in shapes):
        raise ValueError(
            f"the data have shapes {sorted(set(shapes))}: expected at least one example along the first axis of each "
            "array; make a list an array with numpy.asarray"
        )
    if len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"the data have shapes {shapes}: expected all arrays to share the first axis, the examples")
    return shapes[0][0]


def check_batch(data, holes=False):
    """N; ValueError unless the data are an array or a pytree of arrays (N, ...) of finite numbers, of whatever type.

    With `holes`, NaN marks a missing entry.
    """
    num_examples = count_examples(data)
    for leaf in jax.tree.leaves(data):
        if is_traced(leaf) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        if num_bad := _count_bad(leaf, holes):
            kind = "infinite" if holes else "NaN or infinite"
            raise ValueError(
                f"the data hold {num_bad} {kind} entries: expected finite numbers; drop those examples, fill them in, "
                "or mark them as NaN for a model that integrates them out, such as gaussian.GAUSSIAN"
            )
    return num_examples


def check_rows(xs, holes=False):
    """N; ValueError unless xs is one array (N, D) of finite numbers of whatever type: counts, bytes, halves, floats."""
    if hasattr(xs, "padded"):
        raise ValueError("xs is sharded: expected an array, such as xs[:5000], a part of the data before vaejax.shard")
    if not hasattr(xs, "shape"):
        advice = "pass its .xs" if hasattr(xs, "xs") else "convert with numpy.asarray(xs, 'float32')"
        raise ValueError(f"xs is a {type(xs).__name__}: expected an array (N, D); {advice}")
    if np.ndim(xs) != 2:
        raise ValueError(f"xs has shape {xs.shape}: expected (N, D), N examples of D features; see numpy.reshape")
    return check_batch(xs, holes)


def check_table(xs, holes=False):
    """N; ValueError unless xs is one array (N, D) of finite float32 or float64, as factorisations need it."""
    num_examples = check_rows(xs, holes)
    if xs.dtype not in (np.float32, np.float64):
        raise ValueError(f"xs holds {xs.dtype}: expected float32 or float64; convert with xs.astype('float32')")
    return num_examples


def check_params(params, kind, xs, *shapes):
    """ValueError unless params are of this kind, in these shapes beside xs (N, D): "KD" says (K, D), for any one K."""
    if not isinstance(params, kind):
        maker = f"{kind.__module__.removeprefix('vaejax.')}.init"
        raise ValueError(f"params are {type(params).__name__}: expected {kind.__name__}, as {maker} makes them")
    sizes = {"D": xs.shape[1]}
    for array, axes in zip(params, shapes, strict=False):
        shape = np.shape(array)
        known = tuple(map(sizes.setdefault, axes, shape))  # of each axis the size that came first
        if len(shape) != len(axes) or shape != known:
            found = ", ".join(str(np.shape(array)) for array in params)
            expected = ", ".join(str(tuple(axes)) for axes in shapes).replace("'", "")
            came = f"{found} beside examples of {xs.shape[1]} features"
            raise ValueError(f"params have shapes {came}: expected {expected}")


def check_gaussians(means, scale_tril):
    """ValueError unless these are finite, and the factors (..., D, D) lower, with a positive diagonal."""
    diagonal = np.diagonal(scale_tril, axis1=-2, axis2=-1)
    if not (np.isfinite(means).all() and np.isfinite(scale_tril).all() and (diagonal > 0).all()):
        raise ValueError("params hold NaN, infinity or a singular factor: expected a positive diagonal in scale_tril")
    check_lower(scale_tril)


def check_fittable(xs):
    """ValueError unless the table xs, which may have holes, has two examples, and in each column an entry."""
    if len(xs) < 2:
        raise ValueError(f"xs has shape {xs.shape}: expected (N, D) with at least two examples")
    never = np.isnan(np.fmin.reduce(np.asarray(xs), 0))
    if never.any():
        raise ValueError(f"column {int(never.argmax())} was never observed: nothing can be learned about it, drop it")


def check_spread(xs):
    """ValueError if a column of the table xs, which may have holes, holds one value alone."""
    xs = np.asarray(xs)
    constant = np.fmin.reduce(xs, 0) == np.fmax.reduce(xs, 0)
    if constant.any():
        raise ValueError(f"column {int(constant.argmax())} is the same wherever it was observed: drop it")


def check_example(x, size, name="x"):
    """ValueError unless x, or what `name` is, is one array (size,): others may broadcast to a meaningless number."""
    if not hasattr(x, "shape"):
        raise ValueError(f"{name} is a {type(x).__name__}: expected an array ({size},); convert with numpy.asarray")
    if x.shape != (size,):
        raise ValueError(f"{name} has shape {x.shape}: expected one example ({size},); vmap over batches")
    if not is_traced(x) and np.isinf(x).any():
        raise ValueError(f"{name} is {np.asarray(x)}: expected finite numbers")


def blocks(table, size=4096):
    """A numpy array by parts of so many rows: what is computed of each never takes the memory of the whole."""
    return (np.asarray(table[start : start + size]) for start in range(0, len(table), size))


def is_on_one_cpu(array):
    """May numpy read it where it lies? Not within a compiled function, on an accelerator, or on several devices.

    True for what is mapped from a file, which no device need hold.
    """
    if isinstance(array, jax.Array):
        return not is_traced(array) and [device.platform for device in array.devices()] == ["cpu"]
    return isinstance(array, np.memmap) or jax.default_backend() == "cpu"


def _check_numbers(leaf):
    """ValueError unless the leaf is an array of numbers that JAX knows (or a number, which is told by its shape)."""
    if isinstance(leaf, np.ma.MaskedArray):
        raise ValueError("the data are masked: expected plain arrays; mark what is missing by xs.filled(numpy.nan)")
    if np.ndim(leaf) and not isinstance(leaf, np.ndarray | jax.Array):
        advice = "xs.toarray()" if hasattr(leaf, "toarray") else "numpy.asarray(xs, 'float32')"
        raise ValueError(f"the data are a {type(leaf).__name__}: expected arrays; convert with {advice}")
    if not isinstance(leaf, np.ndarray):
        return
    is_number = jnp.issubdtype(leaf.dtype, jnp.number) and leaf.dtype.char not in "gG"  # no long doubles
    if not is_number and leaf.dtype != np.bool_:
        raise ValueError(f"the data hold {leaf.dtype}: expected numbers of JAX's types; use xs.astype('float32')")
    if not leaf.dtype.isnative:
        raise ValueError(f"the data hold {leaf.dtype}, the byte order of another machine: use .astype('float32')")


def _count_bad(leaf, holes):
    """By numpy, part by part, so that nothing is copied; by JAX where the data are on an accelerator.

    Squares that add up to a finite number are finite, and that is the fastest pass there is.
    """
    if not (isinstance(leaf, np.ndarray) or is_on_one_cpu(leaf)):
        with jax.ensure_compile_time_eval():  # within jit, a table that is a constant there has values all the same
            return int(_is_bad(jnp, leaf, holes).sum())
    with np.errstate(over="ignore", invalid="ignore"):
        parts = (part for part in blocks(np.asarray(leaf)) if not _has_finite_square(part.ravel()))
        return sum(_is_bad(np, part, holes).sum() for part in parts)


def _has_finite_square(flat):
    return flat.dtype in (np.float32, np.float64) and np.isfinite(flat @ flat)


def _is_bad(numpy, array, holes):
    return numpy.isinf(array) if holes else ~numpy.isfinite(array)
