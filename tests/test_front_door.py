"""What a newcomer can meet at the first `make`: one sentence, and what to do. (An old Python: see test_project.py.)"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
ROOT = Path(__file__).parent.parent
PRETENDS = {  # a program found first, and what is said then
    "a Mac with an Intel processor": ("uname", "echo Darwin x86_64", "no longer built for Macs with Intel"),
    "a full disk": ("df", r"printf 'head\ndisk 1 1 512000 1 /\n'", "The disk has 512 MB left, and vaejax needs 2000"),
    "a Python without venv": ("python3", '[ "$2" != venv ] && exec PYTHON "$@"; exit 1', "this Python lacks venv"),
}


def make(folder, **options):
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "pyproject.toml"):
        (folder / name).touch()
    mode = folder.stat().st_mode
    folder.chmod(options.pop("mode", mode))
    command = ["make", "--no-print-directory", "lab"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)
    folder.chmod(mode)
    return found


@pytest.mark.parametrize("kind", PRETENDS)
def test_what_a_newcomer_meets_is_told_in_a_sentence(tmp_path, kind):
    name, script, said = PRETENDS[kind]
    folder, programs = tmp_path / "a folder", tmp_path / "programs"
    folder.mkdir(), programs.mkdir()
    (programs / name).write_text(f"#!/bin/sh\n{script.replace('PYTHON', sys.executable)}\n")
    (programs / name).chmod(0o755)
    found = make(folder, env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"})
    assert found.returncode and said in found.stdout, found
    assert "Traceback" not in found.stderr and not (folder / ".venv" / "ready").exists()


def test_a_folder_one_may_not_write_is_told():
    is_root = os.geteuid() == 0  # who may write everywhere
    with tempfile.TemporaryDirectory() as folder:
        found = make(Path(folder), mode=0o555, **({"user": "nobody"} if is_root else {}))
    assert found.returncode and f"You may not write in {folder}" in found.stdout, found
