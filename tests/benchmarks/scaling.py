"""How time grows with N, D, K and L: a figure with one panel for each, beside the slope that theory promises."""

import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from rows import factor_data, mixture_data

import vaejax as vj

lg = vj.linear_gaussian


def seconds(run, repeats=5):
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return np.median(times)


def gmm_step(num_examples=50_000, dim=8, num_components=8):
    xs, weights, means, covs = mixture_data(num_examples, dim, num_components)
    params = vj.gmm.GMMParams(jnp.log(weights), jnp.asarray(means), jnp.linalg.cholesky(covs))
    prepared = vj.prepare(vj.gmm.GMM, jnp.asarray(xs))
    return seconds(lambda: vj.em_step(vj.gmm.GMM, params, prepared))


def marginal(num_examples=5_000, dim=200, num_latents=10):
    xs = jnp.asarray(factor_data(num_examples, dim, num_latents))
    params = lg.ppca_mle(np.asarray(xs[:2000]), num_latents)
    mean = jax.jit(jax.value_and_grad(lambda p, xs: jax.vmap(lg.log_marginal, (None, 0))(p, xs).mean()))
    return seconds(lambda: mean(params, xs))


def pca(num_examples=10_000, dim=100, num_latents=10):
    xs = jnp.asarray(factor_data(num_examples, dim, num_latents))
    return seconds(lambda: lg.pca(xs, num_latents).variances)


PANELS = {  # axis label -> [(kernel, the argument that varies, its values, power promised)]
    "examples N": [
        (gmm_step, "num_examples", (20_000, 80_000, 320_000), 1),
        (pca, "num_examples", (10_000, 40_000, 160_000), 1),
        (marginal, "num_examples", (16_000, 64_000, 256_000), 1),
    ],
    "features D": [
        (gmm_step, "dim", (6, 12, 24, 48), 2),
        (marginal, "dim", (400, 1_600, 6_400), 1),
    ],
    "components K": [(gmm_step, "num_components", (4, 16, 64), 1)],
    "latents L": [(marginal, "num_latents", (4, 16, 64), 1)],
}


STYLES = {gmm_step: ("GMM EM step", "C0o"), pca: ("PCA", "C1s"), marginal: ("linear Gaussian gradient", "C2^")}


def draw(path):
    fig, axes = plt.subplots(1, 4, figsize=(11, 3.4), sharey=True, layout="constrained")
    for ax, (label, lines) in zip(axes, PANELS.items(), strict=True):
        for kernel, argument, values, power in lines:
            times = [1000 * kernel(**{argument: value}) for value in values]
            name, style = STYLES[kernel]
            ax.loglog(values, times, style + "-", label=name)
            promised = times[-1] * (np.array(values) / values[-1]) ** power
            ax.loglog(values, promised, "k:", lw=1, zorder=0, label="slope that theory promises")
        if label != "examples N":
            ticks = sorted({value for line in lines for value in line[2]})
            ax.set_xticks(ticks, [str(tick) for tick in ticks], fontsize=8)
            ax.minorticks_off()
        ax.set(xlabel=label, ylabel="ms" if ax is axes[0] else "")
    handles = dict(zip(*axes[0].get_legend_handles_labels()[::-1], strict=True))
    fig.legend(handles.values(), handles.keys(), ncols=4, loc="outside lower center", fontsize=9)
    fig.savefig(path, dpi=100)


if __name__ == "__main__":
    draw("scaling.png")
