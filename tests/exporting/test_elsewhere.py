"""Graphs for other runtimes: they answer as the bundle does, in another opset and batch, or are not written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from sightline import api
from sightline.bundle import GOLDEN, Bundle, read_golden
from sightline.core.errors import UserError
from tests.weights import write_weights


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("weights")
    described = {"arch": "resnet20", "preprocess": {"resize": 32}}
    weights = write_weights(folder / "w.pth", "resnet20", described, settled=32)
    return api.export(weights, out=folder / "bundle")


@pytest.mark.parametrize(("opset", "batch"), [(None, None), (18, None), (21, 3), (None, 1)])
def test_it_answers_as_the_bundle_does(bundle: Bundle, opset: int | None, batch: int | None, tmp_path: Path) -> None:
    file = api.write_onnx(bundle.path, tmp_path / "graph.onnx", opset=opset, batch=batch)
    proto = onnx.load(file)
    assert proto.opset_import[0].version == (opset or 20)
    size = proto.graph.input[0].type.tensor_type.shape.dim[0]
    assert (size.dim_value == batch) if batch else size.dim_param
    images, logits = read_golden(bundle.path / GOLDEN)
    images = images[: batch or len(images)]
    found = onnxruntime.InferenceSession(file).run(["logits"], {"images": images})[0]
    np.testing.assert_allclose(found, logits[: len(images)], atol=1e-3)
    said = {
        entry.key: json.loads(entry.value) for entry in proto.metadata_props if entry.key in ("classes", "preprocess")
    }
    assert said == {"classes": list(bundle.classes), "preprocess": bundle.preprocess.to_dict()}


def test_it_runs_in_openvino(bundle: Bundle, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    file = api.write_onnx(bundle.path, tmp_path / "graph.onnx")
    images, logits = read_golden(bundle.path / GOLDEN)
    found = openvino.Core().compile_model(file, "CPU")(images)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-3)


def test_what_cannot_be_written(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "there.onnx").write_bytes(b"mine")
    with pytest.raises(UserError, match="exists"):
        api.write_onnx(bundle.path, tmp_path / "there.onnx")
    assert (tmp_path / "there.onnx").read_bytes() == b"mine"
    with pytest.raises(UserError, match=r"opset 9999|does not run so"):
        api.write_onnx(bundle.path, tmp_path / "new.onnx", opset=9999)
    assert not (tmp_path / "new.onnx").exists()
