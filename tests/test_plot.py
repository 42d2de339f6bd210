"""Wrong plots pass nbval, which never compares pictures. So: what was drawn is what was passed in."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vaejax import plot


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_curve_draws_the_points_and_the_mark():
    ax = plot.curve([1, 2, 3], [4, 5, 4], xlabel="x", ylabel="y", mark=2, mark_label="top").axes[0]
    line, mark = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 4], [2, 5], [3, 4]])
    assert set(mark.get_xdata()) == {2} and legend(ax) == ["top"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")


def test_curve_without_labels_has_no_legend():
    assert plot.curve([1, 2], [3, 4], xlabel="x", ylabel="y").axes[0].get_legend() is None


def test_histogram_counts_and_scales_its_curve_to_counts():
    values = np.array([0.5, 0.6, 1.5, 3.5])
    ax = plot.histogram(values, bins=np.arange(5), xlabel="x", curve=lambda x: 0 * x + 0.25).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [2, 1, 0, 1]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1)  # a flat density of 1/4 expects 1 of 4 in each bin


def test_scatter_panels_share_axes_and_keep_order():
    a, b = np.array([[0.0, 1], [2, 3]]), np.array([[10.0, 11]])
    fig = plot.scatter_panels([a, b], ["left", "right"], xlabel="x", ylabel="y")
    for ax, points, title in zip(fig.axes, (a, b), ("left", "right"), strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
        assert ax.get_title() == title
    assert fig.axes[0].get_xlim() == fig.axes[1].get_xlim()


def test_ellipses_hold_95_percent():
    rng = np.random.default_rng(0)
    mean, tril = np.array([1.0, -2]), np.array([[2.0, 0], [1, 0.5]])
    points = mean + rng.standard_normal((20_000, 2)) @ tril.T
    weight = np.linspace(0, 1, len(points))
    labels = {"xlabel": "x", "ylabel": "y", "weight_label": "w"}
    ax = plot.gaussians(points, weight, [(mean, tril)], ["one"], **labels).axes[0]
    edge = ax.lines[0].get_xydata()
    radius = np.linalg.norm(np.linalg.solve(tril, (edge - mean).T), axis=0)
    np.testing.assert_allclose(radius, radius[0])
    inside = np.linalg.norm(np.linalg.solve(tril, (points - mean).T), axis=0) < radius[0]
    assert abs(inside.mean() - 0.95) < 6 * np.sqrt(0.95 * 0.05 / len(points))
    np.testing.assert_array_equal(ax.collections[0].get_array(), weight)
    assert legend(ax) == ["one"]


def test_images_fill_the_grid_in_rows():
    pictures = np.random.default_rng(0).random((5, 4, 4))
    fig = plot.images(pictures, num_columns=3)
    shown = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    np.testing.assert_array_equal(np.array(shown), pictures)
    assert len(fig.axes) == 6
