"""A few of the cases that `make random-use` tries by the thousand."""

import numpy as np
import pytest
import random_models
import random_use

from vaejax.book import check


@pytest.mark.long
def test_parts_put_together_at_random_give_what_numpy_gives():
    first = 8 * check.seed()
    for number in range(first, first + 8):
        try:
            random_use.try_case(number)
        except Exception as error:
            raise AssertionError(f"case {number}: python tests/random_use.py case {number}") from error


@pytest.mark.parametrize("number", [0])
def test_a_bound_a_thousand_units_off_is_seen(number, monkeypatch):
    kind, units = random_use.attempt(number)
    assert units < random_use.LIMIT
    wrong = {name: (lambda *a, f=f: (1 + 1e-3) * f(*a), g) for name, (f, g) in random_models.BOUNDS.items()}
    monkeypatch.setattr(random_use, "BOUNDS", wrong)
    assert random_use.attempt(number)[1] > random_use.LIMIT


def test_a_unit_of_rounding_is_what_it_is_said_to_be():
    """Of a sum of three terms: eps times each of them, and eps times the sum of their sizes."""
    terms, eps = np.array([3.0, -2.0, 1e-3]), float(np.finfo(np.float32).eps)
    found = [random_models.total(random_models.Rounding(np.float32, i), terms) for i in range(300)]
    off = np.abs(np.array(found) - terms.sum())
    assert 5 * eps < off.max() <= 2 * 5.001 * eps * (1 + 1e-6)
    assert random_models.total(random_models.Rounding(), terms) == terms.sum()
    at = lambda got: random_use.distance(np.float64(got), np.float64(1), [np.float64(1 + 4 * eps)], eps, False)
    assert [round(at(1 + k * eps)) for k in (0, 4, 40)] == [0, 1, 10]
    assert random_use.distance(np.float64(np.nan), np.float64(1), [np.float64(1)], eps, False) == np.inf
