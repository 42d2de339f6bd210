"""Put each mistake of the registry into a copy of the book and see who notices: `make mutants`.

First the unit tests of the module, then, in a run of their own, the chapters. Each stops at the first failure, whose
name goes into the table of README.md. With names as arguments, only those are run, and the other rows stay.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from clinic import CLINIC, anchor, page, symptom_of
from registry import MUTANTS

sys.path.insert(0, str(Path(__file__).parent.parent))
from first_failure import first_failure

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RESULTS = HERE / "results.json"
ONE, TWO, THREE, FOUR, FIVE, SIX = (
    f"chapters/{name}.ipynb"
    for name in ("01_maximum_likelihood", "02_em_gaussian_mixture", "03_pca", "04_linear_gaussian",
                 "05_nonlinear_gaussian", "06_vae")
)  # fmt: skip
LABELS, COMPANION = "chapters/appendix_a_labels_priors_halves.ipynb", "chapters/companion_misconceptions.ipynb"

LONG = ", of `make test-long`"
TESTS = {  # where a module has not one file of tests under its own name
    "pca": ["linear_gaussian"],
    "gmm_fast": ["gmm"],
    "bounds": ["bounds", "vae"],
    "expectation": ["expectation", "fit", "mapped", "sharding"],
    "numerics": ["expectation", "fit", "precision"],
    "book/data": ["data"],
    "book/check": ["check"],
}
# The chapters that lean on a module, those first that do so most.
CHAPTERS = {
    "densities": (ONE, COMPANION, TWO, FOUR, FIVE, SIX, LABELS),
    "nodes": (ONE, TWO, FIVE, COMPANION, FOUR, SIX),
    "bounds": (ONE, TWO, FIVE, SIX, LABELS),
    "expectation": (TWO, FOUR, FIVE, LABELS),
    "numerics": (TWO, FOUR, FIVE),
    "gradient_ascent": (ONE, TWO, FIVE, FOUR, SIX),
    "gmm": (TWO, LABELS),
    "gmm_fast": (TWO, LABELS),
    "gaussian": (TWO,),
    "pca": (THREE, FOUR, COMPANION),
    "linear_gaussian": (FOUR, THREE, COMPANION, SIX),
    "vae": (COMPANION, SIX, LABELS),
    "book/data": (ONE, FIVE, COMPANION, SIX),
    "book/check": (ONE,),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="of mutants (default: all)")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count()))
    parser.add_argument("--only", choices=("tests", "chapters"), help="one half of the work")
    options = parser.parse_args()
    unknown = set(options.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such mutants: {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}

    def examine(mutant):
        with tempfile.TemporaryDirectory() as folder:
            copy_of_the_book(folder)
            apply(mutant, Path(folder))
            found = {}
            if options.only != "chapters":
                paths = [f"tests/test_{name}.py" for name in TESTS.get(mutant.module, [mutant.module])]
                found["tests"] = first_failure(folder, paths, marked="not long")
                if found["tests"] is None and (killer := first_failure(folder, paths, marked="long")):
                    found["tests"] = f"{killer}{LONG}"
            if options.only != "tests":
                killers = (first_failure(folder, [path]) for path in chapters_for(mutant, results))
                found["chapters"] = next(filter(None, killers), None)
        return found

    with ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(examine, mutant): mutant.name for mutant in chosen}
        for done in as_completed(running):
            name, found = running[done], done.result()
            print(f"{name}: {found}", flush=True)
            results[name] = results.get(name, {}) | found
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            write_table(results)
    survivors = [mutant.name for mutant in chosen if results[mutant.name].get("tests", "") is None]
    if survivors:
        sys.exit(f"the unit tests let pass: {', '.join(survivors)}")


def chapters_for(mutant, results):
    """Those that lean on its module; the one that noticed last time goes first."""
    last = results.get(mutant.name, {}).get("chapters") or ""
    return sorted(CHAPTERS[mutant.module], key=lambda path: not last.startswith(Path(path).stem))


def copy_of_the_book(folder):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    for file in listed.stdout.splitlines():
        if (ROOT / file).is_file():
            target = Path(folder, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, target)


def apply(mutant, root):
    (path,) = (root / "vaejax").rglob(f"{mutant.module}.py")
    source = path.read_text()
    for old, new in mutant.edits:
        if source.count(old) != 1:
            raise ValueError(f"{mutant.name}: {old!r} occurs {source.count(old)} times in {path.name}, expected once")
        source = source.replace(old, new)
    path.write_text(source)


HEAD = """# Classic mistakes, and who notices

Written by `make mutants`. Each row is a mistake that somebody has made, put into a copy of `vaejax`. The third column
is the first unit test that fails, the fourth the first cell of a chapter. {tests} of the {tried} that were shown to
the unit tests are noticed by them, {short} by `make test` alone; the chapters notice {chapters} of the {seen} that were
shown to them. Registered are {total}.

Is your own program wrong? Find the sentence that could be yours, and copy the check that found it. Or start from what
you see: each name leads to its symptom in the [clinic](../../chapters/clinic.md).

"""


def write_table(results):
    found_of = {mutant.name: results.get(mutant.name, {}) for mutant in MUTANTS}
    tried, seen = (sum(half in found for found in found_of.values()) for half in ("tests", "chapters"))
    caught = {half: sum(bool(found.get(half)) for found in found_of.values()) for half in ("tests", "chapters")}
    short = sum(bool(killer := found.get("tests")) and LONG not in killer for found in found_of.values())
    lines = [HEAD.format(total=len(MUTANTS), tried=tried, seen=seen, short=short, **caught)]
    reasons = json.loads((HERE / "survivors.json").read_text()) if (HERE / "survivors.json").exists() else {}
    for module in dict.fromkeys(mutant.module for mutant in MUTANTS):
        lines.append(f"## {module}\n\n| mistake | name | unit test | chapter |\n|---|---|---|---|\n")
        for mutant in MUTANTS:
            if mutant.module == module:
                found = found_of[mutant.name]
                survived = f"*none:* {reasons.get(mutant.name, 'not explained yet')}"
                chapter = (found["chapters"] or survived) if "chapters" in found else "*not run*"
                mistake = mutant.mistake.replace("|", "\\|")
                test = (found["tests"] or "**none**") if "tests" in found else "*not run*"
                place = f"../../chapters/clinic.md#{anchor(symptom_of()[mutant.name].title)}"
                lines.append(f"| {mistake} | [{mutant.name}]({place}) | {test} | {chapter} |\n")
        lines.append("\n")
    (HERE / "README.md").write_text("".join(lines).rstrip("\n") + "\n")
    CLINIC.write_text(page())


if __name__ == "__main__":
    main()
