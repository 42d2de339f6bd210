"""Figures of chapter 4: noise in every direction, places on a line, loadings, answers that are missing."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import Formatter

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.graphs import arrow, canvas, node, plate
from vaejax.book.plot.style import DASHES, DATA, MODEL, POSTERIOR, QUIET, TRUTH, ellipse, name_at, shades

ITEMS = {  # the 25 statements of the questionnaire, from the International Personality Item Pool (public domain)
    "A1": "indifferent to others' feelings", "A2": "inquire about others' well-being",
    "A3": "know how to comfort others", "A4": "love children", "A5": "make people feel at ease",
    "C1": "exacting in my work", "C2": "continue until it is perfect", "C3": "do things by a plan",
    "C4": "do things in a half-way manner", "C5": "waste my time",
    "E1": "don't talk a lot", "E2": "find it hard to approach others", "E3": "know how to captivate people",
    "E4": "make friends easily", "E5": "take charge",
    "N1": "get angry easily", "N2": "get irritated easily", "N3": "frequent mood swings", "N4": "often feel blue",
    "N5": "panic easily",
    "O1": "full of ideas", "O2": "avoid difficult reading", "O3": "lift the conversation",
    "O4": "spend time reflecting", "O5": "won't probe deeply",
}  # fmt: skip


def factor_plate(num_people="$N$ people", num_items="$D$ items"):
    """The linear Gaussian model as a graph: latent factors z and answers x, N times; loadings, mean and noise."""
    fig, ax = canvas(6.9, 2.6)
    node(ax, 1.6, 1.3, "$z_n$")
    node(ax, 3.6, 1.3, "$x_{nd}$", observed=True)
    for y, name in ((1.72, "$W_d$"), (1.3, "$b_d$"), (0.88, r"$\psi_d$")):
        ax.text(5.55, y, name, ha="center", va="center", color=MODEL, fontsize=13)
        arrow(ax, (5.25, y), (3.97, 1.3 + 0.45 * (y - 1.3)))
    arrow(ax, (1.95, 1.3), (3.25, 1.3))
    plate(ax, 0.9, 0.3, 3.55, 2.15, num_people)
    plate(ax, 2.95, 0.62, 3.75, 1.6, num_items)
    ax.text(1.6, 1.78, "hidden", ha="center", color=POSTERIOR, fontsize=9)
    ax.text(3.6, 1.78, "seen", ha="center", color=DATA, fontsize=9)
    return fig


def blocks(values, names, *, title, label="correlation"):
    """A square table of numbers (D, D) as colours, zero white, whose rows come in len(names) groups of equal size."""
    values = checked("values", values, "D", "D")
    values = checked("values", values, *[len(values)] * 2)
    if not len(names) or len(values) % len(names):
        raise ValueError(f"names: got {len(names)}, expected a number of groups that divides {len(values)}")
    size = len(values) // len(names)
    middles = size * np.arange(len(names)) + (size - 1) / 2
    fig, ax = plt.subplots(figsize=(6.4, 5.2))
    limit = np.nanmax(np.abs(values - np.diag(np.diag(values))))
    shown = ax.imshow(values, cmap="PuOr", vmin=-limit, vmax=limit)
    for edge in size * np.arange(1, len(names)) - 0.5:
        ax.axvline(edge, color="white", linewidth=2.5)
        ax.axhline(edge, color="white", linewidth=2.5)
    ax.set_xticks(middles, names, rotation=20, ha="right", rotation_mode="anchor")
    ax.set_yticks(middles, names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    fig.colorbar(shown, label=label, shrink=0.85, extend="max")
    ax.set_title(title, loc="left")
    return fig


def told(points, places, cov, *, title):
    """Points (N, 2) and the places (N, 2) on a line where their story began, each joined to its point; around the
    middle ellipses with 50 and 95 % of the Gaussian with this covariance (2, 2). To scale."""
    points, places = checked("points", points, "N", 2), checked("places", places, len(points), 2)
    scale_tril = np.linalg.cholesky(checked("cov", cov, 2, 2))
    fig, ax = plt.subplots(figsize=(7.2, 4.4))
    far = places[np.abs(places).sum(1).argmax()] * 1.35
    ax.plot(*np.stack([-far, far], 1), color=MODEL, linewidth=2, zorder=2)
    ax.plot(*np.stack([points, places], 1).transpose(2, 1, 0), color=QUIET, linewidth=1, zorder=1)
    for share, style in ((0.5, "--"), (0.95, "-")):
        outline = ellipse(np.zeros(2), scale_tril, share)
        ax.plot(*outline, color=MODEL, linestyle=style, linewidth=1.2)
        top = outline[1].argmax()
        name_at(ax, f"{100 * share:.0f} %", outline[:, top], (-8, 4), MODEL, ha="right")
    ax.scatter(*points.T, s=16, color=DATA, linewidths=0, zorder=3)
    ax.scatter(*places.T, s=9, color=MODEL, linewidths=0, zorder=3)
    end = far if far[0] > 0 else -far
    name_at(ax, "b + W z", end, (0, 6), MODEL)
    ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    ax.set_title(title, loc="left")
    return fig


def places(point, direction, psis, titles):
    """Where on the line z * direction (2,) a point (2,) came from, a column for each pair of noise variances (2,).

    Above, to scale: the smallest ellipse of noise around the point that touches the line, the foot, and the posterior
    with its 95 %. Below: prior, likelihood, which is scaled to a density, and posterior along the line.
    """
    point, direction = checked("point", point, 2), checked("direction", direction, 2)
    psis = checked_each("psis", psis, 2)
    one_each("titles", titles, psis)
    if not all((psi > 0).all() for psi in psis):
        raise ValueError(f"psis are {psis}: expected variances above 0")
    fig, axes = plt.subplots(2, len(psis), figsize=(8.2, 7), height_ratios=[2, 1], squeeze=False)
    foot = direction @ point / (direction @ direction)
    z = np.linspace(-2.6, 2.6, 521)
    for (above, below), psi, title in zip(axes.T, psis, titles, strict=True):
        precision = direction @ (direction / psi)
        touch = direction @ (point / psi) / precision
        mean, sd = touch * precision / (1 + precision), (1 + precision) ** -0.5
        above.plot(*np.outer(direction, [-0.5, 1.75]), color=MODEL, linewidth=1.8, zorder=1)
        reach = np.sqrt((((point - touch * direction) ** 2) / psi).sum())
        angle = np.linspace(0, 2 * np.pi, 200)
        ring = point[:, None] + reach * np.sqrt(psi)[:, None] * np.stack([np.cos(angle), np.sin(angle)])
        above.plot(*ring, color=DATA, linestyle="--", linewidth=1.3)
        above.plot(*np.stack([point, foot * direction], 1), color=QUIET, linewidth=1.3, zorder=0)
        interval = np.outer(direction, [mean - 1.96 * sd, mean + 1.96 * sd])
        above.plot(*interval, color=POSTERIOR, linewidth=7, alpha=0.35, solid_capstyle="round", zorder=2)
        marks = [(point, "o", DATA, "x", (8, 4), "left"), (foot * direction, "s", QUIET, "foot", (10, 2), "left"),
                 (touch * direction, "D", TRUTH, "touch", (2, -15), "left"),
                 (mean * direction, "o", POSTERIOR, "posterior mean", (8, -26), "left"), (np.zeros(2), "+", TRUTH, "b",
                                                                             (-4, 5), "right")]  # fmt: skip
        same = np.abs(foot - touch) < 1e-6
        for place, marker, colour, name, shift, side in marks:
            if same and name == "touch":
                continue
            if same and name == "foot":
                marker, colour, name = "D", TRUTH, "foot = touch"
            above.plot(*place, marker, color=colour, markersize=7, zorder=4)
            name_at(above, name, place, shift, TRUTH if colour == QUIET else colour, ha=side)
        above.set(aspect="equal", xlim=(-2.1, 4.1), ylim=(-1.1, 5.7), xlabel="$x_1$", ylabel="$x_2$")
        above.set_title(title, loc="left")
        curves = [(0, 1, MODEL, "--", "prior"), (touch, precision**-0.5, DATA, ":", "likelihood"),
                  (mean, sd, POSTERIOR, "-", "posterior")]  # fmt: skip
        for centre, width, colour, style, name in curves:
            density = np.exp(-0.5 * ((z - centre) / width) ** 2) / (width * np.sqrt(2 * np.pi))
            below.plot(z, density, color=colour, linestyle=style, linewidth=2)
            at = np.abs(z - (centre - 1.25 if name == "prior" else centre + (1.1 if name == "likelihood" else -0.9)
                             * width)).argmin()  # fmt: skip
            side = "left" if name == "likelihood" else "right"
            name_at(below, name, (z[at], density[at]), (5 if side == "left" else -5, 2), colour, ha=side)
        below.set(xlabel="z", ylabel="density", xlim=(-2.6, 2.6), ylim=(0, None))
    return fig


def loadings(tables, titles, items, letters, communality):
    """Tables of loadings (D, L) side by side, zero white, the items' words on the left, the names `letters` (L,) under
    the last table, and on the right a bar for the share of each item's variance that is common (D,)."""
    tables = checked_each("tables", tables, "D", "L")
    tables = [checked(f"tables[{i}]", table, *tables[0].shape) for i, table in enumerate(tables)]
    one_each("titles", titles, tables)
    one_each("items", items, tables[0])
    one_each("letters", letters, tables[0].T)
    communality = checked("communality", communality, len(items))
    num_items, num_factors = tables[0].shape
    widths = [1.0] * len(tables) + [0.7]
    fig, axes = plt.subplots(1, len(tables) + 1, figsize=(8.2, 7), width_ratios=widths, sharey=True)
    for i, (ax, table, title) in enumerate(zip(axes, tables, titles, strict=False)):
        ax.imshow(table, cmap="PuOr", vmin=-0.9, vmax=0.9, aspect="auto")
        for row, column in zip(*np.nonzero(np.abs(table) >= 0.3), strict=True):
            value = table[row, column]
            ink = "white" if abs(value) > 0.6 else TRUTH
            ax.text(column, row, Formatter.fix_minus(f"{value:.1f}"), ha="center", va="center", fontsize=8, color=ink)
        names = letters if i == len(tables) - 1 else range(1, num_factors + 1)
        ax.set_xticks(range(num_factors), names)
        for edge in np.arange(num_items // 5, num_items, num_items // 5) - 0.5:
            ax.axhline(edge, color=QUIET, linewidth=0.8)
        ax.set_title(title, loc="left", fontsize=11)
        ax.tick_params(length=0)
    axes[0].set_yticks(range(num_items), items, fontsize=8)
    axes[-1].barh(range(num_items), communality, color=MODEL, alpha=0.75, height=0.7)
    axes[-1].barh(range(num_items), 1 - communality, left=communality, color=QUIET, alpha=0.4, height=0.7)
    axes[-1].set(xlim=(0, 1), xlabel="share of the variance")
    axes[-1].set_title("Communality", loc="left", fontsize=11)
    axes[-1].tick_params(axis="y", length=0)
    return fig


def held_out(x, scores, names, levels, level_names, *, xlabel, ylabel, title, ylim=None):
    """Scores (S, K) of S splits for each of `names`, against x (K,): the mean as a line, with bars from the lowest to
    the highest; `levels` are splits (S,) of what has no x, drawn as a band and a dotted line."""
    x = checked("x", x, "K")
    scores = checked_each("scores", scores, "S", len(x))
    levels = checked_each("levels", levels, "S")
    one_each("names", names, scores)
    one_each("level_names", level_names, levels)
    fig, ax = plt.subplots(figsize=(7.4, 4.4))
    for i, (table, name) in enumerate(zip(scores, names, strict=True)):
        mean, side = table.mean(0), 0.08 * (2 * i - 1)
        ax.plot(x + side, mean, color=MODEL, linestyle=DASHES[i % 3], linewidth=1.8)
        reach = np.stack([mean - table.min(0), table.max(0) - mean])
        ax.errorbar(x + side, mean, yerr=reach, fmt="os"[i % 2], color=MODEL, markersize=5, elinewidth=1, capsize=2,
                    fillstyle=["full", "none"][i % 2])  # fmt: skip
        if i == 0:
            top = mean.argmax()
            name_at(ax, name, (x[top], table[:, top].max()), (4, 6), MODEL, ha="left")
        else:
            name_at(ax, name, (x[1] + side, mean[1]), (10, -12), MODEL, ha="left")
    for level, name in zip(levels, level_names, strict=True):
        ax.axhspan(level.min(), level.max(), color=QUIET, alpha=0.3, linewidth=0)
        ax.axhline(level.mean(), color=DATA, linestyle=":", linewidth=1.5)
        name_at(ax, name, (x[-3:-1].mean(), level.mean()), (0, -14), DATA)
    ax.set(xlabel=xlabel, ylabel=ylabel, ylim=ylim, xticks=x)
    ax.set_title(title, loc="left")
    return fig


def filled_in(items, guess, half_width, truth, hidden, *, title):
    """Answers (D,) of one person on a scale of 1 to 6: those that were kept, and of the `hidden` (D,) ones a guess with
    its interval, and the truth."""
    guess = checked("guess", guess, len(items))
    half_width, truth = checked("half_width", half_width, len(items)), checked("truth", truth, len(items))
    hidden = checked("hidden", hidden, len(items)).astype(bool)
    if not hidden.any():
        raise ValueError("hidden holds no True: expected an answer at least that was hidden")
    fig, ax = plt.subplots(figsize=(7.6, 6))
    row = np.arange(len(items))
    ax.scatter(truth[~hidden], row[~hidden], s=22, color=DATA, zorder=3)
    ax.errorbar(guess[hidden], row[hidden], xerr=half_width[hidden], fmt="o", color=POSTERIOR, capsize=4, linewidth=2,
                markersize=6, zorder=3)  # fmt: skip
    ax.scatter(truth[hidden], row[hidden], s=60, marker="x", color=TRUTH, zorder=4)
    ax.set_yticks(row, items, fontsize=8)
    for label, missing in zip(ax.get_yticklabels(), hidden, strict=True):
        label.set_color(POSTERIOR if missing else DATA)
    ax.invert_yaxis()
    if not hidden.all():
        name_at(ax, "kept", (truth[~hidden][0], row[~hidden][0]), (8, -4), DATA, ha="left")
    first = row[hidden][0]
    name_at(ax, "90 % interval", (guess[first], first), (0, 6), POSTERIOR)
    far = row[hidden][np.abs(truth - guess)[hidden].argmax()]
    name_at(ax, "truth", (truth[far], far), (0, 7), TRUTH)
    for low, high in ((-0.2, 1), (6, 7.2)):  # nobody can answer there
        ax.axvspan(low, high, color=QUIET, alpha=0.25, linewidth=0)
    ax.set(xlim=(-0.2, 7.2), xticks=range(1, 7), xlabel="answer: 1 very inaccurate, 6 very accurate")
    ax.set_title(title, loc="left")
    return fig


def pixel_maps(maps, titles, signed, *, title):
    """Images (M, H, W) with NaN where a pixel was dropped: `signed` ones with zero white, the others from white up."""
    maps = checked("maps", maps, "M", "H", "W")
    one_each("titles", titles, maps)
    one_each("signed", signed, maps)
    fig, axes = plt.subplots(1, len(maps), figsize=(8.2, 2.0), squeeze=False)
    limit = max((np.nanmax(np.abs(image)) for image, both in zip(maps, signed, strict=True) if both), default=1)
    for ax, image, name, both in zip(axes[0], maps, titles, signed, strict=True):
        low, colours = (-limit, "PuOr") if both else (np.nanmin(image), shades(DATA))
        ax.imshow(image, cmap=colours, vmin=low, vmax=limit if both else np.nanmax(image))
        ax.set(xticks=[], yticks=[], facecolor="#eeeeee")
        ax.spines[:].set_visible(False)
        ax.set_title(name, fontsize=10, loc="center")
    fig.suptitle(title, x=0.02, ha="left")
    return fig


def beads(points, line, flat, strung, titles):
    """Points (N, 2) twice: with the ends of a line (2, 2) and the 95 % ellipse of one Gaussian (mean, scale_tril); and
    with the ellipses of many, `strung`, a list of such pairs."""
    points, line = checked("points", points, "N", 2), checked("line", line, 2, 2)
    one_each("titles", titles, [flat, strung])
    groups = [[ellipse(*flat)], [ellipse(*each) for each in strung]]
    fig, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True)
    for ax, outlines, title in zip(axes, groups, titles, strict=True):
        ax.scatter(*points.T, s=6, color=DATA, alpha=0.6, linewidths=0)
        for outline in outlines:
            ax.plot(*outline, color=MODEL, linewidth=1.6)
        ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
        ax.set_title(title, loc="left")
        ax.label_outer()
    axes[0].plot(*line.T, color=MODEL, linewidth=1.6, linestyle="--")
    name_at(axes[0], "the factor", line[line[:, 1].argmax()], (0, 5), MODEL)
    return fig
