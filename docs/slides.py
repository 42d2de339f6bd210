"""A deck of slides for each chapter, from its stored notebook: pictures, predictions, numbered formulas.

    python docs/slides.py

Writes classroom/slides/<chapter>.html, which needs no network: arrows turn the slides, Esc shows all of them, and
`?print-pdf` after the address lays them out for printing. Git tracks none of them.
"""

import base64
import html
import re
import shutil
from pathlib import Path

import nbformat
from nbconvert.filters import markdown2html
from npm import MATHJAX, take
from pictures import pictures

ROOT = Path(__file__).parent.parent
SLIDES = ROOT / "classroom" / "slides"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="stylesheet" href="reveal.css">
<style>
.reveal {{ font: 26px/1.4 system-ui, sans-serif; color: #222; background: white; }}
.reveal h1, .reveal h2 {{ font-weight: 600; line-height: 1.2; margin: 0 0 1rem; }}
.reveal h2 {{ font-size: 1.2em; }}
.reveal .slides img {{ display: block; margin: auto; max-width: 100%; max-height: 465px; }}
.reveal p {{ margin: 0.6rem 0; }}
.reveal mjx-container[display] > svg {{ max-width: 100%; height: auto; }}
</style>
<script>window.MathJax = {{ tex: {{ inlineMath: [["$", "$"]] }} }}</script>
<script src="mathjax.js" defer></script>
<script src="reveal.js"></script>
</head>
<body>
<div class="reveal"><div class="slides">
{slides}
</div></div>
<script>// slides are laid out once, by the sizes of their formulas
addEventListener("load", () => MathJax.startup.promise.then(() =>
  Reveal.initialize({{ width: 1100, height: 750, hash: true, slideNumber: true, transition: "none" }})))</script>
</body>
</html>
"""


def slides(notebook):
    """The slides of a chapter in Markdown, from its title to its exercises."""
    title, *parts = notebook.cells[0].source.split("\n\n")
    learn = next(part for part in parts if part.startswith("**What you'll learn.**"))
    yield f"{title}\n\n{learn}"
    shown = {picture.name: picture for picture in pictures(notebook)}
    heading = ""
    for cell in notebook.cells[1:]:
        if cell.source.startswith("## Exercises"):
            return
        blocks = cell.source.split("\n\n") if cell.cell_type == "markdown" else []
        for before, block, after in zip(["", *blocks], blocks, [*blocks[1:], ""], strict=False):
            if block.startswith("## "):
                heading = block
            elif r"\tag{" in block:
                if before and before[0] not in "#*$":
                    yield f"{heading}\n\n{before}\n\n{block}"
                else:  # the chapter says afterwards what it means
                    said = "" if "$$" in after or "**Your line" in after else after
                    yield f"{heading}\n\n{block}\n\n{said}"
            elif "**Predict:**" in block:
                yield f"{heading}\n\n{block[block.index('**Predict:**') :]}"
        for name in (cell.id, f"{cell.id}-2"):
            if picture := shown.get(name):
                data = base64.b64encode(picture.png).decode()
                image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(picture.alt)}">'
                yield f"{heading}\n\n{image}\n\n{picture.caption}"


def deck(notebook):
    """The page of a chapter's slides; links to cells and other chapters are left out."""
    texts = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text) for text in slides(notebook)]
    # A formula with its number at the margin is always as wide as the slide or wider: only the others can shrink to it.
    texts = [re.sub(r"\\tag\{(.*?)\}", r"\\qquad (\1)", text) for text in texts]
    title = texts[0].splitlines()[0].lstrip("# ")
    sections = "\n".join(f"<section>\n{markdown2html(text)}\n</section>" for text in texts)
    return PAGE.format(title=html.escape(title), slides=re.sub(r'<a class="anchor-link".*?</a>', "", sections))


def main():
    SLIDES.mkdir(parents=True, exist_ok=True)
    for file in take("reveal.js@6.0.2", "dist/reveal.js", "dist/reveal.css"):
        shutil.copy(file, SLIDES)
    shutil.copy(*take(*MATHJAX), SLIDES / "mathjax.js")
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        if re.match(r"0[1-9]|appendix", path.stem):
            (SLIDES / f"{path.stem}.html").write_text(deck(nbformat.read(path, as_version=4)), encoding="utf-8")
    print(f"Slides are in {SLIDES}: open one of them in a browser")


if __name__ == "__main__":
    main()
