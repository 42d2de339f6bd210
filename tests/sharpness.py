"""How far from its claim may a result be and still pass? `make sharpness` runs the chapters and writes it down.

    python tests/sharpness.py [NOTEBOOK ...]

The effect of a check is the distance from what it claims to the nearest other statement. A tolerance above a fifth of
it cannot tell the two apart well, and a reason stands beside it. Which statements are near depends on the check:

- close: one of the `mistakes` that it names; that there is nothing (0); that it is the same everywhere (the mean of the
  places); and what is expected when a number that the cell starts from, or comes by, is a tenth off: of these numbers,
  the one that matters most. For a claim of 0 the last is all there is.
- mean: that there is nothing, and that it is the same everywhere; where it claims 0, that the mean is a standard
  deviation of the draws off. The tolerance is the standard errors that it grants.
- bound: that both are equal: the effect is the largest gap between them, the tolerance is the slack.
- increasing: that the curve falls, by the slack at every step; the effect is its rise from end to end.
- true, equal: are exact, and so is a bound or a rise without slack.

One place of many that is off turns a check red: so tolerance and effect are compared at the place where they differ
most. Of a few numbers, though, each is a claim of its own, and none of them may be mistaken for 0.
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
EFFECTS = {  # notebook -> claim -> an effect that no rule above finds, and what it is
    "02_em_gaussian_mixture": {"a parabola": (1.4e-5, "the cubic term of log p itself")},
    "05_nonlinear_gaussian": {"densest at the inner end": (0.8, "at the outer end, radius 1")},
    "06_vae": {"with one draw it is the bound": (4.2, "with a thousand draws")},
    "appendix_a_labels_priors_halves": {
        "finer and wider: the same log p(x, told its label)": (5.0, "the lead that the section claims"),
        "and the same for the plain model": (5.0, "the lead that the section claims"),
        "absorbed: the same log p": (0.05, "the gain that the section claims"),
        "finer: the same log p with a prior": (0.05, "the gain that the section claims"),
        "finer and wider: the same for the halves of threes": (2.3, "log 10, the most that a label is worth"),
    },
    "appendix_b_time_diffusion": {
        "in the valley the walks end as rarely as the data": (0.31, "as often as before the walk"),
    },
    "companion_misconceptions": {
        "no independent q is better": (0.036, "a mean of q a tenth off, where the noise is largest"),
    },
    "side_roads": {
        "with 4 pixels no pattern is new": (0.95, "with 64 pixels"),
        "the third hardly anything": (0.55, "as much as the second"),
    },
}
WIDE = {  # notebook -> claim -> why its tolerance may be above a fifth of the effect
    "05_nonlinear_gaussian": {
        "log sd of the noisy feature: -1.5 + 0.6 z": "A fit to 400 points, with a standard error of about 0.1: it "
        "tells the slope from none, and its sign.",
        "the pathwise gradient is unbiased": "The slope in log sd is a hundredth of that in the mean, which is known "
        "to a hundredth.",
        "so is the score function": "The same, and that in the mean is known to a tenth.",
    },
    "06_vae": {
        "one draw: all four slopes are right on average": "The third slope is a tenth of the first, and of one draw "
        "the scatter is as large as the first.",
    },
    "companion_misconceptions": {
        "the KL is the average of log q - log p": "400 draws, with the same noise for every picture, tell it to a "
        "twentieth.",
    },
    "appendix_a_labels_priors_halves": {
        "own draws: the half names as often as it says": "400 draws, a grid for each label: known to 0.025 of all.",
        "own draws: a label is worth log 10 less the entropy": "The same draws: known to a fiftieth of log 10.",
        "own draws: what was hidden, less what was expected": "60 pictures, a grid each: a sum over 392 pixels, of "
        "which each is known to a hundredth.",
    },
    "appendix_b_time_diffusion": {
        "in its own units its squared errors average to L = 2": "The walks are those of the picture; it tells 2 from "
        "1 and from 3.",
    },
    "side_roads": {
        "by a few hundredths of a nat": "The medians of 1,000 splits scatter by 0.004; it tells a lead from none.",
        "the second component gains about half a nat": "The means of ten splits scatter by 0.03.",
        "the draws spread within and between the components": "The least of nine entries, 0.14; the largest is known "
        "to a fiftieth.",
    },
}


def main(names):
    mpl.use("agg")
    for path in [Path(name).resolve() for name in names] or sorted(CHAPTERS.glob("*.ipynb")):
        start = time.perf_counter()
        known = measure(path)
        results = (json.loads(RESULTS.read_text()) if RESULTS.exists() else {}) | {path.stem: known}
        RESULTS.write_text(a_line_each(results))
        TABLE.write_text("".join(table(results)))
        print(f"{path.stem}: {len(known)} claims, {time.perf_counter() - start:.0f} s", flush=True)
    if wrong := sorted(complaints(results)):
        sys.exit("\n".join(wrong))


def measure(path):
    """Run the notebook and return what is known of each of its claims: where it is checked often, the widest check."""
    os.chdir(path.parent)
    names, widest = {"__name__": "__main__"}, {}
    for cell in nbformat.read(path, as_version=4).cells:
        for known in run(cell.source, f"{path.stem}:{cell.id}", names) if cell.cell_type == "code" else ():
            by_hand = EFFECTS.get(path.stem, {}).get(known["claim"])
            known |= dict(zip(("effect", "what"), by_hand, strict=True)) if by_hand else {}
            where = cell.id, known["claim"]
            if where not in widest or ratio(widest[where]) < ratio(known):
                widest[where] = known
    return [{"cell": cell} | rounded(known) for (cell, _), known in widest.items()]


def a_line_each(results):
    """As JSON, with a line for each claim."""
    lines = {
        stem: ",\n  ".join(json.dumps(known, sort_keys=True) for known in results[stem]) for stem in sorted(results)
    }
    return "{" + ",".join(f"\n {json.dumps(stem)}: [\n  {lines[stem]}\n ]" for stem in lines) + "\n}\n"


def rounded(known):
    return {k: float(f"{v:.2g}") if isinstance(v, float) else v for k, v in known.items()}


def ratio(known):
    if known["tolerance"] == 0:
        return 0.0
    return known["tolerance"] / known["effect"] if known["effect"] else np.inf


def complaints(results):
    """What is too wide and not in WIDE, and what stands in WIDE or EFFECTS and is no longer so."""
    for stem in results:
        said = {known["claim"]: known for known in results[stem]}
        wide = {claim: known for claim, known in said.items() if ratio(known) > FIFTH}
        for claim in wide.keys() - WIDE.get(stem, {}).keys():
            known = wide[claim]
            effect = f"an effect of {known['effect']:.2g} ({known['what']})" if known["effect"] else "no known effect"
            yield f"{stem}: {known['cell']}: {claim}: a tolerance of {known['tolerance']:.2g}, and {effect}"
        for claim in (WIDE.get(stem, {}).keys() - wide.keys()) | (EFFECTS.get(stem, {}).keys() - said.keys()):
            yield f"{stem}: no such claim, or no longer wide; take it off the list: {claim}"


def table(results):
    yield "# The nearest statement that a check would still accept\n\n"
    yield "Written by `make sharpness`, which runs every chapter.\n\n"
    yield __doc__.split("\n\n", 2)[2]
    for stem in sorted(filter(results.get, results)):
        rows = sorted((known for known in results[stem] if known["tolerance"]), key=ratio, reverse=True)
        exact = len(results[stem]) - len(rows)
        yield f"\n## {stem.replace('_', ' ')}\n\n{exact} claims are exact, {len(rows)} grant a tolerance.\n\n"
        yield (
            "| claim | tolerance | effect | ratio | the nearest other statement |\n|---|---|---|---|---|\n"
            if rows
            else ""
        )
        for known in rows:
            why = WIDE.get(stem, {}).get(known["claim"], "")
            claim = known["claim"].replace("*", "\\*").replace("<", "&lt;")
            effect = "" if known["effect"] is None else f"{known['effect']:.2g}"
            yield (
                f"| {known['cell']}: {claim} | {known['tolerance']:.2g} | {effect} | {ratio(known):.2g} "
                f"| {known['what']}{f'. {why}' if why else ''} |\n"
            )


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
    return {"tolerance": 0.0, "effect": None, "what": "", "off": 0.0}


def equal(got, expected):
    return true(None)


def close(got, expected, *, atol, mistakes=None):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    named = {f"mistake: {question}": value for question, value in (mistakes or {}).items()}
    named = {question: value for question, value in named.items() if np.shape(value) in ((), got.shape)}
    return nearest(expected, named, atol) | {"off": distance(got, expected), "expected": expected}


def mean(draws, expected, *, num_se=6):
    draws, expected = np.asarray(draws, float), np.asarray(expected, float)
    sd = draws.std(0, ddof=1)
    off = np.where(expected == 0, sd, 0)  # of a mean of 0, which has no size of its own
    others = {"a standard deviation off": expected + off} if off.any() else {}
    known = nearest(expected, others, num_se * sd / np.sqrt(len(draws)))
    return known | {"off": distance(draws.mean(0), expected)}


def nearest(expected, others, tolerance):
    """The one of these statements, 0, and the same everywhere, that the tolerance tells apart least."""
    known = expected[np.isfinite(expected)]
    others = others | ({"nothing": 0.0} if known.any() else {})
    others |= {"the same everywhere": known.mean()} if known.size > 1 and np.ptp(known) > 0 else {}
    found = {"tolerance": float(np.max(tolerance)), "effect": None, "what": "", "zero": True}
    for what, value in others.items():
        effects, tolerances = np.broadcast_arrays(np.abs(distances(value, expected)), tolerance)
        ratios = np.divide(tolerances, effects, out=np.full(effects.shape, np.inf), where=effects > 0)
        if what == "nothing" and ratios.size <= FEW:
            ratios[effects < 1e-5 * effects.max()] = 0  # up to rounding they are 0
            place = np.unravel_index(np.argmax(ratios), ratios.shape)
        else:
            place = np.unravel_index(np.argmin(ratios), ratios.shape)
        if found["effect"] is None or ratios[place] > ratio(found):
            found = {"tolerance": float(tolerances[place]), "effect": float(effects[place]), "what": what}
    return found


def bound(low, high, *, slack=0.0):
    gaps = distances(np.asarray(high, float), np.asarray(low, float))
    return {"tolerance": slack, "effect": float(gaps.max()), "what": "both are equal", "off": float(-gaps.min())}


def increasing(values, *, slack=0.0):
    values = np.atleast_1d(np.asarray(values, float))
    steps = np.diff(values)
    rise = values[..., -1] - values[..., 0]
    fall = slack * steps.shape[-1]
    return {"tolerance": fall, "effect": float(rise.max()), "what": "it falls", "off": float(-steps.min())}


def distances(a, b):
    with np.errstate(invalid="ignore"):
        return np.where(a == b, 0, a - b)


def distance(a, b):
    return float(np.abs(distances(a, b)).max())


if __name__ == "__main__":
    main(sys.argv[1:])
