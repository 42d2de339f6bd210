"""Runs inside the kernel that grades: puts back what a submission replaces, and says what it was.

The grader loads this file into the kernel as the module `_guard` before the first cell. It is no sandbox: code that
runs in the same process can always find a way. It stops what students try, and names it.
"""

import importlib
import json
import os
import sys
import types

MODULES = [
    "builtins", "numpy", "numpy.linalg", "numpy.random", "jax", "jax.numpy", "jax.numpy.linalg", "jax.nn", "jax.random",
    "jax.scipy.special", "jax.scipy.stats", "jax.scipy.linalg", "vaejax", "vaejax.book.check", "vaejax.book.data",
    "vaejax.bounds", "vaejax.densities", "vaejax.doors", "vaejax.expectation", "vaejax.files", "vaejax.gaussian",
    "vaejax.gmm", "vaejax.gradient_ascent", "vaejax.linear_gaussian", "vaejax.nodes", "vaejax.pca", "vaejax.vae",
]  # fmt: skip
NOT_OURS = {"builtins.input", "builtins.exit", "builtins.quit", "builtins.display"}  # IPython changes these itself

_before = {}  # module -> {name: object}, as it was before the first cell
_notebook = {}  # what the locked cells have named
_hooks = {}  # lists of IPython that can rewrite a cell


def begin(shell):
    """Remember how everything is, and close the ways out of Python."""
    sys.exit = os._exit = os.abort = os.kill = os.execv = os.fork = shell.ask_exit = _no_exit
    for name in MODULES:
        module = importlib.import_module(name)
        _before[module] = dict(vars(module))
    for module in (sys, os):
        _before[module] = {name: _no_exit for name in ("exit", "_exit", "abort", "kill") if hasattr(module, name)}
    _hooks.update(
        ast=(shell.ast_transformers, list(shell.ast_transformers)),
        text=(shell.input_transformers_post, list(shell.input_transformers_post)),
    )


def remember(shell, names):
    """The names that a locked cell has bound: functions, classes and modules, which nobody may replace."""
    kinds = types.FunctionType | types.ModuleType | type
    _notebook.update({n: shell.user_ns[n] for n in names if isinstance(shell.user_ns.get(n), kinds)})


def restore(shell, token):
    """Put back what was replaced, and print its names as JSON beside the token."""
    changed = []
    for module, names in _before.items():
        now = vars(module)
        for name, value in names.items():
            path = f"{module.__name__}.{name}"
            if now.get(name) is not value and not isinstance(value, types.ModuleType) and path not in NOT_OURS:
                changed.append(path)
                setattr(module, name, value)
    for name, value in _notebook.items():
        if shell.user_ns.get(name) is not value:
            changed.append(name)
            shell.user_ns[name] = value
    for kind, (hook, value) in _hooks.items():
        if hook != value:
            changed.append(f"the {kind} transformers of IPython")
            hook[:] = value
    print(json.dumps([token, changed]))


def _no_exit(*args, **kwargs):
    raise RuntimeError("this would have stopped Python: the cell ends here, and the notebook goes on")
