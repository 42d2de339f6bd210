"""Diagrams of the chapters: drawn, not typed. Each function returns a figure; what a shape means never changes.

A circle is a random variable, filled if it was observed, open if it is latent; a bare letter is a parameter; a frame is
a plate: what is in it is repeated.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, Ellipse, FancyBboxPatch

from vaejax.book.plot.graphs import arrow, canvas, node, plate
from vaejax.book.plot.style import DATA, MODEL, POSTERIOR, QUIET, TRUTH

STATIONS = (  # chapter, model, what is hidden, who completes it
    ("1  one Gaussian", "hidden: nothing", "completed by: nothing"),
    ("2  a mixture", "hidden: a label", "completed by: every label"),
    ("3  PCA", "hidden: a place on a line", "completed by: its shadow"),
    ("4  linear Gaussian", "hidden: a place on a line", "completed by: an exact Gaussian"),
    ("5  nonlinear Gaussian", "hidden: a place on a bend", "completed by: a grid, or a fit for each $x$"),
    ("6  the VAE", "hidden: a place on a bend", "completed by: one encoder for all $x$"),
)


def road():
    """The six chapters as six small pictures: what is hidden behind the same data, and who fills it in."""
    fig, axes = plt.subplots(2, 3, figsize=(7.6, 5.4))
    fig.get_layout_engine().set(hspace=0.18)
    noise = np.random.default_rng(3).standard_normal((2, 40))
    along = np.linspace(-1, 1, 40)
    scenes = (_one_bell, _two_kinds, _shadows, _noisy_line, _bend, _encoder)
    for ax, scene, (name, hidden, by) in zip(axes.flat, scenes, STATIONS, strict=True):
        scene(ax, along, noise)
        ax.set(xlim=(-1.35, 1.35), ylim=(-1.1, 1.1), xticks=[], yticks=[], aspect="equal", anchor="W")
        ax.spines[:].set_visible(False)
        ax.set_title(name, loc="left", fontsize=11, color=TRUTH)
        ax.text(-1.35, -1.3, hidden, fontsize=8.5, color=POSTERIOR, va="top")
        ax.text(-1.35, -1.58, by, fontsize=8.5, color=TRUTH, va="top")
    return fig


def complete_the_data():
    """The idea of the book in three boxes: what was seen, every completion of it, the parameters; and round again."""
    fig, ax = canvas(6.8, 2.7)
    _box(ax, 0.9, 1.9, 1.5, 0.9, "what we saw\n$x_n$", DATA)
    _box(ax, 3.4, 1.9, 1.9, 0.9, "every completion\n$(x_n, z)$, weighted", POSTERIOR)
    _box(ax, 5.9, 1.9, 1.5, 0.9, "parameters\n$\\theta$", MODEL)
    arrow(ax, (1.65, 1.9), (2.45, 1.9))
    arrow(ax, (4.35, 1.9), (5.15, 1.9))
    ax.text(2.05, 2.05, "fill in", ha="center", color=TRUTH, fontsize=9)
    ax.text(4.75, 2.05, "fit", ha="center", color=TRUTH, fontsize=9)
    arrow(ax, (5.9, 1.45), (3.4, 1.45), connectionstyle="arc3,rad=-0.35")
    ax.text(4.65, 0.72, "how much does each completion weigh now?", ha="center", color=TRUTH, fontsize=9)
    return fig


def mixture_plate():
    """The mixture of Gaussians as a graph: a latent label z and an example x, N times, and K Gaussians."""
    fig, ax = canvas(6.0, 2.5)
    node(ax, 2.3, 1.3, "$z_n$")
    node(ax, 4.0, 1.3, "$x_n$", observed=True)
    ax.text(0.7, 1.3, r"$\pi$", ha="center", va="center", color=MODEL, fontsize=13)
    ax.text(5.35, 1.62, r"$\mu_k$", ha="center", va="center", color=MODEL, fontsize=13)
    ax.text(5.35, 1.02, r"$\Sigma_k$", ha="center", va="center", color=MODEL, fontsize=13)
    for start, end in [((0.9, 1.3), (1.95, 1.3)), ((2.65, 1.3), (3.65, 1.3)), ((5.1, 1.6), (4.35, 1.38)),
                       ((5.1, 1.05), (4.35, 1.22))]:  # fmt: skip
        arrow(ax, start, end)
    plate(ax, 1.6, 0.5, 3.1, 1.6, "$N$ eruptions")
    plate(ax, 4.95, 0.5, 0.85, 1.6, "$K$ kinds")
    ax.text(2.3, 1.82, "hidden", ha="center", color=POSTERIOR, fontsize=9)
    ax.text(4.0, 1.82, "seen", ha="center", color=DATA, fontsize=9)
    return fig


def _box(ax, x, y, width, height, text, colour):
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.1"
    ax.add_patch(FancyBboxPatch(corner, width, height, style, facecolor="white", edgecolor=colour, linewidth=1.6))
    ax.text(x, y, text, ha="center", va="center", color=colour)


def _dots(ax, x, y):
    ax.scatter(x, y, s=9, color=DATA, linewidths=0, alpha=0.8, clip_on=False)


def _one_bell(ax, along, noise):
    _dots(ax, 0.45 * noise[0], np.full(40, -0.75))
    x = np.linspace(-1.3, 1.3, 100)
    ax.plot(x, 1.5 * np.exp(-(x**2) / 0.4) - 0.65, color=MODEL)


def _two_kinds(ax, along, noise):
    for side, part in ((-1, slice(0, 16)), (1, slice(16, 40))):
        _dots(ax, 0.65 * side + 0.16 * noise[0, part], 0.45 * side + 0.18 * noise[1, part])
        ax.add_patch(Ellipse((0.65 * side, 0.45 * side), 0.9, 1.0, facecolor="none", edgecolor=MODEL, linewidth=1.6))
    ax.text(0, 0, "?", color=POSTERIOR, fontsize=15, ha="center", va="center")


def _shadows(ax, along, noise):
    x, y = along, 0.6 * along + 0.28 * noise[1]
    foot = (x + 0.6 * y) / 1.36
    ax.plot([-1.25, 1.25], [-0.75, 0.75], color=MODEL)
    ax.plot([x, foot], [y, 0.6 * foot], color=QUIET, linewidth=0.9, zorder=0)
    _dots(ax, x, y)
    ax.scatter(foot, 0.6 * foot, s=7, color=POSTERIOR, linewidths=0, zorder=3)


def _noisy_line(ax, along, noise):
    ax.plot([-1.25, 1.25], [-0.75, 0.75], color=MODEL)
    _dots(ax, along + 0.16 * noise[0], 0.6 * along + 0.22 * noise[1])
    ax.plot([0.05, 0.75], [0.03, 0.45], color=POSTERIOR, linewidth=4, solid_capstyle="round", alpha=0.8)
    ax.plot(0.13, 0.69, "o", color=TRUTH, markersize=5)
    ax.text(0.13, 0.76, "$x$", ha="center", color=TRUTH)


def _bend(ax, along, noise):
    x = np.linspace(-1.15, 1.15, 100)
    ax.plot(x, 1.3 * x**2 - 0.85, color=MODEL)
    _dots(ax, along + 0.07 * noise[0], 1.3 * along**2 - 0.85 + 0.11 * noise[1])
    for side in (-1, 1):
        x = side * np.linspace(0.55, 0.85, 20)
        ax.plot(x, 1.3 * x**2 - 0.85, color=POSTERIOR, linewidth=4, solid_capstyle="round", alpha=0.8)
    ax.plot(0, 0.35, "o", color=TRUTH, markersize=5)
    ax.text(0, 0.42, "$x$", ha="center", color=TRUTH)


def _encoder(ax, along, noise):
    for x, name, colour in ((-1.05, "$x$", DATA), (0, "$z$", POSTERIOR), (1.05, r"$\hat x$", MODEL)):
        ax.add_patch(Circle((x, 0.05), 0.26, facecolor="white", edgecolor=colour, linewidth=1.6))
        ax.text(x, 0.05, name, ha="center", va="center", fontsize=12)
    for x, name, colour in ((-0.78, "encoder", POSTERIOR), (0.27, "decoder", MODEL)):
        arrow(ax, (x, 0.05), (x + 0.5, 0.05))
        ax.text(x + 0.25, 0.45, name, ha="center", fontsize=8.5, color=colour)
