"""Figures of chapter 4: what was drawn is what was passed in."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import words

from vaejax.book import data, plot


def offsets(collection):
    return np.asarray(collection.get_offsets())


def test_every_item_of_the_questionnaire_has_its_words():
    assert tuple(plot.ITEMS) == data.load("bfi").items and len(set(plot.ITEMS.values())) == 25


def test_the_plate_names_what_is_hidden_seen_and_shared():
    (ax,) = plot.factor_plate("7 people", "3 items").axes
    assert {"$z_n$", "$x_{nd}$", "$W_d$", "$b_d$", r"$\psi_d$", "hidden", "seen", "7 people", "3 items"} == set(
        words(ax)
    )


def test_blocks_show_every_number_with_zero_in_the_middle():
    values = np.array([[1, 0.5, 0, 0], [0.5, 1, 0, 0.2], [0, 0, 1, -0.7], [0, 0.2, -0.7, 1]])
    ax = plot.blocks(values, ["a", "b"], title="t").axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), values)
    assert ax.images[0].get_clim() == (-0.7, 0.7)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]
    np.testing.assert_array_equal(ax.get_xticks(), [0.5, 2.5])
    assert {line.get_xdata()[0] for line in ax.lines[::2]} == {1.5}


def test_told_joins_each_point_to_its_place_and_holds_95_percent():
    rng, root = np.random.default_rng(0), np.array([[2.0, 0], [1, 0.5]])
    points = rng.standard_normal((4000, 2)) @ root.T
    feet = points[:, :1] * [1, 0.5]
    ax = plot.told(points, feet, root @ root.T, title="t").axes[0]
    lines = [line.get_xydata() for line in ax.lines]
    np.testing.assert_array_equal(lines[1], [points[0], feet[0]])
    np.testing.assert_array_equal(offsets(ax.collections[0]), points)
    way = lines[0][1] - lines[0][0]
    assert abs(way[0] - 2 * way[1]) < 1e-9  # along the line of the feet
    for outline, share in zip(lines[-2:], (0.5, 0.95), strict=True):
        inside = mpl.path.Path(outline).contains_points(points).mean()
        assert abs(inside - share) < 6 * np.sqrt(share * (1 - share) / 4000)
    assert words(ax) == ["50 %", "95 %", "b + W z"] and ax.get_aspect() == 1


def test_places_mark_foot_touch_and_posterior_where_bayes_puts_them():
    point, direction, psi = np.array([1.0, 3.0]), np.array([2.0, 1.0]), np.array([0.1, 2.0])
    above, even, below, _ = plot.places(point, direction, [psi, [0.5, 0.5]], ["a", "b"]).axes[:4][::1]
    z = np.linspace(-4, 4, 80_001)
    log_lik = -0.5 * ((point - z[:, None] * direction) ** 2 / psi).sum(1)
    posterior = np.exp(log_lik - z**2 / 2)
    mean = (posterior * z).sum() / posterior.sum()
    marks = {line.get_marker(): line.get_xydata()[0] for line in above.lines if len(line.get_xydata()) == 1}
    np.testing.assert_allclose(marks["s"], direction, atol=1e-9)  # the foot is at z = 1
    np.testing.assert_allclose(marks["D"], z[log_lik.argmax()] * direction, atol=1e-3)
    dots = [line.get_xydata()[0] for line in above.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [point, mean * direction], atol=1e-3)
    ring = above.lines[1].get_xydata()
    along = ring @ np.array([1, -2])  # zero on the line: the ring touches it and does not cross
    assert abs(along.max()) < 0.01 and along.min() < -1
    prior, likelihood, green = (line.get_ydata() for line in below.lines)
    grid = below.lines[0].get_xdata()
    np.testing.assert_allclose(np.trapezoid([likelihood, green], grid), 1, atol=1e-3)
    product = prior * likelihood
    np.testing.assert_allclose(product / np.trapezoid(product, grid), green, atol=1e-6)
    assert "foot = touch" in words(even) and "touch" in words(above)


def test_loadings_stand_beside_their_items_and_what_they_share():
    tables = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 5, 2))
    first, second, bars = plot.loadings(tables, ["a", "b"], list("vwxyz"), "PQ", np.linspace(0, 1, 5)).axes
    for ax, table in zip((first, second), tables, strict=True):
        np.testing.assert_array_equal(ax.images[0].get_array(), table)
        assert ax.images[0].get_clim() == (-0.9, 0.9)
        assert len(ax.texts) == (np.abs(table) >= 0.3).sum()
    assert [label.get_text() for label in first.get_yticklabels()] == list("vwxyz")
    assert [label.get_text() for label in second.get_xticklabels()] == ["P", "Q"]
    widths = np.array([bar.get_width() for bar in bars.patches])
    np.testing.assert_allclose(widths[:5], np.linspace(0, 1, 5))
    np.testing.assert_allclose(widths[:5] + widths[5:], 1)


def test_held_out_shows_the_mean_and_reaches_from_the_lowest_to_the_highest():
    table = np.array([[1.0, 3, 2], [2, 5, 3]])
    options = {"xlabel": "x", "ylabel": "y", "title": "t"}
    ax = plot.held_out([1, 2, 4], [table, table - 1], ["a", "b"], [[0, 1.0]], ["level"], **options).axes[0]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.5, 4, 2.5])
    segments = ax.collections[0].get_segments()
    np.testing.assert_allclose([segment[:, 1] for segment in segments], table.T)
    assert words(ax) == ["a", "b", "level"]
    assert 0.5 in {line.get_ydata()[0] for line in ax.lines if len(line.get_ydata()) == 2}


def test_a_filled_in_answer_has_its_interval_and_the_truth():
    hidden = np.array([False, True, True])
    guess, half, truth = np.array([0, 2.0, 4]), np.array([0, 1.0, 2]), np.array([3.0, 2, 6])
    ax = plot.filled_in(["p", "q", "r"], guess, half, truth, hidden, title="t").axes[0]
    kept, bars, crosses = ax.collections
    np.testing.assert_array_equal(offsets(kept), [[3, 0]])
    np.testing.assert_array_equal(offsets(crosses), [[2, 1], [6, 2]])
    np.testing.assert_allclose([segment[:, 0] for segment in bars.get_segments()], [[1, 3], [2, 6]])
    assert ax.yaxis_inverted() and [label.get_text() for label in ax.get_yticklabels()] == ["p", "q", "r"]


def test_pixel_maps_keep_zero_white_where_they_have_a_sign():
    maps = np.array([[[0, 1.0]], [[-2, np.nan]]])
    plain, both = plot.pixel_maps(maps, ["a", "b"], [False, True], title="t").axes
    assert plain.images[0].get_clim() == (0, 1) and both.images[0].get_clim() == (-2, 2)
    assert np.isnan(np.ma.filled(both.images[0].get_array(), np.nan)[0, 1])
    assert plain.get_title() == "a"


def test_beads_draw_one_ellipse_and_many():
    pair = (np.zeros(2), np.eye(2))
    left, right = plot.beads(np.ones((3, 2)), np.eye(2), pair, iter([pair] * 4), ["a", "b"]).axes
    assert len(left.lines) == 2 and len(right.lines) == 4
    np.testing.assert_array_equal(left.lines[1].get_xydata(), np.eye(2))
    np.testing.assert_array_equal(offsets(right.collections[0]), np.ones((3, 2)))


AXES = {"xlabel": "", "ylabel": "", "title": ""}
two, pair = np.zeros((3, 2)), (np.zeros(2), np.eye(2))
REFUSED = {
    "blocks: groups that do not divide": lambda: plot.blocks(np.eye(5), ["a", "b"], title="t"),
    "blocks: no square": lambda: plot.blocks(np.ones((2, 3)), ["a"], title="t"),
    "told: a place too few": lambda: plot.told(two, two[:2], np.eye(2), title="t"),
    "told: no covariance": lambda: plot.told(two, two, -np.eye(2), title="t"),
    "places: noise below zero": lambda: plot.places([1, 1], [1, 0], [[1, -1]], ["a"]),
    "places: a title too many": lambda: plot.places([1, 1], [1, 0], [[1, 1]], ["a", "b"]),
    "loadings: an item too few": lambda: plot.loadings([two], ["a"], ["x"], "PQ", [0, 0, 0]),
    "loadings: tables of two shapes": lambda: plot.loadings([two, two[:2]], ["a", "b"], "xyz", "PQ", [0, 0, 0]),
    "held_out: a name too few": lambda: plot.held_out([1, 2], [np.ones((3, 2))], [], [], [], **AXES),
    "filled_in: nothing hidden": lambda: plot.filled_in(["p"], [1], [1], [1], [0], title="t"),
    "pixel_maps: a sign too few": lambda: plot.pixel_maps(np.ones((2, 1, 1)), ["a", "b"], [True], title="t"),
    "beads: a title too few": lambda: plot.beads(two, np.eye(2), pair, [pair], ["a"]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(case):
    with pytest.raises(ValueError):
        REFUSED[case]()
    assert not plt.get_fignums()
