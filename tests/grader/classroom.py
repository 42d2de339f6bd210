"""Hand out, grade and give back the problem sets.

    python tests/grader/classroom.py release
    python tests/grader/classroom.py handout
    python tests/grader/classroom.py grade FOLDER [--set SET] [--student STUDENT] [--jobs N] [--strict]

`release` writes the students' notebooks to classroom/release, `handout` a folder and a zip for students. `grade` reads
FOLDER/<student>/<set>/<set>.ipynb, or FOLDER/<student>/<set>.ipynb, and writes classroom/grades.csv and, for every
student, a page in classroom/feedback. Git tracks nothing in classroom/.

Student code runs in a process of its own, in a sandbox where the machine has one (sandbox.py); tests run in another
(judge.py), and only data pass between them. nbgrader makes the release and keeps what is marked by hand.
"""

import argparse
import concurrent.futures
import csv
import hashlib
import io
import json
import logging
import multiprocessing
import os
import queue
import re
import secrets
import shutil
import sys
import tempfile
import time
import unicodedata
import warnings
from pathlib import Path

import pages
import sandbox
import submission

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "chapters" / "assignments" / "source"
COURSE = ROOT / "classroom"
COLUMNS = "student", "set", "points", "of", "to_mark", "flags", "parts", "seed"
CANVAS = re.compile(r"(?P<who>(?:LATE_)?anon_[^_]+|.+?_\d+)_(?P<number>\d+)_(?P<file>.+)")
MOODLE = re.compile(r"(?P<who>.+?_\d+)_assignsubmission_file(?P<number>)_(?P<file>.+)")
FORKS = multiprocessing.get_context("forkserver")
PROGRAMS = "judge.py", "worker.py", "channel.py", "submission.py"
HANDOUT = (  # and a README of its own
    "LICENSE", "CITATION.cff", "Makefile", "requirements.txt", "constraints.txt",
    "environment.yml", "pyproject.toml",
    "vaejax/**/*.py", "data/*.csv", "data/*.npz", "data/README.md", "chapters/*.ipynb", "chapters/answers/*.ipynb",
    "chapters/clinic.md", "docs/figures/*.png", "docs/INSTALL.md", "docs/SCALING.md",
)  # fmt: skip


def course(folder=COURSE):
    """nbgrader on our folders."""
    from nbgrader.apps import NbGraderAPI
    from nbgrader.coursedir import CourseDirectory
    from sqlalchemy.exc import SAWarning
    from traitlets.config import Config

    warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own queries
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls `alembic`
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder / 'gradebook.db'}"
    config.NbGraderAPI.log_level = logging.ERROR
    return NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)


def sets():
    return sorted(path.name for path in SOURCE.iterdir() if path.is_dir())


def source(name):
    return SOURCE / name / f"{name}.ipynb"


def release(folder=COURSE, names=None):
    """Write the students' notebooks: without solutions, without hidden tests. Returns the path of each."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "source", ignore_errors=True)
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    api = course(folder)
    for name in names or sets():
        result = api.generate_assignment(name, force=True)
        if not result["success"]:
            sys.exit(f"{name} could not be released:\n{result['log']}")
    return {name: folder / "release" / name / f"{name}.ipynb" for name in names or sets()}


def handout(folder=COURSE):
    """Write what students get, book and problem sets without solutions and hidden tests, to handout and handout.zip."""
    target = folder / "handout"
    shutil.rmtree(target, ignore_errors=True)
    for pattern in HANDOUT:
        for path in ROOT.glob(pattern):
            if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
                copy = target / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    for name, path in release(folder).items():
        copy = target / "chapters" / "problem_sets" / name / path.name
        copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
    shutil.copyfile(Path(__file__).with_name("handout.md"), target / "README.md")
    for page in target.rglob("*.md"):
        page.write_text(without_dead_links(page))
    return target, Path(shutil.make_archive(str(target), "zip", target))


def without_dead_links(page):
    """Its text, where of links to what is not beside it only the words are left."""

    def kept(link):
        words, address = link.groups()
        there = "://" in address or (page.parent / address.split("#")[0]).exists()
        return link[0] if there else words

    return re.sub(r"\[([^][]+)\]\(([^)]+)\)", kept, page.read_text())


class Course:
    """A folder with all that is known of a class."""

    def __init__(self, folder, *, jobs=None, timeout=60, seconds=600, strict=False, seed=None):
        self.folder, self.strict, self.seed = folder, strict, seed
        self.timeout, self.seconds = timeout, seconds
        folder.mkdir(parents=True, exist_ok=True)
        salt = folder / "salt.txt"  # with it, nobody can tell the hidden numbers from a name
        if not salt.exists():
            salt.write_text(secrets.token_hex(16))
        self.salt, self.caches = salt.read_text(), {}
        cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count())
        self.jobs, self.free = jobs or len(cores), queue.SimpleQueue()
        self.cores = shared(cores, self.jobs)
        for share in self.cores:
            self.free.put(share)
        from nbgrader.api import Gradebook

        self.book = Gradebook(f"sqlite:///{folder / 'gradebook.db'}")

    def seed_of(self, student, name):
        """Of the hidden tests of one student and set: the same in each run."""
        digest = hashlib.sha256(f"{self.salt}/{student}/{name}".encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:4], "little") if self.seed is None else self.seed

    def report_path(self, student, name):
        return self.folder / "reports" / slug(student) / f"{name}.json"

    def request(self, path, student, name):
        return {
            "source": str(source(name)),
            "path": os.fsdecode(path),
            "cache": str(self.caches[name]) if name in self.caches else None,
            "timeout": self.timeout,
            "seconds": self.seconds,
            "seed": self.seed_of(student, name),
            "strict": self.strict,
            "box": None,
        }

    def version(self, path, student, name):
        """Changes with all that could change the points of a submission."""
        digest = hashlib.sha256()
        library = sorted((ROOT / "vaejax").rglob("*.py"))
        for part in (source(name), *(HERE / program for program in PROGRAMS), *library, path):
            digest.update(_content(part))
        digest.update(json.dumps([self.timeout, self.seconds, self.strict, self.seed_of(student, name)]).encode())
        return digest.hexdigest()

    def judge(self, request):
        """The report of a request, made on cores that no other job uses."""
        cores = self.free.get()
        try:
            return run_judge(request | {"cores": cores})
        finally:
            self.free.put(cores)

    def judged(self, student, name, path, wrong):
        """The report of a submission, and whether it is a new one: what has not changed is not judged again."""
        if wrong:
            return None, False
        target, version = self.report_path(student, name), self.version(path, student, name)
        try:
            report = json.loads(target.read_text(encoding="utf-8"))
            if report["version"] == version:
                return report, False
        except (OSError, ValueError, KeyError, TypeError):
            pass
        report = self.judge(self.request(path, student, name))
        report |= {"version": version, "seed": self.seed_of(student, name)}
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(f".{secrets.token_hex(4)}.draft")
        draft.write_text(json.dumps(report), encoding="utf-8")
        draft.replace(target)
        return report, True

    def warm(self, name):
        """Judge our own answers: they must earn everything. What is compiled on the way is kept for all students."""
        programs = source(name), *(HERE / program for program in PROGRAMS), *sorted((ROOT / "vaejax").glob("*.py"))
        digest = hashlib.sha256(b"".join(map(_content, programs)))
        digest.update(json.dumps([sys.version, len(self.cores[0])]).encode())
        cache = self.folder / "cache" / f"{name}-{digest.hexdigest()[:16]}"
        if not cache.is_dir():
            draft = cache.with_name(f"draft-{secrets.token_hex(4)}")
            for part in ("tests", "theirs"):
                (draft / part).mkdir(parents=True)
            self.caches[name] = draft
            report = self.judge(self.request(source(name), "", name) | {"strict": False, "box": "warm"})
            lost = [test for test, passed in report["tests"].items() if not passed]
            if lost:
                shutil.rmtree(draft)
                why = [f"{c['id']}: {': '.join(c['error'])}" for c in report["cells"] if c.get("error")]
                sys.exit("\n".join([f"{name}: our own answers do not pass {', '.join(lost)}", *why, *report["flags"]]))
            for old in cache.parent.glob(f"{name}-*"):
                shutil.rmtree(old)
            draft.replace(cache)
        self.caches[name] = cache

    def row(self, student, name, report, fresh):
        """A row of grades.csv. Marks given by hand are in nbgrader's database, and stay there."""
        who = slug(student)
        self.book.update_or_create_student(who, first_name=printable(student))
        notebook = self.book.update_or_create_submission(name, who).notebooks[0]
        marked = self.folder / "autograded" / who / name / f"{name}.ipynb"
        if fresh or not marked.exists():
            for grade in notebook.grades:
                grade.auto_score, grade.needs_manual_grade = _auto(report, grade)
            self.book.db.commit()
            pages.write_marked(marked, source(name), report)
        parts = {grade.name: (grade.score, grade.max_score, grade.needs_manual_grade) for grade in notebook.grades}
        comments = {comment.name: comment.comment for comment in notebook.comments}
        page = self.folder / "feedback" / who / name / f"{name}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(pages.page(printable(student), name, report, parts, comments), encoding="utf-8")
        return {
            "student": printable(student),
            "set": name,
            "points": sum(score for score, _, _ in parts.values()),
            "of": sum(most for _, most, _ in parts.values()),
            "to_mark": sum(most for _, most, marked in parts.values() if marked),
            "flags": "; ".join(report["flags"]),
            "parts": " ".join(f"{part}={score:g}/{most:g}" for part, (score, most, _) in sorted(parts.items())),
            "seed": report["seed"],
        }


def shared(cores, jobs):
    """The cores of each job, so that no student slows down another."""
    return [list(cores[k::jobs]) or [cores[k % len(cores)]] for k in range(jobs)]


def _auto(report, grade):
    """(points by tests, does somebody have to look)"""
    if grade.name in report["tests"]:
        return (grade.max_score if report["tests"][grade.name] else 0.0), grade.manual_score is not None
    answer = "".join(cell["source"] for cell in report["cells"] if cell["id"] == grade.name).strip()
    return (0.0, False) if answer in ("", "YOUR ANSWER HERE") and grade.manual_score is None else (None, True)


def _content(path):
    """The bytes of a file, or what it is if it is none."""
    if path.is_symlink() or not path.is_file():
        return f"{path.is_symlink()} {path.exists()}".encode()
    with open(path, "rb") as file:
        return file.read(submission.MAX_FILE + 1)


def run_judge(request):
    """The report of one judge, in a process forked from one that has imported all. Whatever happens, there is one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        process = FORKS.Process(target=judge_main, args=(request, str(path)))
        process.start()
        process.join(2 * request["seconds"] + 120)
        process.kill()
        process.join()
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            log = Path(f"{path}.log")
            said = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    cells = submission.without_answers(submission.template(request["source"]))
    tests = {cell["id"]: False for cell in cells if cell["kind"] == "test"}
    return {"tests": tests, "flags": [f"it could not be judged: {(said or ['it took too long'])[-1]}"], "cells": cells}


def judge_main(request, path):
    import judge  # in the fork: it is there already

    judge.main(request, path)


def in_one_folder(name):
    """(student, set or "", a number, larger for what is newer) in the name that an LMS gives a file; None in others.

    Canvas: name_12345_67890_set.ipynb, name_LATE_12345_67890_set.ipynb, anon_Ab1_67890_set.ipynb, with -1 after the set
    where it was handed in before. Moodle, if it is told to make no folders: Name_12345_assignsubmission_file_set.ipynb.
    """
    named = MOODLE.fullmatch(name) or CANVAS.fullmatch(name)
    if not named:
        return None
    student = re.sub("(^|_)LATE_", r"\1", named["who"])
    file = re.sub(r"(-\d+| ?\(\d+\))?\.ipynb$", "", named["file"])
    return student, file if file in sets() else "", int(named["number"] or 0)


def found(submitted, names, students=None):
    """(student, set or "", path of the notebook, what is wrong with it), one or more for all that is in the folder."""
    files = {}
    for student in sorted(os.listdir(submitted)):
        folder, some = Path(submitted) / student, False
        if not folder.is_dir() and (named := in_one_folder(student)):
            student, name, number = named
            files.setdefault(student, {}).setdefault(name, []).append((number, folder))
            continue
        if students and student not in students:
            continue
        if folder.is_symlink() or not folder.is_dir():
            yield student, "", folder, "it is no folder: expected <student>/<set>/<set>.ipynb"
            continue
        try:
            inside = sorted(os.listdir(folder))
        except OSError as error:
            yield student, "", folder, f"the folder cannot be read: {error.strerror}"
            continue
        beside = {f"{name}.ipynb": name for name in sets() if f"{name}.ipynb" in inside and name not in inside}
        for name in names:
            path, place = folder / name / f"{name}.ipynb", folder / name
            if os.path.lexists(path):
                yield student, name, path, ""
            elif name in beside.values():  # as Moodle packs them
                yield student, name, folder / f"{name}.ipynb", ""
            elif os.path.lexists(place):
                there = ", ".join(map(printable, os.listdir(place)[:5])) if place.is_dir() else "no folder"
                yield student, name, path, f"{name}/{name}.ipynb was not found; there is {there or 'nothing'}"
            else:
                continue
            some = True
        others = [one for one in inside if one not in sets() and one not in beside]
        if others or (not inside and not some):
            there = ", ".join(map(printable, others[:5])) or "nothing"
            yield student, "", folder, f"there is {there}, where folders named {', '.join(names)} are expected"
    for student, theirs in files.items():
        if not students or student in students:
            others = theirs.pop("", [])
            for name, versions in theirs.items():
                *older, (_, path) = sorted(versions)
                others += older
                if name in names:
                    yield student, name, path, ""
            if others:
                there = ", ".join(printable(path.name) for _, path in others[:5])
                yield student, "", others[0][1], f"there is {there}: of each set, the newest <set>.ipynb counts"


def grade(submitted, folder=COURSE, names=None, students=None, jobs=None, **options):
    """Grade FOLDER/<student>/<set>/<set>.ipynb. Returns the rows of grades.csv, written as they are known."""
    print(sandbox.SAYS[sandbox.kind()], flush=True)
    paths = [str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # or the process that is forked finds no judge, and says nothing
    FORKS.set_forkserver_preload(["judge"])
    names = names or sets()
    release(folder, names)
    room, rows, begun = Course(folder, jobs=jobs, **options), {}, time.monotonic()
    os.environ["OPENBLAS_NUM_THREADS"] = str(len(room.cores[0]))  # more wait for each other, at a core's full cost
    todo = list(found(Path(submitted).resolve(), names, students))  # a link of the teacher's own is none of a student's
    table = folder / "grades.csv"
    for row in _read(table):
        rows[row["student"], row["set"]] = row
    for student, name, _, _ in todo:
        rows.pop((printable(student), name), None)
    _write(table, rows)
    with concurrent.futures.ThreadPoolExecutor(room.jobs) as pool:
        list(pool.map(room.warm, sorted({name for _, name, _, wrong in todo if name and not wrong})))
        pending = {pool.submit(room.judged, *one): one for one in todo}
        for future in concurrent.futures.as_completed(pending):
            student, name, _, wrong = pending[future]
            try:
                row = _no_points(student, name, wrong) if wrong else room.row(student, name, *future.result())
            except Exception as error:  # whatever it is, the next student's turn comes
                row = _no_points(student, name, f"it could not be graded: {type(error).__name__}: {error}")
            row["flags"] = printable(row["flags"])
            rows[row["student"], row["set"]] = row
            with open(table, "a", newline="", encoding="utf-8", errors="replace") as file:
                csv.DictWriter(file, COLUMNS).writerow(row)
            flags = f"; {row['flags']}" if row["flags"] else ""
            print(f"{row['student']} {name}: {row['points']:g} of {row['of']:g}{flags}", flush=True)
    _write(table, rows)
    print(f"{len(todo)} in {time.monotonic() - begun:.0f} s")
    return [rows[key] for key in sorted(rows)]


def _no_points(student, name, flag):
    most = sum(cell["points"] for cell in submission.template(source(name))) if name else 0
    return dict.fromkeys(COLUMNS, "") | {
        "student": printable(student), "set": name, "points": 0, "of": most, "to_mark": 0, "flags": flag
    }  # fmt: skip


def _read(table):
    """The rows that were written whole: a run may have been killed within the last one."""
    try:
        with open(table, newline="", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return []
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    return [row for row in rows if set(row) == set(COLUMNS) and None not in row.values()]


def _write(table, rows):
    draft = table.with_suffix(".draft")
    with open(draft, "w", newline="", encoding="utf-8", errors="replace") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows[key] for key in sorted(rows))
    draft.replace(table)


def printable(name):
    """What others have named, as one line of characters that exist, and no formula for a spreadsheet."""
    text = "".join(one if one.isprintable() else "?" for one in str(name))
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def slug(student):
    """A name for files and the database: the folder's own if it is plain, else one that nobody else has."""
    if re.fullmatch(r"(?!.*-[0-9a-f]{10}$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}", student):
        return student
    letters = unicodedata.normalize("NFKD", student).encode("ascii", "ignore").decode()  # Å is A and a ring
    plain = re.sub(r"[^A-Za-z0-9]+", "_", letters)[:40].strip("_")
    return f"{plain}-{hashlib.sha256(student.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"


def main():
    parser = argparse.ArgumentParser(description="Hand out and grade the problem sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    releasing = commands.add_parser("release", help="write the students' notebooks to classroom/release")
    handing = commands.add_parser("handout", help="write a folder and a zip for students")
    grading = commands.add_parser("grade", help="grade a folder of submissions")
    grading.add_argument("folder", type=Path, help="holds <student>/<set>/<set>.ipynb")
    grading.add_argument("--set", action="append", dest="names", choices=sets(), help="only this set (may be repeated)")
    grading.add_argument("--student", action="append", dest="students", help="only this student (may be repeated)")
    grading.add_argument("--jobs", type=int, help="how many at a time (default: one for each core)")
    grading.add_argument("--timeout", type=int, default=60, help="seconds for one cell or call (default 60)")
    grading.add_argument("--seconds", type=int, default=600, help="seconds for a whole notebook (default 600)")
    grading.add_argument("--strict", action="store_true", help="no points where a task says write your own, and is not")
    grading.add_argument("--seed", type=int, help="of the hidden tests, to replay a row (default: by student and set)")
    for command in (releasing, handing, grading):
        command.add_argument("--course", type=Path, default=COURSE, help="the folder to write to (default: classroom)")
    options = vars(parser.parse_args())
    command, folder = options.pop("command"), options.pop("course").absolute()
    sys.stdout.reconfigure(errors="replace")
    if command == "release":
        for path in release(folder).values():
            print(path.relative_to(folder.parent))
    elif command == "handout":
        for path in handout(folder):
            print(path.relative_to(folder.parent))
    elif not options["folder"].is_dir():
        sys.exit(f"{options['folder']} is no folder: expected <student>/<set>/<set>.ipynb in it")
    elif not grade(options.pop("folder"), folder, **options):
        sys.exit(f"there is nothing to grade: expected <student>/<set>/<set>.ipynb, with a set of {', '.join(sets())}")
    else:
        print(f"Grades are in {folder}/grades.csv, pages for students in {folder}/feedback")


if __name__ == "__main__":
    main()
