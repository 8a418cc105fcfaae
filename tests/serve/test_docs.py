"""What docs/serving.md shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import api
from sightline.bundle import GOLDEN, read_golden
from sightline.data.dataset import Dataset
from tests.tiny_network import make_bundle

DOCS = Path(__file__).parents[2] / "docs/serving.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_other_runtimes_give_the_bundle_s_answers(
    runtime: str, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime)
    (block,) = [block for block in BLOCKS if f"import {runtime}" in block]
    bundle = make_bundle(tmp_path / "bundle", digits)
    monkeypatch.chdir(tmp_path)
    api.write_onnx(bundle.path, "model.onnx", opset=18)
    images, expected = read_golden(bundle.path / GOLDEN)
    names = {"images": images}
    exec(block, names)
    np.testing.assert_allclose(names["logits"], expected, atol=1e-3)


def test_the_application_can_be_mounted_elsewhere_and_its_addresses_are_told(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = [block for block in BLOCKS if "make_app" in block]
    make_bundle(tmp_path / "RUN", digits)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    paths = {route.path for route in names["app"].routes} - {"/openapi.json", "/static"}
    assert len(paths) > 8
    assert [path for path in paths if f"{path}`" not in DOCS.read_text() and f"{path}?" not in DOCS.read_text()] == []
