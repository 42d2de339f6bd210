"""Unit tests run in float64, and a silent broadcast between arrays of different rank is an error."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # the stored outputs come from a CPU; notebook kernels inherit this

import hypothesis
import jax
import matplotlib

matplotlib.use("agg")  # here and not by MPLBACKEND, which the notebook kernels would inherit
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
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
