"""The figures of chapter 6 draw what they are given."""

import numpy as np
import pytest
from drawn import check_refused, words

from vaejax.book import plot

RNG = np.random.default_rng(0)
BLACK = np.zeros((4, 4))
ROUND = (np.zeros(2), np.ones(2))


def test_phi_stands_inside_the_frame_of_the_first_graph_and_outside_that_of_the_second():
    for ax, name, inside in zip(plot.amortised().axes, (r"$\phi_n$", r"$\phi$"), (True, False), strict=True):
        frame = next(patch for patch in ax.patches if hasattr(patch, "get_boxstyle"))
        phi = next(text for text in ax.texts if text.get_text() == name)
        assert (frame.get_x() < phi.get_position()[0] < frame.get_x() + frame.get_width()) == inside


def test_the_gradient_is_blocked_on_the_left_and_passes_on_the_right():
    left, right = plot.reparametrised().axes
    assert len(left.lines) == 2 and not right.lines  # the cross
    assert "gradient" in words(right) and "gradient" not in words(left)


def test_the_bound_is_the_reconstruction_less_the_kl():
    steps, reconstruction, kl = np.arange(1, 101), np.linspace(-200, -100, 100), np.linspace(0, 6, 100)
    ax, below = plot.bound_in_parts(steps, reconstruction, kl, [10, 100], [-190, -110], title="t").axes
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), reconstruction)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), reconstruction - kl)
    np.testing.assert_array_equal(ax.lines[2].get_xydata(), [[10, -190], [100, -110]])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), kl)
    assert ax.get_xscale() == "log" and ax.get_ylim()[0] < -190


def test_maps_draw_each_numeral_at_its_code_over_rings_of_the_prior():
    codes, labels = RNG.standard_normal((5, 2)), np.array([0, 7, 9, 1, 7])
    axes = plot.maps([codes, -codes], labels, ["a", "b"], title="t").axes
    for ax, points in zip(axes, (codes, -codes), strict=True):
        assert words(ax) == ["0", "7", "9", "1", "7"]
        np.testing.assert_array_equal([text.get_position() for text in ax.texts], points)
        assert ax.texts[1].get_color() == ax.texts[4].get_color() != ax.texts[2].get_color()
    ring = np.linalg.norm(axes[0].lines[1].get_xydata(), axis=1)
    drawn = np.linalg.norm(RNG.standard_normal((20_000, 2)), axis=1)
    assert abs((drawn < ring[0]).mean() - 0.95) < 0.01 and np.ptp(ring) < 1e-9


def test_the_sheet_has_every_picture_in_its_place():
    pictures = np.zeros((3, 3, 2, 2))
    pictures[0, 2] = 1  # the first row on top, the last column to the right
    ax = plot.manifold(pictures, [-1.0, 0, 1], title="t").axes[0]
    sheet = ax.images[0].get_array()
    assert sheet.shape == (6, 6) and sheet[:2, 4:].all() and sheet.sum() == 4
    ticks = dict(zip([t.get_text() for t in ax.get_yticklabels()], ax.get_yticks(), strict=True))
    assert ticks["1.0"] < ticks["\N{MINUS SIGN}1.0"]  # rows of an image count from the top


def test_where_lost_shades_the_posterior_and_draws_both_ellipses():
    peak = np.array([0.5, -0.2])

    def log_posterior(i, zs):
        return -50 * ((zs - peak) ** 2).sum(1)

    guess, best = (np.array([0.0, 0.3]), np.full(2, 0.1)), (peak, np.full(2, 0.1))
    ax = plot.where_lost([BLACK], log_posterior, [guess], [best], ["typical"], title="t").axes[0]
    solid, dashed = ax.lines
    np.testing.assert_allclose(solid.get_xydata()[:-1].mean(0), peak, atol=1e-9)
    np.testing.assert_allclose(dashed.get_xydata()[:-1].mean(0), [0, 0.3], atol=1e-9)
    assert solid.get_linestyle() == "-" != dashed.get_linestyle() and words(ax) == ["encoder", "best own"]
    outer = max((path for c in ax.collections for path in c.get_paths()), key=lambda path: np.ptp(path.vertices[:, 0]))
    radius = np.linalg.norm(outer.vertices - peak, axis=1).max()
    assert abs(radius - 0.1 * np.sqrt(-2 * np.log(0.05))) < 0.02  # of a Gaussian of width 0.1 it holds 95 %


def test_sorted_gaps_are_sorted_and_say_median_and_mean():
    shape, guess = np.array([0.1, 0.3, 0.2]), np.array([2.0, 1.0, 9.0])
    left, right = plot.sorted_gaps([shape, shape], [guess, guess], ["new", "old"], title="t").axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [1, 2, 9])
    np.testing.assert_array_equal(left.lines[1].get_ydata(), [0.1, 0.2, 0.3])
    assert left.get_yscale() == "log" and "median 2.1,\nmean 4.2 ± 2.5 nats" in words(left)[0]
    assert right.get_title("left") == "old"


def test_the_staircase_counts_eigenvalues_above_the_price():
    ax = plot.collapse([1, 2], [2, 1], [3.0, 1.5, 0.5], title="t").axes[0]
    stairs, dots = ax.lines
    x, y = stairs.get_data()
    assert set(y[x < 1.49]) == {2} and set(y[x > 1.51]) == {1}
    np.testing.assert_array_equal(dots.get_xydata(), [[1, 2], [2, 1]])
    assert ax.texts[1].get_text() == "eigenvalues above the price, at most 2" and abs(ax.texts[1].xy[0] - 1.5) < 0.01
    plot.collapse([1, 2], [8, 1], [3.0, 1.5, 0.5], title="t")  # more in use than there are such eigenvalues


REFUSED = {
    "parts of the bound": (
        lambda: plot.bound_in_parts([1, 2], [1, 2], [1], [1], [1], title="t"),
        "kl: got shape (1,), expected (2,)",
    ),
    "labels": (lambda: plot.maps([np.zeros((2, 2))], [1], ["a"], title="t"), "labels: got shape (1,), expected (2,)"),
    "titles": (lambda: plot.maps([np.zeros((2, 2))], [1, 2], [], title="t"), "titles: got 0, expected 1"),
    "places": (lambda: plot.manifold(np.zeros((3, 3, 2, 2)), [0], title="t"), "places: got shape (1,), expected (3,)"),
    "names": (
        lambda: plot.where_lost([BLACK], lambda i, zs: zs[:, 0], [ROUND], [ROUND], [], title="t"),
        "names: got 0, expected 1",
    ),
    "gaps": (
        lambda: plot.sorted_gaps([[1.0]], [[1.0], [2.0]], ["a"], title="t"),
        "amortisation: got 2, expected 1",
    ),
    "used": (lambda: plot.collapse([1, 2], [1], [1.0], title="t"), "used: got shape (1,), expected (2,)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(case):
    check_refused(*REFUSED[case])
