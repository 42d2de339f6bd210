"""The mistakes that learners make most, each with the words that must come back: what came, what was expected.

Bad values of single arguments are tested beside the function they belong to.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vaejax as vj
from vaejax import gaussian, gmm, vae
from vaejax import linear_gaussian as lg
from vaejax.book import check, data

KEY = jax.random.key(0)
XS = np.random.default_rng(0).standard_normal((30, 2))
PIXELS = np.random.default_rng(1).random((10, 16))
MIXTURE = gmm.init(XS, 3, KEY)
FACTORS = lg.ppca_mle(XS, 1)
NETS = vae.init(KEY, 16, 2, hidden=(3,))
ADAM = {"optimizer": optax.adam(1e-2), "num_steps": 2}


class Frame:  # as pandas has them
    shape, ndim = XS.shape, 2


def squares(params, xs, key):
    return -((xs - params[None]) ** 2).sum(1).mean()


def log_joint(params, x, z):
    return -0.5 * (x - z) ** 2  # one number for each feature, not their sum


def on_grid(xs, num_latents=2, num_points=5, params=NETS):
    ends = dict(low=-np.ones(num_latents), high=np.ones(num_latents))
    return vj.log_likelihood_on_grid(vae.make_vae(), params, xs, num_points=num_points, **ends)


def em(model, params, xs, **options):
    return vj.em(model, params, xs, **{"num_steps": 2} | options)


def climb(objective=squares, params=None, xs=XS, key=KEY, **options):
    return vj.maximize(objective, jnp.zeros(2) if params is None else params, xs, key, **ADAM | options)


MISTAKES = {
    "features along the first axis": (
        lambda: em(gmm.GMM, MIXTURE, XS.T), "beside examples of 30 features: expected (K,), (K, D), (K, D, D)"
    ),
    "features along the first axis, factors": (
        lambda: em(lg.PPCA, FACTORS, XS.T), "beside examples of 30 features: expected (D, L), (D,), (D,)"
    ),
    "one example to em": (lambda: em(gmm.GMM, MIXTURE, XS[0]), "expected (N, D)"),
    "a batch to an encoder": (lambda: vae.encode(NETS, PIXELS), "this encoder reads one example of shape (16,)"),
    "a list of lists": (lambda: em(gmm.GMM, MIXTURE, XS.tolist()), "numpy.asarray"),
    "a list to maximize": (lambda: climb(xs=XS.tolist()), "make a list an array with numpy.asarray"),
    "a list of lists, factors": (lambda: em(lg.PPCA, FACTORS, XS.tolist()), "numpy.asarray"),
    "a list of lists, one Gaussian": (lambda: gaussian.init(XS.tolist()), "numpy.asarray"),
    "the data set, not its table": (lambda: gmm.init(data.load("old_faithful"), 2, KEY), "expected an array"),
    "the spiral, not its points": (lambda: lg.pca(data.spiral(30, 0), 1), "pass its .xs"),
    "a masked array": (lambda: lg.pca(np.ma.masked_less(XS, 0), 1), "xs.filled(numpy.nan)"),
    "no array, though it has a shape": (lambda: em(gmm.GMM, MIXTURE, Frame()), "are a Frame: expected arrays"),
    "sharded data to a start": (lambda: gmm.init(vj.shard(XS), 3, KEY), "expected an array, such as xs[:5000]"),
    "sharded data to PCA": (lambda: lg.pca(vj.shard(XS), 1), "expected an array, such as xs[:5000]"),
    "integers": (lambda: em(lg.PPCA, FACTORS, np.ones((5, 2), int)), "convert with xs.astype('float32')"),
    "half precision to PCA": (lambda: lg.pca(XS.astype(np.float16), 1), "xs holds float16: expected float32"),
    "half precision to a mixture": (lambda: gmm.init(XS.astype(np.float16), 2, KEY), "convert with xs.astype"),
    "half precision to one Gaussian": (lambda: gaussian.init(jnp.asarray(XS, jnp.bfloat16)), "xs holds bfloat16"),
    "half precision to factors": (lambda: em(lg.PPCA, FACTORS, XS.astype(np.float16)), "convert with xs.astype"),
    "bytes for pixels": (lambda: climb(vae.make_vae(), NETS, PIXELS * 255), "divide bytes by 255"),
    "pictures, not rows": (lambda: climb(vae.make_vae(), NETS, PIXELS.reshape(10, 4, 4)), "see numpy.reshape"),
    "labels for images": (lambda: climb(vae.make_vae(), NETS, np.arange(10)), "expected (N, D)"),
    "missing entries in images": (
        lambda: climb(vae.make_vae(), NETS, np.where(PIXELS > 0.5, np.nan, PIXELS)), "NaN or infinite entries"
    ),
    "missing entries in a mixture": (
        lambda: gmm.init(np.where(XS > 1, np.nan, XS), 2, KEY), "integrates them out, such as gaussian.GAUSSIAN"
    ),
    "missing entries in the fast step": (
        lambda: em(lg.PPCA, FACTORS, np.where(XS > 1, np.nan, XS)), "use em(..., fast=False)"
    ),
    "no data left": (lambda: em(gmm.GMM, MIXTURE, XS[XS[:, 0] > 99]), "(0, 2)"),
    "tables of two lengths": (
        lambda: climb(lambda p, d, k: p.sum(), xs=(XS, XS[:5])), "expected all arrays to share the first axis"
    ),
    "a forgotten key": (lambda: climb(key=None), "key is None"),
    "a seed for a key": (lambda: climb(key=0), "key is int: pass key=jax.random.key(0)"),
    "a seed for a key, in a bound": (
        lambda: vj.mean_bound(vae.make_vae(), NETS, PIXELS, 0), "pass key=jax.random.key(0)"
    ),
    "many keys for one": (lambda: gmm.sample(MIXTURE, jax.random.split(KEY, 3), 5), "key is key<fry>[3]: pass"),
    "half a key": (lambda: gmm.sample(MIXTURE, np.zeros(1, np.uint32), 5), "key is uint32[1]: pass"),
    "key and data swapped": (lambda: gmm.init(KEY, 3, XS), "key is float64[30, 2]: pass"),
    "a module for a model": (lambda: em(gmm, MIXTURE, XS), "model is module: expected a vaejax.LatentModel"),
    "the parameters of another model": (lambda: em(lg.PPCA, MIXTURE, XS), "GMMParams: expected LinearGaussianParams"),
    "one Gaussian for a mixture": (lambda: em(gmm.GMM, gaussian.init(XS), XS), "GaussianParams: expected GMMParams"),
    "a mixture for one Gaussian": (lambda: em(gaussian.GAUSSIAN, MIXTURE, XS), "as gaussian.init makes them"),
    "a plain tuple of parameters": (lambda: em(gmm.GMM, tuple(MIXTURE), XS), "params are tuple: expected GMMParams"),
    "a covariance for its factor": (
        lambda: em(gaussian.GAUSSIAN, gaussian.GaussianParams(jnp.zeros(2), jnp.array([[1, 0.5], [0.5, 1]])), XS),
        "numpy.linalg.cholesky",
    ),
    "covariances for their factors": (
        lambda: em(gmm.GMM, MIXTURE._replace(scale_tril=MIXTURE.scale_tril.mT), XS), "numpy.linalg.cholesky"
    ),
    "integers to summarize": (lambda: vj.prepare(lg.PPCA, np.eye(3, dtype=int)), "xs holds int64: expected float32"),
    "a list to summarize": (lambda: vj.prepare(lg.PPCA, XS.tolist()), "xs is a list: expected an array (N, D)"),
    "half precision to summarize": (lambda: vj.prepare(gmm.GMM, XS.astype(np.float16)), "xs holds float16: expected"),
    "nothing to prepare": (lambda: vj.prepare(gaussian.GAUSSIAN, XS), "no fast route"),
    "prepared for another model": (
        lambda: vj.em(gmm.GMM, gmm.init(XS, 2, KEY), vj.prepare(lg.PPCA, XS), num_steps=1),
        "not that which prepared these data",
    ),
    "a start from a table prepared for mixtures": (
        lambda: lg.init(vj.prepare(gmm.GMM, XS), 1), "prepared for another model: expected an array",
    ),
    "prepared, and the plain route": (
        lambda: vj.em(lg.PPCA, lg.init(XS, 1), vj.prepare(lg.PPCA, XS), num_steps=1, fast=False),
        "give xs themselves with fast=False",
    ),
    "a step without an M-step": (
        lambda: vj.em_step(gaussian.GAUSSIAN._replace(m_step=None), gaussian.init(XS), XS), "has no m_step",
    ),
    "an infinite entry to summarize": (lambda: vj.prepare(lg.PPCA, np.where(XS > 1, np.inf, XS)), "infinite entries"),
    "a table of another machine": (lambda: gmm.init(XS.astype(">f4"), 2, KEY), "use .astype('float32')"),
    "a list to one Gaussian": (lambda: gaussian.log_prob(gaussian.init(XS), [1.0, 2.0]), "x is a list: expected an"),
    "a list to factors": (lambda: lg.posterior_moments(FACTORS, [1.0, 2.0]), "convert with numpy.asarray"),
    "latents too few": (lambda: gaussian.log_joint(gaussian.init(XS), XS[0], np.zeros(1)), "z has shape (1,)"),
    "latents too many": (lambda: lg.log_joint(FACTORS, XS[0], np.zeros(3)), "z has shape (3,): expected one"),
    "weights for log weights": (
        lambda: em(gmm.GMM, MIXTURE._replace(log_pi=jnp.full(3, 1 / 3)), XS), "use jax.nn.log_softmax"
    ),
    "a negative deviation": (
        lambda: em(gaussian.GAUSSIAN, gaussian.GaussianParams(jnp.zeros(2), -jnp.eye(2)), XS), "positive diagonal"
    ),
    "features for one number": (
        lambda: vj.elbo(log_joint, None, jnp.ones(2), vj.sample_nodes(KEY, np.zeros(2), np.ones(2), 4)),
        "sum over the dimensions of x inside log_joint",
    ),
    "an objective without a mean": (
        lambda: climb(lambda p, xs, k: ((xs - p[None]) ** 2).sum(1)), "average inside the objective"
    ),
    "integers to climb with": (lambda: climb(params=jnp.zeros(2, int)), "gradient ascent expects floating arrays"),
    "integers to start EM": (
        lambda: em(lg.PPCA, FACTORS._replace(b=jnp.zeros(2, int)), XS), "same structure, shapes and types; start from"
    ),
    "nothing to fit": (lambda: climb(params=()), "params hold no arrays to be climbed: gradient ascent"),
    "an optimiser by its name": (lambda: climb(optimizer="adam"), "optimizer is str: expected one from optax"),
    "a float for a count": (lambda: climb(num_steps=1e3), "num_steps is 1000.0: expected a whole number"),
    "a batch too large": (lambda: climb(batch_size=31), "batch_size is 31, but there are 30 examples"),
    "em where there is no M-step": (
        lambda: em(vae.make_vae(), NETS, PIXELS, key=KEY), "use vaejax.maximize"
    ),
    "more components than examples": (lambda: gmm.init(XS, 31, KEY), "there are only 30 distinct examples"),
    "more latents than features": (lambda: lg.pca(XS, 3), "spans at most 2 dimensions"),
    "a column twice": (lambda: gmm.init(XS[:, [0, 0]], 2, KEY), "drop features that are combinations of others"),
    "another likelihood": (
        lambda: climb(vae.make_vae("gaussian"), NETS, PIXELS), "give init and make_vae the same likelihood"
    ),
    # bounds and fits
    "a batch to one example's factors": (lambda: lg.log_joint(FACTORS, XS, np.zeros(1)), "expected one example (2,)"),
    "a batch to a posterior": (lambda: lg.posterior_moments(FACTORS, XS), "expected one example (2,); vmap over"),
    "a batch to a marginal": (lambda: lg.log_marginal(FACTORS, XS[:2]), "x has shape (2, 2): expected one example"),
    "a batch to a shadow": (lambda: lg.project(lg.pca(XS, 1), XS[:2]), "x has shape (2, 2): expected one example"),
    "a batch to be reconstructed": (lambda: lg.reconstruct(lg.pca(XS, 1), XS), "x has shape (30, 2): expected one"),
    "a batch to one Gaussian": (lambda: gaussian.log_prob(gaussian.init(XS), XS), "expected one example (2,)"),
    "a batch to fill in": (lambda: gaussian.impute(gaussian.init(XS), XS), "expected one example (2,)"),
    "a batch to fill in, factors": (lambda: lg.impute(FACTORS, XS), "expected one example (2,)"),
    "a bound by draws, no key": (lambda: vj.mean_bound(vae.make_vae(), NETS, PIXELS, None), "key is NoneType: pass"),
    "a bound of a function": (lambda: vj.mean_bound(log_joint, None, XS, None), "model is function: expected a vaejax"),
    "chunks of nothing": (lambda: vj.mean_bound(gmm.GMM, MIXTURE, XS, None, chunk_size=0), "chunk_size is 0"),
    "no steps": (lambda: em(gmm.GMM, MIXTURE, XS, num_steps=0), "num_steps is 0: expected a whole number"),
    "many starts at once": (
        lambda: jax.vmap(lambda mu: em(gmm.GMM, MIXTURE._replace(mu=mu), XS))(jnp.zeros((2, 3, 2))), "outside of them"
    ),
    "a climb within a gradient": (
        lambda: jax.grad(lambda p: climb(params=p)[0].sum())(jnp.zeros(2)), "for one start after the other"
    ),
    "a seed for em's key": (lambda: em(gmm.GMM, MIXTURE, XS, key=3), "key is int: pass key=jax.random.key(0)"),
    "a tolerance below zero": (lambda: em(gmm.GMM, MIXTURE, XS, tol=-1.0), "or None to run all steps"),
    "a word for a tolerance": (lambda: em(gmm.GMM, MIXTURE, XS, tol="0.1"), "tol is '0.1': expected nats per example"),
    "a tolerance that is none": (lambda: em(gmm.GMM, MIXTURE, XS, tol=np.nan), "tol is nan: expected nats per example"),
    "a yes for a tolerance": (lambda: em(gmm.GMM, MIXTURE, XS, tol=True), "tol is True: expected nats per example"),
    "a bound by its name": (
        lambda: vj.mean_bound(gmm.GMM, MIXTURE, XS, None, bound="elbo"), "bound is 'elbo': expected a function, such as"
    ),
    "no bound": (lambda: vj.mean_bound(gmm.GMM, MIXTURE, XS, None, bound=None), "bound is None: expected a function"),
    "a bound by its name, climbed": (lambda: climb(lg.PPCA, FACTORS, bound="iw"), "bound is 'iw': expected a function"),
    "a word for a key": (lambda: vj.mean_bound(vae.make_vae(), NETS, PIXELS, "0"), "key is str: pass key=jax.random"),
    "an objective by its name": (lambda: climb("elbo"), "objective is 'elbo': expected a function, such as one from"),
    "a module for an objective": (lambda: climb(gmm), "objective is a module: expected a function, such as one from"),
    "objective and params swapped": (lambda: climb(MIXTURE, squares), "objective is a GMMParams: expected a function"),
    "a model for its log_joint": (
        lambda: vj.elbo(lg.PPCA, FACTORS, XS[0], vj.cubature_nodes(np.zeros(1), np.ones(1))),
        "log_joint is a LatentModel: expected a function, such as the log_joint of a LatentModel",
    ),
    "a prior by its name": (lambda: vae.make_vae(log_prior="normal"), "log_prior is 'normal': expected a function"),
    "points for nodes": (lambda: vj.expect(jnp.sum, XS), "returned a ndarray: expected vaejax.Nodes"),
    "points to bind to": (lambda: vj.bind(XS, lambda z: vj.observed()), "returned a ndarray: expected vaejax.Nodes"),
    "a module to prepare": (lambda: vj.prepare(gmm, XS), "model is module: expected a vaejax.LatentModel"),
    "a module to blend": (lambda: vj.blend(gmm, (0, 0), (0, 0), 0.5), "model is module: expected a vaejax.LatentModel"),
    "no data at all": (lambda: climb(xs=None), "expected at least one example"),
    "an objective of integers": (lambda: climb(lambda p, xs, k: xs.shape[0]), "expected one float"),
    "no batch": (lambda: climb(batch_size=0), "batch_size is 0: expected a whole number"),
    "never a checkpoint": (lambda: climb(checkpoint_every=0), "checkpoint_every is 0: expected a whole number"),
    "no folder for checkpoints": (lambda: climb(checkpoint=""), "checkpoint is '': expected a folder"),
    "a file for checkpoints": (lambda: climb(checkpoint=__file__), "expected a folder, new or of the same fit"),
    "a list to shard": (lambda: vj.shard(XS.tolist()), "make a list an array with numpy.asarray"),
    "a number of devices for a mesh": (lambda: vj.shard(XS, 2), "mesh is 2: expected a jax.sharding.Mesh"),
    # mixtures, one Gaussian
    "a start for each of many keys": (
        lambda: jax.vmap(lambda key: gmm.init(XS, 2, key))(jax.random.split(KEY, 3)), "vmap and grad hide from it"
    ),
    "too far apart for float32": (
        lambda: gmm.init((XS * 1e25).astype(np.float32), 2, KEY), "in float32 the features cannot be told"
    ),
    "a start by another name": (lambda: gmm.init(XS, 2, KEY, method="kmeans"), "expected 'k-means++' or 'random'"),
    "no components": (lambda: gmm.init(XS, 0, KEY), "num_components is 0: expected a whole number"),
    "a constant column": (lambda: gmm.init(XS * [1, 0], 2, KEY), "feature 1 is the same in all 30 examples: drop it"),
    "an infinite entry": (lambda: em(gmm.GMM, MIXTURE, np.where(XS > 1, np.inf, XS)), "NaN or infinite entries"),
    "a floor above the data": (lambda: gmm.make_gmm(2.0), "min_variance is 2.0: expected a share of the data's"),
    "a word for a floor": (lambda: gmm.make_gmm("0.1"), "min_variance is '0.1': expected a share of the data's"),
    "no floor": (lambda: gmm.make_gmm(None), "min_variance is None: expected a share of the data's variance, below 1"),
    "a batch to a mixture": (lambda: gmm.log_prob(MIXTURE, XS), "x has shape (30, 2): expected one example (2,)"),
    "a list to a mixture": (lambda: gmm.predict(MIXTURE, [1.0, 2.0]), "x is a list: expected an array (2,)"),
    "a flat component": (
        lambda: em(gmm.GMM, MIXTURE._replace(scale_tril=jnp.zeros((3, 2, 2))), XS), "expected a positive diagonal"
    ),
    "no draws from a mixture": (lambda: gmm.sample(MIXTURE, KEY, 0), "num_samples is 0"),
    "a sensor that never worked": (lambda: gaussian.init(XS * [1, np.nan]), "column 1 was never observed"),
    "a sensor that is stuck": (lambda: gaussian.init(XS * [1, 0]), "column 1 is the same wherever it was observed"),
    "a Gaussian of another size": (
        lambda: em(gaussian.GAUSSIAN, gaussian.GaussianParams(jnp.zeros(3), jnp.eye(3)), XS),
        "params have shapes (3,), (3, 3) beside examples of 2 features: expected (D,), (D, D)",
    ),
    # factors and shadows
    "one feature, factors": (lambda: lg.init(XS[:, :1], 1), "one feature alone has nothing in common with another"),
    "no factors": (lambda: lg.init(XS, 0), "num_latents is 0: expected a whole number"),
    "as many factors as features": (lambda: lg.ppca_mle(XS, 2), "has at most one less than min(N, D)"),
    "broken factors": (
        lambda: em(lg.PPCA, FACTORS._replace(W=FACTORS.W * np.nan), XS), "expected finite loadings, and noise variances"
    ),
    "factors drawn by a seed": (lambda: lg.sample(FACTORS, 1, 5), "key is int: pass key=jax.random.key(0)"),
    "shadows without steps": (lambda: lg.als(XS, 1, 0, KEY), "num_steps is 0: expected a whole number"),
    "a list for factors in closed form": (lambda: lg.ppca_mle(XS.tolist(), 1), "xs is a list: expected an array"),
    "a list to fill in, factors": (lambda: lg.impute(FACTORS, [1.0, np.nan]), "x is a list: expected an array (2,)"),
    "a shadow of one example": (lambda: lg.pca(XS[:1], 1), "(1, 2)"),
    # networks
    "a size for sizes": (lambda: vae.init(KEY, 16, 2, hidden=500), "such as (500,), or ()"),
    "half a unit": (lambda: vae.init(KEY, 16, 2, hidden=(2.5,)), "hidden is 2.5: expected a whole number"),
    "an unknown likelihood": (lambda: vae.make_vae("poisson"), 'expected "bernoulli" or "gaussian"'),
    "factors for networks": (lambda: climb(vae.make_vae(), FACTORS, PIXELS), "expected VAEParams, as vae.init makes"),
    "codes of two sizes": (lambda: vae.decode(NETS, np.zeros(3)), "z has shape (3,): expected one example (2,)"),
    "a batch of codes": (lambda: vae.decode(NETS, np.zeros((5, 2))), "z has shape (5, 2): expected one example (2,)"),
    "the noise of coins": (lambda: vae.sigma2(NETS), "which has no sigma2"),
    "draws that do not divide": (
        lambda: vj.log_likelihood(vae.make_vae(), NETS, PIXELS, KEY, num_samples=50), "a multiple of chunk_size"
    ),
    "smaller pictures on a grid": (lambda: on_grid(PIXELS[:, :9]), "this encoder reads one example of shape (16,)"),
    "a fine grid in three dimensions": (lambda: on_grid(PIXELS, 3, 216), "take num_points=215 or fewer"),
    "a fine grid in 32 bits": (lambda: on_grid(PIXELS, 2, np.int32(46341 * 2)), "take num_points=3162 or fewer"),
    "no networks on a grid": (lambda: on_grid(PIXELS, params=None), "params are NoneType: expected"),
    "an estimate without a key": (
        lambda: vj.log_likelihood(vae.make_vae(), NETS, PIXELS, 0), "pass key=jax.random.key(0)"
    ),
    "a grid in five dimensions": (lambda: on_grid(PIXELS, 5), "works for at most 3"),
    "a decoder of your own": (
        lambda: vae.sample(NETS._replace(decoder=lambda z: jnp.zeros(16)), KEY, 2), "no num_latents: give it that"
    ),
    "pictures drawn by a seed": (lambda: vae.sample(NETS, 0, 5), "key is int: pass key=jax.random.key(0)"),
    # data, files, checks
    "no points": (lambda: data.spiral(0, 1), "num_examples is 0: expected a whole number"),
    "no seed for data": (lambda: data.spiral(5, None), "seed is None: expected a whole number"),
    "a program for parameters": (lambda: vj.load(__file__, NETS), "was not written by vaejax.save"),
    "too few draws": (lambda: check.check_mean("c", np.zeros(5), 0), "got shape (5,), expected at least 30"),
    "numbers for a truth": (lambda: check.check_true("c", np.ones(3)), "expected True or False; compare the values"),
    "no answer to a check": (lambda: check.check_close("c", None, 0, atol=1), "does the function return its result?"),
    "a complex answer": (lambda: check.check_close("c", np.ones(2) + 1j, 1, atol=1), "expected real numbers"),
    "an answer with a mask": (lambda: check.check_close("c", np.ma.ones(2), 1, atol=1), "expected real numbers"),
    "bounds of two shapes": (lambda: check.check_bound("c", np.zeros(2), np.zeros((2, 1))), "expected the same"),
    "nothing to check": (lambda: check.check_close("c", [], 0, atol=1), "the array is empty"),
    "a check of two shapes": (lambda: check.check_equal("c", [1, 2], [1, 2, 3]), "got shape (2,), expected (3,)"),
    "a data set by a nickname": (lambda: data.load("mnist"), "expected one of 'old_faithful', 'air_quality'"),
}  # fmt: skip


OTHER_ERRORS = {
    "a data set by a nickname": KeyError,
    "numbers for a truth": TypeError,
    "no answer to a check": TypeError,
    "a complex answer": TypeError,
    "an answer with a mask": TypeError,
    "bounds of two shapes": AssertionError,
    "nothing to check": AssertionError,
    "a check of two shapes": AssertionError,
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_words(name):
    mistake, words = MISTAKES[name]
    with pytest.raises(OTHER_ERRORS.get(name, ValueError)) as error:
        mistake()
    assert words in str(error.value)


def test_a_step_too_large_is_told_in_words():
    with pytest.raises(FloatingPointError, match="try a smaller learning rate"):
        climb(optimizer=optax.sgd(1e30), num_steps=50)
