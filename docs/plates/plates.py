"""The data of the plates, the pictures of the site that play without a kernel: `make plates`.

Each function below has the name of a plate and computes, with the library and as its chapter's cell does, what
docs/plates/plates.js cannot know: the data and the fits. What follows from them, the page computes. The files are kept
beside this program, because the site is built without the library; tests/test_plates.py computes them anew.
"""

import base64
import json
from pathlib import Path

import numpy as np

from vaejax import linear_gaussian
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
    """Chapter 2, `em-by-hand`: the eruptions, from short to long, so that a slider can name one."""
    xs = data.load("old_faithful").xs
    return {"xs": xs[np.lexsort(xs.T[::-1])]}


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


PLATES = [bell, dial, touch, frames, line, latents]


def pack(value):
    """Numbers as a list, to eight digits; whole numbers of 16 bits, many, as text."""
    if value.dtype == "<i2":
        return base64.b64encode(value.tobytes()).decode("ascii")
    return np.vectorize(lambda x: float(f"{x:.8g}"), otypes=[float])(value).tolist()


def unpack(text):
    """The numbers that `pack` has written as text."""
    return np.frombuffer(base64.b64decode(text), "<i2")


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
