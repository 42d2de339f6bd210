"""Figures of appendix B: a latent that moves, in time or into noise."""

import matplotlib.pyplot as plt
import numpy as np

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.graphs import arrow, empty, node
from vaejax.book.plot.style import DASHES, DATA, MODEL, POSTERIOR, QUIET, TRUTH, name_at, shades


def two_walks():
    """Two graphs: a state that moves in time and is seen at each time, and an example that walks into noise."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.2, 2.7))
    for ax in (left, right):
        empty(ax, 4.1, 2.6)
    for i in range(3):
        node(left, 0.6 + 1.2 * i, 1.85, f"$z_{i + 1}$")
        node(left, 0.6 + 1.2 * i, 0.6, f"$x_{i + 1}$", observed=True)
        arrow(left, (0.6 + 1.2 * i, 1.53), (0.6 + 1.2 * i, 0.92))
        arrow(left, (0.92 + 1.2 * i, 1.85), (1.48 + 1.2 * i, 1.85))
    left.text(3.93, 1.85, "...", va="center", color=TRUTH)
    left.text(1.2, 2.28, "transition", ha="center", color=MODEL, fontsize=10)
    left.text(0.7, 1.22, "emission", ha="left", va="center", color=MODEL, fontsize=10)
    left.set_title("Walk in time: a $z$ for each $x$", loc="left")
    for i, name in enumerate(["$x$", "$z_1$", "$z_2$", "$z_M$"]):
        node(right, 0.5 + i + 0.1 * (i == 3), 1.25, name, observed=i == 0)
    bend = {"connectionstyle": "arc3,rad=-0.35"}
    for i in range(3):
        start, end = 0.5 + i, 1.5 + i + 0.1 * (i == 2)
        arrow(right, (start, 1.6), (end, 1.6), POSTERIOR, **bend)
        arrow(right, (end, 0.9), (start, 0.9), MODEL, **bend)
    right.text(3.05, 1.25, "...", ha="center", va="center", color=TRUTH)
    right.text(2.05, 2.1, "$q$ adds noise: fixed", ha="center", color=POSTERIOR, fontsize=10)
    right.text(2.05, 0.25, "$p$ takes it away: learnt", ha="center", color=MODEL, fontsize=10)
    right.set_title("Walk into noise: many $z$ for one $x$", loc="left")
    return fig


def lag(points, guesses, *, name, title):
    """Minutes of an eruption and of the next one, (N, 2), and over them what a model expected of some, (M, 2)."""
    points, guesses = checked("points", points, "N", 2), checked("guesses", guesses, "M", 2)
    fig, ax = plt.subplots(figsize=(6.4, 3.9))
    ax.scatter(*points.T, s=16, color=DATA, alpha=0.65, linewidths=0)
    ax.scatter(*guesses.T, s=14, color=MODEL, marker="D", linewidths=0)
    middle = guesses[np.abs(guesses[:, 0] - points[:, 0].mean()).argmin()]  # where points are few
    name_at(ax, name, middle, (-6, -22), MODEL, ha="right")
    ax.set(xlabel="an eruption (minutes)", ylabel="the next one (minutes)")
    ax.set_title(title, loc="left")
    return fig


def look_and_move(before, moved, look, now):
    """Four bells, each a pair (mean, sd): the belief before and after a move, what a look says, the belief now."""
    pairs = checked_each("the pairs", [before, moved, look, now], 2)
    names = "known before", "after the move", "what the look says", "known now"
    colours, lines = (POSTERIOR, POSTERIOR, DATA, POSTERIOR), (":", "--", "-.", "-")
    x = np.linspace(min(m - 3 * sd for m, sd in pairs), max(m + 3 * sd for m, sd in pairs), 401)
    fig, ax = plt.subplots(figsize=(7, 3.3))
    for (mean, sd), name, colour, line in zip(pairs, names, colours, lines, strict=True):
        height = _bell(x, mean, sd)
        ax.plot(x, height, color=colour, linestyle=line, linewidth=2)
        side = {"known now": 0, "what the look says": 1}.get(name, -1)
        place = mean + side * sd
        name_at(ax, name, (place, _bell(place, mean, sd)), (8 * side, 5), colour, ha=["center", "left", "right"][side])
    ax.fill_between(x, height, color=POSTERIOR, alpha=0.18, linewidth=0)
    ax.set(xlabel="state $z$", yticks=[], ylim=(0, 1.12 * ax.dataLim.ymax), xlim=(x[0], x[-1]))
    ax.spines["left"].set_visible(False)
    ax.set_title("To move widens, to look narrows", loc="left")
    return fig


def ways_back(x, heights, names, seen):
    """What x (K,) may have been before the noise, a panel for each amount of it: a curve (K,) of any height, and dashed
    the Gaussian with its mean and variance; a grey line at what was `seen` after the noise."""
    x = checked("x", x, "K")
    heights = checked_each("heights", heights, len(x))
    one_each("names", names, heights)
    fig, axes = plt.subplots(1, len(heights), figsize=(8.2, 3), sharex=True, squeeze=False)
    for ax, height, name in zip(axes[0], heights, names, strict=True):
        share = height / height.sum()
        mean = share @ x
        bell = _bell(x, mean, np.sqrt(share @ (x - mean) ** 2))
        bell = bell / bell.sum()
        ax.axvline(seen, color=QUIET, linewidth=1.5, zorder=0)
        ax.fill_between(x, share, color=MODEL, alpha=0.2, linewidth=0)
        ax.plot(x, share, color=MODEL, linewidth=2)
        ax.plot(x, bell, color=TRUTH, linestyle="--", linewidth=1.5)
        ax.set(xlabel=f"$x$, given $z_m = {seen:g}$", yticks=[], ylim=(0, 1.2 * max(share)), xlim=(-2.2, 2.2))
        ax.spines["left"].set_visible(False)
        ax.set_title(name, loc="left")
    name_at(axes[0, 0], "way back", (x[heights[0].argmax()], heights[0].max() / heights[0].sum()), (0, 5), MODEL)
    name_at(axes[0, 0], "$z_m$", (seen, axes[0, 0].get_ylim()[1]), (-5, -10), DATA, ha="right")
    ax = axes[0, len(names) // 2]  # where there is room left of it
    bell = ax.lines[2].get_ydata()
    at = (bell > 0.75 * bell.max()).argmax()
    name_at(ax, "Gaussian", (x[at], bell[at]), (-6, 2), TRUTH, ha="right")
    fig.suptitle("Only the way back from a small step is a bell", x=0.01, ha="left")
    return fig


def tracks(truth, seen, guesses, titles):
    """A path (T, 2), noisy looks at it (T, 2), and in a panel for each of `guesses` (T, 2) what was made of them."""
    truth = checked("truth", truth, "T", 2)
    seen, guesses = checked("seen", seen, len(truth), 2), checked_each("guesses", guesses, len(truth), 2)
    one_each("titles", titles, guesses)
    fig, axes = plt.subplots(1, len(guesses), sharex=True, sharey=True, figsize=(4.1 * len(guesses), 3.9),
                             squeeze=False)  # fmt: skip
    for ax, guess, title in zip(axes.flat, guesses, titles, strict=True):
        ax.plot(*truth.T, color=TRUTH, linewidth=1.2)
        ax.scatter(*seen.T, s=16, color=DATA, alpha=0.7, linewidths=0)
        ax.plot(*guess.T, color=POSTERIOR, linewidth=2.2)
        ax.set(aspect="equal", xlabel="east", ylabel="north")
        ax.set_title(title, loc="left")
        ax.label_outer()
    first = axes.flat[0]
    for i, (name, colour) in enumerate([("where it was", TRUTH), ("what was seen", DATA), ("the guess", POSTERIOR)]):
        first.text(0.02, 0.98 - 0.07 * i, name, color=colour, transform=first.transAxes, va="top", fontsize=10)
    return fig


def river(density, reach, paths):
    """Paths (M + 1, N) of numbers from level M at the left to level 0, on the shades of their `density` (M + 1, K).

    The density is that of K places from -reach to reach, in the same order of levels.
    """
    paths = checked("paths", paths, "M", "N")
    density = checked("density", density, len(paths), "K")
    top = len(paths) - 1
    fig, ax = plt.subplots(figsize=(8, 3.8))
    extent = (top + 0.5, -0.5, -reach, reach)
    heights = (density / density.max(1, keepdims=True)).T
    grey = shades(DATA).resampled(24)
    ax.imshow(heights, cmap=grey, vmax=1.6, extent=extent, aspect="auto", origin="lower", interpolation="nearest")
    ax.plot(np.arange(top, -1, -1), paths, color=MODEL, linewidth=0.8, alpha=0.7)
    ax.set(xlabel="level $m$", ylabel="$z_m$", xlim=(top, 0), ylim=(-3, 3))
    ax.set_title("From one bell of noise to the two bumps of the data", loc="left")
    return fig


def falling(steps, lost):
    """Nats lost with each number of steps (M,), by the bound and by log p, on log axes beside a line that halves."""
    steps = checked("steps", steps, "M")
    lost = checked_each("lost", lost, len(steps))
    one_each("lost", lost, ("by the bound", "by log p"))
    fig, ax = plt.subplots(figsize=(7, 3.6))
    for y, name, marker, line in zip(lost, ("by the bound", "by $\\log p$"), "os", DASHES, strict=False):
        ax.loglog(steps, y, color=MODEL, marker=marker, linestyle=line, linewidth=1.8)
        name_at(ax, name, (steps[-1], y[-1]), (8, -4), MODEL, ha="left")
    half = 1.5 * lost[0][-1] * steps[-1] / steps
    ax.loglog(steps, half, color=QUIET, linewidth=1.2)
    name_at(ax, "half for twice the steps", (steps[1], half[1]), (8, 4), DATA, ha="left")
    ax.set(xlabel="steps $M$", ylabel="nats lost per point")
    ax.set_xticks(steps, [f"{value:g}" for value in steps])
    ax.minorticks_off()
    ax.set_xlim(steps[0] * 0.85, steps[-1] * 1.7)
    ax.set_title("Twice the steps: half the loss by the bound, a quarter by $\\log p$", loc="left")
    return fig


def _bell(x, mean, sd):
    return np.exp(-0.5 * ((x - mean) / sd) ** 2) / sd
