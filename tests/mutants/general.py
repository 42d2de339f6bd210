"""Every small change that cosmic-ray can think of in the three modules below all others: `make mutants-general`.

The registry holds mistakes that somebody would make; this is the other half, mistakes of a machine: each operator and
each number changed in turn. What the unit tests let pass goes into GENERAL.md, and must be explained in general.json,
which maps a module to {change: reason}: an explained change computes the same.
"""

import argparse
import functools
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run import HERE, ROOT, copy_of_the_book

BIN = ROOT / ".venv-mutants" / "bin"
REASONS = HERE / "general.json"
RESULTS = HERE / "general_results.json"
TESTS = {  # those first that are quick to notice
    "densities": ("densities", "bad_input", "nodes", "bounds"),
    "nodes": ("nodes", "bad_input", "bounds"),
    "bounds": ("bounds", "bad_input", "sharding", "fit"),
}
# Bits of floats cannot be shifted: such changes die of a TypeError, and show nothing.
SENSELESS = r"core/Replace(Binary|Unary)Operator_.*(RShift|LShift|BitAnd|BitOr|BitXor|Invert)"
CONFIG = """[cosmic-ray]
module-path = "vaejax/{module}.py"
timeout = 600.0
excluded-modules = []
test-command = "{python} -m pytest -x -q --tb=no -p no:cacheprovider --hypothesis-profile=mutants {tests}"
[cosmic-ray.distributor]
name = "local"
[cosmic-ray.filters.operators-filter]
exclude-operators = ['''{senseless}''']
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(TESTS)} (default: all)")
    parser.add_argument("--again", action="store_true", help="of the last run's mutants only those that survived it")
    parser.add_argument("--jobs", type=int, default=min(len(TESTS), os.cpu_count()))
    options = parser.parse_args()
    unknown = set(options.modules) - set(TESTS)
    if unknown:
        parser.error(f"no such modules: {', '.join(sorted(unknown))}")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with ThreadPoolExecutor(options.jobs) as pool:
        for module, found in pool.map(functools.partial(examine, again=options.again), options.modules or TESTS):
            results[module] = found
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    unexplained = write_table(results)
    if unexplained:
        sys.exit("not noticed and not explained:\n" + "\n".join(unexplained))


def examine(module, again):
    """(module, what became of its mutants): how many there were, and the changes that survived.

    They are kept beside the source that they change: a run that was cut short goes on with `again`.
    """
    session, source = BIN.parent / f"{module}.sqlite", BIN.parent / f"{module}.py"
    now = (ROOT / "vaejax" / f"{module}.py").read_text()
    if again and not (session.exists() and source.exists() and source.read_text() == now):
        raise SystemExit(f"{module} has changed since its last run, or had none: run it without --again")
    with tempfile.TemporaryDirectory() as folder:
        copy_of_the_book(folder)
        tests = " ".join(f"tests/test_{name}.py" for name in TESTS[module])
        config = CONFIG.format(module=module, python=sys.executable, tests=tests, senseless=SENSELESS)
        Path(folder, "config.toml").write_text(config)
        env = os.environ | {"PYTHONPATH": folder, "JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"}

        def call(*command):
            done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr}")
            return done.stdout

        call(BIN / "cosmic-ray", "baseline", "config.toml")  # the tests pass as things stand
        if again:
            with sqlite3.connect(session) as table:
                table.execute("DELETE FROM work_results WHERE test_outcome = 'SURVIVED'")
        else:
            source.unlink(missing_ok=True)
            session.unlink(missing_ok=True)
            call(BIN / "cosmic-ray", "init", "config.toml", session)
            call(BIN / "cr-filter-operators", session, "config.toml")
            source.write_text(now)
        call(BIN / "cosmic-ray", "exec", "config.toml", session)
        lines = map(json.loads, call(BIN / "cosmic-ray", "dump", session).splitlines())
    shown = [result for _, result in lines if result and result["worker_outcome"] != "skipped"]
    strange = {result["worker_outcome"] for result in shown} - {"normal"}
    if strange:
        raise RuntimeError(f"{module}: cosmic-ray reports {strange}")
    survived = sorted(change(result["diff"]) for result in shown if result["test_outcome"] == "survived")
    return module, {"shown": len(shown), "survived": survived}


def change(diff):
    """A diff of one statement, as `old -> new`."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    old, new = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{old} -> {new}"


def write_table(results):
    """GENERAL.md; returns the changes that survived without a reason."""
    reasons = json.loads(REASONS.read_text())
    lines = [
        "# Mistakes of a machine\n\nWritten by `make mutants-general`: cosmic-ray changes each operator and each "
        "number of a module in turn, and the unit\ntests are to notice. What they let pass is listed with the reason "
        "why it is no mistake.\n"
    ]
    unexplained = []
    for module, found in sorted(results.items()):
        lines.append(f"\n## {module}\n\n{found['shown'] - len(found['survived'])} of {found['shown']} are noticed.\n")
        if found["survived"]:
            lines.append("\n| change | why it changes nothing |\n|---|---|\n")
        for survivor, times in sorted(Counter(found["survived"]).items()):
            reason = reasons.get(module, {}).get(survivor)
            if reason is None:
                unexplained.append(f"{module}: {survivor}")
            lines.append(f"| `{survivor.replace('|', chr(92) + '|')}` | {reason or '**not explained**'} |\n" * times)
    (HERE / "GENERAL.md").write_text("".join(lines))
    return unexplained


if __name__ == "__main__":
    main()
