"""How notebooks are tested: which of them by `make test`, and that no kernel of vaejax compiles twice in a chapter.

`make test` runs chapters, appendices and the companion; answers, problem sets and side roads are left to
`make test-long`. Problem sets may compile twice: a student's function that fits makes its objective anew at each call.
"""

import os
from pathlib import Path

import pytest

GUARD = str(Path(__file__).parent / "tests" / "compile_guard.py")


def pytest_itemcollected(item):
    folders = {"answers", "assignments"} & set(item.path.parts)
    if item.path.suffix == ".ipynb" and (folders or item.path.stem.startswith("side_roads")):
        item.add_marker(pytest.mark.long)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.path.suffix == ".ipynb" and "assignments" not in item.path.parts:
        os.environ["PYTHONSTARTUP"] = GUARD  # the kernel, started next, inherits it


def pytest_runtest_teardown(item):
    os.environ.pop("PYTHONSTARTUP", None)
