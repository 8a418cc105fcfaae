"""8-bit integers: what they change is measured, too much is refused, and what is kept in float32 stays exact."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper

from sightline import api
from sightline.bundle import WEIGHTS, Bundle
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.explain.heat import Heat
from sightline.exporting import int8
from sightline.exporting.combined import combine
from sightline.exporting.int8 import pictures_of, quantise
from sightline.runtime import Session
from tests.tiny_network import make_bundle
from tests.weights import write_weights


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network whose batch norms know the digits."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    weights = write_weights(
        folder / "w.pth", "resnet20", {"arch": "resnet20", "preprocess": {"resize": 32}}, settled=32
    )
    return api.export(weights, out=folder / "bundle")


@pytest.fixture(scope="module")
def pictures(bundle: Bundle, digits: Dataset) -> np.ndarray:
    """Digits uint8 [96, 32, 32, 3]."""
    return np.stack([bundle.pixels(digits.name_of(row)) for row in range(96)])


@pytest.fixture(scope="module")
def made(bundle: Bundle, pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return quantise(bundle, pictures[:48], pictures[48:], tmp_path_factory.mktemp("made") / "int8", force=True)[0]


def test_what_is_told_is_what_is_there(bundle: Bundle, made: Bundle, pictures: np.ndarray) -> None:
    told, test = made.card["int8"], pictures[48:]
    ours, exact = made.run(test), bundle.run(test)
    assert told["agreement"] == (ours.logits.argmax(1) == exact.logits.argmax(1)).mean()
    lengths = np.linalg.norm(ours.embedding, axis=1) * np.linalg.norm(exact.embedding, axis=1)
    assert told["cosine"] == pytest.approx(((ours.embedding * exact.embedding).sum(1) / lengths).mean(), abs=1e-6)
    assert told["cosine"] > 0.99
    assert told["pictures"] == 48
    assert told["of"] == bundle.model_hash != made.model_hash
    assert told["size_bytes"] == (made.path / "model.onnx").stat().st_size < told["float_size_bytes"]
    assert made.classes == bundle.classes
    assert made.preprocess == bundle.preprocess
    assert (made.path / WEIGHTS).read_bytes() == (bundle.path / WEIGHTS).read_bytes()


def test_layers_are_in_integers_but_the_last(made: Bundle) -> None:
    constants = {tensor.name: tensor.data_type for tensor in onnx.load(made.path / "model.onnx").graph.initializer}
    integers = [name for name, kind in constants.items() if kind == onnx.TensorProto.INT8 and "weight" in name]
    assert len(integers) >= 19 - len(made.card["int8"]["kept"])
    assert constants["network.fc.weight"] == onnx.TensorProto.FLOAT


def test_heat_is_as_exact_as_before(made: Bundle, pictures: np.ndarray) -> None:
    logits, _, feature_map = made.run(pictures[:3])
    heat = Heat.of(made)
    found = [heat(of, 4).mean() + heat.bias[4] for of in feature_map]
    np.testing.assert_allclose(found, logits[:, 4], atol=1e-4)


def test_biases_make_up_for_rounding(bundle: Bundle, pictures: np.ndarray, tmp_path: Path) -> None:
    attempt = int8._Attempt(bundle, pictures, tmp_path)
    corrected = attempt._harm(attempt._graph(attempt._layers))
    attempt._shifts = {}
    assert corrected < attempt._harm(attempt._graph(attempt._layers))


def test_layers_in_float32_are_not_rounded_when_run(bundle: Bundle, pictures: np.ndarray, tmp_path: Path) -> None:
    """ONNX Runtime would round the weights of a lone layer in float32 among integers, to one scale for all of it."""
    attempt = int8._Attempt(bundle, pictures[:16], tmp_path)
    *others, lone = attempt._layers
    for tensor in attempt._model.graph.initializer:
        if tensor.name == attempt._layers[lone].input[1]:
            weights = numpy_helper.to_array(tensor).copy()
            weights[0] *= 200  # one scale for all would leave nothing of the other channels
            tensor.CopyFrom(numpy_helper.from_array(weights, tensor.name))
    graph = attempt._graph(others)
    options = onnxruntime.SessionOptions()
    usual = onnxruntime.InferenceSession(graph, options).run(["embedding"], {"images": pictures})[0]
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(graph, options).run(["embedding"], {"images": pictures})[0]
    ours = Session(graph).run(pictures).embedding
    assert np.abs(ours - plain)[:, 1:].mean() < 0.1 * np.abs(usual - plain)[:, 1:].mean()


def test_what_hurts_most_goes_back_to_float32(
    bundle: Bundle, pictures: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = int8._Attempt(bundle, pictures[:16], tmp_path)
    shares = iter([0.5, 0.7, 0.6, 0.995])
    monkeypatch.setattr(int8._Attempt, "_agreement", lambda self, graph: next(shares))
    monkeypatch.setattr(int8._Attempt, "_harm", lambda self, graph: float(len(graph)))
    graph, kept = attempt.best(int8.SILENT)
    assert len(kept) == 4  # after none, one and two
    constants = {tensor.name: tensor.data_type for tensor in onnx.load_from_string(graph).graph.initializer}
    weights = [attempt._layers[name].input[1] for name in kept]
    assert weights == [f"network.{name}.weight" for name in attempt.called(kept)]
    assert {constants[name] for name in weights} == {onnx.TensorProto.FLOAT}


def test_each_network_of_a_combination_keeps_its_first_and_last_layer(
    bundle: Bundle, pictures: np.ndarray, tmp_path: Path
) -> None:
    weights = write_weights(tmp_path / "w.pth", "resnet20", {"arch": "resnet20", "preprocess": {"resize": 32}})
    other = api.export(weights, out=tmp_path / "other")
    attempt = int8._Attempt(combine([bundle, other]).save(tmp_path / "both", {}), pictures[:16], tmp_path)
    one = int8._Attempt(bundle, pictures[:16], tmp_path / "other")
    assert len(attempt._layers) == 2 * len(one._layers)
    graph = onnx.load_from_string(attempt._graph(attempt._layers)).graph
    kept = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    others = [
        node.input[1] for node in attempt._model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul") and node.name not in attempt._layers
    ]  # fmt: skip
    assert len(others) == 4
    assert set(others) <= kept


def test_another_bundle_beside_is_not_replaced(bundle: Bundle, digits: Dataset, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "b")
    shutil.copytree(bundle.path, tmp_path / "b-int8")
    with pytest.raises(UserError, match="exists"):
        api.quantise(Bundle.open(tmp_path / "b"), digits)
    with pytest.raises(UserError, match=r"b-int8 is not .*b in 8-bit integers: make it with"):
        api.load(tmp_path / "b", int8=True)


def test_answers_that_change_are_refused_unless_forced(
    bundle: Bundle, pictures: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8._Attempt, "best", lambda self, progress: (self._graph(self._layers), ()))
    monkeypatch.setattr(int8, "AGREEMENT", 1.01)
    with pytest.raises(UserError, match=r"keeps the first class of .* keep to float32, or give --force"):
        quantise(bundle, pictures[:16], pictures[24:], tmp_path / "int8")
    assert not (tmp_path / "int8").exists()
    quantise(bundle, pictures[:16], pictures[24:], tmp_path / "int8", force=True)
    assert Bundle.open(tmp_path / "int8").card["int8"]["agreement"] <= 1


def test_a_network_without_convolutions(digits: Dataset, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", digits)
    with pytest.raises(UserError, match="too few convolutions"):
        api.quantise(bundle, digits)
    assert not (tmp_path / "bundle-int8").exists()


def test_calibrated_on_validation_measured_on_test(digits: Dataset, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle", digits)
    calibration, test = pictures_of(bundle, digits)
    names = {split: {digits.name_of(row) for row in digits.rows(split)} for split in ("validation", "test")}
    known = {split: {bundle.pixels(name).tobytes() for name in of} for split, of in names.items()}
    assert len(calibration) == min(int8.CALIBRATION, len(names["validation"]))
    assert len(test) == min(1000, len(names["test"]))
    assert {one.tobytes() for one in calibration} <= known["validation"]
    assert {one.tobytes() for one in test} <= known["test"]


def test_it_is_made_beside_and_loaded_by_name(bundle: Bundle, made: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"make it with `sightline export .*bundle --int8`"):
        api.load(bundle.path, int8=True)
    assert api.int8_of(bundle) == bundle.path.with_name("bundle-int8")


@pytest.mark.slow
def test_a_cifar_network_keeps_its_answers(shared: Callable[[str], Path], tmp_path: Path) -> None:
    exact = api.export(shared("data/cifar10_resnet/resnet20-12fca82f.th"), out=tmp_path / "b")
    found = api.quantise(exact, shared("data/cifar10/cifar10_subset.zip"))
    assert found.card["int8"]["agreement"] >= 0.99
    assert found.card["int8"]["cosine"] > 0.999
    assert found.card["int8"]["size_bytes"] < 0.4 * found.card["int8"]["float_size_bytes"]


def test_nothing_but_one_of_its_own_is_replaced(bundle: Bundle, digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photo.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="exists"):
        api.quantise(bundle, digits, out=tmp_path / "mine")
    assert (tmp_path / "mine/photo.jpg").read_bytes() == b"mine"


def test_a_bundle_here_is_called_by_its_folder(
    bundle: Bundle, made: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle.path, tmp_path / "b")
    shutil.copytree(made.path, tmp_path / "b-int8")
    monkeypatch.chdir(tmp_path / "b")
    assert api.load(".", int8=True).model_hash == made.model_hash
