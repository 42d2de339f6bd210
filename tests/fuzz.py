"""Readers of files meet what no writer wrote: `python tests/fuzz.py 100000` tries so many damaged files.

Each is a good file that was cut, spliced, overwritten or rebuilt around damaged parts, so that checksums fit. A reader
may return an array or raise the error that its docstring names; anything else is a fault, and so is a file that makes
Python do something. test_faults.py tries a few thousand.
"""

import collections
import gzip
import io
import os
import pickle
import struct
import sys
import tempfile
import zipfile
from pathlib import Path

import jax
import numpy as np

import vaejax as vj
from vaejax.book import download

LIKE = {"half": np.zeros(3, np.float16), "W": np.ones((4, 2), np.float32), "n": np.arange(3, dtype=np.int32)}
HEADERS = [  # what may stand in the header of an array, and should not
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-4, 2), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 8), }",
    "{'descr': '<f8', 'fortran_order': False, 'shape': 8, }",
    "{'descr': '<f8', 'fortran_order': 1, 'shape': (4, 2), }",
    "{'descr': [('a', '<f8'), ('b', '|O')], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': 'no', 'fortran_order': False, 'shape': (2,), }",
    "{'shape': (2,)}",
    "__import__('os').mkdir('executed')",
    "(" * 2000,
    "[" * 200 + "]" * 200,
    "'" + "x" * 70000,
    "\x00\xff",
    "1L",
]


class Executed:
    """What a pickle of this leaves behind shows that it was loaded."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def npz(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def damaged(rng, content):
    """`content` after one to four accidents."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        start, stop = sorted(rng.integers(0, len(content) + 1, 2))
        stop = min(stop, start + rng.choice([1, 2, 4, 50, 10**6]))
        kind = rng.integers(6)
        if kind == 0:
            del content[start:stop]
        elif kind == 1:
            content[start:start] = content[start:stop]
        elif kind == 2:
            content[start:stop] = rng.bytes(stop - start)
        elif kind == 3:
            content[start:stop] = bytes([rng.choice([0, 255, 127, 40, 39])]) * (stop - start)
        elif kind == 4 and start < len(content):
            content[start] ^= 1 << rng.integers(8)
        else:
            content[start : start + 4] = struct.pack("<i", rng.choice([0, -1, 1, 2**31 - 1, -(2**31), 65535]))
    return bytes(content)


def bad_parameters(rng, good):
    """A file that `vaejax.save` might have written, and did not: damaged as a whole, or within."""
    if rng.random() < 0.4:
        return damaged(rng, good)
    with zipfile.ZipFile(io.BytesIO(good)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = rng.choice(list(members))
    kind = rng.integers(5)
    if kind == 0:
        header = rng.choice(HEADERS).encode("latin1")
        version = rng.choice([1, 2, 3, 9])
        length = struct.pack("<H" if version == 1 else "<I", min(len(header), 65535))
        members[name] = b"\x93NUMPY" + bytes([version, 0]) + length + header + rng.bytes(64)
    elif kind == 1:
        header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"
        payload = pickle.dumps(np.array([Executed()], object))
        members[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload
    elif kind == 2:
        members[f"{name}{rng.integers(9)}"] = members.pop(name)
    elif kind == 3:
        members[name] = pickle.dumps(Executed())
    else:
        members[name] = damaged(rng, members[name])
    return npz(members)


def bad_idx(rng, good):
    return gzip.compress(damaged(rng, gzip.decompress(good)), 1) if rng.random() < 0.6 else damaged(rng, good)


def attack(count, seed=0):
    """What became of `count` damaged files, as a Counter. AssertionError at the first fault."""
    rng = np.random.default_rng(seed)
    found = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        vj.save(path, LIKE)
        vj.load(path, LIKE)  # without an accident all is well
        parameters = path.read_bytes()
        images = gzip.compress(b"\0\0\x08\x03" + struct.pack(">3i", 5, 4, 4) + bytes(80))
        here = os.getcwd()
        os.chdir(folder)  # where a file that is executed would leave its mark
        try:
            for i in range(count):
                if i % 3:
                    make, good, read = bad_parameters, parameters, lambda: vj.load(path, LIKE)
                else:
                    make, good, read = bad_idx, images, lambda: download.read_idx(path)
                content = make(rng, good)
                path.write_bytes(content)
                try:
                    result = read()
                except ValueError as error:
                    outcome = "refused"
                    assert str(path) in str(error), f"input {i}: an error that does not name the file: {error}"
                except BaseException as error:
                    raise AssertionError(f"input {i} of seed {seed}: {type(error).__name__}: {error}") from error
                else:
                    outcome = "read"
                    assert all(hasattr(leaf, "dtype") and leaf.dtype != object for leaf in jax.tree.leaves(result))
                assert not Path("executed").exists(), f"input {i} of seed {seed} was executed"
                found[f"{make.__name__}: {outcome}"] += 1
        finally:
            os.chdir(here)
    return found


if __name__ == "__main__":
    for outcome, number in sorted(attack(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0).items()):
        print(f"{outcome}: {number}")
