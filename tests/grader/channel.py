"""What the judge and a student's process say to each other, over two pipes.

To the student goes a pickle. From the student comes *data*: a JSON header and the raw bytes of arrays. Nothing of it is
ever unpickled, evaluated or asked how it behaves: the judge makes new numpy arrays, numbers and tuples of it.
"""

import collections
import json
import math
import numbers
import os
import select
import struct
import sys
import time
import types

import jax
import jax.numpy as jnp
import numpy as np

MAX_HEADER = 2_000_000  # bytes of JSON in one answer
MAX_ARRAYS = 256_000_000  # bytes of all arrays in it
MAX_ITEMS, MAX_DEPTH = 20_000, 12  # of nested tuples, lists and dicts
DTYPES = {np.dtype(one).name for one in "?bhiqBHIQefdFD"}
ITERATORS = (
    types.GeneratorType | map | zip | filter | range | set | frozenset
    | type({}.keys()) | type({}.values()) | type({}.items())
)  # fmt: skip


class NotData(ValueError):
    """What a student's function returned cannot travel, or is damaged."""


class Gone(Exception):
    """The student's process has ended, or had to be ended."""


def send(pipe, header, buffers=(), wait=None):
    header = json.dumps(header).encode() if isinstance(header, dict) else header
    for part in (struct.pack("<Q", len(header)), header, *buffers):
        view = memoryview(part).cast("B")
        while view:
            if wait is not None:
                wait(pipe, writing=True)
            try:
                view = view[os.write(pipe, view[: 1 << 20]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone("it does not listen any more") from error


def receive(pipe, num_bytes, wait=None):
    got = bytearray()
    while len(got) < num_bytes:
        if wait is not None:
            wait(pipe)
        part = os.read(pipe, min(num_bytes - len(got), 1 << 20))
        if not part:
            raise Gone("it has ended")
        got += part
    return got


def length(pipe, most, wait=None):
    (num_bytes,) = struct.unpack("<Q", receive(pipe, 8, wait))
    if num_bytes > most:
        raise Gone(f"it sent {num_bytes} bytes, and {most} are the most that is read")
    return num_bytes


def ready(pipe, writing, seconds):
    """Whether the pipe can be read from, or written to, within so many seconds."""
    reads, writes = ([], [pipe]) if writing else ([pipe], [])
    return any(select.select(reads, writes, [], max(seconds, 0)))


def receive_answer(pipe, wait):
    """The header of an answer, a dict, with the bytes of its arrays under "buffers"."""
    text = receive(pipe, length(pipe, MAX_HEADER, wait), wait)
    try:
        header = json.loads(text)
        sizes = header.pop("sizes", [])
        good = all(type(size) is int and size >= 0 for size in sizes) and len(sizes) <= MAX_ITEMS
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise Gone("its answer could not be read") from error
    if not good or sum(sizes) > MAX_ARRAYS:
        raise Gone(f"its answer is larger than the {MAX_ARRAYS} bytes that are read")
    header["buffers"] = [receive(pipe, size, wait) for size in sizes]
    return header


def encode(value, buffers, trees=(), depth=0):
    """What a student's function returned as JSON; the bytes of arrays are added to `buffers`."""
    if depth > MAX_DEPTH:
        raise NotData(f"it is nested more than {MAX_DEPTH} deep")
    if value is None or isinstance(value, bool):
        return {"plain": value}
    if isinstance(value, str):
        return {"plain": str(value)[:10_000]}
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        return {"key": str(jax.random.key_impl(value)), "of": encode(jax.random.key_data(value), buffers)}
    if isinstance(value, np.ma.MaskedArray):
        raise NotData("it is a masked array: expected a plain one")
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        if array.dtype.name == "bfloat16":
            array = array.astype(np.float32)
        if array.dtype.name not in DTYPES:
            raise NotData(f"it is an array of {array.dtype}: expected numbers")
        buffers.append(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        kind = "jax" if isinstance(value, jax.Array) else "scalar" if isinstance(value, np.generic) else "numpy"
        return {"array": kind, "dtype": array.dtype.name, "shape": array.shape, "at": len(buffers) - 1}
    if isinstance(value, numbers.Integral) and abs(value) < 2**200:
        return {"plain": int(value)}
    if isinstance(value, numbers.Real) or type(value).__name__ == "Decimal":
        return {"plain": float(value)}
    if isinstance(value, dict):
        names = [name if isinstance(name, str | int) else repr(name) for name in value]
        return {"dict": names, "of": [encode(part, buffers, trees, depth + 1) for part in value.values()]}
    if isinstance(value, ITERATORS):
        value = [part for part, _ in zip(value, range(MAX_ITEMS), strict=False)]
    structure = jax.tree.structure(value)
    for number, known in enumerate(trees):  # networks, say: of the structure of what the judge has sent
        if structure == known:
            return {"tree": number, "of": [encode(leaf, buffers, (), depth + 1) for leaf in jax.tree.leaves(value)]}
    if isinstance(value, tuple | list):
        parts = [encode(part, buffers, trees, depth + 1) for part in value[:MAX_ITEMS]]
        if hasattr(value, "_fields"):
            kind = type(value)
            return {"named": f"{kind.__module__}:{kind.__qualname__}", "fields": list(kind._fields), "of": parts}
        return {"tuple" if isinstance(value, tuple) else "list": True, "of": parts}
    if value is ...:
        raise NotData("it is `...`: there is no answer yet")
    raise NotData(f"it is a {type(value).__name__}: expected numbers, arrays, or tuples of them")


def decode(header, buffers, trees=(), namespace=None, depth=0):
    """The value of an answer, made afresh. NotData, whatever is wrong with it."""
    try:
        return _decode(header, buffers, trees, namespace or {}, depth)
    except NotData:
        raise
    except Exception as error:
        raise NotData("the answer could not be read") from error


def _decode(header, buffers, trees, namespace, depth):
    if depth > MAX_DEPTH or type(header) is not dict:
        raise NotData("the answer could not be read")
    if "plain" in header:
        value = header["plain"]
        if not (value is None or isinstance(value, bool | int | float | str)):
            raise NotData("the answer could not be read")
        return value
    if "array" in header:
        data, buffers[header["at"]] = buffers[header["at"]], None  # once: else a small answer is a huge array
        return _array(header["array"], header["dtype"], header["shape"], data)
    if "key" in header:
        data = decode(header["of"], buffers)
        return jax.random.wrap_key_data(jnp.asarray(data, jnp.uint32), impl=str(header["key"]))
    parts = [_decode(part, buffers, trees, namespace, depth + 1) for part in header["of"][:MAX_ITEMS]]
    if "tree" in header:
        leaves, treedef = jax.tree.leaves(parts), list(trees)[header["tree"]]
        return jax.tree.unflatten(treedef, leaves)
    if "dict" in header:
        return dict(zip(map(str, header["dict"]), parts, strict=True))
    if "named" in header:
        return _named(header["named"], header["fields"], parts, namespace)
    return tuple(parts) if "tuple" in header else parts


def _array(kind, dtype, shape, data):
    if dtype not in DTYPES or not all(type(size) is int and size >= 0 for size in shape) or len(shape) > 8:
        raise NotData("the answer could not be read")
    dtype = np.dtype(dtype)
    if math.prod(shape) * dtype.itemsize != len(data):
        raise NotData("the answer could not be read")
    array = np.frombuffer(data, dtype).reshape(shape).copy()
    if kind == "jax" and jax.dtypes.canonicalize_dtype(dtype) == dtype:
        return jnp.asarray(array)
    return array[()] if kind == "scalar" and not shape else array


def _named(name, fields, parts, namespace):
    """A NamedTuple: ours where it is one of ours, else a new one of the same fields."""
    module, _, kind = str(name).partition(":")
    library = sys.modules.get(module) if module.startswith("vaejax.") else None
    found = namespace.get(kind) or getattr(library, kind, None)
    if not (isinstance(found, type) and issubclass(found, tuple) and list(getattr(found, "_fields", [])) == fields):
        found = collections.namedtuple("Answer", [str(field)[:40] for field in fields[:20]])
    return found(*parts)


def deadline_of(seconds):
    return time.monotonic() + seconds
