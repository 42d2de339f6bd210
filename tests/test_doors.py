"""Values at the doors: for each odd call the number that it must give, or the words that must come back.

Shapes and steps of whole fits are tested in test_bad_input.py; here are densities, nodes, PCA, files and the checks
that all doors share.
"""

import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from problems import assert_close

import vaejax as vj
from vaejax import densities as d
from vaejax import doors
from vaejax import linear_gaussian as lg
from vaejax.checkpoints import Checkpoints

KEY = jax.random.key(0)
LOG_UNIT = -d.LOG_2PI / 2  # log N(0; 0, 1)
XS = np.random.default_rng(0).standard_normal((30, 2))
HOLES = np.where(XS > 1, np.nan, XS)
ENDLESS = np.where(XS > 1, np.inf, XS)
COVARIANCE = np.array([[1.0, 0.5], [0.5, 1.0]])
LOADINGS = np.array([[3.0, 1], [2, 1], [1, -2], [0, 4]])


def uint8(*values):
    return np.array(values, np.uint8)


def int8(*values):
    return np.array(values, np.int8)


def varimax(W):
    return np.abs(lg.varimax(W)[0])


def single(scale):
    return (XS * scale).astype(np.float32)


class Series:  # as pandas has them
    shape, ndim, dtype = (30,), 1, XS.dtype


class DataFrame:
    shape, ndim = XS.shape, 2


class Alike(str):
    def __repr__(self):
        return "'a'"


def without_x64(call):
    def inner():
        with jax.enable_x64(False):
            return call()

    return inner


def log_softmax(num_classes, dtype):
    return jax.nn.log_softmax(jnp.zeros(num_classes, dtype))


RIGHT = {
    # two bytes wrap around where they meet
    "bytes to a Gaussian": (lambda: d.log_gaussian(uint8(1), uint8(251), uint8(100)), LOG_UNIT - 3.125 - np.log(100)),
    "bytes with a sign": (lambda: d.log_gaussian(int8(100), int8(-100), int8(100)), LOG_UNIT - 2 - np.log(100)),
    "bytes to a divergence": (lambda: d.kl_gaussian(uint8(0), uint8(1), uint8(2), uint8(1)), 2.0),
    "a byte squared": (lambda: d.kl_gaussian(int8(0), int8(1), int8(100), int8(1)), 5000.0),
    "bytes to coins": (lambda: d.log_bernoulli(uint8(2), uint8(200)), 200.0),
    "bits to coins": (lambda: d.log_bernoulli(np.array([True]), int8(-128)), -128.0),
    "bytes to classes": (lambda: d.log_categorical(1, int8(-100, 100)), 0.0),
    "bytes to two sets of classes": (lambda: d.kl_categorical(int8(0, 0), int8(100, -100)), 100 - np.log(2)),
    "bytes for corners": (lambda: vj.grid_nodes(int8(-100), int8(100), 2).z[:, 0], [-50.0, 50]),
    "bytes for a box": (lambda: vj.grid_nodes(uint8(0), uint8(200), 1).log_q, [-np.log(200)]),
    "bytes for a q": (lambda: vj.cubature_nodes(uint8(250), uint8(10)).z[:, 0], [260.0, 240]),
    "integers beside floats": (lambda: d.log_gaussian(np.ones(1, np.float32), [1], [1]), np.float32(LOG_UNIT)),
    # labels
    "a label of many bits": (lambda: d.log_categorical(np.int64(2**32 + 1), np.zeros(3)), np.nan),
    "a label of many bits, in 32": (without_x64(lambda: d.log_categorical(np.int64(2**32 + 1), np.zeros(3))), np.nan),
    "a label of more bits": (lambda: d.log_categorical(np.uint64(2**63 + 1), np.zeros(3)), np.nan),
    "the last of many labels": (lambda: d.log_categorical(uint8(255)[0], np.zeros(256)), -np.log(256)),
    # what adds up to one in the digits of its type
    "a thousand halves": (lambda: vj.enumerate_nodes(log_softmax(1000, jnp.float16)).weight.shape, (1000,)),
    "a thousand of fewer digits": (lambda: vj.enumerate_nodes(log_softmax(1000, jnp.bfloat16)).weight.shape, (1000,)),
    "a certain label, by an integer": (lambda: vj.enumerate_nodes([0]).weight, [1.0]),
    # numbers of numpy and of JAX
    "a tolerance of JAX": (
        lambda: len(vj.em(vj.gmm.GMM, vj.gmm.init(XS, 2, KEY), XS, num_steps=9, tol=jnp.float32(9))[1]), 2
    ),
    "a list to an encoder": (
        lambda: vj.vae.encode(vj.vae.init(KEY, 2, 1, hidden=()), [0.5, 1])[1], [1.0]
    ),
    # counts of numpy
    "a small integer for a count": (lambda: len(vj.grid_nodes(np.zeros(3), np.ones(3), np.int8(20)).z), 8000),
    # a tracer passes
    "a covariance that cannot be seen": (
        lambda: jax.jit(d.log_gaussian)(np.zeros(2), np.zeros(2), COVARIANCE), -d.LOG_2PI
    ),
    # rotations
    "integers to turn": (lambda: varimax(LOADINGS.astype(int)), varimax(LOADINGS)),
    "large loadings": (lambda: varimax(single(1e12)[:4]) / 1e12, varimax(single(1)[:4])),
    "enormous loadings": (lambda: varimax(single(1e37)[:4]) / 1e37, varimax(single(1)[:4])),
    "small loadings": (lambda: varimax(single(1e-15)[:4]) / 1e-15, varimax(single(1)[:4])),
    "loadings of zero": (lambda: varimax(np.zeros((3, 2))), np.zeros((3, 2))),
    # shadows
    "a small cloud": (lambda: lg.pca(single(1e-14), 2).W, lg.pca(XS, 2).W),
    "a large cloud": (lambda: lg.pca(single(1e17), 2).W, lg.pca(XS, 2).W),
    "a cloud far away": (lambda: lg.pca(XS + 1e5, 1).W, lg.pca(XS, 1).W),
    "no cloud": (lambda: lg.pca(np.full((5, 2), 0.1), 1).variances, [0.0]),
    "a line of zeros": (lambda: lg.als(single(0), 1, 2, KEY)[1], [0.0, 0.0]),
    # which data can be scored
    "counts": (lambda: doors.check_batch(np.arange(3)), 3),
    "bits": (lambda: doors.check_batch({"a": XS > 0, "b": jnp.ones((30, 2, 2), jnp.bfloat16)}), 30),
    "bytes in rows": (lambda: doors.check_rows(np.ones((5, 2), np.uint8)), 5),
    "halves in rows": (lambda: doors.check_rows(np.ones((5, 2), np.float16)), 5),
    "one row": (lambda: doors.check_table(XS[:1]), 1),
    "a row of holes": (lambda: doors.check_table(HOLES * [1, np.nan], holes=True), 30),
    "squares without an end": (lambda: doors.check_table(single(1e30)), 30),
    "every other column": (lambda: doors.check_table(np.asfortranarray(np.tile(XS, 2)[::2, ::3])), 15),
    "a constant within jit": (lambda: jax.jit(lambda: jnp.asarray(doors.check_table(XS)))(), 30),
    "a constant column can be fitted": (lambda: doors.check_fittable(HOLES * [1, 0]), None),
    "two values": (lambda: doors.check_spread(HOLES), None),
}  # fmt: skip


WRONG = {
    "a batch to a density": (
        lambda: d.log_gaussian(XS, np.zeros(2), np.ones(2)), "and mean (2,): expected one shape (D,); vmap over batches"
    ),
    "one number to a density": (lambda: d.log_gaussian(1.0, 0.0, 1.0), "jnp.atleast_1d for a single number"),
    "deviations of another length": (
        lambda: d.log_gaussian(np.ones(2), np.zeros(2), np.ones(3)), "or (2,), the standard deviations"
    ),
    "a batch of pictures": (lambda: d.log_bernoulli(XS, XS), "expected one shape (D,); vmap over"),
    "a logit too few": (lambda: d.log_bernoulli(XS[0], np.zeros(15)), "x has shape (2,) and logits (15,)"),
    "a label that is no integer": (lambda: d.log_categorical(1.0, np.zeros(3)), "expected one integer ()"),
    "all labels at once": (lambda: d.log_categorical(np.arange(3), np.zeros(3)), "vmap over batches"),
    "classes of all examples": (
        lambda: d.log_categorical(0, np.zeros((3, 2))), "logits (3, 2): expected one integer () and logits (K,)"
    ),
    "Gaussians of two dimensions": (
        lambda: d.kl_gaussian(np.zeros(2), np.ones(2), np.zeros(3), np.ones(3)), "expected the same (D,)"
    ),
    "two sets of classes": (lambda: d.kl_categorical(np.zeros(2), np.zeros(3)), "expected one shape (K,)"),
    "classes of a batch": (
        lambda: d.kl_categorical(np.zeros((3, 2)), np.zeros((3, 2))), "(3, 2): expected one shape (K,)"
    ),
    "labels of a batch": (lambda: vj.enumerate_nodes(np.zeros((3, 2))), "expected (K,) for one example; vmap over"),
    "labels of nothing": (lambda: vj.enumerate_nodes(np.zeros(0)), "log_probs has shape (0,)"),
    "a product of many dimensions": (
        lambda: vj.quadrature_nodes(np.zeros(4), np.ones(4), 10), "10^4 points: a product rule works for at most 3"
    ),
    "a rule of too many points": (lambda: vj.quadrature_nodes(np.zeros(1), np.ones(1), 500), "num_points=200 or fewer"),
    "half a point": (lambda: vj.quadrature_nodes(np.zeros(1), np.ones(1), 2.5), "num_points is 2.5: expected a whole"),
    "a yes for a count": (lambda: vj.grid_nodes([0.0], [1.0], True), "num_points is True: expected a whole number"),
    "corners the wrong way round": (lambda: vj.grid_nodes([1.0], [0.0], 5), "low < high in every dimension"),
    "corners of two boxes": (lambda: vj.grid_nodes([0.0], [1.0, 1.0], 5), "expected two corners of one shape (L,)"),
    "means of a batch": (lambda: vj.cubature_nodes(XS, np.ones(2)), "use jax.vmap for a batch"),
    "draws without a key": (lambda: vj.sample_nodes(None, np.zeros(2), np.ones(2), 3), "key is NoneType: pass key="),
    "no draws": (lambda: vj.sample_nodes(KEY, np.zeros(2), np.ones(2), 0), "num_samples is 0: expected a whole number"),
    # values
    "a covariance for its factor": (
        lambda: d.log_gaussian(np.zeros(2), np.zeros(2), COVARIANCE), "such as numpy.linalg.cholesky makes"
    ),
    "a covariance for a divergence": (
        lambda: d.kl_gaussian(np.zeros(2), np.eye(2), np.zeros(2), COVARIANCE), "expected a lower Cholesky factor"
    ),
    "a covariance for nodes": (lambda: vj.cubature_nodes(np.zeros(2), COVARIANCE), "expected a lower Cholesky factor"),
    "an upper factor for draws": (
        lambda: vj.sample_nodes(KEY, np.zeros(2), np.linalg.cholesky(COVARIANCE).T, 5), "entries above its diagonal"
    ),
    "a mean that is none": (lambda: vj.cubature_nodes([np.nan], [1.0]), "mean is [nan]: expected finite numbers"),
    "an endless example": (
        lambda: vj.gaussian.log_prob(vj.gaussian.init(XS), np.array([0, np.inf])), "x is [ 0. inf]: expected finite"
    ),
    "an example that no component can have made": (
        lambda: vj.gmm.responsibilities(vj.gmm.init(XS, 2, KEY), np.full(2, 1e200)), "p(z | x) is [nan nan]: expected"
    ),
    "an endless deviation": (lambda: vj.sample_nodes(KEY, [0.0], [np.inf], 3), "scale_tril is [inf]: expected finite"),
    "a deviation below zero": (lambda: vj.quadrature_nodes([0.0, 0], [1.0, -1], 3), "expected positive deviations"),
    "a factor of zeros": (lambda: vj.cubature_nodes([0.0, 0], np.tril(np.ones((2, 2)), -1)), "on its diagonal"),
    "weights that add up to nearly one": (
        lambda: vj.enumerate_nodes(np.log([0.5, 0.498])), "add up to 0.998, not to 1: pass jax.nn.log_softmax"
    ),
    "halves that do not add up": (lambda: vj.enumerate_nodes(np.zeros(1000, np.float16)), "add up to 1000, not to 1"),
    "no weights": (lambda: vj.enumerate_nodes([np.nan, 0.0]), "add up to nan, not to 1"),
    "a grid of a billion": (
        lambda: vj.grid_nodes([-8.0] * 3, [8.0] * 3, 1000), "1000^3 points: take num_points=215 or fewer"
    ),
    "a grid of a billion, by a small integer": (
        lambda: vj.grid_nodes([-8.0] * 3, [8.0] * 3, np.int16(300)), "take num_points=215 or fewer"
    ),
    # rotations
    "steps by a word": (lambda: lg.varimax(LOADINGS, "3"), "num_steps is '3': expected a whole number"),
    "steps back": (lambda: lg.varimax(LOADINGS, -1), "num_steps is -1: expected a whole number"),
    "half a step": (lambda: lg.varimax(LOADINGS, 2.5), "num_steps is 2.5: expected a whole number"),
    "loadings of one factor, in a row": (lambda: lg.varimax(LOADINGS[0]), "expected loadings (D, L)"),
    "broken loadings": (lambda: lg.varimax(LOADINGS * np.nan), "expected finite numbers"),
    # shadows
    "a cloud too small": (lambda: lg.pca(single(1e-20), 1), "the square of which float32 does not hold: rescale xs"),
    "a cloud too large": (lambda: lg.pca(single(1e25), 1), "the square of which float32 does not hold: rescale xs"),
    "few examples, too small": (lambda: lg.pca(single(1e-20)[:3].repeat(2, 1), 1), "rescale xs"),
    "few examples, too large": (lambda: lg.pca(single(1e25)[:3].repeat(2, 1), 1), "rescale xs"),
    "alternating, too small": (lambda: lg.als(single(1e-20), 1, 2, KEY), "does not hold: rescale xs"),
    "alternating, too large": (lambda: lg.als(single(1e25), 1, 2, KEY), "does not hold: rescale xs"),
    # data
    "a column of pandas": (lambda: doors.check_batch(Series()), "are a Series: expected arrays"),
    "a frame of pandas": (lambda: lg.pca(DataFrame(), 1), "convert with numpy.asarray"),
    "a sparse matrix": (lambda: lg.pca(scipy.sparse.csr_matrix(XS), 1), "convert with xs.toarray()"),
    "objects": (lambda: doors.check_batch(XS.astype(object)), "the data hold object: expected numbers"),
    "words": (lambda: doors.check_rows(XS.astype(str)), "expected numbers of JAX's types"),
    "dates": (lambda: doors.check_batch(np.zeros(3, "datetime64[s]")), "the data hold datetime64[s]: expected numbers"),
    "long doubles": (lambda: doors.check_batch(XS.astype(np.longdouble)), "use xs.astype('float32')"),
    "a long list": (lambda: doors.check_batch(list(range(10_000))), "the data have shapes [()]: expected at least one"),
    "a tuple for a table": (lambda: lg.pca(tuple(XS), 1), "xs is a tuple: expected an array (N, D)"),
    "a table of another machine": (lambda: doors.check_batch(XS.astype(">f8")), "byte order of another machine"),
    "a mask": (lambda: doors.check_batch(np.ma.masked_less(XS, 0)), "xs.filled(numpy.nan)"),
    "counts to factorise": (lambda: doors.check_table(np.ones((3, 2), int)), "xs holds int64: expected float32 or"),
    "holes": (lambda: doors.check_table(HOLES), f"hold {np.isnan(HOLES).sum()} NaN or infinite entries"),
    "holes in float32": (lambda: doors.check_rows(HOLES.astype(np.float16)), "NaN or infinite entries"),
    "infinity among holes": (
        lambda: doors.check_table(np.where(XS < -1, np.nan, ENDLESS), holes=True), " infinite entries"
    ),
    "infinity on a device": (lambda: doors.check_batch(jnp.asarray(ENDLESS)), "NaN or infinite entries"),
    "one example to fit": (lambda: doors.check_fittable(XS[:1]), "expected (N, D) with at least two examples"),
    "a column of holes to fit": (lambda: doors.check_fittable(HOLES * [1, np.nan]), "column 1 was never observed"),
    "a column of one value": (lambda: doors.check_spread(0 * HOLES + [0.1, 0]), "column 0 is the same wherever"),
    # files
    "nothing to save": (lambda: vj.save("no.npz", {}), "there is nothing to save"),
    "a function to save": (lambda: vj.save("no.npz", [np.sum]), "at [0]: expected arrays of numbers, or None"),
    "a key to save": (lambda: vj.save("no.npz", {"key": KEY, "w": np.zeros(2, "f2")}), "jax.random.key_data(key)"),
    "words to save": (lambda: vj.save("no.npz", ["W", XS]), "params hold str at [0]: expected arrays of numbers"),
    "a mask to save": (lambda: vj.save("no.npz", {"w": np.ma.masked_less(XS, 0)}), "a mask would be lost"),
    "a number too large": (without_x64(lambda: vj.save("no.npz", [1e300])), "at [0]: JAX would round it"),
    "a number too fine": (without_x64(lambda: vj.save("no.npz", [0.1])), "convert it with jax.numpy.asarray"),
    "a count too large": (without_x64(lambda: vj.save("no.npz", [2**40])), "hold int at [0]: JAX would round it"),
    "a double of numpy": (without_x64(lambda: vj.save("no.npz", [np.float64(0.1)])), "unless jax_enable_x64 is set"),
    "parameters for a name": (lambda: vj.save({"w": XS}, "no.npz"), "path is dict: expected the name of a file first"),
    "parameters for a name to load": (lambda: vj.load({"w": XS}, "no.npz"), "expected the name of a file first"),
    "two names that read alike": (
        lambda: vj.save("no.npz", {"a": XS, Alike("b"): XS}), "2 arrays by 1 names: rename the keys"
    ),
    "a yes for a folder": (lambda: Checkpoints(True, {}, None), "checkpoint is 'True': expected a folder"),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_an_odd_call_gives_the_right_number(name):
    call, expected = RIGHT[name]
    if expected is None:
        return call()
    np.testing.assert_allclose(np.asarray(call(), float), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_told_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, words = WRONG[name]
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value)
    assert os.listdir() == []


def test_a_number_that_is_kept_exactly_is_saved(tmp_path):
    with jax.enable_x64(False):
        vj.save(tmp_path / "kept", [0.5, np.nan, 3])
        assert_close(vj.load(tmp_path / "kept", [0.0, 0.0, 0]), np.array([0.5, np.nan, 3]))


def test_a_saved_file_keeps_who_may_read_it_and_a_link_stays(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    vj.save(file, [1.0])
    file.chmod(0o600)
    link.symlink_to(file)
    vj.save(link, [2.0])
    assert link.is_symlink() and sorted(os.listdir(tmp_path)) == ["file", "link"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert vj.load(file, [0.0]) == [2.0]


def test_turning_again_compiles_nothing():
    kernel = lg.varimax.__globals__["_varimax"]
    lg.varimax(LOADINGS, 3)
    before = kernel._cache_size()
    lg.varimax(LOADINGS + 1, 4)
    assert kernel._cache_size() == before


def test_a_rotation_of_large_loadings_is_a_rotation():
    for scale in (1e-30, 1e-12, 1e12, 1e30):
        W, R = lg.varimax(single(scale)[:4])
        assert_close(R @ R.T, np.eye(2, dtype=np.float32), atol=1e-5)
        assert_close(W / scale, single(scale)[:4] @ R / scale, atol=1e-4)


@pytest.mark.parametrize("order", ["sorted", "constant", "far", "near"])
def test_a_covariance_around_any_mean_keeps_its_digits(order):
    xs = np.random.default_rng(1).standard_normal((5000, 3)) * [1, 2, 3]
    xs = {
        "sorted": np.sort(xs, 0) + [0, 0, 300],
        "constant": xs * [1, 0, 1] + [0, 0.1, 0],
        "far": xs + [0, 1e3, -1e4],
        "near": xs + 2,
    }[order].astype(np.float32)
    xs[:300] = xs[:300] + (1000 if order == "near" else 0)  # the first rows do not tell
    mean, cov = lg.mean_and_cov(xs)
    truth = np.cov(xs.T.astype(float), bias=True)
    size = np.sqrt(np.outer(np.diag(truth), np.diag(truth))) + 1e-12
    assert np.abs((cov - truth) / size).max() < 1e-5
    assert_close(mean, xs.mean(0, dtype=float).astype(np.float32), atol=1e-3)


def shortest(*calls):
    """Seconds of each, the shortest of several rounds in which they take turns."""
    took = np.full((7, len(calls)), np.inf)
    for seconds in took:
        for i, call in enumerate(calls):
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[i] = time.perf_counter() - start
    return took[1:].min(0)  # the first compiles


@pytest.mark.long
def test_the_doors_cost_little():
    model, xs = vj.gmm.GMM, np.random.default_rng(1).standard_normal((100_000, 10)).astype("float32")
    start = vj.gmm.init(xs[:1000], 10, KEY)
    prepared = vj.prepare(model, xs)
    step, whole, door, bound, begin = shortest(
        lambda: [vj.em_step(model, start, prepared) for _ in range(4)],
        lambda: vj.em(model, start, xs, num_steps=1),
        lambda: vj.bounds.check_model_data(model, start, xs),
        lambda: vj.mean_bound(model, start, xs, None),
        lambda: vj.gmm.init(xs, 10, KEY),
    )
    assert whole - step / 4 < step, "checking and preparing takes more than four steps"
    assert door < bound / 10
    assert begin < 0.2
