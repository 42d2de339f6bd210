"""The parts of graphs: circles, frames and arrows. What a shape means never changes.

A circle is a random variable, filled if it was observed, open if it is latent; a frame is a plate: what is in it is
there many times.
"""

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from vaejax.book.plot.style import DATA, POSTERIOR, QUIET

SHADE = "#d9dfe4"  # of what was observed
ARROW = "#55606a"


def canvas(width, height):
    """An empty drawing, (fig, ax), on which a unit is an inch."""
    fig, ax = plt.subplots(figsize=(width, height))
    empty(ax, width, height, low=0.2)
    return fig, ax


def empty(ax, width, height, low=0):
    """Axes made into paper of this size, to scale."""
    ax.set(xlim=(0, width), ylim=(low, height), aspect="equal")
    ax.axis("off")


def node(ax, x, y, name, observed=False, radius=0.33):
    """A circle with a name: green where hidden, filled where observed."""
    face, edge = (SHADE, DATA) if observed else ("white", POSTERIOR)
    ax.add_patch(Circle((x, y), radius, facecolor=face, edgecolor=edge, linewidth=1.6))
    ax.text(x, y, name, ha="center", va="center", fontsize=13)


def plate(ax, x, y, width, height, name):
    """A frame around what is there many times; the name says how often."""
    style = "round,pad=0,rounding_size=0.1"
    ax.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor="none", edgecolor=QUIET, linewidth=1.4))
    ax.text(x + width - 0.06, y + 0.07, name, ha="right", va="bottom", fontsize=8)


def arrow(ax, start, end, colour=ARROW, **options):
    """An arrow from one place to another."""
    look = {"arrowstyle": "-|>", "mutation_scale": 12, "color": colour, "linewidth": 1.4, "shrinkA": 1, "shrinkB": 1}
    ax.add_patch(FancyArrowPatch(start, end, **look | options))
