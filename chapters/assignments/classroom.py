"""Hand out, grade and give back the problem sets, with nbgrader.

    python chapters/assignments/classroom.py release
    python chapters/assignments/classroom.py grade FOLDER [--timeout SECONDS]

`release` writes the students' notebooks to classroom/release. `grade` reads FOLDER/<student>/<set>/<set>.ipynb and
writes classroom/grades.csv and, for every student, a page in classroom/feedback. Git tracks nothing in classroom/.

Student code is executed, with your rights. See "In the classroom" in the README.
"""

import argparse
import ast
import asyncio
import csv
import json
import logging
import os
import secrets
import shutil
import sys
import warnings
from pathlib import Path
from typing import ClassVar

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute
from sqlalchemy.exc import SAWarning
from traitlets.config import Config

HERE = Path(__file__).parent
SOURCE = HERE / "source"
COURSE = HERE.parent.parent / "classroom"
MAX_OUTPUT = 1_000_000  # characters of what a cell prints, and of each of its other outputs

warnings.simplefilter("ignore", SAWarning)  # of nbgrader's own queries
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # nbgrader calls `alembic`


class Run(Execute):
    """Runs a submission to its end, whatever it does: nbgrader's step, with the guard asked before every cell."""

    flags: ClassVar = []  # of the submission that was run last
    printed = 0  # characters, by the cell that runs

    def preprocess(self, nb, resources):
        self.flags.clear()
        removed = {}  # cells that killed the kernel or could not be stopped
        while True:
            try:
                nb, resources = super().preprocess(nb, resources)
                break
            except (DeadKernelError, CellTimeoutError):
                guilty = [i for i in range(self.running + 1) if _is_theirs(nb.cells[i]) and i not in removed]
                if not guilty:
                    raise
                # Python may die a little later than the cell that kills it: those after it get another chance.
                for index in [i for i in removed if i > guilty[-1]]:
                    nb.cells[index].source = removed.pop(index)
                cell = nb.cells[guilty[-1]]
                removed[guilty[-1]] = cell.source
                cell.source = "raise RuntimeError('this cell stopped Python, or could not be stopped: it was left out')"
        for index, source in removed.items():
            nb.cells[index].source = source
            self.flags.append(f"{_id(nb.cells[index])} stopped Python, or could not be stopped")
        return nb, resources

    def preprocess_cell(self, cell, resources, index):
        if cell.cell_type != "code" or not cell.source.strip():
            return cell, resources
        if index == next(i for i, c in enumerate(self.nb.cells) if c.cell_type == "code"):
            self._hidden(
                "import sys, types; sys.modules['_guard'] = m = types.ModuleType('_guard'); "
                f"exec({(HERE / 'guard.py').read_text()!r}, vars(m)); m.begin(get_ipython()); del m",
                index,
            )
        self._restore(index)
        self.running, self.printed = index, 0
        cell, resources = super().preprocess_cell(cell, resources, index)
        for output in cell.outputs:
            if len(str(output.get("data", ""))) > MAX_OUTPUT:
                output["data"] = {"text/plain": "(an output of absurd size was left out)"}
                self.flags.append(f"{_id(cell)} has an output of absurd size")
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if any("would have stopped Python" in error.evalue for error in errors):
            self.flags.append(f"{_id(cell)} tried to stop Python")
        if self.printed > MAX_OUTPUT:
            self.flags.append(f"{_id(cell)} printed without end and was stopped")
        elif any(error.ename in ("CellTimeoutError", "KeyboardInterrupt") for error in errors):
            self.flags.append(f"{_id(cell)} ran for more than {self.timeout} s and was stopped")
        if cell.metadata.get("nbgrader", {}).get("locked") and not cell.metadata.nbgrader["grade"]:
            names = sorted(_names_bound(cell.source))
            self._hidden(f"__import__('sys').modules['_guard'].remember(get_ipython(), {names})", index)
        return cell, resources

    def process_message(self, msg, cell, index):
        """Drop what is printed beyond the limit, and stop the cell that prints it."""
        if msg["msg_type"] == "stream":
            before, self.printed = self.printed, self.printed + len(msg["content"]["text"])
            if self.printed > MAX_OUTPUT:
                if before <= MAX_OUTPUT:
                    self.stopping = asyncio.ensure_future(self.km.interrupt_kernel())
                return None
        return super().process_message(msg, cell, index)

    def _restore(self, index):
        """Ask the guard to put back what was replaced. No answer: the cell before this one has broken the kernel."""
        token = secrets.token_hex(8)
        said = self._hidden(f"__import__('sys').modules['_guard'].restore(get_ipython(), {token!r})", index)
        lines = [line for line in said.splitlines() if token in line]
        if not lines:
            raise DeadKernelError("no answer from the guard")
        self.flags.extend(f"{name} was replaced, and put back" for name in json.loads(lines[0])[1])

    def _hidden(self, code, index):
        cell, real = nbformat.v4.new_code_cell(code), self.nb.cells[index]
        self.printed = 0
        self.execute_cell(cell, index, store_history=False)
        self.nb.cells[index] = real
        return "".join(output.get("text", "") for output in cell.outputs)


def course(folder=COURSE, timeout=60):
    """nbgrader on our folders."""
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.db_url = f"sqlite:///{folder / 'gradebook.db'}"
    config.Run.timeout = timeout
    config.Autograde.autograde_preprocessors = [
        Run if step is Execute else step for step in Autograde.autograde_preprocessors.default_args[0]
    ]
    config.NbGraderAPI.log_level = logging.ERROR
    return NbGraderAPI(coursedir=CourseDirectory(config=config), config=config)


def sets():
    return sorted(path.name for path in SOURCE.iterdir() if path.is_dir())


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


def grade(submitted, folder=COURSE, timeout=60):
    """Grade FOLDER/<student>/<set>/<set>.ipynb. Returns the rows of grades.csv."""
    released = release(folder)
    api, rows = course(folder, timeout), []
    for student in sorted(path for path in Path(submitted).iterdir() if path.is_dir()):
        for name, template in released.items():
            theirs = student / name / f"{name}.ipynb"
            if not theirs.is_file():
                continue
            row = grade_one(api, folder, template, student.name, name, theirs)
            rows.append(row)
            print(
                f"{row['student']} {name}: {row['points']:g} of {row['of']:g}"
                + (f"; {row['flags']}" if row["flags"] else "")
            )
    with open(folder / "grades.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["student", "set", "points", "of", "to_mark", "flags", "parts"])
        writer.writeheader()
        writer.writerows(rows)
    return rows


def grade_one(api, folder, template, student, name, theirs):
    template = nbformat.read(template, as_version=4)
    try:
        theirs = nbformat.read(theirs, as_version=4)
        notebook, flags = rebuild(template, theirs)
    except Exception as error:  # whatever is in the file, the next student's turn comes
        notebook, flags = template, [f"the file is no notebook: {type(error).__name__}"]
    target = folder / "submitted" / student / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    Run.flags.clear()
    result = api.autograde(name, student, force=True)
    flags += Run.flags
    if not result["success"]:
        flags.append("grading did not end: see the log")
        (target.parent / "log.txt").write_text(str(result.get("log") or result.get("error")))
    feedback = api.generate_feedback(name, student, force=True)
    if result["success"] and not feedback["success"]:
        flags.append("no feedback page could be made")
    with Gradebook(api.coursedir.db_url) as book:
        grades = book.update_or_create_submission(name, student).notebooks[0].grades
        parts = {grade.name: (grade.score, grade.max_score, grade.needs_manual_grade) for grade in grades}
    return {
        "student": student,
        "set": name,
        "points": sum(score for score, _, _ in parts.values()),
        "of": sum(most for _, most, _ in parts.values()),
        "to_mark": sum(most for _, most, marked in parts.values() if marked),
        "flags": "; ".join(dict.fromkeys(flags)),
        "parts": " ".join(f"{part}={score:g}/{most:g}" for part, (score, most, _) in sorted(parts.items())),
    }


def rebuild(template, theirs):
    """The released notebook with the student's answers in it, and what else was found.

    Test cells are ours, whatever was done to them. Cells that the student has added stay where they were.
    """
    flags, answers, extra, place, judges = [], {}, {None: []}, None, _judges(template)
    ours = {_id(cell): cell for cell in template.cells if _id(cell)}
    for cell in theirs.cells:
        name = _id(cell)
        if name not in ours:
            if cell.cell_type == "code" and str(cell.source).strip():
                extra.setdefault(place, []).append(nbformat.v4.new_code_cell(cell.source))
            continue
        place = name
        if name in answers:
            flags.append(f"{name} is there twice: the first one counts")
            continue
        answers[name] = cell
        if not ours[name].metadata.nbgrader["solution"] and cell.source.strip() != ours[name].source.strip():
            flags.append(f"{name} was edited: ours is used")
    cells = list(extra[None])
    for cell in template.cells:
        name = _id(cell)
        if name and name not in answers:
            flags.append(f"{name} was deleted: ours is used")
        elif name and cell.metadata.nbgrader["solution"]:
            cell.source = str(answers[name].source)
            if cell.cell_type == "code" and (called := _names_used(cell.source) & judges):
                flags.append(f"{name} calls {', '.join(sorted(called))}, which belongs to a test")
        cells += [cell, *extra.get(name, [])] if name else [cell]
    template.cells = cells
    return template, flags


def _id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def _is_theirs(cell):
    return cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("locked")


def _judges(notebook):
    """The functions that belong to tests: those of test cells, and of locked cells whose name ends in -judge."""
    return {
        name
        for cell in notebook.cells
        if cell.cell_type == "code" and not _is_theirs(cell)
        if cell.metadata.nbgrader["grade"] or _id(cell).endswith("-judge")
        for name in _names_bound(cell.source)
    }


def _names_used(source):
    """The names that a cell reads and does not bind itself; none if it is no Python."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return set()
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - bound


def _names_bound(source):
    """The names that the top level of a cell binds."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Hand out and grade the problem sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    releasing = commands.add_parser("release", help="write the students' notebooks to classroom/release")
    grading = commands.add_parser("grade", help="grade a folder of submissions")
    grading.add_argument("folder", type=Path, help="holds <student>/<set>/<set>.ipynb")
    grading.add_argument("--timeout", type=int, default=60, help="seconds for one cell (default 60)")
    for command in (releasing, grading):
        command.add_argument("--course", type=Path, default=COURSE, help="the folder to write to (default: classroom)")
    options = parser.parse_args()
    if options.command == "release":
        for path in release(options.course).values():
            print(path.relative_to(options.course.parent))
    elif not options.folder.is_dir():
        sys.exit(f"{options.folder} is no folder: expected <student>/<set>/<set>.ipynb in it")
    elif not grade(options.folder, options.course, options.timeout):
        sys.exit(
            f"{options.folder} holds no submission: expected <student>/<set>/<set>.ipynb, with a set of "
            f"{', '.join(sets())}"
        )
    else:
        print(f"Grades are in {options.course}/grades.csv, pages for students in {options.course}/feedback")
