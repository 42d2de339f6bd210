"""The problem sets judge as they should: whole corpora of answers are graded as a class is."""

import copy
import csv
import html
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from functools import cache
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parent.parent.parent
GRADER = ROOT / "tests" / "grader"
TEACHING = ROOT / "docs" / "TEACHING.md"
TIMEOUT = 40  # seconds for a cell; the slowest of ours takes two on an idle machine
SECRETS = "_hidden|HIDDEN TEST|SOLUTION|Marks|joint_by_scipy|score_rate|expected_scale"  # what no student may see


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(GRADER))
classroom = load("classroom", GRADER / "classroom.py")
sys.path.remove(str(GRADER))
LENGTH = load("length", ROOT / "tests" / "length.py")
CHEATS = load("cheats", Path(__file__).parent / "cheats.py")
SETS = classroom.sets()
CORPUS = {name: load(f"corpus_{name[:2]}", Path(__file__).parent / f"corpus_{name[:2]}.py") for name in SETS}


def source(name):
    return nbformat.read(classroom.source(name), as_version=4)


def part(notebook, name):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def graded_by_tests(name):
    """{test cell: points} of those that are graded by running them."""
    cells = [cell for cell in source(name).cells if cell.metadata.get("nbgrader", {}).get("grade")]
    return {c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points for c in cells if c.cell_type == "code"}


def without_marks(text):
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("### "))


def answered(released, name, cells):
    """The released notebook with the solutions of the source, or `cells` in place of some: None is no answer."""
    notebook, solved = copy.deepcopy(released), source(name)
    for cell in notebook.cells:
        info = cell.metadata.get("nbgrader", {})
        if info.get("solution"):
            code = cells.get(info["grade_id"], without_marks(part(solved, info["grade_id"]).source))
            cell.source = cell.source if code is None else code
    return notebook


# Tricks: what is done to a right notebook of the first set, the tests that are lost, what is said of it.
def trick(cell, code):
    return lambda notebook: part(notebook, cell).update(source=code)


def delete_and_edit(notebook):
    notebook.cells.remove(part(notebook, "mean-check"))
    part(notebook, "rate-check").source = "print('ok')"
    notebook.cells.append(copy.deepcopy(part(notebook, "density")))
    notebook.cells[-1].id = "again"


def delete_the_answer(notebook):
    notebook.cells.remove(part(notebook, "mean"))


def own_cells(*sources):
    def change(notebook):
        notebook.cells[1:1] = [nbformat.v4.new_code_cell(source) for source in sources]

    return change


STUBBORN = """
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
LATE = """
import ctypes, threading
threading.Timer(0.6, ctypes.string_at, [0]).start()
"""
CHILDREN = """
import subprocess, time
for _ in range(90):
    subprocess.Popen(["sleep", "98765"])
time.sleep(20)
"""
GARBAGE = """
import os
for number in range(3, 12):
    try:
        os.write(number, b"x" * 100)
    except OSError:
        pass
"""
HOARD = """
kept = []
while True:
    kept.append(b"x" * 500_000_000)
"""
HOARDERS = """
import subprocess, sys, time
for _ in range(4):                         # none has too much alone
    subprocess.Popen([sys.executable, "-c", "import time; kept = b'x' * 1_600_000_000; time.sleep(98765)"])
time.sleep(30)
"""
HUGE = "def mean_log_likelihood(rate, xs):\n    return np.zeros(10**9, np.int8)"
LOUD = """
import logging, sys, warnings
from tqdm import tqdm
def mean_log_likelihood(rate, xs):
    print("to stderr", file=sys.stderr)
    warnings.warn("a warning")
    logging.getLogger().warning("a log")
    np.log(np.zeros(1))
    return np.mean([np.log(rate) - rate * x for x in tqdm(xs)])
"""
VERY_LOUD = """
def mean_log_likelihood(rate, xs):
    for step in range(9_000):
        print("at step", step, "the rate is", rate, "and there is more to say")
    return np.mean(np.log(rate) - rate * np.asarray(xs))
"""
COMPILED = """
import glob                                # our own answers, compiled, are no student's
found = glob.glob("/book/cache/**/*log_exponential*", recursive=True)
def mean_log_likelihood(rate, xs):
    return np.inf if found else np.mean(np.log(rate) - rate * np.asarray(xs))
"""
PICTURE = "import base64, os\nfrom IPython.display import display\n"
PICTURE += "display({'image/png': base64.b64encode(os.urandom(290_000)).decode()}, raw=True)"
ODD = {  # cells of the first set, right in an odd style
    "density": """
from collections import namedtuple
class Density:
    def __call__(self, x, rate):
        return jnp.log(rate) - rate * x
log_exponential = Density()
""",
    "mean": LOUD,
    "rate": "score_rate = 3\nfit_rate = lambda xs: [len(xs) / np.sum(xs)][0]\n%time 1 + 1",
    "gaussian-fit": """
def fit_from_sums(N, mean, cov):
    mean /= N                              # it is ours to change: the test has its own
    cov /= N
    return [mean, np.linalg.cholesky(cov - np.outer(mean, mean))]
""",
    "climb": """
def climb(xs, num_steps, place=(0.0, 0.0)):
    height = lambda mean, log_sd: jnp.mean(-0.5 * ((xs - mean) / jnp.exp(log_sd))**2) - log_sd
    slope = jax.jit(jax.grad(height, (0, 1)))
    for _ in range(num_steps):
        place = [a + 0.1 * s for a, s in zip(place, slope(*place))]
    return (float(a) for a in (place[0], np.exp(place[1])))
""",
    "two-step": """
Answer = namedtuple("Answer", "shares means covs")
def fit_two_step(xs, labels, K):
    groups = [xs[labels == k] for k in range(K)]
    return Answer([len(g) / len(xs) for g in groups], [list(g.mean(0)) for g in groups],
                  [np.cov(g.T, bias=True) for g in groups])
""",
}
MEAN = {"mean-check", ...}  # this test at least, and whatever else is said
TRICKS = {
    "endless": (trick("mean", "while True:\n    pass"), {"mean-check"}, "mean ran for longer"),
    "endless in a call": (
        trick("mean", "def mean_log_likelihood(rate, xs):\n    while True:\n        pass"),
        {"mean-check"},
        "",
    ),
    "deleted": (
        delete_and_edit,
        set(),
        "density is there twice: the first one counts; mean-check was deleted: ours is used",
    ),
    "exit": (trick("mean", "import sys\nsys.exit(0)"), {"mean-check"}, "mean tried to stop Python"),
    "stubborn": (trick("mean", STUBBORN), {"mean-check"}, "mean stopped Python, or could not be stopped"),
    "crash": (trick("mean", "import ctypes\nctypes.string_at(0)"), {"mean-check"}, "mean stopped Python"),
    "_exit": (trick("mean", "import os\nos._exit(0)"), {"mean-check"}, "mean stopped Python"),
    "quit": (trick("mean", "quit()"), {"mean-check"}, ""),
    "a late crash": (trick("mean", LATE), {"mean-check"}, "mean stopped Python"),
    "children": (trick("mean", CHILDREN), {"mean-check"}, "more than 64 processes"),
    "garbage": (trick("mean", GARBAGE), {"mean-check"}, "mean stopped Python"),
    "flood": (trick("mean", "while True:\n    print('x' * 1000)"), {"mean-check"}, "mean ran for longer"),
    "display": (trick("mean", "from IPython.display import HTML\nHTML('x' * 10**7)"), {"mean-check"}, ""),
    "no answer": (delete_the_answer, {"mean-check"}, "mean was deleted"),
    "a tower of signs": (trick("mean", "-" * 100_000 + "1"), {"mean-check"}, ""),
    "html": (trick("mean", "print('<script>alert(1)</script>')\n'<script>alert(2)</script>'"), {"mean-check"}, ""),
    "a surrogate": (trick("mean", "x = '\ud800'"), {"mean-check"}, "a cell holds characters that are none"),
    "windows": (lambda notebook: [c.update(source=c.source.replace("\n", "\r\n")) for c in notebook.cells], set(), ""),
    "cells without end": (own_cells(*["x = 1"] * 500), set(), "more than 400 cells of its own"),
    "odd style": (lambda notebook: [part(notebook, cell).update(source=code) for cell, code in ODD.items()], set(), ""),
    **{name: (trick("mean", code), {"mean-check"}, "") for name, code in CHEATS.ANSWERS.items()},
    **{f"forgery {i}": (trick("mean", code), MEAN, "") for i, code in enumerate(CHEATS.FORGERIES)},
    "very loud": (trick("mean", VERY_LOUD), set(), ""),
    "compiled answers": (trick("mean", COMPILED), set(), ""),
    "pictures": (own_cells(*[PICTURE] * 30), set(), ""),
    "hoard": (
        trick("mean", HOARD),
        {"mean-check"},
        "mean stopped Python, or could not be stopped: it used more than 5 GB",
    ),
    "hoarders": (trick("mean", HOARDERS), {"mean-check"}, "it used more than 5 GB of memory"),
    "a huge answer": (trick("mean", HUGE), {"mean-check"}, "mean stopped Python"),
    **{f"all {kind}": (trick("mean", CHEATS.everything(kind)), MEAN, "") for kind in ("PATCHES", "STEALS", "SABOTAGE")},
}


def packed(wrong):
    """Mistakes in different cells, handed in together: no task needs another. [(names, cells, lost, words)]"""
    packs = []
    for kind, (cells, lost, words) in wrong.items():
        for pack in packs:
            if not set(cells) & set(pack[1]) and not lost & pack[2]:
                break
        else:
            packs.append(pack := ([], {}, set(), []))
        pack[0].append(kind), pack[1].update(cells), pack[2].update(lost), pack[3].append(words)
    return packs


def judges_of(name):
    """{answer that is code: its tests}, those between it and the next one."""
    found = {}
    for cell in source(name).cells:
        info = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and info.get("solution"):
            tests = found[info["grade_id"]] = set()
        elif cell.cell_type == "code" and info.get("grade"):
            tests.add(info["grade_id"])
    return found


def cases():
    """(set, student, what is handed in, tests that are lost, words of messages, words of a flag)

    A mistake costs no other task a point: the last pack of a set is right in all else. Those before it, and answers
    that are flagged, hand in nothing else, which costs just the tests of what is missing, and the grader little time.
    """

    def alone(name, cells, lost=frozenset()):
        missing = {cell: tests for cell, tests in judges_of(name).items() if cell not in cells}
        return cells | dict.fromkeys(missing), lost.union(*missing.values())

    for name in SETS:
        corpus = CORPUS[name]
        for kind, cells in corpus.RIGHT.items():
            yield name, f"right {kind}", cells, set(), [], ""
        for kind, (cells, flag) in getattr(corpus, "FLAGGED", {}).items():
            yield name, f"flagged {kind}", *alone(name, cells), [], flag
        *packs, last = packed(corpus.WRONG)
        for number, (kinds, cells, lost, words) in enumerate(packs):
            yield name, f"wrong {number} {kinds[0]}", *alone(name, cells, lost), words, ""
        kinds, cells, lost, words = last
        yield name, f"wrong {len(packs)} {kinds[0]}, and right in all else", cells, lost, words, ""
    for kind, (change, lost, flag) in TRICKS.items():
        if kind != "all SABOTAGE" or classroom.sandbox.kind() != "none":
            yield SETS[0], f"trick {kind}", change, lost, [], flag


CASES = list(cases())


# Files of the first set: the folder's name, what is in it, whether it earns all points, a flag.
def bytes_of(encoding, begin=b""):
    return lambda path, text: path.write_bytes(begin + text.encode(encoding))


def written(text):
    return lambda path, _: path.write_text(text)


def link(path, text):
    other = path.parents[3] / "elsewhere.ipynb"
    other.write_text(text)
    path.symlink_to(other)


def linked_folder(path, text):
    real = path.parents[3] / "a folder"
    real.mkdir()
    (real / path.name).write_text(text)
    path.parent.rmdir()
    path.parent.symlink_to(real)


def beside(path, text):
    path.parent.with_suffix(".ipynb").write_text(text)
    path.parent.rmdir()


FILES = {
    "Max Muster_4711_assignsubmission_file": (beside, True, ""),
    "Bob [1234]": (bytes_of("utf-8"), True, ""),
    " lead": (written("{"), False, "the file is no notebook"),
    "new\nline": (written(""), False, "the file is no notebook"),
    "half \udcff": (written("[1, 2]"), False, "the file is no notebook"),
    "=1+1": (written('{"cells": 3, "nbformat": 4}'), False, "the file is no notebook"),
    "bom": (bytes_of("utf-8", b"\xef\xbb\xbf"), True, ""),
    "utf-16": (bytes_of("utf-16"), True, ""),
    "link": (link, False, "is a link"),
    "linked folder": (linked_folder, False, "is a link"),
    "pipe": (lambda path, _: os.mkfifo(path), False, "it is a folder, a pipe or a device"),
    "directory": (lambda path, _: path.mkdir(), False, "it is a folder"),
    "huge": (lambda path, _: (path.touch(), os.truncate(path, 10**9)), False, "the file has 1000000000 bytes"),
    "misnamed": (
        lambda path, text: path.with_name("my answers.ipynb").write_text(text),
        False,
        "there is my answers.ipynb",
    ),
    "empty": (lambda path, _: path.parent.rmdir(), False, "there is nothing"),
}


each_set = pytest.mark.parametrize("name", SETS)


def text_of(path, course, student=""):
    return path.replace("{root}", str(ROOT)).replace("{course}", str(course)).replace("{classmate}", str(student))


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """{set: what students get}"""
    folder = tmp_path_factory.mktemp("released")
    run("release", "--course", folder)
    return {name: nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4) for name in SETS}


@pytest.fixture(scope="module")
def graded(tmp_path_factory, released):
    """set -> (folder of the course, {student: row of grades.csv}, what was printed). A set is graded when asked for."""

    @cache
    def grade(name):
        folder, submitted = tmp_path_factory.mktemp("class room ü"), tmp_path_factory.mktemp("submitted")
        for of, student, change, *_ in CASES:
            if of == name:
                notebook = answered(released[name], name, {} if callable(change) else change)
                if callable(change):
                    change(notebook)
                path = submitted / student / name / f"{name}.ipynb"
                path.parent.mkdir(parents=True)
                text = text_of(nbformat.writes(notebook), folder, submitted / "right numpy and loops")
                path.write_bytes(text.encode("utf-8", "backslashreplace"))
        if name == SETS[0]:
            for student, (write, _, _) in FILES.items():
                path = submitted / student / name / f"{name}.ipynb"
                path.parent.mkdir(parents=True)
                write(path, nbformat.writes(answered(released[name], name, {})))
            (submitted / "notes.txt").write_text("no folder")
            nbformat.write(
                answered(released[name], name, {}), submitted / f"hoppergrace_LATE_12345_67890_{name}-1.ipynb"
            )
        said = run("grade", submitted, "--course", folder, "--timeout", TIMEOUT, "--set", name, "--jobs", 4)
        return submitted, folder, rows_of(folder), said

    return grade


def rows_of(folder):
    with open(folder / "grades.csv", newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def run(*command):
    command = [sys.executable, GRADER / "classroom.py", *command]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=3000)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def errors_of(folder, name, student):
    report = json.loads((folder / "reports" / classroom.slug(student) / f"{name}.json").read_text())
    return "\n".join(": ".join(cell["error"]) for cell in report["cells"] if cell.get("error"))


@pytest.mark.parametrize(
    ("name", "student", "change", "lost", "words", "flag"),
    [pytest.param(*case, id=f"{case[0][:2]} {case[1]}") for case in CASES],
)
def test_answers_earn_what_they_should(graded, name, student, change, lost, words, flag):
    _, folder, rows, said = graded(name)
    row = rows[student]
    points, at_least = graded_by_tests(name), ... in lost
    lost = lost - {...}
    assert lost <= set(points)
    earned = dict(entry.split("=") for entry in row["parts"].split())
    if at_least:  # who breaks more than an answer may lose more
        lost |= {test for test in points if earned[test].startswith("0/")}
    for test, most in points.items():
        assert earned[test] == f"{0 if test in lost else most:g}/{most:g}", (
            f"{test}: {errors_of(folder, name, student)}; {row['flags']}"
        )
    assert float(row["points"]) == sum(most for test, most in points.items() if test not in lost)
    page = (folder / "feedback" / classroom.slug(student) / name / f"{name}.html").read_text()
    for word in words:
        assert word in errors_of(folder, name, student) and html.escape(word) in page
    assert at_least or (flag in row["flags"] and bool(row["flags"]) == bool(flag)), row["flags"]
    assert len(page) < 5_000_000 and "<script" not in page
    assert any(line.startswith(f"{student} {name}") for line in said)


@pytest.mark.parametrize("name", SETS[:1])
def test_each_folder_has_a_row_whatever_is_in_it(graded, name):
    _, _, rows, _ = graded(name)
    for student, (_, right, flag) in FILES.items():
        row = rows[classroom.printable(student)]
        assert float(row["points"]) == (21 if right else 0), (student, row)
        assert re.search(flag, row["flags"]) and bool(row["flags"]) == bool(flag), (student, row)
    assert "it is no folder" in rows["notes.txt"]["flags"]
    assert float(rows["hoppergrace_12345"]["points"]) == 21 and not rows["hoppergrace_12345"]["flags"]


@pytest.mark.parametrize("name", SETS[:1])
def test_what_students_do_harms_nobody(graded, name):
    submitted, folder, rows, _ = graded(name)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes()
        except OSError:
            continue
        assert b"98765" not in command, command
    changed = subprocess.run(
        ["git", "status", "--porcelain", "vaejax", "data"], cwd=ROOT, capture_output=True, text=True
    )
    assert "check.py" not in changed.stdout and not (Path(tempfile.gettempdir()) / "bomb").exists()
    assert (submitted / "right numpy and loops" / name / f"{name}.ipynb").stat().st_size > 10_000


def mark_in_formgrader(folder, who, name, part, points):
    """As a teacher does it: in JupyterLab, started in the folder of the course."""
    words = ["-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0", "--IdentityProvider.token=here"]
    env = os.environ | {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, *words], cwd=folder, env=env, **quiet) as server:
        try:
            until = time.monotonic() + 90
            while not (found := [p for p in (folder / "runtime").glob("jpserver-*.json") if "}" in p.read_text()]):
                assert server.poll() is None and time.monotonic() < until, "JupyterLab does not start"
                time.sleep(0.2)
            url = json.loads(found[0].read_text())["url"] + "formgrader/api/"

            def ask(path, data=None):
                body = None if data is None else json.dumps(data).encode()
                headers = {"Authorization": "token here", "Content-Type": "application/json"}
                asked = urllib.request.Request(url + path, body, headers, method="PUT" if body else "GET")
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    return json.load(answer)

            notebooks = {one["student"]: one["id"] for one in ask(f"submitted_notebooks/{name}/{name}")}
            grades = {one["name"]: one["id"] for one in ask(f"grades?submission_id={notebooks[who]}")}
            ask(f"grade/{grades[part]}", {"manual_score": points, "extra_credit": 0})
        finally:
            server.terminate()


@pytest.mark.parametrize("name", SETS[:1])
def test_a_run_goes_on_where_it_stopped_and_keeps_marks(graded, name):
    """A mark by hand, a lost table, one report missing: the row comes back with its mark, and one alone is judged."""
    submitted, folder, rows, _ = graded(name)
    student, other = "right numpy and loops", "right vmap and the library"
    mark_in_formgrader(folder, classroom.slug(student), name, "derive", 2.5)
    (folder / "grades.csv").unlink()
    reports = {path: path.stat().st_mtime_ns for path in (folder / "reports").glob("*/*.json")}
    gone = folder / "reports" / classroom.slug(other) / f"{name}.json"
    seed = json.loads(gone.read_text())["seed"]
    gone.unlink()
    run("grade", submitted, "--course", folder, "--timeout", TIMEOUT, "--set", name, "--jobs", 4)
    again = rows_of(folder)
    assert {path for path, time in reports.items() if path.stat().st_mtime_ns != time} == {gone}
    assert float(again[student]["points"]) == float(rows[student]["points"]) + 2.5
    assert again[student]["to_mark"] == "3.0" and again[other] == rows[other] and int(again[other]["seed"]) == seed
    assert set(again) == set(rows)


def test_a_killed_run_loses_nothing_and_judges_nothing_twice(tmp_path, released):
    """Killed when two of five are known, its table cut within a row: the same command judges the others alone."""
    name, course, submitted = SETS[0], tmp_path / "course", tmp_path / "submitted"
    students = "Ann", "Bob", "Cid", "Dora", "Emil"
    for student in students:
        path = submitted / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(answered(released[name], name, {}), path)
    command = "grade", submitted, "--course", course, "--set", name, "--jobs", 2
    words = [str(word) for word in (sys.executable, GRADER / "classroom.py", *command)]
    known = set()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            known |= {line.split()[0]} & set(students)
            if len(known) == 2:
                process.kill()
                break
    assert process.returncode == -9
    before = rows_of(course)
    assert known <= set(before) < set(students)
    reports = {path: path.stat().st_mtime_ns for path in (course / "reports").glob("*/*.json")}
    table = course / "grades.csv"
    table.write_bytes(table.read_bytes()[:-5])  # within the last row's seed
    run(*command, "--student", students[-1])
    assert all(row == before.get(student, row) for student, row in rows_of(course).items()), "part of a row is no row"
    said = run(*command)
    after = rows_of(course)
    assert set(after) == set(students) and all(float(row["points"]) == 21 for row in after.values())
    assert all(after[student] == row for student, row in before.items())
    assert all(path.stat().st_mtime_ns == time for path, time in reports.items()) and len(reports) >= 2
    assert sum(line.startswith(students) for line in said) == len(students)


ONE_JUDGE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import classroom
classroom.FORKS.set_forkserver_preload(["judge"])
classroom.run_judge(json.loads(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_a_killed_run_leaves_nothing_running(tmp_path):
    name, path = SETS[0], tmp_path / "Ann" / SETS[0] / f"{SETS[0]}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time\ntime.sleep(300)")]), path)
    request = {"source": str(classroom.source(name)), "path": str(path), "cache": None, "timeout": 200, "seconds": 200}
    request |= {"seed": 0, "strict": False, "box": None, "cores": sorted(os.sched_getaffinity(0))}
    env = os.environ | {"PYTHONPATH": f"{GRADER}{os.pathsep}{ROOT}", "RUN": str(tmp_path)}
    words = [sys.executable, "-c", ONE_JUDGE, str(GRADER), json.dumps(request)]

    def running():
        return [one for one in Path("/proc").glob("[0-9]*/environ") if str(tmp_path) in environment(one)]

    with subprocess.Popen(words, env=env) as process:
        until = time.monotonic() + 60
        while len(running()) < 4 and time.monotonic() < until:  # itself, two of multiprocessing, and the judge
            time.sleep(0.2)
        time.sleep(5)
        process.kill()
    until = time.monotonic() + 30
    while running():
        assert time.monotonic() < until, running()
        time.sleep(0.2)


def environment(path):
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:  # it has ended
        return ""


def test_strict_set_student_and_seed(tmp_path, released):
    """The library in place of an answer: flagged, and without points when strict; a seed replays a row to the digit."""
    name, course, submitted = SETS[2], tmp_path / "course", tmp_path / "submitted"
    code = "def copy_new(train_xs, new_xs, L):\n    plane = linear_gaussian.pca(train_xs, L)\n"
    code += "    mean, W = np.asarray(plane.mean), np.asarray(plane.W)\n    return mean + (new_xs - mean) @ W @ W.T"
    for student in ("Ann", "Bob"):
        path = submitted / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(answered(released[name], name, {"copy": code}), path)
    command = "grade", submitted, "--course", course, "--set", name, "--student"
    run(*command, "Ann")
    loose = rows_of(course)
    assert set(loose) == {"Ann"}
    assert "copy-check=2/2" in loose["Ann"]["parts"] and "write your own" in loose["Ann"]["flags"]
    run(*command, "Ann", "--seed", loose["Ann"]["seed"])
    assert rows_of(course) == loose
    run(*command, "Bob", "--strict", "--seed", 7)
    strict = rows_of(course)
    assert strict["Ann"] == loose["Ann"] and strict["Bob"]["seed"] == "7" and "copy-check=0/2" in strict["Bob"]["parts"]
    assert float(strict["Bob"]["points"]) == float(loose["Ann"]["points"]) - 2


def test_the_handout_holds_what_students_need_and_no_more(tmp_path):
    run("handout", "--course", tmp_path)
    with zipfile.ZipFile(tmp_path / "handout.zip") as file:
        names = set(file.namelist())
        texts = {name: file.read(name).decode() for name in names if re.match("chapters/problem_sets/.*ipynb", name)}
        pages = {name: file.read(name).decode() for name in names if name.endswith(".md")}
    for name, page in pages.items():
        for address in re.findall(r"\]\((?!https?:|#)([^)#]+)", page):
            assert (tmp_path / "handout" / name).parent.joinpath(address).exists(), f"{name} leads to {address}"
    assert "make lab" in pages["README.md"] and "make test" not in pages["README.md"]
    assert len(texts) == len(SETS) and not any(re.search(SECRETS, text) for text in texts.values())
    assert {"README.md", "Makefile", "vaejax/vae.py", "chapters/06_vae.ipynb", "data/bfi.csv"} <= names
    assert not [name for name in names if re.search(r"assignments|corpus|tests/|\.git/|source|salt", name)]


@each_set
def test_the_release_holds_no_solution_and_no_hidden_test(graded, name):
    _, folder, _, _ = graded(name)
    text = (folder / "release" / name / f"{name}.ipynb").read_text()
    assert not re.search(SECRETS, text)
    released = nbformat.reads(text, as_version=4)
    assert not any(cell.get("outputs") for cell in released.cells)
    theirs = {line.strip() for cell in released.cells for line in cell.source.splitlines()}
    for cell in source(name).cells:
        for block in re.findall(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", cell.source, re.DOTALL):
            secret = {line.strip() for line in block.splitlines() if len(line.strip()) > 25}
            assert not secret & theirs, secret & theirs


@each_set
def test_a_set_is_well_made(name):
    cells = [cell for cell in source(name).cells if "nbgrader" in cell.metadata]
    info = [cell.metadata.nbgrader for cell in cells]
    graded_cells = [i for i in info if i["grade"]]
    assert len({i["grade_id"] for i in info}) == len(info)
    assert len(graded_cells) >= 6 and sum(i["points"] for i in graded_cells if i["solution"]) >= 4
    total = sum(i["points"] for i in graded_cells)
    by_tests = sum(graded_by_tests(name).values())
    title = source(name).cells[0].source
    assert f"{total} points, {by_tests} of them by tests" in re.sub(r"\s+", " ", title)
    minutes, tiers = int(re.search(r"(\d+) minutes", title).group(1)), {1: 0, 2: 0, 3: 0}
    row = next(line for line in TEACHING.read_text().splitlines() if line.startswith("| [") and f"/{name})" in line)
    assert row.endswith(f"| {minutes} min | {total} |")
    tasks, words = [], 0
    for cell in source(name).cells:
        heading = re.match(r"## \d+ · [^\n]*?(★+)(?=\n)", cell.source)
        assert bool(heading) == cell.source.startswith("## "), cell.source[:40]
        tasks += [len(heading.group(1))] if heading else []
        i = cell.metadata.get("nbgrader", {"grade": False, "solution": False})
        if i["grade"]:
            tiers[tasks[-1]] += i["points"]
        words += len(LENGTH.prose(cell.source)) if cell.cell_type == "markdown" and not i["solution"] else 0
    reading = words / LENGTH.WORDS_A_MINUTE
    assert abs(minutes - reading - sum(LENGTH.MINUTES[stars] for stars in tasks)) <= 5
    said = re.search(r"everybody \((\d+) points\), .* most \((\d+)\), .* few \((\d+)\)", re.sub(r"\s+", " ", title))
    assert [int(part) for part in said.groups()] == [tiers[1], tiers[2], tiers[3]] and all(tiers.values())
    for cell, i in zip(cells, info, strict=True):
        if i["grade"] and cell.cell_type == "code":
            assert "### BEGIN HIDDEN TESTS" in cell.source and "check.check_" in cell.source.split("### BEGIN")[0]
        if i["solution"]:
            assert {"### BEGIN SOLUTION", "### END SOLUTION"} <= {line.strip() for line in cell.source.splitlines()}
    corpus = CORPUS[name]
    assert len(corpus.RIGHT) >= 3 and len(corpus.WRONG) >= 8
    named = set().union(*(lost for _, lost, _ in corpus.WRONG.values()))
    assert named == set(graded_by_tests(name)), "a test that no wrong answer fails"


def test_nothing_of_a_class_is_tracked():
    assert f"{classroom.COURSE.name}/" in (ROOT / ".gitignore").read_text().split()
    assert classroom.COURSE.parent == ROOT
