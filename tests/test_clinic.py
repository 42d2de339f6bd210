"""The clinic names every mistake once, and what it names is there."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "mutants"))
import clinic  # noqa: E402
from registry import MUTANTS  # noqa: E402


def test_every_mistake_stands_under_one_symptom():
    causes = [name for symptom in clinic.SYMPTOMS for name in symptom.causes.split()]
    assert sorted(causes) == sorted(mutant.name for mutant in MUTANTS)


def test_the_page_is_that_of_the_registry():
    assert clinic.CLINIC.read_text() == clinic.page(), "run python tests/mutants/clinic.py"


@pytest.mark.parametrize("symptom", clinic.SYMPTOMS, ids=lambda symptom: clinic.anchor(symptom.title)[:30])
def test_a_symptom_leads_to_a_cell_that_is_there(symptom):
    notebook, cell = symptom.read
    book = nbformat.read(ROOT / "chapters" / f"{notebook}.ipynb", as_version=4)
    assert cell in {c.id for c in book.cells}, f"no cell {cell} in {notebook}"


def test_what_notices_a_mistake_is_there():
    tests = {
        name for path in (ROOT / "tests").glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    named = set(re.findall(r"`(test_\w+)`", clinic.page()))
    assert len(named) > 40 and named <= tests, named - tests


def test_the_table_of_mistakes_leads_to_the_clinic():
    table = (ROOT / "tests" / "mutants" / "README.md").read_text()
    headings = {clinic.anchor(line[3:]) for line in clinic.page().splitlines() if line.startswith("## ")}
    links = re.findall(r"clinic\.md#([a-z0-9-]+)", table)
    assert len(links) == len(MUTANTS) and set(links) == headings
