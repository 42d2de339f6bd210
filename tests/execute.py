"""Run notebooks from top to bottom and store their outputs, changing nothing else, so that diffs stay quiet.

    python tests/execute.py [NOTEBOOK ...]

Runs all chapters, answers and problem sets by default, and writes the README's pictures: outputs of chapters' cells.
"""

import base64
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
CHAPTERS, FIGURES = ROOT / "chapters", ROOT / "docs" / "figures"
PICTURES = {  # what README shows of the chapters
    "01_maximum_likelihood": ("bell-panels",),
    "02_em_gaussian_mixture": ("touch",),
    "03_pca": ("codes",),
    "04_linear_gaussian": ("places",),
    "05_nonlinear_gaussian": ("frames",),
    "06_vae": ("three", "manifold"),
}


def execute(path):
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}  # without the version of this machine's Python
    nbformat.write(notebook, path)
    return notebook


def store_pictures(path, notebook):
    for cell in notebook.cells:
        if path.parent == CHAPTERS and cell.id in PICTURES.get(path.stem, ()):
            png = next(o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {}))
            FIGURES.mkdir(exist_ok=True)
            (FIGURES / f"{cell.id}.png").write_bytes(base64.b64decode(png))


if __name__ == "__main__":
    patterns = "*.ipynb", "answers/*.ipynb", "assignments/source/*/*.ipynb"
    stored = [path for pattern in patterns for path in sorted(CHAPTERS.glob(pattern))]
    for path in [Path(name).resolve() for name in sys.argv[1:]] or stored:
        start = time.perf_counter()
        store_pictures(path, execute(path))
        print(f"{path.name}: stored, {time.perf_counter() - start:.0f} s")
