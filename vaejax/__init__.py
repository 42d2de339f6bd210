"""vaejax: from maximum likelihood to the variational autoencoder, on one bound."""

import importlib

from vaejax import (
    bounds,
    check,
    data,
    densities,
    expectation,
    files,
    gaussian,
    gmm,
    gradient_ascent,
    linear_gaussian,
    nodes,
    sharding,
    vae,
)
from vaejax.bounds import (
    LatentModel,
    elbo,
    iw_bound,
    log_likelihood,
    log_likelihood_on_grid,
    log_weights,
    mean_bound,
)
from vaejax.expectation import em
from vaejax.files import load, save
from vaejax.gradient_ascent import ascend, maximize
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

__all__ = [
    "LatentModel",
    "Nodes",
    "ascend",
    "bind",
    "bounds",
    "check",
    "cubature_nodes",
    "data",
    "densities",
    "elbo",
    "em",
    "enumerate_nodes",
    "expect",
    "expectation",
    "files",
    "gaussian",
    "gmm",
    "gradient_ascent",
    "grid_nodes",
    "iw_bound",
    "linear_gaussian",
    "load",
    "log_likelihood",
    "log_likelihood_on_grid",
    "log_weights",
    "maximize",
    "mean_bound",
    "nodes",
    "observed",
    "plot",
    "quadrature_nodes",
    "sample_nodes",
    "save",
    "shard",
    "sharding",
    "vae",
]


def __getattr__(name):
    if name == "plot":  # at its first use: importing matplotlib takes ten times longer than all the rest
        return importlib.import_module("vaejax.plot")
    raise AttributeError(f"module 'vaejax' has no attribute {name!r}")
