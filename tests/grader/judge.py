"""Judges one submission: our tests run here, the student's code in a process of its own (worker.py, in a sandbox).

What the tests call of a student's is a stand-in, `Theirs`: a call of it is a message to the student's process, and what
comes back is data, compared here. `jax.vmap`, `jit`, `grad` and their like, given a stand-in, or a function of a test's
that calls one, are applied on the student's side; a function of a set-up cell that is given one runs there, too.
"""

import contextlib
import dis
import functools
import hashlib
import inspect
import io
import json
import linecache
import marshal
import multiprocessing
import os
import pickle
import re
import resource
import time
import types
import warnings

import channel
import jax
import numpy as np
import optax  # noqa: F401
import sandbox
import scipy.stats  # noqa: F401
import submission
from channel import Gone

import vaejax.book.check
import vaejax.book.data
import vaejax.book.plot  # noqa: F401

CALLERS = {  # of JAX: what they have compiled holds the function that they were given
    "apply_along_axis", "apply_over_axes", "associative_scan", "cond", "custom_linear_solve", "custom_root",
    "fori_loop", "frompyfunc", "fromfunction", "map", "piecewise", "platform_dependent", "reduce", "reduce_window",
    "scan", "select_and_scatter", "switch", "ufunc", "vectorize", "while_loop",
}  # fmt: skip
VERBS = "jit", "vmap", "grad", "value_and_grad", "jacfwd", "jacrev", "hessian"
MAX_PRINTED = 20_000  # characters of a test
MAX_SHOWN, ALL_SHOWN = 600_000, 4_000_000  # characters of what a student's cell shows, pictures and all; and all cells
RESTARTS = 12
GRACE = 15  # seconds after its time in which a cell may end by itself: longer where many are graded at once
PATIENCE = 1.0  # seconds after a cell, once Python has died: it may die a little later than the cell that kills it
MEMORY = 6_000_000_000  # bytes, of the judge
real_rng = np.random.default_rng


class TheirError(Exception):
    """A student's function failed; the message begins with the type of its error."""


class Theirs:
    """Stands for what a student has written."""

    def __init__(self, student, pid, name):
        self._student, self._pid, self._name = student, pid, name

    def __call__(self, *args, **kwargs):
        return self._student.call(self, args, kwargs)

    def __repr__(self):
        return f"<{self._name} of the student's>"


class Student:
    """The student's process, with the time that is left to it."""

    def __init__(self, namespace, cache, limit, until, box):
        self.namespace, self.limit, self.until, self.trees = namespace, limit, until, []
        self.used, self.entered, self.numbers, self.kept = set(), {}, {}, []
        self.process = sandbox.Student(cache, box)

    def ask(self, what, *parts, seconds=None):
        """Send one message, wait for its answer. Gone, where none comes in time."""
        seconds = min(seconds or self.limit, self.until - time.monotonic())
        if seconds <= 0:
            raise Gone("the notebook has used up its time")
        hard, looked = time.monotonic() + seconds + GRACE, 0.0

        def wait(pipe, writing=False):
            nonlocal looked
            while True:
                if time.monotonic() - looked > 0.2:
                    looked = time.monotonic()
                    if not multiprocessing.parent_process().is_alive():
                        os._exit(1)  # the run was killed: nobody waits for this report
                    if excess := self.process.excess():
                        raise Gone(f"it used {excess}")
                if channel.ready(pipe, writing, 0.2):
                    return
                if time.monotonic() > hard:
                    raise Gone(f"it ran for more than {seconds:.0f} s and could not be stopped")

        known, file = dict(self.numbers), io.BytesIO()
        try:
            sender = Sender(file, self)
            for part in ((what, seconds), *parts):
                sender.dump(part)
            channel.send(self.process.writing, file.getbuffer(), wait=wait)
            answer = channel.receive_answer(self.process.reading, wait)
            if answer.get("error") and what != "cell":
                kind, text = _error(answer["error"])
                raise TheirError(f"{kind}: {text}")
        except Exception:
            self.numbers = known  # what it has not read is sent again
            raise
        return answer

    def outlives(self, seconds):
        """Gone, if it ends within so many seconds: unasked, it says nothing, so that only its end can be read."""
        if channel.ready(self.process.reading, False, seconds):
            raise Gone("it has ended")

    def call(self, function, args, kwargs, name=None, what="call"):
        name = name or function._name
        self.used.update(name.split("/"))
        self.send_trees((args, kwargs))
        answer = self.ask(what, (function, args, kwargs, name))
        if entered := answer.get("entered"):
            known = self.entered.setdefault(name, set())
            known.update(_clean(one)[:80] for one in list(entered)[:50])
        if what == "make":
            return Theirs(self, ("thing", int(answer["thing"])), name)
        return channel.decode(answer.get("value"), answer["buffers"], self.trees, self.namespace)

    def make(self, verb, args, kwargs):
        """The verb, applied on the student's side."""
        names = sorted(set().union(*(involved(arg) for arg in args)))
        return self.call(Path("jax", verb), args, kwargs, "/".join(names), "make")

    def send_trees(self, args):
        """Networks and their like come back as the numbers in them: the student's side has to know their structure."""
        for value in jax.tree.leaves(args, is_leaf=_is_network):
            if _is_network(value):
                for candidate in (value, *(value if isinstance(value, tuple) else ())):
                    structure = jax.tree.structure(candidate)
                    if _is_network(candidate) and structure not in self.trees:
                        self.trees.append(structure)
                        self.ask("tree", candidate)


def _is_network(value):
    parts = value if isinstance(value, tuple) and hasattr(value, "_fields") else [value]
    return any(type(part).__module__.startswith("vaejax.") and not isinstance(part, tuple) for part in parts)


class Path:
    """A name in a module, as the student's process has it."""

    def __init__(self, *pid):
        self.pid = ("path", *pid)
        self._name = pid[-1]


class Sender(pickle.Pickler):
    """Writes to the student's process: stand-ins as names, modules by name, functions of ours as code."""

    def __init__(self, file, student):
        super().__init__(file, protocol=5)
        self.student = student

    def persistent_id(self, value):
        if isinstance(value, Theirs):
            return value._pid
        if isinstance(value, Path):
            return value.pid
        if isinstance(value, types.ModuleType):
            return "module", value.__name__
        if isinstance(value, jax.Array) and jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
            return "key", np.asarray(jax.random.key_data(value)), str(jax.random.key_impl(value))
        if isinstance(value, types.FunctionType) and hasattr(value, "_ours"):
            return value._ours
        if isinstance(value, types.FunctionType) and value.__globals__ is self.student.namespace:
            return self._function(value)
        if isinstance(value, type) and value.__module__ == self.student.namespace["__name__"]:
            return "ours", value.__name__
        return None

    def _function(self, function):
        number = self.student.numbers.get(id(function))
        if number is not None:
            return "known", number
        number = len(self.student.kept)
        self.student.kept.append(function)  # so that its id stays its own
        closure = tuple(cell.cell_contents for cell in function.__closure__ or ())
        space = self.student.namespace
        names = {name: space[name] for name in globals_of(function.__code__) if name in space}
        code = marshal.dumps(function.__code__)
        pid = "function", number, code, function.__name__, function.__defaults__, function.__kwdefaults__
        self.student.numbers[id(function)] = number
        return *pid, closure, names


def globals_of(code):
    """The global names that a function reads, and those of the functions in it."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= globals_of(constant)
    return found


def involved(value, seen=None):
    """The names of the student's that a value is, or that a function of ours calls."""
    seen = set() if seen is None else seen
    if isinstance(value, Theirs):
        return set(value._name.split("/"))
    if id(value) in seen:
        return set()
    seen.add(id(value))
    if isinstance(value, functools.partial):
        return set().union(*(involved(part, seen) for part in (value.func, *value.args, *value.keywords.values())))
    if not isinstance(value, types.FunctionType) or value.__globals__.get("__name__") != "problem_set":
        return set()
    parts = [value.__globals__.get(name) for name in globals_of(value.__code__)]
    parts += [cell.cell_contents for cell in value.__closure__ or ()]
    return set().union(*(involved(part, seen) for part in parts))


class Judge:
    """Runs the cells of one notebook, ours here and the student's there."""

    def __init__(self, request, until):
        self.request, self.namespace, self.room = request, {"__name__": "problem_set"}, ALL_SHOWN
        cache = request["cache"] and os.path.join(request["cache"], "theirs")
        self.student = Student(self.namespace, cache, request["timeout"], until, request["box"])
        for name in request["names"]:
            self.namespace[name] = Theirs(self.student, ("name", name), name)
        for name in VERBS:
            setattr(jax, name, self._verb(name, REAL[name]))

    def _verb(self, name, real):
        @functools.wraps(real)
        def verb(*args, **kwargs):
            if any(involved(arg) for arg in args):
                return self.student.make(name, args, kwargs)
            return real(*args, **kwargs)

        verb._ours = ("path", "jax", name)
        return verb

    def _set_up(self, name, function):
        """A function of a set-up cell: given something of the student's, it runs on the student's side."""

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            names = set().union(*(involved(value) for value in (*args, *kwargs.values())), set())
            if not names:
                return function(*args, **kwargs)
            given = inspect.signature(function).bind(*args, **kwargs)
            given.apply_defaults()
            return self.student.call(wrapped, given.args, given.kwargs, "/".join(sorted(names)))

        wrapped._ours = ("ours", name)
        return wrapped

    def run(self, cell):
        """Runs one cell, and returns what it shows: {"outputs": [{"text": ...}], "error": [kind, text] or None}."""
        if cell["kind"] == "theirs":
            answer = self.student.ask("cell", (cell["source"], True))
            shown = _outputs(answer.get("outputs"), min(self.room, MAX_SHOWN))
            self.room -= sum(len(text) for one in shown for text in one.values())
            return {"outputs": shown, "error": _error(answer.get("error"))}
        if cell["kind"] == "set-up":
            self.student.ask("cell", (cell["source"], False))
        before = set(self.namespace)
        self.student.used = set()
        np.random.default_rng = _seeded(self.request["seed"], cell["id"])
        page, error = io.StringIO(), None
        name = f"<{cell['id']}>"
        linecache.cache[name] = len(cell["source"]), None, cell["source"].splitlines(True), name
        try:
            with contextlib.redirect_stdout(page), contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                exec(compile(cell["source"], name, "exec"), self.namespace)
        except Gone:
            raise
        except Exception as failure:
            error = _describe(failure)
        finally:
            np.random.default_rng = real_rng
        if cell["kind"] == "set-up":
            for new in set(self.namespace) - before:
                function = self.namespace[new]
                if isinstance(function, types.FunctionType) and function.__globals__ is self.namespace:
                    self.namespace[new] = self._set_up(new, function)
        text = page.getvalue()[:MAX_PRINTED]
        return {"outputs": [{"text": text}] if text else [], "error": error, "used": sorted(self.student.used)}


def _describe(error):
    if isinstance(error, TheirError):
        kind, _, text = str(error).partition(": ")
        return [kind, text]
    return [type(error).__name__, _clean(error)[:3000]]


def _error(error):
    if not error:
        return None
    parts = [_clean(part) for part in error] if isinstance(error, list) else [_clean(error)]
    return [parts[0][:80], parts[-1][:2000]]


def _clean(text):
    """Text that can be written: without halves of characters."""
    return str(text).encode("utf-8", "replace").decode()


def _outputs(outputs, room):
    """What a student's cell shows: text and pictures, no more than a page holds, and no picture that is none."""
    shown = []
    for one in outputs if isinstance(outputs, list) else []:
        (kind, value), *_ = one.items() if isinstance(one, dict) and one else [("", "")]
        if not isinstance(value, str) or len(value) > room:
            continue
        if kind == "text":
            shown.append({"text": _clean(value)[:MAX_PRINTED]})
        elif kind == "png" and re.fullmatch(r"[A-Za-z0-9+/=\s]*", value):
            shown.append({"png": "".join(value.split())})
        room -= len(value)
    return shown


def _seeded(seed, cell):
    """numpy's default_rng: without a seed, another one at each call, the same in each run."""
    count = 0

    def default_rng(given=None):
        nonlocal count
        count += given is None
        digest = hashlib.sha256(f"{seed}/{cell}/{count}".encode()).digest()
        return real_rng(int.from_bytes(digest[:8], "little") if given is None else given)

    return default_rng


def judge(request):
    """The report: what each cell shows, which tests hold, and what was found."""
    cells, flags, is_there = submission.read(request)
    if not is_there:
        return {
            "tests": {cell["id"]: False for cell in cells if cell["kind"] == "test"},
            "flags": flags,
            "cells": cells,
        }
    removed, shown, restarts, spent = {}, {}, 0, 0.0
    until = time.monotonic() + request["seconds"]
    while True:
        judging, running = None, -1
        try:
            judging, shown = Judge(request, until), {}
            for running, cell in enumerate(cells):
                if running not in removed and cell["kind"] not in ("text", "answer"):
                    shown[running] = judging.run(cell)
                    if restarts and cell["kind"] == "theirs":
                        judging.student.outlives(PATIENCE)
            break
        except Gone as reason:
            restarts += 1
            guilty = [i for i in range(running + 1) if cells[i]["kind"] == "theirs" and i not in removed]
            if restarts > RESTARTS or not guilty or "used up" in str(reason):
                flags.append(f"it was ended at {cells[running]['id']}: {reason}")
                break
            for index in [i for i in removed if i > guilty[-1]]:  # Python may die a little later than its cell: those
                del removed[index]  # after it get another chance
            removed[guilty[-1]] = str(reason)
        finally:
            if judging is not None:
                spent += judging.student.process.used()[2]
                judging.student.process.end()
    for index, reason in removed.items():
        shown[index] = {"outputs": [], "error": ["LeftOut", f"this cell was left out, and the others ran: {reason}"]}
        flags.append(f"{cells[index]['id']} stopped Python, or could not be stopped: {reason}")
    for index, one in shown.items():
        if cells[index]["kind"] == "theirs" and one["error"] and one["error"][0] in SAYS:
            flags.append(f"{cells[index]['id']} {SAYS[one['error'][0]]}")
    entered = judging.student.entered if judging is not None else {}
    called, calls = submission.library_calls(cells, entered)
    flags += called
    tests = {}
    for index, cell in enumerate(cells):
        if cell["kind"] == "test":
            one = shown.get(index) or {"error": ["NotRun", "the notebook was ended before this test"], "used": []}
            unfair = sorted(set(one.get("used", ())) & calls) if request["strict"] else []
            if unfair and not one["error"]:
                one["error"] = ["Library", f"{', '.join(unfair)} calls the library where a task says: write your own"]
            tests[cell["id"]] = one["error"] is None
    nothing = {"outputs": [], "error": None}
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "tests": tests,
        "flags": list(dict.fromkeys(flags)),
        "cells": [{**cell, **shown.get(index, nothing)} for index, cell in enumerate(cells)],
        "seconds": {"student": round(spent, 1), "judge": round(mine.ru_utime + mine.ru_stime, 1)},  # of processor time
    }


SAYS = {
    "TooLong": "ran for longer than a cell may and was stopped",
    "SystemExit": "tried to stop Python",
}
REAL = {name: getattr(jax, name) for name in VERBS}


def remove_answers(folder, cells):
    """Of what our own answers have compiled, leave what is JAX's: who loads a compiled answer can call it."""
    ours = {name for cell in cells for name in submission.defined_in(cell["source"])}
    jaxs = {name for module in (jax.numpy, jax.numpy.linalg, jax.lax, jax.random, jax.nn) for name in vars(module)}
    for file in os.listdir(folder):
        name = re.sub(r"-[0-9a-f]+-[a-z]+$", "", file).removeprefix("jit_").lstrip("_")
        if name not in jaxs - ours - CALLERS:
            os.remove(os.path.join(folder, file))


def main(request, path):
    """Write the report to a file, last of all: nothing is there before it is whole."""
    log = os.open(f"{path}.log", os.O_WRONLY | os.O_CREAT)
    for number in (1, 2):
        os.dup2(log, number)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, request["cores"])  # the student's process inherits them, and can ask for no others
    if request["cache"]:  # what the tests compile: filled by our own answers, and then read
        jax.config.update("jax_compilation_cache_dir", os.path.join(request["cache"], "tests"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0 if request["box"] == "warm" else 1e9)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        jax.config.update("jax_persistent_cache_enable_xla_caches", "none")
        warnings.filterwarnings("ignore", "Error", UserWarning)
    with open(f"{path}.draft", "w", encoding="utf-8") as file:
        json.dump(judge(request), file)
    if request["box"] == "warm":
        remove_answers(os.path.join(request["cache"], "theirs"), submission.template(request["source"]))
    os.replace(f"{path}.draft", path)
