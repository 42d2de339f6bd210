"""Figures of the chapters. Each function takes arrays and returns the figure; colours and sizes are in style.py.

To import it sets the look of all figures of the session, a reader's own among them.
"""

from vaejax.book.plot.appendix_a import (
    bounds_below,
    label_graphs,
    label_map,
    level_above,
    prior_gains,
    q_over_posterior,
    worths,
)
from vaejax.book.plot.appendix_b import falling, lag, look_and_move, river, tracks, two_walks, ways_back
from vaejax.book.plot.basics import (
    bars,
    cloud,
    curve,
    gallery,
    gaussians,
    histogram,
    images,
    named_lines,
    numeral_panels,
    scatter_panels,
    strips,
)
from vaejax.book.plot.bent import (
    bending,
    growth,
    heats,
    humps,
    race,
    scatter_of_estimates,
    sheet_of_images,
    under,
    warped,
    z_to_x_plate,
)
from vaejax.book.plot.digits import (
    amortised,
    bound_in_parts,
    collapse,
    manifold,
    maps,
    reparametrised,
    sorted_gaps,
    where_lost,
)
from vaejax.book.plot.factors import (
    ITEMS,
    beads,
    blocks,
    factor_plate,
    filled_in,
    held_out,
    loadings,
    pixel_maps,
    places,
    told,
)
from vaejax.book.plot.likelihood import chances, models_and_likelihood, surface
from vaejax.book.plot.misconceptions import on_logs, peaks, price, rows_of_dots, thumbnails, two_lines, uphill
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
