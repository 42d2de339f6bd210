import gzip
import hashlib
import importlib.util
import io
import re

import jax
import numpy as np
import pytest
from problems import assert_close
from scipy import stats

import vaejax as vj
from vaejax.book import data


def test_old_faithful():
    xs = data.load("old_faithful").xs
    assert xs.shape == (272, 2) and xs.dtype == np.float32 and np.isfinite(xs).all()
    assert (xs.min(0) > 0).all() and 1 < xs[:, 0].mean() < 6 < xs[:, 1].mean() < 100  # both in minutes


def test_air_quality_has_42_incomplete_days():
    xs = data.load("air_quality").xs
    missing = np.isnan(xs)
    assert xs.shape == (153, 6) and missing.any(1).sum() == 42 and missing.sum() == 44
    assert missing[:, 2:].sum() == 0
    months, days = np.unique(xs[:, 4], return_counts=True)
    assert list(months) == [5, 6, 7, 8, 9] and list(days) == [31, 30, 31, 31, 30]


def test_bfi_has_five_items_for_each_of_five_scales():
    bfi = data.load("bfi")
    assert bfi.xs.shape == (2800, 25) and bfi.xs.dtype == np.float32
    assert np.isnan(bfi.xs).sum() == 508 and set(np.unique(bfi.xs[~np.isnan(bfi.xs)])) == {1, 2, 3, 4, 5, 6}
    assert bfi.items == tuple(f"{scale}{i}" for scale in "ACENO" for i in range(1, 6))
    correlation = np.ma.corrcoef(np.ma.masked_invalid(bfi.xs.T))  # of the five items on moods, "N", all put alike
    assert (correlation[15:20, 15:20] > 0.3).all()


@pytest.mark.parametrize(("name", "num_train", "num_test"), [("digits", 400, 100), ("fashion", 1000, 200)])
def test_images_are_stratified_and_apart(name, num_train, num_test):
    images = data.load(name)
    assert images.train_xs.shape == (10 * num_train, 784) and images.test_xs.shape == (10 * num_test, 784)
    for labels, count in ((images.train_labels, num_train), (images.test_labels, num_test)):
        assert (np.bincount(labels) == count).all() and labels.dtype == np.int32
    assert images.train_xs.dtype == np.float32 and images.train_xs.min() == 0 and images.train_xs.max() == 1
    train = {x.tobytes() for x in images.train_xs}
    assert not any(x.tobytes() in train for x in images.test_xs)


def test_the_names_of_clothes_fit_their_pictures():
    """Trousers are the narrowest, and only shoes, which point one way, are no mirror images of themselves."""
    fashion = data.load("fashion")
    means = np.stack([fashion.train_xs[fashion.train_labels == k].mean(0).reshape(28, 28) for k in range(10)])
    width = (means > 0.2).any(1).sum(1)
    assert len(fashion.names) == 10 and fashion.names[width.argmin()] == "trousers"
    one_sided = np.abs(means - means[:, :, ::-1]).sum((1, 2)) / means.sum((1, 2))
    assert {fashion.names[k] for k in np.argsort(one_sided)[-3:]} == {"sandal", "sneaker", "ankle boot"}


@pytest.mark.parametrize("name", ["old_faithful", "air_quality", "bfi"])
def test_rows_are_in_the_order_of_the_file(name):
    header, *rows = (data.FOLDER / f"{name}.csv").read_text().splitlines()
    numbers = [[float(text) for text in row.split(",")] for row in rows]
    got, expected = data.load(name).xs, np.array(numbers, np.float32)
    np.testing.assert_array_equal(got, expected)


def test_each_digit_keeps_its_label():
    # the file in the box is sorted by label; here the labels are in disorder
    labels = np.array([3, 1, 4], np.uint8)
    images = 51 * np.eye(3, dtype=np.uint8)
    train = {"train_images": images, "train_labels": labels}
    test = {"test_images": images[::-1], "test_labels": labels[::-1]}
    file = io.BytesIO()
    np.savez(file, **train, **test)
    file.seek(0)
    digits = data._digits(file)
    assert list(digits.train_labels) == [3, 1, 4]
    assert list(digits.test_labels) == [4, 1, 3]
    assert_close(digits.train_xs, np.eye(3) / 5, atol=1e-7)
    assert_close(digits.test_xs, np.eye(3)[::-1] / 5, atol=1e-7)


@pytest.mark.parametrize("name", list(data.SHA256))
def test_readme_gives_each_files_true_checksum_and_size(name):
    content = (data.FOLDER / name).read_bytes()
    readme = (data.FOLDER / "README.md").read_text()
    row = next(line for line in readme.splitlines() if f"`{name}`" in line and data.SHA256[name] in line)
    assert f"{len(content):,}" in row
    assert hashlib.sha256(content).hexdigest() == data.SHA256[name]


def program(name):
    """data/<name>.py, which is no part of the package, as a module."""
    spec = importlib.util.spec_from_file_location(name, data.FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build():
    return program("build")


def test_files_can_be_rebuilt_from_published_packages(tmp_path, build):
    build.build(tmp_path)
    for name in data.SHA256:
        if name == "digits_vae.npz" or (name == "fashion.npz" and not build.FASHION.is_dir()):
            continue  # no package of PyPI holds it; the next tests look at how it is made
        ours, theirs = data.FOLDER / name, tmp_path / name
        if name.endswith(".npz"):  # another zlib packs the same arrays into other bytes
            a, b = np.load(ours), np.load(theirs)
            assert a.files == b.files and all((a[k] == b[k]).all() for k in a.files)
        else:
            assert ours.read_bytes() == theirs.read_bytes()


def test_clothes_are_the_first_of_each_kind_in_the_order_of_the_files(tmp_path, build):
    rng = np.random.default_rng(0)
    files = {}
    for name, size in (("train", 12_000), ("t10k", 2500)):
        images, labels = rng.integers(0, 256, (size, 2, 3), np.uint8), rng.permutation(size).astype(np.uint8) % 10
        files[name] = images, labels
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
            (tmp_path / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(header + array.tobytes(), 1))
    build.fashion(tmp_path / "fashion.npz", tmp_path)
    got = np.load(tmp_path / "fashion.npz")
    for split, name, count in (("train", "train", 1000), ("test", "t10k", 200)):
        images, labels = files[name]
        seen, kept = dict.fromkeys(range(10), 0), []
        for i, label in enumerate(labels):
            seen[int(label)] += 1
            if seen[int(label)] <= count:
                kept.append(i)
        assert (got[f"{split}_labels"] == labels[kept]).all()
        assert (got[f"{split}_images"] == images[kept].reshape(-1, 6)).all()


def test_an_unknown_name_is_a_key_error_that_lists_the_known():
    with pytest.raises(KeyError, match=re.escape("'old_faithful', 'air_quality', 'bfi', 'digits', 'fashion'")):
        data.load("old faithful")


def test_a_damaged_or_missing_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match="install the package again"):
        data.load("old_faithful")
    (tmp_path / "old_faithful.csv").write_text("eruption,waiting\n3.6,79\n")
    with pytest.raises(ValueError, match=r"is damaged.*git checkout"):
        data.load("old_faithful")


@pytest.mark.parametrize("maker", [data.spiral, data.banana, data.two_moons, data.blobs])
def test_synthetic_sets_follow_their_seed(maker):
    a, b, other = maker(50, 1), maker(50, 1), maker(50, 2)
    assert a.xs.shape == (50, 2) and a.xs.dtype == np.float32 and a.z.shape == (50,)
    assert (a.xs == b.xs).all() and (a.z == b.z).all() and not (a.xs == other.xs).any()
    with pytest.raises(ValueError, match="num_examples is 0"):
        maker(0, 1)


def far(num_draws):
    """Dvoretzky-Kiefer-Wolfowitz: a sample strays this far once in 10^9."""
    return np.sqrt(np.log(2 / 1e-9) / (2 * num_draws))


def follows(values, law, *parameters):
    values = np.ravel(values)
    return stats.kstest(values, law, parameters).statistic < far(values.size)


def evenly_shared(labels, num_labels):
    shares = np.bincount(labels, minlength=num_labels) / len(labels)
    assert len(shares) == num_labels
    return (np.abs(shares - 1 / num_labels) < far(len(labels))).all()


def test_synthetic_sets_are_what_they_say():
    n = 50_000
    xs, z = data.spiral(n, 0)
    radius, angle = 0.2 + 0.8 * z, 3 * np.pi * z
    curve = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    assert follows(z, "uniform") and follows((xs - curve) / 0.03, "norm")
    xs, z = data.banana(n, 0)
    curve = np.stack([z, (z**2 - 1) / 2], 1)
    assert follows(z, "norm") and follows((xs - curve) / 0.2, "norm")
    xs, z = data.blobs(n, 0)
    centres = np.array([[-2, 0], [2, 0], [0, 2]])
    assert evenly_shared(z, 3) and follows((xs - centres[z]) / 0.5, "norm")
    xs, z = data.two_moons(n, 0)
    assert evenly_shared(z, 2)
    for moon in (xs[z == 0], [1, 0.5] - xs[z == 1]):
        # a half circle of radius 1 has its mean at (0, 2 / pi)
        se = moon.std(0) / np.sqrt(len(moon))
        assert (np.abs(moon.mean(0) - [0, 2 / np.pi]) < 6 * se).all()
        # round noise around a point of a circle: Rice's law of the radius
        assert follows(np.linalg.norm(moon, axis=1), "rice", 1 / 0.1, 0, 0.1)


@pytest.fixture
def train():
    return program("train")


def test_networks_are_trained_without_the_test_digits(train):
    digits = data.load("digits")
    everything = np.concatenate([digits.test_xs[::2], digits.train_xs[:50], digits.test_xs[1::2]])
    np.testing.assert_array_equal(train.without(everything, digits.test_xs), digits.train_xs[:50])
    with pytest.raises(ValueError, match="1 of the digits are among the 1000 held out"):
        train.without(digits.test_xs[:1], digits.test_xs)


@pytest.mark.long
def test_the_file_of_networks_has_the_form_that_its_recipe_writes(train):
    like = {name: train.blank(jax.random.key(0), num_latents) for name, num_latents in train.LATENTS.items()}
    trained = vj.load(data.path("digits_vae.npz"), like)
    xs = data.load("digits").test_xs[::25]
    assert train.log_likelihood(trained["map"], xs, 50).mean() > -160
    assert train.log_likelihood(trained["many"], xs, 50).mean() > -115
    for name in trained:
        few = train.train(name, data.load("digits").train_xs[:800], epochs=1)
        shapes = [[leaf.shape for leaf in jax.tree.leaves(params)] for params in (few, trained[name])]
        assert shapes[0] == shapes[1]


def test_a_file_of_the_box_is_known_whole_and_there(tmp_path, monkeypatch):
    assert data.path("digits.npz") == data.FOLDER / "digits.npz"
    with pytest.raises(KeyError, match=r"no file named 'digit.npz': expected one of 'old_faithful.csv'"):
        data.path("digit.npz")
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"digits_vae.npz is missing"):
        data.path("digits_vae.npz")
    (tmp_path / "digits_vae.npz").write_bytes(b"half")
    with pytest.raises(ValueError, match=r"damaged: its SHA-256 is .* or rebuild it with data/train.py"):
        data.path("digits_vae.npz")
