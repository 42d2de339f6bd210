"""Figures of the companion: what a sentence claims, beside what is the case."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.basics import count_bars, countable
from vaejax.book.plot.style import DASHES, DATA, MODEL, POSTERIOR, QUIET, TRUTH, name_at


def on_logs(x, ys, names, *, colours, xlabel, ylabel, title, level=None, level_name=None):
    """Lines through (x, y) for each y of `ys`, both axes logarithmic, each with its name at its end.

    `level` is the height of a dotted horizontal line, named at its left end.
    """
    x = checked("x", x, "M")
    ys = checked_each("ys", ys, len(x))
    one_each("names", names, ys)
    one_each("colours", colours, ys)
    fig, ax = plt.subplots()
    for i, (y, name, colour) in enumerate(zip(ys, names, colours, strict=True)):
        style = {"linestyle": DASHES[i % 3], "marker": "o" if len(x) < 20 else None}
        ax.loglog(x, y, color=colour, linewidth=1.8, **style)
        ax.annotate(name, (x[-1], y[-1]), (8, 0), textcoords="offset points", color=colour, va="center")
    if level is not None:
        ax.axhline(level, color=TRUTH, linestyle=":")
        ax.margins(y=0.12)  # room for its name
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "color": TRUTH}
        ax.annotate(level_name or "", (0.01, level), (0, -4), va="top", **place)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def two_lines(points, slopes, names, *, xlabel, ylabel, title):
    """Points (N, 2) and two lines through the origin, the model's and the posterior's, with their names."""
    points = checked("points", points, "N", 2)
    slopes = checked("slopes", slopes, 2)
    one_each("names", names, slopes)
    fig, ax = plt.subplots(figsize=(5.6, 4.2))
    ax.scatter(*points.T, s=7, color=DATA, alpha=0.4, linewidths=0)
    for slope, name, colour, dashes, end in zip(
        slopes, names, (MODEL, POSTERIOR), ("-", "--"), (3.2, 2.4), strict=True
    ):
        ax.plot([-end, end], [-slope * end, slope * end], color=colour, linewidth=2, linestyle=dashes)
        name_at(ax, name, (end, slope * end), (6, -4), colour, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(-3.6, 4.8), ylim=(-5.2, 5.2))
    ax.set_title(title, loc="left")
    return fig


def uphill(values, bins, places, arrows, score, *, xlabel, ylabel, names, title):
    """Counts of values (N,) above; below, at places (M,), an estimate (M,) of their score and the truth (M,)."""
    values = countable(values, bins)
    places = checked("places", places, "M")
    arrows, score = checked("arrows", arrows, len(places)), checked("score", score, len(places))
    one_each("names", names, (arrows, score))
    fig, (top, ax) = plt.subplots(2, 1, sharex=True, figsize=(6.4, 4.4), height_ratios=(2, 3))
    count_bars(top, values, bins)
    top.set(ylabel="count")
    top.set_title(title, loc="left")
    ax.axhline(0, color=QUIET, linewidth=1)
    ax.plot(places, arrows, color=MODEL, linewidth=3)
    ax.plot(places, score, color=TRUTH, linestyle="--", linewidth=1.3)
    name_at(ax, names[0], (places[0], arrows[0]), (10, 2), MODEL, ha="left")
    name_at(ax, names[1], (places[-1], score[-1]), (-10, -4), TRUTH, ha="right")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return fig


def thumbnails(values, bins, places, pictures, names, *, xlabel, title):
    """Counts of values (N,), and above them grey pictures (P, H, W), 0 black to 1 white, each over its place (P,)."""
    values = countable(values, bins)
    pictures = checked("pictures", pictures, "P", "H", "W")
    places = checked("places", places, len(pictures))
    one_each("names", names, pictures)
    fig, ax = plt.subplots(figsize=(7.2, 3.8))
    edges = count_bars(ax, values, bins)
    tallest = np.histogram(values, edges)[0].max()
    for place, picture, name in zip(places, pictures, names, strict=True):
        ax.plot([place, place], [0, 1.18 * tallest], color=MODEL, linewidth=1.2, linestyle="--")
        box = AnnotationBbox(OffsetImage(picture, zoom=1.1, cmap="gray", clim=(0, 1)), (place, 1.42 * tallest),
                             frameon=True, pad=0.1, bboxprops={"edgecolor": MODEL})  # fmt: skip
        ax.add_artist(box)
        ax.text(place, 1.64 * tallest, name, ha="center", va="bottom", fontsize=9, color=MODEL)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= tallest])
    ax.set(xlabel=xlabel, ylabel="count", ylim=(0, 1.9 * tallest))
    ax.set_title(title, loc="left")
    return fig


def price(prices, objective, level, picks, names, *, xlabel, ylabel, title):
    """A line (M,) over prices (M,) and a dotted level; on the line, named dots at the prices nearest to `picks`."""
    prices = checked("prices", prices, "M")
    objective, level = checked("objective", objective, len(prices)), float(checked("level", level))
    picks = checked("picks", picks, "P")
    one_each("names", names, picks)
    fig, ax = plt.subplots()
    ax.plot(prices, objective, color=POSTERIOR, linewidth=2)
    ax.axhline(level, color=TRUTH, linestyle=":")
    name_at(ax, "log p(x)", (prices[-1], level), (0, 4), TRUTH, ha="right")
    for at, name in zip(np.abs(prices[:, None] - picks).argmin(0), names, strict=True):
        ax.plot(prices[at], objective[at], "o", color=POSTERIOR, markersize=7)
        name_at(ax, name, (prices[at], objective[at]), (9, 3), POSTERIOR, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def peaks(x, ys, names, picks, pick_names, *, colours, xlabel, ylabel, title):
    """Lines through (x, y) for each y of `ys` over a logarithmic axis; dots at the places of x nearest to `picks`."""
    x = checked("x", x, "M")
    ys = checked_each("ys", ys, len(x))
    one_each("names", names, ys)
    one_each("colours", colours, ys)
    picks = checked("picks", picks, "P")
    one_each("pick_names", pick_names, picks)
    fig, ax = plt.subplots()
    at = np.abs(x[:, None] - picks).argmin(0)
    for y, name, colour in zip(ys, names, colours, strict=True):
        ax.semilogx(x, y, color=colour, linewidth=2)
        ax.plot(x[at], y[at], "o", color=colour, markersize=6)
        name_at(ax, name, (x[len(x) // 4], y[len(x) // 4]), (8, -14), colour, ha="left")
    for place, name in zip(x[at], pick_names, strict=True):
        ax.axvline(place, color=QUIET, linewidth=1, zorder=0)
        ax.annotate(name, (place, 0.02), (4, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                    color=TRUTH)  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def rows_of_dots(groups, names, *, xlabel, title):
    """A row of dots for each group (N,) of positive numbers, over a logarithmic axis, with a bar at its median."""
    groups = checked_each("groups", groups, "N")
    one_each("names", names, groups)
    fig, ax = plt.subplots(figsize=(6.8, 0.5 * len(groups) + 1))
    for i, group in enumerate(groups):
        height = -i + 0.5 * (np.arange(len(group)) * 0.618 % 1 - 0.5)  # spread, so that they can be told apart
        ax.scatter(group, height, s=8, color=POSTERIOR, alpha=0.45, linewidths=0)
        ax.plot(np.median(group), -i, "|", color=TRUTH, markersize=20, markeredgewidth=2)
    ax.set_xscale("log")
    ax.set_yticks(-np.arange(len(groups)), names)
    ax.set(xlabel=xlabel)
    ax.tick_params(axis="y", length=0)
    ax.set_title(title, loc="left")
    return fig
