"""Every chapter in JupyterLab, in a real browser: `make test-lab`.

pytest reads this file only when it is named: it needs playwright and a chromium that is installed on the machine.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted(path.stem for path in (ROOT / "chapters").glob("*.ipynb"))
ONE_RUN = 600  # seconds that a chapter may take
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},  # all cells in the page
}
ON_THE_MAP = re.search(r"(?m)^ON_THE_MAP := (.*)$", (ROOT / "Makefile").read_text())[1].split()
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'
PROMPTS = "[...document.querySelectorAll('.jp-InputPrompt')].map(prompt => prompt.textContent)"
RUNNING = f"{PROMPTS}.some(text => text.includes('*'))"
LATEST = f"Math.max(0, ...{PROMPTS}.map(text => parseInt(text.slice(1)) || 0))"
BEGUN = f"before => {RUNNING} || ({LATEST} > 0 && {LATEST} !== before)"  # a short notebook is done before we look
AT_REST = f"!{RUNNING} && document.querySelector('.jp-NotebookPanel-toolbar {IDLE}')"
NOT_RENDERED = r"""() => {
    const bad = [...document.querySelectorAll('mjx-merror, [data-mjx-error], mjx-container [style*="red"]')];
    const words = bad.map(node => node.textContent || node.outerHTML);
    for (const text of document.querySelectorAll('.jp-RenderedMarkdown')) {
        const walker = document.createTreeWalker(text, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
            const node = walker.currentNode;
            if (!node.parentElement.closest('code, pre, mjx-container') && /\$|\\[a-z({\[]/i.test(node.data))
                words.push(node.data);
        }
    }
    return words;
}"""
FIGURES = """() => [...document.querySelectorAll('.jp-Notebook .jp-Cell')].map(cell =>
    [...cell.querySelectorAll('.jp-RenderedImage img')].filter(i => i.complete && i.naturalWidth > 100).length)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab, as `make lab` starts it, on a copy of the chapters without their outputs: its folder and address."""
    state = tmp_path_factory.mktemp("Bücher und Übungen")
    folder = state / "chapters"
    shutil.copytree(ROOT / "chapters", folder, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in CHAPTERS:
        notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, folder / f"{name}.ipynb")
    for name, values in SETTINGS.items():
        path = state / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    where = {"CONFIG": "config", "RUNTIME": "runtime", "DATA": "data"}
    env = os.environ | {f"JUPYTER_{kind}_DIR": str(state / path) for kind, path in where.items()}
    env |= {f"JUPYTERLAB_{kind.upper()}_DIR": str(state / kind) for kind in ("settings", "workspaces")}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", *ON_THE_MAP]
    with open(state / "log", "wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], env=env, stdout=log, stderr=log, cwd=state
        )
    try:
        yield folder, address(state, server)
    finally:
        server.terminate()
        server.wait(60)


def address(state, server):
    """(URL, token) of the server, which writes them to a file when it is up."""
    for _ in range(600):
        assert server.poll() is None, (state / "log").read_text()
        for path in (state / "runtime").glob("jpserver-*.json"):
            try:
                info = json.loads(path.read_text())
                urllib.request.urlopen(f"{info['url']}api/status?token={info['token']}", timeout=5).close()
                return info["url"], info["token"]
            except (OSError, ValueError):
                pass  # not yet
        time.sleep(0.1)
    raise AssertionError((state / "log").read_text())


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_chapter(lab, browser):
    folder, server = lab
    page = browser.new_page(viewport={"width": 1400, "height": 1600})
    yield lambda name: Chapter(page, server, folder / f"{name}.ipynb")
    page.close()


class Chapter:
    """A chapter that is open in JupyterLab, as a reader handles it."""

    def __init__(self, page, server, path):
        self.page, self.path = page, path
        url, token = server
        page.goto(f"{url}lab/workspaces/{path.stem}/tree/{path.name}?token={token}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        self.wait()
        time.sleep(2)
        self.accept()
        self.wait()

    def accept(self):
        """Say yes to what JupyterLab asks, if it asks."""
        if self.page.locator(".jp-Dialog .jp-mod-accept").count():
            self.page.click(".jp-Dialog .jp-mod-accept")

    def menu(self, title, entry):
        self.page.click(f'.lm-MenuBar-itemLabel:text-is("{title}")')
        self.page.click(f'.lm-Menu-itemLabel:text-matches("^{entry}")')
        time.sleep(1)
        self.accept()

    def start(self, action, *args):
        """Do what runs cells, and wait until it has begun."""
        before = self.page.evaluate(LATEST)
        action(*args)
        self.page.wait_for_function(BEGUN, arg=before, timeout=60_000)

    def wait(self):
        self.page.wait_for_function(AT_REST, timeout=ONE_RUN * 1000)

    def select(self, cell_id):
        index = [cell.id for cell in nbformat.read(self.path, as_version=4).cells].index(cell_id)
        self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-InputPrompt").click()

    def run(self, cell_id):
        self.select(cell_id)
        self.start(self.page.keyboard.press, "Control+Enter")

    def saved(self):
        """The notebook as JupyterLab writes it."""
        before = self.path.stat().st_mtime_ns
        self.page.keyboard.press("Control+s")
        end = time.monotonic() + 30
        while self.path.stat().st_mtime_ns == before:
            assert time.monotonic() < end, "the notebook was not saved"
            time.sleep(0.1)
        time.sleep(1)
        return nbformat.read(self.path, as_version=4)

    def run_all(self, menu=("Run", "Run All Cells")):
        self.start(self.menu, *menu)
        self.wait()
        return self.saved()


def assert_right(chapter, notebook):
    """No error, every cell run once and in order, every figure and formula to be seen."""
    stored = nbformat.read(ROOT / "chapters" / chapter.path.name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    errors = [(cell.id, o.ename, o.evalue) for cell in code for o in cell.outputs if o.output_type == "error"]
    assert not errors
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    shown = chapter.page.evaluate(FIGURES)
    expected = [sum("image/png" in o.get("data", {}) for o in cell.get("outputs", [])) for cell in stored.cells]
    assert shown == expected
    assert not chapter.page.evaluate(NOT_RENDERED)
    text = "".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    assert chapter.page.locator("mjx-container").count() >= len(re.findall(r"\$\$.+?\$\$", text, re.DOTALL))


def test_the_printed_address_opens_the_map(lab, browser):
    """Where no browser is found, a reader copies it."""
    folder, (url, token) = lab
    printed = re.findall(rf"{url}lab\S+", (folder.parent / "log").read_text())[-1]
    page = browser.new_page()
    page.goto(printed)
    page.wait_for_selector('.jp-mod-current:has-text("00_map.ipynb")', timeout=120_000)
    page.wait_for_selector('.jp-Notebook h1:has-text("The map")', timeout=120_000)
    page.close()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_runs_in_the_browser_and_twice_and_after_a_restart(open_chapter, name):
    chapter = open_chapter(name)
    first = chapter.run_all()
    assert_right(chapter, first)
    second = chapter.run_all()
    for cell in first.cells:
        assert printed(second, cell.id) == printed(first, cell.id), cell.id
    assert_right(chapter, chapter.run_all(("Kernel", "Restart Kernel and Run All Cells")))


@pytest.mark.parametrize("name", CHAPTERS)
def test_cells_may_be_run_again_and_out_of_order(name):
    """Each twice in a row, and then from the last to the first: always the same words. (This one needs no browser.)"""
    notebook = nbformat.read(ROOT / "chapters" / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    order = [cell for cell in cells for _ in range(2)] + cells[::-1]
    many = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.source) for cell in order])
    NotebookClient(many, timeout=ONE_RUN, allow_errors=True).execute()
    for cell, run in zip(order, many.cells, strict=True):
        assert words(run) == words(cell), cell.id


def test_training_is_interrupted_and_started_again(open_chapter):
    chapter = open_chapter("06_vae")
    chapter.select("fit")
    chapter.run_all(("Run", "Run All Above Selected Cell"))
    chapter.run("fit")
    time.sleep(4)  # of the fifteen seconds or more that it takes
    chapter.menu("Kernel", "Interrupt Kernel")
    chapter.wait()
    assert "KeyboardInterrupt" in printed(chapter.saved(), "fit")
    chapter.run("fit")
    chapter.wait()
    assert printed(chapter.saved(), "fit").splitlines() == ["seen: KL at the start, halfway, at the end |"]


def printed(notebook, cell_id):
    return words(next(cell for cell in notebook.cells if cell.id == cell_id))


def words(cell):
    """What a cell has printed, but for milliseconds and what checks have measured, and the names of its errors."""
    said = "".join(output.get("text") or output.get("ename") or "" for output in cell.get("outputs", []))
    said = re.sub(r"[^\n]*\r| {9,}", "", said)  # what is left of a progress bar, where ten seconds were not enough
    said = re.sub(r"^((?:ok|seen): [^|\n]*\|).*$", r"\1", said, flags=re.MULTILINE)
    return re.sub(r"[\d.]+ ms", "some ms", said)
