"""Keep what was learnt: parameters to a file and back."""

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
        params: any pytree of arrays, networks too.

    Raises:
        ValueError: `params` holds no arrays.
        OSError: the folder is missing, full or may not be written to.
    """
    arrays = {name: np.asarray(leaf) for name, leaf in _named_leaves(params)}
    if not arrays:
        raise ValueError("params hold no arrays: there is nothing to save")
    path = Path(path)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.draft")
    try:
        with open(draft, "xb") as file:
            np.savez(file, __format__=FORMAT, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def load(path, like):
    """Read what `save` wrote.

    Args:
        path: of the file.
        like: parameters of the same structure, fresh ones from the model's `init` for instance; only their names and
            shapes matter.

    Returns:
        as `like`, with the arrays of the file.

    Raises:
        FileNotFoundError, PermissionError, IsADirectoryError: there is no such file, or it may not be read.
        ValueError: the file is damaged, was not written by `save`, or belongs to another model.
    """
    try:
        with open(path, "rb") as source, np.load(source, allow_pickle=False) as file:
            arrays = {name: np.asarray(file[name]) for name in file.files}  # the zip's own checksums are compared here
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # zip, npy and the parser of its headers have dozens, and nobody lists them
        raise ValueError(f"{path} is damaged or was not written by vaejax.save: save it again") from error
    if str(arrays.pop("__format__", "")) != FORMAT:
        raise ValueError(f"{path} was not written by this version of vaejax.save: save it again")
    wanted = {name: (np.shape(leaf), jnp.asarray(leaf).dtype) for name, leaf in _named_leaves(like)}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in wanted | found:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"{path} belongs to another model: at {name} it has {_brief(found.get(name))}, and `like` has "
                f"{_brief(wanted.get(name))}; make `like` with the sizes that were saved"
            )
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(arrays[name]) for name in wanted])


def _named_leaves(params):
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]


def _brief(kind):
    return "nothing" if kind is None else f"{kind[1]}{list(kind[0])}"
