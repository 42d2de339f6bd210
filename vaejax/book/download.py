"""The full image sets: fetched once, checked, and kept in a folder of yours. `data.load` calls this.

They are the files of their authors, in the IDX format: four for each set, images and labels to train and to test. The
folder is that of the environment variable VAEJAX_CACHE, else the one where programs of your system keep such things.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

MIRRORS = {  # tried in this order
    "mnist_full": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion_mnist_full": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
}

FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)

SHA256 = {  # in the order of FILES
    "mnist_full": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    "fashion_mnist_full": (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}

INSTEAD = {  # what is in the box
    "mnist_full": "vaejax.book.data.load('digits'), 5,000 of the 70,000",
    "fashion_mnist_full": "vaejax.book.data.load('fashion'), 12,000 of the 70,000",
}

TIMEOUT = 30  # seconds without a byte


def load_images(name, *, progress=True):
    """The four arrays of a full set, fetched if they are not in the cache.

    Args:
        name: "mnist_full" or "fashion_mnist_full".
        progress: show a bar for each file that is fetched.

    Returns:
        train_xs (60000, 784) float32, 0 to 1; train_labels (60000,) int32; test_xs (10000, 784); test_labels (10000,).

    Raises:
        ImportError: pooch, which fetches, is not installed.
        ConnectionError: no mirror gave the file that was asked for; nothing is left behind.
        OSError: the cache may not be written, or is full.
    """
    paths = [_fetch(name, file, sha256, progress) for file, sha256 in zip(FILES, SHA256[name], strict=True)]
    train_images, train_labels, test_images, test_labels = map(read_idx, paths)
    return _pixels(train_images), train_labels.astype(np.int32), _pixels(test_images), test_labels.astype(np.int32)


def read_idx(path):
    """An array from a compressed file in the IDX format: two zeros, the type (8: bytes), the rank, shape, bytes.

    ValueError where the file is anything else.

    Source: Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits, "File formats".
    """
    try:
        content = gzip.decompress(Path(path).read_bytes())
        rank = content[3]
        shape = np.frombuffer(content, ">i4", rank, 4)  # big-endian
        values = np.frombuffer(content, np.uint8, offset=4 + 4 * rank)
    except (gzip.BadGzipFile, zlib.error, EOFError, IndexError, ValueError):
        raise ValueError(f"{path} is no IDX file, or a damaged one: fetch it again") from None
    if content[:3] != b"\0\0\x08" or (shape < 0).any() or math.prod(shape.tolist()) != values.size:
        raise ValueError(f"{path} is no IDX file of {values.size} bytes in the shape {shape.tolist()}: fetch it again")
    return values.reshape(shape)


def _fetch(name, file, sha256, progress):
    """Path of a file with that checksum: from the cache, or from the first mirror that has it."""
    try:
        import pooch
        import requests
    except ImportError:
        raise ImportError(f"pooch fetches {name}: pip install pooch; or use {INSTEAD[name]}") from None
    folder = Path(os.environ.get("VAEJAX_CACHE") or pooch.os_cache("vaejax")) / name
    pooch.get_logger().setLevel("WARNING")  # the bar says what happens
    downloader = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)
    failures = []
    for mirror in MIRRORS[name]:
        try:
            # written under another name, checked, then renamed: a file of the right name is whole
            return pooch.retrieve(mirror + file, f"sha256:{sha256}", file, folder, downloader=downloader)
        except ValueError:
            failures.append(f"{mirror} sent other bytes than expected (wrong SHA-256)")
        except requests.exceptions.RequestException as error:
            failures.append(f"{mirror} did not send it ({type(error).__name__})")
        except OSError as error:
            raise OSError(
                f"{file} cannot be kept in {folder} ({error.strerror or error}): name a folder with room that you may "
                f"write in by the environment variable VAEJAX_CACHE, or use {INSTEAD[name]}"
            ) from error
    raise ConnectionError(
        f"{file} of {name} could not be fetched: {'; '.join(failures)}. Try again with a better connection, or use "
        f"{INSTEAD[name]}"
    )


def _pixels(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255
