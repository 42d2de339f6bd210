"""Readable assertions: each states a claim, tests it, and prints the claim with its tolerance.

What is printed never depends on the digits that were computed, so a notebook's stored output is the same on every
machine and for every seed. The expected value must come from another route than the value under test.

An exercise that nobody has answered yet holds `...` where the answer goes. A check that is handed `...` says "to do"
and passes.
"""

import os

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
    _report(claim, holds.all(), f"false in {int((~holds).sum())} of {holds.size} places")


def check_equal(claim, got, expected):
    """Got and expected are the same: shapes, and every value."""
    if _to_do(claim, got):
        return
    got, expected = _same_shape(claim, got, expected)
    _report(claim, (got == expected).all(), f"got {_brief(got)}, expected {_brief(expected)}")


def check_close(claim, got, expected, *, atol, mistakes=None):
    """|got - expected| <= atol, everywhere. `expected` may be one number for all.

    `mistakes` says what a wrong value may come from: {a question to the reader: the value that this mistake gives}.
    """
    if _to_do(claim, got):
        return
    got, expected = _same_shape(claim, _numbers(claim, got), _numbers(claim, expected))
    error = np.abs(got - expected)
    details = f"got {_brief(got)}, expected {_brief(expected)}, largest difference {error.max():.3g}"
    for question, value in (mistakes or {}).items():
        if np.shape(value) in ((), got.shape) and (np.abs(got - np.asarray(value, float)) <= atol).all():
            details += f". {question}"
    _report(claim, (error <= atol).all(), details, f"within {atol:g}")


def check_mean(claim, draws, expected, *, num_se=6):
    """The mean of independent draws is within `num_se` standard errors of what theory says.

    Args:
        claim: a sentence.
        draws: (R, ...) R independent repeats of one or more numbers, at least 30.
        expected: (...) their theoretical mean.
        num_se: a nearly Gaussian mean leaves six standard errors by chance about twice in 10^9; of only 30 draws, whose
            standard error is rough itself, about twice in 10^6 (Student's t).
    """
    if _to_do(claim, draws):
        return
    draws = _numbers(claim, draws)
    if draws.ndim == 0 or len(draws) < 30:
        raise ValueError(f"{claim}: got shape {draws.shape}, expected at least 30 draws (R, ...)")
    got, expected = _same_shape(claim, draws.mean(0), _numbers(claim, expected))
    se = draws.std(0, ddof=1) / np.sqrt(len(draws))
    details = f"got {_brief(got)}, expected {_brief(expected)}, standard error {_brief(se)}"
    _report(claim, (np.abs(got - expected) <= num_se * se).all(), details, f"within {num_se} standard errors")


def check_increasing(claim, values, *, slack=0.0):
    """No value is more than `slack` below the one before it: of a curve (T,), or of each of many (R, T)."""
    if _to_do(claim, values):
        return
    steps = np.diff(np.atleast_1d(_numbers(claim, values)))
    _fail_if_empty(claim, steps)
    _report(claim, (steps >= -slack).all(), f"largest fall {-steps.min():.3g}", f"slack {slack:g}" if slack else "")


def check_bound(claim, low, high, *, slack=0.0):
    """low <= high + slack, everywhere. Either may be one number for all; else their shapes are the same."""
    if _to_do(claim, low) or _to_do(claim, high):
        return
    low, high = _numbers(claim, low), _numbers(claim, high)
    if () not in (low.shape, high.shape) and low.shape != high.shape:
        raise AssertionError(f"{claim}: got shapes {low.shape} and {high.shape}, expected the same")
    excess = low - high
    _fail_if_empty(claim, excess)
    details = f"got {_brief(low)} and {_brief(high)}, largest excess {np.max(excess):.3g}"
    _report(claim, (excess <= slack).all(), details, f"slack {slack:g}" if slack else "")


def _to_do(claim, answer):
    if answer is ...:
        print(f"to do: {claim}")
    return answer is ...


def _report(claim, holds, details, tolerance=""):
    if not holds:
        raise AssertionError(f"{claim}: {details}" + (f" ({tolerance})" if tolerance else ""))
    print(f"ok: {claim}" + (f" ({tolerance})" if tolerance else ""))


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
