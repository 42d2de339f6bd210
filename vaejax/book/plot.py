"""Figures of the chapters. Each function takes arrays and returns the figure; colours and sizes are in matplotlibrc."""

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


def curve(x, y, **options):
    """One line through (x, y), both (M,): `curves` without a legend."""
    return curves(x, [y], [None], **options)


def curves(x, ys, labels, *, xlabel, ylabel, ylim=None, marker=None, mark=None, mark_label=None, dots=None,
           dots_label=None, title=None, colours=None, yscale=None):  # fmt: skip
    """Lines through (x, y) for each y of `ys`; `labels` None draws many alike, thin, without names.

    `mark` is the place of a dashed vertical line, `dots` a pair (xs, ys) of points, `colours` one for each line.
    """
    x = _array("x", x, "M")
    ys = _arrays("ys", ys, len(x))
    dots = None if dots is None else _array("dots", dots, 2, "N")
    names = [None] * len(ys) if labels is None else _one_each("labels", labels, ys)
    colours = None if colours is None else _one_each("colours", colours, ys)
    fig, ax = plt.subplots()
    for i, (y, label) in enumerate(zip(ys, names, strict=True)):
        style = {"color": "C0", "linewidth": 1, "alpha": 0.6} if labels is None else {"linestyle": DASHES[i % 3]}
        style |= {} if colours is None else {"color": colours[i]}
        ax.plot(x, y, marker=marker, label=label, **style)
    if dots is not None:
        ax.plot(*dots, "o", color=MODEL, markersize=5, label=dots_label, zorder=3)
    ax.set_yscale(yscale or "linear")
    ax.set(ylim=ylim)
    ax.set_title(title, loc="left")
    _finish(ax, xlabel, ylabel, mark, mark_label)
    return fig


def cloud(points, *, xlabel, ylabel, labels=None, cross=None, cross_label=None, to_scale=False):
    """Points (N, 2), coloured by `labels` (N,) where given, with a black cross at the point `cross`."""
    points = _array("points", points, "N", 2)
    labels = None if labels is None else _array("labels", labels, len(points))
    cross = None if cross is None else _array("cross", cross, 2)
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


def numerals(points, labels, *, xlabel, ylabel):
    """Points (N, 2), each drawn as the numeral of its label (N,), so that classes differ in more than colour."""
    points, labels = _array("points", points, "N", 2), _array("labels", labels, len(points)).astype(int)
    fig, ax = plt.subplots(figsize=(6, 5.4))
    ax.scatter(points[:, 0], points[:, 1], s=0)
    for (x, y), label in zip(points, labels, strict=True):
        ax.text(x, y, str(label), color=f"C{label % 7}", fontsize=8, ha="center", va="center")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return fig


def bars(parts, labels, names, *, ylabel, colours=None, title=None):
    """A bar for each of `names` (M,), made of `parts` (P, M) on top of each other, from the first one up."""
    parts = _array("parts", parts, "P", "M")
    _one_each("names", names, parts.T)
    _one_each("labels", labels, parts)
    colours = [None] * len(parts) if colours is None else _one_each("colours", colours, parts)
    fig, ax = plt.subplots()
    for i, (part, label, colour) in enumerate(zip(parts, labels, colours, strict=True)):
        style = {"color": colour, "hatch": ["", "//"][i % 2], "edgecolor": "white"}
        ax.bar(names, part, bottom=parts[:i].sum(0), width=0.5, label=label, **style)
    ax.legend()
    ax.set(ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def histogram(values, *, bins, xlabel, curve=None, mark=None, mark_label=None, title=None):
    """Counts of `values` (N,) in `bins`, with the density `curve` (a function) on top, in counts to expect."""
    values = _countable(values, bins)
    fig, ax = plt.subplots()
    edges = _bars_of(ax, values, bins)
    if curve is not None:
        x, y = _expected(curve, edges, len(values))
        ax.plot(x, y, color=MODEL, linewidth=2)
        place = 7 * len(x) // 8
        _name(ax, "fitted density", (x[place], y[place]), (6, 6), MODEL, ha="left")
    ax.set_title(title, loc="left")
    if mark is not None and mark_label:
        _name(ax, mark_label, (mark, ax.get_ylim()[1]), (6, -8), MODEL, ha="left")
    _finish(ax, xlabel, "count", mark, None)
    return fig


def models_and_likelihood(values, density, x, y, at, *, bins, xlabel, parameter, ylabel, titles):
    """The same models twice: left each as a curve over the counts of `values`, right as a point of the likelihood.

    `density` is a function (parameter, values), `at` the parameters (K,) of the models, `y` (M,) the log likelihood
    at the parameters `x` (M,). The best of the models is drawn solid, the others dashed.
    """
    values, at = _countable(values, bins), _array("at", at, "K")
    x = _array("x", x, "M")
    y = _array("y", y, len(x))
    _one_each("titles", titles, (0, 1))
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4))
    edges = _bars_of(left, values, bins)
    right.plot(x, y, color=TRUTH)
    heights = np.interp(at, x, y)
    for i, place in enumerate(at):
        best = i == heights.argmax()
        name = f"{parameter} = {place:g}" if i == 0 else f"{place:g}"
        xs, counts = _expected(lambda v, place=place: density(place, v), edges, len(values))
        style = {"linestyle": "-" if best else "--", "linewidth": 2.2 if best else 1.3}
        left.plot(xs, counts, color=MODEL, **style)
        _name(left, name, (xs[counts.argmax()], counts.max()), (0, 3), MODEL)
        right.plot([place], [heights[i]], "o", color=MODEL, markersize=8 if best else 6, zorder=3)
        side = int(np.sign(place - at[heights.argmax()]))
        shift = (9 * side, -4 if side else 8)
        _name(right, name, (place, heights[i]), shift, MODEL, ha=["center", "left", "right"][side])
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
    x, y = _array("x", x, "K"), _array("y", y, "M")
    z, paths = _array("z", z, len(y), len(x)), _arrays("paths", paths, "T", 2)
    _one_each("names", names, paths)
    fig, ax = plt.subplots(figsize=(6.8, 4))
    below = np.array([4, 2, 1, 0.6, 0.4, 0.2, 0.1, 0.05, 0.02])
    shades = _shades(QUIET)(np.linspace(0.9, 0, len(below) + 1))
    ax.contourf(x, y, z, [min(z.min(), z.max() - 5), *(z.max() - below), z.max()], colors=shades)
    ax.contour(x, y, z, z.max() - below, colors=DATA, linewidths=0.6, linestyles="solid")
    row, column = np.unravel_index(z.argmax(), z.shape)
    ax.plot(x[column], y[row], "X", color=TRUTH, markersize=9, markeredgecolor="white", zorder=4)
    _name(ax, "maximum likelihood", (x[column], y[row]), (0, -14), TRUTH)
    for i, (path, name) in enumerate(zip(paths, names, strict=True)):
        colour, place, shift = (TRUTH, path[0], (8, -14)) if i else (MODEL, path[len(path) // 3], (8, 6))
        ax.plot(*path.T, color=colour, linestyle=DASHES[i % 3], linewidth=2)
        ax.plot(*path[0], "o", color=MODEL)
        _name(ax, name, place, shift, colour, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    ax.set_title(title, loc="left")
    return fig


def chances(values, labels, x, ys, names, *, mark, mark_name, xlabel, ylabel, title):
    """Probabilities ys (M,) of label 1 over x (M,), with the examples (N,) as ticks at the heights of their labels."""
    values, labels = _array("values", values, "N"), _array("labels", labels, len(values))
    x, ys = _array("x", x, "M"), _arrays("ys", ys, len(x))
    _one_each("names", names, ys)
    fig, ax = plt.subplots(figsize=(6.8, 3.6))
    for label, low in ((0, -0.09), (1, 1.02)):
        ax.vlines(values[labels == label], low, low + 0.07, color=DATA, linewidth=0.8, alpha=0.7)
    ax.axvline(mark, color=QUIET, linewidth=1, zorder=0)
    _name(ax, mark_name, (mark, 0.03), (6, 0), DATA, ha="left")
    for i, (y, name) in enumerate(zip(ys, names, strict=True)):
        ax.plot(x, y, color=MODEL, linestyle=DASHES[i % 3], linewidth=2)
        near = np.abs(y - (0.86 - 0.12 * i)).argmin()
        _name(ax, name, (x[near], y[near]), (-10, 0) if i == 0 else (10, -4), MODEL, ha="right" if i == 0 else "left")
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(-0.11, 1.11), yticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set_title(title, loc="left")
    return fig


def scatter_panels(panels, titles, *, xlabel, ylabel, colours=None):
    """Point sets (N, 2) side by side, on the same axes; of the first colour are data, of the others draws."""
    panels = _arrays("panels", panels, "N", 2)
    _one_each("titles", titles, panels)
    colours = [DATA] + [MODEL] * (len(panels) - 1) if colours is None else _one_each("colours", colours, panels)
    size = (2.6 * len(panels) + 0.6, 3)
    fig, axes = plt.subplots(1, len(panels), sharex=True, sharey=True, figsize=size, squeeze=False)
    for ax, points, title, colour in zip(axes[0], panels, titles, colours, strict=True):
        ax.scatter(points[:, 0], points[:, 1], s=11, alpha=0.65, color=colour, linewidths=0)
        ax.set_title(title, loc="left")
        ax.set_xlabel(xlabel)
    axes[0, 0].set_ylabel(ylabel)
    return fig


def gaussians(points, weight, params, labels, *, xlabel, ylabel, weight_label, title=None):
    """Points (N, 2) coloured by `weight` (N,), and ellipses with 95 % of each Gaussian (mean, scale_tril).

    The first two ellipses are solid, the others dotted; a label None gives no entry in the legend.
    """
    points, weight = _array("points", points, "N", 2), _array("weight", weight, len(points))
    _one_each("labels", labels, params)
    ellipses = [_ellipse(mean, scale_tril) for mean, scale_tril in params]
    fig, ax = plt.subplots()
    look = {"cmap": _shades(POSTERIOR), "vmin": 0, "vmax": 1, "edgecolors": DATA, "linewidths": 0.5}
    dots = ax.scatter(points[:, 0], points[:, 1], c=weight, s=18, **look)
    for i, (ellipse, label) in enumerate(zip(ellipses, labels, strict=True)):
        ax.plot(*ellipse, color=MODEL, linestyle="-" if i < 2 else ":", linewidth=2 if i < 2 else 1.5, label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    ax.legend(loc="upper left")
    fig.colorbar(dots, label=weight_label)
    return fig


def mixtures(points, params, weights, titles, *, xlabel, ylabel, title=None):
    """A panel for each mixture (log_pi, mu, scale_tril): points coloured by a weight (N,), 95 % ellipses.

    A point of weight one has the colour of component 1, a point of weight zero that of component 0.
    """
    points, weights = _array("points", points, "N", 2), _arrays("weights", weights, len(points))
    _one_each("weights", weights, params)
    _one_each("titles", titles, params)
    for _, mu, scale_tril in params:
        _one_each("scale_tril", scale_tril, mu)
    ellipses = [[_ellipse(*each) for each in zip(mu, scale_tril, strict=True)] for _, mu, scale_tril in params]
    rows = -(-len(params) // 2)
    fig, axes = plt.subplots(rows, 2, sharex=True, sharey=True, figsize=(6.8, 2.5 * rows + 0.4), squeeze=False)
    for ax in axes.flat[len(params) :]:
        ax.axis("off")
    for ax, those, weight, name in zip(axes.flat, ellipses, weights, titles, strict=False):
        _weighted(ax, points, weight)
        for i, ellipse in enumerate(those):
            ax.plot(*ellipse, color=KINDS[i % 2], linestyle=DASHES[i % 2])
        ax.set(title=name)
    low, high = points.min(0), points.max(0)
    if (low < high).all():  # the frame is for the points, whatever a first guess may be
        margin = 0.15 * (high - low)
        ax.set(xlim=(low[0] - margin[0], high[0] + margin[0]), ylim=(low[1] - margin[1], high[1] + margin[1]))
    for ax in axes[-1]:
        ax.set(xlabel=xlabel)
    for ax in axes[:, 0]:
        ax.set(ylabel=ylabel)
    fig.suptitle(title, x=0.01, ha="left") if title else None
    return fig


def cut(mean, scale_tril, at, y, density, *, xlabel, ylabel, marginal=None, title=None):
    """A Gaussian in the plane, cut at x = `at`: ellipses with 50, 80 and 95 % of it, and beside them the density (M,)
    along the cut, at the places y (M,), with the density `marginal` (M,) of y where nothing is known of x."""
    y, density = _array("y", y, "M"), _array("density", density, len(y))
    marginal = None if marginal is None else _array("marginal", marginal, len(y))
    ellipses = [_ellipse(mean, scale_tril, share) for share in (0.5, 0.8, 0.95)]
    fig, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(6.8, 3.4), width_ratios=[2, 1.2])
    for ellipse in ellipses:
        left.plot(*ellipse, color=MODEL, linewidth=1)
    left.axvline(at, color=POSTERIOR, linestyle="--")
    right.plot(density, y, color=POSTERIOR)
    if marginal is not None:
        right.plot(marginal, y, color=DATA, linestyle="--")
        for values, name, colour, side in ((density, "on the cut", POSTERIOR, 1), (marginal, "marginal", DATA, -1)):
            place = np.abs(values - 0.5 * values.max() + 9 * (side * (y - y[values.argmax()]) < 0)).argmin()
            right.annotate(name, (values[place], y[place]), (6, 6 * side), textcoords="offset points", color=colour)
    left.set(xlabel=xlabel, ylabel=ylabel)
    right.set(xlabel="density", xlim=(0, None))
    fig.suptitle(title, x=0.01, ha="left") if title else None
    return fig


def sharp():
    """Within a notebook: from here on at twice the resolution, for dense screens. Elsewhere: nothing."""
    if "inline" in plt.get_backend():
        plt.switch_backend(plt.get_backend())  # so that it is loaded
        sys.modules["matplotlib_inline.backend_inline"].set_matplotlib_formats("retina")


def named_lines(x, ys, names, *, title, xlabel="step", ylabel="nats per eruption", colours=None, styles=None,
                log_x=False, marker=None, level=None, level_name=None, places=None):  # fmt: skip
    """Lines through (x, y) for each y of `ys`, each with its name written at its end, or at x = `places[i]`.

    `level` is the height of a dotted horizontal line, named at its left end.
    """
    x = _array("x", x, "M")
    ys = _arrays("ys", ys, len(x))
    _one_each("names", names, ys)
    colours = _one_each("colours", [MODEL] * len(ys) if colours is None else colours, ys)
    styles = _one_each("styles", ["-"] * len(ys) if styles is None else styles, ys)
    places = _one_each("places", [None] * len(ys) if places is None else places, ys)
    fig, ax = plt.subplots()
    for y, name, colour, style, place in zip(ys, names, colours, styles, places, strict=True):
        ax.plot(x, y, color=colour, linestyle=style, marker=marker, linewidth=1.8)
        at = len(x) - 1 if place is None else np.abs(x - place).argmin()
        rises = y[at] > y[max(at - 1, 0)]  # then the room is below
        shift = {"xytext": (8, -8) if rises else (4, 6), "va": "top" if rises else "bottom"}
        shift = {"xytext": (5, 0), "va": "center"} if place is None else shift
        ax.annotate(name, (x[at], y[at]), textcoords="offset points", color=colour, **shift)
    if level is not None:
        ax.axhline(level, color=TRUTH, linestyle=":")
        ax.annotate(level_name or "", (0.01, level), (0, 4), xycoords=("axes fraction", "data"),
                    textcoords="offset points", color=TRUTH)  # fmt: skip
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if log_x:
        ax.set_xscale("log")
    ax.set_title(title, loc="left")
    return fig


def dial(r, bound, log_p, best, at, *, xlabel="dial r = q(long)", title="The bound touches at the posterior"):
    """The bound (M,) over the dial r (M,) below the level `log_p`, which it touches at `best`; its gap at r = `at`."""
    r = _array("r", r, "M")
    bound = _array("bound", bound, len(r))
    fig, ax = plt.subplots()
    ax.axhline(log_p, color=TRUTH)
    ax.text(r[-1], log_p, r"$\log p(x)$", color=TRUTH, ha="right", va="bottom")
    ax.plot(r, bound, color=MODEL)
    where = np.abs(r - at).argmin()
    ax.annotate("", (at, log_p), (at, bound[where]),
                arrowprops={"arrowstyle": "<->", "color": POSTERIOR, "shrinkA": 0, "shrinkB": 0})  # fmt: skip
    middle = (log_p + bound[where]) / 2
    ax.text(at, middle, f" KL = {log_p - bound[where]:.2f}", color=POSTERIOR, va="center")
    ax.plot([best, best], [bound.min(), log_p], color=POSTERIOR, linestyle="--", linewidth=1)
    ax.plot(best, log_p, "o", color=TRUTH, zorder=3)
    ax.text(best, bound.min(), " the posterior", color=POSTERIOR, va="bottom")
    right = len(r) * 9 // 10
    ax.annotate("ELBO", (r[right], bound[right]), (-8, -4), textcoords="offset points", color=MODEL, ha="right",
                va="top")  # fmt: skip
    ax.set(xlabel=xlabel, ylabel="nats", xlim=(0, 1))
    ax.set_title(title, loc="left")
    return fig


def touching(x, log_p, bounds, walk, heights, *, xlabel="θ, mean of the long waits (minutes)",
             title="Touch, climb to the peak, touch again"):  # fmt: skip
    """EM's walk: log p (M,) over a parameter x (M,), and below it a bound (M,) made at each stop of `walk` (T + 1,).

    `heights` (T, 2): of each step, log p where the bound was made, and the bound at its peak, the next stop.
    """
    x = _array("x", x, "M")
    log_p, bounds = _array("log_p", log_p, len(x)), _arrays("bounds", bounds, len(x))
    walk, heights = _array("walk", walk, len(bounds) + 1), _array("heights", heights, len(bounds), 2)
    fig, ax = plt.subplots(figsize=(6.8, 4))
    ax.plot(x, log_p, color=TRUTH, linewidth=2.4)
    ax.annotate(r"$\log p$", (x[-1], log_p[-1]), (4, 0), textcoords="offset points", va="center")
    for i, (bound, start, end) in enumerate(zip(bounds, walk, walk[1:], strict=False)):
        ax.plot(x, bound, color=MODEL, linewidth=1.4, alpha=0.5 + 0.5 * i / len(bounds), linestyle=DASHES[i % 3])
        ax.plot(start, heights[i, 0], "o", color=TRUTH, zorder=5)
        ax.annotate(f"{start:.3g}", (start, heights[i, 0]), (-5, 6), textcoords="offset points", ha="right")
        ax.plot(end, heights[i, 1], "v", color=MODEL, zorder=5)
        if i + 1 < len(bounds):
            ax.annotate("", (end, heights[i + 1, 0]), (end, heights[i, 1]),
                        arrowprops={"arrowstyle": "->", "color": POSTERIOR})  # fmt: skip
    line = {"arrowstyle": "-", "linewidth": 0.8}
    ax.annotate("touch: the E-step", (walk[0], heights[0, 0]), (30, -8), textcoords="offset points",
                arrowprops=line)  # fmt: skip
    ax.annotate("peak of the bound: the M-step", (walk[1], heights[0, 1]), (-30, -70), textcoords="offset points",
                color=MODEL, arrowprops=line | {"color": MODEL})  # fmt: skip
    low, high = heights[0, 0] - 0.15 * np.ptp(heights), heights.max() + 0.1 * np.ptp(heights)
    ax.set(xlabel=xlabel, ylabel="nats per eruption", ylim=(low, high))
    ax.set_title(title, loc="left")
    return fig


def half_steps(log_p, bounds, *, first=0, title="Two half steps, and neither goes down"):
    """log p (T + 1,) before and after each of T steps of EM, and the bound (T,) after the M-step of each.

    The E-step lifts the bound to log p, the M-step lifts both; what opens between them is a KL.
    """
    log_p = _array("log_p", log_p, "T + 1")
    bounds = _array("bounds", bounds, len(log_p) - 1)
    steps = first + np.arange(len(log_p))
    fig, ax = plt.subplots()
    ax.plot(steps, log_p, "o-", color=TRUTH)
    ax.annotate(r"$\log p$", (steps[-1], log_p[-1]), (6, 2), textcoords="offset points", va="center")
    for i, bound in enumerate(bounds):
        ax.plot([first + i, first + i + 1], [log_p[i], bound], "--", color=MODEL)
        ax.plot(first + i + 1, bound, "o", color=MODEL, markersize=4)
        ax.annotate("", (first + i + 1, log_p[i + 1]), (first + i + 1, bound),
                    arrowprops={"arrowstyle": "-|>", "color": POSTERIOR, "linewidth": 2, "shrinkA": 0})  # fmt: skip
    widest = (log_p[1:] - bounds).argmax()
    ax.annotate("E: closes the gap, a KL", (first + widest + 1, (bounds[widest] + log_p[widest + 1]) / 2), (10, -2),
                textcoords="offset points", color=POSTERIOR)  # fmt: skip
    ax.annotate("M: climbs the bound", (first + widest + 0.5, (bounds[widest] + log_p[widest]) / 2), (8, -8),
                textcoords="offset points", color=MODEL, va="top")  # fmt: skip
    ax.set(xlabel="EM step", ylabel="nats per eruption", xticks=steps)
    ax.set_title(title, loc="left")
    return fig


def distances(points, labels, params, point, *, name, title="Not even twice as far, fifty times less likely"):
    """Points (N, 2) by label, a 95 % ellipse for each mean, and lines from a cross to the means, with their lengths."""
    points, point = _array("points", points, "N", 2), _array("point", point, 2)
    labels = _array("labels", labels, len(points)).astype(int)
    _one_each("scale_tril", params.scale_tril, params.mu)
    fig, ax = plt.subplots(figsize=(5.6, 4.2))
    for k, (mean, scale_tril) in enumerate(zip(params.mu, params.scale_tril, strict=True)):
        mean, colour = _array("mean", mean, 2), KINDS[k % 3]
        ax.scatter(*points[labels == k].T, s=10, color=colour, alpha=0.5, linewidths=0, marker="o^s"[k % 3])
        ax.plot(*_ellipse(mean, scale_tril), color=colour)
        ax.plot(*np.stack([point, mean]).T, color=TRUTH, linewidth=1, linestyle=":")
        ax.annotate(f"{np.linalg.norm(mean - point):.1f}", (point + mean) / 2, (2, 3), textcoords="offset points")
    ax.plot(*point, "X", color=TRUTH, markersize=9, markeredgecolor="white")
    ax.annotate(name, point, (7, 5), textcoords="offset points", fontsize=12)
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    ax.set_title(title, loc="left")
    return fig


def territories(points, shares, means, titles, *, xlabel, ylabel,
                title="A straight border, and one that fits the clouds"):  # fmt: skip
    """A panel for each of `shares`, functions (N, 2) -> (N,): the share of component 1 at every place, as a colour;
    points (N, 2) in the colour of theirs; the border between the components, and their means (K, 2)."""
    points = _array("points", points, "N", 2)
    means = _arrays("means", means, "K", 2)
    _one_each("means", means, shares)
    _one_each("titles", titles, shares)
    margin = 0.05 * np.ptp(points, axis=0)
    x, y = np.linspace(points.min(0) - margin, points.max(0) + margin, 120).T
    plane = np.stack(np.meshgrid(x, y), 2)
    size = (3.4 * len(shares), 3.5)
    fig, axes = plt.subplots(1, len(shares), sharex=True, sharey=True, figsize=size, squeeze=False)
    for ax, share, mean, name in zip(axes[0], shares, means, titles, strict=True):
        everywhere = np.asarray(share(plane.reshape(-1, 2)), float).reshape(len(y), len(x))
        ax.pcolormesh(x, y, everywhere, cmap=BETWEEN, vmin=0, vmax=1, alpha=0.25, linewidth=0, rasterized=True)
        _weighted(ax, points, share(points))
        ax.contour(x, y, everywhere, levels=[0.5], colors=TRUTH, linestyles="--", linewidths=1)
        ax.plot(*mean.T, "X", color=TRUTH, markersize=9, markeredgecolor="white", linestyle="")
        ax.set(title=name, xlabel=xlabel)
    axes[0, 0].set_ylabel(ylabel)
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def kinds(pictures, weights, *, num_columns=10, title="The kinds that EM found, by weight"):
    """Grey images (K, H, W) in a grid, the heaviest first, each with its weight (K,) above it in percent."""
    pictures = _array("pictures", pictures, "K", "H", "W")
    weights = _array("weights", weights, len(pictures))
    order = np.argsort(-weights).reshape(-1, num_columns)
    return gallery(pictures[order], [[f"{100 * weights[k]:.1f} %" for k in row] for row in order], title=title)


def gallery(pictures, names, *, title, rows=None, size=0.72):
    """Grey images (R, C, H, W) in rows, 0 black to 1 white, a name over each, and `rows` to the left of each row."""
    pictures = _array("pictures", pictures, "R", "C", "H", "W")
    _one_each("names", names, pictures)
    rows = _one_each("rows", [""] * len(pictures) if rows is None else rows, pictures)
    for i, those in enumerate(names):
        _one_each(f"names[{i}]", those, pictures[i])
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


def starts(runs, plateau):
    """Log likelihood over EM steps of many starts (R, T), and the level of one Gaussian, at which some of them wait."""
    runs = _array("runs", runs, "R", "T")
    fig, ax = plt.subplots()
    ax.plot(runs.T, color=MODEL, linewidth=1, alpha=0.6)
    ax.axhline(plateau, color=TRUTH, linestyle=":")
    ax.annotate("one Gaussian", (1, plateau), (0, -12), xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="right")  # fmt: skip
    low, high = plateau - 0.1, runs.max() + 0.05
    ax.set(xlabel="EM step", ylabel="nats per eruption", ylim=(low, high))
    ax.set_title("All rise, some after a long wait", loc="left")
    return fig


def noisy(steady, jagged):
    """Log likelihood (T,) over the steps of exact EM, and of several runs (R, T) of stochastic EM, from step 2 on."""
    jagged = _array("jagged", jagged, "R", "T")
    steady = _array("steady", steady, jagged.shape[1])
    steps = np.arange(2, len(steady) + 1)
    fig, ax = plt.subplots()
    ax.plot(steps, jagged[:, 1:].T, color=DATA, linewidth=0.8, alpha=0.8)
    ax.plot(steps, steady[1:], color=POSTERIOR, linewidth=2.2)
    middle = (steady[1:].max() + steady[1:].min()) / 2
    for values, name, colour, side in ((steady, "every label ", POSTERIOR, "left"), (jagged[0], "one label ", DATA,
                                                                                     "right")):  # fmt: skip
        place = 2 + (values[1:] > middle).argmax()
        ax.annotate(name, (place, middle), (8 if side == "left" else -8, 0), textcoords="offset points", color=colour,
                    ha=side)  # fmt: skip
    ax.set(xscale="log", xlabel="step", ylabel="nats per eruption")
    ax.set_title("One drawn label is quicker, and never at rest", loc="left")
    return fig


def fillings(halves, phis, bounds, log_p, rows=("nine", "one"), names=("coin", "white", "seen")):
    """Images (R, D), then each with its first M pixels as the fillings `phis` (R, C, M) have them, bounds (R, C) above.

    D is a square; above the image itself stands the log probability of its other pixels, `log_p` (R,).
    """
    halves = _array("halves", halves, "R", "D")
    phis = _array("phis", phis, len(halves), len(names), "M")
    bounds, log_p = _array("bounds", bounds, *phis.shape[:2]), _array("log_p", log_p, len(halves))
    side = int(np.sqrt(halves.shape[1]))
    pictures = np.repeat(halves[:, None], len(names) + 1, 1)
    pictures[:, 1:, : phis.shape[2]] = phis
    titles = [
        [f"log p  {top:.1f}", *(f"{name}  {value:.1f}" for name, value in zip(names, values, strict=True))]
        for top, values in zip(log_p, bounds, strict=True)
    ]
    title = "The best filling looks at what is visible"
    fig = gallery(pictures.reshape(len(halves), -1, side, side), titles, title=title, rows=rows, size=1.3)
    for ax in fig.axes:  # what is above the line is covered
        ax.axhline(phis.shape[2] / side - 0.5, color=MODEL)
    return fig


def _weighted(ax, points, weight):
    """Points in the colours between two kinds, by their weight (N,) of the second."""
    ax.scatter(points[:, 0], points[:, 1], c=weight, s=10, vmin=0, vmax=1, cmap=BETWEEN, edgecolors="0.3",
               linewidths=0.2)  # fmt: skip


def shadows(points, shadows, *, xlabel, ylabel, title=None):
    """Points (N, 2), their shadows (N, 2) on a line, and the way from each point to its shadow, to scale."""
    points, shadows = _array("points", points, "N", 2), _array("shadows", shadows, len(points), 2)
    fig, ax = plt.subplots(figsize=(5.4, 4.6))
    ax.plot(*np.stack([points, shadows], 1).transpose(2, 1, 0), color=QUIET, linewidth=0.8, zorder=1)
    ends = shadows[[shadows[:, 0].argmin(), shadows[:, 0].argmax()]]
    ax.plot(*ends.T, color=MODEL, linewidth=2, zorder=2)
    ax.scatter(points[:, 0], points[:, 1], s=12, color=DATA, linewidths=0, zorder=3)
    ax.set(aspect="equal", xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def lines(points, feet, names, *, chosen, xlabel, ylabel, title):
    """Points (N, 2) and lines, each given by where the points fall on it (N, 2); for the `chosen` points the way there.

    To scale. Lines differ in their dashes and carry their names.
    """
    points, feet = _array("points", points, "N", 2), _arrays("feet", feet, len(points), 2)
    _one_each("names", names, feet)
    chosen = list(chosen)
    fig, ax = plt.subplots(figsize=(6.4, 5))
    ax.scatter(points[:, 0], points[:, 1], s=14, color=DATA, alpha=0.7, linewidths=0, zorder=2)
    low, high = points.min() - 0.2, points.max() + 0.2
    for i, (foot, name) in enumerate(zip(feet, names, strict=True)):
        first, last = foot[foot[:, 0].argmin()], foot[foot[:, 0].argmax()]
        step = (last - first) / np.abs(last - first).max()
        x = np.array([low, high])
        y = first[1] + (x - first[0]) * step[1] / step[0]
        ways = np.stack([points[chosen], foot[chosen]], 1).transpose(2, 1, 0)
        ax.plot(*ways, color=MODEL, linewidth=1, linestyle=DASHES[i % 3], zorder=1)
        ax.plot(x, y, color=MODEL, linewidth=2, linestyle=DASHES[i % 3], zorder=3)
        angle = np.rad2deg(np.arctan2(step[1], step[0]))
        halo = [withStroke(linewidth=3, foreground="white", alpha=0.9)]
        place = (low + 0.1, y[0] + 0.1 / (high - low) * (y[1] - y[0]))
        style = {"color": MODEL, "ha": "left", "va": "bottom", "path_effects": halo, "zorder": 5}
        ax.text(*place, name, rotation=angle, rotation_mode="anchor", **style)
    ax.set(aspect="equal", xlim=(low, high), ylim=(low, high), xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def stretch(matrix, axes, names, *, title):
    """What a symmetric matrix (2, 2) does to directions of length one: arrows from w to C w, and the `axes` (2, K) that
    it only makes longer or shorter, with their names. To scale."""
    matrix, axes = _array("matrix", matrix, 2, 2), _array("axes", axes, 2, "K")
    _one_each("names", names, axes.T)
    angle = np.linspace(0, 2 * np.pi, 201)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    fig, ax = plt.subplots(figsize=(5, 4.6))
    ax.plot(*circle, color=DATA, linewidth=1.2)
    ax.plot(*(matrix @ circle), color=MODEL, linewidth=2)
    starts = circle[:, 5:-1:10]
    ax.quiver(*starts, *(matrix @ starts - starts), color=QUIET, angles="xy", scale_units="xy", scale=1, width=0.005)
    for axis, name in zip(axes.T, names, strict=True):
        for end, colour, width, order in ((matrix @ axis, MODEL, 0.012, 3), (axis, TRUTH, 0.008, 4)):
            ax.quiver(0, 0, *end, color=colour, angles="xy", scale_units="xy", scale=1, width=width, zorder=order)
        far = max(matrix @ axis, axis, key=np.linalg.norm)
        _name(ax, name, far, (6 * np.sign(far[0]), 6), MODEL, ha="left" if far[0] >= 0 else "right")
    _name(ax, "w", circle[:, 165], (-8, -12), DATA)
    far = np.abs(matrix @ circle).max() + 0.25
    ax.set(aspect="equal", xlim=(-far, far), ylim=(-far, far))
    ax.set_title(title, loc="left")
    return fig


def space(points, shadows, axes, *, labels, title=None):
    """Points (N, 3), their shadows on a plane, and the ellipsoid around 0 with the columns of axes (3, 3) as half-axes.

    Seen from a little above the plane, across its longer direction.
    """
    points, shadows = _array("points", points, "N", 3), _array("shadows", shadows, len(points), 3)
    axes = _array("axes", axes, 3, 3)
    _one_each("labels", labels, axes)
    fig = plt.figure(figsize=(7, 5.4))
    ax = fig.add_subplot(projection="3d", computed_zorder=False)
    around, down = np.meshgrid(np.linspace(0, 2 * np.pi, 25), np.linspace(0, np.pi, 13))
    sphere = np.stack([np.cos(around) * np.sin(down), np.sin(around) * np.sin(down), np.cos(down)])
    ax.plot_wireframe(*np.einsum("ij,jkl->ikl", axes, sphere), color=MODEL, linewidth=0.4, alpha=0.55)
    for pair in np.stack([points, shadows], 1):
        ax.plot(*pair.T, color=QUIET, linewidth=0.7)
    ax.scatter(*shadows.T, s=7, color=QUIET, depthshade=False)
    ax.scatter(*points.T, s=12, color=DATA, depthshade=False)
    long, short, normal = np.linalg.svd(shadows, full_matrices=False)[2]
    corners = 3 * np.array([long + short, long - short, -long - short, -long + short])
    ax.plot_trisurf(*corners.T, triangles=[[0, 1, 2], [0, 2, 3]], color=QUIET, alpha=0.25)
    for i, axis in enumerate(axes.T):
        ax.quiver(0, 0, 0, *axis, color=MODEL, linewidth=2.2, arrow_length_ratio=0.12)
        ax.text(*(1.15 * axis), f"{i + 1}", color=MODEL, fontsize=12, fontweight="bold", ha="center")
    eye = short + 0.35 * normal * np.sign(normal[2])
    eye = eye / np.linalg.norm(eye) * np.sign(eye[2])
    ax.view_init(elev=np.rad2deg(np.arcsin(eye[2])), azim=np.rad2deg(np.arctan2(eye[1], eye[0])))
    ax.set(xlabel=labels[0], ylabel=labels[1], zlabel=labels[2])
    _fill_box(ax, points, 1.2)
    fig.suptitle(title, x=0.02, ha="left", fontsize=ax.title.get_fontsize())
    return fig


def upright(points, directions, names, *, title):
    """Points (N, 3) around 0, seen from a little above, and a line through 0 along each of the directions (K, 3), with
    its name. A grey disc holds most of the points, in the plane of their two wide directions."""
    points, directions = _array("points", points, "N", 3), _array("directions", directions, "K", 3)
    _one_each("names", names, directions)
    tilt = np.deg2rad(14)
    view = np.array([[0.95, 0.31, 0], [-0.31 * np.sin(tilt), 0.95 * np.sin(tilt), np.cos(tilt)]]).T
    _, wide, axes = np.linalg.svd(points, full_matrices=False)
    angle = np.linspace(0, 2 * np.pi, 100)
    rim = np.stack([np.cos(angle), np.sin(angle)], 1) * 2.2 * wide[:2] / np.sqrt(len(points)) @ axes[:2]
    fig, ax = plt.subplots(figsize=(7, 3.6))
    ax.axis("off")
    ax.fill(*(rim @ view).T, color=QUIET, alpha=0.45, linewidth=0)
    ax.scatter(*(points @ view).T, s=8, color=DATA, alpha=0.7, linewidths=0)
    reach = 1.1 * np.abs(points).max()
    for i, (direction, name) in enumerate(zip(directions, names, strict=True)):
        end = direction * reach * (0.45 if i else 1) / np.linalg.norm(direction) @ view
        ax.plot(*np.stack([-end, end], 1), color=MODEL, linestyle=DASHES[i % 3], linewidth=2.5)
        _name(ax, name, end, (0, 6), MODEL)
    ax.set_aspect("equal")
    ax.set_title(title, loc="left")
    return fig


def _fill_box(ax, points, zoom):
    low, high = points.min(0), points.max(0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    ax.set_box_aspect(high - low, zoom=zoom)


def falls(values, factors, names, *, xlabel, ylabel, title):
    """Numbers that shrink, each a row (T,), on a log axis, and dashed how each would with its factor in every step."""
    values, factors = _arrays("values", values, "T"), _array("factors", factors, "K")
    _one_each("names", names, values)
    _one_each("factors", factors, values)
    fig, ax = plt.subplots()
    for i, (row, factor, name) in enumerate(zip(values, factors, names, strict=True)):
        t = np.arange(len(row))
        ax.semilogy(t, row[-1] * factor ** (t - t[-1]), color=TRUTH, linestyle=DASHES[1], linewidth=1)
        ax.semilogy(t, row, "os"[i % 2], color=MODEL, markersize=6, fillstyle=["full", "none"][i % 2])
        near = 2 * len(t) // 3
        _name(ax, name, (t[near], row[near]), (8, 6), MODEL, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def scree(variances, *, share, title):
    """Variances (D,) in falling order, on a log axis, and the share of the total that the first ones hold.

    The place where that reaches `share` is marked.
    """
    variances = _array("variances", variances, "D")
    held = np.cumsum(variances) / variances.sum()
    enough = int((held < share).sum()) + 1
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    shown = variances > variances[0] * 1e-6
    number = np.arange(1, len(variances) + 1)
    left.semilogy(number[shown], variances[shown], color=DATA, linewidth=2)
    right.plot(np.append(0, number), np.append(0, held), color=DATA, linewidth=2)
    right.plot([enough, enough, 0], [0, share, share], color=QUIET, linewidth=1)
    right.plot([enough], [share], "o", color=MODEL)
    _name(right, f"{enough} directions hold {share:.0%}", (enough, share), (12, -14), MODEL, ha="left")
    left.set(xlabel="direction", ylabel="variance along it", title="")
    right.set(xlabel="directions kept", ylabel="share of the variance", ylim=(0, 1.02), xlim=(0, None))
    left.set_title(title, loc="left")
    return fig


def strips(rows, names, *, titles=None, title=None):
    """Rows of grey images, each (M, H, W), 0 black to 1 white, with names, and `titles` over the columns."""
    rows = [np.clip(row, 0, 1) for row in _arrays("rows", rows, "M", "H", "W")]
    _one_each("names", names, rows)
    most = max(map(len, rows))
    if titles is not None:
        _one_each("titles", titles, range(most))
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
    fig.suptitle(title, x=0.02, ha="left", fontsize=12)
    return fig


def signed(directions):
    """Directions (M, D) as greys in which zero is 0.5: for `strips`."""
    directions = _array("directions", directions, "M", "D")
    return 0.5 + 0.5 * directions / np.abs(directions).max(1, keepdims=True)


def error_groups(groups, names, *, mark, mark_name, xlabel, title):
    """How errors (N,) of several groups are spread, on a log axis: the first group is what was fitted, and
    `mark` a threshold."""
    groups = _arrays("groups", groups, "N")
    _one_each("names", names, groups)
    edges = np.geomspace(min(group.min() for group in groups), max(group.max() for group in groups) * 1.001, 50)
    fig, ax = plt.subplots(figsize=(7, 3.4))
    for i, (group, name) in enumerate(zip(groups, names, strict=True)):
        colour = DATA if i == 0 else MODEL
        heights = ax.hist(group, edges, weights=np.full(len(group), 1 / len(group)), color=colour, alpha=0.65,
                          hatch=["", "", "//"][i % 3], edgecolor="white", linewidth=0.3)[0]  # fmt: skip
        top = heights.argmax()
        _name(ax, name, (np.sqrt(edges[top] * edges[top + 1]), heights[top]), (0, 4), colour)
    ax.axvline(mark, color=TRUTH, linestyle=DASHES[1], linewidth=1.2)
    ax.set(xscale="log", xlabel=xlabel, ylabel="share of the images")
    ax.margins(y=0.15)
    _name(ax, mark_name, (mark, ax.get_ylim()[1]), (4, -10), TRUTH, ha="left")
    ax.set_title(title, loc="left")
    return fig


def numeral_panels(panels, labels, titles, *, xlabel, ylabel):
    """Point sets (N, 2) side by side, each point drawn as the numeral of its label (N,)."""
    panels = _arrays("panels", panels, "N", 2)
    labels = _array("labels", labels, len(panels[0])).astype(int)
    _one_each("titles", titles, panels)
    fig, axes = plt.subplots(1, len(panels), figsize=(8.2, 4.2), squeeze=False)
    for ax, points, title in zip(axes[0], panels, titles, strict=True):
        ax.scatter(points[:, 0], points[:, 1], s=0)
        for (x, y), label in zip(points, labels, strict=True):
            ax.text(x, y, str(label), color=f"C{label % 7}", fontsize=8, ha="center", va="center", clip_on=True)
        low, high = np.percentile(points, [0.5, 99.5], axis=0)
        slack = 0.05 * (high - low)
        ax.set(xlabel=xlabel, ylabel=ylabel)
        ax.set(xlim=(low[0] - slack[0], high[0] + slack[0]), ylim=(low[1] - slack[1], high[1] + slack[1]))
        ax.set_title(title, loc="left")
    return fig


def autoencoder(picture, copy, sizes, *, title):
    """An autoencoder drawn: an image (H, W), five layers of these `sizes`, the middle one the code, and the copy."""
    picture, copy = _array("picture", picture, "H", "W"), _array("copy", copy, "H", "W")
    _one_each("sizes", sizes, range(5))
    fig, ax = plt.subplots(figsize=(8, 3.6))
    ax.axis("off")
    places = np.array([2.5, 4.1, 5.7, 7.3, 8.9])
    columns = [np.linspace(-1, 1, n) * (n - 1) * 0.21 for n in (9, 6, 2, 6, 9)]
    colours = [DATA, POSTERIOR, POSTERIOR, MODEL, MODEL]
    for i in range(4):
        for a in columns[i]:
            for b in columns[i + 1]:
                ax.plot(places[i : i + 2], [a, b], color=QUIET, linewidth=0.5, zorder=1)
    for place, column, colour, size in zip(places, columns, colours, sizes, strict=True):
        ax.scatter(np.full(len(column), place), column, s=90, color="white", edgecolors=colour, linewidths=2, zorder=2)
        ax.text(place, -2.15, f"{size}", color=colour, ha="center", fontsize=11)
    for place, text, colour in ((3.3, "encoder", POSTERIOR), (8.1, "decoder", MODEL)):
        ax.text(place, 2.05, text, color=colour, ha="center", fontsize=12)
    ax.text(5.7, 0.75, "bottleneck\ncode z", color=POSTERIOR, ha="center", fontsize=11)
    for place, image, name, colour in ((0.9, picture, "x", DATA), (10.5, copy, "copy of x", MODEL)):
        ax.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(place - 0.9, place + 0.9, -0.9, 0.9), zorder=3)
        ax.text(place, 1.05, name, color=colour, ha="center", fontsize=12)
    for start in (1.86, 9.14):
        ax.annotate("", (start + 0.42, 0), (start, 0), arrowprops={"arrowstyle": "-|>", "color": DATA, "lw": 1.5})
    ax.set(xlim=(-0.1, 11.5), ylim=(-2.4, 2.5), aspect="equal")
    ax.set_title(title, loc="left")
    return fig


def paths(seen, unseen, paths, titles):
    """Points that were seen (N, 2) and not seen (M, 2), in a panel for each path (T, 2), drawn as a line."""
    seen, unseen = _array("seen", seen, "N", 2), _array("unseen", unseen, "M", 2)
    paths = _arrays("paths", paths, "T", 2)
    _one_each("titles", titles, paths)
    fig, axes = plt.subplots(1, len(paths), sharex=True, sharey=True, figsize=(3.2 * len(paths), 3.2), squeeze=False)
    for ax, path, title in zip(axes.flat, paths, titles, strict=True):
        ax.scatter(*unseen.T, s=8, color=QUIET, linewidths=0, label="kept back")
        ax.scatter(*seen.T, s=8, color=DATA, linewidths=0, label="seen")
        ax.plot(*path.T, color=MODEL, linewidth=1.8)
        ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$", xlim=(-1.4, 1.4), ylim=(-1.4, 1.4))
        ax.set_title(title, loc="left")
        ax.label_outer()
    if len(unseen):
        axes.flat[0].legend(loc="upper left", fontsize=8)
    return fig


def matrix(values, rows, columns, *, label):
    """A table of numbers (R, C) as colours, zero white, with the names of its rows and columns."""
    values = _array("values", values, "R", "C")
    if not np.isfinite(values).any():
        raise ValueError(f"values: got shape {values.shape}, expected a number at least")
    num_rows, num_columns = len(_one_each("rows", rows, values)), len(_one_each("columns", columns, values.T))
    fig, ax = plt.subplots(figsize=(1.6 + 0.2 * max(num_columns, 8), 0.9 + 0.18 * num_rows))
    limit = np.nanmax(np.abs(values))
    shown = ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit, aspect="auto")
    ax.set_xticks(range(num_columns), columns, rotation=90 if num_columns > 8 else 0, fontsize=7)
    ax.set_yticks(range(num_rows), rows, fontsize=7)
    fig.colorbar(shown, label=label)
    return fig


def images(pictures, *, num_columns, titles=None):
    """Grey images (N, H, W) in a grid, 0 black to 1 white, with a title over each."""
    whole = getattr(pictures, "dtype", float) in (np.uint8, np.int32, np.int64)
    pictures = _array("pictures", pictures, "N", "H", "W")
    check_count("num_columns", num_columns)
    if titles is not None:
        _one_each("titles", titles, pictures)
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


def _countable(values, bins):
    """The finite ones of values (N,), for these bins; ValueError where there are none, or no such bins."""
    values = _array("values", values, "N")
    values = values[~np.isnan(values)]
    if not len(values) or np.isinf(values).any():
        raise ValueError(
            "values hold nothing to count, or an infinity: expected finite numbers, and NaN where one is missing"
        )
    if np.ndim(bins) == 0:
        check_count("bins", bins)
    elif not (np.diff(_array("bins", bins, "B + 1")) >= 0).all():
        raise ValueError("bins are not in order: expected edges that rise")
    num_bins = bins if np.ndim(bins) == 0 else len(bins) - 1
    if not 1 <= num_bins <= MOST_BINS:
        raise ValueError(f"bins are {num_bins}: expected 1 to {MOST_BINS}")
    return values


def _bars_of(ax, values, bins):
    return ax.hist(values, bins=bins, color=DATA, alpha=0.55, edgecolor="white")[1]


def _expected(density, edges, count):
    """Where, and how many of `count` a bin there would hold under this density."""
    x = np.linspace(edges[0], edges[-1], 300)[:-1]
    width = np.diff(edges)[np.searchsorted(edges, x, side="right") - 1]
    return x, np.broadcast_to(density(x), x.shape) * count * width


def _shades(colour):
    """A map of colours from white to this one."""
    return LinearSegmentedColormap.from_list("shades", ["white", colour])


def _name(ax, text, place, shift, colour, ha="center"):
    """A name beside the thing it names, in its colour; the shift is in points."""
    halo = [withStroke(linewidth=3, foreground="white", alpha=0.8)]
    ax.annotate(text, place, shift, textcoords="offset points", color=colour, ha=ha, path_effects=halo, zorder=5)


def _array(name, values, *shape):
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


def _arrays(name, many, *shape):
    if not np.iterable(many):
        raise ValueError(f"{name}: got {type(many).__name__}, expected a list of arrays")
    return [_array(f"{name}[{i}]", values, *shape) for i, values in enumerate(many)]


def _one_each(name, names, things):
    count = len(names) if hasattr(names, "__len__") else type(names).__name__
    if count != len(things):
        raise ValueError(f"{name}: got {count}, expected {len(things)}, one for each")
    return names


def _ellipse(mean, scale_tril, share=0.95):
    """(2, 200) points on the ellipse that holds `share` of the Gaussian (mean (2,), scale_tril (2, 2) or (2,))."""
    mean, scale_tril = (
        _array("mean", mean, 2),
        _array("scale_tril", scale_tril, *[2] * (1 if np.ndim(scale_tril) == 1 else 2)),
    )
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.sqrt(-2 * np.log(1 - share)) * np.stack([np.cos(angle), np.sin(angle)])
    factor = np.diag(scale_tril) if scale_tril.ndim == 1 else scale_tril
    return mean[:, None] + factor @ circle


def _finish(ax, xlabel, ylabel, mark, mark_label):
    if mark is not None:
        ax.axvline(mark, label=mark_label, **MARK)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
