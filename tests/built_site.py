"""The site says what the notebooks say, whole, and nothing of it lies elsewhere: `make test-site`.

pytest reads this file only when it is named: it needs a built site, playwright, and a chromium on the machine.
"""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
SITE = ROOT / "site"
PAGES = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
NOTEBOOKS = sorted(path for folder in ("chapters", "chapters/answers") for path in (ROOT / folder).glob("*.ipynb"))
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(SITE)))
NOT_RENDERED = r"""() => {
    const bad = [...document.querySelectorAll('mjx-merror, [data-mjx-error]')].map(node => node.textContent);
    const walker = document.createTreeWalker(document.querySelector('article'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        const isText = !node.parentElement.closest('code, pre, mjx-container, script');
        if (isText && /\$|\\[a-z]/i.test(node.data)) bad.push(node.data);
    }
    return bad;
}"""


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
    pictures = sum("image/png" in o.get("data", {}) for cell in cells for o in cell.get("outputs", ()))
    assert sum(tag == "img" and "_images/" in link for tag, link in pages[page].links) >= pictures
    words = re.sub(r"\s+|&\w+;", "", re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))
    for cell in cells:
        if cell["cell_type"] == "code":
            printed = "".join("".join(o.get("text", "")) for o in cell["outputs"])
            for line in ["".join(cell["source"]).splitlines()[-1], *printed.splitlines()]:
                plain = re.sub(r"""\s+|[<>&"']|&\w+;""", "", line)
                assert plain in re.sub(r"""[<>&"']""", "", words), f"{cell['id']}: {line}"


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
