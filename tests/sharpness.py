"""How far from its claim may a result be and still pass? `make sharpness` runs the chapters and writes it down.

    python tests/sharpness.py [NOTEBOOK ...]

The effect of a check is its distance from the nearest statement that would be another one; a tolerance above a fifth of
it is too wide to tell the two apart, unless WIDE says why. What the other statement is depends on the check:

close       the nearest of the `mistakes` that it names; that nothing is there (0); that it is the same everywhere (the
            mean over the places). Where the claim is that something is 0, the value that it takes when a number which
            the cell starts from is a tenth off: of all these numbers, the one that matters most.
mean        the same two, and that it is one standard deviation of the draws off; its tolerance is the standard errors.
bound       that the two are equal, or the other way round: the largest gap between them. Its tolerance is the slack.
increasing  that the curve falls by the slack at every step, and the rise from end to end is what this is compared with.
true, equal are exact.

Both a bound and a rise must also turn red when they are turned round: else they cannot fail. In an array, one place
that is off is enough to turn it red: so effects and tolerances are compared where they differ most.
"""

import ast
import json
import linecache
import os
import sys
import time
from pathlib import Path

import jax
import matplotlib as mpl
import nbformat
import numpy as np

from vaejax.book import check

ROOT = Path(__file__).parent.parent
CHAPTERS = ROOT / "chapters"
RESULTS, TABLE = ROOT / "tests" / "sharpness.json", ROOT / "tests" / "SHARPNESS.md"
FIFTH = 0.2
FEW = 9  # numbers, which are each a claim of its own; more are values of one function
SLOW = 2  # seconds: such a cell is not run again, and a claim of 0 needs an effect by hand
KINDS = ("true", "equal", "close", "mean", "increasing", "bound")
EFFECTS = {}  # "notebook: cell: claim" -> the effect and what it is, where no rule finds it
WIDE = {}  # "notebook: cell: claim" -> why its tolerance is above a fifth


def main(names):
    mpl.use("agg")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for path in [Path(name).resolve() for name in names] or sorted(CHAPTERS.glob("*.ipynb")):
        start = time.perf_counter()
        results[path.stem] = measure(path)
        print(f"{path.stem}: {len(results[path.stem])} checks, {time.perf_counter() - start:.0f} s", flush=True)
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def measure(path):
    """Run the notebook and return what is known of each of its checks, in their order."""
    os.chdir(path.parent)
    notebook = nbformat.read(path, as_version=4)
    names, found = {"__name__": "__main__"}, []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            known = run(cell.source, f"{path.stem}:{cell.id}", names)
            for each in known:
                each["cell"] = cell.id
            found += known
    return found


def run(source, filename, names):
    """The checks of a cell. It is run again with each number that it starts from, or comes by, a tenth off."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    before, states, start = dict(names), generators(names), time.process_time()
    found = listen(compile(source, filename, "exec"), names)
    slow = time.process_time() - start > SLOW
    if not slow and any(each["zero"] or each["kind"] == "close" for each in found):
        after, states_after = dict(names), generators(names)
        for name, code, value in variants(source, filename, before):
            names.clear()
            names.update(before | {"a_tenth_off": a_tenth_off})
            restore(states)
            names |= value
            try:
                others = listen(code, names)
            except Exception:  # a tenth off may be out of range: then the cell says so, which is red enough
                continue
            for each, other in zip(found, others, strict=False):
                if other["claim"] == each["claim"]:
                    each["moved"][name] = (
                        other["off"] if each["zero"] else distance(each["expected"], other["expected"])
                    )
        names.clear()
        names.update(after)
        restore(states_after)
    return [judged(each) for each in found]


def judged(known):
    """With the number that matters most, where it is nearer than what is known already."""
    del known["expected"]
    moved = known.pop("moved")
    if known.pop("zero") or known["kind"] == "close":
        name = max(moved, key=moved.get, default=None)
        if name and moved[name] > 1e-9 and (known["effect"] is None or moved[name] < known["effect"]):
            known |= {"effect": moved[name], "what": f"{name} a tenth off"}
    return known


def variants(source, filename, names):
    """The cell, with one number, array or tree of parameters a tenth off: one from before it, or one of its own."""
    tree = ast.parse(source)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for name in sorted(used & set(names)):
        if (off := a_tenth_off(names[name])) is not names[name]:
            yield name, compile(tree, filename, "exec"), {name: off}
    for i, statement in enumerate(tree.body):
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        for name in {node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)}:
            change = ast.parse(f"{name} = a_tenth_off({name})").body
            changed = ast.Module(tree.body[: i + 1] + change + tree.body[i + 1 :], [])
            yield name, compile(changed, filename, "exec"), {}


def a_tenth_off(value):
    """1.1 times the numbers in it that are real; the value itself where it holds anything but arrays and numbers."""
    leaves = jax.tree.leaves(value)
    if not all(isinstance(leaf, int | float | np.ndarray | np.generic | jax.Array) for leaf in leaves):
        return value
    if not any(map(is_real, leaves)):
        return value
    return jax.tree.map(lambda leaf: leaf * 1.1 if is_real(leaf) else leaf, value)


def is_real(leaf):
    if isinstance(leaf, float):
        return True
    return isinstance(leaf, np.ndarray | np.generic | jax.Array) and jax.numpy.issubdtype(leaf.dtype, np.floating)


def generators(names):
    return [(g, g.bit_generator.state) for g in names.values() if isinstance(g, np.random.Generator)]


def restore(states):
    for generator, state in states:
        generator.bit_generator.state = state


def listen(code, names):
    """Run the code and return what its checks were asked, whether they hold or not."""
    found, own = [], {kind: getattr(check, f"check_{kind}") for kind in KINDS}

    def hear(kind):
        def heard(claim, *values, **options):
            if not any(value is ... for value in values):
                asked = {"kind": kind, "claim": claim, "moved": {}, "expected": 0.0, "zero": False}
                found.append(asked | globals()[kind](*values, **options))

        return heard

    for kind in KINDS:
        setattr(check, f"check_{kind}", hear(kind))
    try:
        exec(code, names)
    finally:
        for kind in KINDS:
            setattr(check, f"check_{kind}", own[kind])
    return found


# What each check may take, and what it has to tell apart: tolerance, effect, what the effect is, how far off it was.


def true(holds):
    return exact()


def equal(got, expected):
    return exact()


def exact():
    return {"tolerance": 0.0, "effect": 1.0, "what": "exact", "off": 0.0}


def close(got, expected, *, atol, mistakes=None):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    off = distance(got, expected)
    named = {
        f"mistake: {q}": np.asarray(v, float) for q, v in (mistakes or {}).items() if np.shape(v) in ((), got.shape)
    }
    return nearest(expected, named, atol) | {"off": off, "expected": expected}


def mean(draws, expected, *, num_se=6):
    draws, expected = np.asarray(draws, float), np.asarray(expected, float)
    sd = draws.std(0, ddof=1)
    tolerance = num_se * sd / np.sqrt(len(draws))
    off = np.abs(draws.mean(0) - expected)
    return nearest(expected, {"one standard deviation off": expected + sd}, tolerance) | {"off": float(np.max(off))}


def nearest(expected, others, tolerance):
    """The other statement that the tolerance tells apart least."""
    others = dict(others)
    if np.abs(expected[np.isfinite(expected)]).max(initial=0) > 0:
        others["nothing"] = np.zeros_like(expected)
        if expected.size > 1 and np.ptp(expected[np.isfinite(expected)]) > 0:
            others["the same everywhere"] = np.full_like(expected, expected[np.isfinite(expected)].mean())
    best = None
    for what, value in others.items():
        away = np.abs(np.where(np.isfinite(expected), value - expected, np.inf)) + 0 * tolerance
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(away > 0, tolerance / away, np.inf)
        few = what == "nothing" and ratios.size <= FEW
        ratios = np.where(few & (away == 0), 0, ratios)
        place = np.unravel_index((np.argmax if few else np.argmin)(ratios), ratios.shape)
        if best is None or ratios[place] > best[0]:
            best = ratios[place], float(away[place]), float((tolerance + 0 * away)[place]), what
    if best is None:
        return {"tolerance": float(np.max(tolerance)), "effect": None, "what": "", "zero": True}
    return {"tolerance": best[2], "effect": best[1], "what": best[3]}


def bound(low, high, *, slack=0.0):
    low, high = np.asarray(low, float), np.asarray(high, float)
    gaps = np.where(low == high, 0, high - low)
    known = {"tolerance": slack, "effect": float(gaps.max()), "what": "largest gap", "off": float(-gaps.min())}
    scale = max(np.abs(low[np.isfinite(low)]).max(initial=0), np.abs(high[np.isfinite(high)]).max(initial=0))
    return known | {"least": float(gaps.min()), "median": float(np.median(gaps)), "scale": float(scale)}


def increasing(values, *, slack=0.0):
    values = np.atleast_1d(np.asarray(values, float))
    steps = np.diff(values)
    fall = slack * steps.shape[-1]
    return {"tolerance": fall, "effect": float((values[..., -1] - values[..., 0]).max()), "what": "rise in all",
            "off": float(-steps.min())}  # fmt: skip


def distance(got, expected):
    with np.errstate(invalid="ignore"):
        return float(np.abs(np.where(got == expected, 0, got - expected)).max())


if __name__ == "__main__":
    main(sys.argv[1:])
