"""Rounding and chunks: what keeps float32 honest, and how many examples a step looks at together."""

import functools

import jax

CHUNK_BYTES = {"cpu": 2**20}  # what the intermediate results of a chunk may take: a core's L2 cache
MORE_BYTES = 2**28  # elsewhere


def full_precision(f):
    """f, with its matrix products in full float32: accelerators round their operands unless they are told not to."""

    @functools.wraps(f)
    def precise(*args, **kwargs):
        with jax.default_matmul_precision("highest"):
            return f(*args, **kwargs)

    return precise


def chunk_size(bytes_each, num_examples):
    """How many examples to look at together, if each takes so many bytes: a power of two from 32 up, or all."""
    most = CHUNK_BYTES.get(jax.default_backend(), MORE_BYTES) // max(bytes_each, 1)
    return min(max(32, 1 << max(most.bit_length() - 1, 0)), max(num_examples, 1))


def kahan_add(total, term):
    """Kahan's sum of many terms: `total` is (sum, what it is too large by), a pair of pytrees; add `term` to it."""
    total, excess = total
    term = jax.tree.map(lambda t, e: t - e, term, excess)
    new = jax.tree.map(lambda s, t: s + t, total, term)
    return new, jax.tree.map(lambda n, s, t: jax.numpy.where(abs(n) < jax.numpy.inf, (n - s) - t, 0), new, total, term)


def count_bytes(tree):
    """Of the arrays in a pytree, or of what `jax.eval_shape` says of them."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
