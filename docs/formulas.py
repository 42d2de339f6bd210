"""The formulas of docstrings, which are written to be read in a terminal, as TeX for the pages of the site."""

import re

GREEK = {"pi", "mu", "psi", "Psi", "Sigma"}
FUNCTIONS = {"log", "exp", "sum"}
NAMES = {"mean", "cov", "weight", "scale", "diag", "pinv", "encoder", "decoder", "cell", "eigenvalue", "KL"}
SIGNS = {
    "+=": r"\mathrel{{+}{=}}", "+-": r"\pm", "||": r"\,\|\,", " | ": r" \mid ", "~": r"\sim",
    "'": r"^{\top}", "E": r"\mathbb{E}", "N(": r"\mathcal{N}(",
}  # fmt: skip
TOKEN = re.compile(
    r"(?P<power>[_^](?:-?\d+|[A-Za-z]+))|(?P<sign>\+=|\+-|\|\||\s\|\s|~|\bE\b|\bE(?=_)|\bN\(|(?<=[\w)\]])'(?!\w))"
    r"|(?P<word>[A-Za-z]{2,}(?:'s)?|\ba\b(?= \w))|(?P<rest>.)"
)


def tex(formula):
    """A display of the formula: what two spaces part in the docstring, or a new line, stands on a line of its own."""
    lines = [_line(part) for part in re.split(r"(?<=,)  |\n", formula.strip())]
    return lines[0] if len(lines) == 1 else "\\begin{gathered}\n" + " \\\\\n".join(lines) + "\n\\end{gathered}"


def _line(line):
    written = "".join(_token(match) for match in TOKEN.finditer(line))
    written = re.sub(r"\\operatorname\{sqrt\}\(([^()]*)\)", r"\\sqrt{\1}", written)
    while written != (joined := re.sub(r"\\text\{([^{}]*)\} \\text\{", r"\\text{\1 ", written)):
        written = joined  # words in a row are one text
    written = re.sub(r"\\text\{([^{}]*)\}(?=[,;]|$)", r"\\text{ \1}", written)
    return re.sub(r"\\text\{(\S[^{}]*)\}", r"\\text{ \1 }", written)


def _token(match):
    token = match[0]
    if match["power"]:
        index = token[1:]
        return token[0] + (rf"{{\mathrm{{{index}}}}}" if re.match("[a-z]{2}", index) else f"{{{index}}}")
    if match["sign"]:
        return SIGNS[token]
    if not match["word"]:
        return token
    if token == "sqrt":
        return r"\operatorname{sqrt}"
    if token in GREEK | FUNCTIONS:
        return f"\\{token} "
    return rf"\operatorname{{{token}}}" if token in NAMES else rf"\text{{{token}}}"
