"""Reads what a student has handed in, as data: a file of any kind, laid over our notebook."""

import ast
import functools
import json
import os
import re
import stat
import symtable
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

MAX_FILE = 100_000_000  # bytes
TOOLS = {"channel", "ctypes", "gc", "setprofile", "settrace", "_getframe", "_current_frames", "subprocess", "fork"}
MAX_CELLS = 400  # code cells of a student's own
MAX_SOURCE, ALL_SOURCE = 200_000, 1_000_000  # characters of a cell, and of all cells


class NoNotebook(ValueError):
    """In words, why a file cannot be graded."""


def load(path):
    """The notebook in a file, and flags. NoNotebook, whatever it is instead."""
    for part in (path.parent.parent, path.parent, path):
        if part.is_symlink():
            raise NoNotebook(f"{part.name!r} is a link: a file of its own is expected")
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise NoNotebook(f"the file cannot be read: {error.strerror}") from error
    state = os.fstat(number)
    if not stat.S_ISREG(state.st_mode):
        os.close(number)
        raise NoNotebook("it is a folder, a pipe or a device, and no file")
    with os.fdopen(number, "rb") as file:
        if state.st_size > MAX_FILE:
            raise NoNotebook(f"the file has {state.st_size} bytes: {MAX_FILE} are the most that is read")
        content = file.read(MAX_FILE)
    flags = []
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        text = content.decode("latin-1")
        flags.append("the file is not in UTF-8: it was read as Latin 1")
    try:
        cells = list(cells_of(json.loads(text)))
    except Exception as error:
        raise NoNotebook(f"the file is no notebook: {type(error).__name__}") from error
    clean = []
    for kind, source, name in cells:
        printable = source.encode("utf-8", "replace").decode().replace("\0", "?")
        if printable != source:
            flags.append("a cell holds characters that are none: each was read as ?")
        clean.append((kind, printable.replace("\r\n", "\n"), name))
    return clean, flags


def cells_of(notebook):
    """(kind, source, name) of each cell, of all that a file may hold the only things that are read."""
    sheets = [notebook] if "cells" in notebook else notebook["worksheets"]  # these are of nbformat 3, as is "input"
    for cell in [cell for sheet in sheets for cell in sheet["cells"]]:
        source, info = cell["source"] if "source" in cell else cell["input"], None
        if isinstance(cell.get("metadata"), dict):
            info = cell["metadata"].get("nbgrader")
        name = info.get("grade_id") if isinstance(info, dict) else None
        yield cell["cell_type"], "".join(source), name if isinstance(name, str) else None


def template(path):
    """Our notebook as the grader sees it: [{"id", "kind", "source", "points", "write_own", "names" that it binds}].

    Kinds: "set-up", "judge" and "test" are code of ours, "theirs" is a cell for code; "answer" is marked by hand.
    """
    cells = []
    for cell in nbformat.read(path, as_version=4).cells:
        info = cell.metadata.get("nbgrader")
        if cell.cell_type != "code":
            kind = "answer" if info and info["solution"] else "text"
        elif not info:
            kind = "look"
        elif info["solution"]:
            kind = "theirs"
        else:
            kind = "test" if info["grade"] else "judge" if info["grade_id"].endswith("-judge") else "set-up"
        cells.append(
            {
                "id": info["grade_id"] if info else None,
                "kind": kind,
                "source": cell.source,
                "points": info.get("points", 0) if info else 0,
                "write_own": cell.metadata.get("write_own", []),
                "names": sorted(set(bound_in(cell.source))) if kind == "theirs" else [],
            }
        )
    return cells


def names_of(cells):
    """What the tests may call: the names that the solutions bind."""
    return sorted({name for cell in cells for name in cell["names"]})


def read(request):
    """The cells to run, ours with the student's answers in them; flags; whether there is a notebook at all."""
    ours = template(request["source"])
    request["names"] = names_of(ours)
    try:
        handed_in, flags = load(Path(request["path"]))
    except NoNotebook as error:
        return without_answers(ours), [str(error)], False
    by_id = {cell["id"]: cell for cell in ours if cell["id"]}
    looks = {cell["source"].strip() for cell in ours if cell["kind"] == "look"}
    answers, extra, place, count, room = {}, {None: []}, None, 0, ALL_SOURCE
    for kind, source, name in handed_in:
        if len(source) > min(MAX_SOURCE, room):
            source = f"raise ValueError('this cell has {len(source)} characters: it was left out')"
            flags.append(f"{name if name in by_id else 'a cell of their own'} is too long: it was left out")
        room -= len(source)
        if name not in by_id:
            if kind == "code" and source.strip() and source.strip() not in looks and (count := count + 1) <= MAX_CELLS:
                extra.setdefault(place, []).append(source)
            continue
        place = name
        if name in answers:
            flags.append(f"{name} is there twice: the first one counts")
            continue
        answers[name] = source
        if by_id[name]["kind"] not in ("theirs", "answer") and tidy(source) != tidy(shown(by_id[name]["source"])):
            flags.append(f"{name} was edited: ours is used")
    if count > MAX_CELLS:
        flags.append(f"it has more than {MAX_CELLS} cells of its own: those after them were left out")
    cells = own_cells(extra[None], "the first cell")
    for cell in ours:
        name = cell["id"]
        if name and name not in answers:
            flags.append(f"{name} was deleted" + ("" if cell["kind"] in ("theirs", "answer") else ": ours is used"))
        if cell["kind"] in ("theirs", "answer"):
            cell["source"] = answers.get(name, "")
        if cell["kind"] != "look":
            cells += [cell]
        cells += own_cells(extra.get(name, []) if name else [], name)
    return cells, flags, True


def without_answers(cells):
    """Our cells for one who has handed in none."""
    return [cell | {"source": ""} if cell["kind"] in ("theirs", "answer") else cell for cell in cells]


def own_cells(sources, place):
    cell = {"id": f"their cell after {place}", "kind": "theirs", "points": 0, "write_own": [], "names": []}
    return [cell | {"source": source} for source in sources]


def shown(source):
    """A test as students have it: without what is hidden."""
    lines, hidden = [], False
    for line in source.splitlines():
        hidden = hidden or line.strip() == "### BEGIN HIDDEN TESTS"
        if not hidden:
            lines.append(line)
        hidden = hidden and line.strip() != "### END HIDDEN TESTS"
    return "\n".join(lines)


def tidy(source):
    return [line.rstrip() for line in source.strip().splitlines()]


@functools.cache
def parsed(source, with_magics=True):
    """The syntax tree of a cell, as IPython reads it; an empty one if it is no Python."""
    try:
        return ast.parse(source)
    except SyntaxError:
        if with_magics:
            return parsed(TransformerManager().transform_cell(re.sub(r"\A\s*%%.*", "", source)), False)
    except (ValueError, RecursionError, MemoryError):
        pass
    return ast.parse("")


def bound_in(source):
    """The names that the top level of a cell binds."""
    for node in parsed(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))


def words_of(source, library):
    """What a cell names of the library: what set-up cells have imported, attributes of vaejax, its own imports."""
    words, roots = set(), {"vj", "vaejax"}
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Name):
            words |= {node.id} & library
        elif isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", None) or ""
            for alias in node.names:
                path = f"{module}.{alias.name}".strip(".").split(".")
                if path[0] == "vaejax" and path[-1] != "LinearGaussianParams":  # a plain tuple: it does no work
                    words.update(path)
                    roots.add(alias.asname or path[-1])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "vaejax." in node.value:
            words.update(node.value.split("."))
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in roots:
            words.add(node.attr)
    return words


def library_calls(cells, entered):
    """Where a task says *write your own* and the answer names or enters the library: flags, and the functions' names.

    A sign and no proof: whoever wants to can hide a call from both.
    """
    flags, calls, helpers = [], set(), {}
    library = {name for cell in cells if cell["kind"] == "set-up" for name in imported_in(cell["source"])}
    for cell in cells:
        if cell["kind"] == "theirs" and not cell["write_own"]:
            helpers |= {name: cell["source"] for name in (*bound_in(cell["source"]), *imported_in(cell["source"]))}
    for cell in cells:
        forbidden = set(cell["write_own"])
        if cell["kind"] == "theirs" and (tools := tools_in(cell["source"])):
            flags.append(f"{cell['id']} names {', '.join(tools)}: look at it")
        if cell["kind"] != "theirs" or not forbidden:
            continue
        bound = {*cell["names"], *bound_in(cell["source"]), *imported_in(cell["source"])}
        looked, sources, names = set(), {cell["source"]}, names_in(cell["source"]) | set(cell["names"])
        while more := names & set(helpers) - looked:
            looked |= more  # what the helpers in other cells name, counts as well
            sources |= (new := {helpers[name] for name in more} - sources)
            names = set().union(*map(names_in, new))
        found = set().union(*(words_of(source, library) for source in sources)) & forbidden
        for name, functions in entered.items():
            if set(name.split("/")) & bound:
                found |= {one for path in functions for one in path.split(".")} & forbidden
        if found:
            calls |= bound
            flags.append(f"{cell['id']} uses {', '.join(sorted(found))} of the library: write your own")
    return flags, calls


def defined_in(source):
    """The names of all functions and classes, also those within others."""
    return {node.name for node in ast.walk(parsed(source)) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def names_in(source):
    """The names that a cell looks up among its own and those of other cells: not what its functions are given."""
    try:
        tables = [symtable.symtable(ast.unparse(parsed(source)), "cell", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {node.id for node in ast.walk(parsed(source)) if isinstance(node, ast.Name)}
    names = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        is_outside = table.get_type() == "module"
        names |= {one.get_name() for one in table.get_symbols() if is_outside or one.is_global()}
    return names


def tools_in(source):
    """What a cell names that looks into Python itself, or leaves it: no answer needs it."""
    found = set()
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {getattr(node, "module", None), *(alias.name for alias in node.names)}
    return sorted(found & TOOLS)


def imported_in(source):
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
