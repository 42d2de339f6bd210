"""What all figures share: colours with one meaning each, names beside things, and what is refused."""

import sys

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patheffects import withStroke

from vaejax.doors import check_count

# One colour, one meaning, through the book.
DATA, MODEL, POSTERIOR, TRUTH, QUIET = "#5b7083", "#d55e00", "#00876c", "#111111", "#b8c1c9"
KINDS = ["#0072b2", "#cc4c9a", "#e69f00"]  # the components of a mixture
BETWEEN = LinearSegmentedColormap.from_list("between", [KINDS[0], "#e4e4e4", KINDS[1]])  # of the first two
MARK = {"color": "C3", "linestyle": "--", "linewidth": 1.5}
DASHES = ["-", "--", "-."]  # lines differ in more than colour
MOST_BINS = 1000  # a figure is not that many points wide


def sharp():
    """Within a notebook: from here on at twice the resolution, for dense screens. Elsewhere: nothing."""
    if "inline" in plt.get_backend():
        plt.switch_backend(plt.get_backend())  # so that it is loaded
        sys.modules["matplotlib_inline.backend_inline"].set_matplotlib_formats("retina")


def countable(values, bins):
    """The finite ones of values (N,), for these bins; ValueError where there are none, or no such bins."""
    values = checked("values", values, "N")
    values = values[~np.isnan(values)]
    if not len(values) or np.isinf(values).any():
        raise ValueError(
            "values hold nothing to count, or an infinity: expected finite numbers, and NaN where one is missing"
        )
    if np.ndim(bins) == 0:
        check_count("bins", bins)
    elif not (np.diff(checked("bins", bins, "B + 1")) >= 0).all():
        raise ValueError("bins are not in order: expected edges that rise")
    num_bins = bins if np.ndim(bins) == 0 else len(bins) - 1
    if not 1 <= num_bins <= MOST_BINS:
        raise ValueError(f"bins are {num_bins}: expected 1 to {MOST_BINS}")
    return values


def count_bars(ax, values, bins):
    return ax.hist(values, bins=bins, color=DATA, alpha=0.55, edgecolor="white")[1]


def expected_counts(density, edges, count):
    """Where, and how many of `count` a bin there would hold under this density."""
    x = np.linspace(edges[0], edges[-1], 300)[:-1]
    width = np.diff(edges)[np.searchsorted(edges, x, side="right") - 1]
    return x, np.broadcast_to(density(x), x.shape) * count * width


def shades(colour):
    """A map of colours from white to this one."""
    return LinearSegmentedColormap.from_list("shades", ["white", colour])


def name_at(ax, text, place, shift, colour, ha="center"):
    """A name beside the thing it names, in its colour; the shift is in points."""
    halo = [withStroke(linewidth=3, foreground="white", alpha=0.8)]
    ax.annotate(text, place, shift, textcoords="offset points", color=colour, ha=ha, path_effects=halo, zorder=5)


def checked(name, values, *shape):
    """Real numbers as an array of this shape, in which a letter is any number; ValueError for anything else."""
    expected = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    try:
        if values is None or np.iscomplexobj(values) or isinstance(values, np.ma.MaskedArray):
            raise TypeError
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {type(values).__name__}, expected real numbers {expected}") from None
    if array.ndim != len(shape) or any(
        n != m for n, m in zip(shape, array.shape, strict=True) if not isinstance(n, str)
    ):
        raise ValueError(f"{name}: got shape {array.shape}, expected {expected}")
    return array


def checked_each(name, many, *shape):
    if not np.iterable(many):
        raise ValueError(f"{name}: got {type(many).__name__}, expected a list of arrays")
    return [checked(f"{name}[{i}]", values, *shape) for i, values in enumerate(many)]


def one_each(name, names, things):
    count = len(names) if hasattr(names, "__len__") else type(names).__name__
    if count != len(things):
        raise ValueError(f"{name}: got {count}, expected {len(things)}, one for each")
    return names


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


def finish(ax, xlabel, ylabel, mark, mark_label):
    if mark is not None:
        ax.axvline(mark, label=mark_label, **MARK)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
