"""What a newcomer meets at the first `make`: one sentence, and what to do; and README's programs run as they stand."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import matplotlib.pyplot
import nbformat
import numpy as np
import pytest
import yaml

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
ROOT = Path(__file__).parent.parent
OLD = '[ "$1" = -c ] && exec PYTHON -c "import sys; sys.version_info = (3, 10, 9); $2"; echo Python 3.10.9'
BARE = '[ "$2" != venv ] && exec PYTHON "$@"; exit 1'
LOST = (  # whatever is asked of the new Python, or of its JupyterLab, is printed, and fails
    'test "$2" != venv || { mkdir -p "$3/bin"; cd "$3/bin"; printf "#!/bin/sh\necho \\$*\nexit 1\n" > python; '
    "chmod +x python; cp python jupyter; }"
)
FULL = r"printf 'head\ndisk 1 1 512000 1 /\n'"
MAC = "test $1 = -s && echo Darwin || echo x86_64"
PRETENDS = [  # what is asked for, a program that is found first, and what is said then
    ("lab", "uname", MAC, "no longer built for Macs with Intel"),
    ("bench", "df", FULL, "The disk has 512 MB left, and this needs 8000"),
    ("bench", "python3", OLD, "vaejax needs Python 3.11 or newer, but 'python3' is Python 3.10.9"),
    ("lab", "df", FULL, "The disk has 512 MB left, and this needs 2000"),
    ("site", "df", FULL, "The disk has 512 MB left, and this needs 700"),
    ("lab", "python3", OLD, "vaejax needs Python 3.11 or newer, but 'python3' is Python 3.10.9"),
    ("lab", "python3", OLD, "Install a newer one and name it: make lab PYTHON=python3.12"),
    ("site", "python3", OLD, "vaejax needs Python 3.11 or newer, but 'python3' is Python 3.10.9"),
    ("lab", "python3", BARE, "this Python lacks venv"),
    ("site", "python3", BARE, "this Python lacks venv"),
]


@needs_make
@pytest.mark.parametrize(
    "system, machine, told", [("Darwin", "x86_64", True), ("Darwin", "arm64", False), ("Linux", "x86_64", False)]
)
def test_a_mac_is_judged_by_its_python_and_before_the_version(tmp_path, system, machine, told):
    """A terminal under Rosetta calls a newer Mac x86_64, and an old Anaconda runs there."""
    python = f"case $2 in *machine*) echo {machine};; *version_info*) exit 1;; *) echo Python 3.10.9;; esac"
    programs = {"uname": f"test $1 = -s && echo {system} || echo x86_64", "python3": python}
    found = make(tmp_path, "lab", env=pretending(tmp_path / "programs", **programs))
    assert ("Intel" in found.stdout) == told and ("needs Python 3.11" in found.stdout) != told, found


def make(folder, target, *settings, **options):
    shutil.copy(ROOT / "Makefile", folder)
    for name in (
        "requirements.txt",
        "requirements-site.txt",
        "requirements-bench.txt",
        "constraints.txt",
        "pyproject.toml",
    ):
        (folder / name).touch()
    mode = folder.stat().st_mode
    folder.chmod(options.pop("mode", mode))
    command = [shutil.which("make"), "--no-print-directory", target, *settings]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, **options)
    folder.chmod(mode)
    return found


def pretending(folder, **programs):
    """An environment in which these programs, shell scripts, are found first."""
    folder.mkdir()
    for name, script in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{script.replace('PYTHON', sys.executable)}\n")
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@needs_make
@pytest.mark.parametrize("target, name, script, said", PRETENDS)
def test_what_a_newcomer_meets_is_told_in_a_sentence(tmp_path, target, name, script, said):
    folder = tmp_path / "a folder"
    folder.mkdir()
    found = make(folder, target, env=pretending(tmp_path / "programs", **{"npm": "exit 0", name: script}))
    assert found.returncode and said in "".join(found.stdout.splitlines()[-2:]), found  # and nothing after it
    assert "Traceback" not in found.stderr and not list(folder.glob(".venv*/ready"))


@needs_make
@pytest.mark.parametrize("target", ["lab", "site"])
@pytest.mark.parametrize(
    "pip, said",
    [
        ("WARNING: Retrying after connection broken by NewConnectionError", "This machine reaches no package index"),
        ("ERROR: Could not find a version of jax, from versions: none", "This machine reaches no package index"),
        ("ERROR: [Errno 28] No space left on device", "The disk is full: free some of it"),
        ("ERROR: a hash differs", "ERROR: a hash differs\nCould not install the requirements; pip says why above."),
    ],
)
def test_why_pip_failed_is_a_sentence_and_its_own_words_only_where_none_will_do(tmp_path, target, pip, said):
    programs = {"npm": "exit 0", "python3": LOST.replace(r"\$*", pip)}
    found = make(tmp_path, target, env=pretending(tmp_path / "programs", **programs))
    _, told = re.split(r"2 of 3: .*\n|Installing what .*\n", found.stdout)
    assert found.returncode and told.startswith(said) and told.count("\n") == said.count("\n") + 1, found


@needs_make
def test_a_python_that_is_not_there_is_told(tmp_path):
    assert "but 'python3.99' is not there." in make(tmp_path, "lab", "PYTHON=python3.99").stdout


@needs_make
@pytest.mark.parametrize("target", ["site", "slides"])
def test_where_npm_is_missing_it_is_told_before_pip_takes_its_minutes(tmp_path, target):
    found = make(tmp_path, target, env=os.environ | {"PATH": str(tmp_path)})
    assert found.returncode and found.stdout.startswith("This needs npm, once: install Node.js"), found
    assert not list(tmp_path.glob(".venv*"))


@pytest.mark.parametrize(
    "script, said, unsaid",
    [
        ("echo npm error code ECONNREFUSED >&2; exit 1", "(ECONNREFUSED): this machine has no network, or", "error"),
        ("echo npm error code EAI_AGAIN >&2; exit 1", "(EAI_AGAIN): this machine has no network, or", "error"),
        ("exec sleep 60", "(no answer in 1 seconds): this machine has no network, or", "Traceback"),
        ("echo npm error code E404 >&2; exit 1", "npm could not fetch nothing@1.0: npm error code E404", "network"),
    ],
)
def test_what_npm_could_not_fetch_is_told_in_a_sentence(tmp_path, script, said, unsaid):
    program = "import npm; npm.LIMIT = 1; npm.take('nothing@1.0', 'file')"
    env = pretending(tmp_path / "programs", npm=script) | {"PYTHONPATH": str(ROOT / "docs")}
    found = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=30)
    assert found.returncode == 1 and said in found.stderr and unsaid not in found.stderr, found


@needs_make
@pytest.mark.parametrize("target", ["lab", "site"])
def test_a_folder_one_may_not_write_is_told(target):
    is_root = os.geteuid() == 0  # who may write everywhere
    with tempfile.TemporaryDirectory() as folder:
        found = make(Path(folder), target, mode=0o555, **({"user": "nobody"} if is_root else {}))
    assert found.returncode and f"You may not write in {folder}" in found.stdout, found


@needs_make
@pytest.mark.parametrize("seconds, left", [(25, "1 minute left"), (65, "3 minutes left")])
def test_the_first_run_shows_what_it_does_and_how_long_that_takes(tmp_path, seconds, left):
    """The second step lasts so many seconds here, by a clock that moves at each look; the third takes twice as long."""
    clock = f'cat "$0.now" 2> /dev/null || echo 100; echo {100 + seconds} > "$0.now"'
    env = pretending(tmp_path / "programs", python3=LOST.replace("exit 1", "exit 0"), date=clock)
    folder = tmp_path / "a folder"
    folder.mkdir()
    found = make(folder, "lab", env=env)
    steps = re.findall(r"(?m)^(\d) of 3: (.*)$", found.stdout)
    assert found.returncode == 0 and (folder / ".venv" / "ready").exists(), found
    assert [number for number, _ in steps] == ["1", "2", "3"] and left in steps[2][1], found.stdout
    opened = re.search(r"^lab .*root_dir=(\S+) --LabApp\.default_url=/lab/tree/(\S+)$", found.stdout.splitlines()[-1])
    assert (ROOT / opened[1] / opened[2]).samefile(ROOT / "chapters" / "00_map.ipynb")
    settings = json.loads((folder / ".venv/share/jupyter/lab/settings/overrides.json").read_text())
    assert settings["@jupyterlab/docmanager-extension:plugin"]["defaultViewers"] == {"markdown": "Markdown Preview"}


README = (ROOT / "README.md").read_text()


def test_the_readmes_program_runs_as_it_stands_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    (program,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    rng = np.random.default_rng(0)
    table = np.concatenate([rng.normal([166, 58], 4, (80, 2)), rng.normal([181, 76], 4, (80, 2))])
    np.savetxt(tmp_path / "mine.csv", table, delimiter=",", header="height,weight", comments="")
    monkeypatch.chdir(tmp_path)
    found = {}
    with jax.enable_x64(False):  # as a reader runs it
        exec(program, found)
    said = [float(number) for number in re.findall(r"# (-\d\.\d\d), ", program)]
    printed = [float(line) for line in capsys.readouterr().out.splitlines()[:3]]
    variance = 2.0**2 + np.exp(-2.0)  # of x = 2 z + noise
    assert printed == pytest.approx(said, abs=0.0051) and len(said) == 3
    assert said[0] == pytest.approx(-(1.5**2 / variance + np.log(2 * np.pi * variance)) / 2, abs=0.0051)
    assert np.sort(found["params"].mu[:, 0]) == pytest.approx([166, 181], abs=2)
    assert len(set(found["labels"][:80].tolist())) == 1 and found["labels"][0] != found["labels"][-1]
    drawn = matplotlib.pyplot.gca().collections[0]
    assert np.allclose(drawn.get_offsets(), table) and np.array_equal(drawn.get_array(), found["labels"])
    assert (tmp_path / "mine.png").read_bytes().startswith(b"\x89PNG")


def test_the_numbers_of_the_readme_are_those_of_the_book():
    from test_project import KERNELS, lines_of_code

    chapters = [nbformat.read(path, as_version=4).cells for path in sorted((ROOT / "chapters").glob("0[1-6]_*.ipynb"))]
    cells = [cell for chapter in chapters for cell in chapter]
    printed = [out.text for cell in cells for out in cell.get("outputs", ()) if out.output_type == "stream"]
    predicted = sum(cell.source.count("**Predict:**") for cell in cells)
    claims = sum(len(re.findall("(?m)^ok: ", text)) for text in printed)
    (asked,), (checked,) = re.findall(r"more than (\d+) times a", README), re.findall(r"check more than (\d+),", README)
    assert int(asked) < predicted < 1.3 * int(asked) and int(checked) < claims < 1.3 * int(checked), (predicted, claims)
    (lines,) = re.findall(r"\| ([\d,]+) lines, one data structure", README)
    assert abs(int(lines.replace(",", "")) - sum(map(lines_of_code, KERNELS))) < 100
    heads = ["".join(chapter[0].source.split()) for chapter in chapters]
    times = [re.findall(r"about(\d+)minutestoreadandrun,and(\d+)fortheexercises", head) for head in heads]
    for ((reading, exercises),) in times:  # README: about an hour, and about three
        assert 50 <= int(reading) <= 75 and 150 <= int(exercises) <= 210


def test_one_can_cite_the_book():
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    version = re.search(r'(?m)^version = "(.*)"', (ROOT / "pyproject.toml").read_text())[1]
    assert found["version"] == version and found["license"] == "MIT" and "vaejax" in found["title"]
    assert found["date-released"].year >= 2026 and "CC BY 4.0" in found["abstract"]
