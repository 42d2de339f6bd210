"""Wrong plots pass nbval, which never compares pictures. So: what was drawn is what was passed in."""

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn import check_refused

from vaejax.book import diagrams, plot


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_to_import_the_figures_sets_their_look():
    look = {"axes.spines.top": False, "figure.constrained_layout.use": True, "image.cmap": "cividis"}
    assert {key: mpl.rcParams[key] for key in look} == look and mpl.rcParamsDefault["axes.spines.top"]
    assert mpl.rcParams["axes.prop_cycle"].by_key()["color"][0] == "#0072B2"


def test_curve_draws_the_points_and_the_mark():
    ax = plot.curve([1, 2, 3], [4, 5, 4], xlabel="x", ylabel="y", mark=2, mark_label="top").axes[0]
    line, mark = ax.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 4], [2, 5], [3, 4]])
    assert set(mark.get_xdata()) == {2} and [(text.get_text(), text.xy[0]) for text in ax.texts] == [("top", 2)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")


def test_a_curve_has_its_colour_its_dots_and_its_title():
    options = {"dots": ([1.0], [2.0]), "colour": plot.DATA, "title": "t", "marker": "s"}
    ax = plot.curve([1, 2], [3, 4], xlabel="x", ylabel="y", **options).axes[0]
    line, dots = ax.lines
    np.testing.assert_array_equal(dots.get_xydata(), [[1, 2]])
    assert (line.get_color(), line.get_marker(), ax.get_title("left")) == (plot.DATA, "s", "t") and not ax.texts


def test_histogram_counts_and_scales_its_curve_to_counts():
    values = np.array([0.5, 0.6, 1.5, 3.5])
    ax = plot.histogram(values, bins=np.arange(5), xlabel="x", curve=lambda x: 0 * x + 0.25).axes[0]
    assert [bar.get_height() for bar in ax.patches] == [2, 1, 0, 1]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), 1)  # a flat density of 1/4 expects 1 of 4 in each bin


def test_a_curve_over_uneven_bins_expects_what_each_bin_would_count():
    rng, edges = np.random.default_rng(0), np.array([0.0, 0.1, 0.2, 0.5, 1.0])
    values = np.append(rng.random(10_000), [np.nan] * 5_000)
    ax = plot.histogram(values, bins=edges, xlabel="x", curve=lambda x: 0 * x + 1).axes[0]
    x, y = ax.lines[0].get_data()
    for bar, low, high in zip(ax.patches, edges, edges[1:], strict=False):
        inside = y[(x > low) & (x < high)]
        np.testing.assert_allclose(inside, 10_000 * (high - low))
        assert abs(bar.get_height() - inside[0]) < 6 * np.sqrt(inside[0])
    plot.histogram(values, bins=7, xlabel="x", curve=lambda x: 0 * x + 1)


def test_a_histogram_names_its_mark_and_its_curve_where_they_are():
    options = {"mark": 0.5, "mark_label": "here", "title": "t", "curve": lambda x: 0 * x + 0.5}
    ax = plot.histogram([0.5, 0.6], bins=np.arange(3), xlabel="x", **options).axes[0]
    assert [text.get_text() for text in ax.texts] == ["the bell, in counts", "here"]
    assert ax.texts[1].xy[1] > 2.1 and ax.get_title("left") == "t"  # above the bars
    assert set(ax.lines[1].get_xdata()) == {0.5} and ax.lines[0].get_color() == plot.MODEL


def test_models_stand_over_the_counts_and_on_the_likelihood_the_best_of_them_solid():
    values, x = np.array([0.5, 1.5, 1.6]), np.linspace(0, 2, 21)
    options = {"bins": np.arange(4), "xlabel": "v", "parameter": "m", "ylabel": "nats", "titles": ["a", "b"]}

    def density(place, at):
        return np.exp(-((at - place) ** 2))

    left, right = plot.models_and_likelihood(values, density, x, -((x - 1) ** 2), [0.5, 1.0], **options).axes
    assert [bar.get_height() for bar in left.patches] == [1, 2, 0]
    for line, place in zip(left.lines, [0.5, 1.0], strict=True):
        at, counts = line.get_data()
        np.testing.assert_allclose(counts, 3 * density(place, at))
    assert [line.get_linestyle() for line in left.lines] == ["--", "-"]
    curve, *dots = right.lines
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([x, -((x - 1) ** 2)], 1))
    np.testing.assert_allclose([dot.get_xydata()[0] for dot in dots], [[0.5, -0.25], [1, 0]], atol=1e-12)
    for ax, title in ((left, "a"), (right, "b")):
        assert [text.get_text() for text in ax.texts] == ["m = 0.5", "1"] and ax.get_title("left") == title


def test_a_surface_has_its_cross_at_the_top_and_its_paths_with_names():
    x, y = np.linspace(0, 4, 9), np.linspace(-1, 1, 5)
    z = -((x[None] - 3) ** 2) - (y[:, None] - 0.5) ** 2
    path = np.array([[0.0, 0], [1, 0.25], [2, 0.5]])
    labels = {"xlabel": "x", "ylabel": "y", "title": "t"}
    ax = plot.surface(x, y, z, [path, path[::-1]], ["up", "down"], **labels).axes[0]
    cross, up, start, down, other = ax.lines
    np.testing.assert_array_equal(cross.get_xydata(), [[3, 0.5]])
    np.testing.assert_array_equal(up.get_xydata(), path)
    np.testing.assert_array_equal(down.get_xydata(), path[::-1])
    np.testing.assert_array_equal([start.get_xydata()[0], other.get_xydata()[0]], path[[0, -1]])
    assert up.get_linestyle() != down.get_linestyle()
    assert [text.get_text() for text in ax.texts] == ["maximum likelihood", "up", "down"]
    assert ax.get_xlim() == (0, 4) and ax.get_ylim() == (-1, 1) and ax.get_title("left") == "t"


def test_chances_show_every_example_at_the_height_of_its_label():
    x, values, labels = np.linspace(0, 1, 11), np.array([0.1, 0.2, 0.9]), np.array([0, 1, 1])
    options = {"mark": 0.5, "mark_name": "here", "xlabel": "x", "ylabel": "p", "title": "t"}
    ax = plot.chances(values, labels, x, [x, x**2], ["one", "two"], **options).axes[0]
    low, high = ([segment[:, 0][0] for segment in ticks.get_segments()] for ticks in ax.collections)
    assert (low, high) == ([0.1], [0.2, 0.9])
    assert all(segment[:, 1].max() < 0 for segment in ax.collections[0].get_segments())
    assert all(segment[:, 1].min() > 1 for segment in ax.collections[1].get_segments())
    mark, one, two = ax.lines
    assert set(mark.get_xdata()) == {0.5} and one.get_linestyle() != two.get_linestyle()
    np.testing.assert_array_equal(one.get_ydata(), x)
    np.testing.assert_array_equal(two.get_ydata(), x**2)
    assert [text.get_text() for text in ax.texts] == ["here", "one", "two"]


def test_colours_and_titles_are_those_asked_for():
    ax = plot.bars([[1.0], [2.0]], "ab", ["one"], colours=[plot.DATA, plot.MODEL], title="t", xlabel="x").axes[0]
    seen = [mpl.colors.to_hex(group[0].get_facecolor()) for group in ax.containers]
    assert seen == [plot.DATA, plot.MODEL] and ax.get_title("left") == "t"
    fig = plot.scatter_panels([np.zeros((2, 2))] * 3, "abc", xlabel="x", ylabel="y")
    faces = [mpl.colors.to_hex(ax.collections[0].get_facecolors()[0]) for ax in fig.axes]
    assert faces == [plot.DATA, plot.MODEL, plot.MODEL]
    fig = plot.scatter_panels([np.zeros((2, 2))], "a", colours=[plot.QUIET], xlabel="x", ylabel="y")
    assert mpl.colors.to_hex(fig.axes[0].collections[0].get_facecolors()[0]) == plot.QUIET


def test_one_panel_of_points_will_do():
    assert len(plot.scatter_panels([np.zeros((3, 2))], ["one"], xlabel="x", ylabel="y").axes) == 1


def test_scatter_panels_share_axes_and_keep_order():
    a, b = np.array([[0.0, 1], [2, 3]]), np.array([[10.0, 11]])
    fig = plot.scatter_panels([a, b], ["left", "right"], xlabel="x", ylabel="y")
    for ax, points, title in zip(fig.axes, (a, b), ("left", "right"), strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
        assert ax.get_title("left") == title
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


def test_cloud_draws_every_point_and_the_cross():
    points = np.random.default_rng(0).random((5, 2))
    options = {"cross": (0.5, 0.25), "cross_label": "O", "labels": [0, 1, 0, 1, 2], "to_scale": True}
    ax = plot.cloud(points, xlabel="x", ylabel="y", **options).axes[0]
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0.5, 0.25]])
    assert ax.texts[0].get_text() == "O" and ax.get_aspect() == 1
    assert [len(np.unique(ax.collections[0].get_facecolors()[[i, j]], axis=0)) for i, j in [(0, 2), (0, 1)]] == [1, 2]


def test_mixtures_have_a_panel_each_with_an_ellipse_for_each_component():
    points, weights = np.zeros((4, 2)), [np.linspace(0, 1, 4), np.linspace(1, 0, 4)]
    mu = np.array([[0.0, 0], [3, 1]])
    params = [(None, mu, np.stack([np.eye(2)] * 2)), (None, mu + 1, np.stack([np.eye(2)] * 2))]
    axes = plot.mixtures(points, params, weights, ["start", "end"], xlabel="x", ylabel="y").axes
    for ax, (_, means, _), weight, title in zip(axes, params, weights, ["start", "end"], strict=True):
        assert len(ax.lines) == 2 and ax.get_title() == title
        for line, mean in zip(ax.lines, means, strict=True):
            np.testing.assert_allclose(line.get_xydata()[:-1].mean(0), mean, atol=1e-12)
        np.testing.assert_array_equal(ax.collections[0].get_array(), weight)


@pytest.mark.parametrize("num_panels", [1, 3])
def test_an_odd_number_of_mixtures_leaves_a_panel_empty(num_panels):
    params = [(None, np.full((1, 2), float(i)), np.ones((1, 2))) for i in range(num_panels)]
    weights, titles = [np.zeros(4)] * num_panels, "abc"[:num_panels]
    axes = plot.mixtures(np.zeros((4, 2)), params, weights, titles, xlabel="x", ylabel="y").axes
    assert [len(ax.lines) for ax in axes] == [1] * num_panels + [0]
    assert [ax.axison for ax in axes] == [True] * num_panels + [False]
    for i, ax in enumerate(axes[:-1]):  # standard deviations for a factor: a circle
        radius = np.linalg.norm(ax.lines[0].get_xydata() - i, axis=1)
        np.testing.assert_allclose(radius, radius[0])


def test_a_cut_stands_at_its_place_beside_its_density():
    y = np.linspace(-1, 1, 5)
    left, right = plot.cut(np.zeros(2), np.eye(2), 0.5, y, y**2, xlabel="x", ylabel="y").axes
    *ellipses, line = left.lines
    radius = [np.linalg.norm(ellipse.get_xydata(), axis=1).max() for ellipse in ellipses]
    np.testing.assert_allclose(1 - np.exp(-0.5 * np.square(radius)), [0.5, 0.8, 0.95])  # chi-square of two degrees
    assert set(line.get_xdata()) == {0.5}
    np.testing.assert_array_equal(right.lines[0].get_xydata(), np.stack([y**2, y], 1))
    fig = plot.cut(np.zeros(2), np.eye(2), 0.5, y, y**2, xlabel="x", ylabel="y", marginal=1 - y**2, title="t")
    left, right = fig.axes
    np.testing.assert_array_equal(right.lines[1].get_xydata(), np.stack([1 - y**2, y], 1))
    assert [text.get_text() for text in right.texts] == ["on the cut", "marginal"]
    for text, values in zip(right.texts, (y**2, 1 - y**2), strict=True):
        assert text.xy[0] == values[list(y).index(text.xy[1])]  # a name stands at its curve
    assert fig.get_suptitle() == "t"


def rgb(colour):
    return mpl.colors.to_rgb(colour)


def test_the_colours_of_a_mixture_are_the_same_for_points_and_ellipses():
    points = np.array([[0.0, 0], [1, 1], [0, 1]])
    params = [(None, np.zeros((2, 2)), np.stack([np.eye(2)] * 2))]
    fig = plot.mixtures(points, params, [np.array([0.0, 1, 0.5])], ["a"], xlabel="x", ylabel="y", title="t")
    ax = fig.axes[0]
    fig.canvas.draw()
    dots = ax.collections[0].get_facecolors()[:, :3]
    for dot, line in zip(dots, ax.lines, strict=False):
        np.testing.assert_allclose(dot, rgb(line.get_color()), atol=0.01)
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    assert fig.get_suptitle() == "t" and ax.get_xlim() == (-0.15, 1.15)  # a wide ellipse does not set the frame


def test_named_lines_carry_their_names_and_a_level():
    x, ys = [1, 10, 100], [[1.0, 2, 3], [3, 2, 1]]
    fig = plot.named_lines(x, ys, ["up", "down"], title="t", log_x=True, places=[None, 9], level=2.5, level_name="top")
    ax = fig.axes[0]
    for line, y in zip(ax.lines, ys, strict=False):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([x, y], 1))
    assert [(text.get_text(), text.xy) for text in ax.texts] == [
        ("up", (100, 3)),
        ("down", (10, 2)),
        ("top", (0.01, 2.5)),
    ]
    assert set(ax.lines[2].get_ydata()) == {2.5} and ax.get_xscale() == "log" and ax.get_title("left") == "t"
    assert ax.get_ylim()[1] > 3.15 and ax.get_yscale() == "linear"  # room above for the name of the level
    ax = plot.named_lines(x, ys[:1], ["one"], title="t", log_y=True).axes[0]
    assert (ax.get_xscale(), ax.get_yscale()) == ("linear", "log")


def test_the_dial_shows_bound_level_touching_point_and_gap():
    r = np.linspace(0, 1, 101)
    ax = plot.dial(r, -((r - 0.3) ** 2), 0.0, 0.3, 0.8).axes[0]
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), -((r - 0.3) ** 2))
    assert set(ax.lines[0].get_ydata()) == {0} and ax.lines[3].get_xdata() == [0.3]
    words = [text.get_text() for text in ax.texts]
    assert " KL = 0.25" in words and " the posterior" in words and "ELBO" in words


def test_touching_has_a_panel_for_each_step_from_dot_to_peak():
    x = np.linspace(0, 4, 9)
    low = [-((x - 1) ** 2), -((x - 2) ** 2) + 0.5]
    axes = plot.touching(x, 0 * x + 1, low, [0, 1, 2], [(-1, 0), (0.5, 0.9)]).axes
    for ax, bound, (start, end), (dot, peak) in zip(axes, low, [(0, 1), (1, 2)], [(-1, 0), (0.5, 0.9)], strict=True):
        log_p, below, *marks = ax.lines
        np.testing.assert_array_equal(log_p.get_ydata(), 1)
        np.testing.assert_array_equal(below.get_ydata(), bound)
        assert [tuple(mark.get_xydata()[0]) for mark in marks] == [(start, dot), (end, peak)]
        lift, *names = ax.texts
        assert (lift.xyann, lift.xy) == ((end, peak), (end, 1)), "up, from the peak to log p"
        assert [text.get_text() for text in names] == ["touch: E-step", "peak: M-step", r"$\log p$", "bound"]
        assert ax.get_xlim()[0] < start < end < ax.get_xlim()[1] and ax.get_ylim()[0] < dot < 1 < ax.get_ylim()[1]


def test_half_steps_rise_to_the_bound_and_the_gap_closes():
    log_p, low = [0.0, 2, 3], [1.0, 2.5]
    ax = plot.half_steps(log_p, low, first=4).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [(4, 0), (5, 2), (6, 3)])
    segments = [line.get_xydata().tolist() for line in ax.lines[1:]]
    assert segments == [
        [[4, 0], [5, 1]],
        [[5, 1]],
        [[5, 1], [5, 2]],
        [[5, 2], [6, 2.5]],
        [[6, 2.5]],
        [[6, 2.5], [6, 3]],
    ], "up, from the bound to log p"


def test_distances_are_written_at_their_lines():
    params = SimpleNamespace(mu=np.array([[3.0, 4], [0, 1]]), scale_tril=np.stack([np.eye(2)] * 2))
    ax = plot.distances(np.zeros((3, 2)), [0, 1, 1], params, np.zeros(2), name="O").axes[0]
    assert [text.get_text() for text in ax.texts] == ["5.0", "1.0", "O"] and ax.get_aspect() == 1
    assert [len(dots.get_offsets()) for dots in ax.collections] == [1, 2]


def test_territories_colour_the_plane_as_the_points():
    points = np.array([[0.0, 0], [1, 0], [1, 2]])
    right = [lambda p: 1.0 * (p[:, 0] > 0.5), lambda p: 1.0 * (p[:, 1] > 1)]
    axes = plot.territories(points, right, [points[:2], points[:1]], ["a", "b"], xlabel="x", ylabel="y").axes
    for ax, share, title in zip(axes, right, "ab", strict=True):
        mesh, dots = ax.collections[:2]
        np.testing.assert_array_equal(dots.get_array(), share(points))
        values = mesh.get_array().reshape(120, 120)
        assert values[0, -1] == share(np.array([[1.0, 0]]))[0] and values[-1, 0] == share(np.array([[0.0, 2]]))[0]
        assert ax.get_title() == title


def test_kinds_and_fillings_stand_under_their_numbers():
    pictures = np.arange(4.0)[:, None, None] / 4 + np.zeros((4, 2, 2))
    fig = plot.kinds(pictures, [0.1, 0.4, 0.2, 0.3], num_columns=2)
    assert [ax.get_title() for ax in fig.axes] == ["40.0 %", "30.0 %", "20.0 %", "10.0 %"]
    assert [ax.images[0].get_array()[0, 0] for ax in fig.axes] == [0.25, 0.75, 0.5, 0]
    halves, phis = np.ones((1, 4)), np.array([[[0.25, 0.5]]])
    fig = plot.fillings(halves, phis, [[-2.0]], [-1.0], rows=["r"], names=["coin"])
    assert [ax.get_title() for ax in fig.axes] == ["log p(x) = \N{MINUS SIGN}1.0", "coin: bound \N{MINUS SIGN}2.0"]
    assert fig.axes[0].texts[0].get_text() == "r"
    np.testing.assert_array_equal(fig.axes[1].images[0].get_array(), [[0.25, 0.5], [1, 1]])
    assert set(fig.axes[1].lines[0].get_ydata()) == {0.5}


def test_starts_and_noisy_runs_are_all_drawn():
    runs = np.array([[-5.0, -3, -2], [-5, -4, -2], [-5, -4.5, -4.4]])
    ax = plot.starts(runs, -4.5).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines[:3]] == runs.tolist() and ax.get_ylim() == (-4.6, -1.92)
    assert set(ax.lines[3].get_ydata()) == {-4.5}
    assert [text.get_text() for text in ax.texts] == ["one Gaussian", "2 of 3 have arrived", "1 still wait"]
    ax = plot.noisy(runs[0], runs).axes[0]
    assert [line.get_ydata().tolist() for line in ax.lines] == [[-3, -2], [-4, -2], [-4.5, -4.4], [-3, -2]]


def test_diagrams_name_their_parts():
    words = [[t.get_text() for t in f().axes[0].texts] for f in (diagrams.complete_the_data, diagrams.mixture_plate)]
    assert "fill in" in words[0] and "fit" in words[0] and any("what we saw" in word for word in words[0])
    assert {"$z_n$", "$x_n$", r"$\pi$", r"$\mu_k$", r"$\Sigma_k$", "$N$ eruptions", "$K$ kinds"} <= set(words[1])


def test_the_road_has_six_stations():
    axes = diagrams.road().axes
    assert [ax.get_title(loc="left")[0] for ax in axes] == list("123456")
    for ax in axes:
        hidden, by = [text.get_text() for text in ax.texts if ":" in text.get_text()]
        assert hidden.startswith("hidden: ") and by.startswith("completed by: ")


def test_sharp_does_nothing_outside_of_a_notebook():
    before = dict(plt.rcParams)
    plot.sharp()
    assert dict(plt.rcParams) == before


def test_pictures_without_a_title_or_a_shape_are_refused():
    with pytest.raises(ValueError, match="titles: got 2, expected 3, one for each"):
        plot.images(np.zeros((3, 2, 2)), num_columns=3, titles=["a", "b"])
    with pytest.raises(ValueError, match=r"shape \(3, 4\), expected \(N, H, W\)"):
        plot.images(np.zeros((3, 4)), num_columns=3)


def test_images_carry_their_titles():
    assert len(plot.images(np.zeros((2, 3, 3)), num_columns=2, titles=np.arange(2)).axes) == 2
    fig = plot.images(np.zeros((2, 3, 3)), num_columns=2, titles=["a", "b"])
    assert [ax.get_title() for ax in fig.axes] == ["a", "b"]


def test_shadows_joins_every_point_to_its_shadow_to_scale():
    points = np.random.default_rng(0).standard_normal((6, 2))
    shadows = points * [1, 0]
    ax = plot.shadows(points, shadows, xlabel="x", ylabel="y").axes[0]
    *ways, line = ax.lines
    for way, point, shadow in zip(ways, points, shadows, strict=True):
        np.testing.assert_array_equal(way.get_xydata(), [point, shadow])
    np.testing.assert_array_equal(np.sort(line.get_xdata()), [shadows[:, 0].min(), shadows[:, 0].max()])
    assert ax.get_aspect() == 1


def test_space_draws_points_shadows_and_outlines_of_an_ellipsoid_with_these_axes():
    rng = np.random.default_rng(0)
    points, turn = rng.standard_normal((9, 3)), np.linalg.qr(rng.standard_normal((3, 3)))[0]
    axes = turn * [3.0, 2, 1]
    shadows = points @ turn[:, :2] @ turn[:, :2].T
    ax = plot.space(points, shadows, axes, labels=["a", "b", "c"]).axes[0]
    grey, blue = (np.asarray(dots.get_offsets()) for dots in ax.collections)
    view = np.linalg.lstsq(points, blue, rcond=None)[0]  # it is linear, and all else follows the same one
    for shown, real in ((blue, points), (grey, shadows)):
        np.testing.assert_allclose(shown, real @ view, atol=1e-9)
    np.testing.assert_allclose(ax.lines[3].get_xydata(), [points[3] @ view, shadows[3] @ view], atol=1e-9)
    np.testing.assert_allclose(axes[:, 2] @ view, [0, np.linalg.norm(axes[:, 2] @ view)], atol=1e-9)  # upright
    for i, ring in enumerate(ax.lines[9:]):
        np.testing.assert_allclose(ring.get_xydata()[0], axes[:, i] @ view, atol=1e-9)
    tips = {text.get_text(): text.xy for text in ax.texts if text.arrow_patch is None}
    assert list(tips) == ["1", "2", "3", "a", "b", "c"]
    np.testing.assert_allclose([tips["1"], tips["2"], tips["3"]], axes.T @ view, atol=1e-9)
    np.testing.assert_allclose(np.subtract(tips["a"], tips["b"]), 0.8 * (view[0] - view[1]), atol=1e-9)


def test_lines_pass_through_their_feet_and_show_the_way_of_the_chosen_points():
    points = np.random.default_rng(0).standard_normal((6, 2))
    feet = [np.outer(points[:, 0], [1, 0.5]), np.outer(points @ [0.6, 0.8], [0.6, 0.8])]
    ax = plot.lines(points, feet, ["a", "b"], chosen=[4, 1], xlabel="x", ylabel="y", title="t").axes[0]
    for foot, ways, line in zip(feet, (ax.lines[:2], ax.lines[3:5]), (ax.lines[2], ax.lines[5]), strict=True):
        for way, i in zip(ways, (4, 1), strict=True):
            np.testing.assert_allclose(way.get_xydata(), [points[i], foot[i]])
        x, y = line.get_data()
        np.testing.assert_allclose(y / x, foot[0, 1] / foot[0, 0])
    assert ax.lines[2].get_linestyle() != ax.lines[5].get_linestyle()
    assert [text.get_text() for text in ax.texts] == ["a", "b"] and ax.get_aspect() == 1


def test_stretch_shows_where_a_matrix_takes_the_circle_and_its_axes():
    C = np.array([[2.0, 1], [1, 2]])
    axes = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    ax = plot.stretch(C, axes, ["long", "short"], xlabel="a", ylabel="b", title="t").axes[0]
    circle, image = (line.get_xydata() for line in ax.lines)
    np.testing.assert_allclose(image, circle @ C)
    arrows, *ends = ax.collections
    starts = arrows.XY
    np.testing.assert_allclose(np.stack([arrows.U, arrows.V], 1), starts @ C - starts)
    for end, axis in zip(ends, [C @ axes[:, 0], axes[:, 0], C @ axes[:, 1], axes[:, 1]], strict=True):
        np.testing.assert_allclose([end.U[0], end.V[0]], axis)
    assert [text.get_text() for text in ax.texts] == ["long", "short", "w", "C w"]


def test_upright_draws_the_points_and_a_line_along_each_direction():
    points = np.random.default_rng(0).standard_normal((9, 3)) * [3, 2, 0.1]
    ax = plot.upright(points, [[1, 0, 0], [0, 0, 2]], ["flat", "up"], title="t").axes[0]
    shown = np.asarray(ax.collections[0].get_offsets())
    view = np.linalg.lstsq(points, shown, rcond=None)[0]  # it is linear, and lines follow the same one
    np.testing.assert_allclose(points @ view, shown, atol=1e-9)
    for line, direction in zip(ax.lines, np.eye(3)[[0, 2]], strict=True):
        start, end = line.get_xydata()
        np.testing.assert_allclose(start, -end)
        towards = direction @ view / np.linalg.norm(direction @ view)
        np.testing.assert_allclose(end / np.linalg.norm(end), towards, atol=1e-9)
    assert [text.get_text() for text in ax.texts] == ["flat", "up"] and ax.get_aspect() == 1


def test_falls_draws_the_values_and_the_fall_that_was_predicted():
    values = [8 * 0.5 ** np.arange(5.0), 3 * 0.1 ** np.arange(5.0)]
    ax = plot.falls(values, [0.5, 0.1], ["a", "b"], xlabel="x", ylabel="y", title="t").axes[0]
    assert ax.get_yscale() == "log" and [text.get_text() for text in ax.texts] == ["a", "b"]
    for predicted, seen, row in zip(ax.lines[::2], ax.lines[1::2], values, strict=True):
        np.testing.assert_allclose(predicted.get_ydata(), row)
        np.testing.assert_array_equal(seen.get_ydata(), row)


def test_scree_marks_where_enough_of_the_variance_is_held():
    left, right = plot.scree([5.0, 3, 1, 1], share=0.9, title="t").axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [5, 3, 1, 1])
    np.testing.assert_allclose(right.lines[0].get_xydata(), [[0, 0], [1, 0.5], [2, 0.8], [3, 0.9], [4, 1]])
    np.testing.assert_allclose(right.lines[2].get_xydata(), [[3, 0.9]])
    assert left.get_yscale() == "log" and right.texts[0].get_text() == "3 directions hold 90 %"


def test_strips_name_their_rows_and_columns():
    rows = np.random.default_rng(0).random((2, 3, 4, 4)) * 1.5 - 0.2
    fig = plot.strips([rows[0], rows[1][:2]], ["a", "b"], titles=[1, 2, 3], title="t")
    shown = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    np.testing.assert_array_equal(shown, np.clip([*rows[0], *rows[1][:2]], 0, 1))
    assert [ax.get_ylabel() for ax in fig.axes] == ["a", "", "", "b", "", ""]
    assert [ax.get_title() for ax in fig.axes[:3]] == ["1", "2", "3"]


def test_directions_as_greys_have_zero_in_the_middle():
    np.testing.assert_allclose(plot.signed([[-2, 0, 1], [0, 4, 0]]), [[0, 0.5, 0.75], [0.5, 1, 0.5]])


def test_groups_of_errors_are_counted_as_shares_beside_the_mark():
    groups = [[1, 1.1, 1.2, 100], [50.0, 60]]
    names = {"mark": 10, "mark_name": "alarm", "xlabel": "x", "title": "t"}
    axes = plot.error_groups(groups, ["a", "b"], **names).axes
    for ax, words in zip(axes, (["a: 25.0 % above", "alarm"], ["b: 100.0 % above"]), strict=True):
        np.testing.assert_allclose(sum(bar.get_height() for bar in ax.patches), 1)
        assert ax.get_xscale() == "log" and [text.get_text() for text in ax.texts] == words
        assert set(ax.lines[0].get_xdata()) == {10}


def test_numeral_panels_stand_where_the_points_are():
    points = np.random.default_rng(0).random((2, 4, 2))
    left, right = plot.numeral_panels(points, [3, 0, 3, 9], ["a", "b"], xlabel="x", ylabel="y").axes
    for ax, panel in ((left, points[0]), (right, points[1])):
        np.testing.assert_array_equal([text.get_position() for text in ax.texts], panel)
        assert [text.get_text() for text in ax.texts] == ["3", "0", "3", "9"]
        assert len({text.get_color() for text in ax.texts}) == 3


def test_an_autoencoder_is_drawn_from_its_picture_to_the_copy():
    picture, copy = np.random.default_rng(0).random((2, 5, 5))
    ax = plot.autoencoder(picture, copy, [25, 9, 2, 9, 25], title="t").axes[0]
    np.testing.assert_array_equal([image.get_array() for image in ax.images], [picture, copy])
    words = [text.get_text() for text in ax.texts]
    assert words[:5] == ["25", "9", "2", "9", "25"] and {"encoder", "decoder", "x", "copy of x"} < set(words)
    assert len(ax.lines) == 9 * 6 + 6 * 2 + 2 * 6 + 6 * 9


def test_paths_draws_what_was_seen_what_was_not_and_the_path():
    rng = np.random.default_rng(0)
    seen, unseen, path = (rng.random((n, 2)) for n in (5, 3, 9))
    first, second = plot.paths(seen, unseen, [path, path[::-1]], ["a", "b"]).axes
    for ax, line in ((first, path), (second, path[::-1])):
        np.testing.assert_array_equal(ax.lines[0].get_xydata(), line)
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), unseen)
        np.testing.assert_array_equal(ax.collections[1].get_offsets(), seen)
    assert [(text.get_text(), text.xy) for text in first.texts] == [
        ("kept back", tuple(unseen[unseen[:, 1].argmax()])),
        ("seen", tuple(seen[seen[:, 1].argmin()])),
    ]
    assert not second.texts


def test_bars_follow_each_other_differ_in_more_than_colour_and_end_in_a_number():
    parts = [[1.0, 2.0], [0.5, -1e-9]]
    ax = plot.bars(parts, ["low", "high"], ["a", "b"], xlabel="nats", colours=[plot.DATA, plot.MODEL]).axes[0]
    widths = [[(bar.get_x(), bar.get_width()) for bar in group] for group in ax.containers]
    np.testing.assert_allclose(widths, [[(0, 1), (0, 2)], [(1, 0.5), (2, 0)]], atol=1e-8)
    assert [text.get_text() for text in ax.texts] == ["low", "high 0.500", "high 0.000"]
    np.testing.assert_allclose([text.xy for text in ax.texts[1:]], [(1.5, 0), (2, 1)])
    assert ax.get_xlabel() == "nats"
    assert ax.yaxis_inverted() and len({group[0].get_hatch() for group in ax.containers}) == 2


def test_what_is_left_out_is_not_drawn():
    points = np.zeros((2, 2))
    ax = plot.cloud(points, xlabel="x", ylabel="y").axes[0]
    assert not ax.lines and not ax.texts and ax.get_aspect() == "auto"
    assert not plot.histogram([1.0], bins=[0, 2], xlabel="x").axes[0].lines
    one, other = plot.paths(points, points[:0], [points, points], ["a", "b"]).axes
    assert not one.texts and [ax.get_title("left") for ax in (one, other)] == ["a", "b"]


XY = {"xlabel": "x", "ylabel": "y"}
BARS = {"xlabel": "x", "colours": [plot.DATA]}
FIVE = np.arange(10.0).reshape(5, 2)
ROUND = (np.zeros(2), np.eye(2))
MIXTURE = (None, np.zeros((1, 2)), np.ones((1, 2)))
REFUSED = {
    "no numbers": (lambda: plot.curve(["a", "b"], [1, 2], **XY), "x: got list, expected real numbers (M,)"),
    "complex": (lambda: plot.curve([1, 2], [1j, 2], **XY), "y: got list, expected real numbers (2,)"),
    "a mask": (lambda: plot.cloud(np.ma.ones((2, 2)), **XY), "points: got MaskedArray, expected real numbers (N, 2)"),
    "None": (lambda: plot.curve([1, 2], None, **XY), "y: got NoneType"),
    "another length": (
        lambda: plot.named_lines([1, 2], [[1, 2], [1]], "ab", title="t"),
        "ys[1]: got shape (1,), expected (2,)",
    ),
    "no list of lines": (lambda: plot.named_lines([1, 2], 3, "a", title="t"), "ys: got int, expected a list of arrays"),
    "a name missing": (lambda: plot.named_lines([1], [[1], [2]], "a", title="t"), "names: got 1, expected 2, one for"),
    "one name": (lambda: plot.named_lines([1], [[1], [2]], 3, title="t"), "names: got int, expected 2, one for each"),
    "dots": (lambda: plot.curve([1], [1], dots=[1, 2, 3], **XY), "dots: got shape (3,), expected (2, N)"),
    "points in space": (lambda: plot.cloud(np.zeros((4, 3)), **XY), "points: got shape (4, 3), expected (N, 2)"),
    "labels of others": (lambda: plot.cloud(FIVE, labels=[1, 2], **XY), "labels: got shape (2,), expected (5,)"),
    "a cross": (lambda: plot.cloud(FIVE, cross=3, **XY), "cross: got shape (), expected (2,)"),
    "bars": (lambda: plot.bars([1, 2], "a", "bc", **BARS), "parts: got shape (2,), expected (P, M)"),
    "bars and more names": (
        lambda: plot.bars([[1, 2]], "x", "abc", **BARS),
        "names: got 3, expected 2, one for each",
    ),
    "bars without a name": (lambda: plot.bars([[1, 2]], "xy", "bc", **BARS), "labels: got 2, expected 1"),
    "bars without a colour": (
        lambda: plot.bars([[1, 2]], "x", "bc", xlabel="x", colours=[]),
        "colours: got 0, expected",
    ),
    "millions of bins": (
        lambda: plot.histogram(FIVE[0], bins=10**7, xlabel="x"),
        "bins are 10000000: expected 1 to 1000",
    ),
    "as many edges": (
        lambda: plot.histogram(FIVE[0], bins=range(1002), xlabel="x"),
        "bins are 1001: expected 1 to 1000",
    ),
    "no bins": (
        lambda: plot.histogram(FIVE[0], bins=0, xlabel="x"),
        "bins is 0: expected a whole number of at least 1",
    ),
    "half a bin": (lambda: plot.histogram(FIVE[0], bins=2.5, xlabel="x"), "bins is 2.5: expected a whole number"),
    "one edge": (lambda: plot.histogram(FIVE[0], bins=[1], xlabel="x"), "bins are 0: expected 1 to 1000"),
    "edges that fall": (lambda: plot.histogram(FIVE[0], bins=[2, 1], xlabel="x"), "expected edges that rise"),
    "an edge of NaN": (lambda: plot.histogram(FIVE[0], bins=[1, np.nan], xlabel="x"), "expected edges that rise"),
    "nothing to count": (lambda: plot.histogram([np.nan], bins=3, xlabel="x"), "expected finite numbers"),
    "an infinity": (lambda: plot.histogram([1, np.inf], bins=3, xlabel="x"), "expected finite numbers"),
    "a table": (lambda: plot.histogram(FIVE, bins=3, xlabel="x"), "values: got shape (5, 2), expected (N,)"),
    "models": (
        lambda: plot.models_and_likelihood([1, 2], max, [1, 2], [1], [1], bins=2, parameter="m", titles="ab", **XY),
        "y: got shape (1,), expected (2,)",
    ),
    "a surface": (
        lambda: plot.surface([1, 2], [1, 2, 3], np.ones((2, 3)), [], [], title="t", **XY),
        "z: got shape (2, 3), expected (3, 2)",
    ),
    "chances": (
        lambda: plot.chances([1, 2], [0], [1], [[1]], ["a"], mark=1, mark_name="m", title="t", **XY),
        "labels: got shape (1,), expected (2,)",
    ),
    "colours": (
        lambda: plot.named_lines([1], [[1]], "a", colours=[], title="t"),
        "colours: got 0, expected 1, one for each",
    ),
    "no panel": (lambda: plot.scatter_panels(FIVE, "ab", **XY), "panels[0]: got shape (2,), expected (N, 2)"),
    "a title missing": (lambda: plot.scatter_panels([FIVE], "ab", **XY), "titles: got 2, expected 1"),
    "weights that are a colour": (
        lambda: plot.gaussians(FIVE, [0.1, 0.2, 0.3], [ROUND], ["a"], **XY, weight_label="w"),
        "weight: got shape (3,), expected (5,)",
    ),
    "a mean in space": (
        lambda: plot.gaussians(FIVE, FIVE[:, 0], [(np.zeros(3), np.eye(3))], ["a"], **XY, weight_label="w"),
        "mean: got shape (3,), expected (2,)",
    ),
    "a stack of factors": (
        lambda: plot.gaussians(FIVE, FIVE[:, 0], [(np.zeros(2), np.ones((1, 2, 2)))], ["a"], **XY, weight_label="w"),
        "scale_tril: got shape (1, 2, 2), expected (2, 2)",
    ),
    "no weights": (lambda: plot.mixtures(FIVE, [MIXTURE], [], ["a"], **XY), "weights: got 0, expected 1"),
    "two titles": (lambda: plot.mixtures(FIVE, [MIXTURE], [np.ones(5)], "ab", **XY), "titles: got 2, expected 1"),
    "a factor missing": (
        lambda: plot.mixtures(FIVE, [(None, np.zeros((2, 2)), np.ones((1, 2)))], [np.ones(5)], ["a"], **XY),
        "scale_tril: got 1, expected 2, one for each",
    ),
    "a cut": (lambda: plot.cut(*ROUND, 0.5, [1, 2], [1], **XY), "density: got shape (1,), expected (2,)"),
    "shadows": (lambda: plot.shadows(FIVE, FIVE[:3], **XY), "shadows: got shape (3, 2), expected (5, 2)"),
    "space": (lambda: plot.space(FIVE, FIVE, np.eye(3), labels="abc"), "points: got shape (5, 2), expected (N, 3)"),
    "two axes": (
        lambda: plot.space(np.ones((4, 3)), np.ones((4, 3)), np.eye(2), labels="abc"),
        "axes: got shape (2, 2), expected (3, 3)",
    ),
    "two names": (
        lambda: plot.space(np.ones((4, 3)), np.ones((4, 3)), np.eye(3), labels="ab"),
        "labels: got 2, expected 3",
    ),
    "lines": (
        lambda: plot.lines(FIVE, [FIVE[:2]], ["a"], chosen=[0], title="t", **XY),
        "feet[0]: got shape (2, 2), expected (5, 2)",
    ),
    "a stretch": (
        lambda: plot.stretch(np.eye(3), np.eye(2), "ab", xlabel="a", ylabel="b", title="t"),
        "matrix: got shape (3, 3), expected (2, 2)",
    ),
    "upright": (lambda: plot.upright(FIVE, np.eye(3), "abc", title="t"), "points: got shape (5, 2), expected (N, 3)"),
    "falls": (lambda: plot.falls([[1, 2]], [1, 2], ["a"], title="t", **XY), "factors: got 2, expected 1, one for each"),
    "scree": (lambda: plot.scree(FIVE, share=0.9, title="t"), "variances: got shape (5, 2), expected (D,)"),
    "strips": (lambda: plot.strips([np.zeros((3, 4))], ["a"]), "rows[0]: got shape (3, 4), expected (M, H, W)"),
    "names of strips": (lambda: plot.strips(np.zeros((2, 1, 4, 4)), ["a"]), "names: got 1, expected 2"),
    "signed": (lambda: plot.signed([1, 2]), "directions: got shape (2,), expected (M, D)"),
    "numeral panels": (
        lambda: plot.numeral_panels([FIVE], [1], ["a"], **XY),
        "labels: got shape (1,), expected (5,)",
    ),
    "an autoencoder": (
        lambda: plot.autoencoder(np.eye(2), np.eye(2), [1, 2], title="t"),
        "sizes: got 2, expected 5, one for each",
    ),
    "paths": (lambda: plot.paths(FIVE, FIVE, [FIVE[0]], "a"), "paths[0]: got shape (2,), expected (T, 2)"),
    "unseen": (lambda: plot.paths(FIVE, [], [FIVE], "a"), "unseen: got shape (0,), expected (M, 2)"),
    "bytes": (lambda: plot.images(np.full((2, 3, 3), 9, np.uint8), num_columns=2), "go up to 9: expected 0 black to 1"),
    "bytes as floats": (lambda: plot.images(np.full((2, 3, 3), 255.0), num_columns=2), "bytes divided by 255"),
    "no pictures": (lambda: plot.images(np.zeros((0, 3, 3)), num_columns=2), "got shape (0, 3, 3), expected one"),
    "no columns": (
        lambda: plot.images(np.zeros((2, 3, 3)), num_columns=0),
        "num_columns is 0: expected a whole number",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_drawn_is_refused_and_leaves_no_figure(case):
    check_refused(*REFUSED[case])


def test_three_weights_of_three_points_are_no_colour():
    dots = plot.gaussians(FIVE[:3], [0.1, 0.2, 0.9], [ROUND], ["a"], **XY, weight_label="w").axes[0].collections[0]
    np.testing.assert_array_equal(dots.get_array(), [0.1, 0.2, 0.9])


def test_a_thousand_bins_and_whole_black_and_white_pictures_are_drawn():
    assert len(plot.histogram([0.0, 1.0], bins=1000, xlabel="x").axes[0].patches) == 1000
    assert len(plot.histogram([2.0, 2.0], bins=3, xlabel="x").axes[0].patches) == 3
    plot.images(np.ones((2, 3, 3), np.uint8), num_columns=2)
    plot.images(np.full((2, 3, 3), 1.5), num_columns=2)
