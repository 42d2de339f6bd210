"""Keep what was learnt: parameters to a file and back."""

import contextlib
import os
import secrets
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

FORMAT = "vaejax parameters, version 1"


def save(path, params):
    """Write the arrays of `params` to one file, all or nothing: a file that was there stays whole until the end.

    Args:
        path: of the file, such as "vae.npz"; its folder must exist.
        params: any pytree of arrays and numbers, networks too, of the types that both numpy's files and JAX have.

    Raises:
        ValueError: `params` holds no arrays, or what could not be read back as it was.
        OSError: the folder is missing, full or may not be written to.
    """
    path = _as_path(path).resolve()  # a link stays, and what it points to is written
    leaves = _named_leaves(params)
    if not leaves:
        raise ValueError("params hold no arrays: there is nothing to save")
    arrays = {name: _as_numpy(name, leaf) for name, leaf in leaves}
    if len(arrays) < len(leaves):
        raise ValueError(f"params hold {len(leaves)} arrays by {len(arrays)} names: rename the keys that read alike")
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with open(draft, "xb") as file:
            np.savez(file, __format__=FORMAT, **arrays)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode)  # who may read it stays as it was
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def load(path, like):
    """Read what `save` wrote.

    Args:
        path: of the file.
        like: parameters of the same structure, fresh ones from the model's `init` for instance, or what
            `jax.eval_shape` says of them; only their names, shapes and types matter.

    Returns:
        as `like`, with the arrays of the file.

    Raises:
        OSError: there is no such file, or it may not be read: FileNotFoundError, PermissionError and their like.
        MemoryError: the arrays of the file do not fit.
        ValueError: the file is damaged, was not written by `save`, or belongs to another model.
    """
    path = _as_path(path)
    with open(path, "rb") as source:
        try:
            with np.load(source, allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name]) for name in file.files}  # the zip compares its checksums here
        except Exception as error:  # zip, npy and the parser of its headers have dozens, and nobody lists them
            if isinstance(error, MemoryError):
                np.empty(path.stat().st_size, np.uint8)  # the same again, unless damage asked for more than there is
            raise ValueError(f"{path} is damaged or was not written by vaejax.save: save it again") from error
    if str(arrays.pop("__format__", "")) != FORMAT:
        raise ValueError(f"{path} was not written by this version of vaejax.save: save it again")
    wanted = {name: _kind(leaf) for name, leaf in _named_leaves(like)}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in wanted | found:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"{path} belongs to another model: at {name or 'the top'} it has {_brief(found.get(name))}, and `like` "
                f"has {_brief(wanted.get(name))}; make `like` with the sizes that were saved"
            )
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(arrays[name]) for name in wanted])


def _as_path(path):
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path is {type(path).__name__}: expected the name of a file first, then the parameters")
    return Path(path)


def _named_leaves(params):
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]


def _kind(leaf):
    """Shape and type of what JAX makes of a leaf."""
    leaf = leaf if hasattr(leaf, "dtype") else jnp.asarray(leaf)
    return leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype)


def _as_numpy(name, leaf):
    """The leaf, if its type survives the way into a file and back."""
    kind = getattr(leaf, "dtype", type(leaf).__name__)
    advice = "expected arrays of numbers, or None"
    if isinstance(leaf, bool | int | float | complex) and not isinstance(leaf, np.generic):
        advice = "JAX would round it; convert it with jax.numpy.asarray, or set jax_enable_x64"
        with contextlib.suppress(OverflowError), np.errstate(over="ignore"):
            kept = np.asarray(jnp.asarray(leaf))
            leaf = kept if kept.item() == leaf or leaf != leaf else leaf
    if jax.dtypes.issubdtype(getattr(leaf, "dtype", None), jax.dtypes.prng_key):
        advice = "a random key is saved as jax.random.key_data(key)"
    elif isinstance(leaf, np.ma.MaskedArray):
        advice = "a mask would be lost; save xs.filled(numpy.nan), or the data and the mask as two arrays"
    elif kind == jnp.bfloat16:
        advice = "numpy's files have no such type; convert it with .astype('float32')"
    elif isinstance(leaf, np.ndarray | np.generic | jax.Array) and leaf.dtype.kind in "biufc":
        if jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype:
            return np.asarray(leaf)
        advice = "JAX has no such type unless jax_enable_x64 is set; convert it with jax.numpy.asarray"
    raise ValueError(f"params hold {kind} at {name or 'the top'}: {advice}")


def _brief(kind):
    return "nothing" if kind is None else f"{kind[1]}{list(kind[0])}"
