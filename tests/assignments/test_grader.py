"""The parts of the grader one by one, in seconds; test_assignments.py grades whole classes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

GRADER = Path(__file__).parent.parent / "grader"
sys.path.insert(0, str(GRADER))
import channel  # noqa: E402
import classroom  # noqa: E402
import judge  # noqa: E402
import pages  # noqa: E402
import sandbox  # noqa: E402
import submission  # noqa: E402

sys.path.remove(str(GRADER))
FIRST, THIRD = classroom.sets()[0], classroom.sets()[2]
BOXES = [kind for kind in sandbox.SAYS if kind != "none"]
pytestmark = pytest.mark.long


def test_an_array_travels_once():
    """A small answer that names one array a thousand times would fill the judge's memory."""
    one = {"array": "numpy", "dtype": "float64", "shape": [2], "at": 0}
    assert channel.decode(one, [b"\0" * 16]).tolist() == [0, 0]
    with pytest.raises(channel.NotData):
        channel.decode({"list": True, "of": [one, one]}, [b"\0" * 16])


REFUSED = """
import ctypes, mmap, os, resource, worker
worker.limit()
libc = ctypes.CDLL(None, use_errno=True)
tries = {
    "memfd": lambda: os.memfd_create("a"),
    "shared": lambda: mmap.mmap(-1, 100),
    "cores": lambda: os.sched_setaffinity(0, {0}),
    "shmget": lambda: libc.shmget(0, 100, 0o1600) < 0 and 1 / 0,
    "mount": lambda: libc.mount(b"none", b"/book/home", b"tmpfs", 0, None) and 1 / 0,
    "dev": lambda: open("/dev/file", "w"),
    "shm": lambda: open("/dev/shm/file", "w"),
    "tests": lambda: os.listdir("/book/cache/tests"),
}
for name, attempt in tries.items():
    try:
        attempt()
        print(name, "was allowed")
    except (OSError, ZeroDivisionError):
        pass
print(len(mmap.mmap(-1, 100, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize("kind", BOXES)
def test_a_box_gives_no_memory_that_nobody_is_charged_with(kind, tmp_path):
    command, env = sandbox._command(kind, tmp_path, [sys.executable, "-c", REFUSED], None)
    try:
        said = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    except OSError:
        pytest.skip(f"no {kind} on this machine")
    if said.returncode and kind != sandbox.kind():
        pytest.skip(f"{kind} does not work on this machine")
    assert said.stdout.split() == ["100", "512", "512"], said.stdout + said.stderr


def notebook(**more):
    cells = [
        {
            "cell_type": "code",
            "source": ["a = 1\n", "b"],
            "metadata": {"nbgrader": {"grade_id": "rate"}},
            "outputs": [],
        },
        {"cell_type": "raw", "source": "text"},
        {"cell_type": "code", "source": "c", "metadata": None},
    ]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more


READ = [("code", "a = 1\nb", "rate"), ("raw", "text", None), ("code", "c", None)]
OLD = [{"cell_type": "code", "input": ["a = 1\n", "b"], "metadata": {"nbgrader": {"grade_id": "rate"}}}]
FORMS = {
    "of a later format": (notebook(nbformat=5), READ),
    "of an odd version": (notebook(nbformat_minor="x", metadata=[]), READ),
    "of format 3": ({"worksheets": [{"cells": OLD}], "nbformat": 3}, READ[:1]),
    "without cells": (notebook(cells=[]), []),
}


@pytest.mark.parametrize("form", FORMS)
def test_of_a_file_the_cells_are_read_and_nothing_else(form, tmp_path):
    written, cells = FORMS[form]
    path = tmp_path / "student" / "set" / "set.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(written))
    assert submission.load(path) == (cells, [])


SMALL = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import pathlib, submission
resource.setrlimit(resource.RLIMIT_DATA, (700_000_000,) * 2)
print(len(submission.load(pathlib.Path(sys.argv[2]))[0]))
"""


def test_a_file_takes_little_memory_whatever_is_in_its_outputs(tmp_path):
    """Two million empty outputs were two gigabytes as objects of nbformat."""
    path = tmp_path / "set.ipynb"
    path.write_text(json.dumps(notebook(metadata="BOMB")).replace('"BOMB"', f"[{'{},' * 2_000_000}0]"))
    words = [sys.executable, "-c", SMALL, str(GRADER), str(path)]
    said = subprocess.run(words, capture_output=True, text=True)
    assert said.stdout == "3\n", said.stderr


def test_what_is_shown_has_room_for_a_notebook_and_holds_pictures_only():
    shown = judge._outputs(
        [{"png": '"><script>'}, {"png": "QUJD\nRA=="}, {"text": "x" * 50}, {"text": "y" * 60}, 5], 100
    )
    assert shown == [{"png": "QUJDRA=="}, {"text": "x" * 50}]
    assert judge.ALL_SHOWN < 20 * judge.MAX_SHOWN


def test_flags_hold_nothing_that_a_student_wrote(tmp_path):
    path = tmp_path / "a" / FIRST / f"{FIRST}.ipynb"
    path.parent.mkdir(parents=True)
    names = ['=HYPERLINK("x")', "\x1b]0;title\x07", "two\nlines", "density"]
    cell = {"cell_type": "code", "source": "#" * (submission.MAX_SOURCE + 1)}
    path.write_text(json.dumps(notebook(cells=[cell | {"metadata": {"nbgrader": {"grade_id": n}}} for n in names])))
    _, flags, _ = submission.read({"source": classroom.source(FIRST), "path": path})
    assert {flag for flag in flags if "too long" in flag} == {
        "a cell of their own is too long: it was left out",
        "density is too long: it was left out",
    }
    assert classroom.printable("=1+1\n\x1b[2J") == "'=1+1??[2J"


def test_all_cells_together_have_room_too(tmp_path):
    path = tmp_path / "a" / FIRST / f"{FIRST}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(notebook(cells=[{"cell_type": "code", "source": "#" * 150_000}] * 10)))
    cells, _, _ = submission.read({"source": classroom.source(FIRST), "path": path})
    assert (
        sum(len(cell["source"]) for cell in cells if "their cell" in (cell["id"] or "")) < 1.01 * submission.ALL_SOURCE
    )


@pytest.mark.parametrize(
    ("text", "page"),
    [
        (r"$\href{java	script:alert(1)}{x}$", r"$\ href{java	script:alert(1)}{x}$"),
        ("![x](http://there)", "! [x](http://there)"),
        ("[x](javascript:a) <b> 1<2", "[x](javascript :a) < b> 1<2"),
        (r"$\lambda x_n! < y$, $\sum_n$", r"$\lambda x_n! < y$, $\sum_n$"),
    ],
)
def test_a_text_of_a_students_leads_nowhere(text, page):
    assert pages._no_tags(text) == page


def flags_of(copy, *own, entered=()):
    """Of an answer to the task `copy` of set 3, and cells beside it; `entered` is what the function has entered."""
    cells = submission.own_cells(own, "copy") + submission.template(classroom.source(THIRD))
    cells = [cell | {"source": copy} if cell["id"] == "copy" else cell for cell in cells]
    return "; ".join(submission.library_calls(cells, {"copy_new": set(entered)})[0])


USES = "def copy_new(a, b, L):\n    return {}(a, L)"
LIBRARY = {
    "behind a line magic": ["%time 1\n" + USES.format("linear_gaussian.pca")],
    "behind a cell magic": ["%%time\nx = !ls\n" + USES.format("linear_gaussian.pca")],
    "in a cell beside it": ["", USES.format("linear_gaussian.pca")],
    "under another name": [USES.format("mine"), "from vaejax.linear_gaussian import pca as mine"],
    "two cells away": [USES.format("one"), "def one(a, L):\n    return two(a, L)", "import vaejax\ntwo = vaejax.pca"],
}


@pytest.mark.parametrize("how", LIBRARY)
def test_a_library_call_is_flagged(how):
    assert "copy uses" in flags_of(*LIBRARY[how])


def test_what_a_function_enters_is_flagged_wherever_it_was_written():
    assert "pca of the library" in flags_of("get_ipython().run_cell('...')", entered=["linear_gaussian.pca"])


def test_tools_are_flagged_and_answers_are_not():
    assert "copy names _getframe, gc, subprocess: look at it" in flags_of("import subprocess as s, gc\nsys._getframe()")
    own = "def copy_new(a, b, L):\n    gc = channel = L             # names as good as others\n    return svd(a, gc)"
    assert flags_of(own, "def svd(a, L):\n    return a", "print(linear_gaussian.pca(a, 2))") == ""


def test_names_that_an_answer_is_given_are_not_looked_up_elsewhere():
    """A cell of one's own that plays with the library may name its results as the task names its arguments."""
    own = "def copy_new(train_xs, new_xs, L):\n    mean = train_xs.mean(0)\n    return [W for W in {}]"
    play = "fit = linear_gaussian.pca(train_xs, 20)\nmean, W, L, new_xs = fit.mean, fit.W, 20, train_xs"
    assert flags_of(own.format("new_xs"), play) == ""
    assert "uses linear_gaussian" in flags_of(own.format("fit"), play)
    assert "uses linear_gaussian" in flags_of("def copy_new(a, b, L, W=W):\n    return W", play)


def test_a_long_chain_of_helpers_takes_seconds():
    """It took an hour when each step read all that stands before it again."""
    begun = time.monotonic()
    chain = [f"def h{i}():\n    return h{i + 1}()\n" + "x\n" * 100 for i in range(390)]
    flags_of("def copy_new(a, b, L):\n    return h0()", *chain)
    assert time.monotonic() - begun < 30


NAMES = {  # in a folder as Canvas and Moodle pack it: the student, the set, or a flag
    f"hoppergrace_12345_67890_{FIRST}.ipynb": ("hoppergrace_12345", FIRST, ""),
    f"obergåsa_LATE_222_900_{FIRST}-1.ipynb": ("obergåsa_222", FIRST, ""),
    f"obergåsa_222_899_{FIRST}.ipynb": ("obergåsa_222", "", "the newest <set>.ipynb counts"),
    f"anon_Ab1_7_{THIRD}.ipynb": ("anon_Ab1", THIRD, ""),
    f"LATE_anon_Zz9_5_{THIRD} (1).ipynb": ("anon_Zz9", THIRD, ""),
    f"li_7_8_hoppergrace_12345_99999_{FIRST}.ipynb": ("li_7", "", "the newest <set>.ipynb counts"),
    f"Max Muster_4711_assignsubmission_file_{FIRST}.ipynb": ("Max Muster_4711", FIRST, ""),
    f"Eva_1_assignsubmission_file_Max Muster_4711_assignsubmission_file_{FIRST}.ipynb": ("Eva_1", "", "newest"),
    "notes.txt": ("notes.txt", "", "it is no folder"),
}


def test_canvas_and_moodle_put_files_into_one_folder(tmp_path):
    for name in NAMES:
        (tmp_path / name).touch()
    found = {
        path.name: (student, name, wrong) for student, name, path, wrong in classroom.found(tmp_path, [FIRST, THIRD])
    }
    assert set(found) == set(NAMES)
    for name, (student, of, flag) in NAMES.items():
        assert found[name][:2] == (student, of) and flag in found[name][2] and bool(flag) == bool(found[name][2]), name
    alone = list(classroom.found(tmp_path, [FIRST], ["obergåsa_222"]))
    assert {student for student, *_ in alone} == {"obergåsa_222"} and len(alone) == 2


def test_nobody_has_the_folder_of_another():
    hidden = classroom.slug("Åsa Öberg")
    assert hidden.startswith("Asa_Oberg-") and classroom.slug(hidden) != hidden
    assert classroom.slug("Ann.Lee-2") == "Ann.Lee-2"


def test_no_answer_is_kept_in_compiled_form(tmp_path):
    cells = [{"source": "def fit(x):\n    def square(a):\n        return a\n    return jax.jit(square)(x)"}]
    names = ["add", "_mean", "cholesky", "_normal", "square", "fit", "_lambda", "scan", "while", "_steps", "map"]
    for name in names:
        (tmp_path / f"jit_{name}-{'0f' * 32}-cache").touch()
    judge.remove_answers(tmp_path, cells)
    assert {path.name.split("-")[0] for path in tmp_path.iterdir()} == {"jit_" + name for name in names[:4]}


@pytest.mark.parametrize(
    ("cores", "jobs", "each"),
    [([0, 1], 2, [[0], [1]]), ([0, 1, 2, 3, 6], 2, [[0, 2, 6], [1, 3]]), ([4, 5], 3, [[4], [5], [4]]), ([1], 1, [[1]])],
)
def test_each_job_has_cores_of_its_own(cores, jobs, each):
    assert classroom.shared(cores, jobs) == each
