"""Diagrams of the chapters: drawn, not typed. Each function returns a figure; what a shape means never changes.

A circle is a random variable, filled if it was observed, open if it is latent; a bare letter is a parameter; a frame is
a plate: what is in it is repeated.
"""

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from vaejax.book.plot import DATA, MODEL, POSTERIOR, QUIET, TRUTH

SHADE = "#d9dfe4"  # of what was observed


def complete_the_data():
    """The idea of the book in four boxes: guess, complete in every way, estimate, and round again."""
    fig, ax = _canvas(6.8, 2.7)
    _box(ax, 0.9, 1.9, 1.5, 0.9, "what we saw\n$x_n$", DATA)
    _box(ax, 3.4, 1.9, 1.9, 0.9, "every completion\n$(x_n, z)$, weighted", POSTERIOR)
    _box(ax, 5.9, 1.9, 1.5, 0.9, "parameters\n$\\theta$", MODEL)
    _arrow(ax, (1.65, 1.9), (2.45, 1.9))
    _arrow(ax, (4.35, 1.9), (5.15, 1.9))
    ax.text(2.05, 2.05, "fill in", ha="center", color=TRUTH, fontsize=9)
    ax.text(4.75, 2.05, "fit", ha="center", color=TRUTH, fontsize=9)
    _arrow(ax, (5.9, 1.45), (3.4, 1.45), connectionstyle="arc3,rad=-0.35")
    ax.text(4.65, 0.72, "how much does each completion weigh now?", ha="center", color=TRUTH, fontsize=9)
    return fig


def mixture_plate():
    """The mixture of Gaussians as a graph: a latent label z and an example x, N times, and K Gaussians."""
    fig, ax = _canvas(6.0, 2.5)
    _node(ax, 2.3, 1.3, "$z_n$")
    _node(ax, 4.0, 1.3, "$x_n$", observed=True)
    ax.text(0.7, 1.3, r"$\pi$", ha="center", va="center", color=MODEL, fontsize=13)
    ax.text(5.35, 1.62, r"$\mu_k$", ha="center", va="center", color=MODEL, fontsize=13)
    ax.text(5.35, 1.02, r"$\Sigma_k$", ha="center", va="center", color=MODEL, fontsize=13)
    for start, end in [((0.9, 1.3), (1.95, 1.3)), ((2.65, 1.3), (3.65, 1.3)), ((5.1, 1.6), (4.35, 1.38)),
                       ((5.1, 1.05), (4.35, 1.22))]:  # fmt: skip
        _arrow(ax, start, end)
    _plate(ax, 1.6, 0.5, 3.1, 1.6, "$N$ eruptions")
    _plate(ax, 4.95, 0.5, 0.85, 1.6, "$K$ kinds")
    ax.text(2.3, 1.82, "hidden", ha="center", color=POSTERIOR, fontsize=9)
    ax.text(4.0, 1.82, "seen", ha="center", color=DATA, fontsize=9)
    return fig


def _canvas(width, height):
    fig, ax = plt.subplots(figsize=(width, height))
    ax.set(xlim=(0, width), ylim=(0.2, height), aspect="equal")
    ax.axis("off")
    return fig, ax


def _node(ax, x, y, name, observed=False):
    edge = DATA if observed else POSTERIOR
    ax.add_patch(Circle((x, y), 0.33, facecolor=SHADE if observed else "white", edgecolor=edge, linewidth=1.6))
    ax.text(x, y, name, ha="center", va="center", fontsize=13)


def _box(ax, x, y, width, height, text, colour):
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.1"
    ax.add_patch(FancyBboxPatch(corner, width, height, style, facecolor="white", edgecolor=colour, linewidth=1.6))
    ax.text(x, y, text, ha="center", va="center", color=colour)


def _plate(ax, x, y, width, height, name):
    style = "round,pad=0,rounding_size=0.1"
    ax.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor="none", edgecolor=QUIET, linewidth=1.4))
    ax.text(x + width - 0.06, y + 0.07, name, ha="right", va="bottom", fontsize=8)


def _arrow(ax, start, end, **options):
    ax.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=12, color="#55606a", linewidth=1.3,
                                 shrinkA=1, shrinkB=1, **options))  # fmt: skip
