"""Disks that are full, folders that may only be read, kills, two programs at once, files that nobody wrote."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import fuzz
import numpy as np
import pytest

import vaejax as vj

pytestmark = pytest.mark.long
ROOT = Path(__file__).parent.parent
LIKE = {"W": np.zeros((50, 20), np.float32), "b": np.zeros(20, np.float32)}


def holding(value):
    return {name: np.full_like(leaf, value) for name, leaf in LIKE.items()}


def value_in(path):
    """The one number that stands everywhere in a file."""
    values = {float(x) for leaf in vj.load(path, LIKE).values() for x in np.ravel(leaf)}
    assert len(values) == 1, f"{path} is a mixture of {sorted(values)}"
    return values.pop()


def run(source, *arguments, prefix=()):
    command = [*prefix, sys.executable, "-c", source, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def in_a_namespace(mount):
    """What stands before a command that is to run as root of a little world of its own, after this mount."""
    return "unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"


def can_mount(mount):
    return (
        shutil.which("unshare") and not subprocess.run([*in_a_namespace(mount), "true"], capture_output=True).returncode
    )


@pytest.fixture
def full_disk(tmp_path):
    """A function (kilobytes, ballast) -> what makes tmp_path a disk of that size, filled up to what is left."""

    def prefix(size, ballast=0):
        make = f'mount -t tmpfs -o size={size}k none "{tmp_path}"'
        if not can_mount(make):
            pytest.skip("this machine lets nobody mount a disk of their own")
        return in_a_namespace(f'{make} && head -c {ballast}k /dev/zero > "{tmp_path}/ballast"')

    return prefix


@pytest.fixture
def read_only(tmp_path):
    mount = f'mount --bind "{tmp_path}" "{tmp_path}" && mount -o remount,ro,bind "{tmp_path}"'
    if not can_mount(mount):
        pytest.skip("this machine lets nobody mount a folder of their own")
    return in_a_namespace(mount)


def test_a_full_disk_costs_no_parameters(tmp_path, full_disk):
    done = run(
        """if True:
        import os, sys, numpy as np, vaejax as vj
        path, small = os.path.join(sys.argv[1], "kept.npz"), {"W": np.full(100, 7, np.float32)}
        vj.save(path, small)
        try:
            vj.save(path, {"W": np.ones(10_000, np.float32)})
        except OSError as error:
            print(error.strerror)
        print(np.unique(vj.load(path, small)["W"]), sorted(os.listdir(sys.argv[1])))
        """,
        tmp_path,
        prefix=full_disk(24),
    )
    assert done.stdout == "No space left on device\n[7.] ['ballast', 'kept.npz']\n", done.stdout + done.stderr


def test_a_full_disk_under_a_download_is_named_and_nothing_half_stays(tmp_path, full_disk):
    done = run(
        """if True:
        import hashlib, http.server, os, sys, threading
        from vaejax.book import download
        content = bytes(100_000)
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            def log_message(self, *_):
                pass
        os.environ.update(VAEJAX_CACHE=sys.argv[1], NO_PROXY="127.0.0.1")
        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            download.MIRRORS["mnist_full"] = [f"http://127.0.0.1:{server.server_port}/"]
            download.SHA256["mnist_full"] = 4 * [hashlib.sha256(content).hexdigest()]
            try:
                download.load_images("mnist_full", progress=False)
            except OSError as error:
                print(error)
            server.shutdown()
        print([name for _, _, names in os.walk(sys.argv[1]) for name in names])
        """,
        tmp_path,
        prefix=full_disk(40),
    )
    assert re.fullmatch(r".*No space left on device.*VAEJAX_CACHE.*\n\['ballast'\]\n", done.stdout), done


FIT = """if True:
    import os, sys, jax, jax.numpy as jnp, numpy as np, optax, vaejax as vj
    adam, folder = optax.adam(0.1), sys.argv[1] + "/run"
    start = jax.random.normal(jax.random.key(1), 40_000)  # which cannot be compressed
    def objective(params, data, key):
        return -((params - data.mean()) ** 2).mean()
    def fit(**options):
        return vj.maximize(objective, start, np.ones(3), jax.random.key(0), optimizer=adam, num_steps=200, **options)
    try:
        fit(checkpoint=folder, checkpoint_every=100)
    except OSError as error:
        print(error)
"""


def test_a_full_disk_costs_a_fit_one_checkpoint(tmp_path, full_disk):
    done = run(
        FIT
        + """
    print(sorted(name for name in os.listdir(folder) if name.isdigit()))
    os.remove(sys.argv[1] + "/ballast")
    resumed, whole = fit(checkpoint=folder), fit()
    print(all((a == b).all() for a, b in zip(resumed, whole)))
        """,
        tmp_path,
        prefix=full_disk(1000, ballast=300),
    )
    said = done.stdout.splitlines()
    assert said[-2:] == ["['100']", "True"]
    assert all(word in done.stdout for word in (f"step 200 cannot be kept in {tmp_path}/run", "No space", "make room"))


@pytest.mark.parametrize("target", ["lab", "test"])
def test_make_in_a_folder_that_may_only_be_read_says_so(tmp_path, read_only, target):
    for path in (ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("*.txt")):
        shutil.copy(path, tmp_path)
    command = [*read_only, "make", "--silent", "-C", str(tmp_path), target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode and done.stdout.startswith(f"You may not write in {tmp_path}: copy vaejax to"), done


def test_a_chapter_runs_where_the_whole_repository_may_only_be_read(tmp_path):
    """With no home either, and none of the settings of make, which refuses such a folder."""
    mount = f'mount --bind "{ROOT}" "{ROOT}" && mount -o remount,ro,bind "{ROOT}"'
    if not can_mount(mount):
        pytest.skip("this machine lets nobody mount a folder of their own")
    settings = "HOME", "PYTHONWARNINGS", "JAX_COMPILATION", "JAX_PERSISTENT", "COVERAGE"
    env = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    env |= {"JUPYTER_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path)}
    notebook = ROOT / "chapters" / "01_maximum_likelihood.ipynb"
    command = [*in_a_namespace(mount), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", notebook]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_a_folder_that_may_only_be_read(tmp_path, read_only):
    vj.save(tmp_path / "kept.npz", holding(3))
    done = run(FIT, tmp_path, prefix=read_only)
    assert done.returncode == 0 and str(tmp_path) in done.stdout and "Read-only" in done.stdout, done.stderr[-2000:]
    done = run(
        """if True:
        import sys, numpy as np, vaejax as vj
        vj.save(sys.argv[1] + "/kept.npz", {"W": np.ones(3, np.float32)})
        """,
        tmp_path,
        prefix=read_only,
    )
    assert done.returncode and "Read-only file system" in done.stderr and str(tmp_path) in done.stderr
    assert value_in(tmp_path / "kept.npz") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["kept.npz"]


SAVE_FOREVER = """if True:
    import sys, numpy as np, vaejax as vj
    value = 0
    while True:
        value += int(sys.argv[2])
        vj.save(sys.argv[1], {"W": np.full((50, 20), value, np.float32), "b": np.full(20, value, np.float32)})
        print(value, flush=True)
"""


def start_saving(path, step):
    return subprocess.Popen([sys.executable, "-c", SAVE_FOREVER, path, str(step)], stdout=subprocess.PIPE, text=True)


def test_two_programs_that_save_to_one_file(tmp_path):
    path = tmp_path / "kept.npz"
    with start_saving(path, 1) as one, start_saving(path, -1) as other:
        try:
            one.stdout.readline(), other.stdout.readline()  # both have begun
            seen = [value_in(path) for _ in range(300)]
        finally:
            one.kill(), other.kill()
    assert min(seen) < 0 < max(seen)


def test_a_program_killed_while_it_saves(tmp_path):
    path, rng = tmp_path / "kept.npz", np.random.default_rng()
    for _ in range(3):
        with start_saving(path, 1) as saving:
            saving.stdout.readline()
            time.sleep(rng.uniform(0, 0.3))
            saving.kill()
            said = saving.stdout.read().split()
        last = int(said[-1]) if said else 1
        assert value_in(path) in (last, last + 1)  # what it last said it had kept, or the one after


def test_readers_of_files_meet_what_no_writer_wrote():
    found = fuzz.attack(3000, seed=np.random.default_rng().integers(2**32))
    assert all(found[f"{kind}: {end}"] for kind in ("bad_parameters", "bad_idx") for end in ("read", "refused"))
