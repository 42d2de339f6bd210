"""Runs a student's cells and calls a student's functions, in a sandbox. Nothing here knows a test or a right answer.

The judge (judge.py) sends what to do. What goes back is what the cells print and what the functions return, as data.
The student's code may change everything in this process, and with it only what it answers.
"""

import base64
import contextlib
import ctypes
import importlib
import io
import json
import marshal
import os
import pickle
import platform
import resource
import signal
import struct
import sys
import threading
import types

import channel

MAX_OUTPUT = 200_000  # characters of what a cell prints; the rest is passed over, as is what it displays besides
MAX_PNG = 400_000  # bytes
FIRST_CALLS = 3  # of each function, in which is recorded what it enters of vaejax
LIMITS = {"FSIZE": 100_000_000, "CORE": 0, "DATA": 10_000_000_000, "NPROC": 512, "NOFILE": 512}
# Refused by number: of the architecture, of mmap, of the calls that give memory which no process is charged with
# (memfd_create, memfd_secret, shmget, mount, fsopen, unshare, setns) or change what others use (sched_setaffinity).
REFUSED = {
    "x86_64": (0xC000003E, 9, (319, 447, 29, 165, 430, 272, 308, 203)),
    "aarch64": (0xC00000B7, 222, (279, 447, 194, 40, 430, 97, 268, 122)),
}

ours, theirs = {"__name__": "problem_set"}, {"__name__": "__main__"}  # namespaces
things, functions, trees, counts = [], {}, [], {}


class TooLong(Exception):
    """The cell runs for longer than it may."""


class Page(io.TextIOBase):
    """Keeps what is printed, up to a limit."""

    def __init__(self):
        self.parts, self.size = [], 0

    def writable(self):
        return True

    def write(self, text):
        if kept := text[: MAX_OUTPUT - self.size]:  # else a loop that prints would fill the memory with nothing
            self.parts.append(kept)
            self.size += len(kept)
        return len(text)


class Loader(pickle.Unpickler):
    """Reads what the judge sends: it names modules, functions and what stands in the student's notebook."""

    def persistent_load(self, pid):
        kind, *rest = pid
        if kind == "name":
            if rest[0] not in theirs:
                raise NameError(f"name {rest[0]!r} is not defined")
            return theirs[rest[0]]
        if kind == "thing":
            return things[rest[0]]
        if kind == "ours":
            return ours[rest[0]]
        if kind == "module":
            return importlib.import_module(rest[0])
        if kind == "path":
            return getattr(importlib.import_module(rest[0]), rest[1])
        if kind == "key":
            import jax

            return jax.random.wrap_key_data(rest[0], impl=rest[1])
        if kind == "function":
            number, code, name, defaults, kwdefaults, closure, names = rest
            cells = tuple(types.CellType(value) for value in closure)
            space = {"__builtins__": __builtins__, "__name__": "problem_set", **names}
            function = types.FunctionType(marshal.loads(code), space, name, defaults, cells)
            function.__kwdefaults__ = kwdefaults
            functions[number] = function
            return function
        if kind == "known":
            return functions[rest[0]]
        raise ValueError(f"the judge sent {kind!r}")


def main():
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    shell = make_shell()
    signal.signal(signal.SIGALRM, too_long)
    while True:
        try:
            text = channel.receive(reading, channel.length(reading, 1 << 40))
        except channel.Gone:
            return
        buffers = []
        try:
            answer = do(Loader(io.BytesIO(text)), shell, buffers)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            answer, buffers = {"error": describe(error)}, []
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        answer["sizes"] = [len(buffer) for buffer in buffers]
        channel.send(writing, json.dumps(answer).encode(), buffers)


def do(message, shell, buffers):
    (what, limit), page = message.load(), Page()
    signal.setitimer(signal.ITIMER_REAL, limit, 2)  # again and again: Python drops what is raised as it clears up
    with contextlib.redirect_stdout(page), contextlib.redirect_stderr(page):
        if what == "tree":
            import jax

            trees.append(jax.tree.structure(message.load()))
            return {}
        if what == "cell":
            source, is_theirs = message.load()
            return run_cell(shell, source, page) if is_theirs else run_ours(source)
        function, args, kwargs, name = message.load()
        if what == "make":
            things.append(function(*args, **kwargs))
            return {"thing": len(things) - 1}
        counts[name] = counts.get(name, 0) + 1
        entered, result = call(function, args, kwargs, counts[name] <= FIRST_CALLS)
        return {"value": channel.encode(result, buffers, trees), "entered": entered}


def call(function, args, kwargs, recording):
    """The result, and which functions of vaejax were entered on the way to it."""
    entered = set()

    def profile(frame, event, arg):
        module = frame.f_globals.get("__name__", "")
        if event == "call" and isinstance(module, str) and module.startswith("vaejax."):
            entered.add(f"{module.removeprefix('vaejax.')}.{frame.f_code.co_name}")

    if recording:
        threading.setprofile(profile)
        sys.setprofile(profile)
    try:
        result = function(*args, **kwargs)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return sorted(entered)[:50], result


def run_ours(source):
    """A set-up cell: in a namespace of its own, whose new names the student's notebook gets."""
    before = dict(ours)
    exec(compile(source, "<set-up>", "exec"), ours)
    theirs.update({name: value for name, value in ours.items() if before.get(name, ours) is not value})
    return {"outputs": []}


def run_cell(shell, source, page):
    shown, error = [], None
    shell.display_pub.outputs = shown
    shell.displayhook.outputs = shown
    result = shell.run_cell(source, store_history=False)
    failure = result.error_before_exec or result.error_in_exec
    if failure is not None:
        error = describe(failure)
    text = "".join(page.parts)
    outputs = [{"text": text}] if text.strip() else []
    for one in shown[:50]:
        data = one.get("data", one) if isinstance(one, dict) else getattr(one, "data", {})
        picture, plain = data.get("image/png"), data.get("text/plain", "")
        if isinstance(picture, bytes):
            picture = base64.b64encode(picture).decode()
        if isinstance(picture, str) and len(picture) < MAX_PNG:
            outputs.append({"png": picture})
        else:
            outputs.append({"text": str(plain)[:2000]})
    return {"outputs": outputs, "error": error}


def describe(error):
    try:
        return [type(error).__name__, str(error)[:2000]]
    except BaseException:
        return ["Error", "an error that cannot be shown"]


def too_long(signum, frame):
    raise TooLong("it runs for longer than it may: it was stopped")


def make_shell():
    """IPython without a kernel: magics and displays work as in Jupyter."""
    from IPython.core.displayhook import CapturingDisplayHook
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    config.InteractiveShell.xmode = "Minimal"
    module = types.ModuleType("__main__")
    module.__dict__.update(theirs)
    shell = InteractiveShell.instance(config=config, user_module=module, user_ns=module.__dict__)
    globals()["theirs"] = shell.user_ns
    shell.display_pub = CapturingDisplayPublisher()
    shell.displayhook = shell.display_trap.hook = CapturingDisplayHook(shell, [])
    shell.displayhook.is_active = False  # run_cell asks for it where something was printed
    shell.system, shell.enable_gui = shell.system_raw, lambda gui=None: None  # there is no terminal and no window
    shell.showtraceback = shell.showsyntaxerror = shell.showindentationerror = lambda *args, **options: None
    sys.modules["__main__"] = module
    return shell


def limit():
    """What a process may not undo: sizes of files and memory, and the end of it when its parent ends."""
    for kind, most in LIMITS.items():
        if kind != "NPROC" or os.getuid() >= 60_000:  # one user for each student; else all of yours would count
            with contextlib.suppress(OSError, ValueError, AttributeError):
                resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), (most, most))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if platform.machine() in REFUSED:
            refuse(*REFUSED[platform.machine()])


def refuse(architecture, mmap, calls):
    """From now on the kernel refuses `calls`, and memory that processes share without a file (flags 0x21 of mmap)."""
    load, equal, at_least, mask, answer = 0x20, 0x15, 0x35, 0x54, 0x06
    no, yes = (answer, 0, 0, 0x50001), (answer, 0, 0, 0x7FFF0000)  # EPERM; done
    lines = [(load, 0, 0, 4), (equal, 1, 0, architecture), no]  # (what, lines to skip if so, and if not, a value)
    lines += [(load, 0, 0, 0), (at_least, 0, 1, 1 << 30), no]  # the same calls have other numbers there
    for call in calls:
        lines += [(equal, 0, 1, call), no]
    lines += [(equal, 1, 0, mmap), yes, (load, 0, 0, 40), (mask, 0, 0, 0x21), (equal, 0, 1, 0x21), no, yes]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HP", len(lines), ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # no new rights: without it there is no filter
    libc.prctl(22, 2, program)


if __name__ == "__main__":
    limit()
    main()
