import os
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vaejax as vj
from vaejax import files, gmm, vae
from vaejax import linear_gaussian as lg

XS = np.random.default_rng(0).standard_normal((40, 5))
DAMAGED = "is damaged or was not written by vaejax.save"


def mixture(seed):
    return gmm.init(XS, 3, jax.random.key(seed))


def factors(seed):
    return lg.init(np.random.default_rng(seed).standard_normal((20, 5)), 2)


def network(seed, likelihood, hidden=(4, 3)):
    params = vae.init(jax.random.key(seed), 5, 2, hidden=hidden, likelihood=likelihood)
    return params if likelihood == "bernoulli" else params._replace(log_sigma2=jnp.asarray(0.1 * seed))


MODELS = {
    "bernoulli vae": lambda seed: network(seed, "bernoulli"),
    "gaussian vae": lambda seed: network(seed, "gaussian"),
    "linear vae": lambda seed: network(seed, "gaussian", hidden=()),
    "mixture": mixture,
    "factors": factors,
    "lone array": lambda seed: jnp.full((2, 3), seed + 0.1),
    "half and whole": lambda seed: {"half": jnp.full(3, seed, jnp.float16), "whole": [jnp.arange(seed, seed + 4)]},
    "extremes": lambda seed: (jnp.array([np.nan, np.inf, -0.0, 5e-324, seed]),),
}


def bits(params):
    return [(np.asarray(leaf).dtype, np.shape(leaf), np.asarray(leaf).tobytes()) for leaf in jax.tree.leaves(params)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "kept.npz"


@pytest.mark.parametrize("model", MODELS)
def test_what_was_saved_comes_back_bit_for_bit(path, model):
    params, like = (MODELS[model](seed) for seed in (1, 2))
    vj.save(path, params)
    back = vj.load(str(path), like)
    assert jax.tree.structure(back) == jax.tree.structure(params)
    assert bits(back) == bits(params) != bits(like)
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(back))


def test_a_network_that_was_loaded_computes_what_it_did(path):
    params = network(1, "gaussian")
    vj.save(path, params)
    back = vj.load(path, network(2, "gaussian"))
    assert np.array_equal(vae.reconstruct(back, XS[0]), vae.reconstruct(params, XS[0]))


def test_the_callers_parameters_stay_as_they_are(path):
    saved, like = network(1, "gaussian"), network(2, "gaussian")
    before = bits(saved), bits(like)
    vj.save(path, saved)
    vj.load(path, like)
    assert (bits(saved), bits(like)) == before


def test_a_later_save_replaces_the_earlier_one_and_leaves_nothing_else(path):
    for seed in (1, 2):
        vj.save(str(path), factors(seed))
    assert bits(vj.load(path, factors(3))) == bits(factors(2))
    assert os.listdir(path.parent) == [path.name]


def test_a_file_cut_short_anywhere_is_refused(path):
    params = factors(1)
    vj.save(path, params)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError) as error:
            vj.load(path, params)
        assert str(path) in str(error.value)


@pytest.mark.long
@pytest.mark.parametrize("flip", [0x01, 0x40, 0xFF])
def test_a_flipped_byte_anywhere_is_refused_or_harmless(path, flip):
    params = factors(1)
    vj.save(path, params)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
        try:
            back = vj.load(path, params)
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            assert bits(back) == bits(params)
    assert refused > sum(np.asarray(leaf).nbytes for leaf in params)


def test_a_flipped_bit_among_the_numbers_is_always_noticed(path):
    params = network(1, "bernoulli")
    vj.save(path, params)
    whole = path.read_bytes()
    for leaf in jax.tree.leaves(params):
        raw = np.asarray(leaf).tobytes()
        if not any(raw):
            continue
        at = whole.index(raw)
        for place in (at, at + len(raw) // 2, at + len(raw) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=DAMAGED):
                vj.load(path, params)


def write_npy(path, array, said=b"", says=b""):
    with path.open("wb") as file:
        np.save(file, array)
    content = path.read_bytes()
    assert said in content
    path.write_bytes(content.replace(said, says))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("sepal length, sepal width\n5.1, 3.5\n"),
        lambda path: np.savez(path, W=XS, b=XS[0], log_psi=XS[0]),
        lambda path: np.savez(path, **{".W": XS[:, :2], ".b": XS[0], ".log_psi": XS[0]}),
        lambda path: np.savez(path, __format__="vaejax parameters, version 2", **{".b": XS[0]}),
        lambda path: np.savez(path),
        lambda path: path.write_bytes(pickle.dumps(XS)),
        lambda path: write_npy(path, XS),
        lambda path: write_npy(path, np.array([{}])),
        lambda path: write_npy(path, XS, b"(40, 5), }" + 12 * b" ", b"(40000000000000, 5), }"),
    ],
    ids=[
        "empty",
        "text",
        "npz",
        "npz of the same names",
        "later version",
        "npz of nothing",
        "pickle",
        "npy",
        "objects",
        "more than memory holds",
    ],
)
def test_a_file_that_save_did_not_write_is_refused(path, write):
    write(path)
    with pytest.raises(ValueError, match="save it again") as error:
        vj.load(path, factors(1))
    assert str(path) in str(error.value)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "npy", "npz"])
def test_nothing_in_a_file_is_executed(path, kind):
    crater = str(path) + ".crater"
    pickle.loads(pickle.dumps(Bomb(crater)))
    os.rmdir(crater)  # so the bomb works, where something unpickles it
    bombs = np.array([Bomb(crater)])
    with path.open("wb") as file:
        if kind == "pickle":
            pickle.dump(Bomb(crater), file)
        elif kind == "npy":
            np.save(file, bombs)
        else:
            np.savez(file, __format__=files.FORMAT, **{".W": bombs, ".b": XS[0], ".log_psi": XS[0]})
    with pytest.raises(ValueError, match=DAMAGED):
        vj.load(path, factors(1))
    assert not os.path.exists(crater)


@pytest.mark.parametrize(
    ("saved", "like", "says"),
    [
        (lambda p: p, lambda p: p._replace(W=jnp.ones((5, 3))), [".W", "float64[5, 2]", "float64[5, 3]"]),
        (lambda p: p._replace(b=p.b[:4]), lambda p: p, [".b", "float64[4]", "float64[5]"]),
        (lambda p: p._replace(b=p.b.astype("float32")), lambda p: p, [".b", "float32[5]", "float64[5]"]),
        (lambda p: p, lambda p: p._replace(W=p.W.astype("float32")), [".W", "float64[5, 2]", "float32[5, 2]"]),
        (lambda p: p._replace(W=p.W.T), lambda p: p, [".W", "float64[2, 5]", "float64[5, 2]"]),
        (lambda p: {"a": p.b}, lambda p: {"a": p.b, "c": p.W}, ["['c']", "has nothing", "float64[5, 2]"]),
        (lambda p: {"a": p.b, "c": p.W}, lambda p: {"a": p.b}, ["['c']", "float64[5, 2]", "`like` has nothing"]),
    ],
)
def test_a_file_of_another_model_is_refused_by_name_and_shape(path, saved, like, says):
    params = factors(1)
    vj.save(path, saved(params))
    with pytest.raises(ValueError, match="belongs to another model") as error:
        vj.load(path, like(params))
    message = str(error.value)
    assert str(path) in message and all(word in message for word in says)
    assert message.index(says[1]) < message.index(says[2])


@pytest.mark.parametrize(
    ("saved", "like", "says"),
    [
        (network(1, "bernoulli"), network(1, "gaussian"), "at .log_sigma2 it has nothing, and `like` has float64[]"),
        (network(1, "gaussian"), network(1, "bernoulli"), "at .log_sigma2 it has float64[], and `like` has nothing"),
        (network(1, "bernoulli"), factors(1), "at .W it has nothing, and `like` has float64[5, 2]"),
        (
            network(1, "bernoulli", hidden=(6, 3)),
            network(1, "bernoulli", hidden=(4, 3)),
            "at .encoder.hidden[0].bias.value it has float32[6], and `like` has float32[4]",
        ),
    ],
)
def test_a_network_of_another_kind_is_refused_at_the_first_leaf_that_differs(path, saved, like, says):
    vj.save(path, saved)
    with pytest.raises(ValueError, match="belongs to another model") as error:
        vj.load(path, like)
    assert says in str(error.value)


def test_a_missing_file_is_a_missing_file(path):
    with pytest.raises(FileNotFoundError, match="kept"):
        vj.load(path, factors(1))


def test_a_folder_is_no_damaged_file_and_a_new_file_may_be_read_by_whoever_may_read_others(tmp_path):
    with pytest.raises(IsADirectoryError):
        vj.load(tmp_path, factors(1))
    (tmp_path / "other").touch()
    vj.save(tmp_path / "saved.npz", factors(1))
    assert (tmp_path / "saved.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


LACKING = """if True:
    import re, resource, sys, jax, numpy as np, vaejax as vj
    used = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read()).group(1)) * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (used + 2**24,) * 2)
    try:
        vj.load(sys.argv[1], [jax.ShapeDtypeStruct((2**24,), np.float32)])
    except MemoryError:
        print("too large to load")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_too_little_memory_is_no_damage(path):
    vj.save(path, [np.zeros(2**24, np.float32)])  # 64 MB, and 16 are left
    done = subprocess.run([sys.executable, "-c", LACKING, path], capture_output=True, text=True, timeout=300)
    assert done.stdout == "too large to load\n", done.stderr[-2000:]


def test_a_missing_folder_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError):
        vj.save(tmp_path / "nowhere" / "kept.npz", factors(1))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("nothing", [(), None, {"a": []}])
def test_nothing_is_not_saved(path, nothing):
    with pytest.raises(ValueError, match="nothing to save"):
        vj.save(path, nothing)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", [True, False])
def test_a_write_that_fails_midway_leaves_the_old_file_and_no_draft(path, monkeypatch, old, error):
    if old:
        vj.save(path, factors(1))
    before = [(name, (path.parent / name).read_bytes()) for name in os.listdir(path.parent)]
    seen = []

    def savez(file, **arrays):
        file.write(b"PK half a file")
        file.flush()
        seen.extend(os.listdir(path.parent))
        raise error

    monkeypatch.setattr(files.np, "savez", savez)
    with pytest.raises(type(error)):
        vj.save(path, factors(2))
    monkeypatch.undo()
    assert len(seen) == len(before) + 1
    assert [(name, (path.parent / name).read_bytes()) for name in os.listdir(path.parent)] == before
    if old:
        assert bits(vj.load(path, factors(3))) == bits(factors(1))


def test_a_type_that_would_not_come_back_is_refused(path):
    for leaf, says in [
        (jnp.zeros(2, jnp.bfloat16), r"bfloat16 at \['w'\]: numpy's files have no such type"),
        (np.array([object()]), r"object at \['w'\]: expected arrays of numbers"),
        (np.array("2020-01-01", "datetime64[D]"), "expected arrays of numbers"),
        (jax.random.key(0), "jax.random.key_data"),
    ]:
        with pytest.raises(ValueError, match=says):
            vj.save(path, {"w": leaf})
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"float64.*JAX has no such type unless"):
        vj.save(path, {"w": np.zeros(2)})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("x64", [True, False])
def test_numbers_and_halves_come_back_and_the_shapes_alone_will_do(path, x64):
    params = {"a": 0.5, "b": 3, "c": True, "d": jnp.arange(3, dtype=jnp.float16), "e": None, "f": 1 - 2j}
    with jax.enable_x64(x64):
        vj.save(path, params)
        vj.load(path, params)
        found = vj.load(path, jax.eval_shape(lambda: jax.tree.map(jnp.asarray, params)))
        params = jax.tree.map(jnp.asarray, params)
    assert jax.tree.structure(found) == jax.tree.structure(params)
    for new, old in zip(jax.tree.leaves(found), jax.tree.leaves(params), strict=True):
        assert new.dtype == old.dtype and (new == old).all()


def test_a_name_without_a_folder_is_saved_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    vj.save("kept", factors(1))
    assert os.listdir() == ["kept"]
    assert bits(vj.load(Path("kept"), factors(2))) == bits(factors(1))
