"""The quiz of the companion, read back from what Moodle and Canvas would read."""

import html
import importlib.util
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("quiz", ROOT / "docs" / "quiz.py")
quiz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(quiz)
COMPANION = nbformat.read(quiz.NOTEBOOK, as_version=4)
ASKED = quiz.questions(COMPANION)
ODD = quiz.Question(
    'odd ~ = # { } : "name"',
    r"a ~ b = c # d {e} :: f < g & h > i, $\nu \times \frac{1}{2} < 3$ and `a & b = {}`",
    True,
    r"$$\log p(x) = \sum_{n} \#\{n : x_n < 0\}$$ **is** *so for $q$*, see [a cell](x.ipynb#cell-id=y): \\ & \~",
)
both = pytest.mark.parametrize("asked", [ASKED, [ODD]], ids=["companion", "odd"])


def from_gift(text):
    """[(name, statement, answer, feedback)], by Moodle's rules: first the escapes, then the signs."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        block = "\n".join(line for line in block.splitlines() if not line.startswith(("//", "$CATEGORY:")))
        if not block.strip():
            continue
        block = block.replace("\\\\", "\0")  # a backslash that is one
        kept = {f"\\{sign}": chr(i + 1) for i, sign in enumerate(":#={}~")} | {"\\n": "\n"}
        for escaped, stand_in in kept.items():
            block = block.replace(escaped, stand_in)

        def back(part):
            for i, sign in enumerate(":#={}~"):
                part = part.replace(chr(i + 1), sign)
            return part.replace("\0", "\\").strip()

        name, statement, answer = re.fullmatch(r"::([^:]*)::([^{]*)\{([^}]*)\}", block.strip()).groups()
        key, general = answer.split("####")
        assert statement.strip().startswith("[html]") and not set("~=#") & set(statement + general)
        found.append((back(name), back(statement).removeprefix("[html]"), back(key), back(general)))
    return found


def plain(marked):
    """What a reader sees: without tags, with the signs for which names stood."""
    return html.unescape(re.sub(r"</?(b|em|code)>", "", marked))


def told(question):
    """The same from the Markdown, by another route than the program's."""

    def clean(text):
        text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
        text = re.sub(r"(?<!\$)\$(?!\$)([^$]+)\$(?!\$)", r"\\(\1\\)", text)
        return re.sub(r"\*\*?|`", "", text)

    return question.name, clean(question.statement), question.holds, f"{question.holds}. {clean(question.reason)}"


@both
def test_moodle_reads_back_every_question(asked):
    read = [
        (name, plain(statement), {"TRUE": True, "FALSE": False}[key], plain(general))
        for name, statement, key, general in from_gift(quiz.gift(asked))
    ]
    assert read == [told(question) for question in asked]


@both
def test_canvas_reads_back_every_question(asked, tmp_path):
    quiz.write(asked, tmp_path)
    with zipfile.ZipFile(tmp_path / "quiz-qti.zip") as package:
        files = {name: ElementTree.fromstring(package.read(name)) for name in package.namelist()}
    for tree in files.values():
        for node in tree.iter():
            node.tag = node.tag.split("}")[-1]
    resource = files["imsmanifest.xml"].find("resources/resource")
    assert resource.get("type") == "imsqti_xmlv1p2"
    (test,) = files[resource.find("file").get("href")].findall("assessment")
    read = []
    for item in test.findall("section/item"):
        answers = [
            condition.find("conditionvar/varequal").text
            for condition in item.findall("resprocessing/respcondition")
            if condition.find("setvar") is not None and condition.find("setvar").text == "100"
        ]
        shown = item.findall("resprocessing/respcondition/displayfeedback")
        (given,) = [f for f in item.findall("itemfeedback") if f.get("ident") == shown[0].get("linkrefid")]
        labels = item.findall("presentation/response_lid/render_choice/response_label")
        assert [(label.get("ident"), label.find("material/mattext").text) for label in labels] == [
            ("true", "True"),
            ("false", "False"),
        ]
        assert item.find("itemmetadata/qtimetadata/qtimetadatafield/fieldentry").text == "true_false_question"
        statement, reason = item.find("presentation/material/mattext"), given.find("flow_mat/material/mattext")
        assert statement.get("texttype") == reason.get("texttype") == "text/html"
        assert answers in (["true"], ["false"])
        read.append((item.get("ident"), plain(statement.text), answers == ["true"], plain(reason.text)))
    assert read == [told(question) for question in asked]


def test_the_same_questions_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        quiz.write(ASKED, tmp_path / name)
    for file in ("quiz.gift", "quiz-qti.zip"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_every_sentence_of_the_companion_is_asked_once_and_neither_answer_is_always_right():
    text = [cell.source for cell in COMPANION.cells if cell.cell_type == "markdown"]
    headings = [source.splitlines()[0] for source in text if source.startswith('## "')]
    verdicts = re.findall(r"^\*\*(True|False)\.\*\*", "\n".join(text), re.MULTILINE)
    of_sections = [question for question in ASKED if not question.name.startswith("table-")]
    assert [f'## "{question.statement}"' for question in of_sections] == headings and len(headings) == 12
    assert [str(question.holds) for question in of_sections] == verdicts
    for some in (of_sections, ASKED[12:]):
        assert 1 / 7 < sum(question.holds for question in some) / len(some) < 1 / 2
    assert len({question.name for question in ASKED}) == len({q.statement for q in ASKED}) == len(ASKED) > 40
    assert all(len(question.reason) > 10 for question in ASKED)


def test_each_row_of_the_table_leads_to_a_cell():
    table = next(cell.source for cell in COMPANION.cells if cell.id == "table")
    links = re.findall(r"\]\((\w+)\.ipynb#cell-id=([\w-]+)\) \|$", table, re.MULTILINE)
    assert len(links) == len(ASKED) - 12
    ids = {
        name: {cell.id for cell in nbformat.read(ROOT / "chapters" / f"{name}.ipynb", as_version=4).cells}
        for name, _ in links
    }
    for name, cell in links:
        assert cell in ids[name], f"{name} has no cell {cell}"


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        (['## "A sentence"', "no verdict"], "a has no verdict"),
        (['## "A sentence"', "## Another", "**True.** Too late."], "a has no verdict"),
        (["| Sentence | | Because | Heard | Shown |\n|---|---|---|---|---|\n| s | maybe | b | h | l |"], "a-01"),
        (["| Sentence | | Because | Heard | Shown |\n|---|---|---|---|---|\n| p(x | z) | true | b | h | l |"], "a-01"),
    ],
)
def test_a_sentence_without_a_verdict_is_refused(cells, what):
    notebook = new_notebook(cells=[new_markdown_cell(text, id=name) for name, text in zip("abc", cells, strict=False)])
    with pytest.raises(ValueError, match=what):
        quiz.questions(notebook)
