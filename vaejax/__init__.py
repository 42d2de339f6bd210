"""vaejax: from maximum likelihood to the variational autoencoder, on two bounds.

What the chapters need around it, checks, data and plots, is in `vaejax.book`, which is imported by itself.
"""

from vaejax import densities, gaussian, gmm, linear_gaussian, vae
from vaejax.bounds import (
    FastEStep,
    LatentModel,
    elbo,
    iw_bound,
    log_likelihood,
    log_likelihood_on_grid,
    log_weights,
    mean_bound,
)
from vaejax.expectation import blend, e_step, em, em_step, prepare
from vaejax.files import load, save
from vaejax.gradient_ascent import maximize
from vaejax.nodes import (
    Nodes,
    bind,
    cubature_nodes,
    enumerate_nodes,
    expect,
    grid_nodes,
    observed,
    quadrature_nodes,
    sample_nodes,
)
from vaejax.sharding import shard
