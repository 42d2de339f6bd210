"""How often does a test refuse a right answer? `make fairness` puts our own answers to each one's test again and again.

Each time the numbers of a test are others: the hidden ones, and those that students see. A refusal is a student who
loses points for nothing. It should never be met, and is named with the seed that shows it again.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import jax
import matplotlib
import numpy as np

SOURCES = Path(__file__).parent.parent.parent / "chapters" / "assignments" / "source"
real_rng = np.random.default_rng


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=sorted(path.parent.name for path in SOURCES.glob("*/*.ipynb")))
    parser.add_argument("--count", type=int, default=200, help="how often each test is run, at most")
    parser.add_argument("--seconds", type=float, default=60, help="and for how long")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    judge_one = partial(judge, first=options.first, count=options.count, seconds=options.seconds)
    num_runs = num_refused = 0
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for name, found in zip(options.sets, pool.map(judge_one, options.sets), strict=True):
            for test, (runs, refusals) in found.items():
                print(f"{name} {test}: {len(refusals)} of {runs} refused", *refusals[:3], sep="\n    ", flush=True)
                num_runs, num_refused = num_runs + runs, num_refused + len(refusals)
    print(f"{num_refused} of {num_runs} refused")
    sys.exit(num_refused > 0)


def judge(name, first, count, seconds):
    """{test: (how often it ran, what it said where it refused)} of one set, with our answers in it."""
    matplotlib.use("agg")
    space, found = {"__name__": "problem_set"}, {}
    for cell in json.loads((SOURCES / name / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            source, info = "".join(cell["source"]), cell["metadata"].get("nbgrader", {})
            run(source, space)
            if info.get("grade") and not info.get("solution"):
                until, runs, refusals = time.monotonic() + seconds, 0, []
                while runs < count and time.monotonic() < until:
                    refusals += refusal(source, space, first + runs)
                    runs += 1
                found[info["grade_id"]] = runs, refusals
                jax.clear_caches()  # each run has compiled functions of its own
    return found


def refusal(source, space, seed):
    """What a test says where it refuses with this seed: [words], or []."""
    hidden = real_rng([seed, 1])
    np.random.default_rng = lambda given=None: real_rng(hidden.integers(2**62) if given is None else given)
    try:
        run(source, space | {"rng": real_rng(seed), "seed_key": jax.random.key(seed)})
    except Exception as error:
        return [f"seed {seed}: {type(error).__name__}: {error}"]
    finally:
        np.random.default_rng = real_rng
    return []


def run(source, space):
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(source, "<cell>", "exec"), space)


if __name__ == "__main__":
    main()
