"""The sentences of the companion as true-or-false questions, for Moodle and for Canvas.

    python docs/quiz.py

Reads chapters/companion_misconceptions.ipynb and writes classroom/quiz.gift (Moodle: Question bank, Import, GIFT) and
classroom/quiz-qti.zip (Canvas: Settings, Import Course Content, QTI .zip file; QTI 1.2). Git tracks neither.

A sentence is the title of a section, in quotation marks, and its verdict the paragraph that begins with **True.** or
**False.**; or it is a row of the table, | sentence | true or false | because | heard | shown |.
"""

import html
import re
import zipfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import nbformat

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "chapters" / "companion_misconceptions.ipynb"
COURSE = ROOT / "classroom"
TITLE = "vaejax: true or false?"


class Question(NamedTuple):
    name: str
    statement: str  # in Markdown, as in the notebook
    holds: bool
    reason: str


def questions(notebook):
    """All sentences of the notebook, in its order.

    Raises:
        ValueError: a sentence has no verdict, or the table has a row that says neither true nor false.
    """
    found, waiting = [], None
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        if heading := re.match(r"## (.*)", cell.source):
            if waiting:
                raise ValueError(f"{waiting[0]} has no verdict: expected a paragraph that begins with **True.**")
            quoted = re.fullmatch(r'"(.*)"', heading[1].strip())
            waiting = quoted and (cell.id.removesuffix("-text"), quoted[1])
        verdict = re.search(r"^\*\*(True|False)\.\*\*(.*?)(?:\n\n|\Z)", cell.source, re.MULTILINE | re.DOTALL)
        if verdict and waiting:
            found.append(Question(*waiting, verdict[1] == "True", " ".join(verdict[2].split())))
            waiting = None
        rows = re.findall(r"^\|(.*)\|$", cell.source, re.MULTILINE)
        if rows and rows[0].split("|")[0].strip() == "Sentence":
            found += [_of_row(row, f"{cell.id}-{i:02}") for i, row in enumerate(rows[2:], 1)]
    if waiting:
        raise ValueError(f"{waiting[0]} has no verdict: expected a paragraph that begins with **True.**")
    return found


def to_html(text):
    r"""Markdown of one paragraph, with math in \( \) or $$ $$, as both systems show it."""
    parts = re.split(r"(\$\$.*?\$\$|\$.*?\$|`.*?`)", text, flags=re.DOTALL)
    words = _words("\0".join(parts[::2]))  # whole, since *emphasis with $x$ in it* is one
    between = [_code_or_math(part) for part in parts[1::2]]
    return "".join(a + b for a, b in zip(words.split("\0"), [*between, ""], strict=True))


def feedback(question):
    return f"<b>{question.holds}.</b> {to_html(question.reason)}"


def gift(asked):
    """All questions as GIFT: the reason is the general feedback, seen after either answer."""
    lines = [f"// {len(asked)} questions, written by `make quiz` from {NOTEBOOK.name}", f"$CATEGORY: {TITLE}"]
    for question in asked:
        answer = "TRUE" if question.holds else "FALSE"
        lines.append(
            f"::{_for_gift(question.name)}:: [html]{_for_gift(to_html(question.statement))} "
            f"{{{answer}####{_for_gift(feedback(question))}}}"
        )
    return "\n\n".join(lines) + "\n"


def qti(asked):
    """The files of a QTI 1.2 package, {name: XML}, in the form that Canvas writes itself."""
    root = ElementTree.Element("questestinterop", xmlns="http://www.imsglobal.org/xsd/ims_qtiasiv1p2")
    test = _add(root, "assessment", ident="vaejax-quiz", title=TITLE)
    section = _add(test, "section", ident="root_section")
    for question in asked:
        _item(section, question)
    manifest = ElementTree.Element(
        "manifest", identifier="vaejax-quiz-package", xmlns="http://www.imsglobal.org/xsd/imsccv1p1/imscp_v1p1"
    )
    about = _add(manifest, "metadata")
    _add(about, "schema", "IMS Content")
    _add(about, "schemaversion", "1.1.3")
    _add(manifest, "organizations")
    resource = _add(_add(manifest, "resources"), "resource", identifier="vaejax-quiz", type="imsqti_xmlv1p2")
    _add(resource, "file", href="vaejax-quiz/quiz.xml")
    files = {"imsmanifest.xml": manifest, "vaejax-quiz/quiz.xml": root}
    return {name: ElementTree.tostring(tree, "utf-8", xml_declaration=True) for name, tree in files.items()}


def write(asked, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quiz.gift").write_text(gift(asked), encoding="utf-8")
    with zipfile.ZipFile(folder / "quiz-qti.zip", "w") as package:
        for name, text in qti(asked).items():
            package.writestr(zipfile.ZipInfo(name), text)  # without the time of day: the same questions, the same file


def _of_row(row, name):
    cells = [cell.strip() for cell in row.split("|")]
    if len(cells) != 5 or cells[1] not in ("true", "false"):
        raise ValueError(f"row {name} of the table is {row!r}: expected sentence, true or false, because, heard, shown")
    return Question(name, cells[0], cells[1] == "true", cells[2] + ".")


def _words(text):
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", html.escape(text, quote=False))
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text, flags=re.DOTALL)
    return re.sub(r"\*(.+?)\*", r"<em>\1</em>", text, flags=re.DOTALL)


def _code_or_math(part):
    inner = html.escape(part.strip("$`"), quote=False)
    if part.startswith("`"):
        return f"<code>{inner}</code>"
    return f"$${inner}$$" if part.startswith("$$") else rf"\({inner}\)"


def _for_gift(text):
    r"""A backslash before what GIFT reads as a sign, and before the backslash itself: \nu would be a new line and u."""
    return re.sub(r"([\\~=#{}:])", r"\\\1", " ".join(text.split()))


def _item(section, question):
    item = _add(section, "item", ident=question.name, title=question.name)
    fields = _add(_add(item, "itemmetadata"), "qtimetadata")
    for label, entry in (("question_type", "true_false_question"), ("points_possible", "1")):
        field = _add(fields, "qtimetadatafield")
        _add(field, "fieldlabel", label)
        _add(field, "fieldentry", entry)
    shown = _add(item, "presentation")
    _material(shown, to_html(question.statement))
    choices = _add(_add(shown, "response_lid", ident="response1", rcardinality="Single"), "render_choice")
    for ident in ("true", "false"):
        _material(_add(choices, "response_label", ident=ident), ident.capitalize(), "text/plain")
    scored = _add(item, "resprocessing")
    _add(_add(scored, "outcomes"), "decvar", maxvalue="100", minvalue="0", varname="SCORE", vartype="Decimal")
    always = _add(scored, "respcondition", **{"continue": "Yes"})
    _add(_add(always, "conditionvar"), "other")
    _add(always, "displayfeedback", feedbacktype="Response", linkrefid="general_fb")
    right = _add(scored, "respcondition", **{"continue": "No"})
    _add(_add(right, "conditionvar"), "varequal", str(question.holds).lower(), respident="response1")
    _add(right, "setvar", "100", action="Set", varname="SCORE")
    _material(_add(_add(item, "itemfeedback", ident="general_fb"), "flow_mat"), feedback(question))


def _material(parent, text, kind="text/html"):
    _add(_add(parent, "material"), "mattext", text, texttype=kind)


def _add(parent, tag, text=None, **attributes):
    child = ElementTree.SubElement(parent, tag, attributes)
    child.text = text
    return child


if __name__ == "__main__":
    asked = questions(nbformat.read(NOTEBOOK, as_version=4))
    write(asked, COURSE)
    print(f"{len(asked)} questions, {sum(question.holds for question in asked)} of them true, in {COURSE}")
