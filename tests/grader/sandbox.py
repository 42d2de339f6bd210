"""Starts a student's process in a box: read-only Python and vaejax, a folder of its own, and nothing else.

bubblewrap makes the box, or `unshare` of Linux's namespaces, whichever works; elsewhere there is none, and what is
started can do what you can. In the box: no network, no other process, no file of yours but the libraries, another user
without rights. The worker sets limits on itself before it runs anything; the judge watches memory and processes. What a
bug of the kernel lets out, gets out.
"""

import contextlib
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MEMORY = 5_000_000_000  # bytes, of all processes of a student together
PROCESSES = 64
HOME = "/book/home"  # in the box: all that a student may write to
SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime"]
SAYS = {
    "bubblewrap": "student code runs in a sandbox of bubblewrap: no network, no files of yours, no other process",
    "namespaces": "student code runs in Linux namespaces of its own: no network, no files of yours, no other process",
    "none": "NO SANDBOX on this machine: student code can do what you can. Install bubblewrap, or grade in a container "
    "(docs/TEACHING.md)",
}
# Mounts what is in the box ($BINDS), then gives up every right. Its arguments: the new root, the user, the command.
UNSHARE = """
root=$1 user=$2; shift 2
mount -t tmpfs -o size=300m,nr_inodes=50k,mode=755,nosuid,nodev box "$root"
printf '%s\\n' "$BINDS" | while IFS='|' read -r from to; do
  if [ -d "$from" ]; then mkdir -p "$root$to"; else mkdir -p "$(dirname "$root$to")"; : > "$root$to"; fi
  mount --bind "$from" "$root$to"
  case "$to" in /dev/*) ;; *) mount -o remount,bind,ro,nosuid,nodev "$root$to" ;; esac
done
mkdir -p "$root/proc" "$root$HOME"
chmod 1777 "$root$HOME"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
ln -s /proc/self/fd "$root/dev/fd"
cd "$root"
ids=
[ "$user" = 0 ] || ids="--reuid=$user --regid=$user --clear-groups"
unset BINDS
exec chroot "$root" setpriv $ids --no-new-privs --inh-caps=-all --bounding-set=-all sh -c 'cd && exec "$@"' - "$@"
"""


def binds(cache=None):
    """{what a student's process can read: where}: Python, its packages, vaejax with its data, these two programs."""
    python = {sys.prefix, sys.base_prefix, sysconfig.get_path("purelib")}
    python.add(str(Path(sys.executable).resolve().parent.parent))
    found = {path: path for path in [*SYSTEM, *sorted(python)] if os.path.exists(path)}
    found |= {str(ROOT / name): f"/book/{name}" for name in ("vaejax", "data")}
    found |= {str(HERE / name): f"/book/{name}" for name in ("worker.py", "channel.py")}
    found |= {f"/dev/{name}": f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")}
    if cache is not None:
        found[str(cache)] = "/book/cache"
    return {a: b for a, b in found.items() if a != b or not any(a.startswith(f"{outer}/") for outer in found)}


@functools.cache
def kind():
    """The best box that works here: tried, not guessed."""
    names = "bubblewrap", "namespaces"  # root makes its own, in which the student is another user outside as well
    for name in names[:: -1 if os.getuid() == 0 else 1]:
        with contextlib.suppress(OSError, subprocess.SubprocessError), tempfile.TemporaryDirectory() as root:
            command, env = _command(name, root, ["/usr/bin/env", "true"], None)
            if subprocess.run(command, env=env, capture_output=True, timeout=20).returncode == 0:
                return name
    return "none"


def _command(name, root, command, cache):
    """The command that runs `command` in a box, and its environment."""
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONPATH": "/book",
        "PYTHONDONTWRITEBYTECODE": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # small programs that run once: compiling takes longer
        "JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES": "none",  # they would make the cache's path a part of its keys
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "LANG": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", ""),
    }
    homes = "HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR"
    env |= dict.fromkeys(homes, HOME)
    if cache is not None:  # read only: the threshold keeps it from being written
        env |= {"JAX_COMPILATION_CACHE_DIR": "/book/cache", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "1e9"}
        env |= {"JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1", "PYTHONWARNINGS": "ignore:Error:UserWarning"}
    user = str(60_000 + os.getpid() % 5_000) if os.getuid() == 0 else "0"  # another one for each that grades
    if name == "bubblewrap":
        mounts = [part for a, b in binds(cache).items() for part in ("--ro-bind", a, b) if not b.startswith("/dev/")]
        box = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", *mounts]
        box += ["--size", "200000000", "--tmpfs", HOME, "--dev", "/dev", "--remount-ro", "/dev"]
        box += ["--proc", "/proc", "--remount-ro", "/"]
        if os.getuid() == 0:
            box += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
        return [*box, "--chdir", HOME, *command], env
    if name == "namespaces":
        env["BINDS"] = "\n".join(f"{a}|{b}" for a, b in binds(cache).items())
        apart = "--mount --pid --net --ipc --uts --fork --kill-child=SIGKILL"
        box = ["setpriv", "--pdeathsig", "KILL", "unshare", *apart.split()]
        box += [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        return [*box, "sh", "-e", "-c", UNSHARE, "box", str(root), user, *command], env
    env |= dict.fromkeys(homes, str(root))
    if name == "warm":  # our own answers fill the cache
        env["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HERE)])
    env["PATH"] = os.environ["PATH"]
    if cache is not None:
        env["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    return [str(HERE / part[6:]) if part.startswith("/book/") else part for part in command], env


class Student:
    """A student's process: `reading` and `writing` are its pipes, `end()` ends it with all that it has started."""

    def __init__(self, cache=None, box=None):
        box = box or kind()
        self.folder = tempfile.mkdtemp(prefix="vaejax-")
        command, env = _command(box, self.folder, [sys.executable, "/book/worker.py"], cache)
        self.process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )
        self.writing, self.reading = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.writing, False)

    def used(self):
        """(processes, bytes of memory, seconds of processor time) of the student's process and all below it."""
        pids, memory, seconds = [self.process.pid], 0, 0.0
        for pid in pids:  # it grows on the way
            with contextlib.suppress(OSError, ValueError, IndexError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    pids += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
                memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()
                times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                seconds += sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
        return len(pids), memory, seconds

    def excess(self):
        """In words, what it uses too much of; "" if nothing."""
        num_processes, memory, _ = self.used()
        if num_processes > PROCESSES:
            return f"more than {PROCESSES} processes"
        return f"more than {MEMORY / 1e9:g} GB of memory" if memory > MEMORY else ""

    def end(self):
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self.process.stdin = None  # closed below, without a flush
        for pipe in (self.writing, self.reading):
            with contextlib.suppress(OSError):
                os.close(pipe)
        self.process.stdout = None
        shutil.rmtree(self.folder, ignore_errors=True)
