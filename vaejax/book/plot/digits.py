"""Figures of chapter 6: where phi stands, where the draw stands, maps of digits, and where the nats are lost."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import Formatter

from vaejax.book.plot.arguments import checked, checked_each, one_each
from vaejax.book.plot.graphs import ARROW, arrow, empty, node, plate
from vaejax.book.plot.style import DATA, MODEL, POSTERIOR, QUIET, TEN, TRUTH, ellipse, name_at


def amortised():
    """Two graphs: an own phi for every example, inside the plate; and one phi for all, outside of it."""
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 2.9))
    for ax, own, title in zip(axes, (True, False), ("Chapter 5: a guess for each", "Here: one guesser"), strict=True):
        empty(ax, 3.8, 2.6)
        left = 0.25 if own else 1.15
        plate(ax, left, 0.2, 2.75 - left, 2.2, "$N$ digits")
        ax.text(3.45, 1.3, r"$\theta$", ha="center", va="center", color=MODEL, fontsize=14)
        at = (0.65, 1.9) if own else (0.55, 1.3)
        ax.text(*at, r"$\phi_n$" if own else r"$\phi$", ha="center", va="center", color=POSTERIOR, fontsize=14)
        node(ax, 1.95, 1.9, "$z_n$", radius=0.28)
        node(ax, 1.95, 0.7, "$x_n$", observed=True, radius=0.28)
        arrow(ax, (2.02, 1.6), (2.02, 1.0), MODEL)
        arrow(ax, (3.25, 1.22), (2.25, 0.8), MODEL)
        dashed = {"linestyle": (0, (3, 2))}
        if own:
            arrow(ax, (0.9, 1.9), (1.65, 1.9), POSTERIOR, **dashed)
        else:
            arrow(ax, (0.75, 1.4), (1.68, 1.82), POSTERIOR, **dashed)
            arrow(ax, (1.72, 0.9), (1.72, 1.7), POSTERIOR, connectionstyle="arc3,rad=-0.35", **dashed)
        ax.set_title(title, loc="left")
    return fig


def reparametrised():
    """The autoencoder drawn twice: with the draw in the gradient's way, and with the noise as an input."""
    fig, axes = plt.subplots(1, 2, figsize=(7.8, 3.3))
    titles = ("The draw is in the way", "The draw is an input")
    for ax, right, title in zip(axes, (False, True), titles, strict=True):
        empty(ax, 1.14, 1)
        ax.set_aspect("auto")
        _box(ax, 0.12, 0.86, "x", 0.12, DATA)
        _box(ax, 0.47, 0.86, "encoder", 0.26, POSTERIOR)
        _box(ax, 0.85, 0.86, r"$\mu,\ s$", 0.17, POSTERIOR)
        _box(ax, 0.85, 0.48, "z", 0.13, POSTERIOR, "-" if right else (0, (3, 2)))
        _box(ax, 0.47, 0.12, "decoder", 0.26, MODEL)
        _box(ax, 0.12, 0.12, "$f(z)$", 0.15, MODEL)
        for start, end in [((0.19, 0.86), (0.33, 0.86)), ((0.61, 0.86), (0.755, 0.86)), ((0.85, 0.78), (0.85, 0.57)),
                           ((0.82, 0.4), (0.61, 0.16)), ((0.33, 0.12), (0.205, 0.12))]:  # fmt: skip
            arrow(ax, start, end)
        if right:
            _box(ax, 0.36, 0.48, r"$\varepsilon \sim \mathcal{N}(0, I)$", 0.36, ARROW)
            arrow(ax, (0.55, 0.48), (0.775, 0.48))
            ax.text(0.82, 0.675, r"$z = \mu + s\,\varepsilon$", ha="right", va="center", color=POSTERIOR)
            back = {"colour": MODEL, "linestyle": (0, (4, 2))}  # decoder, z, mu and s, encoder
            arrow(ax, (0.615, 0.09), (0.9, 0.4), connectionstyle="arc3,rad=0.25", **back)
            arrow(ax, (0.9, 0.56), (0.9, 0.78), **back)
            arrow(ax, (0.755, 0.91), (0.61, 0.91), **back)
            ax.text(0.93, 0.22, "gradient", color=MODEL)
        else:
            ax.plot([0.82, 0.88], [0.64, 0.72], color=MODEL, linewidth=2.2)
            ax.plot([0.82, 0.88], [0.72, 0.64], color=MODEL, linewidth=2.2)
            ax.text(0.79, 0.68, "no gradient\npasses a draw", color=MODEL, ha="right", va="center")
        ax.set_title(title, loc="left")
    return fig


def bound_in_parts(steps, reconstruction, kl, new_steps, new_bound, *, title):
    """The bound during training, steps (T,), as the reconstruction less the KL (T,), the strip between them; and dots,
    the bound (M,) of new examples. The axis of steps is logarithmic."""
    steps = checked("steps", steps, "T")
    reconstruction, kl = checked("reconstruction", reconstruction, len(steps)), checked("kl", kl, len(steps))
    new_steps = checked("new_steps", new_steps, "M")
    new_bound = checked("new_bound", new_bound, len(new_steps))
    bound = reconstruction - kl
    fig, (ax, below) = plt.subplots(2, 1, figsize=(6.8, 4.8), sharex=True, height_ratios=[2.4, 1])
    ax.fill_between(steps, bound, reconstruction, color=POSTERIOR, alpha=0.25, linewidth=0)
    ax.plot(steps, reconstruction, color=DATA, linewidth=1.6)
    ax.plot(steps, bound, color=MODEL, linewidth=1.8)
    ax.plot(new_steps, new_bound, "o", color=MODEL, markersize=5, markerfacecolor="white")
    below.plot(steps, kl, color=POSTERIOR, linewidth=1.6)
    low, high = min(bound[len(bound) // 40 :].min(), new_bound.min()), reconstruction.max()
    ax.set(xscale="log", ylim=(low - 4, high + 6), xlim=(steps[0], steps[-1] * 1.06), ylabel="nats per digit")
    place = np.searchsorted(steps, steps[-1] ** 0.62)
    name_at(ax, "reconstruction", (steps[place], reconstruction[place]), (-4, 10), DATA, ha="right")
    name_at(ax, "bound", (steps[place], bound[place]), (8, -16), MODEL, ha="left")
    name_at(ax, "bound, new digits", (new_steps[-1], new_bound[-1]), (2, -44), MODEL, ha="right")
    name_at(below, "KL to the prior", (steps[place], kl[place]), (8, -20), POSTERIOR, ha="left")
    below.set(ylim=(0, None), xlabel="training step", ylabel="nats")
    ax.set_title(title, loc="left")
    return fig


def maps(panels, labels, titles, *, title):
    """Codes (N, 2) side by side, each drawn as the numeral of its label (N,), on rings that hold 50 and 95 % of the
    prior."""
    panels = checked_each("panels", panels, "N", 2)
    labels = checked("labels", labels, len(panels[0])).astype(int)
    one_each("titles", titles, panels)
    fig, axes = plt.subplots(1, len(panels), figsize=(8.2, 4.7), squeeze=False, sharey=True)
    reach = max(3.6, max(np.abs(points).max() for points in panels) + 0.3)
    for ax, points, name in zip(axes[0], panels, titles, strict=True):
        for share in (0.5, 0.95):
            ax.plot(*ellipse([0, 0], [1, 1], share), color=QUIET, linewidth=1, zorder=0)
        for (x, y), label in zip(points, labels, strict=True):
            look = {"color": TEN[label % 10], "fontsize": 9}
            ax.text(x, y, str(label), ha="center", va="center", clip_on=True, **look)
        ax.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xlabel="$z_1$")
        ax.set_title(name, loc="left", fontsize=10)
    axes[0, 0].set_ylabel("$z_2$")
    fig.suptitle(title, x=0.02, ha="left")
    return fig


def manifold(pictures, places, *, title):
    """Pictures (R, R, H, W) as one sheet, the first row on top: a decoder's, at the `places` (R,) along both axes."""
    pictures, places = checked("pictures", pictures, "R", "R", "H", "W"), checked("places", places, len(pictures))
    R, _, H, W = pictures.shape
    fig, ax = plt.subplots(figsize=(6.6, 6.8))
    sheet = pictures.transpose(0, 2, 1, 3).reshape(R * H, R * W)
    ax.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
    some = np.unique(np.linspace(0, R - 1, 6).round().astype(int))
    names = [Formatter.fix_minus(f"{place:.1f}") for place in places[some]]
    ax.set_xticks(some * W + W / 2, names)
    ax.set_yticks((R - 1 - some) * H + H / 2, names)
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set(xlabel="$z_1$, in equal shares of the prior", ylabel="$z_2$")
    ax.set_title(title, loc="left")
    return fig


def where_lost(pictures, log_posterior, by_encoder, own, names, *, title, num_cells=200):
    """For each of P examples, a picture (H, W) and a panel of the z-plane around two ellipses, (mean, scales) of the
    encoder's q and of the best own one: where half and 95 % of the true posterior lie. `log_posterior` takes the number
    of the example and places (M, 2), and returns (M,) nats, up to a constant."""
    pictures = checked_each("pictures", pictures, "H", "W")
    for name, things in (("by_encoder", by_encoder), ("own", own), ("names", names)):
        one_each(name, things, pictures)
    rings = [(ellipse(*guess), ellipse(*best)) for guess, best in zip(by_encoder, own, strict=True)]
    fig, axes = plt.subplots(1, len(pictures), figsize=(8.2, 3.4), squeeze=False)
    for i, (ax, picture, (guess, best), name) in enumerate(zip(axes[0], pictures, rings, names, strict=True)):
        outline = np.concatenate([guess, best], 1)
        low, high = outline.min(1), outline.max(1)
        side = 1.4 * (high - low).max()
        low = (low + high - side) / 2
        x, y = (low[k] + side * (np.arange(num_cells) + 0.5) / num_cells for k in (0, 1))
        cells = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        log_post = checked("log_posterior", log_posterior(i, cells), len(cells)).reshape(num_cells, num_cells)
        density = np.exp(log_post - log_post.max())
        ranked = np.sort(density.ravel())[::-1]
        levels = [ranked[np.searchsorted(np.cumsum(ranked) / ranked.sum(), share)] for share in (0.95, 0.5)]
        ax.contourf(x, y, density, levels=[*np.maximum(levels, 1e-12), 1.01], colors=["#c9c9c9", "#6f6f6f"])
        ax.plot(*best, color=POSTERIOR, linewidth=1.6)
        ax.plot(*guess, color=POSTERIOR, linewidth=1.6, linestyle=(0, (3, 2)))
        ax.set(aspect="equal", xlim=(low[0], low[0] + side), ylim=(low[1], low[1] + side), xlabel="$z_1$")
        ax.locator_params(nbins=4)
        ax.set_title(name, loc="left", fontsize=10)
        corners = [(0, 0), (0, 0.72), (0.72, 0), (0.72, 0.72)]  # the picture goes where it hides least
        far = [np.linalg.norm((outline.T - low) / side - np.add(c, 0.14), axis=1).min() for c in corners]
        inset = ax.inset_axes([*corners[int(np.argmax(far))], 0.28, 0.28])
        inset.imshow(picture, cmap="gray", vmin=0, vmax=1)
        inset.set(xticks=[], yticks=[])
    axes[0, 0].set_ylabel("$z_2$")
    for ring, name in zip(rings[-1], ("encoder", "best own"), strict=True):
        name_at(axes[0, -1], name, ring[:, ring[1].argmin()], (0, -13), POSTERIOR)
    fig.suptitle(title, x=0.02, ha="left")
    return fig


def sorted_gaps(approximation, amortisation, titles, *, title, floor=1e-3):
    """Gaps of examples, a panel for each pair of (N,) nats, each kind sorted, on a log axis down to `floor`; with the
    median of the whole gap and its mean with a standard error."""
    approximation = checked_each("approximation", approximation, "N")
    amortisation = checked_each("amortisation", amortisation, "N")
    one_each("amortisation", amortisation, approximation)
    one_each("titles", titles, approximation)
    fig, axes = plt.subplots(1, len(titles), figsize=(8.2, 3.7), sharey=True, squeeze=False)
    for ax, shape, guess, name in zip(axes[0], approximation, amortisation, titles, strict=True):
        share = 100 * (np.arange(len(shape)) + 0.5) / len(shape)
        total = shape + guess
        ax.plot(share, np.sort(guess).clip(floor), "o-", color=POSTERIOR, markersize=4, linewidth=1)
        look = {"color": ARROW, "markersize": 4, "markerfacecolor": "white", "linewidth": 1}
        ax.plot(share, np.sort(shape).clip(floor), "o-", **look)
        error = total.std(ddof=1) / np.sqrt(len(total))
        words = f"both: median {np.median(total):.1f},\nmean {total.mean():.1f} ± {error:.1f} nats"
        ax.text(0.03, 0.97, words, transform=ax.transAxes, va="top", color=TRUTH)
        ax.set(yscale="log", ylim=(floor, 300), xlim=(0, 100), xlabel="digits, sorted (%)")
        ax.set_title(name, loc="left", fontsize=10)
        at = int(0.45 * len(share))
        name_at(ax, "amortisation gap", (share[at], np.sort(guess)[at]), (-6, 12), POSTERIOR, ha="center")
        name_at(ax, "approximation gap", (share[at], np.sort(shape)[at]), (14, -24), ARROW, ha="center")
    axes[0, 0].set_ylabel("nats lost")
    fig.suptitle(title, x=0.02, ha="left")
    return fig


def collapse(prices, used, eigenvalues, *, title):
    """How many latents are used (M,) at each price (M,) of the KL, over the number of eigenvalues above the price."""
    prices = checked("prices", prices, "M")
    used, eigenvalues = checked("used", used, len(prices)), checked("eigenvalues", eigenvalues, "D")
    fig, ax = plt.subplots(figsize=(6.4, 3.4))
    x = np.linspace(min(prices) * 0.85, max(prices) * 1.15, 1000)
    most = int(used.max())
    stairs = np.minimum((eigenvalues[:, None] > x).sum(0), most)
    ax.plot(x, stairs, color=TRUTH, linewidth=1.4)
    ax.plot(prices, used, "o", color=MODEL, markersize=8, zorder=3)
    at = len(prices) // 2
    name_at(ax, "latents in use", (prices[at], used[at]), (10, 6), MODEL, ha="left")
    name_at(
        ax,
        f"eigenvalues above the price, at most {most}",
        (x[stairs == stairs[0]][-1], stairs[0]),
        (6, 0),
        TRUTH,
        ha="left",
    )
    ax.set(xlabel=r"price of the KL, $\beta\sigma^2$", ylabel="number", ylim=(0, most + 1.2), xscale="log")
    ticks = [1, 2, 3, 4, 5]
    ax.set_xticks(ticks, map(str, ticks))
    ax.minorticks_off()
    ax.set_title(title, loc="left")
    return fig


def _box(ax, x, y, text, width, colour, linestyle="-"):
    look = {"facecolor": "white", "edgecolor": colour, "linewidth": 1.6, "linestyle": linestyle}
    ax.add_patch(FancyBboxPatch((x - width / 2, y - 0.07), width, 0.14, "round,pad=0.01", **look))
    ax.text(x, y, text, ha="center", va="center", color=colour, fontsize=11)
