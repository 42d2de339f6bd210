"""Run at the start of every notebook's kernel under pytest: a kernel of vaejax that is compiled twice is an error.

The conftest.py on top names this file in PYTHONSTARTUP, which IPython runs. JAX logs the key under which it looks for a
program in its compile cache. The same key twice in one process is the same program made twice: because of a model made
of fresh lambdas, say. Without a compile cache (the Makefile sets one) JAX logs no keys, and nothing is watched.
"""


def watch():
    import logging
    import os
    import re
    from pathlib import Path

    package = Path(os.environ["PYTHONSTARTUP"]).parent.parent / "vaejax"
    jitted = r"jax\.jit[^\n]*\n(?:@[^\n]*\n)*def (\w+)"
    kernels = {f"jit_{name}" for file in package.glob("*.py") for name in re.findall(jitted, file.read_text("utf-8"))}
    seen = set()

    def once(record):
        if "ompilation cache hit" in record.msg or "COMPILATION CACHE MISS" in record.msg:
            program, key = record.args
            if program in kernels and key in seen:
                raise RuntimeError(f"{program} of vaejax was compiled a second time for the same arguments")
            seen.add(key)
        return record.levelno >= logging.WARNING

    logger = logging.getLogger("jax._src.compiler")
    logger.setLevel(logging.DEBUG)
    logger.addFilter(once)


watch()
del watch
