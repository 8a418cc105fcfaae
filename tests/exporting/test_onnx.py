from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.data.preprocess import Preprocess
from sightline.exporting.onnx import check_parity, export, kept_graph, to_onnx, with_head
from sightline.models import ARCHITECTURES, Network, create
from sightline.models.resnet import Pad
from sightline.models.weights import load_weights
from sightline.runtime import Outputs, Session

CLASSES = ("a", "b", "c")
# One of each kind, some in the paper's style below; every export proves its own parity before it is written.
NAMES = ("googlenet", "googlenet_small", "mobilenet_v1", "plain20", "resnet18", "resnet20", "vgg11_bn")
SMALL = {"vgg11_bn"}  # 500 MB lie in front of a VGG's last layer
GREY = {"channels": 1, "mean": (0.4,), "std": (0.3,)}


def test_a_kept_graph_that_was_damaged_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    network, images = a_network("resnet20").eval(), pixels(2, 32)

    def embedded() -> np.ndarray:
        return kept_graph(network, Preprocess(32), {"made": "up"})[1].run(images).embedding

    first = embedded()
    (file,) = (tmp_path / "graphs").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-5000] + bytes([whole[-5000] ^ 64]) + whole[-4999:])
    assert np.array_equal(embedded(), first)
    assert len(file.read_bytes()) == len(whole)
    before = file.stat().st_mtime_ns
    assert np.array_equal(embedded(), first)
    assert file.stat().st_mtime_ns == before


def pixels(count: int, size: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def a_network(name: str, **options: Any) -> Network:
    """With batch norm statistics that are not those of a fresh network, as training leaves them."""
    torch.manual_seed(0)
    model = create(name, num_classes=len(CLASSES), **options)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.8, 1.2)
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.uniform_(module.bias, -0.1, 0.1)
    return model


def exported(model: Network, preprocess: Preprocess, out: Path, **changes: Any) -> Bundle:
    arguments: dict[str, Any] = {
        "arch": "resnet20",
        "stem": "small",
        "style": "torchvision",
        "classes": CLASSES,
        "golden_images": pixels(3, preprocess.size, preprocess.channels),
        "metrics": {"top1": 0.9},
        **changes,
    }
    return export(model, preprocess=preprocess, out=out, **arguments)


def expected(model: Network, preprocess: Preprocess, images: np.ndarray) -> Outputs:
    """What PyTorch answers, normalised as one would by hand."""
    mean, std = (np.asarray(v, np.float32) for v in (preprocess.mean, preprocess.std))
    x = torch.from_numpy(((images / np.float32(255) - mean) / std).transpose(0, 3, 1, 2).copy())
    with torch.inference_mode():
        feature_map = model.eval().forward_features(x)
        return Outputs(model(x).numpy(), model.embed(feature_map).numpy(), feature_map.numpy())


def assert_same(found: Outputs, wanted: Outputs) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * max(1, np.abs(theirs).max()))


def halved(model: Network) -> Network:
    """The same with a head of half its weights, as a temperature of 2 leaves it."""
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.div_(2)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_network_answers_as_in_pytorch(name: str, tmp_path: Path) -> None:
    size = min(64, ARCHITECTURES[name].size)
    model, preprocess = a_network(name, **({"stem": "small"} if name in SMALL else {})), Preprocess(size)
    bundle = exported(model, preprocess, tmp_path / "b")
    for count in (1, 5):
        images = pixels(count, size)
        assert_same(bundle.run(images), expected(model, preprocess, images))
    exchanged = with_head((bundle.path / "model.onnx").read_bytes(), halved(model))
    assert_same(Session(exchanged).run(images), expected(model, preprocess, images))


@pytest.mark.parametrize(
    ("name", "options", "preprocess"),
    [
        ("resnet18", {"stem": "small", "in_channels": 1}, Preprocess(28, **GREY)),
        ("googlenet_small", {"style": "paper", "in_channels": 1}, Preprocess(32, **GREY)),
        pytest.param("googlenet_small", {"stem": "imagenet", "aux": False}, Preprocess(61), marks=pytest.mark.slow),
        ("resnet20", {}, Preprocess(33)),
        ("resnet20:shortcut=B,activation=leaky_relu", {}, Preprocess(32)),
        ("resnet20:shortcut=C", {}, Preprocess(32)),
        ("mobilenet_v1", {"style": "paper"}, Preprocess(47)),
        pytest.param("resnet50", {"style": "paper"}, Preprocess(64), marks=pytest.mark.slow),
        ("alexnet", {"style": "paper", "stem": "small"}, Preprocess(35)),
        pytest.param("mobilenet_v2", {"style": "paper"}, Preprocess(46), marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", {"style": "paper"}, Preprocess(47), marks=pytest.mark.slow),
    ],
)
def test_stems_styles_channels_and_odd_sizes(
    name: str, options: dict[str, Any], preprocess: Preprocess, tmp_path: Path
) -> None:
    model = a_network(name, **options)
    bundle = exported(model, preprocess, tmp_path / "b")
    images = pixels(2, preprocess.size, preprocess.channels)
    assert_same(bundle.run(images), expected(model, preprocess, images))


@pytest.fixture(scope="module")
def trained() -> Network:
    return a_network("resnet20").train()


@pytest.fixture(scope="module")
def bundle(trained: Network, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return exported(trained, Preprocess(32), tmp_path_factory.mktemp("export") / "b")


def test_the_card(bundle: Bundle) -> None:
    card = bundle.card
    assert {key: card[key] for key in ("format", "arch", "style", "stem")} == {
        "format": 1, "arch": "resnet20", "style": "torchvision", "stem": "small",
    }  # fmt: skip
    assert card["classes"] == list(CLASSES)
    assert card["embedding_dim"] == 64
    assert card["parameters"] == 269_722 - 7 * 65  # three classes, not ten
    assert card["macs"] == 40_551_040 - 7 * 64
    assert card["metrics"] == {"top1": 0.9}
    assert card["versions"]["torch"] == torch.__version__
    assert bundle.preprocess == Preprocess(32)


def test_the_model_is_left_as_it_was(trained: Network, bundle: Bundle) -> None:
    assert trained.training
    assert any(isinstance(module, Pad) for module in trained.modules())
    assert all(p.requires_grad and p.device.type == "cpu" for p in trained.parameters())


def test_the_weights_travel_along(trained: Network, bundle: Bundle) -> None:
    other = create("resnet20", num_classes=3)
    assert load_weights(other, bundle.path / "model.safetensors").complete
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in other.state_dict().items())


def test_the_graph_is_lean_and_in_one_piece(bundle: Bundle) -> None:
    graph = onnx.load(bundle.path / "model.onnx").graph
    kinds = {node.op_type for node in graph.node}
    assert "BatchNormalization" not in kinds  # folded
    assert not kinds & {"Slice", "Pad"}  # option A as a convolution
    assert [i.name for i in graph.input] == ["images"]
    assert graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not any(tensor.external_data for tensor in graph.initializer)


def test_option_a_as_a_convolution_is_the_same_function() -> None:
    for pad in (Pad(16, 32, 2), Pad(3, 8, 1)):
        x = torch.randn(2, pad.channels_in, 7, 6)
        assert torch.equal(pad.as_convolution()(x), pad(x))


def test_channels_last_networks_export_alike(bundle: Bundle, tmp_path: Path) -> None:
    model = a_network("resnet20").to(memory_format=torch.channels_last)
    again = exported(model, Preprocess(32), tmp_path / "b")
    images = pixels(2, 32)
    np.testing.assert_allclose(again.run(images).logits, bundle.run(images).logits, atol=1e-5)


def test_exporting_says_nothing(trained: Network, capfd: pytest.CaptureFixture[str]) -> None:
    ONNXRegistry.from_torchlib.cache_clear()  # type: ignore[attr-defined]  # reading it says what is not installed
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        to_onnx(a_network("resnet20").eval(), Preprocess(32))
    assert capfd.readouterr() == ("", "")
    assert told == []


def test_class_names_must_match_the_head(trained: Network, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2 class names for a network of 3 classes"):
        exported(trained, Preprocess(32), tmp_path / "b", classes=("a", "b"))


def test_a_place_that_is_taken_is_told(trained: Network, bundle: Bundle) -> None:
    with pytest.raises(UserError, match="exists already"):
        exported(trained, Preprocess(32), bundle.path)


@pytest.mark.parametrize("value", [float("nan"), 3e38])
def test_a_network_of_nans_or_that_overflows_is_never_exported(value: float, tmp_path: Path) -> None:
    model = a_network("resnet20")
    nn.init.constant_(model.head.weight, value)
    with pytest.raises(UserError, match="resnet20 gives answers that are not finite"):
        exported(model, Preprocess(32), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_each_output_is_compared() -> None:
    sound = Outputs(*(np.ones(shape, np.float32) for shape in ((1, 3), (1, 4), (1, 4, 2, 2))))
    check_parity(sound, sound)
    for name in Outputs._fields:
        with pytest.raises(RuntimeError, match="differs from PyTorch"):
            check_parity(sound._replace(**{name: getattr(sound, name) + np.float32(0.01)}), sound)


def test_a_bias_of_zeros_is_no_hindrance_to_another_head() -> None:
    """The exporter leaves such a bias out of the graph."""
    model, preprocess = a_network("resnet20").eval(), Preprocess(32)
    nn.init.zeros_(model.head.bias)
    graph, images = to_onnx(model, preprocess), pixels(4, 32)
    exchanged = with_head(graph, halved(model))
    assert_same(Session(exchanged).run(images), expected(model, preprocess, images))


def test_a_fully_connected_layer_beyond_the_cache_is_a_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    model, preprocess = a_network("resnet20"), Preprocess(32)
    for cache, layers in ((model.head.weight.nbytes, 1), (model.head.weight.nbytes - 1, 0)):
        monkeypatch.setattr("sightline.exporting.onnx.CACHE", cache)
        graph = to_onnx(model.eval(), preprocess)
        assert sum(node.op_type == "Gemm" for node in onnx.load_from_string(graph).graph.node) == layers
        for count in (1, 5):
            assert_same(Session(graph).run(pixels(count, 32)), expected(model, preprocess, pixels(count, 32)))
