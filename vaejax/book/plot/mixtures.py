"""Figures of chapter 2: mixtures, the bound that touches, and what EM finds."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import Formatter

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.basics import gallery
from vaejax.book.plot.style import BETWEEN, DASHES, KINDS, MODEL, POSTERIOR, TRUTH, ellipse, name_at


def mixtures(points, params, weights, titles, *, xlabel, ylabel, title=None):
    """A panel for each mixture (log_pi, mu, scale_tril): points coloured by a weight (N,), 95 % ellipses.

    A point of weight one has the colour of component 1, a point of weight zero that of component 0.
    """
    points, weights = checked("points", points, "N", 2), checked_each("weights", weights, len(points))
    one_each("weights", weights, params)
    one_each("titles", titles, params)
    for _, mu, scale_tril in params:
        one_each("scale_tril", scale_tril, mu)
    ellipses = [[ellipse(*each) for each in zip(mu, scale_tril, strict=True)] for _, mu, scale_tril in params]
    rows = -(-len(params) // 2)
    fig, axes = plt.subplots(rows, 2, sharex=True, sharey=True, figsize=(6.8, 2.5 * rows + 0.4), squeeze=False)
    for ax in axes.flat[len(params) :]:
        ax.axis("off")
    for ax, those, weight, name in zip(axes.flat, ellipses, weights, titles, strict=False):
        _weighted(ax, points, weight)
        for i, outline in enumerate(those):
            ax.plot(*outline, color=KINDS[i % 2], linestyle=DASHES[i % 2])
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
    y, density = checked("y", y, "M"), checked("density", density, len(y))
    marginal = None if marginal is None else checked("marginal", marginal, len(y))
    ellipses = [ellipse(mean, scale_tril, share) for share in (0.5, 0.8, 0.95)]
    fig, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(6.8, 3.4), width_ratios=[2, 1.2])
    for outline in ellipses:
        left.plot(*outline, color=MODEL, linewidth=1)
    left.axvline(at, color=POSTERIOR, linestyle="--")
    right.plot(density, y, color=POSTERIOR)
    if marginal is not None:
        right.plot(marginal, y, color=MODEL, linestyle="--")
        for values, name, colour, side in ((density, "on the cut", POSTERIOR, 1), (marginal, "marginal", MODEL, -1)):
            place = np.abs(values - 0.5 * values.max() + 9 * (side * (y - y[values.argmax()]) < 0)).argmin()
            right.annotate(name, (values[place], y[place]), (6, 6 * side), textcoords="offset points", color=colour)
    left.set(xlabel=xlabel, ylabel=ylabel)
    right.set(xlabel="density", xlim=(0, None))
    fig.suptitle(title, x=0.01, ha="left") if title else None
    return fig


def dial(r, bound, log_p, best, at, *, xlabel="dial r = q(long)", title="The bound touches at the posterior"):
    """The bound (M,) over the dial r (M,) below the level `log_p`, which it touches at `best`; its gap at r = `at`."""
    r = checked("r", r, "M")
    bound = checked("bound", bound, len(r))
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
    """EM's walk, a panel for each step, magnified: log p (M,) over a parameter x (M,), and below it the bound (M,) that
    was made at this stop of `walk` (T + 1,).

    `heights` (T, 2): of each step, log p where the bound was made, and the bound at its peak, the next stop.
    """
    x = checked("x", x, "M")
    log_p, bounds = checked("log_p", log_p, len(x)), checked_each("bounds", bounds, len(x))
    walk, heights = checked("walk", walk, len(bounds) + 1), checked("heights", heights, len(bounds), 2)
    fig, axes = plt.subplots(1, len(bounds), figsize=(8.2, 3.8), squeeze=False)
    for ax, bound, start, end, (low, high) in zip(axes[0], bounds, walk, walk[1:], heights, strict=False):
        step, rise, again = end - start, high - low, np.interp(end, x, log_p)
        ax.plot(x, log_p, color=TRUTH, linewidth=2.2)
        ax.plot(x, bound, color=MODEL, linewidth=1.8)
        ax.plot(start, low, "o", color=TRUTH, zorder=5)
        ax.plot(end, high, "v", color=MODEL, zorder=5)
        ax.annotate("", (end, again), (end, high), arrowprops={"arrowstyle": "-|>", "color": POSTERIOR, "shrinkA": 0})
        ax.set(xlabel=xlabel, xlim=(start - 0.3 * step, end + step), ylim=(low - 0.3 * rise, again + 0.25 * rise))
        ax.set_title(f"From {start:.1f} to {end:.1f} minutes", loc="left")
        for name, place, shift, colour in (
            ("touch: E-step", (start, low), (8, -12), TRUTH),
            ("peak: M-step", (end, high), (0, -26), MODEL),
            (r"$\log p$", (end + step / 2, np.interp(end + step / 2, x, log_p)), (4, 6), TRUTH),
            ("bound", (end + step / 2, np.interp(end + step / 2, x, bound)), (-6, -14), MODEL),
        ):
            name_at(ax, name, place, shift, colour, ha={"bound": "right", "peak: M-step": "center"}.get(name, "left"))
    axes[0, 0].set_ylabel("nats per eruption")
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def half_steps(log_p, bounds, *, first=0, title="Two half steps, and neither goes down"):
    """log p (T + 1,) before and after each of T steps of EM, and the bound (T,) after the M-step of each.

    The E-step lifts the bound to log p, the M-step lifts both; what opens between them is a KL.
    """
    log_p = checked("log_p", log_p, "T + 1")
    bounds = checked("bounds", bounds, len(log_p) - 1)
    steps = first + np.arange(len(log_p))
    fig, ax = plt.subplots()
    ax.plot(steps, log_p, "o-", color=TRUTH)
    ax.annotate(r"$\log p$", (steps[-1], log_p[-1]), (6, 2), textcoords="offset points", va="center")
    for i, bound in enumerate(bounds):
        ax.plot([first + i, first + i + 1], [log_p[i], bound], "--", color=MODEL)
        ax.plot(first + i + 1, bound, "o", color=MODEL, markersize=4)
        ax.plot([first + i + 1] * 2, [bound, log_p[i + 1]], color=POSTERIOR, linewidth=3)
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
    points, point = checked("points", points, "N", 2), checked("point", point, 2)
    labels = checked("labels", labels, len(points)).astype(int)
    one_each("scale_tril", params.scale_tril, params.mu)
    fig, ax = plt.subplots(figsize=(5.6, 4.2))
    for k, (mean, scale_tril) in enumerate(zip(params.mu, params.scale_tril, strict=True)):
        mean, colour = checked("mean", mean, 2), KINDS[k % 3]
        ax.scatter(*points[labels == k].T, s=10, color=colour, alpha=0.5, linewidths=0, marker="o^s"[k % 3])
        ax.plot(*ellipse(mean, scale_tril), color=colour)
        ax.plot(*np.stack([point, mean]).T, color=TRUTH, linewidth=1, linestyle=":")
        rises = np.prod(mean - point) > 0  # then the room is to the left
        name_at(ax, f"{np.linalg.norm(mean - point):.1f}", (point + mean) / 2, (-3 if rises else 3, 3), TRUTH,
                ha="right" if rises else "left")  # fmt: skip
    ax.plot(*point, "X", color=TRUTH, markersize=9, markeredgecolor="white")
    ax.annotate(name, point, (7, 5), textcoords="offset points", fontsize=12)
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    ax.set_title(title, loc="left")
    return fig


def territories(points, shares, means, titles, *, xlabel, ylabel,
                title="A straight border, and one that fits the clouds"):  # fmt: skip
    """A panel for each of `shares`, functions (N, 2) -> (N,): the share of component 1 at every place, as a colour;
    points (N, 2) in the colour of theirs, in a ring where the panels disagree; the border between the components, and
    their means (K, 2)."""
    points = checked("points", points, "N", 2)
    means = checked_each("means", means, "K", 2)
    one_each("means", means, shares)
    one_each("titles", titles, shares)
    sides = np.array([np.asarray(share(points)) > 0.5 for share in shares])
    torn = points[sides.any(0) & ~sides.all(0)]
    margin = 0.05 * np.ptp(points, axis=0)
    x, y = np.linspace(points.min(0) - margin, points.max(0) + margin, 120).T
    plane = np.stack(np.meshgrid(x, y), 2)
    size = (3.4 * len(shares), 3.5)
    fig, axes = plt.subplots(1, len(shares), sharex=True, sharey=True, figsize=size, squeeze=False)
    for ax, share, mean, name in zip(axes[0], shares, means, titles, strict=True):
        everywhere = np.asarray(share(plane.reshape(-1, 2)), float).reshape(len(y), len(x))
        ax.pcolormesh(x, y, everywhere, cmap=BETWEEN, vmin=0, vmax=1, alpha=0.25, linewidth=0, rasterized=True)
        _weighted(ax, points, share(points))
        ax.scatter(*torn.T, s=60, facecolors="none", edgecolors=TRUTH, linewidths=1)
        ax.contour(x, y, everywhere, levels=[0.5], colors=TRUTH, linestyles="--", linewidths=1)
        ax.plot(*mean.T, "X", color=TRUTH, markersize=9, markeredgecolor="white", linestyle="")
        ax.set(title=name, xlabel=xlabel)
    axes[0, 0].set_ylabel(ylabel)
    fig.suptitle(title, x=0.01, ha="left")
    return fig


def kinds(pictures, weights, *, num_columns=10, title="The kinds that EM found, by weight"):
    """Grey images (K, H, W) in a grid, the heaviest first, each with its weight (K,) above it in percent."""
    pictures = checked("pictures", pictures, "K", "H", "W")
    weights = checked("weights", weights, len(pictures))
    order = np.argsort(-weights).reshape(-1, num_columns)
    return gallery(pictures[order], [[f"{100 * weights[k]:.1f} %" for k in row] for row in order], title=title)


def starts(runs, plateau):
    """Log likelihood over EM steps of many starts (R, T), and the level of one Gaussian, at which some of them wait."""
    runs = checked("runs", runs, "R", "T")
    fig, ax = plt.subplots()
    ax.plot(runs.T, color=MODEL, linewidth=1, alpha=0.6)
    ax.axhline(plateau, color=TRUTH, linestyle=":")
    there = int((runs[:, -1] > (plateau + runs.max()) / 2).sum())
    name_at(ax, "one Gaussian", (0.25 * runs.shape[1], plateau), (0, -14), TRUTH)
    for name, height in ((f"{there} of {len(runs)} have arrived", runs.max()),
                         (f"{len(runs) - there} still wait", plateau)):  # fmt: skip
        name_at(ax, name, (runs.shape[1] - 1, height), (0, 7), MODEL, ha="right")
    low, high = plateau - 0.1, runs.max() + 0.08
    ax.set(xlabel="EM step", ylabel="nats per eruption", ylim=(low, high))
    ax.set_title("All rise, some after a long wait", loc="left")
    return fig


def noisy(steady, jagged):
    """Log likelihood (T,) over the steps of exact EM, and of several runs (R, T) of stochastic EM, from step 2 on."""
    jagged = checked("jagged", jagged, "R", "T")
    steady = checked("steady", steady, jagged.shape[1])
    steps = np.arange(2, len(steady) + 1)
    fig, ax = plt.subplots()
    ax.plot(steps, jagged[:, 1:].T, color=MODEL, linewidth=0.8, alpha=0.8)
    ax.plot(steps, steady[1:], color=POSTERIOR, linewidth=2.2)
    middle = (steady[1:].max() + steady[1:].min()) / 2
    for values, name, colour, side in ((steady, "every label ", POSTERIOR, "left"), (jagged[0], "one label ", MODEL,
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
    halves = checked("halves", halves, "R", "D")
    phis = checked("phis", phis, len(halves), len(names), "M")
    bounds, log_p = checked("bounds", bounds, *phis.shape[:2]), checked("log_p", log_p, len(halves))
    side = int(np.sqrt(halves.shape[1]))
    pictures = np.repeat(halves[:, None], len(names) + 1, 1)
    pictures[:, 1:, : phis.shape[2]] = phis
    minus = Formatter.fix_minus
    titles = [
        [minus(f"log p(x) = {p:.1f}"), *(minus(f"{name}: bound {b:.1f}") for name, b in zip(names, row, strict=True))]
        for p, row in zip(log_p, bounds, strict=True)
    ]
    title = "Only the filling that looks at what is visible comes near log p (nats)"
    fig = gallery(pictures.reshape(len(halves), -1, side, side), titles, title=title, rows=rows, size=1.3)
    for ax in fig.axes:  # what is above the line is covered
        ax.axhline(phis.shape[2] / side - 0.5, color=MODEL)
    return fig


def _weighted(ax, points, weight):
    """Points in the colours between two kinds, by their weight (N,) of the second."""
    ax.scatter(points[:, 0], points[:, 1], c=weight, s=10, vmin=0, vmax=1, cmap=BETWEEN, edgecolors="0.3",
               linewidths=0.2)  # fmt: skip
