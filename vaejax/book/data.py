"""Data sets: five real ones that come with the package, two that are fetched, four drawn from a seed; and networks.

All arrays are numpy, float32 where they are measurements. Sources, licences and checksums are in data/README.md.
"""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vaejax.book import download
from vaejax.doors import check_count

_HERE = Path(__file__).parent
_FOLDERS = _HERE / "_data", _HERE.parents[1] / "data"  # of a wheel, of a checkout
FOLDER = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])

SHA256 = {
    "old_faithful.csv": "1eb750d82b66d29f653d3ae1c7ff6444b3375c9141073f57c9939eb6adeaf73b",
    "air_quality.csv": "0d7f7747921aefb0743dbacd4bbd3faa9c383949dd040fe92aa66c661e313c83",
    "bfi.csv": "0e710d303f5d03dcb2c0ce90660d15d3a17a43ac568395570ad8878d2057ff9b",
    "digits.npz": "d8a100a2030b18ea11b6cc37ebab6f4e4a3edb98f0923f4fc5f7c5d65c8db9e7",
    "fashion.npz": "ab8196bce575a80bc973d245deeea762d2bb4f8dd59bd3525e55d79881edad3f",
    "digits_vae.npz": "9161b62b738460f58b38387dace4857811f2807b753b04dfad1f10a4da9be524",
}

CLOTHES = "T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"


class OldFaithful(NamedTuple):
    """Eruptions of the geyser Old Faithful in Yellowstone, Wyoming."""

    xs: np.ndarray  # (272, 2) minutes: length of an eruption, wait until the next one


class AirQuality(NamedTuple):
    """New York, May to September 1973, a row a day. Missing readings, 44 in 42 of the rows, are NaN."""

    xs: np.ndarray  # (153, 6) ozone (ppb), solar radiation (langley), wind (mph), temperature (deg F), month, day


class Bfi(NamedTuple):
    """Answers of 2,800 people to 25 items about themselves, 1 (very inaccurate) to 6 (very accurate). 508 are NaN.

    Five items each are meant to go with agreeableness (A1 to A5), conscientiousness (C), extraversion (E), neuroticism
    (N) and openness (O); some of them, such as A1, are put the other way round.
    """

    xs: np.ndarray  # (2800, 25)
    items: tuple  # their 25 names, "A1" to "O5"


class Digits(NamedTuple):
    """Handwritten digits of MNIST, 28 x 28 pixels in rows of 784, 0 black to 1 white.

    5,000 of them, 500 of each class, in "digits"; "mnist_full" has 60,000 to train and 10,000 to test.
    """

    train_xs: np.ndarray  # (4000, 784)
    train_labels: np.ndarray  # (4000,) int32, the digit
    test_xs: np.ndarray  # (1000, 784)
    test_labels: np.ndarray  # (1000,) int32


class Fashion(NamedTuple):
    """Pictures of clothes of Fashion-MNIST, laid out like `Digits`: 12,000 in "fashion", 70,000 in the full set."""

    train_xs: np.ndarray  # (10000, 784)
    train_labels: np.ndarray  # (10000,) int32, a place in `names`
    test_xs: np.ndarray  # (2000, 784)
    test_labels: np.ndarray  # (2000,) int32
    names: tuple  # of the ten kinds, "T-shirt" to "ankle boot"


class Synthetic(NamedTuple):
    """Points in the plane, with what made them."""

    xs: np.ndarray  # (N, 2)
    z: np.ndarray  # (N,) the true latent: a place along the curve (float32), or a label (int32)


def load(name):
    """Load a data set, after checking that its files are those the book was written with.

    Args:
        name: "old_faithful", "air_quality", "bfi", "digits" or "fashion", which are in the box; "mnist_full" or
            "fashion_mnist_full", fetched at their first use (11 and 30 MB) into a cache: see `vaejax.book.download`.

    Returns:
        `OldFaithful`, `AirQuality`, `Bfi`, `Digits` or `Fashion`, fresh arrays at each call.

    Raises:
        KeyError: no such data set.
        FileNotFoundError: the file is not there.
        ValueError: the file is damaged: its SHA-256 is not the published one.
        ImportError, ConnectionError, OSError: a full set could not be fetched, or not be kept.
    """
    if name == "mnist_full":
        return Digits(*download.load_images(name))
    if name == "fashion_mnist_full":
        return Fashion(*download.load_images(name), CLOTHES)
    if name not in _READERS:
        known = ", ".join(map(repr, [*_READERS, *download.MIRRORS]))
        raise KeyError(f"no data set named {name!r}: expected one of {known}")
    reader, file = _READERS[name]
    return reader(io.BytesIO(path(file).read_bytes()))


def path(file):
    """Where a file of the box is, after checking that it is the one the book was written with.

    Args:
        file: "digits_vae.npz", networks trained for long as data/README.md tells, or a file of a data set.

    Returns:
        `pathlib.Path`.

    Raises:
        KeyError: no such file.
        FileNotFoundError: it is not there.
        ValueError: it is damaged: its SHA-256 is not the published one.
    """
    if file not in SHA256:
        raise KeyError(f"no file named {file!r}: expected one of {', '.join(map(repr, SHA256))}")
    where = FOLDER / file
    if not where.is_file():
        raise FileNotFoundError(f"{file} is missing from the data folder of vaejax: install the package again")
    sha256 = hashlib.sha256(where.read_bytes()).hexdigest()
    if sha256 != SHA256[file]:
        raise ValueError(
            f"{file} is damaged: its SHA-256 is {sha256}, expected {SHA256[file]}. Get the file again (git checkout), "
            f"or rebuild it with {'data/train.py' if file == 'digits_vae.npz' else 'data/build.py'}"
        )
    return where


def spiral(num_examples, seed):
    """A noisy spiral of one and a half turns: z uniform on [0, 1] is the place along it, noise 0.03. -> `Synthetic`"""
    rng = _rng(num_examples, seed)
    z = rng.random(num_examples)
    radius, angle = 0.2 + 0.8 * z, 3 * np.pi * z
    return _noisy(rng, np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), z, 0.03)


def banana(num_examples, seed):
    """A bent Gaussian: z ~ N(0, 1), x = (z, (z^2 - 1) / 2) with noise 0.2. -> `Synthetic`"""
    rng = _rng(num_examples, seed)
    z = rng.standard_normal(num_examples)
    return _noisy(rng, np.stack([z, (z**2 - 1) / 2], 1), z, 0.2)


def two_moons(num_examples, seed):
    """Two interlocking half circles of radius 1, with noise 0.1; z is the moon, 0 or 1. -> `Synthetic`"""
    rng = _rng(num_examples, seed)
    z = rng.integers(0, 2, num_examples, np.int32)
    angle = np.pi * rng.random(num_examples)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    return _noisy(rng, np.where(z[:, None] == 0, upper, [1, 0.5] - upper), z, 0.1)


def blobs(num_examples, seed):
    """Three round Gaussians of standard deviation 0.5 around (-2, 0), (2, 0), (0, 2); z is the label. -> `Synthetic`"""
    rng = _rng(num_examples, seed)
    z = rng.integers(0, 3, num_examples, np.int32)
    return _noisy(rng, np.array([[-2.0, 0], [2, 0], [0, 2]])[z], z, 0.5)


def _rng(num_examples, seed):
    check_count("num_examples", num_examples)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed}: expected a whole number, 0 or more, so that the data can be had again")
    return np.random.default_rng(seed)


def _noisy(rng, xs, z, noise):
    xs = xs + noise * rng.standard_normal(xs.shape)
    return Synthetic(xs.astype(np.float32), z if z.dtype == np.int32 else z.astype(np.float32))


def _table(file):
    return np.loadtxt(file, delimiter=",", skiprows=1, dtype=np.float32)


def _bfi(file):
    items = tuple(file.readline().decode("ascii").strip().split(","))
    return Bfi(np.loadtxt(file, delimiter=",", dtype=np.float32), items)


def _images(file):
    arrays = np.load(file)
    images = {split: arrays[f"{split}_images"].astype(np.float32) / 255 for split in ("train", "test")}
    labels = {split: arrays[f"{split}_labels"].astype(np.int32) for split in ("train", "test")}
    return images["train"], labels["train"], images["test"], labels["test"]


def _digits(file):
    return Digits(*_images(file))


def _fashion(file):
    return Fashion(*_images(file), CLOTHES)


_READERS = {
    "old_faithful": (lambda file: OldFaithful(_table(file)), "old_faithful.csv"),
    "air_quality": (lambda file: AirQuality(_table(file)), "air_quality.csv"),
    "bfi": (_bfi, "bfi.csv"),
    "digits": (_digits, "digits.npz"),
    "fashion": (_fashion, "fashion.npz"),
}
