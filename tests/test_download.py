"""The full image sets, from a server on loopback that has small ones, and faults."""

import gzip
import hashlib
import http.server
import json
import os
import re
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from vaejax.book import data, download

RNG = np.random.default_rng(0)
ARRAYS = [
    RNG.integers(0, 256, (7, 28, 28), np.uint8), RNG.integers(0, 10, 7, np.uint8),
    RNG.integers(0, 256, (3, 28, 28), np.uint8), RNG.integers(0, 10, 3, np.uint8),
]  # fmt: skip
NAMES = {"mnist_full": "digits", "fashion_mnist_full": "fashion"}  # each with the set that is in the box


def idx_file(array):
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes())


CONTENTS = dict(zip(download.FILES, map(idx_file, ARRAYS), strict=True))


ASKED = []


class Handler(http.server.BaseHTTPRequestHandler):
    """/good/FILE sends the file, /short/ half of it, /other/ other bytes, and anything else is not found."""

    def do_GET(self):
        _, kind, file = self.path.split("/")
        ASKED.append(self.path)
        if kind not in ("good", "short", "other"):
            self.send_error(404)
            return
        content = CONTENTS[file] if kind != "other" else CONTENTS[file][::-1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if kind == "short" else content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(params=NAMES)
def name(request, monkeypatch, tmp_path):
    """Of a full set, whose checksums are those of the small one, with an empty cache."""
    monkeypatch.setitem(download.SHA256, request.param, [hashlib.sha256(c).hexdigest() for c in CONTENTS.values()])
    monkeypatch.setenv("VAEJAX_CACHE", str(tmp_path))
    ASKED.clear()
    return request.param


def files_of(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_fetched_once_and_read(name, address, monkeypatch, tmp_path):
    monkeypatch.setitem(download.MIRRORS, name, [address + "good/"])
    images = data.load(name)
    assert len(ASKED) == 4 and files_of(tmp_path) == sorted(download.FILES)
    np.testing.assert_array_equal(np.rint(images.train_xs * 255), ARRAYS[0].reshape(7, 784))
    np.testing.assert_array_equal(images.test_labels, ARRAYS[3])
    in_the_box = data.load(NAMES[name])
    assert type(images) is type(in_the_box) and images[4:] == in_the_box[4:]  # the names of clothes
    for ours, boxed in zip(images[:4], in_the_box[:4], strict=True):
        assert ours.dtype == boxed.dtype and ours.shape[1:] == boxed.shape[1:]
    monkeypatch.setitem(download.MIRRORS, name, ["http://127.0.0.1:9/"])  # nobody is asked again
    np.testing.assert_array_equal(data.load(name).test_xs, images.test_xs)


def test_a_damaged_file_in_the_cache_is_fetched_again(name, address, monkeypatch, tmp_path):
    monkeypatch.setitem(download.MIRRORS, name, [address + "good/"])
    data.load(name)
    (tmp_path / name / download.FILES[0]).write_bytes(b"damaged")
    assert data.load(name).train_xs.shape == (7, 784) and len(ASKED) == 5


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["short"], "did not send it (ChunkedEncodingError)"),
        (["other"], "sent other bytes than expected (wrong SHA-256)"),
        (["missing"], "did not send it (HTTPError)"),
        (["missing", "other"], "wrong SHA-256"),
        ([], "127.0.0.1:9/ did not send it (ConnectionError)"),
    ],
)
def test_what_a_mirror_may_do(name, kinds, said, address, monkeypatch, tmp_path):
    mirrors = [f"{address}{kind}/" for kind in kinds] or ["http://127.0.0.1:9/"]
    monkeypatch.setitem(download.MIRRORS, name, mirrors)
    with pytest.raises(ConnectionError, match=re.escape(said)) as caught:
        data.load(name)
    assert f"vaejax.book.data.load('{NAMES[name]}')" in str(caught.value) and all(
        m in str(caught.value) for m in mirrors
    )
    assert files_of(tmp_path) == []
    monkeypatch.setitem(download.MIRRORS, name, [*mirrors, address + "good/"])  # the next one has it
    assert data.load(name).train_labels.shape == (7,) and files_of(tmp_path) == sorted(download.FILES)


def test_a_cache_that_cannot_be(name, address, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VAEJAX_CACHE", str(tmp_path / "file"))
    monkeypatch.setitem(download.MIRRORS, name, [address + "good/"])
    with pytest.raises(OSError, match=r"cannot be kept in .*VAEJAX_CACHE.*vaejax\.book\.data\.load"):
        data.load(name)


def test_without_pooch(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match="pip install pooch; or use"):
        data.load(name)


@pytest.mark.long
def test_two_processes_at_once(name, address, tmp_path):
    program = """if True:
        import json, sys
        from vaejax.book import data, download
        name, address, sha256 = json.loads(sys.argv[1])
        download.MIRRORS[name], download.SHA256[name] = [address + "good/"], sha256
        input()
        print(data.load(name).train_xs.sum())
    """
    options = json.dumps([name, address, list(download.SHA256[name])])
    command, env = [sys.executable, "-c", program, options], os.environ | {"PYTHONWARNINGS": "ignore"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, env=env, text=True, **pipes) for _ in range(2)]
    for process in both:
        process.stdin.write("\n")  # both are told before either is waited for
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    expected = (ARRAYS[0] / 255).sum()
    assert [float(out) for out, _ in answers] == pytest.approx([expected] * 2, rel=1e-5)
    assert files_of(tmp_path) == sorted(download.FILES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_has_a_checksum_of_its_own_and_two_mirrors(name):
    assert len(set(download.SHA256[name])) == len(download.FILES)
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in download.SHA256[name])
    assert len(download.MIRRORS[name]) == 2 and all(mirror.endswith("/") for mirror in download.MIRRORS[name])


@pytest.mark.parametrize(
    "content",
    [
        bytes([0, 0, 13, 1]) + struct.pack(">i", 4) + bytes(4),  # floats
        bytes([0, 1, 8, 1]) + struct.pack(">i", 4) + bytes(4),
        bytes([0, 0, 8, 1]) + struct.pack(">i", 5) + bytes(4),  # one byte is missing
        bytes([0, 0, 8, 1]) + struct.pack(">i", -1) + bytes(4),  # what reshape takes for "as many as there are"
        bytes([0, 0, 8, 2]) + struct.pack(">2i", -2, -2) + bytes(4),
        bytes([0, 0, 8, 3]) + struct.pack(">i", 4),
        b"",
    ],
)
def test_what_is_no_idx_file_is_refused_by_name(content, tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress(content))
    with pytest.raises(ValueError, match=r"file\.gz is no IDX file"):
        download.read_idx(tmp_path / "file.gz")
