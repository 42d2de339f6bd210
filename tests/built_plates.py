"""The plates of the built site, played in a browser and compared with the library: `make test-site`.

pytest reads this file only when it is named. The settings are drawn at random, from VAEJAX_SEED, within the sliders.
"""

import json
import os
import random
import subprocess

import pytest
from built_site import PROGRAM, ROOT, SITE
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.xdist_group("plates")
PYTHON = ROOT / ".venv" / "bin" / "python"
WHERE = {
    figure: page
    for page in sorted((SITE / "chapters").glob("*.html"))
    for figure in page.read_text(encoding="utf-8").split('data-plate="')[1:]
}
WHERE = {figure.split('"')[0]: page for figure, page in WHERE.items()}
each_plate = pytest.mark.parametrize("name", sorted(WHERE))


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        yield play.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"])


@pytest.fixture(scope="module")
def open_plate(browser):
    def opened(name, **options):
        page = browser.new_page(**options)
        page.goto(WHERE[name].as_uri())
        return page, page.locator(f'figure[data-plate="{name}"]')

    return opened


@pytest.fixture(scope="module")
def both(open_plate):
    """Of each plate, four settings at random, and the numbers of the page and of the library."""
    rng, asked, shown = random.Random(int(os.environ.get("VAEJAX_SEED", 0))), {}, {}
    for name in sorted(WHERE):
        page, _ = open_plate(name)
        controls = page.evaluate("name => plate.controls(name)", name)
        steps = {c["key"]: round((c["high"] - c["low"]) / c["step"]) for c in controls}
        asked[name] = [
            {c["key"]: c["low"] + c["step"] * rng.randint(0, steps[c["key"]]) for c in controls} for _ in range(4)
        ]
        shown[name] = [page.evaluate("([name, s]) => plate.value(name, s)", [name, s]) for s in asked[name]]
        page.close()
    run = subprocess.run(
        [PYTHON, ROOT / "tests" / "plates_reference.py"], input=json.dumps(asked), capture_output=True, text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return asked, shown, json.loads(run.stdout)


def flat(value):
    return [number for part in value for number in flat(part)] if isinstance(value, list) else [value]


def test_there_are_eight_plates_and_more():
    assert len(WHERE) >= 8


@each_plate
def test_a_plate_shows_what_the_library_computes(both, name):
    for settings, shown, expected in zip(*(part[name] for part in both), strict=True):
        chance = expected.pop("chance", 0)
        for key, value in expected.items():
            # of bounds for many numbers of draws, the first two have a route of their own
            pairs = list(zip(flat(shown[key]), flat(value), strict=key != "bounds"))
            slack = 6 * chance if key == "bound" else 0
            off = max(abs(a - b) - slack - 1e-3 * max(1, abs(b)) for a, b in pairs)
            assert off <= 0, f"{key} at {settings}: {str(shown[key])[:80]} and {str(value)[:80]}"


@each_plate
def test_a_plate_is_played_by_keyboard_and_by_touch(open_plate, name):
    page, figure = open_plate(name, viewport={"width": 380, "height": 800}, has_touch=True)
    for slider in figure.locator("input").all():
        before = figure.locator("svg").inner_html()
        slider.press("ArrowRight")
        assert figure.locator("svg").inner_html() != before and slider.get_attribute("aria-valuetext")
    words, hold = figure.locator("output"), figure.locator(".hold").first
    if hold.count():
        said = words.text_content()
        figure.locator("svg").scroll_into_view_if_needed()
        frame = hold.bounding_box()
        page.touchscreen.tap(frame["x"] + frame["width"] / 2 + 25, frame["y"] + frame["height"] / 2 + 15)
        assert words.text_content() != said
    assert "NaN" not in figure.inner_html()
    page.close()


@each_plate
def test_without_scripts_a_sentence_leads_to_the_still(open_plate, name):
    page, figure = open_plate(name, java_script_enabled=False)
    assert "above" in figure.locator("noscript").inner_text() and not figure.locator("svg").count()
    stills = page.locator(f'//figure[@data-plate="{name}"]/preceding::img')
    assert stills.count()
    page.close()
