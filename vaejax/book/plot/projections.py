"""Figures of chapter 3: shadows on lines and planes, errors, codes."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patheffects import withStroke

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.style import DASHES, DATA, MODEL, POSTERIOR, QUIET, TRUTH, name_at


def shadows(points, shadows, *, xlabel, ylabel, title=None):
    """Points (N, 2), their shadows (N, 2) on a line, and the way from each point to its shadow, to scale."""
    points, shadows = checked("points", points, "N", 2), checked("shadows", shadows, len(points), 2)
    fig, ax = plt.subplots(figsize=(5.4, 4.6))
    ax.plot(*np.stack([points, shadows], 1).transpose(2, 1, 0), color=QUIET, linewidth=0.8, zorder=1)
    ends = shadows[[shadows[:, 0].argmin(), shadows[:, 0].argmax()]]
    ax.plot(*ends.T, color=MODEL, linewidth=2, zorder=2)
    ax.scatter(*shadows.T, s=7, color="white", edgecolors=DATA, linewidths=0.6, zorder=3)
    ax.scatter(points[:, 0], points[:, 1], s=12, color=DATA, linewidths=0, zorder=3)
    ax.set(aspect="equal", xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def lines(points, feet, names, *, chosen, xlabel, ylabel, title):
    """Points (N, 2) and lines, each given by where the points fall on it (N, 2); for the `chosen` points the way there.

    To scale. Lines differ in their dashes and carry their names.
    """
    points, feet = checked("points", points, "N", 2), checked_each("feet", feet, len(points), 2)
    one_each("names", names, feet)
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
        start, lift = 0.3, 0.08  # along the line, and away from it
        place = (low + start - lift * np.sin(np.deg2rad(angle)),
                 y[0] + start / (high - low) * (y[1] - y[0]) + lift * np.cos(np.deg2rad(angle)))  # fmt: skip
        style = {"color": MODEL, "ha": "left", "va": "bottom", "path_effects": halo, "zorder": 5}
        ax.text(*place, name, rotation=angle, rotation_mode="anchor", **style)
    ax.set(aspect="equal", xlim=(low, high), ylim=(low, high), xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def stretch(matrix, axes, names, *, xlabel, ylabel, title):
    """What a symmetric matrix (2, 2) does to directions of length one: arrows from w to C w, and the `axes` (2, K) that
    it only makes longer or shorter, with their names. To scale."""
    matrix, axes = checked("matrix", matrix, 2, 2), checked("axes", axes, 2, "K")
    one_each("names", names, axes.T)
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
        name_at(ax, name, far, (6 * np.sign(far[0]), 6), MODEL, ha="left" if far[0] >= 0 else "right")
    name_at(ax, "w", circle[:, 165], (-8, -12), DATA)
    name_at(ax, "C w", (matrix @ circle)[:, 165], (-12, 8), MODEL)
    far = np.abs(matrix @ circle).max() + 0.25
    ax.set(aspect="equal", xlim=(-far - 0.25, far + 0.25), ylim=(-far, far), xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def space(points, shadows, axes, *, labels, title=None):
    """Points (N, 3), their shadows on the plane of the first two columns of axes (3, 3), and the ellipsoid around 0
    with these columns as half-axes, by its outlines between two of them.

    The third axis stands upright, seen from a little above the plane; arrows in a corner show the three features.
    """
    points, shadows = checked("points", points, "N", 3), checked("shadows", shadows, len(points), 3)
    axes = checked("axes", axes, 3, 3)
    one_each("labels", labels, axes)
    turn, tilt = np.deg2rad([20, 22])
    seen = [
        [np.cos(turn), -np.sin(turn) * np.sin(tilt)],
        [np.sin(turn), np.cos(turn) * np.sin(tilt)],
        [0, np.cos(tilt)],
    ]
    frame = axes / np.linalg.norm(axes, axis=0)
    view = frame @ seen
    fig, ax = plt.subplots(figsize=(7.4, 4.4))
    ax.axis("off")
    sides = np.array([[1, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]]) * 1.1 * np.abs(shadows @ frame).max(0)
    ax.fill(*(sides @ seen).T, color=QUIET, alpha=0.35, linewidth=0)
    ax.plot(*(np.stack([points, shadows]) @ view).transpose(2, 0, 1), color=QUIET, linewidth=0.8, zorder=1)
    ax.scatter(*(shadows @ view).T, s=7, color="white", edgecolors=DATA, linewidths=0.6, zorder=2)
    ax.scatter(*(points @ view).T, s=14, color=DATA, linewidths=0, zorder=2)
    angle = np.linspace(0, 2 * np.pi, 100)
    for i, (x, y) in enumerate(axes.T @ view):
        ring = np.outer(np.cos(angle), axes[:, i]) + np.outer(np.sin(angle), axes[:, i - 1])
        ax.plot(*(ring @ view).T, color=MODEL, linewidth=1, alpha=0.7)
        ax.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": MODEL, "linewidth": 2, "shrinkA": 0})
        name_at(ax, f"{i + 1}", (x, y), (8 * np.sign(x) * (i < 2), 6), MODEL)
        ax.texts[-1].set(fontsize=13, fontweight="bold")
    corner = [ax.dataLim.x0, ax.dataLim.y0 + 0.6]
    for (x, y), label in zip(corner + 0.8 * view, labels, strict=True):
        ax.annotate("", (x, y), corner, arrowprops={"arrowstyle": "->", "color": DATA, "shrinkA": 0})
        name_at(ax, label, (x, y), (0, 5 if y > corner[1] else -11), DATA)
    ax.set_aspect("equal")
    ax.set_title(title, loc="left")
    return fig


def upright(points, directions, names, *, title):
    """Points (N, 3) around 0, seen from a little above, and a line through 0 along each of the directions (K, 3), with
    its name. A grey disc holds most of the points, in the plane of their two wide directions."""
    points, directions = checked("points", points, "N", 3), checked("directions", directions, "K", 3)
    one_each("names", names, directions)
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
        name_at(ax, name, end, (0, 6), MODEL)
    ax.margins(y=0.12)  # room for a name on top
    ax.set_aspect("equal")
    ax.set_title(title, loc="left")
    return fig


def falls(values, factors, names, *, xlabel, ylabel, title):
    """Numbers that shrink, each a row (T,), on a log axis, and dashed how each would with its factor in every step."""
    values, factors = checked_each("values", values, "T"), checked("factors", factors, "K")
    one_each("names", names, values)
    one_each("factors", factors, values)
    fig, ax = plt.subplots()
    for i, (row, factor, name) in enumerate(zip(values, factors, names, strict=True)):
        t = np.arange(len(row))
        ax.semilogy(t, row[-1] * factor ** (t - t[-1]), color=TRUTH, linestyle=DASHES[1], linewidth=1)
        ax.semilogy(t, row, "os"[i % 2], color=MODEL, markersize=6, fillstyle=["full", "none"][i % 2])
        near = 2 * len(t) // 3
        name_at(ax, name, (t[near], row[near]), (8, 6), MODEL, ha="left")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title, loc="left")
    return fig


def scree(variances, *, share, title):
    """Variances (D,) in falling order, on a log axis, and the share of the total that the first ones hold.

    The place where that reaches `share` is marked.
    """
    variances = checked("variances", variances, "D")
    held = np.cumsum(variances) / variances.sum()
    enough = int((held < share).sum()) + 1
    fig, (left, right) = plt.subplots(1, 2, figsize=(8, 3.2))
    shown = variances > variances[0] * 1e-6
    number = np.arange(1, len(variances) + 1)
    left.semilogy(number[shown], variances[shown], color=DATA, linewidth=2)
    right.plot(np.append(0, number), np.append(0, held), color=DATA, linewidth=2)
    right.plot([enough, enough, 0], [0, share, share], color=QUIET, linewidth=1)
    right.plot([enough], [share], "o", color=MODEL)
    name_at(right, f"{enough} directions hold {100 * share:.0f} %", (enough, share), (12, -14), MODEL, ha="left")
    left.set(xlabel="direction", ylabel="variance along it", title="")
    right.set(xlabel="directions kept", ylabel="share of the variance", ylim=(0, 1.02), xlim=(0, None))
    left.set_title(title, loc="left")
    return fig


def signed(directions):
    """Directions (M, D) as greys in which zero is 0.5: for `strips`."""
    directions = checked("directions", directions, "M", "D")
    return 0.5 + 0.5 * directions / np.abs(directions).max(1, keepdims=True)


def error_groups(groups, names, *, mark, mark_name, xlabel, title):
    """How errors (N,) of several groups are spread, a row for each, on a log axis, and which share of each lies above
    the threshold `mark`: the first group is what was fitted."""
    groups = checked_each("groups", groups, "N")
    one_each("names", names, groups)
    edges = np.geomspace(min(group.min() for group in groups), max(group.max() for group in groups) * 1.001, 50)
    size = (7, 1.1 * len(groups) + 0.8)
    fig, axes = plt.subplots(len(groups), 1, sharex=True, sharey=True, figsize=size, squeeze=False)
    for i, (ax, group, name) in enumerate(zip(axes[:, 0], groups, names, strict=True)):
        colour = MODEL if i else DATA
        ax.hist(group, edges, weights=np.full(len(group), 1 / len(group)), color=colour, alpha=0.65, edgecolor="white")
        ax.axvline(mark, color=TRUTH, linestyle=DASHES[1], linewidth=1.2)
        ax.text(0, 0.8, f"{name}: {100 * (group > mark).mean():.1f} % above", transform=ax.transAxes, color=colour)
        ax.set(xscale="log", yticks=[])
        ax.spines["left"].set_visible(False)
    name_at(axes[0, 0], mark_name, (mark, axes[0, 0].get_ylim()[1]), (4, -10), TRUTH, ha="left")
    axes[-1, 0].set_xlabel(xlabel)
    axes[0, 0].set_title(title, loc="left")
    return fig


def autoencoder(picture, copy, sizes, *, title):
    """An autoencoder drawn: an image (H, W), five layers of these `sizes`, the middle one the code, and the copy."""
    picture, copy = checked("picture", picture, "H", "W"), checked("copy", copy, "H", "W")
    one_each("sizes", sizes, range(5))
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
    seen, unseen = checked("seen", seen, "N", 2), checked("unseen", unseen, "M", 2)
    paths = checked_each("paths", paths, "T", 2)
    one_each("titles", titles, paths)
    fig, axes = plt.subplots(1, len(paths), sharex=True, sharey=True, figsize=(3.2 * len(paths), 3.2), squeeze=False)
    for ax, path, title in zip(axes.flat, paths, titles, strict=True):
        ax.scatter(*unseen.T, s=8, color=QUIET, linewidths=0)
        ax.scatter(*seen.T, s=8, color=DATA, linewidths=0)
        ax.plot(*path.T, color=MODEL, linewidth=1.8)
        ax.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$", xlim=(-1.4, 1.4), ylim=(-1.4, 1.4))
        ax.set_title(title, loc="left")
        ax.label_outer()
    if len(unseen):
        name_at(axes[0, 0], "kept back", unseen[unseen[:, 1].argmax()], (0, 6), DATA)
        name_at(axes[0, 0], "seen", seen[seen[:, 1].argmin()], (0, -14), DATA)
    return fig
