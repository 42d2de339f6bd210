import re

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
COIN = np.arange(100) < 36  # mean 0.36, standard error 0.04824
SIX = "within 6 standard errors"
INF = np.inf

PASS = [
    (lambda: c.check_true("claim", True), "ok: claim"),
    (lambda: c.check_true("claim", np.array(True)), "ok: claim"),
    (lambda: c.check_true("claim", np.full((3, 4), True)), "ok: claim | true in 12 of 12 places"),
    (lambda: c.check_equal("claim", 60, 60.0), "ok: claim | 60 = 60"),
    (lambda: c.check_equal("claim", [1, 20], [1, 20]), "ok: claim | [1 20] = [1 20]"),
    (lambda: c.check_equal("claim", np.zeros(9), 0), "ok: claim | [0 0 ... 0 0] = 0"),
    (lambda: c.check_equal("claim", np.eye(2), np.eye(2)), "ok: claim | [[1 0] [0 1]] = [[1 0] [0 1]]"),
    (lambda: c.check_equal("claim", "two\nlines", "two\nlines"), "ok: claim | two lines = two lines"),
    (lambda: c.check_equal("claim", INF, INF), "ok: claim | inf = inf"),
    (
        lambda: c.check_close("claim", [1.0, 2.0321], [1, 2], atol=0.1),
        "ok: claim (within 0.1) | largest difference 0.032",
    ),
    (lambda: c.check_close("claim", [1.0, 0.968], 1, atol=0.1), "ok: claim (within 0.1) | largest difference 0.032"),
    (lambda: c.check_close("claim", [INF, -INF], [INF, -INF], atol=0), "ok: claim (within 0) | largest difference 0"),
    (lambda: c.check_mean("claim", COIN, 0.4), f"ok: claim ({SIX}) | 0.36, expected 0.4, 0.8 standard errors off"),
    (lambda: c.check_mean("claim", NORMAL[:, 0], 0, num_se=7), "ok: claim (within 7 standard errors) | "),
    (
        lambda: c.check_mean("so", SIGNS, [0.6, -0.5]),
        f"ok: so ({SIX}) | [0 0], expected [0.6 -0.5], at most 6.0 standard errors off",
    ),
    (lambda: c.check_mean("claim", np.full(50, 0.1), 0.1), f"ok: claim ({SIX}) | 0.1, expected 0.1, "),
    (lambda: c.check_mean("claim", np.full(50, 0.1, np.float32), 0.1), f"ok: claim ({SIX}) | 0.1, expected 0.1, "),
    (lambda: c.check_mean("claim", np.full((10**5, 2), 0.1), 0.1), f"ok: claim ({SIX}) | "),
    (lambda: c.check_mean("claim", np.full(50, 1e9) + 1e-7, 1e9), f"ok: claim ({SIX}) | 1e+09, expected 1e+09, "),
    (lambda: c.check_increasing("claim", [1, 1.5, 2.25]), "ok: claim | smallest step 0.5"),
    (lambda: c.check_increasing("claim", [1, 1, 2]), "ok: claim | smallest step 0"),
    (
        lambda: c.check_increasing("claim", [1, 0.9999, 2], slack=1e-3),
        "ok: claim (slack 0.001) | smallest step -0.0001",
    ),
    (lambda: c.check_increasing("claim", [[3, 4], [1, 2]]), "ok: claim | smallest step 1"),
    (lambda: c.check_increasing("claim", [-INF, -INF, 0, INF, INF]), "ok: claim | smallest step 0"),
    (lambda: c.check_bound("claim", 0.8612, 0.9), "ok: claim | 0.8612 <= 0.9"),
    (lambda: c.check_bound("claim", -1130.24, -INF, slack=INF), "ok: claim (slack inf) | -1130 <= -inf"),
    (lambda: c.check_bound("claim", [1, 2], 2.041), "ok: claim | largest excess -0.041"),
    (lambda: c.check_bound("claim", 2.0001, [2, 3], slack=1e-3), "ok: claim (slack 0.001) | largest excess 0.0001"),
    (lambda: c.check_bound("claim", [-INF, 1, INF], [-INF, INF, INF]), "ok: claim | largest excess 0"),
    (lambda: c.check_true("claim", ...), "to do: claim"),
    (lambda: c.check_equal("claim", ..., 1), "to do: claim"),
    (lambda: c.check_close("claim", ..., 1, atol=1), "to do: claim"),
    (lambda: c.check_mean("claim", ..., 1), "to do: claim"),
    (lambda: c.check_increasing("claim", ...), "to do: claim"),
    (lambda: c.check_bound("claim", ..., 1), "to do: claim"),
    (lambda: c.check_bound("claim", 1, ...), "to do: claim"),
]


@pytest.mark.parametrize(("call", "prints"), PASS)
def test_what_holds_is_printed_with_what_was_measured(call, prints, capsys):
    call()
    out = capsys.readouterr().out
    assert out.startswith(prints) if prints[-1] == " " else out == prints + "\n"  # a blank: the rest is open
    assert out.endswith("\n") and len(out.splitlines()) == 1 and len(out) < 130


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
    (lambda: c.check_close("claim", [np.nan, 1], [np.nan, 1], atol=0.1), "claim"),
    (lambda: c.check_close("claim", INF, -INF, atol=0.1), "largest difference inf"),
    (lambda: c.check_close("claim", INF, 1, atol=0.1), "largest difference inf"),
    (lambda: c.check_close("claim", 1e308, -1e308, atol=0.1), "largest difference inf"),
    (lambda: c.check_close("claim", [], [], atol=1), "nothing to check"),
    (lambda: c.check_close("claim", [[1.0]], [1.0], atol=1), "shape"),
    (lambda: c.check_mean("claim", NORMAL + 1, [0, 0]), "standard error"),
    (lambda: c.check_mean("claim", np.full(50, 0.1), 0.1 + 1e-15), "standard error 0"),
    (lambda: c.check_mean("claim", np.full(50, 0.1, np.float32), 0.1 + 1e-6), "standard error 0"),
    (lambda: c.check_mean("claim", np.zeros(50), 1e-300), "standard error 0"),
    (lambda: c.check_mean("claim", np.full(50, INF), 3), "got inf, expected 3"),
    (lambda: c.check_mean("claim", np.full(50, INF), INF), "got inf, expected inf"),
    (lambda: c.check_mean("claim", np.where(COIN, np.nan, 1), 1), "got nan"),
    (lambda: c.check_mean("claim", NORMAL, [0, np.nan]), "expected"),
    (lambda: c.check_increasing("claim", [1, 0.9]), "largest fall 0.1"),
    (lambda: c.check_increasing("claim", [[1, 2, 3], [4, 5, 4.5]]), "largest fall 0.5"),
    (lambda: c.check_increasing("claim", [1, np.nan, 2]), "claim"),
    (lambda: c.check_increasing("claim", [1, INF, INF, 1]), "largest fall inf"),
    (lambda: c.check_increasing("claim", [INF, -INF]), "largest fall inf"),
    (lambda: c.check_increasing("claim", [INF, np.nan]), "claim"),
    (lambda: c.check_increasing("claim", [1]), "nothing to check"),
    (lambda: c.check_bound("claim", 2, [3, 1.5]), "largest excess 0.5"),
    (lambda: c.check_bound("claim", np.nan, 1), "claim"),
    (lambda: c.check_bound("claim", [1, np.nan], [2, np.nan]), "claim"),
    (lambda: c.check_bound("claim", INF, -INF), "largest excess inf"),
    (lambda: c.check_bound("claim", [INF, 1], 2), "largest excess inf"),
    (lambda: c.check_equal("claim", [1, np.nan], [1, np.nan]), "claim: got"),
    (lambda: c.check_bound("claim", [], 1), "nothing to check"),
    (lambda: c.check_bound("claim", np.zeros(3), np.ones((3, 1))), r"shapes \(3,\) and \(3, 1\), expected the same"),
    (lambda: c.check_close("claim", np.uint8([1]), np.uint8([3]), atol=1), "largest difference 2"),  # 1 - 3 is no 254
    (lambda: c.check_close("claim", np.int8([100]), np.int8([-100]), atol=100), "largest difference 200"),
    (lambda: c.check_increasing("claim", 3.0), "nothing to check"),
]


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


@pytest.mark.parametrize("claim", ["p(x | z)", "two\nlines", "a line\n", "a line\r", "", "\u2028", None, 3])
def test_a_claim_is_one_line_without_a_bar(claim, capsys):
    calls = [
        lambda: c.check_true(claim, True),
        lambda: c.check_true(claim, False),
        lambda: c.check_equal(claim, 1, 1),
        lambda: c.check_close(claim, ..., 1, atol=1),
        lambda: c.check_mean(claim, NORMAL, 0),
        lambda: c.check_increasing(claim, [1, 2]),
        lambda: c.check_bound(claim, 1, 2),
        lambda: c.report(claim, 1),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"the claim is {re.escape(repr(claim))}: expected one line of words"):
            call()
    assert capsys.readouterr().out == ""


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


SEEN = [
    (0.0, "0"),
    (0.96123, "0.9612"),
    (-80.7512, "-80.75"),
    (1130.24, "1130"),
    (123456.7, "123457"),
    (3.21987e-5, "3.22e-05"),
    (1.5e12, "1.5e+12"),
    (20_000, "20000"),
    (np.float32(0.1), "0.1"),
    (jax.numpy.bfloat16(0.5), "0.5"),
    (np.nan, "nan"),
    (-INF, "-inf"),
    (True, "True"),
    ("eight of ten", "eight of ten"),
    ("two\nlines", "two lines"),
    ([1, 20, 3], "[1 20 3]"),
    (np.array([1 / 3, 2 / 3, 100]), "[0.3333 0.6667 100]"),
    (np.linspace(0, 1, 1001), "[0 0.001 ... 0.999 1]"),
    (np.array([[1.0, 2], [3, 4.5]]), "[[1 2] [3 4.5]]"),
    (["a", "b"], "['a' 'b']"),
    (jax.numpy.arange(3), "[0 1 2]"),
]


@pytest.mark.parametrize(("value", "prints"), SEEN)
def test_a_report_is_brief(value, prints, capsys):
    c.report("nats gained", value)
    assert capsys.readouterr().out == f"seen: nats gained | {prints}\n"


def test_a_report_waits_for_an_answer(capsys):
    c.report("nats gained", ...)
    assert capsys.readouterr().out == "to do: nats gained\n"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "nats: got None, expected a number, an array or a string; does the function return its result"),
        ({"a": 1}, "nats: got dict, expected a number"),
        (1j, "nats: got complex, expected a number"),
        ([1, [2]], "nats: got list, expected a number"),
        (np.ma.ones(2), "nats: got MaskedArray, expected a number"),
        (jax.random.key(0), "expected a number"),
        (np.sin, "nats: got ufunc, expected a number"),
    ],
)
def test_what_cannot_be_reported_is_refused(value, says, capsys):
    with pytest.raises(TypeError, match=says):
        c.report("nats", value)
    assert capsys.readouterr().out == ""


def test_inside_a_compiled_function_there_is_no_number_to_report():
    with pytest.raises(TypeError, match="inside jit, vmap and grad there is no number yet"):
        jax.jit(lambda x: c.report("nats", x))(1.0)
    with pytest.raises(TypeError, match="inside jit, vmap and grad there is no number yet"):
        jax.grad(lambda x: (c.report("nats", x), x)[1])(1.0)


POLL = {
    "it never falls": (True, "each half of a step climbs."),
    "it finds the top": (False, "it climbs the hill on which it started."),
    "it needs no rate": (True, "the maximum of a step is a formula."),
}


def judged(capsys, *picks):
    judge = c.poll(POLL)
    capsys.readouterr()
    judge(*picks)
    return capsys.readouterr().out


def test_a_poll_asks_first(capsys):
    c.poll(POLL)
    assert capsys.readouterr().out == "1. it never falls\n2. it finds the top\n3. it needs no rate\n"


def test_a_poll_says_what_is_right_and_why(capsys):
    assert judged(capsys, 2, 1) == (
        "right: it never falls (your pick)\n"
        "    each half of a step climbs.\n"
        "wrong: it finds the top (your pick)\n"
        "    it climbs the hill on which it started.\n"
        "right: it needs no rate\n"
        "    the maximum of a step is a formula.\n"
        "you picked 1 of the 2 that are right, and 1 that are wrong\n"
    )


@pytest.mark.parametrize(
    "picks",
    [(...,), (..., ...), ([...],), (), (None,), ([],), ("it never falls",), (object,), (print,), (len, lambda: 1)],
)
def test_a_poll_waits_for_a_number(picks, capsys):
    assert judged(capsys, *picks) == (
        "your pick is open: put the numbers of those that are right in the place of the dots\n"
    )


@pytest.mark.parametrize(
    "picks",
    [(1, 3), (3, 1, 1), ([1, 3],), ({1, 3},), ("1 and 3",), (np.array([1, 3]),), (jax.numpy.array([3, 1], "int32"),),
     (np.int64(1), np.uint8(3)), (..., 1, 3), ({1: True, 3: True},), (1.0, 3)],
)  # fmt: skip
def test_numbers_are_found_in_whatever_holds_them(picks, capsys):
    out = judged(capsys, *picks)
    assert re.findall(r"^right: (.*) \(your pick\)$", out, re.MULTILINE) == ["it never falls", "it needs no rate"]
    assert "you picked 2 of the 2 that are right, and 0 that are wrong" in out


def test_a_number_that_is_none_of_them_is_told(capsys):
    assert judged(capsys, 2, 12, 0).endswith("and 1 that are wrong\nnot among the numbers 1 to 3: 0, 12\n")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        [("a", True, "why")],
        None,
        {"a": True},
        {"a": (True,)},
        {"a": ("yes", "why")},
        {"a": (1, "why")},
        {"a": (True, "")},
        {"a": (True, None)},
        {"a": "ab"},
        {"a": (True, "why"), "b": (True, "why", "more")},
    ],
)
def test_malformed_answers_are_the_authors_to_mend(answers, capsys):
    with pytest.raises(ValueError, match=r"expected .*(is it right, why|True or False, why it is so)\)"):
        c.poll(answers)
    assert capsys.readouterr().out == ""
