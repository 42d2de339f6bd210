"""The figures of chapter 5: what was drawn is what was passed in."""

import numpy as np
import pytest
from drawn import words
from matplotlib.colors import to_hex

from vaejax.book import plot


def sheet(z):
    return np.stack([z[:, 0], z[:, 1], z[:, 0] ** 2], 1)


def test_a_plane_and_its_sheet_have_their_densest_points_marked():
    fig = plot.warped(sheet, lambda z: np.exp(-((z[:, 0] - 1) ** 2) - z[:, 1] ** 2), titles=["a", "b"], share=0.5)
    left, right = fig.axes
    rim, top = left.lines
    assert np.allclose(np.linalg.norm(rim.get_xydata(), axis=1), np.sqrt(-2 * np.log(0.5)))
    np.testing.assert_allclose(top.get_xydata(), [[0, 0]], atol=1e-12)
    top, middle = (np.ravel(line.get_data_3d()) for line in right.lines[-2:])
    np.testing.assert_allclose(top, [1, 0, 1], atol=0.05)
    np.testing.assert_allclose(middle, [0, 0, 0], atol=1e-12)  # f(0)
    assert words(left) == ["50 % of p(z)", "densest"]
    assert left.get_title("left") == "a" and right.get_title("left") == "b"
    with pytest.raises(ValueError, match=r"f: got shape \(12321, 2\)"):
        plot.warped(lambda z: z, lambda z: z[:, 0], titles=["a", "b"])


def test_the_graph_of_z_and_x_names_both():
    (ax,) = plot.z_to_x_plate("t").axes
    assert {"$z_n$", "$x_n$", "hidden", "seen", "$N$ examples"} <= set(words(ax))


def test_heat_is_the_root_of_the_density_where_it_is_with_points_and_threads():
    def log_density(x):
        return -0.5 * ((x - [1, 2]) ** 2).sum(1)

    points, thread = np.array([[0.0, 1], [1, 2]]), np.array([[0.0, 0], [1, 1], [2, 3]])
    options = {"threads": [thread] * 2, "cross": [1, 1], "cross_name": "A", "num_cells": 41}
    fig = plot.heats([log_density] * 2, [points] * 2, ["a", "b"], (-1, 3), (0, 4), **options)
    for ax, title in zip(fig.axes, "ab", strict=True):
        image = ax.images[0]
        row, column = np.unravel_index(image.get_array().argmax(), (41, 41))
        assert (row, column) == (20, 20) and image.get_extent() == [-1, 3, 0, 4]
        np.testing.assert_allclose(image.get_array()[20, 30], np.exp(-0.25), rtol=1e-5)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
        np.testing.assert_array_equal(ax.lines[0].get_xydata(), thread)
        assert words(ax) == ["A"] and ax.get_title("left") == title
    assert not plot.heats([log_density], [points], ["a"], (-1, 3), (0, 4), num_cells=9).axes[0].lines
    with pytest.raises(ValueError, match="titles: got 1, expected 2"):
        plot.heats([log_density] * 2, [points] * 2, ["a"], (-1, 3), (0, 4))


def test_growth_is_on_a_log_axis_with_names_at_the_ends():
    ax = plot.growth([1, 2, 3], [[10, 100, 1000], [2, 4, 8]], ["a", "b"], level=50, level_name="l", title="t").axes[0]
    lines, (level,) = ax.lines, ax.collections[0].get_segments()
    np.testing.assert_array_equal(level, [[1, 50], [3, 50]])
    assert ax.get_yscale() == "log" and words(ax) == ["l", "a", "b"]
    np.testing.assert_array_equal(lines[1].get_xydata(), [[1, 2], [2, 4], [3, 8]])
    assert lines[0].get_linestyle() != lines[1].get_linestyle() and ax.texts[1].xy == (3, 1000)


def test_humps_are_filled_and_both_candidates_named_at_their_tops():
    z = np.linspace(-3, 3, 61)
    posterior, picked, straddle = (np.exp(-((z - m) ** 2) / s) for m, s in ((1, 0.1), (1, 0.2), (0, 4)))
    ax = plot.humps(z, posterior, picked, straddle, title="t").axes[0]
    for line, q in zip(ax.lines, (picked, straddle), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), q)
    assert words(ax) == ["posterior", "least KL(q || p)", "least KL(p || q)"]
    np.testing.assert_allclose([text.xy[0] for text in ax.texts[1:]], [1, 0], atol=1e-9)
    assert ax.get_ylim()[1] > 1 and len(ax.collections) == 1


def test_bounds_stand_in_green_under_a_black_log_p_with_dots_on_the_maxima():
    x = np.linspace(0, 2, 21)
    curves = [np.zeros(21), -((x - 1) ** 2) - 1, -((x - 0.5) ** 2) - 2]
    options = {"xlabel": "x", "title": "t", "ylim": (-3, 1)}
    ax = plot.under(x, curves[0], curves[1:], ["a", "b"], [0.2, 1], tops=True, **options).axes[0]
    for line, y in zip(ax.lines[:3], curves, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), y)
    assert [line.get_color() for line in ax.lines[:3]] == [plot.TRUTH, plot.POSTERIOR, plot.POSTERIOR]
    np.testing.assert_allclose([dot.get_xydata()[0] for dot in ax.lines[4:]], [[1, -1], [0.5, -2]])
    assert words(ax) == ["log p(x)", "a", "b", "this bound rises,\nlog p falls"] and ax.texts[1].xy[0] == x[2]
    shaded = ax.patches[0]
    assert (shaded.get_x(), shaded.get_width()) == (0, 0.5)  # from the top of log p to that of the last bound
    bare = plot.under(x, curves[0], curves[1:], "ab", [0, 1], **options).axes[0]
    assert len(bare.lines) == 3 and not bare.patches


def test_a_bending_curve_has_its_band_and_its_beads():
    points = np.random.default_rng(0).standard_normal((50, 2))
    fig = plot.bending(points, [lambda z: np.stack([z, 0 * z], 1)] * 2, [0.5, 0.1], ["a", "b"], title="t", reach=2.5)
    for ax, width in zip(fig.axes, (0.5, 0.1), strict=True):
        thread, beads = ax.lines
        np.testing.assert_allclose(beads.get_xydata(), [[k, 0] for k in range(-2, 3)])
        assert thread.get_xdata()[0] == -2.5
        np.testing.assert_allclose(np.abs(ax.patches[0].get_xy()[:, 1]), 2 * width)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
    with pytest.raises(ValueError, match="widths: got 1, expected 2"):
        plot.bending(points, [lambda z: z] * 2, [1], ["a", "b"], title="t")


def test_a_sheet_of_images_has_each_where_its_z_is():
    def f(z):  # the upper half as bright as z_1 is large, the lower half as z_2
        image = np.zeros((len(z), 4, 4))
        image[:, :2], image[:, 2:] = (z[:, :1, None] + 2) / 4, (z[:, 1:, None] + 2) / 4
        return image

    places = np.array([[0.5, -0.5], [9, 9]])
    fig = plot.sheet_of_images(f, places, np.zeros((3, 4, 4)), title="t", real_name="r", num_images=3, reach=2)
    left, right = fig.axes
    whole = left.images[0].get_array()
    assert whole.shape == (12, 12) and left.images[0].get_extent() == [-3, 3, -3, 3]
    np.testing.assert_allclose(whole[8, [0, 4, 8]], [0, 0.5, 1])  # z_1 to the right
    np.testing.assert_allclose(whole[[11, 7, 3], 0], [0, 0.5, 1])  # z_2 upwards
    np.testing.assert_array_equal(left.lines[0].get_xydata(), places[:1])
    np.testing.assert_allclose([p.radius for p in left.patches], np.sqrt(-2 * np.log([0.5, 0.1])))
    assert right.images[0].get_array().shape == (12, 4) and right.get_title("left") == "r"


def test_estimates_are_counted_and_the_exact_number_is_marked():
    rng = np.random.default_rng(0)
    groups = [rng.standard_normal(1000), 3 * rng.standard_normal(1000)]
    fig = plot.scatter_of_estimates(groups, exact=0.5, names=["a", "b"], title="t", bins=10)
    for ax, name, group in zip(fig.axes, "ab", groups, strict=True):
        edges = [bar.get_x() for bar in ax.patches] + [ax.patches[-1].get_x() + ax.patches[-1].get_width()]
        assert [bar.get_height() for bar in ax.patches] == list(np.histogram(group, edges)[0])
        marks = {line.get_marker(): line.get_xdata()[0] for line in ax.lines}
        assert words(ax)[0] == name and marks == {"^": group.mean(), "None": 0.5}
    assert "exact" in words(fig.axes[0])


def test_a_race_names_four_climbs_and_dots_the_level():
    curves = [np.minimum(0, np.arange(10) * k - 5.0) for k in (4, 3, 2, 1)]
    ax = plot.race(*curves, level=0.0, title="t").axes[0]
    for line, y in zip(ax.lines[:4], curves, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([np.arange(1, 11), y], 1))
    assert words(ax) == [
        "EM", "gradient, step 0.1", "gradient, step 0.03", "bound with all the q", "glass box: z known",
    ]  # fmt: skip
    assert to_hex(ax.lines[3].get_color()) == plot.POSTERIOR and ax.get_xscale() == "log"
    with pytest.raises(ValueError, match=r"slow: got shape \(9,\), expected \(10,\)"):
        plot.race(curves[0], curves[1], curves[2][1:], curves[3], level=0.0, title="t")
