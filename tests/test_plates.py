"""The stored data of the plates are what the library computes, and small; and each plate has its place on the site."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))


def program(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plates = program(ROOT / "docs" / "plates" / "plates.py")


def numbers(script, name):
    opening = f"(window.PLATES ??= {{}}).{name} = "
    assert script.startswith(opening)
    return json.loads(script.removeprefix(opening).rstrip().removesuffix(";"))


@pytest.mark.parametrize("plate", plates.PLATES, ids=lambda plate: plate.__name__)
def test_stored_data_are_those_of_the_library(plate):
    path = plates.HERE / f"{plate.__name__}.js"
    assert path.stat().st_size <= 300_000
    stored = numbers(path.read_text(encoding="utf-8"), plate.__name__)
    fresh = plate()
    assert set(stored) == set(fresh)
    for key, value in fresh.items():
        kept, scale = stored[key], np.abs(np.asarray(value, float)).max()
        if isinstance(kept, str):
            kept = plates.unpack(kept, value.dtype).reshape(np.shape(value))
        np.testing.assert_allclose(kept, value, rtol=0, atol=1e-3 * scale, err_msg=f"{key}: run make plates")


def test_every_plate_stands_below_a_figure():
    for chapter, places in program(ROOT / "docs" / "build.py").PLATES.items():
        cells = json.loads((ROOT / "chapters" / chapter).read_text(encoding="utf-8"))["cells"]
        outputs = {cell["id"]: cell.get("outputs", []) for cell in cells}
        for name, below, question in places:
            assert any("image/png" in output.get("data", {}) for output in outputs[below]), f"{name}: no still above"
            assert question.count("?") == 1
