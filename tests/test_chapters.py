"""The rules of the notebooks that nbval cannot see: it compares text outputs, and lets pass what is not there."""

import ast
import csv
import itertools
import json
import os
import re
import statistics
import subprocess
import symtable
import sys
from pathlib import Path

import nbformat
import pytest
from length import kind_of, measure

ROOT = Path(__file__).parent.parent
# Beside the road: without exercises.
COMPANIONS = sorted(
    path for name in ("companion_*", "side_roads*", "00_map") for path in (ROOT / "chapters").glob(f"{name}.ipynb")
)
CHAPTERS = sorted(set((ROOT / "chapters").glob("*.ipynb")) - set(COMPANIONS))
MAP = ROOT / "chapters" / "00_map.ipynb"
ANSWERS = sorted((ROOT / "chapters" / "answers").glob("*.ipynb"))
SETS = sorted((ROOT / "chapters" / "assignments" / "source").glob("*/*.ipynb"))

RUNTIME = {"jax", "jaxlib", "flax", "optax", "numpy", "matplotlib", "tqdm", "vaejax", "scipy"}  # scipy comes with jax
# They show, then check.
SHOWING = [
    "01_maximum_likelihood",
    "02_em_gaussian_mixture",
    "03_pca",
    "04_linear_gaussian",
    "05_nonlinear_gaussian",
    "06_vae",
    "appendix_a_labels_priors_halves",
    "appendix_b_time_diffusion",
    "companion_misconceptions",
]
# Cells whose output depends on the machine: "notebook:cell". At most five a chapter.
IGNORED_OUTPUTS = set()


def name(path):
    return path.relative_to(ROOT / "chapters").with_suffix("").as_posix()


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cell):
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def is_judge(cell):
    """Does this cell of a problem set only define what the tests below it call? Then its claims are printed there."""
    info = cell.metadata.get("nbgrader", {})
    runs = any(isinstance(node, ast.Expr | ast.For | ast.With) for node in ast.parse(cell.source).body)
    return info.get("locked", False) and not info["grade"] and not runs


def images(cell):
    return [out.data["image/png"] for out in cell.outputs if "image/png" in out.get("data", {})]


def defined_and_used(source):
    """What the code of a cell defines, and what it uses and does not define, in functions and comprehensions too."""
    tables = [symtable.symtable(re.sub("(?m)^%.*", "", source), "cell", "exec")]
    defined = {s.get_name() for s in tables[0].get_symbols() if s.is_assigned() or s.is_imported()}
    used = set()
    for table in tables:
        tables += table.get_children()
        symbols = [s for s in table.get_symbols() if s.is_referenced() and (s.is_global() or table is tables[0])]
        used |= {s.get_name() for s in symbols}
    return defined, used - defined


each_notebook = pytest.mark.parametrize("path", CHAPTERS + COMPANIONS + ANSWERS + SETS, ids=name)
each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=name)


def test_there_are_chapters_and_each_has_its_answers():
    assert CHAPTERS
    assert [p.name for p in CHAPTERS] == [p.name for p in ANSWERS]


@pytest.mark.parametrize("path", CHAPTERS + COMPANIONS, ids=name)
def test_a_name_keeps_its_meaning_while_it_is_used(path):
    """So that a reader may go back and run any cell again. (`make test-lab` runs them backwards, in an hour.)"""
    cells = [(cell.id, *defined_and_used(cell.source)) for cell in code_cells(read(path))]
    for i, (cell, _, used) in enumerate(cells):
        given = {each for _, defined, _ in cells[:i] for each in defined} & used
        for later, defined, _ in cells[i + 1 :]:
            assert not given & defined, f"{cell} uses {given & defined}, which {later} gives to something else"


@each_notebook
def test_every_cell_is_stored_as_executed_in_order(path):
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(out.output_type in ("stream", "display_data") for out in cell.outputs), cell.id
        assert all(out.get("name") != "stderr" for out in cell.outputs), f"{cell.id} stores stderr"
        assert "execution" not in cell.metadata, f"{cell.id} stores time stamps"
        if is_judge(cell):
            continue
        if re.search(r"check\.(check_|report\(|poll\()|print\(|plt\.show\(\)", cell.source):
            assert cell.outputs, f"{cell.id} lost its outputs"


@each_notebook
def test_no_wrapped_line_begins_like_a_list(path):
    for cell in read(path).cells:
        assert cell.cell_type != "markdown" or not wrapped_like_a_list(cell.source), cell.id


PAGES = [
    page
    for folder in (".", "chapters", "data", "docs", "tests", "tests/mutants")
    for page in ROOT.glob(f"{folder}/*.md")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_wrapped_line_of_a_page_begins_like_a_list(page):
    assert not wrapped_like_a_list(re.sub(r"(?ms)^```.*?^```", "", page.read_text()))


def test_a_wrapped_line_is_found():
    assert wrapped_like_a_list("chapter\n1. What it guarantees") == ["1. What it guarantees"]
    assert not wrapped_like_a_list("These:\n- one,\n  and more\n- two")


def wrapped_like_a_list(text):
    """JupyterLab lets a paragraph go on there; others begin a list, and leave the formula that was cut as text."""
    marker = re.compile(r"\s*([-*+]|\d+[.)])\s")

    def is_text(line):
        return line.strip() and not marker.match(line) and not line.startswith(("|", "#", "  ")) and line[-1] != ":"

    return [line for before, line in itertools.pairwise(text.splitlines()) if is_text(before) and marker.match(line)]


@each_notebook
def test_every_check_of_a_cell_has_printed(path):
    for cell in code_cells(read(path)):
        if is_judge(cell):
            continue
        stated = sum(
            isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("check.check_", "check.report"))
            for node in ast.walk(ast.parse(cell.source))
        )
        lines = re.findall(r"^(?:ok|seen|to do): ", printed(cell), re.MULTILINE)
        assert len(lines) >= stated, f"{cell.id} states {stated} claims and printed {len(lines)}"


@each_notebook
def test_cells_are_short_and_text_stands_between_them(path):
    notebook = read(path)
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        assert "code" not in (before.cell_type,) or cell.cell_type == "markdown", f"no text before {cell.id}"
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        limit = 25 if re.search(r"^(def|class) ", cell.source, re.MULTILINE) else 20
        assert 0 < len(lines) <= limit, f"{cell.id} has {len(lines)} lines"
        assert max(map(len, lines)) <= 79, f"{cell.id} is wider than 79 columns"
        assert not any(line.rstrip().endswith(";") for line in lines), f"{cell.id} ends a line with ';'"


@each_notebook
def test_ids_are_readable_and_unique(path):
    ids = [cell.id for cell in read(path).cells]
    assert len(set(ids)) == len(ids)
    for cell_id in ids:
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", cell_id), cell_id
        assert not re.fullmatch(r"[0-9a-f]{8}", cell_id), f"{cell_id} looks random"


@each_notebook
def test_figures_are_shown_named_and_narrow(path):
    for cell in code_cells(read(path)):
        if not images(cell):
            continue
        assert cell.source.rstrip().endswith("plt.show()"), f"{cell.id} does not end with plt.show()"
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        assert len(alt) > 40, f"{cell.id} has no alt text (cell metadata mystnb.image.alt)"
        for out in cell.outputs:
            if out.output_type == "display_data":
                width = int(re.search(r"size (\d+)x", out.data["text/plain"]).group(1))
                assert width <= 850, f"{cell.id} is {width} pixels wide"


@each_notebook
def test_imports_are_the_books_own(path):
    for cell in code_cells(read(path)):
        for node in ast.walk(ast.parse(cell.source)):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                top = module.split(".")[0]
                assert top in RUNTIME or top in sys.stdlib_module_names, f"{cell.id} imports {module}"


@each_notebook
def test_randomness_comes_from_the_seed(path):
    source = "\n".join(cell.source for cell in code_cells(read(path)))
    source = re.sub(r"### BEGIN HIDDEN TESTS.*?### END", "", source, flags=re.DOTALL)  # these want fresh numbers
    for call in re.findall(r"(?:default_rng|random\.key|PRNGKey|random\.seed|Rngs)\(\s*([^)]*)", source):
        assert call.lstrip("[").startswith("check.seed("), (
            f"a generator is started with {call!r}, not with check.seed()"
        )


@each_notebook
def test_only_listed_cells_escape_comparison(path):
    tagged = {
        f"{name(path)}:{cell.id}"
        for cell in code_cells(read(path))
        if {"nbval-ignore-output", "nbval-skip", "raises-exception", "skip"} & set(cell.metadata.get("tags", []))
    }
    assert tagged == {entry for entry in IGNORED_OUTPUTS if entry.startswith(f"{name(path)}:")}
    assert len(tagged) <= 5
    source = "\n".join(cell.source for cell in code_cells(read(path)))
    assert not re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)", source, re.IGNORECASE)
    assert not re.search(r"""["'](ok|seen): """, source), "only a check says ok, only a report says seen"


@each_notebook
def test_text_keeps_the_house_style(path):
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            prose = re.sub(r"\$[^$]*\$|`[^`]*`|!\[", "", cell.source)
            assert "!" not in prose and not re.search(r"\b(simply|obviously|of course)\b", prose, re.I), cell.id
            assert not re.search(r"begin\{align.*tag", cell.source, re.DOTALL), f"\\tag inside align in {cell.id}"
            assert not re.search(r"(?<![\w/.])/(root|home|work|tmp)/", cell.source), cell.id


@each_chapter
def test_a_chapter_has_its_parts(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    parts = ["**What you'll do.**", "**What you'll learn.**", "**What you'll need.**", "## What changed"]
    for part in parts + ["## Exercises", "## In five lines", "## Further reading"]:
        assert part in text, part
    summary = text.split("## In five lines")[1].split("##")[0]
    assert len(re.findall(r"^- ", summary, re.MULTILINE)) == 5


each_that_shows = pytest.mark.parametrize("path", [path for path in CHAPTERS if path.stem in SHOWING], ids=name)
each_that_shows = pytest.mark.parametrize(
    "path", [path for path in CHAPTERS + COMPANIONS if path.stem in SHOWING], ids=name
)


@each_that_shows
def test_a_chapter_is_no_longer_than_an_evening(path):
    of = measure(read(path))
    most_words, most_lines = (3800, 340) if path.stem.startswith("06") else (3300, 280)
    assert of.words <= most_words and len(of.lines) <= 36 and sum(of.lines) <= most_lines, of
    assert statistics.median(of.lines) <= 7, of
    assert max(of.lines) <= 20 and sum(n > 15 for n in of.lines) == sum(n > 15 for n in of.definitions), of
    first = read(path).cells[0].source
    assert f"about {of.reading} minutes to read and run, and {of.exercises} for the exercises" in " ".join(
        first.split()
    ), of


@each_that_shows
def test_a_section_shows_first_and_ends_with_its_audit(path):
    section, ended = "", False
    for cell in read(path).cells:
        if cell.cell_type == "markdown" and (heading := re.match(r"## (.*)", cell.source)):
            section, ended = heading[1], False
        if cell.cell_type != "code":
            continue
        kind = kind_of(cell)
        assert kind == "audit" or not ended, f"{section}: {cell.id} comes after the audit"
        assert kind != "audit" or not ended, f"{section}: {cell.id} is a second audit"
        ended = ended or kind == "audit"
        hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert hidden == (kind in ("audit", "answer", "poll")), f"{cell.id} is {kind}, and source_hidden is {hidden}"
        if kind == "narrative":
            assert len(re.findall(r"check\.check_", cell.source)) <= 1, f"{cell.id} makes more than one claim"
        if kind == "audit":
            assert "ok: " in printed(cell), f"{cell.id} checks nothing"


@each_that_shows
def test_what_is_predicted_is_seen_in_the_next_cells(path):
    """A number, a table or a figure, before anything is asserted of it."""
    cells = read(path).cells
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown" and "**Predict" in cell.source and not cell.id.startswith("ex"):
            code = next(later for later in cells[i + 1 :] if later.cell_type == "code")
            seen = [line for line in printed(code).splitlines() if line and not line.startswith("ok: ")]
            assert seen or images(code), f"{cell.id} asks, and {code.id} shows nothing"


@each_chapter
def test_equations_are_numbered_in_order_and_referred_to_by_their_number(path):
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    tags = [int(tag) for tag in re.findall(r"\\tag\{(\d+)\}", text)]
    assert tags == list(range(1, len(tags) + 1))
    prose = re.sub(r"\$[^$]*\$|`[^`]*`", "", text)
    referred = {int(number) for number in re.findall(r"(?<![\w)])\((\d{1,2})\)(?! of chapter)", prose)}
    assert referred <= set(tags), f"no equation has the numbers {sorted(referred - set(tags))}"


@each_chapter
def test_greek_letters_are_in_the_table_of_notation(path):
    table = next(cell.source for cell in read(MAP).cells if cell.id == "notation")
    greek = (
        "alpha beta gamma delta epsilon varepsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi varphi "
    )
    greek += "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"
    for cell in read(path).cells:
        if cell.cell_type == "markdown" and not cell.id.startswith("ex"):
            for letter in set(re.findall(r"\\([A-Za-z]+)", cell.source)) & set(greek.split()):
                assert f"\\{letter}" in table, f"{cell.id} uses \\{letter}, which the table of notation lacks"


def words_in_bold(cell):
    """The terms that a cell introduces: in bold, and neither a whole sentence nor one of the book's own signs."""
    text = re.sub(r"\$\$.*?\$\$", "", cell.source, flags=re.DOTALL)
    for found in re.findall(r"\*\*([^*]+)\*\*", text):
        word = " ".join(found.split())
        if not re.search(r"^(Predict|Audit|Your|What you|The general)|[.:]", word):
            yield word


@each_that_shows
def test_each_word_in_bold_is_in_the_glossary_and_leads_back(path):
    """A word is bold once in a chapter, where it is defined; the glossary's link leads to that cell."""
    glossary = next(cell.source for cell in read(MAP).cells if cell.id == "glossary")
    rows = re.findall(
        r"^\| ([^|]+?) \| .{15,} \| \[[^]]*\]\(([\w]+)\.ipynb#cell-id=([\w-]+)\) \|$", glossary, re.MULTILINE
    )
    first = {word.lower(): (notebook, cell) for word, notebook, cell in rows}
    assert len(first) == len(rows) > 40, "a word stands twice"
    seen = {}
    for cell in read(path).cells:
        if cell.cell_type == "markdown" and not cell.id.startswith("ex"):
            for word in words_in_bold(cell):
                assert word.lower() in first, f"{cell.id}: the glossary lacks {word}"
                assert word.lower() not in seen, f"{word} is bold in {seen[word.lower()]} and in {cell.id}"
                seen[word.lower()] = cell.id
    for word, (notebook, cell) in first.items():
        assert notebook != path.stem or seen.get(word) == cell, f"{word} is bold in {seen.get(word)}, not in {cell}"


@pytest.mark.parametrize(("chapter", "answers"), list(zip(CHAPTERS, ANSWERS, strict=False)), ids=lambda p: p.stem)
def test_exercises_wait_in_the_chapter_and_are_answered_in_the_answers(chapter, answers):
    open_claims = set()
    for cell in code_cells(read(chapter)):
        to_do = re.findall(r"^to do: (.*)$", printed(cell), re.MULTILINE)
        assert bool(to_do) == cell.id.startswith("ex-"), cell.id
        open_claims |= set(to_do)
    out = "".join(printed(cell) for cell in code_cells(read(answers)))
    assert "to do: " not in out
    claims = re.findall(r"^(?:ok|seen): ([^|\n]*?)(?: \|.*)?$", out, re.MULTILINE)  # without what was measured
    answered = {re.sub(r" \((within|slack) [^()]*\)$", "", claim) for claim in claims}
    assert open_claims and open_claims <= answered, open_claims - answered


def test_coverage_names_cells_that_teach_and_check():
    with open(ROOT / "tests" / "coverage.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids) and all(re.fullmatch(r"[A-Z]\d+", i) for i in ids)
    notebooks = {name(path): {cell.id: cell for cell in read(path).cells} for path in CHAPTERS + COMPANIONS + ANSWERS}
    for row in rows:
        cell = notebooks[row["notebook"]][row["cell"]]
        assert row["topic"].strip() and row["kind"] in ("checked", "text"), row
        if row["kind"] == "checked":
            assert cell.cell_type == "code" and "check.check_" in cell.source, (
                f"{row['id']}: {row['cell']} checks nothing"
            )
            assert "ok: " in printed(cell) or cell.id.startswith("ex-"), row["id"]
            claims = re.findall(r"^ok: ([^|\n]*)", printed(cell), re.MULTILINE)
            shows = row["notebook"].split("/")[-1] in SHOWING or row["notebook"].startswith("side_roads")
            assert bool(row["claim"]) == shows, f"{row['id']}: {row['cell']}, and the claim is {row['claim']!r}"
            assert any(row["claim"] in claim for claim in claims) or not shows, (
                f"{row['id']}: {row['cell']} does not claim {row['claim']!r}"
            )
        else:
            assert cell.cell_type == "markdown", row["id"]


def test_coverage_holds_all_that_the_book_set_out_to_teach():
    with open(ROOT / "tests" / "coverage.csv", newline="", encoding="utf-8") as file:
        ids = {row["id"] for row in csv.DictReader(file)}
    rows = {"N": 1, "M": 14, "B": 23, "P": 27, "L": 21, "G": 27, "V": 70, "E": 38}  # E: mistaken sentences
    assert ids == {f"{letter}{i}" for letter, count in rows.items() for i in range(1, count + 1)}


def sanitised(text):
    """As nbval does it."""
    file = (ROOT / "tests" / "sanitize.cfg").read_text()
    patterns = re.findall("^regex: (.*)$\n^replace: (.*)$", file, re.MULTILINE)
    assert len(patterns) == 2
    for regex, replace in patterns:
        text = re.sub(regex, replace, text)
    return text


OUTPUT = """the table has 12 rows | 3 columns
ok: the mean is 0.87 (within 6 standard errors) | 0.861, expected 0.87, 0.7 standard errors off
seen: nats gained, of 40 | 12.3
ok: it is a set
to do: 3 | the slope
<Axes at 0x7f21d0a3c5b0>
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.861, expected 0.87, 0.7 standard", "0.874, expected 0.87, 0.1 standard"),
        ("| 12.3", "| [1 2 ... 9] | so"),
        ("| 12.3", "|"),
        ("0x7f21d0a3c5b0", "0x7fffffffffff"),
    ],
)
def test_the_sanitise_file_passes_over_what_was_measured(old, new):
    assert old in OUTPUT and sanitised(OUTPUT.replace(old, new)) == sanitised(OUTPUT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("the mean is", "the median is"),  # another claim
        ("is 0.87 (within 6", "is 0.88 (within 6"),  # a number in it
        ("(within 6 standard", "(within 7 standard"),  # a tolerance
        ("gained, of 40", "gained, of 41"),
        ("seen: nats", "seen: bits"),
        ("| 12.3\n", "\n"),  # no bar
        ("a set\n", "a set | 3\n"),
        ("seen: nats gained, of 40 | 12.3\n", ""),  # a line less
        ("| 12.3\n", "| 12.3\n12.4\n"),  # a second line
        ("| 12.3\n", "| 12.3\nseen: nats gained, of 40 | 12.3\n"),
        ("ok: it is a set", "to do: it is a set"),
        ("ok: the mean", "OK: the mean"),
        ("seen: nats", " seen: nats"),  # not at the beginning of the line
        ("ok: the mean", "so ok: the mean"),
        ("12 rows | 3", "13 rows | 3"),  # other lines, with a bar or without
        ("12 rows | 3", "12 rows | 4"),
        ("to do: 3", "to do: 4"),
        ("3 | the slope", "3 | the bend"),
        ("a set", "a list"),
        ("<Axes", "<Figure"),
        ("at 0x7f21d0a3c5b0", "at 0x7f"),
    ],
)
def test_the_sanitise_file_passes_over_nothing_else(old, new):
    assert OUTPUT.count(old) == 1 and sanitised(OUTPUT.replace(old, new)) != sanitised(OUTPUT)


@pytest.mark.parametrize("output", ["3", "3.14", "1e-06", "-0.5", "at 71 minutes", "0x12 = 18", "so ok: 3 | 4"])
def test_the_sanitise_file_leaves_other_lines_as_they_are(output):
    assert sanitised(output) == output


def test_the_readmes_pictures_are_outputs_of_chapters():
    import base64

    from execute import FIGURES, PICTURES

    readme = (ROOT / "README.md").read_text()
    for stem, names in PICTURES.items():
        cells = {cell.id: cell for cell in read(ROOT / "chapters" / f"{stem}.ipynb").cells}
        for name in names:
            assert (FIGURES / f"{name}.png").read_bytes() == base64.b64decode(images(cells[name])[0]), name
            assert f"docs/figures/{name}.png" in readme
    assert {path.stem for path in FIGURES.iterdir()} == {name for names in PICTURES.values() for name in names}


def test_notebooks_are_clean_code():
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "79", "--select", "E,F"]
    result = subprocess.run(
        [*command, "--output-format", "concise", *map(str, CHAPTERS + COMPANIONS + ANSWERS + SETS)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def test_notebooks_are_plain_json_with_a_neutral_kernel():
    for path in CHAPTERS + COMPANIONS + ANSWERS + SETS:
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        assert metadata["kernelspec"]["name"] == "python3" and metadata["language_info"] == {"name": "python"}


COMPILE_TWICE = """
import os, sys
exec(open(os.environ["PYTHONSTARTUP"]).read())
import jax, jax.numpy as jnp, vaejax as vj
from vaejax import linear_gaussian as lg
start = lg.LinearGaussianParams(jnp.ones((3, 1)), jnp.zeros(3), jnp.zeros(3))
for _ in range(2):
    vj.mean_bound(lg.PPCA, start, jnp.ones((4, 3)), None)
    if sys.argv[1] == "again":
        jax.clear_caches()
"""


@pytest.mark.parametrize(("how", "works"), [("once", True), ("again", False)])
def test_a_kernel_that_compiles_twice_is_an_error(how, works, tmp_path):
    env = os.environ | {"PYTHONSTARTUP": str(ROOT / "tests" / "compile_guard.py"), "JAX_PLATFORMS": "cpu"}
    env |= {"JAX_COMPILATION_CACHE_DIR": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    done = subprocess.run([sys.executable, "-c", COMPILE_TWICE, how], env=env, capture_output=True, text=True)
    assert (done.returncode == 0) == works, done.stderr
    assert works or "of vaejax was compiled a second time" in done.stderr
