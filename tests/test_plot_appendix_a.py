"""The figures of appendix A: what was drawn is what was passed in."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import words

from vaejax.book import plot
from vaejax.book.plot.appendix_a import _heights


def test_four_graphs_fill_what_is_observed_and_leave_open_what_is_not():
    axes = plot.label_graphs().axes
    assert [words(ax) for ax in axes] == [["$z$", "$x$"], ["$z$", "$y$", "$x$"], ["$y$", "$z$", "$x$"],
                                          ["$z_2$", "$z_1$", "$x$"]]  # fmt: skip
    for ax, arrows in zip(axes, (1, 2, 2, 2), strict=True):
        circles = [patch for patch in ax.patches if hasattr(patch, "radius")]
        assert len(ax.patches) - len(circles) == arrows
        white = [patch.get_facecolor() == (1, 1, 1, 1) for patch in circles]
        assert white == ["z" in name for name in words(ax)]


def test_worths_stand_in_order_below_their_ceiling_beside_the_pictures():
    pictures = np.arange(24).reshape(6, 2, 2) / 24
    fig = plot.worths([2, -5, 1, -40], 2.3, pictures, list("abcdef"), ylabel="nats", ceiling_name="top", title="t")
    ax, *small = fig.axes
    zero, below, above, ceiling = ax.lines
    assert set(zero.get_ydata()) == {0} and set(ceiling.get_ydata()) == {2.3} and words(ax) == ["top"]
    np.testing.assert_array_equal(below.get_xydata(), [[1, -40], [2, -5]])
    np.testing.assert_array_equal(above.get_xydata(), [[3, 1], [4, 2]])
    assert (
        ceiling.get_zorder() > above.get_zorder()
        and ax.get_ylim()[0] < -40
        and below.get_marker() != above.get_marker()
    )
    for picture, name, place in zip(pictures, "abcdef", small, strict=True):
        np.testing.assert_array_equal(place.images[0].get_array(), picture)
        assert place.get_title() == name


def test_a_label_map_writes_the_chosen_labels_where_their_codes_are():
    points, labels = np.array([[0.0, 0], [1, 2], [3, 1], [1, 1]]), [0, 4, 9, 4]
    mean, sd, radius = np.zeros((10, 2)), np.array([1.0, 2]), np.sqrt(2 * np.log(2))  # it holds half of a Gaussian
    mean[9] = 0, 3
    ax = plot.label_map(points, labels, mean, np.stack([np.diag(sd)] * 10), [4, 9], title="t").axes[0]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
    assert words(ax) == ["4", "9", "4", "4", "9"]
    assert [ax.texts[i].get_position() for i in range(3)] == [(1, 2), (3, 1), (1, 1)]
    for outline, k in zip(ax.lines, (4, 9), strict=True):
        np.testing.assert_allclose(np.linalg.norm((outline.get_xydata() - mean[k]) / sd, axis=1), radius)
    ends = [(0, -2 * radius), (0, 3 + 2 * radius)]  # away from the other ellipse
    np.testing.assert_allclose([text.xy for text in ax.texts[3:]], ends, atol=0.05)
    assert ax.lines[0].get_color() == ax.texts[3].get_color() == ax.texts[0].get_color() != ax.lines[1].get_color()


def test_gains_have_the_dashes_of_their_ceilings_and_names_on_either_side():
    gains = [[0, 0.1, 0.2, 0.3], [0, 0.2, 0.3, 0.25]]
    ax = plot.prior_gains([1, 2, 4, 8], gains, ["old", "new"], [0.4, 0.5], title="t").axes[0]
    old, old_ceiling, new, new_ceiling = ax.lines
    np.testing.assert_array_equal(old.get_xydata(), np.stack([[1, 2, 4, 8], gains[0]], 1))
    np.testing.assert_array_equal(new.get_ydata(), gains[1])
    assert (set(old_ceiling.get_ydata()), set(new_ceiling.get_ydata())) == ({0.4}, {0.5})
    assert [line.get_linestyle() for line in ax.lines] == ["-", "-", "--", "--"] and ax.get_xscale() == "log"
    assert words(ax) == ["old", "ceiling, old", "new", "ceiling, new"]
    assert ax.texts[0].xyann[1] < 0 < ax.texts[2].xyann[1]  # the upper curve's name is above


def test_a_level_above_is_shaded_and_summed_out_beside_it():
    z_2, z_1 = np.linspace(-5, 5, 101), np.linspace(-4, 4, 81)
    joint = np.exp(-(z_2**2) - 4 * z_1[:, None] ** 2)
    left, right = plot.level_above(z_2, z_1, joint, joint.sum(1), "t").axes
    np.testing.assert_array_equal(right.lines[0].get_xydata(), np.stack([joint.sum(1), z_1], 1))
    assert left.get_title("left") == "t" and -3.2 < left.get_xlim()[0] < -2.5 and left.get_ylim()[1] < 1.9


def test_contours_of_q_hold_their_shares():
    x = np.linspace(-5, 5, 201)
    bell = np.exp(-0.5 * (x**2 + x[:, None] ** 2))
    heights = _heights(bell, (0.9, 0.6, 0.3))
    np.testing.assert_allclose(heights, [0.1, 0.4, 0.7], atol=0.01)  # of a round bell: one minus the share
    fig = plot.q_over_posterior(x, x, bell, [bell, bell**2], ["a", "b"])
    assert [ax.get_title("left") for ax in fig.axes] == ["a", "b"]
    np.testing.assert_allclose(fig.axes[0].collections[1].levels, heights)


def test_bounds_lie_below_with_the_first_gap_shaded():
    x, log_p = np.linspace(-1, 1, 11), np.linspace(-1, 1, 11) ** 2
    ax = plot.bounds_below(x, log_p, [log_p - 1, log_p - 0.1], ["a", "b"], log_p_name="p", title="t").axes[0]
    assert words(ax) == ["p", "a", "b"]
    for line, y in zip(ax.lines, (log_p, log_p - 1, log_p - 0.1), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([x, y], 1))
    shaded = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (shaded.min(), shaded.max()) == (-1, 1)


PICTURES, BELL = np.zeros((6, 2, 2)), np.ones((2, 3))
REFUSED = {
    "five pictures": lambda: plot.worths([1], 2, PICTURES[:5], list("abcde"), ylabel="", ceiling_name="", title=""),
    "no names": lambda: plot.worths([1], 2, PICTURES, [], ylabel="", ceiling_name="", title=""),
    "labels of other codes": lambda: plot.label_map(np.ones((2, 2)), [1], np.ones((1, 2)), np.ones((1, 2, 2)), [0],
                                                    title=""),
    "one curve": lambda: plot.prior_gains([1, 2, 4], [[0, 1, 2]], ["a"], [3], title=""),
    "another density": lambda: plot.level_above([0, 1], [0, 1, 2], BELL, [1, 1, 1], ""),
    "a q of another shape": lambda: plot.q_over_posterior([0, 1, 2], [0, 1], BELL, [BELL.T], ["a"]),
    "a bound without a name": lambda: plot.bounds_below([0, 1], [1, 1], [[0, 0]], [], log_p_name="", title=""),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(case):
    with pytest.raises(ValueError, match=r"got|expected"):
        REFUSED[case]()
    assert not plt.get_fignums()
