"""Figures of chapter 1: models beside their likelihood, and where it climbs."""

import matplotlib.pyplot as plt
import numpy as np

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.basics import count_bars, countable, expected_counts
from vaejax.book.plot.style import DASHES, DATA, MODEL, QUIET, TRUTH, name_at, shades


def models_and_likelihood(values, density, x, y, at, *, bins, xlabel, parameter, ylabel, titles):
    """The same models twice: left each as a curve over the counts of `values`, right as a point of the likelihood.

    `density` is a function (parameter, values), `at` the parameters (K,) of the models, `y` (M,) the log likelihood
    at the parameters `x` (M,). The best of the models is drawn solid, the others dashed.
    """
    values, at = countable(values, bins), checked("at", at, "K")
    x = checked("x", x, "M")
    y = checked("y", y, len(x))
    one_each("titles", titles, (0, 1))
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
    edges = count_bars(left, values, bins)
    right.plot(x, y, color=TRUTH)
    heights = np.interp(at, x, y)
    for i, place in enumerate(at):
        best = i == heights.argmax()
        name = f"{parameter} = {place:g}" if i == 0 else f"{place:g}"
        xs, counts = expected_counts(lambda v, place=place: density(place, v), edges, len(values))
        style = {"linestyle": "-" if best else "--", "linewidth": 2.2 if best else 1.3}
        left.plot(xs, counts, color=MODEL, **style)
        name_at(left, name, (xs[counts.argmax()], counts.max()), (0, 3), MODEL)
        right.plot([place], [heights[i]], "o", color=MODEL, markersize=8 if best else 6, zorder=3)
        side = int(np.sign(place - at[heights.argmax()]))
        shift = (9 * side, -4 if side else 8)
        name_at(right, name, (place, heights[i]), shift, MODEL, ha=["center", "left", "right"][side])
    right.margins(y=0.12)
    for ax, label, title in ((left, xlabel, titles[0]), (right, parameter, titles[1])):
        ax.set_xlabel(label)
        ax.set_title(title, loc="left")
    left.set_ylabel("count")
    right.set_ylabel(ylabel)
    return fig


def surface(x, y, z, paths, names, *, xlabel, ylabel, title):
    """Level lines of z (M, K) over x (K,) and y (M,), with paths (T, 2) on it, each named at its end.

    The levels lie closer to each other near the top, where they matter; a cross marks the highest of z.
    """
    x, y = checked("x", x, "K"), checked("y", y, "M")
    z, paths = checked("z", z, len(y), len(x)), checked_each("paths", paths, "T", 2)
    one_each("names", names, paths)
    fig, ax = plt.subplots(figsize=(6.8, 4))
    below = np.array([4, 2, 1, 0.6, 0.4, 0.2, 0.1, 0.05, 0.02])
    fills = shades(QUIET)(np.linspace(0.9, 0, len(below) + 1))
    ax.contourf(x, y, z, [min(z.min(), z.max() - 5), *(z.max() - below), z.max()], colors=fills)
    ax.contour(x, y, z, z.max() - below, colors=DATA, linewidths=0.6, linestyles="solid")
    row, column = np.unravel_index(z.argmax(), z.shape)
    ax.plot(x[column], y[row], "X", color=TRUTH, markersize=9, markeredgecolor="white", zorder=4)
    name_at(ax, "maximum likelihood", (x[column], y[row]), (0, -14), TRUTH)
    for i, (path, name) in enumerate(zip(paths, names, strict=True)):
        colour, place, shift = (TRUTH, path[0], (8, -14)) if i else (MODEL, path[len(path) // 3], (8, 6))
        ax.plot(*path.T, color=colour, linestyle=DASHES[i % 3], linewidth=2)
        ax.plot(*path[0], "o", color=MODEL)
        name_at(ax, name, place, shift, colour, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_title(title, loc="left")
    return fig


def chances(values, labels, x, ys, names, *, mark, mark_name, xlabel, ylabel, title):
    """Probabilities ys (M,) of label 1 over x (M,), with the examples (N,) as ticks at the heights of their labels."""
    values, labels = checked("values", values, "N"), checked("labels", labels, len(values))
    x, ys = checked("x", x, "M"), checked_each("ys", ys, len(x))
    one_each("names", names, ys)
    fig, ax = plt.subplots(figsize=(6.8, 3.6))
    for label, low in ((0, -0.09), (1, 1.02)):
        ax.vlines(values[labels == label], low, low + 0.07, color=DATA, linewidth=0.8, alpha=0.7)
    ax.axvline(mark, color=QUIET, linewidth=1, zorder=0)
    name_at(ax, mark_name, (mark, 0.03), (6, 0), DATA, ha="left")
    for i, (y, name) in enumerate(zip(ys, names, strict=True)):
        ax.plot(x, y, color=MODEL, linestyle=DASHES[i % 3], linewidth=2)
        near = np.abs(y - (0.95 - 0.21 * i)).argmin()
        name_at(ax, name, (x[near], y[near]), (-10, 0) if i == 0 else (10, -4), MODEL, ha="right" if i == 0 else "left")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(-0.11, 1.11), yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set_title(title, loc="left")
    return fig
