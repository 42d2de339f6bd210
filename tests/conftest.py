"""Unit tests run in float64, and a silent broadcast between arrays of different rank is an error.

`make test` leaves out what is marked `long`: tests that fill disks, kill fits, need several devices and grade problem
sets, and slow ones that notice no mistake of tests/mutants alone. `make test-long` runs those, `make test-all` both.
"""

import os
import re
import sys
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the stored outputs come from a CPU; notebook kernels inherit this

import hypothesis
import jax
import matplotlib
import pytest

matplotlib.use("agg")  # here and not by MPLBACKEND, which the notebook kernels would inherit
jax.config.update("jax_numpy_rank_promotion", "raise")
IN_FLOAT32 = os.environ.get("VAEJAX_FLOAT32") == "1"  # as users have it, with JAX's default precision of products
if not IN_FLOAT32:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")

# compiling takes its time, so no deadline; a failure prints the lines that reproduce it; a mutant that few examples
# show is noticed early or not at all
hypothesis.settings.register_profile("vaejax", deadline=None, max_examples=25, print_blob=True)
hypothesis.settings.register_profile(
    "mutants",
    hypothesis.settings.get_profile("vaejax"),
    max_examples=8,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
)
hypothesis.settings.load_profile("vaejax")

SLOWEST_FIRST = ("06_vae", "appendix", "05_nonlinear", "companion", "02_em", "04_linear", "01_max", "test_gmm")
COMPILED_IN_HASTE = [
    f"test_{name}"
    for name in (
        "bounds", "expectation", "fit", "gaussian", "gmm", "gradient_ascent", "linear_gaussian", "properties", "vae",
    )
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_figure_stays():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def pytest_collection_modifyitems(items):
    """The longest files first, so that no worker ends with one alone."""

    def rank(item):
        named = (i for i, name in enumerate(SLOWEST_FIRST) if Path(item.path).stem.startswith(name))
        is_answer = "answers" in Path(item.path).parts
        return len(SLOWEST_FIRST) if is_answer else next(named, len(SLOWEST_FIRST))

    items.sort(key=rank)
    if IN_FLOAT32:
        items[:] = [item for item in items if not item.get_closest_marker("double")]


@pytest.hookimpl(optionalhook=True)  # pytest may run without xdist
def pytest_xdist_make_scheduler(config, log):
    """A file is a worker's, whole; of the problem sets that are graded, a set."""
    from xdist.scheduler import LoadScopeScheduling

    class FileByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            of_set = re.search(r"assignments/test_assignments.*\[(\d\d)", nodeid)
            return of_set.group(1) if of_set else nodeid.split("::")[0]

    config.option.loadscopereorder = False
    return FileByFile(config, log)


@pytest.fixture(autouse=True, scope="module")
def each_file_compiles_as_suits_it(request):
    """Where hundreds of programs run once each, XLA need not optimise them; in float32 they are as users have them."""
    in_haste = request.module.__name__ in COMPILED_IN_HASTE and not IN_FLOAT32
    jax.config.update("jax_disable_most_optimizations", in_haste)
    yield
    jax.clear_caches()  # no more than one file in memory
