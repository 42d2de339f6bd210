"""What students and teachers see of a graded notebook: a page without HTML of a student's, and a notebook to mark."""

import html
import re

import nbformat

STYLE = """body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 sans-serif}
pre{white-space:pre-wrap;overflow-wrap:anywhere;padding:.5rem;margin:.3rem 0;background:#f4f4f4}
.theirs{border-left:4px solid #36c}.error{background:#fde8e8}.out{background:#fff;border:1px solid #ddd}
.text{color:#444;background:none}h3{margin:1.2rem 0 .2rem}img{max-width:100%}table{border-collapse:collapse}
td{padding:.1rem .8rem .1rem 0}"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MAX_SHOWN = 30_000  # characters of a cell


def page(student, name, report, parts, comments):
    """The feedback page: every character of a student's is escaped."""
    rows = "".join(f"<tr><td>{_text(part)}<td>{score:g} of {most:g}{' (to be marked)' * bool(open_)}"
                   for part, (score, most, open_) in sorted(parts.items()))  # fmt: skip
    flags = "".join(f"<li>{_text(flag)}" for flag in report["flags"])
    total, most = sum(p[0] for p in parts.values()), sum(p[1] for p in parts.values())
    body = [f"<h1>{_text(student)} · {_text(name)}</h1><p>{total:g} of {most:g} points</p>"]
    body += [f"<table>{rows}</table><ul>{flags}</ul>"]
    for cell in report["cells"]:
        if cell["kind"] in ("look", "set-up", "judge"):
            continue
        title = _text(cell["id"] or "")
        if cell["id"] in parts:
            title += f": {parts[cell['id']][0]:g} of {parts[cell['id']][1]:g} points"
        kind = "text" if cell["kind"] == "text" else "theirs" if cell["kind"] in ("theirs", "answer") else "ours"
        body.append(f"<h3>{title}</h3>" * bool(title) + f'<pre class="{kind}">{_text(cell["source"])}</pre>')
        for output in cell.get("outputs", ()):
            if "png" in output:
                body.append(f'<img alt="output" src="data:image/png;base64,{output["png"]}">')
            else:
                body.append(f'<pre class="out">{_text(output["text"])}</pre>')
        if cell.get("error"):
            body.append(f'<pre class="error">{_text(": ".join(cell["error"]))}</pre>')
        if comment := comments.get(cell["id"]):
            body.append(f"<p><strong>{_text(comment)}</strong></p>")
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    return f"<!DOCTYPE html><html><head>{head}<title>{_text(name)}</title><style>{STYLE}</style></head><body>" + (
        "\n".join(body) + "</body></html>"
    )


def _text(text):
    text = str(text)
    return html.escape(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ... (cut)")


def write_marked(path, source, report):
    """The notebook that nbgrader's formgrader shows: what was run, with its outputs, and no tags of a student's."""
    ours = {cell.metadata.nbgrader.grade_id: cell for cell in nbformat.read(source, as_version=4).cells
            if "nbgrader" in cell.metadata}  # fmt: skip
    cells = []
    for cell in report["cells"]:
        if cell["kind"] in ("text", "answer"):
            new = nbformat.v4.new_markdown_cell(_no_tags(cell["source"]))
        else:
            new = nbformat.v4.new_code_cell(cell["source"], outputs=[*_outputs(cell)])
        if cell["id"] in ours:
            new.metadata = ours[cell["id"]].metadata
        cells.append(new)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def _no_tags(text):
    """Text and formulas; a blank breaks what a browser follows or fetches: tags, pictures, links in a formula."""
    text = re.sub(r"<(?=[A-Za-z/!?])|!(?=\[)|\\(?=href|require|style|class|cssId)", r"\g<0> ", text)
    return re.sub(r"(?i)(javascript|data|vbscript)\s*:", r"\1 :", text)


def _outputs(cell):
    for output in cell.get("outputs", ()):
        if "png" in output:
            yield nbformat.v4.new_output("display_data", {"image/png": output["png"]})
        else:
            yield nbformat.v4.new_output("stream", name="stdout", text=output["text"])
    if cell.get("error"):
        kind, text = cell["error"]
        yield nbformat.v4.new_output("error", ename=kind, evalue=text, traceback=[f"{kind}: {text}"])
