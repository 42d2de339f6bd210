"""Data spread over the devices of a mesh: those of one machine, or of several hosts.

`shard` gives every device an equal part of the examples. `em`, `maximize` and `mean_bound` take what it returns in
place of an array and give the same results: from where the data lie XLA works out what each device has to compute.

Where N does not divide evenly, the last parts are filled up with copies of an example, so that padding, too, can be
scored; they count for nothing: compiled functions begin by cutting the data to N again (`drop_padding`), and XLA keeps
account of what was cut off; an E-step gives them weight zero.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vaejax.doors import count_examples


@partial(jax.tree_util.register_dataclass, data_fields=["padded"], meta_fields=["num_examples", "mesh"])
@dataclass(frozen=True)
class Sharded:
    """A pytree of arrays (N', ...), their first axis over all devices of the mesh; the first N examples count."""

    padded: Any
    num_examples: int  # N, at most N'
    mesh: Mesh


def shard(xs, mesh=None):
    """Place data over the devices of a mesh, an equal part on each.

    Every host calls it with the same `xs`, and reads no other rows than those of its own devices: give a memory-mapped
    array, `np.load(path, mmap_mode="r")`, and the rest of the file is never touched.

    Args:
        xs: (N, ...) numpy array, or a pytree of arrays whose leaves share the leading axis N.
        mesh: a `jax.sharding.Mesh`, over all axes of which the examples are spread; default: all devices in a row.

    Returns:
        Sharded.

    Raises:
        ValueError: bad data, no mesh, or fewer examples than devices.
    """
    num_examples = count_examples(xs)
    mesh = Mesh(np.array(jax.devices()), ("examples",)) if mesh is None else mesh
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh is {mesh!r}: expected a jax.sharding.Mesh, such as Mesh(jax.devices(), ('hosts',))")
    mesh = Mesh(mesh.devices, mesh.axis_names)  # automatic: with explicit axes each slice must name its sharding
    if num_examples < mesh.size:
        raise ValueError(f"there are {num_examples} examples for {mesh.size} devices: use a smaller mesh")
    spread = NamedSharding(mesh, PartitionSpec(mesh.axis_names))

    def place(leaf):
        shape = -(-num_examples // mesh.size) * mesh.size, *leaf.shape[1:]

        def rows(index):
            start, stop, _ = index[0].indices(shape[0])
            part = np.asarray(leaf[start:stop] if start < num_examples else leaf[:1])  # padding, too, can be scored
            part = part.astype(jax.dtypes.canonicalize_dtype(part.dtype), copy=False)
            return np.pad(part, [(0, stop - start - len(part))] + [(0, 0)] * (part.ndim - 1), mode="edge")

        return jax.make_array_from_callback(shape, spread, rows)

    return Sharded(jax.tree.map(place, xs), num_examples, mesh)


def replicate_like(data, tree):
    """`tree`, parameters for instance, where the data are: a copy on every device of sharded data, else as it is."""
    if getattr(data, "mesh", None) is None:
        return tree

    def copy(leaf):
        if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
            # keys as such cannot be put on the devices of another host
            return jax.random.wrap_key_data(copy(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jax.device_put(leaf, NamedSharding(data.mesh, PartitionSpec()))

    return jax.tree.map(copy, tree)


def spread_as(data, tree):
    """`tree`, within a compiled function, its first axis over the devices of sharded data, else as it is."""
    if not isinstance(data, Sharded):
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(data.mesh, PartitionSpec(data.mesh.axis_names)))


def drop_padding(data):
    """The N examples of sharded data, within a compiled function; other data as they are."""
    if not isinstance(data, Sharded):
        return data
    return jax.tree.map(lambda leaf: leaf[: data.num_examples], data.padded)
