"""Figures of the chapters. Each function takes arrays and returns the figure; colours and sizes are in matplotlibrc."""

from vaejax.book.plot.appendix_a import (
    bounds_below,
    label_graphs,
    label_map,
    level_above,
    prior_gains,
    q_over_posterior,
    worths,
)
from vaejax.book.plot.basics import (
    bars,
    cloud,
    curve,
    curves,
    gallery,
    gaussians,
    histogram,
    images,
    matrix,
    named_lines,
    numeral_panels,
    numerals,
    scatter_panels,
    strips,
)
from vaejax.book.plot.likelihood import chances, models_and_likelihood, surface
from vaejax.book.plot.mixtures import (
    cut,
    dial,
    distances,
    fillings,
    half_steps,
    kinds,
    mixtures,
    noisy,
    starts,
    territories,
    touching,
)
from vaejax.book.plot.projections import (
    autoencoder,
    error_groups,
    falls,
    lines,
    paths,
    scree,
    shadows,
    signed,
    space,
    stretch,
    upright,
)
from vaejax.book.plot.style import DATA, MODEL, POSTERIOR, QUIET, TRUTH, sharp
