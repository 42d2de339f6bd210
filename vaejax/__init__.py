"""vaejax: from maximum likelihood to the variational autoencoder, on one bound."""

from vaejax import bounds, check, data, densities, files, fit, gaussian, gmm, linear_gaussian, nodes, plot, vae
from vaejax.bounds import LatentModel, elbo, iw_bound, log_weights, mean_bound
from vaejax.files import load, save
from vaejax.fit import em, maximize
from vaejax.nodes import (
    Nodes,
    cubature_nodes,
    enumerate_nodes,
    expect,
    grid_nodes,
    observed,
    quadrature_nodes,
    sample_nodes,
)

__all__ = [
    "LatentModel",
    "Nodes",
    "bounds",
    "check",
    "cubature_nodes",
    "data",
    "densities",
    "elbo",
    "em",
    "enumerate_nodes",
    "expect",
    "files",
    "fit",
    "gaussian",
    "gmm",
    "grid_nodes",
    "iw_bound",
    "linear_gaussian",
    "load",
    "log_weights",
    "maximize",
    "mean_bound",
    "nodes",
    "observed",
    "plot",
    "quadrature_nodes",
    "sample_nodes",
    "save",
    "vae",
]
