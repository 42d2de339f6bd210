"""Run some tests or notebooks until the first failure, and name it as a reader would."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def first_failure(root, paths, *, marked=None, python=sys.executable, limit=900, prefix=(), **env):
    """Name of the first test or cell that fails in the book at `root`, None if all pass.

    Args:
        root: folder of the book; its `vaejax` is the one under test.
        paths: of test files or notebooks, relative to root.
        marked: which tests by their marks, such as "not long"; None: all of them.
        python: the interpreter.
        limit: seconds for all of them.
        prefix: what stands before the command, such as ("taskset", "-c", "0").
        env: environment variables beside those that are set.
    """
    env = os.environ | {"PYTHONPATH": str(root), "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"} | env
    command = [*prefix, python, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *paths]
    command += ["--nbval-cell-timeout=200", *(["-m", marked] if marked else [])]
    try:
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return f"{paths[0]} took more than {limit} s"
    if done.returncode == 0 or (marked and done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED):
        return None
    failed = re.search(r"^(?:FAILED|ERROR) .*$", done.stdout, re.MULTILINE)
    if not failed:
        raise RuntimeError(f"pytest ended with {done.returncode} and names no test:\n{done.stdout}{done.stderr}")
    return _readable(failed.group(), Path(root))


def _readable(line, root):
    """`FAILED chapters/01.ipynb::Cell 12` -> `01: id-of-the-cell`; `FAILED tests/test_x.py::test_y[0]` -> `test_y`."""
    cell = re.search(r"chapters/(\S+)\.ipynb::\D*(\d+)", line)
    if not cell:
        return line.split(" - ")[0].split("::")[-1].split("[")[0]
    notebook = json.loads((root / "chapters" / f"{cell.group(1)}.ipynb").read_text(encoding="utf-8"))
    code = [each for each in notebook["cells"] if each["cell_type"] == "code"]
    return f"{cell.group(1)}: {code[int(cell.group(2))]['id']}"
