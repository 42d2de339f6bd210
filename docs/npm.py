"""Single files of npm's packages, fetched once: MathJax and reveal.js go beside the pages, axe-core looks at them."""

import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

MATHJAX = "mathjax@3.2.2", "es5/tex-svg-full.js"  # sets the formulas in the reader's browser
KEPT = Path(__file__).parent.parent / "build" / "npm"
LIMIT = 120  # seconds: left alone, npm tries again for minutes, and says nothing meanwhile
NO_NETWORK = r"code (\w*CONN\w*|ENOTFOUND|EAI_AGAIN|\w*UNREACH|\w*TIME\w*OUT)"


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
    print(f"Fetching {package} with npm, once", flush=True)
    command = [npm, "pack", "--loglevel=error", "--fetch-retries=0", f"--fetch-timeout={LIMIT * 500}", package]
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            sys.exit(_no_network(package, f"no answer in {LIMIT} seconds"))
        if found.returncode:
            code = re.search(NO_NETWORK, found.stderr)
            sys.exit(_no_network(package, code[1]) if code else f"npm could not fetch {package}: {found.stderr[:500]}")
        return (Path(folder) / found.stdout.split()[-1]).read_bytes()


def _no_network(package, why):
    return (
        f"npm could not fetch {package} ({why}): this machine has no network, or none that reaches npm's registry. "
        "Connect it (or point npm at a registry it can reach) and run this again."
    )
