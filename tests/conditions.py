"""Do the chapters hold on any seed and on any machine? `make seeds N=20` and `make backends` run them all and say so.

The table goes to tests/CONDITIONS.md. Every notebook runs by itself, under strict nbval: each claim must hold, and each
printed word must be the stored one.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import metadata
from itertools import product
from pathlib import Path

from first_failure import first_failure

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "tests" / "conditions.json"
TABLE = ROOT / "tests" / "CONDITIONS.md"
NOTEBOOKS = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "chapters").glob("*.ipynb"))]
ONE_CORE = ("taskset", "-c", "0")

BACKENDS = {  # name -> what `first_failure` is to run with
    "all cores": {},
    "one core": {"prefix": ONE_CORE},
    "no AVX-512": {"XLA_FLAGS": "--xla_cpu_max_isa=AVX2"},
    "no AVX": {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"},
    "8 devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
    "float64": {"JAX_ENABLE_X64": "1"},
    "lowest versions": {"python": str(ROOT / ".venv-lowest/bin/python")},
    "newest versions": {"python": str(ROOT / ".venv-newest/bin/python")},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("seeds", "backends"))
    parser.add_argument("--count", type=int, default=20, help="how many fresh seeds")
    parser.add_argument("--names", nargs="*", default=list(BACKENDS), choices=list(BACKENDS), help="of backends")
    parser.add_argument("--notebooks", nargs="*", default=NOTEBOOKS, help="such as chapters/03_pca.ipynb")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count()))
    options = parser.parse_args()
    if options.what == "seeds":
        runs = {f"seed {seed}": {"VAEJAX_SEED": str(seed)} for seed in fresh_seeds(options.count)}
    else:
        runs = {name: BACKENDS[name] for name in options.names}
    for name in set(runs) & {"lowest versions", "newest versions"}:
        install(name.split()[0])
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"seeds": {}, "backends": {}}

    def attempt(job):
        run, notebook = job
        return first_failure(ROOT, [notebook], limit=1800, **runs[run])

    num_failed = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(attempt, job): job for job in product(runs, options.notebooks)}
        for done in as_completed(running):
            (run, notebook), failure = running[done], done.result()
            num_failed += failure is not None
            print(f"{run}, {notebook}: {failure or 'passed'}", flush=True)
            results[options.what].setdefault(run, {})[notebook] = failure
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            write_table(results)
    sys.exit(f"{num_failed} runs failed" if num_failed else 0)


def fresh_seeds(count):
    return [secrets.randbelow(10**6) for _ in range(count)]


def install(which):
    """A virtual environment with the lowest, or the newest, versions that pyproject.toml admits."""
    folder = ROOT / f".venv-{which}"
    if (folder / "ready").exists():
        return
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = project["dependencies"] + project["optional-dependencies"]["notebooks"]
    if which == "lowest":
        bounds = [(req.name, spec.version) for req in map(Requirement, needed) for spec in req.specifier
                  if spec.operator == ">="]  # fmt: skip
        needed = [f"{name}=={version}" for name, version in bounds]
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "-qq", "install"]
    subprocess.run([*pip, *needed, "-e", str(ROOT)], check=True)
    (folder / "ready").touch()


def write_table(results):
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("jax", "flax", "optax", "numpy"))
    lines = [
        "# The chapters under other conditions\n\nWritten by `make seeds N=20` and `make backends`, with ",
        f"{versions} where the row names no other. A cell that is named failed there.\n\n",
    ]
    seeds = results["seeds"]
    lines.append("| notebook | fresh seeds that passed | failures |\n|---|---|---|\n")
    for notebook in NOTEBOOKS:
        tried = {run: found[notebook] for run, found in seeds.items() if notebook in found}
        failed = "; ".join(f"{run}: {failure}" for run, failure in tried.items() if failure)
        passed = sum(failure is None for failure in tried.values())
        lines.append(f"| {Path(notebook).stem} | {passed} of {len(tried)} | {failed} |\n")
    if results["backends"]:
        lines.append("\n| condition | " + " | ".join(Path(n).stem for n in NOTEBOOKS) + " |\n")
        lines.append("|---|" + "---|" * len(NOTEBOOKS) + "\n")
    for run in (name for name in BACKENDS if name in results["backends"]):
        found = results["backends"][run]
        cells = ["not run" if n not in found else (found[n] or "passed").split(": ")[-1] for n in NOTEBOOKS]
        lines.append(f"| {run} | " + " | ".join(cells) + " |\n")
    TABLE.write_text("".join(lines))


if __name__ == "__main__":
    main()
