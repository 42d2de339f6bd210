"""What a teacher takes from the stored notebooks, slides and pictures, and what the site says of the module."""

import base64
import re
import sys
from html import escape
from pathlib import Path

import nbformat
import pytest

import vaejax
from vaejax.book import check, data, diagrams, plot

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import formulas  # noqa: E402
import pictures  # noqa: E402
import reference  # noqa: E402
import slides  # noqa: E402

CHAPTERS = sorted((ROOT / "chapters").glob("0[1-9]*.ipynb")) + sorted((ROOT / "chapters").glob("appendix*.ipynb"))
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


@each_chapter
def test_a_deck_shows_each_picture_and_each_numbered_formula(path):
    notebook = nbformat.read(path, as_version=4)
    end = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Exercises"))
    deck = slides.deck(notebook)
    for cell in notebook.cells[:end]:
        for out in cell.get("outputs", ()):
            if "image/png" in out.get("data", {}):
                assert base64.b64encode(base64.b64decode(out.data["image/png"])).decode() in deck, cell.id
                assert escape(cell.metadata["mystnb"]["image"]["alt"]) in deck, cell.id
        for number in re.findall(r"\\tag\{(\d+)\}", cell.source if cell.cell_type == "markdown" else ""):
            assert deck.count(rf"\qquad ({number})") == 1, (cell.id, number)
    assert deck.count("Predict:") == sum(cell.source.count("**Predict:**") for cell in notebook.cells[:end])
    assert not re.search(r'(src|href)="(?!data:|reveal\.|mathjax\.)', deck), "a deck asks for nothing beside it"


def test_pictures_are_written_with_their_captions(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "FIGURES", tmp_path)
    pictures.main()
    assert len(list(tmp_path.glob("*/*.png"))) > 100
    for folder in tmp_path.iterdir():
        words = (folder / "captions.md").read_text()
        for file in folder.glob("*.png"):
            assert file.read_bytes().startswith(b"\x89PNG")
            said = words.split(f"## {file.name}\n\n")[1].split("## ")[0]
            assert len(re.search(r"Alt text: (.*)", said)[1]) > 40, file


@pytest.mark.parametrize(
    ("text", "caption"),
    [("*What to see:\na line.*\n\nMore.", "What to see: a line."), ("**Predict:** more?", ""), ("Text, *so*.", "")],
)
def test_a_caption_is_a_first_paragraph_in_italics(text, caption):
    assert pictures.caption(text) == caption


MODULES = {name: getattr(vaejax, name) for name in vars(vaejax) if f"vaejax.{name}" in sys.modules} | {
    "book.check": check, "book.data": data, "book.diagrams": diagrams, "book.plot": plot,
}  # fmt: skip


@pytest.mark.parametrize("module", reference.modules())
def test_the_reference_holds_every_public_name(module):
    page = reference.page(module)
    for name, thing in vars(MODULES[module]).items():
        home = getattr(thing, "__module__", None) or ""
        homes = ("vaejax.book.plot.",) if module == "book.plot" else (f"vaejax.{module}", "vaejax.pca")
        if callable(thing) and not name.startswith("_") and home.startswith(homes):
            assert re.search(rf"\{{py:\w+\}} {name}\b", page), f"{module} lacks {name}"
    assert "{py:" in page


def test_the_reference_names_what_vaejax_offers_itself():
    pages = "".join(map(reference.page, reference.modules()))
    for name, thing in vars(vaejax).items():
        if callable(thing) and not name.startswith("_"):
            assert f"Also `vaejax.{name}`." in pages, name


DOCSTRING = """What it is.

y = W x + b

Args:
    x: (N,) examples,
        finite.

Raises:
    ValueError: [not] finite.

Source: somebody (2000).
"""


def test_a_docstring_becomes_a_page():
    text = reference.text(DOCSTRING)
    assert "$$\ny = W x + b\n$$" in text and "- `x`: (N,) examples, finite." in text
    assert r"- `ValueError`: \[not\] finite." in text and text.endswith("**Source**\n\nsomebody (2000).\n".rstrip())


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("E_q[log p(x, z)] - KL(q || p)", r"\mathbb{E}_{q}[\log  p(x, z)] - \operatorname{KL}(q \,\|\, p)"),
        ("N(x; mu_k, S_k S_k') | S^-1", r"\mathcal{N}(x; \mu _{k}, S_{k} S_{k}^{\top}) \mid S^{-1}"),
        ("z = mean +- sqrt(2 L) e_l", r"z = \operatorname{mean} \pm \sqrt{2 L} e_{l}"),
        ("W = the L largest, with x_obs", r"W = \text{ the } L \text{ largest}, \text{ with } x_{\mathrm{obs}}"),
        ("a = 1,  b = 2", "\\begin{gathered}\na = 1, \\\\\nb = 2\n\\end{gathered}"),
    ],
)
def test_a_formula_is_set(said, written):
    assert formulas.tex(said) == written


def test_every_formula_of_a_docstring_is_understood():
    """What is neither TeX nor a text is a letter, a number or a sign."""
    shown = "".join(map(reference.page, reference.modules()))
    found = re.findall(r"\$\$\n(.*?)\n\$\$", shown, re.DOTALL)
    assert len(found) > 15
    for formula in found:
        rest = re.sub(r"\\(text|mathrm|operatorname)\{[^{}]*\}|\\(begin|end)\{gathered\}|\\[a-zA-Z]+", " ", formula)
        assert not re.search(r"[A-Za-z]{2}|[~']|\+=|\+-", rest) and formula.count("{") == formula.count("}"), formula
