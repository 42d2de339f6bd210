"""The table of mutants turned round: from what you see to what may be wrong. Writes chapters/clinic.md.

    python tests/mutants/clinic.py

Every mutant of the registry stands under one symptom, the one that its maker would meet first.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from registry import MUTANTS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CLINIC = ROOT / "chapters" / "clinic.md"


class Symptom(NamedTuple):
    title: str  # what one sees
    ask: str  # the first measurement, which splits the causes
    read: tuple  # (notebook stem, cell id) where the book explains it
    causes: str  # names of mutants


SYMPTOMS = (
    Symptom(
        "My bound lies above log p(x)",
        "If it is estimated from draws, average many first: one estimate may lie above. Then take a model whose "
        "log p(x) you can compute: two coins, one Gaussian, a grid over z. Put the exact posterior in the place of q. "
        "Bound and log p(x) must agree to rounding, node by node; the difference names the term.",
        ("02_em_gaussian_mixture", "touch"),
        "nodes-no-jacobian nodes-log-q-of-the-prior iw-sum chunks-added no-prior vae-no-prior vae-grid-no-prior",
    ),
    Symptom(
        "A gap to log p(x) stays, even where q is the exact posterior",
        "At the posterior every log weight is the same number, log p(x), wherever the nodes are. Print spread and "
        "value: a spread says that a term with z in it is wrong, a wrong value without a spread, that a constant is.",
        ("02_em_gaussian_mixture", "dial"),
        "entropy-forgotten entropy-sign enumerate-no-log nodes-no-constant mixture-no-weights posterior-unnormalised "
        "grid-no-volume grid-sum-no-volume",
    ),
    Symptom(
        "A mean under q, or a bound at another q than the posterior, is off",
        "Take a q that is not the posterior: there, nodes and weights matter. Its mean of z and of z z' must be its "
        "own; the ELBO must be log p(x) minus a KL that you know; and many draws must lift the importance-weighted "
        "bound to log p(x).",
        ("05_nonlinear_gaussian", "importance"),
        "enumerate-uniform elbo-unweighted expect-unweighted quadrature-equal-weights quadrature-physicists "
        "cubature-distance-one cubature-one-sided iw-mean-of-logs bound-ignored",
    ),
    Symptom(
        "A density does not integrate to one",
        "Sum it over a fine grid in one or two dimensions, and compare one value with `scipy.stats`. A factor that "
        "grows with D is a constant, one that grows with the scale a determinant.",
        ("01_maximum_likelihood", "bell"),
        "gaussian-not-halved gaussian-constant-once gaussian-log-det-sign gaussian-sd-as-variance "
        "gaussian-covariance-for-precision "
        "log-det-twice categorical-unnormalised mixture-off-the-simplex fast-no-jacobian "
        "log-det-of-the-noise log-det-halved noise-sd-as-variance sigma2-as-deviation marginal-no-shrinking",
    ),
    Symptom(
        "The KL divergence is negative, is not zero at q = p, or is the other one of the two",
        "Compute KL(q, q) first: it must be zero to rounding. Then two Gaussians in one dimension, against an integral "
        "on a grid.",
        ("02_em_gaussian_mixture", "kl"),
        "kl-gaussian-reversed kl-gaussian-log-det-sign kl-gaussian-no-dimension kl-gaussian-no-shift "
        "kl-categorical-reversed "
        "kl-categorical-sign",
    ),
    Symptom(
        "EM lowers the log likelihood",
        "With an exact E-step, and an M-step that does not lower the expected log joint, it cannot. Give the M-step "
        "completed data with known labels, and compare it with the fit of each group. Take one step from a start far "
        "from the maximum beside a textbook's, and one from the maximum: there it must stay.",
        ("02_em_gaussian_mixture", "half-steps"),
        "stale-e-step m-step-stale-centre m-step-divides-by-n m-step-old-means m-step-squared-weights "
        "recentre-the-wrong-way "
        "fast-pairs-halved "
        "fast-second-moment fast-precise-not-turned fast-no-guard noise-around-the-old fast-error-as-known "
        "als-no-inverse",
    ),
    Symptom(
        "EM stops too early, or at a worse place than another program",
        "Start both programs from the same parameters and compare after one step, then after ten. A difference in the "
        "first step is the M-step; one that appears later is the stopping rule or a lost state.",
        ("02_em_gaussian_mixture", "starts"),
        "em-stops-while-rising history-one-late m-step-equal-shares floor-within-components last-chunk-twice "
        "padding-counts fast-padding-counts sums-for-means example-weights-twice parts-averaged-alike "
        "devices-averaged-alike devices-summarise-alone summary-of-other-data fast-route-of-another start-overwritten "
        "devices-do-not-talk file-read-twice blend-forgets-its-centre pca-smallest pca-not-centred "
        "pca-n-minus-one few-not-normalised quartimax ppca-is-fa",
    ),
    Symptom(
        "The noise variance comes out too small, and the model too sure",
        "Draw 10,000 examples from known parameters and fit them. What comes back too small was estimated from guesses "
        "that were taken for facts: E[z] E[z]' for E[z z'].",
        ("04_linear_gaussian", "m-step"),
        "m-step-z-as-known fast-z-as-known filled-in-as-known ppca-noise-over-all ppca-no-shrinking posterior-no-prior "
        "noise-squared",
    ),
    Symptom(
        "What was filled in for missing entries looks wrong",
        "Hide entries that you know. Compare the filled-in value with a line through the complete rows, and the spread "
        "of its errors with what the model promises: they must agree in mean and in size.",
        ("02_em_gaussian_mixture", "cut"),
        "conditional-is-marginal conditional-sign mean-imputation impute-no-mean holes-without-noise "
        "marginal-constant marginal-keeps-correlations",
    ),
    Symptom(
        "The loss becomes NaN or infinite, perhaps after an hour",
        "Keep the parameters of the step before, and look at each example's log weights: the first that is not finite "
        "names the term. A component as thin as rounding, a log of zero, an exp above 88 are the usual three.",
        ("02_em_gaussian_mixture", "collapse"),
        "bernoulli-overflows elbo-zero-log-zero iw-no-maximum fast-no-maximum mixture-no-floor",
    ),
    Symptom(
        "Training does not move, or goes down",
        "Climb a bowl, -(theta - 3)^2, by the same loop: it must arrive. Then compare one gradient with finite "
        "differences, with the same key.",
        ("01_maximum_likelihood", "ascent"),
        "descent optimizer-forgets sample-stopped-gradient one-minibatch with-replacement frozen-parameters-move",
    ),
    Symptom(
        "Results are less random than they should be",
        "Evaluate the same bound with two keys, and two examples with one key: which numbers move together? No key may "
        "be used twice. If all pictures look alike and the keys are right, look at the KL of each latent: where it is "
        "near zero nothing was learnt there, and that can be the optimum ([chapter 6, cell "
        "`collapse`](06_vae.ipynb#cell-id=collapse)).",
        ("02_em_gaussian_mixture", "sampled"),
        "one-key-for-all em-key-used-twice examples-share-a-key step-key-used-twice sample-one-draw key-used-twice "
        "chunks-share-a-key chunks-share-noise devices-share-noise",
    ),
    Symptom(
        "Samples look wrong: too wide, too narrow, tilted the other way",
        "Compare mean and covariance of 10,000 draws with those that the parameters promise. Tilted: the factor is "
        "transposed. Wide or narrow: a variance stands for a standard deviation.",
        ("04_linear_gaussian", "marginal"),
        "sample-variance-scales sample-transposed-factor mixture-sample-transposed drawn-noise-variance "
        "vae-drawn-noise-variance scale-as-variance",
    ),
    Symptom(
        "Pictures come out grey, washed out, or beside the frame",
        "Print the least and the largest value at every stage: bytes, pixels between 0 and 1, logits, probabilities. "
        "Then decode the mean of the prior.",
        ("03_pca", "reconstruct"),
        "logits-as-pixels bytes-as-pixels project-not-centred reconstruct-no-mean",
    ),
    Symptom(
        "The numbers are good, but their size makes no sense",
        "Write the unit beside the number: nats per example, summed over pixels, averaged over examples. Double the "
        "data set: the number must stay.",
        ("01_maximum_likelihood", "climb-sum"),
        "sum-over-examples bernoulli-mean pixels-averaged reconstruction-twice",
    ),
    Symptom(
        "The last digits change with the chunks, the file or the machine",
        "Add up a million equal terms in single precision, and the same in double. Then take one matrix product at the "
        "default precision of the accelerator and at the highest.",
        ("03_pca", "squares"),
        "sums-drift file-added-in-single precision-as-it-comes",
    ),
    Symptom(
        "Labels and shares do not fit the picture",
        "For one example print log pi_k + log p(x | k) for each k, and divide by hand.",
        ("02_em_gaussian_mixture", "whose"),
        "responsibilities-unnormalised predict-least",
    ),
    Symptom(
        "The test score is too good, or a check never fails",
        "Break the code on purpose and run again. Look for a test example among the training examples, byte by byte.",
        ("01_maximum_likelihood", "held-out"),
        "test-is-training close-somewhere deviation-for-standard-error",
    ),
)

HEAD = """# Clinic: from a symptom to its causes

You built a model, and it does something that it should not. Find what you see; make the first measurement; then
compare the causes. Each is a mistake that somebody has made. We have put it into a copy of vaejax, and the test
named beside it is what noticed first: copy that check into your own program.

Written by `python tests/mutants/clinic.py` from the [table of mistakes](../tests/mutants/README.md).

"""


def anchor(title):
    """The name under which a Markdown page links to this heading."""
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def symptom_of():
    """{name of a mutant: the symptom under which it stands}"""
    return {name: symptom for symptom in SYMPTOMS for name in symptom.causes.split()}


def page():
    results, by_name = json.loads((HERE / "results.json").read_text()), {mutant.name: mutant for mutant in MUTANTS}
    lines = [HEAD, *(f"- [{symptom.title}](#{anchor(symptom.title)})\n" for symptom in SYMPTOMS)]
    for title, ask, (notebook, cell), causes in SYMPTOMS:
        lines.append(f"\n## {title}\n\n**Measure first.** {ask}\n\n")
        lines.append(f"**Read.** [{notebook}, cell `{cell}`]({notebook}.ipynb#cell-id={cell})\n\n")
        lines.append("| what may be wrong | noticed by |\n|---|---|\n")
        for name in causes.split():
            mistake = by_name[name].mistake.replace("|", "\\|")
            test = (results.get(name, {}).get("tests") or "not run").split(",")[0]
            lines.append(f"| {mistake} | `{test}` |\n")
    return "".join(lines)


if __name__ == "__main__":
    CLINIC.write_text(page())
