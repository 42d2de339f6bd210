"""The pictures of the chapters, as their notebooks hold them, for slides and handouts of your own.

    python docs/pictures.py

Writes classroom/figures/<chapter>/<cell>.png, and captions.md with the caption and the alt text of each. Git tracks
neither.
"""

import base64
import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "classroom" / "figures"


class Picture(NamedTuple):
    name: str  # of its cell; a second one of the same cell ends with -2
    png: bytes
    alt: str
    caption: str  # Markdown, "" where there is none


def pictures(notebook):
    """All pictures of a notebook, as `json.loads` or nbformat reads it, in its order."""
    cells = notebook["cells"]
    for cell, below in zip(cells, [*cells[1:], {"source": ""}], strict=True):
        found = [out["data"]["image/png"] for out in cell.get("outputs", ()) if "image/png" in out.get("data", {})]
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for i, png in enumerate(found, 1):
            name = cell["id"] if i == 1 else f"{cell['id']}-{i}"
            yield Picture(name, base64.b64decode(png), alt, caption("".join(below["source"])))


def caption(text):
    """The first paragraph, if it is all in italics: what to see in the picture above."""
    first = " ".join(text.split("\n\n")[0].split())
    return first[1:-1] if re.fullmatch(r"\*[^*].*[^*]\*", first) else ""


def main():
    for path in sorted((ROOT / "chapters").glob("*.ipynb")):
        found = list(pictures(json.loads(path.read_text(encoding="utf-8"))))
        folder = FIGURES / path.stem
        for picture in found:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{picture.name}.png").write_bytes(picture.png)
        if found:
            text = "\n".join(f"## {p.name}.png\n\n{p.caption}\n\nAlt text: {p.alt}\n" for p in found)
            (folder / "captions.md").write_text(text, encoding="utf-8")
    print(f"Pictures, captions and alt texts are in {FIGURES}")


if __name__ == "__main__":
    main()
