"""How long a chapter is, and how long one sits with it: `python tests/length.py` prints a table.

Narrative code is what the text is about: not the audits, which check a section at its end, not what the reader writes.
"""

import re
import statistics
from pathlib import Path
from typing import NamedTuple

import nbformat

WORDS_A_MINUTE, SECONDS_A_LINE = 130, 8  # of prose with formulas; of code that is run, looked at and understood
MINUTES = {1: 10, 2: 20, 3: 60}  # of an exercise, by its stars


class Length(NamedTuple):
    words: int  # of prose, the exercises apart
    lines: list  # of each narrative cell
    definitions: list  # of those that define a function
    stars: int
    reading: int  # minutes, in steps of five
    exercises: int


def kind_of(cell):
    """Of a code cell: audit, answer, poll, task or narrative."""
    tags = cell.metadata.get("tags", [])
    asks = cell.id.startswith("ex-") or cell.source.startswith("poll(")
    return next((kind for kind in ("audit", "answer", "poll") if kind in tags), "task" if asks else "narrative")


def prose(text):
    """The words of a markdown cell, without formulas, code, addresses and rules of tables."""
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|<[^>]*>", " ", text, flags=re.DOTALL)
    return re.findall(r"[A-Za-z][\w'\u2019-]*", text)


def measure(notebook):
    cells = notebook.cells
    end = next((i for i, cell in enumerate(cells) if cell.source.startswith("## Exercises")), len(cells))
    words = sum(len(prose(cell.source)) for cell in cells[:end] if cell.cell_type == "markdown")
    told = [cell.source for cell in cells if cell.cell_type == "code" and kind_of(cell) == "narrative"]
    lines = [len([line for line in source.splitlines() if line.strip()]) for source in told]
    defines = [n for n, source in zip(lines, told, strict=True) if re.search("^(def|class) ", source, re.MULTILINE)]
    stars = [len(found) for cell in cells if cell.cell_type == "markdown" for found in re.findall("★+", cell.source)]
    reading = words / WORDS_A_MINUTE + sum(lines) * SECONDS_A_LINE / 60
    return Length(words, lines, defines, len(stars), 5 * round(reading / 5), sum(MINUTES[n] for n in stars))


if __name__ == "__main__":
    for path in sorted((Path(__file__).parent.parent / "chapters").glob("*.ipynb")):
        of = measure(nbformat.read(path, as_version=4))
        print(
            f"{path.stem:30} {of.words:5} words {len(of.lines):3} cells, {sum(of.lines):3} lines, median "
            f"{statistics.median(of.lines):g}, longest {max(of.lines)}; {of.reading} + {of.exercises} minutes"
        )
