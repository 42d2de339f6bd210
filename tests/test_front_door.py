"""What a newcomer can meet at the first `make`: one sentence, and what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRETENDS = {  # a program found first, and what is said then
    "an old Python": ("python3", 'test "$1" = --version && echo Python 3.9.1; exit 1', "needs Python 3.11 or newer"),
    "a Mac with an Intel processor": ("uname", "echo Darwin x86_64", "no longer built for Macs with Intel"),
    "a full disk": ("df", r"printf 'head\ndisk 1 1 512000 1 /\n'", "The disk has 512 MB left, and vaejax needs 2000"),
    "a Python without venv": ("python3", '[ "$2" != venv ] && exec PYTHON "$@"; exit 1', "this Python lacks venv"),
    "no network": ("python3", 'test "$2" = venv && mkdir -p .venv/bin && ln -s /bin/false .venv/bin/python; exit 0',
                   "If it could not connect, this machine has no network"),
}  # fmt: skip


def make(folder, programs, *arguments):
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.txt", "pyproject.toml"):
        (folder / name).touch()
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    command = ["make", "--no-print-directory", *(arguments or ["lab"])]
    return subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)


@pytest.mark.parametrize("kind", PRETENDS)
def test_what_a_newcomer_meets_is_told_in_a_sentence(tmp_path, kind):
    name, script, said = PRETENDS[kind]
    folder, programs = tmp_path / "a folder", tmp_path / "programs"
    folder.mkdir(), programs.mkdir()
    (programs / name).write_text(f"#!/bin/sh\n{script.replace('PYTHON', sys.executable)}\n")
    (programs / name).chmod(0o755)
    found = make(folder, programs)
    assert found.returncode and said in found.stdout, found
    assert "Traceback" not in found.stderr and not (folder / ".venv" / "ready").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_one_may_not_write_is_told(tmp_path):
    (tmp_path / "programs").mkdir()
    make(tmp_path, tmp_path / "programs", "help")
    tmp_path.chmod(0o555)
    found = subprocess.run(["make", "lab"], cwd=tmp_path, capture_output=True, text=True)
    tmp_path.chmod(0o755)
    assert found.returncode and "You may not write in" in found.stdout
