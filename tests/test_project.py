"""What stands around the book: the requirements agree, the wheel carries the data, the Makefile speaks plainly."""

import ast
import importlib.metadata
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent


def run(*command, cwd=ROOT, **env):
    result = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=300
    )
    return result.returncode, result.stdout + result.stderr


def requirements(file):
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return {req.name: req for req in map(Requirement, (line for line in lines if line and line[0] != "-"))}


PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OF_THE_PACKAGE = PYPROJECT["project"]["dependencies"]
OF_NOTEBOOKS = PYPROJECT["project"]["optional-dependencies"]["notebooks"]
RANGES = {req.name: req for req in map(Requirement, OF_THE_PACKAGE + OF_NOTEBOOKS)}
PINNED = requirements("requirements.txt")
DEV = requirements("requirements-dev.txt")
TEACHING = requirements("requirements-teaching.txt")
BENCH = requirements("requirements-bench.txt")
LAB = requirements("requirements-lab.txt")
LOCKED = {canonicalize_name(name): req for name, req in requirements("constraints.txt").items()}


def test_requirements_are_the_ten_of_the_book():
    package = {"jax", "jaxlib", "flax", "optax", "numpy", "matplotlib", "tqdm"}
    expected = package | {"jupyter", "nbval", "pytest"}
    assert set(PINNED) == set(RANGES) == expected
    assert {Requirement(line).name for line in OF_THE_PACKAGE} == package
    assert not set(DEV) & expected and set(TEACHING) == {"nbgrader"}


@pytest.mark.parametrize(
    "req", [*PINNED.values(), *DEV.values(), *TEACHING.values(), *BENCH.values()], ids=lambda req: req.name
)
def test_pins_are_exact_and_inside_the_ranges(req):
    (spec,) = req.specifier
    assert spec.operator == "==" and "*" not in spec.version
    if req.name in RANGES:
        assert RANGES[req.name].specifier.contains(spec.version), f"{req} is outside {RANGES[req.name]}"


def test_each_pin_is_locked_and_whatever_installs_it_is_told():
    for req in [*PINNED.values(), *DEV.values(), *TEACHING.values(), *LAB.values()]:
        assert LOCKED[canonicalize_name(req.name)].specifier == req.specifier, f"{req.name}: run make lock"
    assert all(len(req.specifier) == 1 and str(req.specifier).startswith("==") for req in LOCKED.values())
    assert "-c constraints.txt" in (ROOT / "requirements.txt").read_text().splitlines()
    for install in re.findall(r"\(PIP\) install (.*)", (ROOT / "Makefile").read_text()):
        assert "-r requirements.txt" in install or "-c constraints.txt" in install, install


def brought_along(todo):
    """name -> version of all that is installed for the sake of these requirements, here, on this Python."""
    versions, seen = {}, set()
    while todo:
        req = todo.pop()
        for extra in {"", *req.extras} - {extra for name, extra in seen if name == req.name}:
            seen.add((req.name, extra))
            found = importlib.metadata.distribution(req.name)
            versions[canonicalize_name(req.name)] = found.version
            more = map(Requirement, found.requires or [])
            todo += [req for req in more if req.marker is None or req.marker.evaluate({"extra": extra})]
    return versions


@pytest.mark.skipif(sys.platform != "linux", reason="what is locked is what Linux needs")
def test_what_the_requirements_bring_along_is_locked():
    versions = brought_along([*PINNED.values(), *DEV.values(), *TEACHING.values()])
    assert len(versions) > 100
    for name in versions.keys() - {"setuptools"}:  # which venv brings
        assert name in LOCKED, f"{name} {versions[name]} is not in constraints.txt: run make lock"
        assert LOCKED[name].specifier.contains(versions[name]), f"{LOCKED[name]} is locked, {versions[name]} is here"


@pytest.mark.parametrize("which", ["lowest", "newest"])
def test_other_versions_are_tried_with_all_that_runs_a_chapter(which, tmp_path, monkeypatch):
    import conditions

    commands = []
    monkeypatch.setattr(conditions.subprocess, "run", lambda command, **_: commands.append(command))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    monkeypatch.setattr(conditions, "ROOT", tmp_path)
    (tmp_path / f".venv-{which}").mkdir()
    conditions.install(which)
    *_, words = "\n".join(commands[-1]).partition("\ninstall\n")
    installed = list(map(Requirement, words.split("\n")[:-2]))  # and then -e and the folder
    assert [req.name for req in installed] == list(RANGES)
    for req in installed:
        lowest = next(spec.version for spec in RANGES[req.name].specifier if spec.operator == ">=")
        assert str(req) == (f"{req.name}=={lowest}" if which == "lowest" else str(RANGES[req.name]))


def test_the_top_of_the_repository_is_short():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    folders = {file.split("/")[0] for file in listed.stdout.splitlines() if "/" in file}
    assert {folder for folder in folders if folder[0] != "."} <= {"chapters", "data", "docs", "tests", "vaejax"}


def test_environment_yml_installs_the_same():
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    assert "- conda-forge" in lines and "- -r requirements.txt" in lines and "- -e ." in lines
    (python,) = [line for line in lines if line.startswith("- python=")]
    assert Version(python.split("=")[1]) in Requirement(f"python{PYPROJECT['project']['requires-python']}").specifier


def test_code_is_formatted_and_linted():
    for command in (["check"], ["format", "--check"]):
        code, output = run(sys.executable, "-m", "ruff", *command, ".")
        assert code == 0, output


def lines_of_code(path):
    """Without docstrings, comments and blank lines."""
    source = path.read_text()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [t for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type not in skipped]
    lines = {line for token in tokens for line in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_the_kernels_stay_small_enough_to_read():
    assert sum(map(lines_of_code, KERNELS)) <= 1944


KERNELS = sorted((ROOT / "vaejax").glob("*.py"))
BOOK = sorted((ROOT / "vaejax" / "book").glob("*.py"))
# a bar; what keeps a long fit; the BLAS of jax, which comes with it
OF_ONE_FILE = {"gradient_ascent": {"tqdm"}, "checkpoints": {"orbax"}, "pca": {"scipy"}}


def imported(path):
    """The modules that a file imports, at its top or within its functions; none of Python itself."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: write `from vaejax import ...`"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}


@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.stem)
def test_a_kernel_imports_nothing_of_the_book(path):
    allowed = {"jax", "flax", "optax", "numpy", "vaejax"} | OF_ONE_FILE.get(path.stem, set())
    modules = imported(path)
    assert {module.split(".")[0] for module in modules} <= allowed
    assert not [module for module in modules if f"{module}.".startswith("vaejax.book.")]


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_the_book_imports_what_a_reader_has(path):
    allowed = {"numpy", "vaejax", "matplotlib", "tqdm"} | ({"pooch", "requests"} if path.stem == "download" else set())
    assert {module.split(".")[0] for module in imported(path)} <= allowed


def test_layers_import_only_downwards():
    layers = ["numerics", "doors", "densities", "nodes", "sharding", "bounds", "expectation", "checkpoints"]
    layers += ["gradient_ascent"]
    for i, layer in enumerate(layers):
        source = (ROOT / "vaejax" / f"{layer}.py").read_text()
        used = set(re.findall(r"^from vaejax\.(\w+) import", source, re.MULTILINE))
        assert used <= set(layers[:i]), f"{layer} imports {used}"


def test_the_kernels_bring_nothing_of_the_book_with_them():
    code = "import sys, vaejax as vj; print([name for name in sys.modules if name in ('matplotlib', 'vaejax.book')], "
    status, out = run(sys.executable, "-c", code + "[name for name in ('check', 'data', 'plot') if hasattr(vj, name)])")
    assert (status, out) == (0, "[] []\n")
    code = "import sys; from vaejax.book import check, data; print('matplotlib' in sys.modules)"  # it takes its time
    assert run(sys.executable, "-c", code) == (0, "False\n")


def test_every_public_function_has_a_docstring():
    import inspect

    import vaejax
    from vaejax.book import check, data, download, plot

    things = {name: getattr(vaejax, name) for name in vars(vaejax) if not name.startswith("_")}
    things |= {"check": check, "data": data, "download": download, "plot": plot}
    for name, thing in things.items():
        members = vars(thing).items() if inspect.ismodule(thing) else [(name, thing)]
        for member, value in members:
            ours = getattr(value, "__module__", "").startswith("vaejax")
            if callable(value) and ours and not member.startswith("_"):
                assert (inspect.getdoc(value) or "").strip(), f"{name}.{member} has no docstring"


@pytest.mark.long
def test_a_wheel_carries_the_data(tmp_path):
    """Built from the project, installed in a fresh environment elsewhere, it loads each data set from itself."""
    source = tmp_path / "source"
    for name in ("vaejax", "data"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    code, output = run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source)
    assert code == 0, output
    (wheel,) = tmp_path.glob("vaejax-*.whl")

    venv.create(tmp_path / "fresh", with_pip=False)
    python = next(p for p in [tmp_path / "fresh" / "bin" / "python", tmp_path / "fresh" / "Scripts" / "python.exe"]
                  if p.exists())  # fmt: skip
    code, output = run(*pip, "--python", python, "install", "--no-deps", "--no-index", wheel)
    assert code == 0, output
    _, site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    import jax  # what the wheel depends on is lent by this environment, by a plain path: no editable install with it

    (Path(site.strip()) / "lent.pth").write_text(str(Path(jax.__file__).parent.parent))
    script = (
        "from vaejax.book import data; print(data.__file__); "
        "print([len(data.load(n)[0]) for n in ('old_faithful', 'air_quality', 'bfi', 'digits', 'fashion')])"
    )
    code, output = run(python, "-c", script, cwd=tmp_path, PYTHONPATH="", JAX_PLATFORMS="cpu")
    assert code == 0, output
    assert str(tmp_path / "fresh") in output.splitlines()[0], "that was not the wheel"
    assert output.splitlines()[1] == "[272, 153, 2800, 4000, 10000]"


@pytest.fixture
def bare_checkout(tmp_path):
    for path in (*map(ROOT.joinpath, ("Makefile", "pyproject.toml", "README.md", "LICENSE")), *ROOT.glob("*.txt")):
        shutil.copy(path, tmp_path)
    for name in ("vaejax", "data"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.mark.long
@needs_make
def test_no_network_is_told_in_plain_words(bare_checkout):
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": os.devnull}
    code, output = run(
        "make", "test", f"PYTHON={sys.executable}", cwd=bare_checkout, **nowhere, PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="", PIP_RETRIES="0",
    )  # fmt: skip
    assert code != 0
    assert "reaches no package index" in output
    assert not (bare_checkout / ".venv" / "ready").exists()  # so the next make tries again


def test_the_summary_of_speed_has_its_losses_in_sight():
    sys.path.append(str(ROOT / "tests" / "benchmarks"))
    from report import summary
    from rows import Row

    way = {"first_call": 1.0, "added_mb": 9.0}
    ways = {"vaejax": way | {"times": [0.002]}, "slow": way | {"times": [0.02]}, "swift": way | {"times": [0.001]}}
    text = summary({"a": Row("one step", "small", "", None, None, {})}, {"a 1": {"ways": ways}, "start": ""})
    assert "| one step, small | 2 ms | **1 ms, swift: 0.5x** |" in text and "faster: 1 of 1" in text

    page = (ROOT / "BENCHMARKS.md").read_text()
    rows = re.findall(r"(?m)^## .* cores?\n\n((?:\|.*\n)+)", page)
    ratios = [re.findall(r"(?m)^\| (?!vaejax|way|-)(?:[^|]*\|){3} ([\d.]+) \|", row) for row in rows]
    lost = sum(min(map(float, found)) < 1 for found in ratios)
    assert f"faster: {lost} of {len(rows)}." in page.split("## How to read it")[0] and page.count("**") == 2 * lost > 0


@needs_make
def test_help_lists_every_target():
    code, output = run("make", "help")
    targets = re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert code == 0 and len(targets) >= 6
    assert all(f"make {target}" in output for target in targets)


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md")), ROOT / "chapters" / "clinic.md"]


def test_readme_names_every_chapter_and_the_two_commands():
    readme, install = (ROOT / "README.md").read_text(), (ROOT / "docs" / "INSTALL.md").read_text()
    assert "make lab" in readme and "make test" in readme and len(readme.splitlines()) < 120
    for word in ("jax[cuda13]", "jax[tpu]", "Colab", "Binder", "pip install -r requirements.txt"):
        assert word in install, word
    for chapter in (ROOT / "chapters").glob("*.ipynb"):
        assert f"chapters/{chapter.name}" in readme, chapter.name


def test_the_site_lists_each_page_once():
    index = (ROOT / "docs" / "index.md").read_text()
    listed = re.findall(r"^(?:.*<)?((?:chapters|docs)/[\w/]+)>?$", index, re.MULTILINE)
    pages = [*(ROOT / "chapters").glob("*.*"), *(ROOT / "docs").glob("[A-Z]*.md")]
    assert sorted(listed) == sorted(str(page.relative_to(ROOT).with_suffix("").as_posix()) for page in pages)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_tell_the_truth(page):
    text = page.read_text()
    if page.name != "index.md":  # its links are those of the built site
        for target in re.findall(r"\]\(([\w./-]+)(?:#[\w=-]+)?\)", text):
            assert (page.parent / target).exists(), target
    for target in set(re.findall(r"(?:^|`)make (\w[\w-]*)", text, re.MULTILINE)):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target


def test_no_path_or_host_of_one_machine_is_written_down():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = listed.stdout.split() if listed.returncode == 0 else []
    for file in files:
        path = ROOT / file
        if path.suffix in {".py", ".md", ".ipynb", ".toml", ".txt", ".yml", ".cfg", ".csv", ".cff"} and path.exists():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w/.\"(|])/(home|root|work|tmp)/\w", text), file


def test_every_mutant_still_fits_the_code():
    sys.path.insert(0, str(ROOT / "tests" / "mutants"))
    from registry import MUTANTS

    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60
    for page in (ROOT / "README.md", ROOT / "docs" / "CHECKS.md"):
        assert f" {len(MUTANTS)} classic mistakes" in page.read_text(), page
    table = (ROOT / "tests" / "mutants" / "README.md").read_text()
    for mutant in MUTANTS:
        (path,) = (ROOT / "vaejax").rglob(f"{mutant.module}.py")
        source = path.read_text()
        for old, new in mutant.edits:
            assert source.count(old) == 1, f"{mutant.name}: {old!r}"
            source = source.replace(old, new)
        compile(source, mutant.name, "exec")
        assert f"| [{mutant.name}](" in table, f"{mutant.name}: run make mutants"


def test_what_make_lab_shows_is_the_book_and_its_links_lead_somewhere():
    """JupyterLab opens in chapters/ and sees nothing beside it: notebooks, and the clinic as a page."""
    folder = ROOT / "chapters"
    shown = [path for path in folder.rglob("*") if path.is_file() and not {".ipynb_checkpoints"} & set(path.parts)]
    assert {path.relative_to(folder).as_posix() for path in shown if path.suffix != ".ipynb"} == {"clinic.md"}
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."} == {
        "answers",
        "assignments",
    }
    for path in shown:
        if path.parent in (folder, folder / "answers"):
            for target in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md))(?:#[\w=-]+)?\)", path.read_text(encoding="utf-8")):
                place = (path.parent / target).resolve()
                outside = "../tests/mutants/README.md"  # for those who look after the clinic
                assert place.exists() and (place.is_relative_to(folder) or target == outside), f"{path.name}: {target}"
