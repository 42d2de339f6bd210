"""One log-ratio, two bounds: all the chapters of the book.

You write `log_joint(params, x, z)`, the log density of one example with one completion. `log_weights` compares it with
q at every node; `elbo` averages the logs, `iw_bound` takes the log of the average. Jensen's inequality says which of
the two is smaller.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vaejax.doors import check_batch, check_count, check_key, count_examples
from vaejax.sharding import Sharded, drop_padding, replicate_like


class FastEStep(NamedTuple):
    """Another route to the averages of a model's E-step, for speed."""

    prepare: Callable  # (xs, weight (N,) of the examples, None for 1/N each) -> a pytree of arrays, made once a fit
    e_step: Callable  # (params, prepared) -> (mean T, mean bound), as from `statistics` and `elbo`


class LatentModel(NamedTuple):
    """A latent-variable model: functions only, so it can be a static argument of `jax.jit`.

    Make one once, at the top of a module or a notebook: a model made of fresh lambdas compiles anew each time.
    """

    log_joint: Callable  # (params, x, z) -> (): log p(x, z) of one example and one completion, in nats
    posterior: Callable  # (params, x, key) -> Nodes: how to complete one example; exact ones start with `del key`
    statistics: Callable | None = None  # (params, x, nodes) -> T, linear in nodes.weight
    m_step: Callable | None = None  # (params, mean of T over the examples) -> params
    recentre: Callable | None = None  # (T, old, new) -> T around the new parameters; None where T has no centre
    fast: FastEStep | None = None  # the same averages by another route
    check: Callable | None = None  # (params, xs) -> None, or ValueError: can xs be scored? default: finite, not empty


def log_weights(log_joint, params, x, nodes):
    """log w_s = log p(x, z_s) - log q(z_s), the one array from which both bounds are made.

    Args:
        log_joint: function (params, x, z) -> () of one example and one completion.
        params: its parameters.
        x: one example.
        nodes: the `Nodes` of that example.

    Returns:
        (S,) nats.

    Raises:
        ValueError: `log_joint` does not return one number.
    """
    log_p = jax.vmap(lambda z: log_joint(params, x, z))(nodes.z)
    if jnp.shape(log_p) != nodes.log_q.shape:
        raise ValueError(
            f"log_joint returned an array of shape {jnp.shape(log_p)[1:]} for one example and one completion: expected "
            "one number, (); sum over the dimensions of x inside log_joint"
        )
    return log_p - nodes.log_q


def elbo(log_joint, params, x, nodes):
    """The evidence lower bound of one example: the average log weight.

    sum_s weight_s (log p(x, z_s) - log q(z_s)) = E_q[log p(x, z) - log q(z)] = log p(x) - KL(q || p(z | x))

    Never above log p(x), and equal to it where q is the posterior; with sampled nodes, an unbiased estimate of that
    bound. A node of weight zero counts for nothing, whatever its log weight (0 log 0 = 0). Is -inf where q puts weight
    on a z that p forbids.

    Args:
        log_joint, params, x, nodes: as in `log_weights`.

    Returns:
        () nats.

    Source: Kingma and Welling (2014), Auto-Encoding Variational Bayes, (2).
    """
    used, log_w = _on_support(log_joint, params, x, nodes)
    return jnp.where(used, nodes.weight * log_w, 0).sum()


def iw_bound(log_joint, params, x, nodes):
    """The importance-weighted bound of one example: the log of the average weight.

    log sum_s weight_s exp(log p(x, z_s) - log q(z_s)) = log E_q[p(x, z) / q(z)]

    With nodes that integrate exactly and a q that covers the posterior this is log p(x). With sampled nodes its
    expectation lies between the ELBO and log p(x), and rises with the number of samples.

    Args:
        log_joint, params, x, nodes: as in `log_weights`.

    Returns:
        () nats.

    Source: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, (8).
    """
    used, log_w = _on_support(log_joint, params, x, nodes)
    return logsumexp(log_w, b=jnp.where(used, nodes.weight, 0))


def mean_bound(model, params, xs, key, bound=elbo, chunk_size=None):
    """The bound of each example, averaged over the data set. Compiled here, at the batch boundary.

    Args:
        model: a `LatentModel`; it and `bound` are static, so make them once.
        params: its parameters.
        xs: (N, D) examples, or a pytree whose leaves share the leading axis N; or what `vaejax.shard` makes of them.
        key: a key from `jax.random.key`, split over the examples; None for a model whose posterior is exact.
        bound: `elbo` or `iw_bound`.
        chunk_size: look at so many examples at a time, so that what the bound and its gradient need beside the data
            does not grow with N; the gradient then computes each chunk twice. None looks at all at once, and is the
            choice for sharded data: a chunk would lie on a few devices while the others wait.

    Returns:
        () nats per example.

    Raises:
        ValueError: a bad chunk_size; or from `model.check`, or from `check_batch` where the model has none.
    """
    check_model_data(model, params, xs)
    if chunk_size is not None:
        check_count("chunk_size", chunk_size)
    params, key = replicate_like(xs, (params, key))
    return _mean_bound(model, params, jax.tree.map(jnp.asarray, xs), key, bound, chunk_size)


def posterior_nodes(model, params, xs, key):
    """The nodes of all examples: `model.posterior` of each, with a key of its own. Leaves have the leading axis N."""
    return jax.vmap(model.posterior, in_axes=(None, 0, None if key is None else 0))(params, xs, _keys_for(xs, key))


def batch_bound(model, params, xs, nodes, bound=elbo):
    """The mean over the examples of `bound`, for nodes that are already made. Returns () nats per example."""
    return jax.vmap(lambda x, n: bound(model.log_joint, params, x, n))(xs, nodes).mean()


def check_model_data(model, params, xs):
    """The check at every public door: the model's own where it has one, `check_batch` otherwise."""
    if not isinstance(model, LatentModel):
        raise ValueError(f"model is {type(model).__name__}: expected a vaejax.LatentModel")
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((params, xs))):
        count_examples(xs)  # within jit or grad there are no values to look at
        return
    xs = xs.padded if isinstance(xs, Sharded) else xs  # looked at by all hosts together
    if model.check is not None:
        model.check(params, xs)
    else:
        check_batch(xs)


@partial(jax.jit, static_argnames=("model", "bound", "chunk_size"))
def _mean_bound(model, params, xs, key, bound, chunk_size):
    xs = drop_padding(xs)
    if chunk_size is None:
        return batch_bound(model, params, xs, posterior_nodes(model, params, xs, key), bound)

    @jax.checkpoint  # the gradient computes a chunk again, and need not keep what was inside
    def bound_of(example):
        x, key = example
        return bound(model.log_joint, params, x, model.posterior(params, x, key))

    return jax.lax.map(bound_of, (xs, _keys_for(xs, key)), batch_size=chunk_size).mean()


def _keys_for(xs, key):
    """A key for each example, or None where there is none."""
    num_examples = count_examples(xs)
    if key is None:
        return None
    check_key(key)
    return jax.random.split(key, num_examples)


def _on_support(log_joint, params, x, nodes):
    """Which nodes count, and the log weights with zeros elsewhere, so that no gradient meets 0 * inf."""
    used = nodes.weight != 0  # NaN counts, so that what went wrong is seen
    return used, jnp.where(used, log_weights(log_joint, params, x, nodes), 0)
