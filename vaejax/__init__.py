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
from vaejax.bounds import FastEStep, LatentModel, elbo, iw_bound, log_weights, mean_bound
from vaejax.expectation import blend, e_step, em, em_step, prepare
from vaejax.files import load, save
from vaejax.gradient_ascent import maximize
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
from vaejax.sharding import shard

__all__ = [
    "FastEStep",
    "LatentModel",
    "Nodes",
    "blend",
    "bounds",
    "check",
    "cubature_nodes",
    "data",
    "densities",
    "e_step",
    "elbo",
    "em",
    "em_step",
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
    "log_weights",
    "maximize",
    "mean_bound",
    "nodes",
    "observed",
    "plot",
    "prepare",
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
