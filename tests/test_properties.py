"""What holds for every model, shape, scale and data set, tried on random ones.

`pytest tests/test_properties.py --hypothesis-profile=thorough` tries forty times as many as `make test` does.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from problems import Linear, Mixture, assert_close, bent_log_joint, linear_log_joint, random_tril, seeds

import vaejax as vj
from vaejax import densities, gaussian, gmm, vae
from vaejax import linear_gaussian as lg

sizes = st.integers(1, 4)
scales = st.sampled_from([1e-6, 1e-3, 1.0, 1e3, 1e6])
KEY = jax.random.key(0)


# --- one example: functions of an array and of parameters ---------------------------------------------------------


def gaussian_arguments(rng, dim, scale, diagonal=False):
    tril = random_tril(rng, dim)
    return scale * rng.standard_normal(dim), scale * (np.diag(tril) if diagonal else tril)


def mixture_arguments(rng, dim, num, scale):
    mixture = Mixture.random(rng, num, dim)
    params = gmm.GMMParams(mixture.log_pi, scale * mixture.mu, scale * mixture.scale_tril)
    return params, scale * rng.standard_normal(dim)


def linear_arguments(rng, dim, num, scale):
    model = Linear.random(rng, dim, num)
    params = lg.LinearGaussianParams(scale * model.W, scale * model.b, np.log(scale**2 * model.psi))
    return params, scale * rng.standard_normal(dim)


def with_holes(rng, params, x):
    return params, np.where(rng.random(x.size) < 0.4, np.nan, x)


def plane_arguments(rng, dim, num, scale):
    xs = scale * rng.standard_normal((dim + num + 2, dim + num))
    return lg.pca(xs, num), xs[0]


def network_arguments(rng, dim, num, scale, likelihood):
    params = vae.init(jax.random.key(rng.integers(2**31)), dim, num, hidden=(3,), likelihood=likelihood)
    del scale  # pixels lie between 0 and 1
    return params, rng.random(dim), rng.standard_normal(num)


def bound_of_linear(bound, nodes_of):
    """A bound as a function of everything in it: the model, the example, and the mean and scale of q."""

    def f(params, x, mean, scale_tril):
        return bound(linear_log_joint, params, x, nodes_of(mean, scale_tril))

    def arguments(rng, dim, num, scale):
        params, x = linear_arguments(rng, dim, num, scale)
        params = Linear(params.W, params.b, np.exp(params.log_psi))
        num_latents = params.W.shape[1]
        return params, x, rng.standard_normal(num_latents), random_tril(rng, num_latents)

    return f, arguments


def bound_of_mixture(bound):
    def f(params, x, logits):
        return bound(gmm.log_joint, params, x, vj.enumerate_nodes(jax.nn.log_softmax(logits)))

    return f, lambda rng, dim, num, scale: (*mixture_arguments(rng, dim, num, scale), rng.standard_normal(num))


def on_a_box(low, high):
    return vj.grid_nodes(low, low + jnp.exp(high), 6)


FUNCTIONS = {  # name -> the function, and arguments of a size and a scale
    "log_gaussian": (
        densities.log_gaussian,
        lambda rng, dim, num, scale: (scale * rng.standard_normal(dim), *gaussian_arguments(rng, dim, scale)),
    ),
    "log_gaussian, diagonal": (
        densities.log_gaussian,
        lambda rng, dim, num, scale: (scale * rng.standard_normal(dim), *gaussian_arguments(rng, dim, scale, True)),
    ),
    "log_bernoulli": (
        densities.log_bernoulli,
        lambda rng, dim, num, scale: (rng.random(dim), scale * rng.standard_normal(dim)),
    ),
    "log_categorical": (
        lambda logits: densities.log_categorical(0, logits),
        lambda rng, dim, num, scale: (scale * rng.standard_normal(num),),
    ),
    "kl_gaussian": (
        densities.kl_gaussian,
        lambda rng, dim, num, scale: (*gaussian_arguments(rng, dim, scale), *gaussian_arguments(rng, dim, scale)),
    ),
    "kl_gaussian, diagonal": (
        densities.kl_gaussian,
        lambda rng, dim, num, scale: (
            *gaussian_arguments(rng, dim, scale, True),
            *gaussian_arguments(rng, dim, scale),
        ),
    ),
    "kl_categorical": (
        densities.kl_categorical,
        lambda rng, dim, num, scale: tuple(scale * rng.standard_normal((2, num))),
    ),
    "expect": (
        lambda mean, tril: vj.expect(lambda z: z[:, None] * z[None], vj.cubature_nodes(mean, tril)),
        lambda rng, dim, num, scale: gaussian_arguments(rng, dim, scale),
    ),
    "elbo, cubature": bound_of_linear(vj.elbo, vj.cubature_nodes),
    "elbo, quadrature": bound_of_linear(vj.elbo, lambda mean, tril: vj.quadrature_nodes(mean[:3], tril[:3, :3], 5)),
    "elbo, sampled": bound_of_linear(vj.elbo, lambda mean, tril: vj.sample_nodes(KEY, mean, tril, 3)),
    "iw_bound, sampled": bound_of_linear(vj.iw_bound, lambda mean, tril: vj.sample_nodes(KEY, mean, tril, 3)),
    "elbo, enumerated": bound_of_mixture(vj.elbo),
    "iw_bound, enumerated": bound_of_mixture(vj.iw_bound),
    "iw_bound, grid": (
        lambda low, high: vj.iw_bound(bent_log_joint, (), jnp.ones(1), on_a_box(low, high)),
        lambda rng, dim, num, scale: (-1 - rng.random(1), rng.random(1)),
    ),
    "gmm.log_joints": (gmm.log_joints, mixture_arguments),
    "gmm.log_prob": (gmm.log_prob, mixture_arguments),
    "gmm.responsibilities": (gmm.responsibilities, mixture_arguments),
    "gaussian.log_prob": (
        lambda mean, tril, x: gaussian.log_prob(gaussian.GaussianParams(mean, tril), x),
        lambda rng, dim, num, scale: with_holes(
            rng, *(lambda m, t: ((m, t), m + t.sum(1)))(*gaussian_arguments(rng, dim, scale))
        ),
    ),
    "linear_gaussian.log_marginal": (lg.log_marginal, linear_arguments),
    "linear_gaussian.posterior_moments": (lg.posterior_moments, linear_arguments),
    "linear_gaussian.impute": (
        lg.impute,
        lambda rng, dim, num, scale: with_holes(rng, *linear_arguments(rng, dim, num, scale)),
    ),
    "linear_gaussian.log_joint": (
        lg.log_joint,
        lambda rng, dim, num, scale: (
            *with_holes(rng, *linear_arguments(rng, dim, num, scale)),
            rng.standard_normal(num),
        ),
    ),
    "linear_gaussian.project": (lg.project, plane_arguments),
    "linear_gaussian.reconstruct": (lg.reconstruct, plane_arguments),
    "vae.log_joint, bernoulli": (vae.log_joint, functools.partial(network_arguments, likelihood="bernoulli")),
    "vae.log_joint, gaussian": (vae.log_joint, functools.partial(network_arguments, likelihood="gaussian")),
    "vae.reconstruct": (
        lambda params, x, z: vae.reconstruct(params, x),
        functools.partial(network_arguments, likelihood="bernoulli"),
    ),
    "vae.decode": (
        lambda params, x, z: vae.decode(params, z),
        functools.partial(network_arguments, likelihood="gaussian"),
    ),
}
