"""Pages of reference from the docstrings of `vaejax`. The source is read, never imported: the site needs no JAX."""

import ast
import re
import textwrap
from pathlib import Path

from formulas import tex

PACKAGE = Path(__file__).parent.parent / "vaejax"
BOOK = ["book.check", "book.data", "book.diagrams", "book.plot"]
ALSO = {"linear_gaussian": ["pca"]}  # what a module offers from another one


def modules():
    """The public modules, as `import vaejax` offers them, and those of the book."""
    imports = [node for node in _tree("__init__").body if isinstance(node, ast.ImportFrom)]
    whole = {alias.name for node in imports if node.module == "vaejax" for alias in node.names}
    return sorted(whole | {node.module.removeprefix("vaejax.") for node in imports if node.module != "vaejax"}) + BOOK


def public(module):
    """The public functions and classes of a module with the lines of their file, and those it offers from others."""
    parts = [(name, None) for name in (module, *ALSO.get(module, ()))]
    if module == "book.plot":  # each group of figures has a file; what is public stands in __init__
        imports = [node for node in _tree(module).body if isinstance(node, ast.ImportFrom)]
        parts = [(node.module.removeprefix("vaejax."), {alias.name for alias in node.names}) for node in imports]
    for name, listed in parts:
        lines = _path(name).read_text(encoding="utf-8").splitlines()
        for node in _tree(name).body:
            named = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if named and (listed is None or node.name in listed):
                yield node, lines


def write(folder):
    folder.mkdir(parents=True)
    for module in modules():
        (folder / f"{module}.md").write_text(page(module), encoding="utf-8")


def page(module):
    top = {a.name for n in _tree("__init__").body if isinstance(n, ast.ImportFrom) for a in n.names
           if n.module == f"vaejax.{module}"}  # fmt: skip
    parts = [f"# vaejax.{module}", text(ast.get_docstring(_tree(module))), f"```{{py:module}} vaejax.{module}\n```"]
    for node in _tree(module).body:  # models that are ready, and numbers
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and ast.unparse(node.targets[0]).isupper():
            parts.append(f"```{{py:data}} {ast.unparse(node.targets[0])}\n`{ast.unparse(node.value)}`\n```")
    for node, lines in public(module):
        is_class = isinstance(node, ast.ClassDef)
        signature = node.name if is_class else f"{node.name}({ast.unparse(node.args)})"
        body = [text(ast.get_docstring(node) or "")]
        if node.name in top:
            body.append(f"Also `vaejax.{node.name}`.")
        if is_class:
            body.append(fields(node, lines))
        kind = "class" if is_class else "function"
        parts.append(f"````{{py:{kind}}} {signature}\n" + "\n\n".join(filter(None, body)) + "\n````")
    return "\n\n".join(parts) + "\n"


def fields(node, lines):
    """The fields of a class, with the comments that say what they hold."""
    found = []
    for field in node.body:
        if isinstance(field, ast.AnnAssign):
            _, _, comment = lines[field.lineno - 1].partition("  # ")
            found.append(f"- `{field.target.id}`" + (f": {plain(comment)}" if comment else ""))
    return "\n".join(found)


def text(docstring):
    """A docstring in Markdown: formulas, the paragraphs without a full stop, stand by themselves."""
    parts = []
    for block in docstring.split("\n\n"):
        heading = re.match(r"(Args|Returns|Raises):\n", block)
        if heading:
            parts.append(f"**{heading[1]}**\n\n" + items(textwrap.dedent(block[heading.end() :])))
        elif is_formula(block):
            is_code = block.startswith("    ")
            parts.append(f"```text\n{textwrap.dedent(block)}\n```" if is_code else f"$$\n{tex(block)}\n$$")
        elif block.startswith("Source:"):
            parts.append("**Source**\n\n" + plain(block.removeprefix("Source:").strip()))
        else:
            parts.append(plain(block))
    return "\n\n".join(parts)


def is_formula(block):
    return block.startswith("    ") or (
        not re.search(r"[.?:)`]$", block.rstrip()) or bool(re.search(r"^[^.]* \+?= [^.]*\)$", block, re.DOTALL))
    )


def items(block):
    """`name: what it is` line by line, the lines that go on indented; or one paragraph."""
    found = re.split(r"\n(?=\S)", block.rstrip())
    if not all(re.match(r"[^:.]+: ", item) for item in found):
        return plain(block)
    named = (item.partition(": ") for item in found)
    return "\n".join(f"- `{name}`: {plain(' '.join(rest.split()))}" for name, _, rest in named)


def plain(text):
    """As it stands: outside of `code`, no character is a sign of Markdown."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*\[\]$<|\\])", r"\\\1", part) for part in parts)


def _path(module):
    path = PACKAGE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _tree(module):
    return ast.parse(_path(module).read_text(encoding="utf-8"))
