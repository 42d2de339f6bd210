"""Single files of npm's packages, fetched once: MathJax and reveal.js go beside the pages, axe-core looks at them."""

import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

MATHJAX = "mathjax@3.2.2", "es5/tex-svg-full.js"  # sets the formulas in the reader's browser
KEPT = Path(__file__).parent.parent / "build" / "npm"


def take(package, *files):
    """The paths of these files of a package, named with its version, such as `mathjax@3.2.2`."""
    kept = [KEPT / package / file for file in files]
    if not all(path.is_file() for path in kept):
        with tarfile.open(fileobj=io.BytesIO(_pack(package))) as archive:
            for file, path in zip(files, kept, strict=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(f"package/{file}").read())
    return kept


def _pack(package):
    npm = shutil.which("npm")
    if npm is None:
        sys.exit(f"This needs npm to fetch {package} once: install Node.js (on Debian, as root: apt install npm).")
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run([npm, "pack", "--silent", package], cwd=folder, capture_output=True, text=True)
        if found.returncode:
            sys.exit(f"npm could not fetch {package}: {found.stderr.strip()[-500:]}")
        return (Path(folder) / found.stdout.split()[-1]).read_bytes()
