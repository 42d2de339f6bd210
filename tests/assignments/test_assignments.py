"""The problem sets judge as they should: whole corpora of answers are graded by nbgrader itself."""

import copy
import csv
import importlib.util
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import nbformat
import pytest

pytestmark = pytest.mark.long
ROOT = Path(__file__).parent.parent.parent
ASSIGNMENTS = ROOT / "chapters" / "assignments"
README = ROOT / "README.md"
TIMEOUT = 40  # seconds for a cell; the slowest of ours takes two on an idle machine


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


classroom = load("classroom", ASSIGNMENTS / "classroom.py")
SETS = classroom.sets()
CORPUS = {name: load(f"corpus_{name[:2]}", Path(__file__).parent / f"corpus_{name[:2]}.py") for name in SETS}


def source(name):
    return nbformat.read(ASSIGNMENTS / "source" / name / f"{name}.ipynb", as_version=4)


def part(notebook, name):
    return next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def graded_by_tests(name):
    """{test cell: points} of those that are graded by running them."""
    cells = [cell for cell in source(name).cells if cell.metadata.get("nbgrader", {}).get("grade")]
    return {c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points for c in cells if c.cell_type == "code"}


def without_marks(text):
    return "\n".join(line for line in text.splitlines() if not line.strip().startswith("### "))


def answered(released, name, cells):
    """The released notebook with the solutions of the source in it, and `cells` in place of some."""
    notebook, solved = copy.deepcopy(released), source(name)
    for cell in notebook.cells:
        info = cell.metadata.get("nbgrader", {})
        if info.get("solution"):
            cell.source = cells.get(info["grade_id"], without_marks(part(solved, info["grade_id"]).source))
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


PATCH = """
check.check_close = lambda *args, **options: print("ok")
check.check_bound = check.check_close
import vaejax.book.check, vaejax.densities as densities
vaejax.book.check._report = lambda *args: None
np.log = lambda x: 0 * x
densities.log_gaussian = lambda *args: 0.0
def mean_log_likelihood(rate, xs):
    return 0.0
"""
REDEFINE = """
class check:
    check_close = check_equal = check_bound = staticmethod(lambda *args, **options: None)
np = None
def mean_log_likelihood(rate, xs):
    return 0.0
"""
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
threading.Timer(0.3, ctypes.string_at, [0]).start()
"""
TRANSFORM = """
import ast
class Nothing(ast.NodeTransformer):
    def visit_Module(self, tree):
        return ast.Module([], [])
get_ipython().ast_transformers.append(Nothing())
"""
TRICKS = {
    "endless": (trick("mean", "while True:\n    pass"), {"mean-check"}, "mean ran for more than"),
    "patched": (trick("mean", PATCH), {"mean-check"}, "vaejax.book.check.check_close was replaced, and put back"),
    "deleted": (
        delete_and_edit,
        set(),
        "density is there twice: the first one counts; mean-check was deleted: ours is used",
    ),
    "exit": (trick("mean", "import sys\nsys.exit(0)"), {"mean-check"}, "mean tried to stop Python"),
    "stubborn": (trick("mean", STUBBORN), {"mean-check"}, "mean stopped Python, or could not be stopped"),
    "crash": (trick("mean", "import ctypes\nctypes.string_at(0)"), {"mean-check"}, "mean stopped Python"),
    "calls the judge": (
        trick(
            "rate",
            "def fit_rate(xs):\n    rates = np.linspace(0.01, 9, 9999)\n"
            "    return rates[np.argmax([score_rate(r, bulbs) for r in rates])]",
        ),
        {"rate-check"},
        "rate calls score_rate, which belongs to a test",
    ),
    "quit": (trick("mean", "quit()"), {"mean-check"}, "mean tried to stop Python"),
    "a late crash": (trick("mean", LATE), {"mean-check"}, "mean stopped Python"),
    "redefined": (trick("mean", REDEFINE), {"mean-check"}, "check was replaced, and put back; np was replaced"),
    "transformed": (trick("mean", TRANSFORM), {"mean-check"}, "mean stopped Python"),
    "flood": (trick("mean", "while True:\n    print('x' * 1000)"), {"mean-check"}, "mean printed without end"),
    "display": (trick("mean", "from IPython.display import HTML\nHTML('x' * 10**7)"), {"mean-check"}, "absurd size"),
    "no answer": (delete_the_answer, {"mean-check"}, "mean was deleted: ours is used"),
    "a crash instead of an answer": (
        trick("density", "raise SystemExit"),
        {"density-value", "density-mass", "density-vmap"},
        "",
    ),
}
BROKEN = {"broken": '{"cells": [', "empty": "", "a list": "[1, 2]"}


def cases():
    """(set, student, what is handed in, tests that are lost, words of a message, words of a flag)"""
    for name in SETS:
        corpus = CORPUS[name]
        for kind, cells in corpus.RIGHT.items():
            yield name, f"right {kind}", cells, set(), "", ""
        for kind, (cells, lost, words) in corpus.WRONG.items():
            yield name, f"wrong {kind}", cells, lost, words, ""
    for kind, (change, lost, flag) in TRICKS.items():
        yield SETS[0], f"trick {kind}", change, lost, "", flag


CASES = list(cases())


each_set = pytest.mark.parametrize("name", SETS)


def slug(student):
    return re.sub(r"\W+", "_", student)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """set -> (folder of the course, {student: row of grades.csv}, what was printed). A set is graded when asked for."""

    @cache
    def grade(name):
        folder, submitted = tmp_path_factory.mktemp("class room ü"), tmp_path_factory.mktemp("submitted")
        run("release", "--course", folder)
        released = nbformat.read(folder / "release" / name / f"{name}.ipynb", as_version=4)
        handed_in = dict(BROKEN) if name == SETS[0] else {}
        for of, student, change, *_ in CASES:
            if of == name:
                notebook = answered(released, name, {} if callable(change) else change)
                if callable(change):
                    change(notebook)
                handed_in[student] = nbformat.writes(notebook)
        for student, text in handed_in.items():
            path = submitted / slug(student) / name / f"{name}.ipynb"
            path.parent.mkdir(parents=True)
            path.write_text(text, encoding="utf-8")
        said = run("grade", submitted, "--course", folder, "--timeout", TIMEOUT)
        with open(folder / "grades.csv", newline="", encoding="utf-8") as file:
            return folder, {row["student"]: row for row in csv.DictReader(file)}, said

    return grade


def run(*command):
    command = [sys.executable, ASSIGNMENTS / "classroom.py", *command]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=3000)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.splitlines()


def errors_of(folder, name, student):
    path = folder / "autograded" / slug(student) / name / f"{name}.ipynb"
    cells = nbformat.read(path, as_version=4).cells
    return "\n".join(o.evalue for c in cells if c.cell_type == "code" for o in c.outputs if o.output_type == "error")


@pytest.mark.parametrize(
    ("name", "student", "change", "lost", "words", "flag"),
    [pytest.param(*case, id=f"{case[0][:2]} {case[1]}") for case in CASES],
)
def test_answers_earn_what_they_should(graded, name, student, change, lost, words, flag):
    folder, rows, said = graded(name)
    row = rows[slug(student)]
    points = graded_by_tests(name)
    assert lost <= set(points)
    earned = dict(entry.split("=") for entry in row["parts"].split())
    for test, most in points.items():
        assert earned[test] == f"{0 if test in lost else most:g}/{most:g}", (
            f"{test}: {errors_of(folder, name, student)}"
        )
    assert float(row["points"]) == sum(most for test, most in points.items() if test not in lost)
    assert words in errors_of(folder, name, student)
    assert flag in row["flags"] and bool(row["flags"]) == bool(flag)
    page = folder / "feedback" / slug(student) / name / f"{name}.html"
    assert page.stat().st_size < 5_000_000 and (words.split("?")[0] in page.read_text())
    assert any(line.startswith(f"{slug(student)} {name}") for line in said)


@pytest.mark.parametrize("name", SETS[:1])
def test_files_that_are_no_notebooks_score_nothing_and_stop_nobody(graded, name):
    _, rows, _ = graded(name)
    for student in BROKEN:
        row = rows[slug(student)]
        assert float(row["points"]) == 0 and row["flags"].startswith("the file is no notebook")


@each_set
def test_the_release_holds_no_solution_and_no_hidden_test(graded, name):
    folder, _, _ = graded(name)
    text = (folder / "release" / name / f"{name}.ipynb").read_text()
    assert not re.search("_hidden|HIDDEN TEST|SOLUTION|Marks", text)
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
    minutes = re.search(r"(\d+) minutes", title).group(1)
    row = next(line for line in README.read_text().splitlines() if line.startswith("| [") and f"/{name})" in line)
    assert row.endswith(f"| {minutes} min | {total} |") and 60 <= int(minutes) <= 120
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
    assert {path.suffix for path in ASSIGNMENTS.glob("**/*.*")} <= {".py", ".ipynb", ".pyc"}
