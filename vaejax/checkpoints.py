"""A long fit that may be killed: what it has reached, kept in a folder, and found there by the next attempt.

What does a kill leave behind? At most an unfinished folder: orbax writes under a temporary name, and renames the folder
when it is whole. The next attempt removes it. The newest two checkpoints are kept, for the case that a disk or a
machine fails while one is written. One program at a time may use a folder.
"""

import os
from pathlib import Path

import jax
import numpy as np


class Checkpoints:
    """The checkpoints of one fit. A context manager: on leaving, orbax ends what it has begun.

    Args:
        folder: where they are kept, made if need be; one that all hosts see, where there are several. It may be an
            address, such as "gs://bucket/run". None: nowhere.
        fit: what tells this fit from another one, a dict that JSON can hold.
        height: a function from a state to a number, by which the objective is told from another one.
    """

    def __init__(self, folder, fit, height):
        self.manager = None
        if folder is None:
            return
        name = str(folder) if isinstance(folder, str | os.PathLike) else ""
        if not name or ("://" not in name and Path(name).expanduser().is_file()):
            raise ValueError(f"checkpoint is {str(folder)!r}: expected a folder, new or of the same fit, or None")
        import orbax.checkpoint as ocp  # takes half a second, and most fits are short

        self.folder = folder if "://" in str(folder) else Path(folder).expanduser().absolute()
        self.fit, self.height, self.ocp = fit, height, ocp
        self.manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=2, enable_async_checkpointing=False, cleanup_tmp_directories=True
            ),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.manager is not None:
            self.manager.close()

    def newest(self, state):
        """(steps done, state, history (steps done,)) of the newest checkpoint; (0, state, empty) where there is none.

        Args:
            state: a pytree of arrays, as at the start of the fit: what comes back has its structure and its devices.

        Raises:
            ValueError: the checkpoint is damaged, or of another fit.
        """
        step = None if self.manager is None else self.manager.latest_step()
        if step is None:
            return 0, state, np.zeros(0)
        found = self._restore(step, fit=self.ocp.args.JsonRestore())
        for name, value in self.fit.items():
            self._check(name, found.get(name), value, found.get(name) == value)
        like = jax.tree.map(self.ocp.tree.to_shape_dtype_struct, jax.tree.leaves(state))
        like = {"leaves": like, "history": np.zeros(step, self.fit["history"])}
        kept = self._restore(step, state=self.ocp.args.StandardRestore(like))
        state, history = jax.tree.unflatten(jax.tree.structure(state), kept["leaves"]), kept["history"]
        now = self.height(state)
        before = found.get("height", now)  # which older checkpoints lack
        size = np.abs(history).max()  # others than this machine may have rounded it, and products to half precision
        is_same = np.isclose(now, before, rtol=1e-3, atol=1e-6 * size, equal_nan=True)
        self._check("objective on the first batch of the data", before, now, is_same)
        return step, state, history

    def _check(self, name, before, now, is_same):
        if not is_same:
            raise ValueError(
                f"the checkpoint in {self.folder} is of another fit: its {name} is {before}, and {now} in this one; "
                "give each fit a folder of its own"
            )

    def _restore(self, step, **args):
        try:
            (found,) = self.manager.restore(step, args=self.ocp.args.Composite(**args)).values()
        except Exception as error:
            raise ValueError(
                f"the checkpoint {self.folder}/{step} is damaged ({type(error).__name__}): remove this one folder, and "
                "the fit goes on from the checkpoint before it"
            ) from error
        return found

    def save(self, step, state, history):
        """Keep this. Returns when it is written, and would survive the end of this process. OSError if it cannot be."""
        if self.manager is None:
            return
        args = self.ocp.args
        kept = {"leaves": jax.tree.leaves(state), "history": history}
        fit = self.fit | {"height": self.height(state)}
        try:
            self.manager.save(step, args=args.Composite(state=args.StandardSave(kept), fit=args.JsonSave(fit)))
        except Exception as error:  # a full disk, for one, comes as an error of the library that writes
            raise OSError(
                f"step {step} cannot be kept in {self.folder} ({error}): make room, or move the folder to where there "
                "is some, and start the fit again; it goes on from the checkpoint before this one"
            ) from error
