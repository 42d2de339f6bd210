"""Build the site from the stored notebooks: `make site`. Nothing is run, and no page needs a network.

    python docs/build.py [FOLDER]

Notebooks become pages by Sphinx and myst-nb. Before that they are copied, and three things are changed: audits and
answers are folded, each cell gets an address, and links to cells lead there. In a notebook such a link reads
`03_pca.ipynb#cell-id=shadow`, as JupyterLab understands it; on the site the cell stands at `03_pca.html#cell-shadow`.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "site"
MATHJAX = "mathjax@3.2.2"
FOLDED = {"audit", "answer"}
BESIDE = [  # what the pages refer to
    "BENCHMARKS.md",
    "data/README.md",
    "tests/CONDITIONS.md",
    "tests/benchmarks/scaling.png",
    "tests/mutants/GENERAL.md",
    "tests/mutants/README.md",
]

PLATES = {  # of each chapter: the plate, the cell below which it stands, and its question
    "01_maximum_likelihood.ipynb": [("bell", "surface", "Can you make the bell likelier? Move it, and walk uphill.")],
    "02_em_gaussian_mixture.ipynb": [
        ("frames", "frames", "Where must EM start to end elsewhere? Choose two eruptions, then let it step."),
        ("dial", "dial", "Where does the bound touch, and what does it lose elsewhere? Turn the dial."),
        ("touch", "touch", "Where does the bound that touches at θ have its peak? Stand somewhere, and go there."),
    ],
    "03_pca.ipynb": [
        ("line", "lines", "Which angle is nearest straight, and which upwards? Turn the line."),
        ("latents", "grid", "With how many directions can you read it? Add one at a time."),
    ],
    "04_linear_gaussian.ipynb": [
        ("places", "places", "What does the posterior do when the noise goes to zero, and when x₂ has more of it?"),
    ],
    "05_nonlinear_gaussian.ipynb": [
        ("draws", "humps", "Which q needs the fewest draws? Move it, and watch the bound rise with S."),
        ("humps", "humps", "Where do the two humps weigh the same? Move x between the arms."),
    ],
    "appendix_b_time_diffusion.ipynb": [
        ("rungs", "leap", "How many steps until every step back is nearly a Gaussian? Find the worst step."),
    ],
}


def main():
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"
    source, pages = BUILD / "source", BUILD / "html"  # myst-nb leaves a folder beside the pages
    assemble(source)
    add_mathjax(source / "_static")
    shutil.rmtree(pages, ignore_errors=True)
    options = ["-q", "-W", "--keep-going", "-b", "html", "-d", BUILD / "doctrees"]
    if subprocess.run([sys.executable, "-m", "sphinx", *map(str, [*options, source, pages])]).returncode:
        sys.exit("The site could not be built: what Sphinx says above names the page and the line.")
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(pages, target)
    print(f"The site is in {target}: open {target / 'index.html'}")


def assemble(folder):
    """Copy what the site is made of to `folder`, laid out as in the repository, with `index.md` on top."""
    shutil.rmtree(folder, ignore_errors=True)
    beside = shutil.ignore_patterns("__pycache__", "*.py", "_static", "index.md", "plates")
    shutil.copytree(HERE, folder / "docs", ignore=beside)
    for page in (folder / "docs").glob("*.md"):
        page.write_text(to_addresses(page.read_text(encoding="utf-8")), encoding="utf-8")
    shutil.copytree(HERE / "_static", folder / "_static")
    shutil.copytree(
        HERE / "plates", folder / "_static" / "plates", ignore=shutil.ignore_patterns("__pycache__", "*.py")
    )
    shutil.copy(HERE / "conf.py", folder)
    shutil.copy(HERE / "index.md", folder)
    for path in sorted((ROOT / "chapters").glob("*.ipynb")) + sorted((ROOT / "chapters" / "answers").glob("*.ipynb")):
        notebook = as_page(json.loads(path.read_text(encoding="utf-8")))
        write(
            folder / path.relative_to(ROOT),
            with_plates(notebook, PLATES.get(str(path.relative_to(ROOT / "chapters")), ())),
        )
    for path in sorted((ROOT / "chapters" / "assignments" / "source").glob("*/*.ipynb")):
        notebook = without_solutions(json.loads(path.read_text(encoding="utf-8")))
        write(folder / "sets" / path.name, as_page(notebook))
    for name in BESIDE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def as_page(notebook):
    """The notebook with an address at each cell, and audits and answers folded."""
    cells = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
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
        html = f'<figure class="plate" data-plate="{name}"><figcaption>{words}</figure>'
        files = [name] if (HERE / "plates" / f"{name}.js").is_file() else []  # a few models are given by formulas alone
        files += ["plates"] if name == plates[-1][0] else []
        scripts = [f'<script defer src="../_static/plates/{file}.js"></script>' for file in files]
        plate = {"cell_type": "markdown", "id": f"plate-{name}", "metadata": {}, "source": "\n".join([html, *scripts])}
        notebook["cells"].insert([cell["id"] for cell in notebook["cells"]].index(below) + 1, plate)
    return notebook


def to_addresses(text):
    """Links to cells and to problem sets, as the site has them."""
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


def add_mathjax(static):
    """MathJax, which sets the formulas in the reader's browser, from npm; fetched once."""
    script = BUILD / "mathjax.js"
    if not script.is_file():
        npm = shutil.which("npm")
        if npm is None:
            sys.exit(
                f"The site needs npm to fetch MathJax: install Node.js, or put its es5/tex-svg-full.js at {script}"
            )
        found = subprocess.run([npm, "pack", "--silent", MATHJAX], cwd=BUILD, capture_output=True, text=True)
        if found.returncode:
            sys.exit(f"npm could not fetch {MATHJAX}: {found.stderr.strip()[-500:]}")
        with tarfile.open(BUILD / found.stdout.split()[-1]) as archive:
            script.write_bytes(archive.extractfile("package/es5/tex-svg-full.js").read())
    shutil.copy(script, static)


if __name__ == "__main__":
    main()
