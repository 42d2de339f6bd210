"""Figures of chapter 5: bent sheets, exact densities, bounds, and a curve that finds its data."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.graphs import arrow, canvas, node, plate
from vaejax.book.plot.style import DASHES, DATA, MODEL, POSTERIOR, QUIET, TRUTH, name_at, shades


def warped(f, density_there, *, titles, reach=2.2, share=0.9):
    """The plane of z in shades of the standard Gaussian, and beside it the sheet that f made of it, in the shades of
    the density there. On each the densest point is marked, and on the plane the edge of the disc
    that holds this `share` of the Gaussian.

    f: function (M, 2) -> (M, 3); density_there: (M, 2) -> (M,).
    """
    one_each("titles", titles, "ab")
    side = np.linspace(-reach, reach, 111)
    plane = np.stack(np.meshgrid(side, side, indexing="ij"), -1)
    flat = plane.reshape(-1, 2)
    sheet = checked("f", f(flat), len(flat), 3).reshape(*plane.shape[:2], 3)
    there = checked("density_there", density_there(flat), len(flat)).reshape(plane.shape[:2])
    density = np.exp(-0.5 * (plane**2).sum(2))
    angle = np.linspace(0, 2 * np.pi, 200)
    rim = np.sqrt(-2 * np.log(1 - share)) * np.stack([np.cos(angle), np.sin(angle)], 1)
    fig = plt.figure(figsize=(8.2, 3.6))
    left = fig.add_subplot(1, 2, 1)
    right = fig.add_subplot(1, 2, 2, projection="3d", computed_zorder=False, proj_type="ortho")
    left.pcolormesh(side, side, density.T, cmap=shades(MODEL), shading="gouraud", vmin=0)
    left.plot(*rim.T, color=TRUTH, linestyle=":")
    name_at(left, f"{100 * share:.0f} % of p(z)", rim[150], (0, 4), TRUTH)
    colours = shades(MODEL)(0.1 + 0.9 * there / there.max())
    for edge in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        right.plot(*edge.T, color=DATA, linewidth=0.6)
    right.plot_surface(*np.moveaxis(sheet, 2, 0), facecolors=colours, rcount=110, ccount=110, linewidth=0, shade=False)
    top = plane[np.unravel_index(density.argmax(), density.shape)]
    left.plot(*top, "o", color=TRUTH, markersize=5)
    name_at(left, "densest", top, (8, 6), TRUTH, ha="left")
    top = sheet[np.unravel_index(there.argmax(), there.shape)]
    right.plot(*[[place] for place in top], "o", color=TRUTH, markersize=5, zorder=6)
    right.text(*top, "  densest", color=TRUTH, zorder=7)
    middle = sheet[len(side) // 2, len(side) // 2]
    right.plot(*[[place] for place in middle], "o", color=TRUTH, markersize=6, zorder=6, markerfacecolor="white")
    right.text(*middle, "  f(0)", color=TRUTH, zorder=7)
    left.set(xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    low, high = sheet.reshape(-1, 3).min(0), sheet.reshape(-1, 3).max(0)
    right.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    right.set_box_aspect(high - low, zoom=1.15)
    right.view_init(elev=20, azim=-112)
    right.set_axis_off()
    left.set_title(titles[0], loc="left")
    right.set_title(titles[1], loc="left")
    return fig


def z_to_x_plate(title):
    """The graph of the chapter: a latent z and an example x, N times, with the decoder and the noise outside."""
    fig, ax = canvas(6.4, 1.9)
    node(ax, 2.1, 1.0, "$z_n$")
    node(ax, 3.9, 1.0, "$x_n$", observed=True)
    for place, name in ((0.45, r"$\mathcal{N}(0, I)$"), (5.9, r"$f, \sigma$")):
        ax.text(place, 1.0, name, ha="center", va="center", fontsize=13, color=MODEL)
    for start, end in ((0.95, 1.75), (2.45, 3.55), (5.5, 4.25)):
        arrow(ax, (start, 1.0), (end, 1.0))
    plate(ax, 1.4, 0.35, 3.4, 1.4, "$N$ examples")
    ax.text(2.1, 1.44, "hidden", ha="center", color=POSTERIOR, fontsize=9)
    ax.text(3.9, 1.44, "seen", ha="center", color=DATA, fontsize=9)
    ax.set_title(title, loc="left")
    return fig


def heats(log_densities, points, titles, xlim, ylim, *, threads=None, cross=None, cross_name=None, size=2.9,
          num_cells=140):  # fmt: skip
    """Densities of the plane as heat, each with points (N, 2) on it, and with its thread (T, 2) where there are
    `threads`; darkness goes with the root, so that thin places show. A black cross at `cross` (2,).

    log_densities: functions (M, 2) -> (M,), in nats.
    """
    points = checked_each("points", points, "N", 2)
    one_each("points", points, log_densities)
    one_each("titles", titles, log_densities)
    threads = None if threads is None else checked_each("threads", threads, "T", 2)
    if threads is not None:
        one_each("threads", threads, log_densities)
    x, y = np.linspace(*xlim, num_cells), np.linspace(*ylim, num_cells)
    places = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2).astype(np.float32)
    shape = size * (ylim[1] - ylim[0]) / (xlim[1] - xlim[0])
    figsize = (min(size * len(log_densities) + 0.5, 8.4), shape + 0.75)
    fig, axes = plt.subplots(1, len(log_densities), sharex=True, sharey=True, figsize=figsize, squeeze=False)
    for i, (ax, log_density, dots, name) in enumerate(zip(axes[0], log_densities, points, titles, strict=True)):
        nats = checked(f"log_densities[{i}]", log_density(places), len(places)).reshape(num_cells, num_cells)
        ax.imshow(np.exp(0.5 * nats), extent=(*xlim, *ylim), origin="lower", cmap=shades(MODEL), vmin=0,
                  interpolation="bilinear", aspect="equal")  # fmt: skip
        ax.scatter(*dots.T, s=7, color=DATA, alpha=0.75, linewidths=0)
        if threads is not None:
            ax.plot(*threads[i].T, color=TRUTH, linewidth=0.9)
        if cross is not None:
            ax.plot(*cross, "X", color=TRUTH, markersize=9, markeredgecolor="white")
            name_at(ax, cross_name or "", cross, (8, 5), TRUTH, ha="left")
        ax.set_title(name, loc="left")
        ax.set(xlabel="$x_1$", xlim=xlim, ylim=ylim)
    axes[0, 0].set_ylabel("$x_2$")
    return fig


def growth(latents, draws, names, *, level, level_name, title):
    """Numbers of draws on a log axis over the number of latents (M,), a line each, its name at its end."""
    latents, draws = checked("latents", latents, "M"), checked_each("draws", draws, len(latents))
    one_each("names", names, draws)
    fig, ax = plt.subplots(figsize=(6.8, 3.5))
    ax.hlines(level, latents[0], latents[-1], color=QUIET)
    ax.annotate(level_name, (0.01, level), (0, 4), xycoords=("axes fraction", "data"), textcoords="offset points",
                color=DATA)  # fmt: skip
    for i, (y, name) in enumerate(zip(draws, names, strict=True)):
        ax.semilogy(latents, y, color=MODEL, linestyle=DASHES[i % 3], marker="o", markersize=4, linewidth=1.8)
        ax.annotate(name, (latents[-1], y[-1]), (7, 0), textcoords="offset points", color=MODEL, va="center")
    ax.set(xlabel="latents L", ylabel="draws for a 10 % error")
    ax.set_title(title, loc="left")
    return fig


def humps(z, posterior, picked, straddle, *, title, xlim=(-2.3, 2.3)):
    """A posterior density over z (M,), filled, and two densities for q: one on a hump, one over all of them."""
    z = checked("z", z, "M")
    posterior = checked("posterior", posterior, len(z))
    candidates = checked("picked", picked, len(z)), checked("straddle", straddle, len(z))
    fig, ax = plt.subplots(figsize=(6.8, 3.5))
    ax.fill_between(z, posterior, color=POSTERIOR, alpha=0.3, linewidth=0)
    last = np.flatnonzero(posterior > 0.5 * posterior.max())[-1]
    name_at(ax, "posterior", (z[last], posterior[last]), (8, 4), POSTERIOR, ha="left")
    for q, name, style in zip(candidates, ("least KL(q || p)", "least KL(p || q)"), DASHES, strict=False):
        ax.plot(z, q, color=POSTERIOR, linestyle=style, linewidth=1.8)
        at = q.argmax()
        name_at(ax, name, (z[at], q[at]), (9, -4 if style == DASHES[0] else 6), POSTERIOR, ha="left")
    top = max(posterior.max(), candidates[0].max())
    ax.set(xlabel="z", ylabel="density", ylim=(0, 1.1 * top), xlim=xlim)
    ax.set_title(title, loc="left")
    return fig


def under(x, log_p, bounds, names, places, *, xlabel, title, ylim, tops=False):
    """log p (M,) over x (M,) in black, bounds on it in green, each named at its x in `places`. `tops` marks maxima, and
    shades where the last bound still rises while log p falls."""
    x, log_p = checked("x", x, "M"), checked("log_p", log_p, "M")
    bounds = checked_each("bounds", bounds, len(x))
    one_each("log_p", log_p, x)
    one_each("names", names, bounds)
    one_each("places", places, bounds)
    fig, ax = plt.subplots(figsize=(6.8, 3.5))
    ax.plot(x, log_p, color=TRUTH, linewidth=2)
    name_at(ax, "log p(x)", (x[-1], log_p[-1]), (-4, 6), TRUTH, ha="right")
    for i, (bound, name, place) in enumerate(zip(bounds, names, places, strict=True)):
        ax.plot(x, bound, color=POSTERIOR, linestyle=DASHES[i % 3], linewidth=1.8)
        at = np.abs(x - place).argmin()
        name_at(ax, name, (x[at], bound[at]), (6, 5), POSTERIOR, ha="left")
    for line, colour in [(log_p, TRUTH)] + [(bound, POSTERIOR) for bound in bounds] if tops else []:
        ax.plot(x[line.argmax()], line.max(), "o", color=colour, markersize=6, markeredgecolor="white")
    ax.set(xlabel=xlabel, ylabel="nats", ylim=ylim, xlim=(x[0], x[-1]))
    if tops:
        ends = x[log_p.argmax()], x[bounds[-1].argmax()]
        ax.axvspan(*ends, color=QUIET, alpha=0.3, linewidth=0)
        name_at(ax, "this bound rises,\nlog p falls", (np.mean(ends), ylim[0]), (0, 10), TRUTH)
    ax.set_title(title, loc="left")
    return fig


def bending(points, curves, widths, names, *, title, reach=2.6):
    """Points (N, 2) in a row of frames, in each a curve, z in [-reach, reach], with a band of two `widths` to each
    side, and beads on it at the whole numbers z.

    curves: functions (M,) -> (M, 2).
    """
    points = checked("points", points, "N", 2)
    one_each("widths", widths, curves)
    one_each("names", names, curves)
    z, whole = np.linspace(-reach, reach, 200), np.arange(-np.floor(reach), np.floor(reach) + 1)
    fig, axes = plt.subplots(1, len(curves), sharex=True, sharey=True, figsize=(8.2, 2.9), squeeze=False)
    low, high = np.percentile(points, [0.5, 98.5], axis=0) + np.array([[-0.4], [0.4]])
    for ax, curve, width, name in zip(axes[0], curves, widths, names, strict=True):
        thread, beads = (checked("curves", curve(at.astype(np.float32)), len(at), 2) for at in (z, whole))
        step = np.gradient(thread, axis=0)
        across = np.stack([-step[:, 1], step[:, 0]], 1) / np.linalg.norm(step, axis=1, keepdims=True)
        band = np.concatenate([thread + 2 * width * across, (thread - 2 * width * across)[::-1]])
        ax.fill(*band.T, color=MODEL, alpha=0.16, linewidth=0)
        ax.scatter(*points.T, s=5, color=DATA, alpha=0.7, linewidths=0)
        ax.plot(*thread.T, color=MODEL, linewidth=2)
        ax.plot(*beads.T, "o", color=MODEL, markersize=5, markeredgecolor="white")
        ax.set_title(name, loc="left")
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
    fig.suptitle(title, x=0.02, ha="left")
    return fig


def sheet_of_images(f, places, real, *, title, real_name, num_images=9, reach=2.4, shares=(0.5, 0.9)):
    """The images (H, W) that f makes of the z-plane, laid out on it; dashed circles that hold these `shares` of the
    standard Gaussian; dots at `places` (M, 2); beside the plane a column of `real` images (C, H, W).

    f: function (M, 2) -> (M, H, W), 0 black to 1 white.
    """
    places, real = checked("places", places, "M", 2), checked("real", real, "C", "H", "W")
    corners = np.linspace(-reach, reach, num_images)
    z = np.stack(np.meshgrid(corners, corners, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
    pictures = checked("f", f(z), len(z), "H", "W").reshape(num_images, num_images, *real.shape[1:])
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.2, 6), width_ratios=(8, 8 / len(real)))
    edge = reach + reach / (num_images - 1)
    whole = np.concatenate([np.concatenate(column[::-1], 0) for column in pictures], 1)  # z_2 upwards
    left.imshow(whole, cmap="gray", vmin=0, vmax=1, extent=(-edge, edge, -edge, edge))
    for share in shares:
        radius = np.sqrt(-2 * np.log(1 - share))
        left.add_patch(Circle((0, 0), radius, fill=False, color=MODEL, linewidth=1.8, linestyle="--"))
        corner = radius * np.array([0.71, -0.71])
        look = {"textcoords": "offset points", "bbox": {"facecolor": "black", "pad": 1.5, "linewidth": 0}}
        left.annotate(f"{100 * share:.0f} % of p(z)", corner, (0, -9), color=MODEL, ha="left", **look)
    left.plot(*places[(np.abs(places) < edge).all(1)].T, "o", color="#2fd3b0", markersize=5, markeredgecolor="black",
              zorder=5)  # fmt: skip
    left.set(xlabel="$z_1$", ylabel="$z_2$", xlim=(-edge, edge), ylim=(-edge, edge))
    left.set_title(title, loc="left")
    right.imshow(np.concatenate(list(real), 0), cmap="gray", vmin=0, vmax=1)
    right.set_title(real_name, loc="left", color=DATA)
    right.set(xticks=[], yticks=[])
    return fig


def scatter_of_estimates(groups, *, exact, names, title, bins=60):
    """How estimates (M,) of one gradient are spread, a row for each group, a dotted line at the exact number."""
    groups = checked_each("groups", groups, "M")
    one_each("names", names, groups)
    low, high = np.percentile(np.concatenate(groups), [1, 99.9])
    fig, axes = plt.subplots(len(groups), 1, sharex=True, figsize=(6.8, 1.5 * len(groups) + 0.6), squeeze=False)
    for ax, group, name in zip(axes[:, 0], groups, names, strict=True):
        ax.hist(group, np.linspace(low, high, bins + 1), color=POSTERIOR, alpha=0.7)
        ax.axvline(exact, color=TRUTH, linestyle=":", linewidth=1.8)
        ax.text(0.01, 0.8, name, transform=ax.transAxes, color=POSTERIOR)
        ax.plot(group.mean(), 0, "^", color=POSTERIOR, markersize=9, markeredgecolor="white", clip_on=False, zorder=4)
        ax.set(yticks=[], xlim=(low, high))
        ax.spines["left"].set_visible(False)
    name_at(axes[0, 0], "exact", (exact, axes[0, 0].get_ylim()[1]), (-5, -10), TRUTH, ha="right")
    name_at(axes[0, 0], "▲ mean", (low, 0), (4, 12), POSTERIOR, ha="left")
    axes[-1, 0].set_xlabel("gradient in the mean of q, from one draw")
    axes[0, 0].set_title(title, loc="left")
    return fig


def race(em, fast, slow, bound, *, level, title):
    """Climbs (T,) over the step, on a log axis: EM, gradient ascent with two step sizes, and a bound, in green; and
    the `level` of a fit to complete data, dotted. Names stand where a curve is still on its way."""
    em = checked("em", em, "T")
    curves = [em] + [checked(name, y, len(em)) for name, y in (("fast", fast), ("slow", slow), ("bound", bound))]
    fig, ax = plt.subplots(figsize=(6.8, 3.8))
    looks = (
        ("EM", 0.5, (-8, -4), "right"),
        ("gradient, step 0.1", 0.35, (-8, -4), "right"),
        ("gradient, step 0.03", 0.5, (10, -10), "left"),
        ("bound with all the q", 0.95, (8, -10), "left"),
    )
    for i, (y, (name, far, shift, side)) in enumerate(zip(curves, looks, strict=True)):
        colour = POSTERIOR if i == 3 else MODEL
        ax.plot(np.arange(1, len(y) + 1), y, color=colour, linestyle=DASHES[i % 3], linewidth=1.8)
        at = int((y > level - far * (level - em[0])).argmax())
        name_at(ax, name, (at + 1, y[at]), shift, colour, ha=side)
    ax.margins(y=0.1)  # room for the name of the level
    ax.axhline(level, color=TRUTH, linestyle=":")
    name_at(ax, "glass box: z known", (1, level), (0, 5), TRUTH, ha="left")
    ax.set(xscale="log", xlabel="step", ylabel="nats per point")
    ax.set_title(title, loc="left")
    return fig
