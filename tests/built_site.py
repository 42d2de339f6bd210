"""The site says what the notebooks say, whole, and nothing of it lies elsewhere: `make test-site`.

pytest reads this file only when it is named: it needs a built site, playwright, and a chromium on the machine.
"""

import base64
import csv
import html
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
from npm import take  # noqa: E402

SITE = ROOT / "site"
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
NOTEBOOKS = sorted(path for folder in ("chapters", "chapters/answers") for path in (ROOT / folder).glob("*.ipynb"))
CHAPTERS = [
    path.stem for path in NOTEBOOKS if re.match("0[1-9]|appendix", path.stem) and path.parent.name == "chapters"
]
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(SITE)))
NOT_RENDERED = r"""() => {
    const bad = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(node => node.textContent);
    const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        const isText = !node.parentElement.closest('code, pre, dt.sig, mjx-container, script');
        if (isText && /\$|\\[a-z]/i.test(node.data)) bad.push(node.data);
    }
    return bad;
}"""

TOO_LARGE = """() => Array.from({length: Reveal.getTotalSlides()}, (_, i) => {
    Reveal.slide(i);
    const slide = Reveal.getCurrentSlide(), right = slide.getBoundingClientRect().right;
    const parts = [...slide.querySelectorAll('img, p, svg')].map(part => part.getBoundingClientRect().right - right);
    return [i, Math.max(slide.scrollHeight - 750, ...parts)];
}).filter(([_, pixels]) => pixels > 2)"""


class Page(HTMLParser):
    """The ids, links and sources of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if attrs.get("id"):
            self.ids.add(attrs["id"])
        self.links += [(tag, attrs[key]) for key in ("href", "src") if attrs.get(key)]


pages = {path: Page(path) for path in PAGES}


def test_there_is_a_page_for_each_notebook():
    assert len(PAGES) > 15 and not [
        n for n in NOTEBOOKS if not (SITE / n.relative_to(ROOT)).with_suffix(".html").exists()
    ]


@each_page
def test_no_link_and_no_picture_is_broken(path):
    broken = []
    for tag, link in pages[path].links:
        scheme, host, where, _, fragment = urlsplit(link)
        if scheme in ("http", "https", "mailto"):
            if tag != "a":
                broken.append(f"{link} is fetched from elsewhere")
            continue
        target = (path.parent / unquote(where)).resolve() if where else path
        if scheme not in ("", "data") or host or (scheme == "" and not target.exists()):
            broken.append(f"{link} leads nowhere")
        elif fragment and target in pages and unquote(fragment) not in pages[target].ids:
            broken.append(f"{link}: no such place in {target.name}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "chapters")))
def test_a_page_holds_every_cell_and_figure_of_its_notebook(path):
    page = (SITE / path.relative_to(ROOT)).with_suffix(".html")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert {f"cell-{cell['id']}" for cell in cells} <= pages[page].ids
    stored = [o["data"] for cell in cells for o in cell.get("outputs", ()) if "image/png" in o.get("data", {})]
    shown = [
        (page.parent / link).read_bytes() for tag, link in pages[page].links if tag == "img" and "_images/" in link
    ]
    shown = iter(shown)  # a plate has its still among them
    assert all(base64.b64decode(data["image/png"]) in shown for data in stored), (
        "a figure is missing, or in another place"
    )
    words = letters(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            parts = [source, *("".join(o.get("text", "")) for o in cell["outputs"])]
        else:  # between formulas; an address is no text
            source = re.sub(r"\]\([^)]*\)|</?[a-z][^>]*>", " ", source)
            parts = re.split(r"(?s)\$\$.*?\$\$|\$[^$]*\$|\n\n|\|", source)
        for part in parts:
            assert letters(part) in words, f"{cell['id']}: {part}"


def letters(text):
    return re.sub(r"[^\w]|_", "", html.unescape(text))


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        yield play.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu"])


@each_page
def test_a_page_shows_itself_from_a_folder(browser, path):
    """Formulas are set, nothing is asked of a network, and a phone shows the page without scrolling sideways."""
    page, asked, said = browser.new_page(viewport={"width": 390, "height": 800}), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    if page.query_selector(".math"):
        page.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise")
        page.evaluate("MathJax.startup.promise")
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert not said
    if page.query_selector("article"):
        assert not page.evaluate(NOT_RENDERED)
        assert page.evaluate(
            "[...document.images].every(i => !i.src || (i.complete && i.naturalWidth) || i.loading == 'lazy')"
        )
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 2, f"{wide} pixels too wide for a phone"
    page.close()


@pytest.fixture(scope="module")
def decks():
    subprocess.run([ROOT / ".venv/bin/python", ROOT / "docs/slides.py"], check=True)
    return ROOT / "classroom/slides"


@pytest.mark.xdist_group("decks")
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_slide_fits_its_screen_and_its_sheet_of_paper(browser, decks, name):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    address = (decks / f"{name}.html").as_uri()
    page.goto(address)
    page.wait_for_function("window.Reveal && Reveal.isReady()")
    too_large = page.evaluate(TOO_LARGE)
    assert not too_large, f"slides, and by how many pixels: {too_large}"
    num_slides = page.evaluate("Reveal.getTotalSlides()")
    page.goto(f"{address}?print-pdf")
    page.wait_for_function("document.querySelectorAll('.pdf-page').length")
    assert num_slides > 20 and len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True))) == num_slides
    page.close()


@each_page
def test_axe_finds_nothing_serious(browser, path):
    """Contrast, alt texts, names and order of what can be reached, in the light and in the dark."""
    (axe,) = take("axe-core@4.14.1", "axe.min.js")
    found = {}
    for theme in ("light", "dark"):
        page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=theme)
        page.goto(path.as_uri())
        if page.query_selector(".math"):
            page.wait_for_function("window.MathJax && MathJax.startup && MathJax.startup.promise")
            page.evaluate("MathJax.startup.promise")
        page.add_script_tag(path=str(axe))
        run = "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)"
        for each in page.evaluate(run):
            if each["impact"] in ("serious", "critical") or each["id"] in ("heading-order", "image-alt"):
                found[theme, each["id"]] = [node["html"][:160] for node in each["nodes"][:5]]
        page.close()
    assert not found


def test_the_search_finds_words_from_a_folder(browser):
    page = browser.new_page()
    page.goto((SITE / "search.html").as_uri() + "?q=responsibility")
    page.wait_for_selector("ul.search li a", timeout=10_000)
    assert any("02_em" in link.get_attribute("href") for link in page.query_selector_all("ul.search li a"))
    page.close()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT / "chapters")))
def test_a_download_is_the_notebook_itself(path):
    assert (SITE / "_sources" / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


def test_no_solution_can_be_downloaded():
    for path in (SITE / "_sources" / "sets").iterdir():
        assert "BEGIN SOLUTION" not in path.read_text() and "HIDDEN TESTS" not in path.read_text()


def test_each_word_of_the_glossary_is_led_to_where_it_is_met_first():
    cells = json.loads((ROOT / "chapters" / "00_map.ipynb").read_text(encoding="utf-8"))["cells"]
    glossary = next("".join(cell["source"]) for cell in cells if cell["id"] == "glossary")
    rows = re.findall(r"^\| ([^|]+?) \| .* \| \[[^]]*\]\((\w+)\.ipynb", glossary, re.MULTILINE)
    assert len(rows) > 40
    for word, notebook in rows:
        place = "word-" + re.sub(r"\W+", "-", word.lower()).strip("-")
        links = [link for _, link in pages[SITE / "chapters" / f"{notebook}.html"].links]
        assert f"00_map.html#{place}" in links, (word, notebook)
        assert place in pages[SITE / "chapters" / "00_map.html"].ids


def test_each_topic_leads_to_its_cell():
    links = {link for _, link in pages[SITE / "curriculum.html"].links}
    with open(ROOT / "tests" / "coverage.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert f"chapters/{row['notebook']}.html#cell-{row['cell']}" in links, row["id"]
