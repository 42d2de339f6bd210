"""The data of the plates, the pictures of the site that play without a kernel: `make plates`.

Each function below has the name of a plate and computes, with the library and as its chapter's cell does, what
docs/plates/plates.js cannot know: the data and the fits. What follows from them, the page computes. The files are kept
beside this program, because the site is built without the library; tests/test_plates.py computes them anew.
"""

import base64
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import vaejax as vj
from vaejax import gmm, linear_gaussian, vae
from vaejax.book import data

HERE = Path(__file__).parent


def bell():
    """Chapter 1, `surface`: the waits, each with how often it came."""
    waits, counts = np.unique(data.load("old_faithful").xs[:, 1], return_counts=True)
    return {"waits": waits, "counts": counts}


def by_ruler():
    """Chapter 2, `ruler`: shares, means and covariances of short and long eruptions, told apart at three minutes."""
    xs = data.load("old_faithful").xs.astype(float)
    kinds = [xs[xs[:, 0] <= 3], xs[xs[:, 0] > 3]]
    return [len(k) / len(xs) for k in kinds], [k.mean(0) for k in kinds], [np.cov(k.T, bias=True) for k in kinds]


def dial():
    """Chapter 2, `dial`: log p(x, z) of the eruption in the gap, for both labels."""
    xs = data.load("old_faithful").xs
    gap = xs[np.abs(xs - [2.9, 63]).sum(1).argmin()]
    joints = [
        np.log(share) - 0.5 * ((gap - mean) @ np.linalg.solve(cov, gap - mean) + np.linalg.slogdet(2 * np.pi * cov)[1])
        for share, mean, cov in zip(*by_ruler(), strict=True)
    ]
    return {"log_joints": joints}


def touch():
    """Chapter 2, `slice`: the waits, and all parameters but the mean of the long ones."""
    shares, means, _ = by_ruler()
    return {**bell(), "log_pi": np.log(shares), "short": means[0][1], "sd": 6}


def frames():
    """Chapter 2, `em-by-hand`: the eruptions, from short to long, so that a slider can name one, and where EM ends."""
    xs = data.load("old_faithful").xs
    shares, means, covs = map(np.array, by_ruler())
    start = gmm.GMMParams(*map(jnp.float32, (np.log(shares), means, np.linalg.cholesky(covs))))
    _, bounds = vj.em(gmm.GMM, start, xs, num_steps=100)
    return {"xs": xs[np.lexsort(xs.T[::-1])], "best": bounds[-1]}


def line():
    """Chapter 3, `standard`: sun and log ozone in standard units."""
    table = data.load("air_quality").xs[:, [1, 0]].astype(float)
    table = table[~np.isnan(table).any(1)]
    table[:, 1] = np.log(table[:, 1])
    return {"xs": (table - table.mean(0)) / table.std(0)}


def latents():
    """Chapter 3, `grid`: the first hundred directions of the digits, eight new digits, and the share that L keep."""
    digits = data.load("digits")
    fit = linear_gaussian.pca(digits.train_xs, 100)
    unit = np.abs(fit.W).max() / 32767
    return {
        "unit": unit,
        "directions": np.round(fit.W.T / unit).astype("<i2"),
        "middle": fit.mean,
        "digits": np.round(255 * digits.test_xs[[61, 161, 261, 361, 461, 561, 661, 761]]),
        "kept": np.append(0, np.cumsum(fit.variances)) / digits.train_xs.var(0).sum(),
    }


def long_map():
    """Chapter 6, `long`: the networks with two latents that were trained for long."""
    like = {name: vae.init(jax.random.key(0), 784, L, hidden=(200, 200)) for name, L in (("map", 2), ("many", 50))}
    return vj.load(data.path("digits_vae.npz"), like)["map"]


def digit():
    """Chapter 6, `manifold`: the decoder, and the codes of 200 new digits.

    Training has silenced most units of the first layer: they stay so near zero, where silu is a straight line, that
    together they are one linear map of z. So the second layer sees the others, then z itself.
    """
    nets, digits = long_map(), data.load("digits")
    (K1, b1), (K2, b2), (K3, b3) = [
        (np.asarray(layer.kernel[...], float), np.asarray(layer.bias[...], float))
        for layer in (*nets.decoder.hidden, nets.decoder.out)
    ]
    plane = np.stack(np.meshgrid(*[np.linspace(-4, 4, 33)] * 2), -1).reshape(-1, 2)
    units = (plane @ K1 + b1) / (1 + np.exp(-plane @ K1 - b1))  # silu
    used = np.ptp(units, 0) > 0.01
    *straight, offset = np.linalg.lstsq(np.c_[plane, np.ones(len(plane))], units[:, ~used] @ K2[~used], rcond=None)[0]
    unit = np.abs(K3).max(0) / 32767
    return {
        "first": K1[:, used],
        "first_bias": b1[used],
        "second": np.concatenate([K2[used], straight]).astype("<f4"),
        "second_bias": b2 + offset,
        "out": np.round(K3 / unit).astype("<i2")[:, :392],
        "unit": unit,
        "bias": b3,
        "codes": np.asarray(jax.vmap(nets.encoder)(digits.test_xs[::5])[0]).round(2),
        "labels": digits.test_labels[::5],
    }


def digit_lower():
    """The rest of `digit`: the last layer's half for the lower half of the picture."""
    kernel = np.asarray(long_map().decoder.out.kernel[...], float)
    return {"out": np.round(kernel / (np.abs(kernel).max(0) / 32767)).astype("<i2")[:, 392:]}


def guess():
    """Chapter 6, `three`, for long["map"]: eight new digits, the encoder's q, and where the posterior lies, six sds."""
    nets, greys = long_map(), data.load("digits").test_xs[[61, 173, 261, 361, 461, 561, 661, 761]]
    xs = (np.random.default_rng(0).random(greys.shape) < greys).astype(np.float32)
    means, scales = jax.vmap(nets.encoder)(xs)
    centres, reaches = [], []
    for x, mean, scale in zip(xs, means, scales, strict=True):
        z = vj.grid_nodes(mean - 12 * scale, mean + 12 * scale, 80).z
        posterior = jax.nn.softmax(vae.log_joint.all_pairs(nets, x[None], z)[:, 0])
        centres.append(posterior @ z)
        reaches.append(6 * jnp.sqrt(posterior @ (z - centres[-1][None]) ** 2))
    return {"xs": xs, "means": means, "scales": scales, "centres": centres, "reaches": reaches}


PLATES = [bell, dial, touch, frames, line, latents, digit, digit_lower, guess]


def pack(value):
    """Numbers as a list, to seven digits; where they are many, their bytes as text."""
    if value.size > 8_000:
        return base64.b64encode(value.tobytes()).decode("ascii")
    return np.vectorize(lambda x: float(f"{x:.7g}"), otypes=[float])(value).tolist()


def unpack(text, dtype):
    """The numbers that `pack` has written as text."""
    return np.frombuffer(base64.b64decode(text), dtype)


def as_script(plate):
    """The data as a script, because a page that is opened from a folder may not fetch."""
    packed = {key: pack(np.asarray(value)) for key, value in plate().items()}
    return f"(window.PLATES ??= {{}}).{plate.__name__} = {json.dumps(packed, separators=(',', ':'))};\n"


def main():
    for plate in PLATES:
        script = as_script(plate)
        (HERE / f"{plate.__name__}.js").write_text(script, encoding="utf-8")
        print(f"{plate.__name__:8} {len(script) / 1000:6.1f} kB")


if __name__ == "__main__":
    main()
