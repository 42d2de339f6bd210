"""One log-ratio, two bounds: all the chapters of the book.

You write `log_joint(params, x, z)`, the log density of one example with one completion. `log_weights` compares it with
q at every node; `elbo` averages the logs, `iw_bound` takes the log of the average. Jensen's inequality says which of
the two is smaller.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp

from vaejax.doors import as_float, check_batch, check_count, check_function, check_key, count_examples, is_traced
from vaejax.nodes import Nodes, check_nodes, check_product_rule, grid_nodes, join, on_support
from vaejax.numerics import full_precision, kahan_add
from vaejax.sharding import Sharded, drop_padding, replicate_like

MOST_PAIRS = 2**15  # of a grid point and an example, that are looked at together


class FastEStep(NamedTuple):
    """Another route to the averages of a model's E-step, for speed."""

    prepare: Callable  # (xs, weight (N,) of the examples, None for 1/N each) -> a pytree of arrays, made once a fit
    e_step: Callable  # (params, prepared) -> (mean T, mean bound), as from `statistics` and `elbo`
    replaces: tuple  # the model's (log_joint, posterior, statistics), of which these are the averages
    is_summary: bool = False  # is what `prepare` makes of the same size for any N? Then no step reads a file


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
        ValueError: `log_joint` does not return one number, or `nodes` are no `Nodes` of at least one point.
    """
    _check_shapes(nodes)
    check_function("log_joint", log_joint, "the log_joint of a LatentModel")
    # numpy's arrays cannot be read at a label that is traced, params.mu[z], and JAX's can
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf) if hasattr(leaf, "dtype") else leaf, params)
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

    With nodes that integrate exactly, never above log p(x), and equal to it where q is the posterior; with sampled
    nodes, an unbiased estimate of that bound. A node of weight zero counts for nothing, whatever its log weight
    (0 log 0 = 0). Is -inf where q puts weight on a z that p forbids.

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


def mean_bound(model, params, xs, key, bound=elbo, num_samples=1, chunk_size=None):
    """The bound of each example, averaged over the data set. Compiled here, at the batch boundary.

    Args:
        model: a `LatentModel`; it and `bound` are static, so make them once.
        params: its parameters.
        xs: (N, ...) examples, or a pytree whose leaves share the leading axis N; or what `vaejax.shard` makes of them.
        key: a key from `jax.random.key`, split over the examples; None for a model whose posterior is exact.
        bound: `elbo` or `iw_bound`, or a function of the same signature.
        num_samples: S, so many times is each example completed, by keys of their own, and what came is joined: `elbo`
            is then the average of S draws, `iw_bound` the importance-weighted bound with S. Without a key, once.
        chunk_size: look at so many examples at a time, so that what the bound and its gradient need beside the data
            does not grow with N; the gradient then computes each chunk twice. None looks at all at once, and is the
            choice for sharded data: a chunk would lie on a few devices while the others wait.

    Returns:
        () nats per example.

    Raises:
        ValueError: a bad count; weights of the posterior that do not add up to one; or from `model.check`, or from
            `check_batch` where the model has none.
    """
    check_model_data(model, params, xs)
    check_count("num_samples", num_samples)
    check_function("bound", bound, "vaejax.elbo or vaejax.iw_bound")
    if chunk_size is not None:
        check_count("chunk_size", chunk_size)
    check_key(key, or_none=True)
    check_weights_of(model, params, xs, key)
    params, key = replicate_like(xs, (params, key))
    return _mean_bound(model, params, jax.tree.map(jnp.asarray, xs), key, bound, int(num_samples), chunk_size)


def log_likelihood(model, params, xs, key, *, num_samples=1000, chunk_size=20):
    """log p(x) of each example, by importance sampling from the model's posterior: `iw_bound` with many samples.

    log p(x) = log E_q[p(x, z) / q(z)]

    Exact where the posterior is; else too low on average, the less so the more samples. Memory is that of `chunk_size`
    samples of each example.

    Args:
        model: a `LatentModel`; static, so make it once.
        params, xs: as in `mean_bound`.
        key: a key from `jax.random.key`; None for a model whose posterior is exact, and is then asked once.
        num_samples: S, a multiple of `chunk_size`.
        chunk_size: samples at a time.

    Returns:
        (N,) nats.

    Raises:
        ValueError: bad data, or counts that do not fit.

    Source: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, (8).
    """
    check_count("num_samples", num_samples)
    check_count("chunk_size", chunk_size)
    if num_samples % chunk_size:
        raise ValueError(f"num_samples is {num_samples}: expected a multiple of chunk_size, which is {chunk_size}")
    check_key(key, or_none=True)
    check_model_data(model, params, xs)
    check_weights_of(model, params, xs, key)
    params, key = replicate_like(xs, (params, key))
    num_chunks = 1 if key is None else int(num_samples // chunk_size)
    return _log_likelihood(model, params, jax.tree.map(jnp.asarray, xs), key, num_chunks, int(chunk_size))


def log_likelihood_on_grid(model, params, xs, *, low, high, num_points):
    """log p(x) of each example, by a sum over a grid: the truth, for a continuous z of at most three dimensions.

    log p(x) = log sum_s p(x, z_s) |cell|, up to the grid's error, with z_s the midpoints of the n^L cells of a box

    Halve the cells and widen the box: where nothing moves, and cells are narrower than the posterior, it is right.
    q has no part in it.

    Args:
        model: a `LatentModel` whose z is one vector (L,); static, so make it once. What its `log_joint` makes of z
            alone, as decoding it, is done once for all examples.
        params, xs: as in `mean_bound`.
        low, high: (L,) corners of the box, L <= 3, low < high.
        num_points: n, cells for each dimension.

    Returns:
        (N,) nats.

    Raises:
        ValueError: bad data, more than 10^7 cells, or corners that `grid_nodes` refuses.
    """
    low, high = as_float(low, high)
    grid_nodes(low, high, 1)  # refuses what are no corners
    check_product_rule("log_likelihood_on_grid", low.size, num_points)
    check_model_data(model, params, xs)
    params, low, high = replicate_like(xs, (params, low, high))
    return _log_likelihood_on_grid(model, params, jax.tree.map(jnp.asarray, xs), low, high, int(num_points))


def complete(model, params, x, key, num_samples=1):
    """The nodes of one example: of `model.posterior`, or of `num_samples` calls of it, each with a key of its own."""
    once, draw = key is None or num_samples == 1, partial(model.posterior, params, x)
    nodes = draw(key) if once else jax.vmap(draw)(jax.random.split(key, num_samples))
    check_nodes("the posterior", nodes)
    return nodes if once else join(nodes)


def batch_bound(model, params, xs, nodes, bound=elbo):
    """The mean over the examples of `bound`, for nodes that are already made. Returns () nats per example."""
    return jax.vmap(lambda x, n: bound(model.log_joint, params, x, n))(xs, nodes).mean()


def check_model(model):
    """ValueError unless model is a `LatentModel` that can be a static argument."""
    if not isinstance(model, LatentModel):
        raise ValueError(f"model is {type(model).__name__}: expected a vaejax.LatentModel")
    try:
        hash(model)
    except TypeError as error:
        raise ValueError(f"the model cannot be hashed ({error}): make it of plain functions, for jax.jit") from None


def check_model_data(model, params, xs):
    """The check at every public door: the model's own where it has one, `check_batch` otherwise."""
    check_model(model)
    if is_traced(params, xs):
        count_examples(xs)  # within jit or grad there are no values to look at
        return
    xs = xs.padded if isinstance(xs, Sharded) else xs  # looked at by all hosts together
    if model.check is not None:
        model.check(params, xs)
    else:
        check_batch(xs)


def check_weights_of(model, params, xs, key):
    """ValueError unless the weights of the first example's nodes add up to one, by a posterior of the user's own.

    What is sharded or prepared, which has a mesh, is not looked at: its first example may lie with another host.
    """
    is_ours = (getattr(model.posterior, "__module__", None) or "").startswith("vaejax.")
    if not is_ours and not hasattr(xs, "mesh") and not is_traced(params, xs, key):
        first = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), xs)
        _check_sum(jax.jit(complete, static_argnames="model")(model, params, first, key).weight)


@partial(jax.jit, static_argnames=("model", "bound", "num_samples", "chunk_size"))
def _mean_bound(model, params, xs, key, bound, num_samples, chunk_size):
    return _score(model, params, drop_padding(xs), key, bound, num_samples, chunk_size).mean()


def _score(model, params, xs, key, bound, num_samples, chunk_size=None):
    """The bound of each example, (N,), each completed with a key of its own; all at once, or so many at a time."""

    def nodes_of(x, key):
        return complete(model, params, x, key, num_samples)

    def bound_of(x, nodes):
        return bound(model.log_joint, params, x, nodes)

    key = None if key is None else jax.random.split(key, count_examples(xs))
    if chunk_size is None:
        return jax.vmap(bound_of)(xs, jax.vmap(nodes_of)(xs, key))
    # the gradient computes a chunk again, and need not keep what was inside
    of_example = jax.checkpoint(lambda example: bound_of(example[0], nodes_of(*example)))
    return jax.lax.map(of_example, (xs, key), batch_size=chunk_size)


@partial(jax.jit, static_argnames=("model", "num_chunks", "chunk_size"))
def _log_likelihood(model, params, xs, key, num_chunks, chunk_size):
    def chunk(key):
        return _score(model, params, drop_padding(xs), key, iw_bound, chunk_size)

    if num_chunks == 1:
        return chunk(key)
    return logsumexp(jax.lax.map(chunk, jax.random.split(key, num_chunks)), 0) - jnp.log(num_chunks)


@partial(jax.jit, static_argnames=("model", "num_points"))
@full_precision
def _log_likelihood_on_grid(model, params, xs, low, high, num_points):
    """A running log-sum-exp over chunks of the grid, its points made where they are needed."""
    xs, shape = drop_padding(xs), (num_points,) * low.size
    num_cells, chunk_size = math.prod(shape), max(1, MOST_PAIRS // count_examples(xs))
    log_joints = getattr(model.log_joint, "all_pairs", partial(all_pairs, model.log_joint))

    def add(carry, start):
        cells = start + jnp.arange(chunk_size)
        unit = (jnp.stack(jnp.unravel_index(cells, shape), 1) + 0.5) / num_points
        log_p = log_joints(params, xs, low[None] + (high - low)[None] * unit)
        log_p = jnp.where((cells < num_cells)[:, None], log_p, -jnp.inf)  # (S, N)
        peak, sums = carry
        top = jnp.maximum(peak, log_p.max(0))
        return (top, jnp.stack(kahan_add(sums * jnp.exp(peak - top)[None], jnp.exp(log_p - top[None]).sum(0)))), None

    like = jax.eval_shape(log_joints, params, xs, low[None])
    zero, lowest = jnp.zeros((2, like.shape[1]), like.dtype), jnp.finfo(like.dtype).min
    (peak, (total, _)), _ = jax.lax.scan(add, (zero[0] + lowest, zero), jnp.arange(0, num_cells, chunk_size))
    return peak + jnp.log(total) + jnp.log((high - low) / num_points).sum()


def all_pairs(log_joint, params, xs, zs):
    """log p(x, z) of every z with every x, (S, N). A `log_joint` that knows a faster way has it as its `all_pairs`."""

    def pair(z, x):
        nothing = jnp.zeros(1, zs.dtype)
        return log_weights(log_joint, params, x, Nodes(z[None], nothing, nothing))[0]

    return jax.vmap(lambda z: jax.vmap(lambda x: pair(z, x))(xs))(zs)


def _on_support(log_joint, params, x, nodes):
    """Which nodes count, and the log weights with zeros elsewhere, so that no gradient meets 0 * inf."""
    _check_shapes(nodes)
    _check_sum(nodes.weight)
    used, z = on_support(nodes)
    return used, jnp.where(used, log_weights(log_joint, params, x, nodes._replace(z=z)), 0)


def _check_sum(weight):
    total = weight.sum()
    if not is_traced(total) and not abs(total - 1) < 1e-2:
        raise ValueError(f"the weights of these nodes add up to {total:.3g}, not to 1: divide them by their sum")


def _check_shapes(nodes):
    """ValueError unless nodes are Nodes, with one weight and one log_q for each of at least one z."""
    check_nodes("whoever made these nodes", nodes)
    shape = jnp.shape(nodes.weight)
    leading = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(nodes.z)}
    if len(shape) != 1 or shape == (0,) or jnp.shape(nodes.log_q) != shape or leading != {shape}:
        raise ValueError(
            f"these nodes have weights of shape {shape}, log_q of shape {jnp.shape(nodes.log_q)} and z of "
            f"{jax.tree.map(jnp.shape, nodes.z)}: expected (S,), (S,) and (S, ...), S at least 1; vmap over batches"
        )
