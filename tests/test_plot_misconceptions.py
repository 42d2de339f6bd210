"""The figures of the companion: what was drawn is what was passed in."""

import numpy as np
import pytest
from drawn import words

from vaejax.book import plot


def test_lines_on_logs_are_named_where_they_end_and_the_level_where_it_is():
    labels = {"xlabel": "draws", "ylabel": "size", "title": "t", "colours": [plot.MODEL, plot.POSTERIOR]}
    fig = plot.on_logs([1, 10, 100], [[1, 2, 3], [4, 5, 6]], ["a", "b"], level=2.5, level_name="truth", **labels)
    (ax,) = fig.axes
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 1], [10, 2], [100, 3]])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [4, 5, 6])
    assert set(ax.lines[2].get_ydata()) == {2.5} and words(ax) == ["a", "b", "truth"]
    assert ax.texts[1].xy == (100, 6) and ax.texts[2].xy[1] == 2.5
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert [line.get_color() for line in ax.lines[:2]] == labels["colours"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title("left")) == ("draws", "size", "t")


def test_two_lines_have_the_slopes_they_are_given():
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    ax = plot.two_lines(points, [1, 2], ["d", "e"], xlabel="z", ylabel="x", title="t").axes[0]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
    for line, slope, name, colour in zip(ax.lines, [1, 2], ["d", "e"], [plot.MODEL, plot.POSTERIOR], strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose(y, slope * np.asarray(x))
        assert line.get_color() == colour and name in words(ax)


def test_uphill_draws_the_counts_over_the_slopes():
    names = ["residual", "score"]
    fig = plot.uphill([0.5, 1.5, 1.6], [0, 1, 2], [0, 1, 2], [3, 0, -3], [3.1, 0, -3.1], names=names, xlabel="w",
                      ylabel="slope", title="t")  # fmt: skip
    top, ax = fig.axes
    assert [bar.get_height() for bar in top.patches] == [1, 2] and top.get_title("left") == "t"
    level, arrows, score = ax.lines
    assert set(level.get_ydata()) == {0}
    np.testing.assert_array_equal(arrows.get_xydata(), [[0, 3], [1, 0], [2, -3]])
    np.testing.assert_array_equal(score.get_ydata(), [3.1, 0, -3.1])
    assert words(ax) == names and (ax.get_xlabel(), ax.get_ylabel()) == ("w", "slope")


def test_thumbnails_stand_over_their_places_and_above_the_counts():
    pictures = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    fig = plot.thumbnails([1.5, 1.6, 3.5], [1, 2, 3, 4], [1.5, 3.0], pictures, ["none", "all"], xlabel="v", title="t")
    (ax,) = fig.axes
    assert [bar.get_height() for bar in ax.patches] == [2, 0, 1]
    assert [line.get_xdata()[0] for line in ax.lines] == [1.5, 3.0]
    boxes = [child for child in ax.get_children() if hasattr(child, "offsetbox")]
    boxes = [box for box in boxes if hasattr(box.offsetbox, "get_data")]
    assert [box.xy[0] for box in boxes] == [1.5, 3.0] and all(box.xy[1] > 2 for box in boxes)
    for box, picture in zip(boxes, pictures, strict=True):
        np.testing.assert_array_equal(box.offsetbox.get_data(), picture)
    assert words(ax) == ["none", "all"] and max(ax.get_yticks()) <= 2 < ax.get_ylim()[1]


def test_a_price_moves_along_its_line_past_the_level():
    fig = plot.price([0, 1, 2], [5, 4, 3], 4.5, [0, 1], ["free", "full"], xlabel="p", ylabel="v", title="t")
    (ax,) = fig.axes
    line, level, *dots = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[0, 5], [1, 4], [2, 3]])
    assert set(level.get_ydata()) == {4.5}
    np.testing.assert_array_equal([dot.get_xydata()[0] for dot in dots], [[0, 5], [1, 4]])
    assert words(ax) == ["log p(x)", "free", "full"]


def test_peaks_put_dots_on_every_line_at_each_pick():
    x, ys = np.array([1.0, 10, 100]), [[1, 2, 3], [3, 2, 0]]
    labels = {"colours": [plot.MODEL, plot.POSTERIOR], "xlabel": "s", "ylabel": "nats", "title": "t"}
    ax = plot.peaks(x, ys, ["up", "down"], [1.1, 90], ["A", "B"], **labels).axes[0]
    lines = [line for line in ax.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3]
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    for y, line, dot in zip(ys, lines, dots, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), y)
        np.testing.assert_array_equal(dot.get_xydata(), [[1, y[0]], [100, y[2]]])
    assert words(ax) == ["up", "down", "A", "B"] and ax.get_xscale() == "log"
    assert [text.xy[0] for text in ax.texts[2:]] == [1, 100]


def test_rows_of_dots_have_a_bar_at_each_median():
    ax = plot.rows_of_dots([[1, 2, 30], [5, 5, 7, 9]], ["few", "more"], xlabel="width", title="t").axes[0]
    assert [list(dots.get_offsets()[:, 0]) for dots in ax.collections] == [[1, 2, 30], [5, 5, 7, 9]]
    assert [line.get_xydata()[0].tolist() for line in ax.lines] == [[2, 0], [6, -1]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["few", "more"] and ax.get_xscale() == "log"
    for i, dots in enumerate(ax.collections):
        assert np.abs(dots.get_offsets()[:, 1] + i).max() < 0.5


WORDS = {"xlabel": "x", "ylabel": "y", "title": "t"}
BRIEF = {"xlabel": "x", "title": "t"}
PICTURE = np.zeros((1, 2, 2))


@pytest.mark.parametrize(
    ("draw", "what"),
    [
        (lambda: plot.on_logs([1, 2], [[1, 2]], ["a", "b"], colours=["C0"], **WORDS), "names: got 2, expected 1"),
        (lambda: plot.on_logs([1, 2], [[1, 2, 3]], ["a"], colours=["C0"], **WORDS), "shape"),
        (lambda: plot.two_lines([[1, 2]], [1], ["a"], **WORDS), "slopes: got shape"),
        (lambda: plot.two_lines([1, 2], [1, 2], ["a", "b"], **WORDS), "points: got shape"),
        (lambda: plot.uphill([1.0], 3, [1, 2], [1, 2], [1], names=["a", "b"], **WORDS), "score: got shape"),
        (lambda: plot.uphill([np.nan], 3, [1], [1], [1], names=["a", "b"], **WORDS), "nothing to count"),
        (lambda: plot.thumbnails([1.0], 3, [1, 2], PICTURE, ["a"], **BRIEF), "places: got shape"),
        (lambda: plot.thumbnails([1.0], 3, [1], PICTURE, [], **BRIEF), "names: got 0"),
        (lambda: plot.price([1, 2], [1], 0, [1], ["a"], **WORDS), "objective: got shape"),
        (lambda: plot.price([1, 2], [1, 2], None, [1], ["a"], **WORDS), "level: got NoneType"),
        (lambda: plot.peaks([1, 2], [[1, 2]], ["a"], [1], [], colours=["C0"], **WORDS), "pick_names: got 0"),
        (lambda: plot.rows_of_dots([[1, 2]], ["a", "b"], **BRIEF), "names: got 2"),
        (lambda: plot.rows_of_dots(3, ["a"], **BRIEF), "groups: got int"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(draw, what):
    with pytest.raises(ValueError, match=what):
        draw()
