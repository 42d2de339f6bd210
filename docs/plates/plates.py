"""The data of the plates, the pictures of the site that play without a kernel: `make plates`.

Each function below has the name of a plate and computes, with the library and as its chapter's cell does, what
docs/plates/plates.js cannot know: the data and the fits. What follows from them, the page computes. The files are kept
beside this program, because the site is built without the library; tests/test_plates.py computes them anew.
"""

import json
from pathlib import Path

import numpy as np

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
    """Chapter 2, `em-by-hand`: the eruptions."""
    return {"xs": data.load("old_faithful").xs}


def line():
    """Chapter 3, `standard`: sun and log ozone in standard units."""
    table = data.load("air_quality").xs[:, [1, 0]].astype(float)
    table = table[~np.isnan(table).any(1)]
    table[:, 1] = np.log(table[:, 1])
    return {"xs": (table - table.mean(0)) / table.std(0)}


PLATES = [bell, dial, touch, frames, line]


def as_script(plate):
    """The data as a script, because a page that is opened from a folder may not fetch."""
    rounded = {key: np.round(np.asarray(value, float), 6).tolist() for key, value in plate().items()}
    return f"(window.PLATES ??= {{}}).{plate.__name__} = {json.dumps(rounded, separators=(',', ':'))};\n"


def main():
    for plate in PLATES:
        script = as_script(plate)
        (HERE / f"{plate.__name__}.js").write_text(script, encoding="utf-8")
        print(f"{plate.__name__:8} {len(script) / 1000:6.1f} kB")


if __name__ == "__main__":
    main()
