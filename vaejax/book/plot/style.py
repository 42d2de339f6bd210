"""What all figures share: colours with one meaning each, names beside things, ellipses."""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patheffects import withStroke

from vaejax.book.plot.arguments import checked

# One colour, one meaning, through the book.
DATA, MODEL, POSTERIOR, TRUTH, QUIET = "#5b7083", "#d55e00", "#00876c", "#111111", "#b8c1c9"
KINDS = ["#0072b2", "#cc4c9a", "#e69f00"]  # the components of a mixture
BETWEEN = LinearSegmentedColormap.from_list("between", [KINDS[0], "#e4e4e4", KINDS[1]])  # of the first two
# The digits, 0 to 9
TEN = ["#0072b2", "#a0522d", "#2f6b2f", "#cc4c9a", "#8c6d1f", "#7b3fa0", "#c1272d", "#3f4a52", "#1ca3c4", "#6b8e00"]
DASHES = ["-", "--", "-."]  # lines differ in more than colour

plt.rcParams.update(
    {
        # Okabe and Ito (2008), told apart by readers with any kind of colour vision
        "axes.prop_cycle": plt.cycler(
            color=["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000"]
        ),
        "figure.figsize": (6.4, 3.6),
        "figure.dpi": 100,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "figure.titlesize": "medium",
        "font.size": 10,
        "legend.frameon": False,
        "image.cmap": "cividis",
    }
)


def sharp():
    """Within a notebook: from here on at twice the resolution, for dense screens. Elsewhere: nothing."""
    if "inline" in plt.get_backend():
        plt.switch_backend(plt.get_backend())  # so that it is loaded
        sys.modules["matplotlib_inline.backend_inline"].set_matplotlib_formats("retina")


def shades(colour):
    """A map of colours from white to this one."""
    return LinearSegmentedColormap.from_list("shades", ["white", colour])


def name_at(ax, text, place, shift, colour, ha="center"):
    """A name beside the thing it names, in its colour; the shift is in points."""
    halo = [withStroke(linewidth=3, foreground="white", alpha=0.8)]
    ax.annotate(text, place, shift, textcoords="offset points", color=colour, ha=ha, path_effects=halo, zorder=5)


def ellipse(mean, scale_tril, share=0.95):
    """(2, 200) points on the ellipse that holds `share` of the Gaussian (mean (2,), scale_tril (2, 2) or (2,))."""
    mean, scale_tril = (
        checked("mean", mean, 2),
        checked("scale_tril", scale_tril, *[2] * (1 if np.ndim(scale_tril) == 1 else 2)),
    )
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.sqrt(-2 * np.log(1 - share)) * np.stack([np.cos(angle), np.sin(angle)])
    factor = np.diag(scale_tril) if scale_tril.ndim == 1 else scale_tril
    return mean[:, None] + factor @ circle
