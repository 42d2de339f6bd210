"""Figures of the chapters. Each function takes arrays and returns the figure; colours and sizes are in matplotlibrc."""

import matplotlib.pyplot as plt
import numpy as np

MARK = {"color": "C3", "linestyle": "--", "linewidth": 1.5}


def curve(x, y, *, xlabel, ylabel, mark=None, mark_label=None, marker=None, dots=None, dots_label=None):
    """A line through (x, y), both (M,), with a dashed vertical line at `mark` and points at `dots`, a pair (xs, ys)."""
    fig, ax = plt.subplots()
    ax.plot(x, y, marker=marker)
    if dots is not None:
        ax.plot(*dots, "o", color="C3", markersize=5, label=dots_label)
    _finish(ax, xlabel, ylabel, mark, mark_label)
    return fig


def histogram(values, *, bins, xlabel, curve=None, mark=None, mark_label=None):
    """Counts of `values` (N,) in `bins`, with the density `curve` (a function) on top, in counts to expect."""
    fig, ax = plt.subplots()
    ax.hist(values, bins=bins, color="C4", edgecolor="white")
    if curve is not None:
        x = np.linspace(bins[0], bins[-1], 300)
        ax.plot(x, curve(x) * len(values) * (bins[1] - bins[0]), color="black", label="fitted density")
    _finish(ax, xlabel, "count", mark, mark_label)
    return fig


def scatter_panels(panels, titles, *, xlabel, ylabel):
    """Point sets (N, 2) side by side, on the same axes."""
    fig, axes = plt.subplots(1, len(panels), sharex=True, sharey=True, figsize=(2.6 * len(panels) + 0.6, 3))
    for i, (ax, points, title) in enumerate(zip(axes, panels, titles, strict=True)):
        ax.scatter(points[:, 0], points[:, 1], s=9, alpha=0.6, color=f"C{i}", linewidths=0)
        ax.set(title=title, xlabel=xlabel)
    axes[0].set_ylabel(ylabel)
    return fig


def gaussians(points, weight, params, labels, *, xlabel, ylabel, weight_label):
    """Points (N, 2) coloured by `weight` (N,), and ellipses with 95 % of each Gaussian (mean, scale_tril).

    Colours alternate between two; the first two ellipses are solid, the others dotted.
    """
    fig, ax = plt.subplots()
    dots = ax.scatter(points[:, 0], points[:, 1], c=weight, s=14, vmin=0, vmax=1, edgecolors="0.3", linewidths=0.3)
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.sqrt(-2 * np.log(0.05)) * np.stack([np.cos(angle), np.sin(angle)])  # 95 % of N(0, I) in the plane
    for i, ((mean, scale_tril), label) in enumerate(zip(params, labels, strict=True)):
        ellipse = np.asarray(mean)[:, None] + np.asarray(scale_tril) @ circle
        ax.plot(*ellipse, color=f"C{3 - 3 * (i % 2)}", linestyle="-" if i < 2 else ":", label=label)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    fig.colorbar(dots, label=weight_label)
    return fig


def images(pictures, *, num_columns):
    """Grey images (N, H, W) in a grid, 0 black to 1 white."""
    num_rows = -(-len(pictures) // num_columns)
    fig, axes = plt.subplots(num_rows, num_columns, figsize=(0.55 * num_columns, 0.6 * num_rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, picture in zip(axes.flat, pictures, strict=False):
        ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    return fig


def _finish(ax, xlabel, ylabel, mark, mark_label):
    if mark is not None:
        ax.axvline(mark, label=mark_label, **MARK)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
