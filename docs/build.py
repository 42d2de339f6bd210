"""Build the site from the stored notebooks: `make site`. Nothing is run, and no page needs a network.

    python docs/build.py [FOLDER]

Notebooks become pages by Sphinx and myst-nb. Before that they are copied, and four things are changed: audits and
answers are folded, each cell gets an address, links to cells lead there, and a word in bold leads to the glossary. In a
notebook such a link reads `03_pca.ipynb#cell-id=shadow`, as JupyterLab understands it; on the site the cell stands at
`03_pca.html#cell-shadow`. What a reader downloads is the notebook as it was.
"""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import reference
from npm import MATHJAX, take
from pictures import pictures

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "site"
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb")) + sorted((ROOT / "chapters" / "answers").glob("*.ipynb"))
MAP = ROOT / "chapters" / "00_map.ipynb"
FOLDED = {"audit", "answer", "poll"}
BESIDE = [  # what the pages refer to
    "BENCHMARKS.md",
    "data/README.md",
    "tests/CONDITIONS.md",
    "tests/SHARPNESS.md",
    "tests/benchmarks/scaling.png",
    "tests/mutants/GENERAL.md",
    "tests/mutants/README.md",
]

PLATES = {  # of each chapter: the plate, the cell below which it stands, and its question
    "01_maximum_likelihood.ipynb": [("bell", "surface", "Can you make the bell likelier? Move it, and walk uphill.")],
    "02_em_gaussian_mixture.ipynb": [
        ("frames", "frames", "Does it matter where EM starts? Move the two means, then let it step."),
        ("dial", "dial", "Where does the bound touch, and what does it lose elsewhere? Turn the dial."),
        ("touch", "touch", "Where does the bound that touches at θ have its peak? Stand somewhere, and go there."),
    ],
    "03_pca.ipynb": [
        ("line", "lines", "At which angle does the line lose least, straight and upwards? Turn it."),
        ("latents", "grid", "With how many numbers can you read it? Add one direction at a time."),
    ],
    "04_linear_gaussian.ipynb": [
        ("places", "places", "What does the posterior do when the noise goes to zero, and when x₂ has more of it?"),
    ],
    "05_nonlinear_gaussian.ipynb": [
        ("draws", "humps", "Which q needs the fewest draws? Move it, and watch the bound rise with S."),
        ("humps", "humps", "Where do the two humps weigh the same? Move x between the arms."),
    ],
    "06_vae.ipynb": [
        ("digit", "manifold", "What lies between a four and a nine? Walk about the plane."),
        ("guess", "three", "Can you guess better than an encoder trained for long? Move q until the gap is least."),
    ],
    "appendix_b_time_diffusion.ipynb": [
        ("rungs", "leap", "How many steps until every step back is nearly a Gaussian? Find the worst step."),
    ],
}


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"
    source, pages = BUILD / "source", BUILD / "html"  # myst-nb leaves a folder beside the pages
    assemble(source)
    shutil.copy(*take(*MATHJAX), source / "_static" / "mathjax.js")
    shutil.rmtree(pages, ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-b", "html", "-d", BUILD / "doctrees"]
    if subprocess.run([sys.executable, "-m", "sphinx", *map(str, [*options, source, pages])]).returncode:
        sys.exit("The site could not be built: what Sphinx says above names the page and the line.")
    for path in NOTEBOOKS:
        shutil.copy(path, pages / "_sources" / path.relative_to(ROOT))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(pages, target)
    print(f"The site is in {target}: open {target / 'index.html'}")


def assemble(folder):
    """Copy what the site is made of to `folder`, laid out as in the repository, with `index.md` on top."""
    shutil.rmtree(folder, ignore_errors=True)
    beside = shutil.ignore_patterns("__pycache__", "*.py", "_static", "index.md", "plates")
    shutil.copytree(HERE, folder / "docs", ignore=beside)
    (folder / "chapters").mkdir()
    shutil.copy(ROOT / "chapters" / "clinic.md", folder / "chapters")
    for page in [*(folder / "docs").glob("*.md"), folder / "chapters" / "clinic.md"]:
        page.write_text(to_addresses(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copytree(HERE / "_static", folder / "_static")
    shutil.copytree(HERE / "plates", folder / "_static" / "plates", ignore=beside)
    shutil.copy(HERE / "conf.py", folder)
    add_front_page(folder)
    (folder / "curriculum.md").write_text(curriculum(), encoding="utf-8")
    reference.write(folder / "reference")
    words = glossary(read(MAP))
    for path in NOTEBOOKS:
        map_ = "../00_map.ipynb" if path.parent.name == "answers" else "00_map.ipynb"
        plates = PLATES.get(str(path.relative_to(MAP.parent)), ())
        write(folder / path.relative_to(ROOT), with_plates(as_page(read(path), words, map_), plates))
    for path in sorted((ROOT / "chapters" / "assignments" / "source").glob("*/*.ipynb")):
        write(folder / "sets" / path.name, as_page(without_solutions(read(path))))
    for name in BESIDE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def add_front_page(folder):
    """index.md, with the pictures that it names: `notebook cell words`, a line each."""
    known = {path.stem: {p.name: p for p in pictures(read(path))} for path in NOTEBOOKS if path.parent == MAP.parent}
    (folder / "pictures").mkdir(parents=True)

    def figures(match):
        parts = []
        for line in match[1].splitlines():
            notebook, cell, words = line.split(" ", 2)
            picture, name = known[notebook][cell], f"{notebook}-{cell}.png"
            (folder / "pictures" / name).write_bytes(picture.png)
            parts.append(f"```{{figure}} pictures/{name}\n:target: chapters/{notebook}.html#cell-{cell}\n"
                         f":alt: {picture.alt}\n\n{words}\n```\n")  # fmt: skip
        return '<div class="gallery">\n\n' + "\n".join(parts) + "\n</div>\n"

    page = (HERE / "index.md").read_text(encoding="utf-8")
    page = re.sub(r"```\{gallery\}\n(.*?)```\n", figures, page, flags=re.DOTALL)
    (folder / "index.md").write_text(page, encoding="utf-8")


def curriculum():
    """Which cell teaches and checks which topic, as a page: a table for each notebook."""
    with open(ROOT / "tests" / "coverage.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parts = ["# What is taught where", "Each topic leads to the cell that teaches it, and each claim is checked there."]
    for path in NOTEBOOKS:
        of_this = [row for row in rows if row["notebook"].split("/")[-1] == path.stem]
        if path.parent == MAP.parent and of_this:
            title = "".join(read(path)["cells"][0]["source"]).splitlines()[0]
            parts += [f"#{title}", "| topic | what is claimed |\n|---|---|\n" + "\n".join(map(as_row, of_this))]
    return "\n\n".join(parts) + "\n"


def as_row(row):
    where = f"chapters/{row['notebook']}.ipynb#cell-{row['cell']}"
    return f"| [{reference.plain(row['topic'])}]({where}) | {reference.plain(row['claim'])} |"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def glossary(notebook):
    """The words of the map's glossary, in small letters, and their places on its page."""
    (cell,) = [cell for cell in notebook["cells"] if cell["id"] == "glossary"]
    words = re.findall(r"^\| ([^|]+?) \| .{15,}\|$", "".join(cell["source"]), re.MULTILINE)
    return {word.lower(): "word-" + re.sub(r"\W+", "-", word.lower()).strip("-") for word in words}


def with_places(text, words):
    """The glossary, a place at each of its words."""
    for word, place in words.items():
        text = re.sub(rf"(?im)^\| ({re.escape(word)}) \|", rf'| <span id="{place}"></span>\1 |', text)
    return text


def to_glossary(text, words, map_):
    """Words in bold that the glossary has lead to it."""

    def link(match):
        place = words.get(" ".join(match[1].split()).lower())
        return f"[{match[0]}]({map_}#{place})" if place else match[0]

    parts = re.split(r"(\$\$.*?\$\$)", text, flags=re.DOTALL)
    return "".join(part if part.startswith("$$") else re.sub(r"\*\*([^*]+)\*\*", link, part) for part in parts)


def as_page(notebook, words=None, map_=None):
    """The notebook with an address at each cell, and audits and answers folded; and words lead to the glossary."""
    cells = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if words and cell["cell_type"] == "markdown":
            text = with_places(text, words) if cell["id"] == "glossary" else to_glossary(text, words, map_)
        anchor = f'<span id="cell-{cell["id"]}"></span>'
        if cell["cell_type"] == "markdown":
            title, _, rest = text.partition("\n")
            opening = f"{title}\n\n{anchor}" if title.startswith("#") else f"{anchor}\n\n{title}"
            cell["source"] = to_addresses(f"{opening}\n{rest}")
        else:
            tags = cell["metadata"].setdefault("tags", [])
            if FOLDED & set(tags) or cell["metadata"].get("jupyter", {}).get("source_hidden"):
                tags.append("hide-input")
            cells.append({"cell_type": "markdown", "id": f"at-{cell['id']}", "metadata": {}, "source": anchor})
        cells.append(cell)
    return notebook | {"cells": cells}


def with_plates(notebook, plates):
    """The page with its plates, each below a cell; where scripts are off, the figure of that cell is the still."""
    for name, below, question in plates:
        words = (
            f"{question}</figcaption><noscript>This plate moves where scripts are on; the still is above.</noscript>"
        )
        html = f'<figure class="plate" id="plate-{name}" data-plate="{name}"><figcaption>{words}</figure>'
        files = sorted(path.stem for path in (HERE / "plates").glob(f"{name}*.js"))  # none, where formulas say all
        files += ["plates", "chapters"] if name == plates[-1][0] else []
        scripts = [f'<script defer src="../_static/plates/{file}.js"></script>' for file in files]
        plate = {"cell_type": "markdown", "id": f"plate-{name}", "metadata": {}, "source": "\n".join([html, *scripts])}
        notebook["cells"].insert([cell["id"] for cell in notebook["cells"]].index(below) + 1, plate)
    return notebook


def to_addresses(text):
    """Links to cells and to problem sets, as the site has them."""
    text = text.replace("(../tests/coverage.csv)", "(../curriculum.md)")
    text = re.sub(r"\(\.\./chapters/assignments/source/(\w+)\)", r"(../sets/\1.ipynb)", text)
    return re.sub(r"#cell-id=([\w-]+)", r"#cell-\1", text)


def without_solutions(notebook):
    """A problem set as students get it: no solution, no hidden test, no output."""
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        text = re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "...", text, flags=re.DOTALL)
        text = re.sub(r"### BEGIN HIDDEN TESTS.*?### END HIDDEN TESTS\n?", "", text, flags=re.DOTALL)
        is_marks = cell["cell_type"] == "markdown" and cell["metadata"].get("nbgrader", {}).get("solution")
        cell["source"] = "*Your answer.*" if is_marks else text
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


if __name__ == "__main__":
    main()
