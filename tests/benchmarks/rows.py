"""What is measured: every row is a problem, our way to solve it and the ways of our peers, all from the same start.

A way is a function `run(num_steps)` that does the whole fit, waits for its end, and returns a score; in nats per
example, so that a way that is fast because it is wrong gives itself away.
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np


class Contest(NamedTuple):
    """One problem. `ways` maps a name to run(num_steps) -> score; ours is "vaejax"."""

    ways: dict
    flops: float = 0.0  # of the matrix products that a step cannot do without; 0: not counted
    atol: float = 1e-3  # nats per example by which scores may differ
    steps: tuple = (1, 11)  # a step takes (t(last) - t(first)) / (last - first); (1, 1): t(1), start-up and all
    more: tuple = ()  # (way, factor): that way takes so many times the steps, lest they drown in what a fit costs once


class Row(NamedTuple):
    title: str
    size: str
    small: str  # size of the quick problem
    make: Callable[[], Contest]
    quick: Callable[[], Contest]
    asked: dict  # way -> the ratio of its time to ours that was set as target, before the measurement
    share: float = 0.0  # of the peak, asked likewise
    memory_mb: float = float("inf")  # the most that a fit may add, asked likewise
    remark: str = ""  # why a target is missed, and what was tried


def mixture_data(num_examples, dim, num_components):
    """Overlapping clouds, float32, and a start that is the same for everybody: weights, means, covariances."""
    rng = np.random.default_rng(0)
    centers = 2 * rng.standard_normal((num_components, dim))
    labels = rng.integers(0, num_components, num_examples)
    xs = (centers[labels] + rng.standard_normal((num_examples, dim))).astype(np.float32)
    means = xs[rng.choice(num_examples, num_components, replace=False)]
    cov = np.cov(xs[:10_000].T).astype(np.float32)
    return xs, np.full(num_components, 1 / num_components, np.float32), means, np.tile(cov, (num_components, 1, 1))


def gmm(num_examples, dim, num_components):
    """EM for a mixture of Gaussians with full covariances. Score: mean log likelihood before the last step."""
    import jax.numpy as jnp

    import vaejax as vj

    xs, weights, means, covs = mixture_data(num_examples, dim, num_components)
    start = vj.gmm.GMMParams(jnp.log(weights), jnp.asarray(means), jnp.linalg.cholesky(covs))

    def ours(num_steps):
        return float(vj.em(vj.gmm.GMM, start, xs, num_steps=num_steps)[1][-1])

    def scikit_learn(num_steps):
        from sklearn.mixture import GaussianMixture

        model = GaussianMixture(
            num_components, max_iter=num_steps, tol=0, weights_init=weights, means_init=means,
            precisions_init=np.linalg.inv(covs),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            return model.fit(xs).lower_bound_

    def gmmx(num_steps):
        from gmmx import EMFitter, GaussianMixtureModelJax

        model = GaussianMixtureModelJax.from_squeezed(
            means=means, covariances=covs, weights=weights, covariance_type="full"
        )
        result = EMFitter(max_iter=num_steps, tol=0.0, reg_covar=0.0).fit(jnp.asarray(xs), model)
        return float(result.log_likelihood)

    def pomegranate(num_steps):
        import torch
        from pomegranate.distributions import Normal
        from pomegranate.gmm import GeneralMixtureModel

        parts = [
            Normal(torch.tensor(m), torch.tensor(c), covariance_type="full") for m, c in zip(means, covs, strict=True)
        ]
        model, data = GeneralMixtureModel(parts, priors=torch.tensor(weights)), torch.tensor(xs)
        for _ in range(num_steps):
            log_p = model.summarize(data)
            model.from_summaries()
        return float(log_p) / len(xs)

    num_features = 1 + dim + dim * (dim + 1) // 2
    return Contest(
        {"vaejax": ours, "scikit-learn": scikit_learn, "gmmx": gmmx, "pomegranate": pomegranate},
        flops=4 * num_examples * num_components * num_features,
        more=(("vaejax", 4),),
    )


def gmm_fit(*sizes, num_steps=20):
    """A whole fit as users call it, from a given start: with what a call checks and prepares."""
    contest = gmm(*sizes)
    return contest._replace(flops=num_steps * contest.flops, steps=(num_steps, num_steps), more=())


def repeated(solve):
    """A way whose step is a whole solution."""
    return lambda num_steps: [solve() for _ in range(num_steps)][-1]


def factor_data(num_examples, dim, num_latents):
    """Draws from a factor analysis model whose noise differs from feature to feature, float32."""
    rng = np.random.default_rng(0)
    W = rng.standard_normal((dim, num_latents)) / np.sqrt(num_latents)
    psi = rng.uniform(0.2, 2, dim)
    zs = rng.standard_normal((num_examples, num_latents), np.float32)
    noise = rng.standard_normal((num_examples, dim), np.float32)
    return zs @ W.T.astype(np.float32) + noise * np.sqrt(psi).astype(np.float32) + 1


def pca(num_examples, dim, num_latents):
    """The best plane, exactly. Score: variance within it, for each feature. Both of scikit-learn's exact solvers."""
    from vaejax.linear_gaussian import pca as fit

    xs = factor_data(num_examples, dim, 2 * num_latents)

    def ours():
        return float(fit(xs, num_latents).variances.sum()) / dim

    def scikit_learn(solver):
        from sklearn.decomposition import PCA

        return repeated(lambda: PCA(num_latents, svd_solver=solver).fit(xs).explained_variance_.sum() / dim)

    return Contest(
        {
            "vaejax": repeated(ours),
            "scikit-learn covariance_eigh": scikit_learn("covariance_eigh"),
            "scikit-learn full": scikit_learn("full"),
        },
        flops=num_examples * dim * (dim + 1),
        steps=(1, 3),
    )


def factor_analysis(num_examples, dim, num_latents):
    """From the raw data to the optimum, start included. Score: mean log likelihood."""
    import vaejax as vj

    lg = vj.linear_gaussian
    xs = factor_data(num_examples, dim, num_latents)

    def ours(_):
        summary = vj.prepare(lg.FACTOR_ANALYSIS, xs)  # the start and EM share it
        return float(vj.em(lg.FACTOR_ANALYSIS, lg.init(summary, num_latents), summary, num_steps=1000, tol=1e-5)[1][-1])

    def scikit_learn(_):
        from sklearn.decomposition import FactorAnalysis

        return FactorAnalysis(num_latents).fit(xs).loglike_[-1] / num_examples  # its default, randomised, is the faster

    return Contest({"vaejax": ours, "scikit-learn": scikit_learn}, steps=(1, 1))


def marginal(num_examples, dim, num_latents):
    """Mean exact log likelihood of the linear Gaussian model and its gradient, with the data at hand, or summarised.

    Score: value plus |slope in b|.
    """
    import jax
    import jax.numpy as jnp
    from jax.scipy.stats import multivariate_normal

    import vaejax as vj

    lg = vj.linear_gaussian
    xs = jnp.asarray(factor_data(num_examples, dim, num_latents))
    params = lg.ppca_mle(np.asarray(xs[:2000]), num_latents)

    def dense(params, x):
        return multivariate_normal.logpdf(x, params.b, params.W @ params.W.T + jnp.diag(jnp.exp(params.log_psi)))

    def way(mean, data):
        gradient = jax.jit(jax.value_and_grad(mean))

        def run():
            value, slope = jax.block_until_ready(gradient(params, data))
            return float(value + jnp.abs(slope.b).sum())

        return repeated(run)

    def over_examples(log_prob):
        return lambda params, xs: jax.vmap(log_prob, (None, 0))(params, xs).mean()

    ways = {
        "vaejax": way(lambda *args: vj.e_step(lg.FACTOR_ANALYSIS, *args)[1], vj.prepare(lg.FACTOR_ANALYSIS, xs)),
        "vaejax, example by example": way(over_examples(lg.log_marginal), xs),
        "D x D Cholesky": way(over_examples(dense), xs),
    }
    return Contest(ways, atol=1e-2, steps=(1, 6), more=(("vaejax", 50), ("vaejax, example by example", 3)))


@cache
def pictures():
    from vaejax.book import data

    digits = data.load("digits").train_xs
    return np.tile(digits, (-(-60_000 // len(digits)), 1))[:60_000]


def vae(batch_size, num_samples=1, hidden=(500,), num_latents=20, *, iwae=False):
    """Training steps with Adam on 60,000 pictures, all from the same weights. Score: mean bound, last quarter."""
    import jax
    import numpyro_vae
    import optax
    import torch_vae

    import vaejax as vj

    xs, key = pictures(), jax.random.key(0)
    start = vj.vae.init(key, xs.shape[1], num_latents, hidden=hidden)
    layers = layers_of(start)
    optimizer, on_device = optax.adam(1e-3), jax.numpy.asarray(xs)

    def ours(num_steps):
        _, history = vj.maximize(
            vj.vae.make_vae(), start, on_device, key, optimizer=optimizer, num_steps=num_steps, batch_size=batch_size,
            bound=vj.iw_bound if iwae else vj.elbo, num_samples=num_samples,
        )  # fmt: skip
        return float(history[-(-num_steps // 4) :].mean())

    ways = {"vaejax": ours} | torch_vae.ways(xs, layers, batch_size, num_samples, iwae=iwae)
    if not iwae:
        ways["numpyro"] = numpyro_vae.way(xs, layers, batch_size)
    encoder, decoder = (sum(weights.size for weights, _ in part) for part in layers.values())
    nobody_asks = 2 * batch_size * layers["encoder"][0][0].size  # for the gradient of the pixels
    flops = 6 * batch_size * (encoder + num_samples * decoder) - nobody_asks
    return Contest(ways, flops=flops, atol=5.0, steps=(100, 400))


def quick_vae(*args, steps, **kwargs):
    """Us and PyTorch's eager mode alone: the others compile for long before the first step."""
    contest = vae(*args, **kwargs)
    return contest._replace(ways={way: contest.ways[way] for way in ("vaejax", "torch eager")}, steps=steps)


def layers_of(params):
    """The weights of a vaejax VAE as lists of (weights (in, out), bias (out,)): what the peers start from."""
    encoder, decoder = params.encoder, params.decoder
    parts = {
        "encoder": (*encoder.hidden, encoder.mean, encoder.log_scale),
        "decoder": (*decoder.hidden, decoder.out),
    }
    return {name: [(np.asarray(a.kernel[...]), np.asarray(a.bias[...])) for a in part] for name, part in parts.items()}


ROWS = {
    "gmm-small": Row(
        "GMM EM step", "100,000 x 10, K = 10", "20,000 x 10, K = 10",
        lambda: gmm(100_000, 10, 10), lambda: gmm(20_000, 10, 10),
        {"scikit-learn": 28, "gmmx": 20, "pomegranate": 20}, share=0.3,
        remark="The two products of a step are only K rows high: XLA takes about five sixths of the step for them "
        "alone. Chunks of 256 to 8,192 examples make no difference beyond the noise.",
    ),
    "gmm-fit": Row(
        "GMM fit of 20 EM steps, as users call it", "100,000 x 10, K = 10", "20,000 x 10, K = 10",
        lambda: gmm_fit(100_000, 10, 10), lambda: gmm_fit(20_000, 10, 10),
        {"scikit-learn": 15, "gmmx": 15, "pomegranate": 15},
    ),
    "gmm-long": Row(
        "GMM EM step", "1,000,000 x 16, K = 16", "40,000 x 16, K = 16",
        lambda: gmm(1_000_000, 16, 16)._replace(steps=(1, 4)), lambda: gmm(40_000, 16, 16),
        {"scikit-learn": 15}, memory_mb=4 * 64,
        remark="The features are built as the scan goes, a fifth of the step: to store them would take ten times the "
        "data. Most of the rest are the two products. About 120 MB of the memory are the compiler's, as the small "
        "problem shows.",
    ),
    "gmm-wide": Row(
        "GMM EM step", "60,000 x 50, K = 20", "6,000 x 50, K = 20",
        lambda: gmm(60_000, 50, 20)._replace(steps=(1, 5)), lambda: gmm(6_000, 50, 20)._replace(steps=(1, 3)),
        {"scikit-learn": 4},
    ),
    "pca-pictures": Row(
        "PCA", "60,000 x 784, L = 50", "6,000 x 784, L = 50",
        lambda: pca(60_000, 784, 50), lambda: pca(6_000, 784, 50),
        {"scikit-learn covariance_eigh": 1.2, "scikit-learn full": 1.2},
        remark="Both call the same symmetric product of the same BLAS, four fifths of the time, and then the same "
        "kind of eigensolver; XLA's own product does twice the work, on 2, 4 or 8 blocks of columns, too.",
    ),
    "pca-table": Row(
        "PCA", "10,000 x 64, L = 10", "10,000 x 64, L = 10",
        lambda: pca(10_000, 64, 10)._replace(steps=(10, 60)), lambda: pca(10_000, 64, 10)._replace(steps=(10, 60)),
        {"scikit-learn covariance_eigh": 1.2, "scikit-learn full": 1.2},
        remark="As above; what is left of the time is the look for NaN, the mean and the eigenvectors.",
    ),
    "factor-analysis": Row(
        "factor analysis to convergence, start included", "60,000 x 784, L = 50", "3,000 x 100, L = 10",
        lambda: factor_analysis(60_000, 784, 50), lambda: factor_analysis(3_000, 100, 10),
        {"scikit-learn": 25},
    ),
    "vae": Row(
        "VAE training step", "784-500-20-500-784, batch 128", "784-500-20-500-784, batch 128",
        lambda: vae(128), lambda: quick_vae(128, steps=(20, 80)),
        {"torch eager": 1.5, "torch.compile": 1.15, "numpyro": 1.15}, share=0.65,
        remark="numpyro runs the same products by the same XLA. Tried without a "
        "difference beyond the noise: softplus of JAX, and one with its derivative by hand.",
    ),
    "vae-batch": Row(
        "VAE training step", "784-500-20-500-784, batch 512", "784-500-20-500-784, batch 512",
        lambda: vae(512)._replace(steps=(100, 200)), lambda: quick_vae(512, steps=(10, 25)),
        {"torch eager": 1, "torch.compile": 1},
    ),
    "iwae": Row(
        "IWAE training step", "784-500-20-500-784, batch 128, 50 draws",
        "784-500-20-500-784, batch 32, 10 draws",
        lambda: vae(128, 50, iwae=True)._replace(steps=(5, 25)),
        lambda: quick_vae(32, 10, iwae=True, steps=(20, 60)),
        {"torch eager": 1.2, "torch.compile": 1.2},
        remark="All three are close to what the products take. By mean_bound(chunk_size=8) the value and its gradient "
        "take 9 MB of temporary memory, 142 MB without.",
    ),
    "marginal": Row(
        "exact linear Gaussian log likelihood and gradient", "10,000 x 784, L = 50", "2,000 x 784, L = 50",
        lambda: marginal(10_000, 784, 50), lambda: marginal(2_000, 784, 50),
        {"D x D Cholesky": 50},
    ),
}  # fmt: skip
