"""What `make sharpness` makes of a check."""

import json

import numpy as np
import pytest
import sharpness

RESULTS = json.loads(sharpness.RESULTS.read_text(encoding="utf-8"))


def measured(source, **names):
    return sharpness.run(f"from vaejax.book import check\n{source}", "test", {"np": np, **names})


@pytest.mark.parametrize(
    "source, tolerance, effect",
    [
        ("check.check_close('a number', 2.1, 2, atol=0.5)", 0.5, 2),
        ("check.check_close('each of a few numbers', [5, 0.1], [5, 0.1], atol=0.5)", 0.5, 0.1),
        ("check.check_close('a flat function', np.ones(20), 10 + np.eye(20)[0], atol=0.5)", 0.5, 0.95),
        ("check.check_close('with a mistake', 2, 2, atol=0.5, mistakes={'half?': 1.5})", 0.5, 0.5),
        ("check.check_mean('draws', np.arange(100) % 2, 0.5)", 6 * 0.5 / 99**0.5, 0.5),
        ("check.check_mean('draws', np.arange(100) % 2 - 0.5, 0)", 6 * 0.5 / 99**0.5, 0.5 * (100 / 99) ** 0.5),
        ("check.check_bound('one gap of two', [1, 2], [1, 4], slack=0.1)", 0.1, 2),
        ("check.check_increasing('two steps', [0, 1, 5], slack=0.1)", 0.2, 5),
    ],
)
def test_tolerance_and_effect(source, tolerance, effect):
    (known,) = measured(source)
    assert (known["tolerance"], known["effect"]) == pytest.approx((tolerance, effect))


def test_a_claim_of_zero_is_compared_with_what_a_tenth_of_an_input_changes():
    (known,) = measured("check.check_close('no slope at a', 2 * (a - b), 0, atol=1e-3)", a=3.0, b=3.0)
    assert known["effect"] == pytest.approx(0.6)
    (known,) = measured("a = 3.0\ncheck.check_close('no slope at a', 2 * (a - 3), 0, atol=1e-3)")
    assert known["effect"] == pytest.approx(0.6)
    (known,) = measured("check.check_close('nothing can change it', a - a, 0, atol=1e-3)", a=3.0)
    assert known["effect"] is None


def test_a_cell_that_is_run_again_leaves_the_next_draws_as_they_were():
    names = {"rng": np.random.default_rng(0), "a": 1.0}
    measured("assert a == 1\ncheck.check_close('nothing', 0 * rng.random(), 0, atol=1)", **names)
    assert names["rng"].random() == np.random.default_rng(0).random(2)[1]


def test_a_wide_tolerance_needs_a_reason(monkeypatch):
    known = {"cell": "audit", "claim": "about one", "tolerance": 0.5, "effect": 1.0, "what": "nothing"}
    results = {"01": [known]}
    monkeypatch.setattr(sharpness, "EFFECTS", {})
    monkeypatch.setattr(sharpness, "WIDE", {})
    (complaint,) = sharpness.complaints(results)
    assert "about one: a tolerance of 0.5" in complaint
    monkeypatch.setattr(sharpness, "WIDE", {"01": {"about one": "so it is"}})
    assert not list(sharpness.complaints(results))
    assert "so it is" in "".join(sharpness.table(results))
    (complaint,) = sharpness.complaints({"01": [known | {"tolerance": 0.1}]})
    assert "no longer wide" in complaint


@pytest.mark.parametrize("name", RESULTS)
def test_the_table_has_every_claim_of_the_chapters_and_no_other(name):
    cells = json.loads((sharpness.CHAPTERS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    printed = [
        (cell["id"], line.removeprefix("ok: ").split(" | ")[0])
        for cell in cells
        for output in cell.get("outputs", [])
        for line in "".join(output.get("text", [])).splitlines()
        if line.startswith("ok: ")
    ]
    said = {(row["cell"], row["claim"]) for row in RESULTS[name]}
    of_line = lambda cell, line: [claim for at, claim in said if at == cell and (line + " (").startswith(claim + " (")]
    found = [(cell, claim) for cell, line in printed for claim in of_line(cell, line)]
    assert len(found) == len(printed), set(printed) - set(found)
    assert said == set(found)


def test_the_table_is_written_from_the_results():
    assert "".join(sharpness.table(RESULTS)) == sharpness.TABLE.read_text(encoding="utf-8")


def test_the_table_has_every_chapter():
    assert sorted(RESULTS) == sorted(path.stem for path in sharpness.CHAPTERS.glob("*.ipynb"))
