"""The peers' VAE in numpyro: a model, a guide, and `svi.update` in a scan over batches that lie on the device."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import SVI, Trace_ELBO


def way(xs, layers, batch_size):
    """`layers` holds the start: lists of (weights (in, out), bias (out,)) for encoder and decoder."""
    num_latents = layers["decoder"][0][0].shape[0]

    def model(x):
        *hidden, (weights, bias) = numpyro.param("decoder", layers["decoder"])
        with numpyro.plate("batch", batch_size):
            z = numpyro.sample("z", dist.Normal(jnp.zeros(num_latents), 1.0).to_event(1))
            logits = _through(hidden, z) @ weights + bias
            # grey pixels are no draws of a Bernoulli to numpyro: the same log likelihood as a factor
            numpyro.factor("x", (x * logits - jax.nn.softplus(logits)).sum(-1))

    def guide(x):
        *hidden, mean, log_scale = numpyro.param("encoder", layers["encoder"])
        h = _through(hidden, x)
        with numpyro.plate("batch", batch_size):
            q = dist.Normal(h @ mean[0] + mean[1], jnp.exp(h @ log_scale[0] + log_scale[1]))
            numpyro.sample("z", q.to_event(1))

    svi = SVI(model, guide, numpyro.optim.Adam(1e-3), Trace_ELBO())
    data = jnp.asarray(xs)

    @jax.jit
    def steps(state, indices):
        return jax.lax.scan(lambda state, index: svi.update(state, data[index]), state, indices)

    def run(num_steps):
        state, rng, losses = svi.init(jax.random.key(0), data[:batch_size]), np.random.default_rng(0), []
        for _ in range(num_steps // 100):
            indices = rng.permutation(len(xs))[: 100 * batch_size].reshape(100, batch_size)
            state, loss = steps(state, indices)
            losses.append(np.asarray(loss))
        losses = np.concatenate(losses)
        return -float(losses[-(-num_steps // 4) :].mean()) / batch_size

    return run


def _through(layers, h):
    for weights, bias in layers:
        h = jax.nn.silu(h @ weights + bias)
    return h
