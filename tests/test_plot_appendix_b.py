"""The figures of appendix B draw what was passed in."""

import numpy as np
import pytest
from drawn import words

from vaejax.book import plot


def test_the_two_walks_name_their_parts():
    left, right = plot.two_walks().axes
    assert {"transition", "emission", "$z_1$", "$x_3$"} <= set(words(left))
    assert {"$x$", "$z_M$", "$q$ adds noise: fixed"} <= set(words(right))
    assert len(left.patches) == 6 + 6 and len(right.patches) == 4 + 6  # circles and arrows


def test_lag_draws_the_pairs_and_the_guesses_over_them():
    points, guesses = np.array([[2.0, 4], [4, 2], [4, 4]]), np.array([[2.0, 3.9], [3.4, 3]])
    ax = plot.lag(points, guesses, name="g", title="t").axes[0]
    seen, expected = ax.collections
    np.testing.assert_array_equal(seen.get_offsets(), points)
    np.testing.assert_array_equal(expected.get_offsets(), guesses)
    assert words(ax) == ["g"] and ax.texts[0].xy == (3.4, 3)  # at the guess nearest to the middle


def test_four_bells_have_their_peaks_at_their_means_and_heights_of_densities():
    pairs = (1, 0.3), (0.9, 0.5), (2, 0.5), (1.4, 0.35)
    ax = plot.look_and_move(*pairs).axes[0]
    for line, (mean, sd) in zip(ax.lines, pairs, strict=True):
        x, y = line.get_data()
        assert abs(x[y.argmax()] - mean) < 0.02
        np.testing.assert_allclose(y.max() * sd, 1, atol=1e-2)
    assert words(ax) == ["known before", "after the move", "what the look says", "known now"]


def test_ways_back_stand_beside_the_gaussian_of_their_mean_and_variance():
    x = np.linspace(-6, 6, 1201)
    one = 7 * np.exp(-50 * (x - 0.3) ** 2)
    two = np.exp(-10 * (x - 1) ** 2) + 0.5 * np.exp(-10 * (x + 1) ** 2)
    fig = plot.ways_back(x, [two, one], ["much", "little"], seen=0.2)
    for ax, height, title in zip(fig.axes, (two, one), ("much", "little"), strict=True):
        seen, way, bell = (line.get_ydata() for line in ax.lines)
        np.testing.assert_allclose(way, height / height.sum())
        for power in (1, 2):
            np.testing.assert_allclose(bell @ x**power, way @ x**power, atol=1e-6)
        assert set(ax.lines[0].get_xdata()) == {0.2} and ax.get_title("left") == title
    np.testing.assert_allclose(bell, way, atol=1e-6)  # a bell is its own Gaussian
    assert [words(ax) for ax in fig.axes] == [["way back", "$z_m$"], ["Gaussian"]]


def test_tracks_have_a_panel_for_each_guess():
    truth, seen = np.arange(8.0).reshape(4, 2), np.ones((4, 2))
    fig = plot.tracks(truth, seen, [truth + 1, truth + 2], ["a", "b"])
    for i, (ax, title) in enumerate(zip(fig.axes, "ab", strict=True)):
        np.testing.assert_array_equal(ax.lines[0].get_xydata(), truth)
        np.testing.assert_array_equal(ax.lines[1].get_xydata(), truth + i + 1)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), seen)
        assert ax.get_title("left") == title and ax.get_aspect() == 1
    assert words(fig.axes[0]) == ["where it was", "what was seen", "the guess"]
    with pytest.raises(ValueError, match="titles"):
        plot.tracks(truth, seen, [truth], ["a", "b"])


def test_the_river_runs_from_the_top_level_at_the_left_to_zero_at_the_right():
    paths, density = np.array([[0.0, 1], [0.5, -1], [2, -2]]), np.eye(3)
    ax = plot.river(density, 2, paths).axes[0]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[2, 1], [1, -1], [0, -2]])
    assert ax.get_xlim() == (2, 0)
    image = ax.images[0]
    assert image.get_extent() == [2.5, -0.5, -2, 2] and image.origin == "lower"
    np.testing.assert_array_equal(image.get_array(), density.T)


def test_falling_draws_both_losses_beside_a_line_that_halves():
    ax = plot.falling([4, 8, 16], [[0.4, 0.2, 0.1], [0.1, 0.03, 0.01]]).axes[0]
    bound, log_p, half = (line.get_ydata() for line in ax.lines)
    np.testing.assert_allclose(bound, [0.4, 0.2, 0.1])
    np.testing.assert_allclose(log_p, [0.1, 0.03, 0.01])
    np.testing.assert_allclose(half[:-1] / half[1:], 2)
    assert ax.get_xscale() == ax.get_yscale() == "log" and words(ax)[:2] == ["by the bound", "by $\\log p$"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot.lag([1, 2], [[1, 2]], name="g", title="t"),
        lambda: plot.look_and_move(1, (0, 1), (0, 1), (0, 1)),
        lambda: plot.ways_back([1, 2, 3], [[1, 2]], ["a"], seen=0),
        lambda: plot.tracks(np.ones((3, 2)), np.ones((4, 2)), [np.ones((3, 2))], ["a"]),
        lambda: plot.river(np.ones((2, 3)), 1, np.ones((3, 2))),
        lambda: plot.falling([1, 2], [[1, 2]]),
    ],
)
def test_wrong_shapes_are_refused_by_name(draw):
    with pytest.raises(ValueError, match="expected"):
        draw()
