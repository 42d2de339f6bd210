"""Figures that any chapter uses: lines, points, counts, ellipses, pictures in rows."""

import matplotlib.pyplot as plt
import numpy as np

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.style import DATA, MODEL, POSTERIOR, TEN, TRUTH, ellipse, name_at, shades
from vaejax.doors import check_count

MOST_BINS = 1000  # a figure is not that many points wide


def curve(x, y, *, xlabel, ylabel, marker=None, mark=None, mark_label=None, dots=None, title=None, colour=TRUTH):
    """A line through (x, y), both (M,), a dashed one with its name at x = `mark`, and `dots`, a pair (xs, ys)."""
    x = checked("x", x, "M")
    y = checked("y", y, len(x))
    dots = None if dots is None else checked("dots", dots, 2, "N")
    fig, ax = plt.subplots()
    ax.plot(x, y, marker=marker, color=colour)
    if dots is not None:
        ax.plot(*dots, "o", color=MODEL, markersize=5, zorder=3)
    _finish(ax, xlabel, ylabel, title, mark, mark_label)
    return fig


def named_lines(x, ys, names, *, title, xlabel="step", ylabel="nats per eruption", colours=None, styles=None,
                log_x=False, log_y=False, marker=None, level=None, level_name=None, places=None):  # fmt: skip
    """Lines through (x, y) for each y of `ys`, each with its name written at its end, or at x = `places[i]`.

    `level` is the height of a dotted horizontal line, named at its left end.
    """
    x = checked("x", x, "M")
    ys = checked_each("ys", ys, len(x))
    one_each("names", names, ys)
    colours = one_each("colours", [MODEL] * len(ys) if colours is None else colours, ys)
    styles = one_each("styles", ["-"] * len(ys) if styles is None else styles, ys)
    places = one_each("places", [None] * len(ys) if places is None else places, ys)
    fig, ax = plt.subplots()
    for y, name, colour, style, place in zip(ys, names, colours, styles, places, strict=True):
        ax.plot(x, y, color=colour, linestyle=style, marker=marker, linewidth=1.8)
        at = len(x) - 1 if place is None else np.abs(x - place).argmin()
        rises = y[at] > y[max(at - 1, 0)]  # then the room is below
        shift = {"xytext": (8, -8) if rises else (4, 6), "va": "top" if rises else "bottom"}
        shift = {"xytext": (5, 0), "va": "center"} if place is None else shift
        ax.annotate(name, (x[at], y[at]), textcoords="offset points", color=colour, **shift)
    if level is not None:
        ax.margins(y=0.1)  # room for its name
        ax.axhline(level, color=TRUTH, linestyle=":")
        ax.annotate(level_name or "", (0.01, level), (0, 4), xycoords=("axes fraction", "data"),
                    textcoords="offset points", color=TRUTH)  # fmt: skip
    scale = {True: "log", False: "linear"}
    ax.set(xlabel=xlabel, ylabel=ylabel, xscale=scale[log_x], yscale=scale[log_y])
    ax.set_title(title, loc="left")
    return fig


def cloud(points, *, xlabel, ylabel, labels=None, cross=None, cross_label=None, to_scale=False):
    """Points (N, 2), coloured by `labels` (N,) where given, with a black cross at the point `cross`."""
    points = checked("points", points, "N", 2)
    labels = None if labels is None else checked("labels", labels, len(points))
    cross = None if cross is None else checked("cross", cross, 2)
    fig, ax = plt.subplots()
    colours = DATA if labels is None else [f"C{int(label) % 10}" for label in labels]
    ax.scatter(*points.T, s=12, alpha=0.6, c=colours, linewidths=0)
    if cross is not None:
        ax.plot(*cross, "X", color="black", markersize=9, markeredgecolor="white")
        ax.annotate(cross_label or "", cross, xytext=(7, 7), textcoords="offset points", fontsize=12)
    if to_scale:
        ax.set(aspect="equal")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return fig


def scatter_panels(panels, titles, *, xlabel, ylabel, colours=None):
    """Point sets (N, 2) side by side, on the same axes; of the first colour are data, of the others draws."""
    panels = checked_each("panels", panels, "N", 2)
    one_each("titles", titles, panels)
    colours = [DATA] + [MODEL] * (len(panels) - 1) if colours is None else one_each("colours", colours, panels)
    size = (2.6 * len(panels) + 0.6, 3)
    fig, axes = plt.subplots(1, len(panels), sharex=True, sharey=True, figsize=size, squeeze=False)
    for ax, points, title, colour in zip(axes[0], panels, titles, colours, strict=True):
        ax.scatter(points[:, 0], points[:, 1], s=11, alpha=0.65, color=colour, linewidths=0)
        ax.set_title(title, loc="left")
        ax.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    return fig


def histogram(values, *, bins, xlabel, curve=None, mark=None, mark_label=None, title=None):
    """Counts of `values` (N,) in `bins`, with the density `curve` (a function) on top, in counts to expect."""
    values = countable(values, bins)
    fig, ax = plt.subplots()
    edges = count_bars(ax, values, bins)
    if curve is not None:
        x, y = expected_counts(curve, edges, len(values))
        ax.plot(x, y, color=MODEL, linewidth=2)
        place = 7 * len(x) // 8
        name_at(ax, "the bell, in counts", (x[place], y[place]), (6, 6), MODEL, ha="left")
    _finish(ax, xlabel, "count", title, mark, mark_label)
    return fig


def bars(parts, labels, names, *, xlabel, colours, title=None):
    """A bar for each of `names` (M,), from the top down, made of `parts` (P, M) one after the other. The labels of the
    parts stand in the first bar, and the last part's with its length at the end of each."""
    parts = checked("parts", parts, "P", "M")
    one_each("names", names, parts.T)
    one_each("labels", labels, parts)
    one_each("colours", colours, parts)
    fig, ax = plt.subplots(figsize=(6.8, 0.5 * len(names) + 1))
    for i, (part, label, colour) in enumerate(zip(parts, labels, colours, strict=True)):
        left = parts[:i].sum(0)
        ax.barh(names, part, left=left, height=0.6, color=colour, hatch=["", "//"][i % 2], edgecolor="white")
        if i < len(parts) - 1:
            ax.text(left[0] + part[0] / 2, 0, label, color="white", ha="center", va="center")
    for row, (end, last) in enumerate(zip(parts.sum(0), parts[-1], strict=True)):
        name_at(ax, f"{labels[-1]} {abs(last):.3f}", (end, row), (6, -4), colours[-1], ha="left")
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel=xlabel, xlim=(0, 1.45 * parts.sum(0).max()))
    ax.set_title(title, loc="left")
    return fig


def gaussians(points, weight, params, labels, *, xlabel, ylabel, weight_label, title=None):
    """Points (N, 2) coloured by `weight` (N,), and ellipses with 95 % of each Gaussian (mean, scale_tril).

    The first two ellipses are solid, the others dotted; a label None gives no entry in the legend.
    """
    points, weight = checked("points", points, "N", 2), checked("weight", weight, len(points))
    one_each("labels", labels, params)
    ellipses = [ellipse(mean, scale_tril) for mean, scale_tril in params]
    fig, ax = plt.subplots()
    look = {"cmap": shades(POSTERIOR), "vmin": 0, "vmax": 1, "edgecolors": DATA, "linewidths": 0.5}
    dots = ax.scatter(points[:, 0], points[:, 1], c=weight, s=18, **look)
    for i, (outline, label) in enumerate(zip(ellipses, labels, strict=True)):
        ax.plot(*outline, color=MODEL, linestyle="-" if i < 2 else ":", linewidth=2 if i < 2 else 1.5, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    ax.legend(loc="upper left")
    fig.colorbar(dots, label=weight_label)
    return fig


def images(pictures, *, num_columns, titles=None):
    """Grey images (N, H, W) in a grid, 0 black to 1 white, with a title over each."""
    whole = getattr(pictures, "dtype", float) in (np.uint8, np.int32, np.int64)
    pictures = checked("pictures", pictures, "N", "H", "W")
    check_count("num_columns", num_columns)
    if titles is not None:
        one_each("titles", titles, pictures)
    if not np.isfinite(pictures).any():
        raise ValueError(f"pictures: got shape {pictures.shape}, expected one at least, and numbers in it")
    if np.nanmax(pictures) > (1 if whole else 10):
        raise ValueError(
            f"pictures go up to {np.nanmax(pictures):g}: expected 0 black to 1 white; bytes divided by 255"
        )
    num_rows = -(-len(pictures) // num_columns)
    size = (0.55, 0.6) if titles is None else (1.5, 1.7)
    fig, axes = plt.subplots(num_rows, num_columns, figsize=(size[0] * num_columns, size[1] * num_rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    named = zip(pictures, [""] * len(pictures) if titles is None else titles, strict=True)
    for ax, (picture, title) in zip(axes.flat, named, strict=False):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
        ax.set_title(title)
    return fig


def gallery(pictures, names, *, title, rows=None, size=0.72):
    """Grey images (R, C, H, W) in rows, 0 black to 1 white, a name over each, and `rows` to the left of each row."""
    pictures = checked("pictures", pictures, "R", "C", "H", "W")
    one_each("names", names, pictures)
    rows = one_each("rows", [""] * len(pictures) if rows is None else rows, pictures)
    for i, those in enumerate(names):
        one_each(f"names[{i}]", those, pictures[i])
    num_rows, num_columns = pictures.shape[:2]
    width, height = size * num_columns + 0.9 * any(rows), (size + 0.22) * num_rows + 0.35
    fig, axes = plt.subplots(num_rows, num_columns, figsize=(width, height), squeeze=False)
    for some_axes, some, those, row in zip(axes, pictures, names, rows, strict=True):
        some_axes[0].text(-0.15, 0.5, row, transform=some_axes[0].transAxes, ha="right", va="center")
        for ax, picture, name in zip(some_axes, some, those, strict=True):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
            ax.axis("off")
            ax.set_title(name, fontsize=8, loc="center")
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def strips(rows, names, *, titles=None, title=None):
    """Rows of grey images, each (M, H, W), 0 black to 1 white, with names, and `titles` over the columns."""
    rows = [np.clip(row, 0, 1) for row in checked_each("rows", rows, "M", "H", "W")]
    one_each("names", names, rows)
    most = max(map(len, rows))
    if titles is not None:
        one_each("titles", titles, range(most))
    fig, axes = plt.subplots(len(rows), most, figsize=(8, 8.8 / (most + 2) * len(rows) + 0.5), squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for line, row, name in zip(axes, rows, names, strict=True):
        line[0].set_ylabel(name, rotation=0, ha="right", va="center")
        for ax, picture in zip(line, row, strict=False):
            ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    for ax, column in zip(axes[0], titles if titles is not None else [], strict=False):
        ax.set_title(column, fontsize=10)
    fig.suptitle(title, x=0.02, ha="left")
    return fig


def numeral_panels(panels, labels, titles, *, xlabel, ylabel):
    """Point sets (N, 2) side by side, each point drawn as the numeral of its label (N,)."""
    panels = checked_each("panels", panels, "N", 2)
    labels = checked("labels", labels, len(panels[0])).astype(int)
    one_each("titles", titles, panels)
    fig, axes = plt.subplots(1, len(panels), figsize=(8.2, 4.2), squeeze=False)
    for ax, points, title in zip(axes[0], panels, titles, strict=True):
        ax.scatter(points[:, 0], points[:, 1], s=0)
        for (x, y), label in zip(points, labels, strict=True):
            ax.text(x, y, str(label), color=TEN[label % 10], fontsize=8, ha="center", va="center", clip_on=True)
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
        slack = 0.05 * (high - low)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.set(xlim=(low[0] - slack[0], high[0] + slack[0]), ylim=(low[1] - slack[1], high[1] + slack[1]))
        ax.set_title(title, loc="left")
    return fig


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
    """Bars of counts, in the colour of data; the edges of the bins."""
    return ax.hist(values, bins=bins, color=DATA, alpha=0.55, edgecolor="white")[1]


def expected_counts(density, edges, count):
    """Where, and how many of `count` a bin there would hold under this density."""
    x = np.linspace(edges[0], edges[-1], 300)[:-1]
    width = np.diff(edges)[np.searchsorted(edges, x, side="right") - 1]
    return x, np.broadcast_to(density(x), x.shape) * count * width


def _finish(ax, xlabel, ylabel, title, mark, mark_label):
    if mark is not None:
        ax.margins(y=0.12)  # room for its name
        ax.axvline(mark, color=MODEL, linestyle="--", linewidth=1.5)
        name_at(ax, mark_label or "", (mark, ax.get_ylim()[1]), (6, -10), MODEL, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
