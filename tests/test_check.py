import jax
import numpy as np
import pytest

from vaejax.book import check as c


def test_seed_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("VAEJAX_SEED", raising=False)
    assert c.seed() == 0
    monkeypatch.setenv("VAEJAX_SEED", "7")
    assert c.seed() == 7
    monkeypatch.setenv("VAEJAX_SEED", "lucky")
    with pytest.raises(ValueError, match="'lucky': expected a whole number"):
        c.seed()


NORMAL = np.random.default_rng(0).standard_normal((1000, 2))
SIGNS = np.tile([[1.0, 1], [-1, -1]], (50, 1))  # mean 0, standard error 0.1005

SIX = "within 6 standard errors"

PASS = [
    (lambda: c.check_true("claim", True), "ok: claim\n"),
    (lambda: c.check_true("claim", np.array([True, True])), "ok: claim\n"),
    (lambda: c.check_equal("claim", [1, 2], [1, 2]), "ok: claim\n"),
    (lambda: c.check_close("claim", [1.0, 2.05], [1, 2], atol=0.1), "ok: claim (within 0.1)\n"),
    (lambda: c.check_close("claim", [1.0, 1.05], 1, atol=0.1), "ok: claim (within 0.1)\n"),
    (lambda: c.check_mean("claim", NORMAL, [0, 0]), "ok: claim (within 6 standard errors)\n"),
    (lambda: c.check_mean("claim", NORMAL[:, 0], 0, num_se=7), "ok: claim (within 7 standard errors)\n"),
    (lambda: c.check_mean("so", SIGNS, [0.6, -0.6]), f"ok: so ({SIX})\n"),
    (lambda: c.check_increasing("claim", [1, 1, 2]), "ok: claim\n"),
    (lambda: c.check_increasing("claim", [1, 0.9999, 2], slack=1e-3), "ok: claim (slack 0.001)\n"),
    (lambda: c.check_increasing("claim", [[3, 4], [1, 2]]), "ok: claim\n"),
    (lambda: c.check_bound("claim", [1, 2], 2), "ok: claim\n"),
    (lambda: c.check_bound("claim", 2.0001, [2, 3], slack=1e-3), "ok: claim (slack 0.001)\n"),
    (lambda: c.check_true("claim", ...), "to do: claim\n"),
    (lambda: c.check_equal("claim", ..., 1), "to do: claim\n"),
    (lambda: c.check_close("claim", ..., 1, atol=1), "to do: claim\n"),
    (lambda: c.check_mean("claim", ..., 1), "to do: claim\n"),
    (lambda: c.check_increasing("claim", ...), "to do: claim\n"),
    (lambda: c.check_bound("claim", ..., 1), "to do: claim\n"),
    (lambda: c.check_bound("claim", 1, ...), "to do: claim\n"),
]


@pytest.mark.parametrize(("call", "prints"), PASS)
def test_what_holds_is_printed_without_its_digits(call, prints, capsys):
    call()
    assert capsys.readouterr().out == prints


FAIL = [
    (lambda: c.check_true("claim", False), "claim: false in 1 of 1"),
    (lambda: c.check_true("claim", np.array([True, False, False])), "false in 2 of 3"),
    (lambda: c.check_true("claim", np.array([], bool)), "nothing to check"),
    (lambda: c.check_equal("claim", [1, 2], [1, 3]), "claim: got"),
    (lambda: c.check_equal("claim", [1, 2], [1, 2, 3]), "shape"),
    (lambda: c.check_close("claim", 1.2, 1, atol=0.1), "largest difference 0.2"),
    (lambda: c.check_close("claim", [1.0, 5.0], [1, 1], atol=0.1), "largest difference 4"),
    (lambda: c.check_close("claim", 0.5, 1, atol=0.1), "largest difference 0.5"),
    (
        lambda: c.check_close("claim", 2.0, 1, atol=0.1, mistakes={"a sum?": 2.0, "a minus?": -1}),
        "1. a sum\\?",
    ),
    (lambda: c.check_close("claim", [2.0, 3], [1, 1], atol=0.1, mistakes={"a sum?": [2, 3]}), "difference 2. a sum\\?"),
    (lambda: c.check_close("claim", [2.0, 3], [1, 1], atol=0.1, mistakes={"a sum?": [2, 9]}), "difference 2 \\(within"),
    (lambda: c.check_mean("claim", NORMAL - 1, [0, 0]), "standard error"),
    (lambda: c.check_mean("claim", SIGNS, [0, 0.61]), "standard error"),
    (lambda: c.check_increasing("claim", [1, 0.5, 2]), "largest fall 0.5"),
    (lambda: c.check_close("claim", np.nan, 1, atol=0.1), "claim"),
    (lambda: c.check_close("claim", np.inf, np.inf, atol=0.1), "claim"),
    (lambda: c.check_close("claim", [], [], atol=1), "nothing to check"),
    (lambda: c.check_close("claim", [[1.0]], [1.0], atol=1), "shape"),
    (lambda: c.check_mean("claim", NORMAL + 1, [0, 0]), "standard error"),
    (lambda: c.check_increasing("claim", [1, 0.9]), "largest fall 0.1"),
    (lambda: c.check_increasing("claim", [[1, 2, 3], [4, 5, 4.5]]), "largest fall 0.5"),
    (lambda: c.check_increasing("claim", [1, np.nan, 2]), "claim"),
    (lambda: c.check_increasing("claim", [1]), "nothing to check"),
    (lambda: c.check_bound("claim", 2, [3, 1.5]), "largest excess 0.5"),
    (lambda: c.check_bound("claim", np.nan, 1), "claim"),
    (lambda: c.check_bound("claim", [], 1), "nothing to check"),
    (lambda: c.check_bound("claim", np.zeros(3), np.ones((3, 1))), r"shapes \(3,\) and \(3, 1\), expected the same"),
    (lambda: c.check_close("claim", np.uint8([1]), np.uint8([3]), atol=1), "largest difference 2"),  # 1 - 3 is no 254
    (lambda: c.check_close("claim", np.int8([100]), np.int8([-100]), atol=100), "largest difference 200"),
    (lambda: c.check_increasing("claim", 3.0), "nothing to check"),
]


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize(("call", "says"), FAIL)
def test_what_does_not_hold_raises(call, says, capsys):
    with pytest.raises(AssertionError, match=says):
        call()
    assert capsys.readouterr().out == ""


def test_misuse_is_refused():
    with pytest.raises(TypeError, match="expected True or False"):
        c.check_true("claim", 1.0)
    with pytest.raises(ValueError, match="at least 30"):
        c.check_mean("claim", [1.0, 2.0], 1.5)
    with pytest.raises(ValueError, match=r"got shape \(\)"):
        c.check_mean("claim", 3.0, 3)


NOT_NUMBERS = [
    (None, "claim: got None, expected numbers; does the function return"),
    ("three", "claim: got str, expected real numbers"),
    (1j, "claim: got complex, expected real numbers"),
    ([1, [2]], "claim: got list, expected real numbers"),
    (jax.random.key(0), "expected real numbers"),
]


@pytest.mark.parametrize(("answer", "says"), NOT_NUMBERS)
@pytest.mark.parametrize("check", ["close", "mean", "increasing", "bound"])
def test_what_is_no_number_is_refused(check, answer, says):
    calls = {
        "close": lambda: c.check_close("claim", answer, 1, atol=1),
        "mean": lambda: c.check_mean("claim", answer, 1),
        "increasing": lambda: c.check_increasing("claim", answer),
        "bound": lambda: c.check_bound("claim", 0, answer),
    }
    with pytest.raises(TypeError, match=says):
        calls[check]()


def test_check_mean_has_the_false_alarm_rate_it_promises():
    # at 2 standard errors about 4.6 % of honest claims fail; at the default 6, none of 2,000
    rng, failures = np.random.default_rng(1), {2: 0, 6: 0}
    for draws in rng.standard_normal((2000, 400)):
        for num_se in failures:
            try:
                c.check_mean("claim", draws, 0, num_se=num_se)
            except AssertionError:
                failures[num_se] += 1
    assert abs(failures[2] / 2000 - 0.0455) < 6 * np.sqrt(0.0455 * 0.9545 / 2000)
    assert failures[6] == 0
