"""Readable assertions: each states a claim, tests it, and prints the claim, its tolerance, and what was measured.

    ok: the mean of the draws is 0.87 (within 6 standard errors) | 0.861, expected 0.87, 0.7 standard errors off

What stands before the bar never depends on the digits that were computed: it is the same on every machine and for every
seed, and the tests of the notebooks hold it to that. What stands after it may differ, and they pass over it. The
expected value must come from another route than the value under test.

An exercise that nobody has answered yet holds `...` where the answer goes. A check that is handed `...` says "to do"
and passes. `report` prints a number without a claim, and `poll` asks which of some statements are right.
"""

import os
import re
from collections.abc import Mapping

import numpy as np


def seed():
    """The seed of this run: the environment variable VAEJAX_SEED, or 0. Every claim holds for any seed."""
    text = os.environ.get("VAEJAX_SEED", "0")
    if not text.isdecimal():
        raise ValueError(f"VAEJAX_SEED is {text!r}: expected a whole number, such as 3")
    return int(text)


def check_true(claim, holds):
    """The claim holds: `holds` is True, or an array that is True throughout."""
    if _to_do(claim, holds):
        return
    holds = np.asarray(holds)
    _fail_if_empty(claim, holds)
    if holds.dtype != bool:
        raise TypeError(f"{claim}: got {holds.dtype}, expected True or False; compare the values first")
    places = f"true in {holds.size} of {holds.size} places" if holds.ndim else ""
    _report(claim, holds.all(), f"false in {int((~holds).sum())} of {holds.size} places", measured=places)


def check_equal(claim, got, expected):
    """Got and expected are the same: shapes, and every value."""
    if _to_do(claim, got):
        return
    got, expected = _same_shape(claim, got, expected)
    details = f"got {_brief(got)}, expected {_brief(expected)}"
    _report(claim, (got == expected).all(), details, measured=f"{_short(got)} = {_short(expected)}")


def check_close(claim, got, expected, *, atol, mistakes=None):
    """|got - expected| <= atol, everywhere, or both are the same infinity. `expected` may be one number for all.

    `mistakes` says what a wrong value may come from: {a question to the reader: the value that this mistake gives}.
    """
    if _to_do(claim, got):
        return
    got, expected = _same_shape(claim, _numbers(claim, got), _numbers(claim, expected))
    error = np.abs(_difference(got, expected))
    details = f"got {_brief(got)}, expected {_brief(expected)}, largest difference {error.max():.3g}"
    for question, value in (mistakes or {}).items():
        if np.shape(value) in ((), got.shape) and (np.abs(_difference(got, np.asarray(value, float))) <= atol).all():
            details += f". {question}"
    _report(claim, (error <= atol).all(), details, f"within {atol:g}", f"largest difference {error.max():.2g}")


def check_mean(claim, draws, expected, *, num_se=6):
    """The mean of independent draws is within `num_se` standard errors of what theory says, rounding apart.

    Args:
        claim: a sentence.
        draws: (R, ...) R independent repeats of one or more numbers, at least 30.
        expected: (...) their theoretical mean.
        num_se: a nearly Gaussian mean leaves six standard errors by chance about twice in 10^9; of only 30 draws, whose
            standard error is rough itself, about twice in 10^6 (Student's t).
    """
    if _to_do(claim, draws):
        return
    dtype = getattr(draws, "dtype", None)
    draws = _numbers(claim, draws)
    if draws.ndim == 0 or len(draws) < 30:
        raise ValueError(f"{claim}: got shape {draws.shape}, expected at least 30 draws (R, ...)")
    away = _difference(draws, draws[:1])  # from the first draw: draws that are all the same have exactly their own mean
    with np.errstate(invalid="ignore", over="ignore"):
        got, expected = _same_shape(claim, draws[0] + away.mean(0), _numbers(claim, expected))
        se, error = away.std(0, ddof=1) / np.sqrt(len(draws)), np.abs(got - expected)
        off = np.max(np.divide(error, se, out=np.zeros_like(error), where=se > 0))
    scale = np.abs(draws).max(0)
    rounding = 4 * np.finfo(dtype if dtype in (np.float16, np.float32) else float).eps * scale
    holds = np.isfinite(scale) & (error <= num_se * se + rounding)
    details = f"got {_brief(got)}, expected {_brief(expected)}, standard error {_brief(se)}"
    measured = f"{_short(got)}, expected {_short(expected)}, {'at most ' * bool(got.ndim)}{off:.1f} standard errors off"
    _report(claim, holds.all(), details, f"within {num_se} standard errors", measured)


def check_increasing(claim, values, *, slack=0.0):
    """No value is more than `slack` below the one before it: of a curve (T,), or of each of many (R, T)."""
    if _to_do(claim, values):
        return
    values = np.atleast_1d(_numbers(claim, values))
    steps = _difference(values[..., 1:], values[..., :-1])
    _fail_if_empty(claim, steps)
    tolerance = f"slack {slack:g}" if slack else ""
    _report(
        claim,
        (steps >= -slack).all(),
        f"largest fall {-steps.min():.3g}",
        tolerance,
        f"smallest step {steps.min():.2g}",
    )


def check_bound(claim, low, high, *, slack=0.0):
    """low <= high + slack, everywhere. Either may be one number for all; else their shapes are the same."""
    if _to_do(claim, low) or _to_do(claim, high):
        return
    low, high = _numbers(claim, low), _numbers(claim, high)
    if () not in (low.shape, high.shape) and low.shape != high.shape:
        raise AssertionError(f"{claim}: got shapes {low.shape} and {high.shape}, expected the same")
    excess = _difference(low, high)
    _fail_if_empty(claim, excess)
    details = f"got {_brief(low)} and {_brief(high)}, largest excess {excess.max():.3g}"
    measured = f"largest excess {excess.max():.2g}" if excess.ndim else f"{_short(low)} <= {_short(high)}"
    _report(claim, (excess <= slack).all(), details, f"slack {slack:g}" if slack else "", measured)


def report(what, value):
    """Print a measurement, `seen: what | value`: a number, a string, or an array, if it is long only its ends."""
    if _to_do(what, value):
        return
    if value is None:
        raise TypeError(
            f"{what}: got None, expected a number, an array or a string; does the function return its result?"
        )
    try:
        values = np.asarray(value)
        values = values if values.dtype.kind in "biuU" else _numbers(what, value)
    except (TypeError, ValueError):
        raise TypeError(
            f"{what}: got {type(value).__name__}, expected a number, an array or a string; inside jit, vmap and grad "
            "there is no number yet: report what comes out of them"
        ) from None
    print(f"seen: {what} | {_short(values)}")


def poll(answers):
    """Ask which of some statements are right: print them with numbers, and return what judges a pick.

    Args:
        answers: {statement: (is it right, why)}. ValueError where it is anything else.

    Returns:
        judge(*picks): says of each statement whether it is right, and why, and which of the reader's are. Picks are
        numbers in any form, such as 1, 3 or [1, 3]; as long as there is none, as in `...`, it waits.
    """
    if not isinstance(answers, Mapping) or not answers:
        raise ValueError(f"answers is {answers!r}: expected {{statement: (is it right, why)}}")
    for statement, answer in answers.items():
        pair = isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], bool | np.bool_)
        if not pair or not isinstance(answer[1], str) or not answer[1].strip():
            raise ValueError(f"the answer to {statement!r} is {answer!r}: expected (True or False, why it is so)")

    def judge(*picks):
        numbers = {int(digits) for digits in re.findall(r"\b\d+\b", str(picks))}  # no type is a mistake here
        if not numbers:
            print("your pick is open: put the numbers of those that are right in the place of the dots")
            return
        for number, (statement, (right, why)) in enumerate(answers.items(), 1):
            mark = " (your pick)" if number in numbers else ""
            print(f"{'right' if right else 'wrong'}: {_line(statement)}{mark}\n    {_line(why)}")
        verdicts = [bool(right) for right, _ in answers.values()]
        found = [right for number, right in enumerate(verdicts, 1) if number in numbers]
        print(f"you picked {sum(found)} of the {sum(verdicts)} that are right, and {found.count(False)} that are wrong")
        if unknown := sorted(numbers - set(range(1, len(answers) + 1))):
            print(f"not among the numbers 1 to {len(answers)}: {', '.join(map(str, unknown))}")

    for number, statement in enumerate(answers, 1):
        print(f"{number}. {_line(statement)}")
    return judge


def _to_do(claim, answer):
    if not isinstance(claim, str) or "|" in claim or claim.splitlines() != [claim]:
        raise ValueError(
            f"the claim is {claim!r}: expected one line of words without '|', the bar before what is measured"
        )
    if answer is ...:
        print(f"to do: {claim}")
    return answer is ...


def _report(claim, holds, details, tolerance="", measured=""):
    line = claim + (f" ({tolerance})" if tolerance else "")
    if not holds:
        raise AssertionError(f"{claim}: {details}" + (f" ({tolerance})" if tolerance else ""))
    print(f"ok: {line}" + (f" | {measured}" if measured else ""))


def _numbers(claim, values):
    """Real numbers in double precision, so that small integers do not wrap around."""
    if values is None:
        raise TypeError(f"{claim}: got None, expected numbers; does the function return its result?")
    try:
        if np.iscomplexobj(values) or isinstance(values, np.ma.MaskedArray):
            raise TypeError
        return np.asarray(values, float)
    except (TypeError, ValueError):
        raise TypeError(f"{claim}: got {type(values).__name__}, expected real numbers") from None


def _difference(a, b):
    """a - b; 0 where both are the same infinity, NaN where either is NaN."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(a == b, 0, a - b)


def _same_shape(claim, got, expected):
    got, expected = np.asarray(got), np.asarray(expected)
    _fail_if_empty(claim, got)
    if expected.shape not in ((), got.shape):
        raise AssertionError(f"{claim}: got shape {got.shape}, expected {expected.shape}")
    return got, expected


def _fail_if_empty(claim, values):
    if values.size == 0:
        raise AssertionError(f"{claim}: there is nothing to check, the array is empty")


def _brief(values):
    return np.array2string(np.asarray(values), precision=6, threshold=8)


def _short(values):
    """One line: numbers to four digits, of a long array the ends."""
    values = np.asarray(values)
    if values.ndim == 0:
        return _line(_number(values.item()) if values.dtype.kind == "f" else values)
    text = np.array2string(values, threshold=6, edgeitems=2, max_line_width=1000, formatter={"float_kind": _number})
    return _line(text).replace("[ ", "[")


def _number(value):
    return f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def _line(text):
    return " ".join(str(text).split())
