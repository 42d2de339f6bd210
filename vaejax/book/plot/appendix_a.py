"""Figures of appendix A: where a label goes, what it is worth, other priors, two levels of latents."""

import matplotlib.pyplot as plt
import numpy as np

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.graphs import arrow, node
from vaejax.book.plot.style import DASHES, MODEL, POSTERIOR, QUIET, TEN, TRUTH, ellipse, name_at, shades

GRAPHS = (  # title, where each node stands, arrows
    ("chapter 6", {"z": (0, 1), "x": (0, 0)}, ["zx"]),
    ("a label beside z", {"z": (-0.5, 1), "y": (0.5, 1), "x": (0, 0)}, ["zx", "yx"]),
    ("a place for each label", {"y": (0, 2), "z": (0, 1), "x": (0, 0)}, ["yz", "zx"]),
    ("a level above", {"z_2": (0, 2), "z_1": (0, 1), "x": (0, 0)}, [("z_2", "z_1"), ("z_1", "x")]),
)


def label_graphs():
    """Four models as graphs: the plain VAE, a label beside z, a label above z, a latent above z. Filled: observed."""
    fig, axes = plt.subplots(1, 4, figsize=(8, 2.7))
    for ax, (title, nodes, arrows) in zip(axes, GRAPHS, strict=True):
        for name, (x, y) in nodes.items():
            node(ax, x, y, f"${name}$", observed=name in ("x", "y"), radius=0.27)
        for start, end in arrows:
            arrow(ax, nodes[start], nodes[end], shrinkA=15, shrinkB=15)
        ax.set(xlim=(-1.15, 1.15), ylim=(-0.35, 2.35), aspect="equal")
        ax.axis("off")
        ax.set_title(title, loc="center")
    return fig


def worths(worth, ceiling, pictures, names, *, ylabel, ceiling_name, title):
    """What something is worth for each example (N,), sorted, below a ceiling; beside it six pictures (6, H, W) of the
    examples for which it is worth least, with their names."""
    worth, pictures = np.sort(checked("worth", worth, "N")), checked("pictures", pictures, 6, "H", "W")
    one_each("names", names, pictures)
    fig = plt.figure(figsize=(8, 3.4))
    grid = fig.add_gridspec(2, 4, width_ratios=[3.6, 1, 1, 1])
    ax = fig.add_subplot(grid[:, 0])
    rank = np.arange(len(worth)) + 1
    ax.axhline(0, color=QUIET, linewidth=1)
    ax.plot(rank[worth < 0], worth[worth < 0], "v", color=MODEL, markersize=4)
    ax.plot(rank[worth >= 0], worth[worth >= 0], "o", color=MODEL, markersize=3)
    ax.axhline(ceiling, color=TRUTH, linestyle=":", linewidth=1.8, zorder=4)  # over what lies on it
    name_at(ax, ceiling_name, (len(worth) / 2, ceiling), (0, 6), TRUTH)
    ax.set_yscale("symlog", linthresh=3)
    ticks = [-1000, -100, -30, -10, -3, 0, np.round(ceiling, 1)]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set(
        xlabel="new digits, in order of worth",
        ylabel=ylabel,
        xlim=(0, len(worth) + 2),
        ylim=(1.5 * min(worth[0], -2), 2.5 * ceiling),
    )
    ax.set_title(title, loc="left")
    for i, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        small = fig.add_subplot(grid[i // 3, 1 + i % 3])
        small.imshow(picture, cmap="gray", vmin=0, vmax=1)
        small.axis("off")
        small.set_title(name, fontsize=9, loc="center")
    return fig


def label_map(points, labels, mean, scale_tril, chosen, *, title):
    """Codes (N, 2), those of the `chosen` labels as numerals, and for each of them a Gaussian (mean (K, 2), scale_tril
    (K, 2, 2)), as an ellipse with half of it. Its label stands on it where there is most room."""
    points, labels = checked("points", points, "N", 2), checked("labels", labels, len(points)).astype(int)
    mean, scale_tril = checked("mean", mean, "K", 2), checked("scale_tril", scale_tril, len(mean), 2, 2)
    rings = {k: ellipse(mean[k], scale_tril[k], 0.5).T for k in chosen}
    fig, ax = plt.subplots(figsize=(7, 5))
    ax.scatter(*points.T, s=4, color=QUIET, linewidths=0, alpha=0.5)
    for (x, y), label in zip(points, labels, strict=True):
        if label in rings:
            look = {"color": TEN[label % 10], "fontsize": 7, "alpha": 0.8}
            ax.text(x, y, str(label), ha="center", va="center", clip_on=True, **look)
    for k, ring in rings.items():
        ax.plot(*ring.T, color=TEN[k % 10], linewidth=2.2, zorder=4)
        others = np.concatenate([mean[[k]]] + [other for j, other in rings.items() if j != k])
        place = ring[np.linalg.norm(ring[:, None] - others, axis=2).min(1).argmax()]
        name_at(ax, str(k), place, (0, -6), TEN[k % 10])
        ax.texts[-1].set(fontsize=18, fontweight="bold")
    low, high = np.percentile(points, [0.5, 99.5], axis=0)
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xlabel="$z_1$", ylabel="$z_2$")
    ax.set_title(title, loc="left")
    return fig


def prior_gains(sizes, gains, names, ceilings, *, title):
    """What priors of these sizes (M,) gain over the first one, a row (M,) for old and for new examples, each with a
    ceiling. Old examples filled, new ones hollow; a ceiling has the dashes of its curve."""
    sizes, gains = checked("sizes", sizes, "M"), checked("gains", gains, 2, "M")
    gains, ceilings = checked("gains", gains, 2, len(sizes)), checked("ceilings", ceilings, 2)
    one_each("names", names, gains)
    fig, ax = plt.subplots(figsize=(7, 3.8))
    for i, (row, name, ceiling) in enumerate(zip(gains, names, ceilings, strict=True)):
        dash, ahead = ["-", "--"][i], row[2] > gains[:, 2].mean()
        ax.plot(sizes, row, dash, color=MODEL, marker="o", fillstyle=["full", "none"][i], linewidth=1.8)
        name_at(ax, name, (sizes[2], row[2]), (-8, 8) if ahead else (10, -12), MODEL, ha="right" if ahead else "left")
        ax.axhline(ceiling, color=TRUTH, linestyle=dash, linewidth=1)
        name_at(ax, f"ceiling, {name}", (sizes[0], ceiling), (0, 4), TRUTH, ha="left")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ax.set_xlim(sizes[0] * 0.93, sizes[-1] * 1.08)
    ax.set(xlabel="components of the prior", ylabel="nats gained over one Gaussian", ylim=(0, 1.12 * ceilings.max()))
    ax.minorticks_off()
    ax.set_title(title, loc="left")
    return fig


def level_above(z_2, z_1, joint, marginal, title):
    """A density (M_1, M_2) of two latents at places z_2 (M_2,) and z_1 (M_1,), and beside it what is left of it when
    the upper one is summed out, (M_1,)."""
    z_2, z_1 = checked("z_2", z_2, "M"), checked("z_1", z_1, "M")
    joint, marginal = checked("joint", joint, len(z_1), len(z_2)), checked("marginal", marginal, len(z_1))
    fig, (left, right) = plt.subplots(1, 2, sharey=True, figsize=(7.4, 3.4), width_ratios=[1.7, 1])
    left.contourf(z_2, z_1, joint, np.linspace(0.02, 1, 13) * joint.max(), cmap=shades(MODEL))
    left.set(**_frame(z_2, z_1, joint))
    right.fill_betweenx(z_1, 0, marginal, color=MODEL, alpha=0.25, linewidth=0)
    right.plot(marginal, z_1, color=MODEL, linewidth=2)
    left.set(xlabel="$z_2$, the level above", ylabel="$z_1$")
    right.set(xlabel="$p(z_1)$", xlim=(0, None))
    left.set_title(title, loc="left")
    return fig


def q_over_posterior(z_2, z_1, posterior, qs, titles):
    """The posterior (M_1, M_2) of two latents in grey, and in a panel each a q (M_1, M_2) in green contours that hold
    30, 60 and 90 % of it."""
    z_2, z_1 = checked("z_2", z_2, "M"), checked("z_1", z_1, "M")
    posterior, qs = checked("posterior", posterior, len(z_1), len(z_2)), checked_each("qs", qs, len(z_1), len(z_2))
    one_each("titles", titles, qs)
    fig, axes = plt.subplots(1, len(qs), sharex=True, sharey=True, figsize=(8.1, 3.1), squeeze=False)
    for ax, q, title in zip(axes[0], qs, titles, strict=True):
        ax.contourf(z_2, z_1, posterior, np.linspace(0.04, 1, 11) * posterior.max(), cmap=shades("#555555"))
        ax.set(**_frame(z_2, z_1, posterior))
        ax.contour(z_2, z_1, q, _heights(q, (0.9, 0.6, 0.3)), colors=POSTERIOR, linewidths=1.6)
        ax.set(xlabel="$z_2$")
        ax.set_title(title, loc="left", fontsize=11)
    axes[0, 0].set_ylabel("$z_1$")
    return fig


def _frame(x, y, density):
    """Limits that hold what is above a thousandth of the highest place."""
    high = density > 1e-3 * density.max()
    across, up = x[high.any(0)], y[high.any(1)]
    return {"xlim": (across[0] - 0.3, across[-1] + 0.3), "ylim": (up[0] - 0.3, up[-1] + 0.3)}


def _heights(density, shares):
    """The heights above which a density on a regular grid holds these shares of itself, in falling order of share."""
    falling = np.sort(density.ravel())[::-1]
    held = np.cumsum(falling) / falling.sum()
    return np.unique([falling[np.searchsorted(held, share)] for share in shares])


def bounds_below(x, log_p, bounds, names, *, log_p_name, title):
    """log p(x) over x, both (M,), and bounds (M,) under it with their names; the gap of the first is shaded."""
    x = checked("x", x, "M")
    log_p, bounds = checked("log_p", log_p, len(x)), checked_each("bounds", bounds, len(x))
    one_each("names", names, bounds)
    fig, ax = plt.subplots(figsize=(7, 3.9))
    ax.fill_between(x, bounds[0], log_p, color=POSTERIOR, alpha=0.15, linewidth=0)
    ax.plot(x, log_p, color=TRUTH, linewidth=2.2)
    name_at(ax, log_p_name, (x[len(x) // 5], log_p[len(x) // 5]), (-6, 8), TRUTH, ha="right")
    for i, (bound, name) in enumerate(zip(bounds, names, strict=True)):
        ax.plot(x, bound, color=POSTERIOR, linestyle=DASHES[i % 3], linewidth=1.8)
        name_at(ax, name, (x[len(x) // 2], bound[len(x) // 2]), (0, -14), POSTERIOR, ha="center")
    ax.set(xlabel="x", ylabel="nats", xlim=(x.min(), x.max()))
    ax.set_title(title, loc="left")
    return fig
