"""Run by test_sharding.py as one of two processes: python on_two_hosts.py RANK PORT TABLE.npy OUT.npz [STEPS].

Both run the same program, as hosts do. It fits a mixture and a network to a table that each maps into memory, and
writes what came out, and which rows it read.
"""

import sys
from pathlib import Path

import jax
import numpy as np
import optax

import vaejax as vj
from vaejax import gmm, vae


class Noted(np.memmap):
    """A mapped table that notes which rows are read."""

    read = []  # noqa: RUF012  there is but one

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            self.read.append((rows.start, min(rows.stop, len(self))))
        return np.asarray(self)[rows]


def fits(data, few, num_steps=20, folder=None):
    """`data` as an array or sharded; `few` examples to start from. With a folder, the network in instalments."""
    key = jax.random.key(0)
    mixture, history = vj.em(gmm.GMM, gmm.init(few, 2, key), data, num_steps=num_steps)
    nets = vae.init(key, few.shape[1], 2, hidden=(4,), likelihood="gaussian")
    options = dict(optimizer=optax.adam(1e-2), batch_size=32, checkpoint=folder)
    for instalment in (20,) if folder is None else (8, 20):
        fitted, bounds = vj.maximize(
            vae.make_vae(likelihood="gaussian"), nets, data, key, num_steps=instalment, **options
        )
    return [np.asarray(leaf) for leaf in jax.tree.leaves((mixture, history, fitted, bounds))]


def main(rank, port, table, out, num_steps=20):
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(rank), heartbeat_timeout_seconds=10)
    assert jax.process_count() == 2
    noted = np.load(table, mmap_mode="r").view(Noted)
    data = vj.shard(noted)
    print("placed", flush=True)
    arrays = fits(data, np.load(table)[::2], int(num_steps), Path(out).parent / "checkpoints")
    np.savez(out, *arrays, read=np.array(noted.read))


if __name__ == "__main__":
    main(*sys.argv[1:])
