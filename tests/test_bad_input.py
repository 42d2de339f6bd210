"""The mistakes that learners make most, each with the words that must come back: what came, what was expected.

Bad values of single arguments are tested beside the function they belong to.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vaejax as vj
from vaejax import data, densities, gaussian, gmm, vae
from vaejax import linear_gaussian as lg

KEY = jax.random.key(0)
XS = np.random.default_rng(0).standard_normal((30, 2))
PIXELS = np.random.default_rng(1).random((10, 16))
MIXTURE = gmm.init(XS, 3, KEY)
FACTORS = lg.ppca_mle(XS, 1)
NETS = vae.init(KEY, 16, 2, hidden=(3,))
ADAM = {"optimizer": optax.adam(1e-2), "num_steps": 2}


def squares(params, xs, key):
    return -((xs - params[None]) ** 2).sum(1).mean()


def log_joint(params, x, z):
    return -0.5 * (x - z) ** 2  # one number for each feature, not their sum


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
    "a batch to a density": (
        lambda: densities.log_gaussian(XS, np.zeros(2), np.ones(2)), "expected the same shape (D,); vmap over batches"
    ),
    "a batch to an encoder": (lambda: vae.encode(NETS, PIXELS), "this encoder reads one example of shape (16,)"),
    "a list of lists": (lambda: em(gmm.GMM, MIXTURE, XS.tolist()), "numpy.asarray"),
    "a list to maximize": (lambda: climb(xs=XS.tolist()), "make a list an array with numpy.asarray"),
    "a list of lists, factors": (lambda: em(lg.PPCA, FACTORS, XS.tolist()), "numpy.asarray"),
    "a list of lists, one Gaussian": (lambda: gaussian.init(XS.tolist()), "numpy.asarray"),
    "sharded data to a start": (lambda: gmm.init(vj.shard(XS), 3, KEY), "expected an array, such as xs[:5000]"),
    "sharded data to PCA": (lambda: lg.pca(vj.shard(XS), 1), "expected an array, such as xs[:5000]"),
    "integers": (lambda: em(lg.PPCA, FACTORS, np.ones((5, 2), int)), "convert with xs.astype('float32')"),
    "bytes for pixels": (lambda: climb(vae.make_vae(), NETS, PIXELS * 255), "divide bytes by 255"),
    "pictures, not rows": (lambda: climb(vae.make_vae(), NETS, PIXELS.reshape(10, 4, 4)), "see numpy.reshape"),
    "labels for images": (lambda: climb(vae.make_vae(), NETS, np.arange(10)), "expected (N, D)"),
    "missing entries in images": (
        lambda: climb(vae.make_vae(), NETS, np.where(PIXELS > 0.5, np.nan, PIXELS)), "NaN or infinite entries"
    ),
    "missing entries in a mixture": (
        lambda: gmm.init(np.where(XS > 1, np.nan, XS), 2, KEY), "vaejax.gaussian fits data with missing entries"
    ),
    "missing entries in the fast step": (
        lambda: em(lg.PPCA, FACTORS, np.where(XS > 1, np.nan, XS)), "use em(..., fused=False)"
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
    "key and data swapped": (lambda: gmm.init(KEY, 3, XS), "key is float64[30, 2]: pass"),
    "a module for a model": (lambda: em(gmm, MIXTURE, XS), "model is module: expected a vaejax.LatentModel"),
    "the parameters of another model": (lambda: em(lg.PPCA, MIXTURE, XS), "expected (D, L), (D,), (D,)"),
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
    "a data set by a nickname": (lambda: data.load("mnist"), "expected one of 'old_faithful', 'air_quality'"),
}  # fmt: skip


@pytest.mark.parametrize(("mistake", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_in_words(mistake, words):
    with pytest.raises((ValueError, KeyError)) as error:
        mistake()
    assert words in str(error.value)


def test_a_step_too_large_is_told_in_words():
    with pytest.raises(FloatingPointError, match="try a smaller learning rate"):
        climb(optimizer=optax.sgd(1e30), num_steps=50)
