from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from sightline.anatomy.graph import depth, peak_activations, with_receptive_fields
from sightline.anatomy.layer import Layer
from sightline.anatomy.record import record
from sightline.anatomy.trace import Anatomy, trace
from sightline.core.errors import UserError
from sightline.models import ARCHITECTURES, create
from sightline.models.blank import blank

GOLDENS = json.loads((Path(__file__).parents[1] / "models" / "goldens.json").read_text())
NAMES = [pytest.param(name, marks=pytest.mark.slow if name == "resnet1202" else ()) for name in ARCHITECTURES]


def layers_of(anatomy: Anatomy) -> dict[str, Layer]:
    return {layer.name: layer for layer in anatomy.layers}


def recorded(model: nn.Module, *shape: int) -> list[Layer]:
    """The layers of any module on a picture of `shape`, batch 1."""
    return with_receptive_fields(record(model.to("meta").eval(), torch.empty(1, *shape, device="meta")))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("style", ["torchvision", "paper"])
def test_every_network_adds_up(name: str, style: str) -> None:
    """Against torch's own counter, the goldens of the networks themselves, and within itself."""
    anatomy = trace(name, num_classes=1000, style=style)
    document, total = anatomy.document(), anatomy.total()
    with blank():
        network = create(name, num_classes=1000, style=style).eval()
        picture = torch.empty(1, *anatomy.input)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(picture)
    assert total["flops"] == 2 * total["macs"] == counter.get_total_flops()
    assert total["parameters"] == sum(p.numel() for p in network.parameters())
    if style == "torchvision":
        assert (total["parameters"], total["macs"]) == (GOLDENS[name]["parameters"], GOLDENS[name]["macs"])
    assert anatomy.auxiliary == sum(p.numel() for n, p in network.named_parameters() if n.startswith("aux"))
    known = {"input"}
    for layer in document["layers"]:
        assert layer["inputs"]
        assert set(layer["inputs"]) <= known
        assert layer["name"] not in known
        assert layer["stage"]
        assert layer["name"].startswith(layer["block"])
        assert layer["macs"] > 0 or layer["kind"] not in ("Conv2d", "Linear")
        known.add(layer["name"])
    read = {name for layer in document["layers"] for name in layer["inputs"]}
    assert known - read == {document["layers"][-1]["name"]}  # nothing but the logits is unread
    stages = [stage["name"] for stage in document["stages"]]
    assert len(stages) == len(set(stages))
    for figure in ("parameters", "macs", "activations"):
        assert sum(s[figure] for s in document["stages"]) == sum(layer[figure] for layer in document["layers"])
    assert sum(stage["layers"] for stage in document["stages"]) == document["total"]["layers"]
    assert document["layers"][-1]["output"] == [anatomy.classes]
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        *((f"resnet{n}", n) for n in (18, 34, 50, 101, 152, 20, 32, 44, 56, 110)),
        *((f"plain{n}", n) for n in (18, 34, 20, 56)),
        ("resnet20:shortcut=C", 20), ("googlenet", 22), ("googlenet_naive", 13), ("alexnet", 8), ("vgg11", 11),
        ("vgg16_bn", 16), ("vgg19", 19), ("mobilenet_v1", 28), ("mobilenet_v2", 53), ("efficientnet_b0", 50),
    ],
)  # fmt: skip
def test_layers_are_counted_as_papers_count(name: str, layers: int) -> None:
    assert trace(name).total()["layers"] == layers


@pytest.mark.parametrize("size", [224, 64, 32])
def test_gates_are_beside_the_way_at_any_size(size: int) -> None:
    total = trace("efficientnet_b0", size=size).total()
    assert (total["layers"], total["receptive_field"]) == (50, 851)


@pytest.mark.parametrize(
    ("name", "style", "pixels"),
    [
        # Araujo, Norris, Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill, 2019). Its
        # ResNets stride elsewhere, but every 3x3 looks with the same step as in the paper's (v1).
        ("alexnet", "torchvision", 195), ("vgg16", "torchvision", 212), ("mobilenet_v1", "torchvision", 315),
        ("resnet50", "paper", 483), ("resnet101", "paper", 1027), ("resnet152", "paper", 1507),
        # v1.5: the first 3x3 of stages 2 to 4 strides itself and looks with the step before: 2 * (4 + 8 + 16) less.
        ("resnet50", "torchvision", 483 - 56),
        # 3 for the stem, two 3x3 a block at steps 1, 2 and 4; the first of stages 2 and 3 at the step before.
        ("resnet20", "torchvision", 3 + 6 * 2 + 2 + 5 * 4 + 4 + 5 * 8),
    ],
)  # fmt: skip
def test_receptive_fields_of_the_literature(name: str, style: str, pixels: int) -> None:
    anatomy = trace(name, style=style)
    assert anatomy.total()["receptive_field"] == pixels
    assert anatomy.layers[-1].receptive_field is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=4))
def test_the_receptive_field_is_what_a_gradient_reaches(chain: list[tuple[int, int, int]]) -> None:
    model = nn.Sequential(*(nn.Conv2d(1, 1, k, s, dilation=d, bias=False) for k, s, d in chain))
    for layer in model:
        nn.init.ones_(layer.weight)  # type: ignore[arg-type]
    x = torch.zeros(1, 1, 1, 500, requires_grad=True)
    model = nn.Sequential(*(Row(layer) for layer in model))
    model(x)[0, 0, 0, 0].backward()
    assert x.grad is not None
    reached = x.grad[0, 0, 0].nonzero().flatten()
    expected = int(reached[-1] - reached[0] + 1)
    made = recorded(nn.Sequential(*(nn.Conv2d(1, 1, k, s, dilation=d) for k, s, d in chain)), 1, 500, 500)
    assert made[-1].receptive_field == expected


def residual_block() -> nn.Module:
    network = create("resnet20", num_classes=10)  # a shortcut of every second pixel
    return nn.Sequential(nn.Conv2d(3, 16, 3), network.layer2[0])


def projected_block() -> nn.Module:
    network = create("resnet50", num_classes=10)  # a convolution beside the way
    return nn.Sequential(nn.Conv2d(3, 256, 1), network.layer2[0])


def inception_module() -> nn.Module:
    network = create("googlenet", num_classes=10, style="paper")  # kernels of 1, 3 and 5, and a pooling
    return nn.Sequential(nn.Conv2d(3, 192, 3, stride=2), network.inception3a)


def poolings() -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Conv2d(3, 2, 3, dilation=2), nn.AvgPool2d(2), nn.MaxPool2d(2, 2))


@pytest.mark.parametrize("make", [residual_block, projected_block, inception_module, poolings])
def test_what_a_receptive_field_sees_is_what_spoils_it(make: Callable[[], nn.Module]) -> None:
    """One picture for each column that is not a number: as many as the field is wide spoil the place in the middle."""
    torch.manual_seed(0)
    module = make().eval().double()
    size = 48
    pictures = torch.rand(size, 3, size, size, dtype=torch.float64)
    pictures[range(size), :, :, range(size)] = float("nan")
    with torch.no_grad():
        made = module(pictures)
    middle = made.shape[-1] // 2
    spoilt = made[:, :, made.shape[-2] // 2, middle].isnan().any(1).nonzero().flatten()
    assert recorded(module.float(), 3, size, size)[-1].receptive_field == int(spoilt[-1] - spoilt[0] + 1)


class Row(nn.Module):
    """A convolution along one row only."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        return nn.functional.conv2d(
            x, layer.weight[:, :, :1], stride=(1, layer.stride[1]), dilation=(1, layer.dilation[1])
        )


def test_who_reads_whom_in_a_residual_network() -> None:
    layers = layers_of(trace("resnet50"))
    assert layers["conv1"].inputs == ("input",)
    assert layers["layer1.0.downsample.0"].inputs == layers["layer1.0.conv1"].inputs == ("maxpool",)
    assert layers["layer1.0.add"].inputs == ("layer1.0.bn3", "layer1.0.downsample.1")
    # The block's one ReLU runs three times, in place; what the next block reads is the third time.
    assert layers["layer1.0.relu_3"].inputs == ("layer1.0.add",)
    assert layers["layer1.1.conv1"].inputs == ("layer1.0.relu_3",)
    assert layers["layer1.1.add"].inputs == ("layer1.1.bn3", "layer1.0.relu_3")
    assert layers["fc"].inputs == ("avgpool",)
    assert (layers["layer1.1.add"].block, layers["layer1.1.add"].stage) == ("layer1.1", "layer1")
    assert (layers["maxpool"].block, layers["maxpool"].stage) == ("", "conv1")
    assert layers["avgpool"].stage == "fc"


def test_a_padded_shortcut_has_no_parameters_and_every_second_pixel() -> None:
    layers = layers_of(trace("resnet20"))
    shortcut = layers["layer2.0.downsample"]
    assert (shortcut.kind, shortcut.parameters, shortcut.macs, shortcut.output) == ("Pad", 0, 0, (32, 16, 16))
    assert shortcut.window is not None
    assert shortcut.window.stride == (2, 2)
    assert layers["layer2.0.add"].inputs == ("layer2.0.bn2", "layer2.0.downsample")
    assert not any(layer.kind in ("Pad", "Add") for layer in trace("plain20").layers)


def test_branches_meet_in_depth() -> None:
    layers = layers_of(trace("googlenet", style="paper"))
    joined = layers["inception3a.concatenate"]
    assert joined.inputs == tuple(
        f"inception3a.{branch}.relu" for branch in ("branch1", "branch2.1", "branch3.1", "branch4.1")
    )
    assert joined.output == (256, 28, 28)
    assert layers["inception3a.branch3.1.conv"].macs == 10_035_200
    fields = [layers[name].receptive_field for name in joined.inputs]
    assert joined.receptive_field == fields[2] == max(f for f in fields if f)
    assert layers["inception3a.branch4.0"].inputs == layers["inception3a.branch1.conv"].inputs == ("maxpool2",)
    assert layers["norm1"].kind == "LocalResponseNorm"


def test_a_gate_reads_what_it_weighs() -> None:
    layers = layers_of(trace("efficientnet_b0"))
    part = "features.2.0.block.2"
    assert layers[f"{part}.multiply"].inputs == ("features.2.0.block.1.2", f"{part}.scale_activation")
    assert layers[f"{part}.avgpool"].inputs == ("features.2.0.block.1.2",)
    assert layers[f"{part}.avgpool"].output == (96, 1, 1)
    assert layers[f"{part}.fc1"].receptive_field is None
    assert layers[f"{part}.multiply"].receptive_field == layers["features.2.0.block.1.2"].receptive_field == 11
    assert layers["features.2.1.add"].inputs == ("features.2.1.block.3.1", "features.2.0.block.3.1")
    assert layers["features.2.1.add"].block == "features.2.1"


def test_same_padding_is_written_side_by_side() -> None:
    paper = {layer["name"]: layer for layer in trace("mobilenet_v2", style="paper").document()["layers"]}
    ours = {layer["name"]: layer for layer in trace("mobilenet_v2").document()["layers"]}
    assert paper["features.0.0"]["padding"] == [0, 0, 1, 1]
    assert ours["features.0.0"]["padding"] == [1, 1]
    assert paper["features.0.0"]["kind"] == ours["features.0.0"]["kind"] == "Conv2d"
    odd = {layer["name"]: layer for layer in trace("mobilenet_v2", size=225, style="paper").document()["layers"]}
    assert odd["features.0.0"]["padding"] == [1, 1]
    assert odd["features.0.0"]["output"] == [32, 113, 113]


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("resnet18", ["conv1", "layer1", "layer2", "layer3", "layer4", "fc"]),
        ("vgg11", ["features.0-2", "features.3-5", "features.6-10", "features.11-15", "features.16-20", "classifier"]),
        ("mobilenet_v1", ["features.0", "features.1", "features.2-3", "features.4-5", "features.6-11",
                          "features.12-13", "classifier"]),
        ("efficientnet_b0", [*(f"features.{i}" for i in range(9)), "classifier"]),
    ],
)  # fmt: skip
def test_stages_are_what_a_person_calls_them(name: str, stages: list[str]) -> None:
    assert [stage["name"] for stage in trace(name).stages()] == stages


def test_blocks_of_networks_without_a_class_for_them() -> None:
    assert {layer.block for layer in trace("mobilenet_v1").layers} == {"", *(f"features.{i}" for i in range(1, 14))}
    assert {layer.block for layer in trace("vgg16").layers} == {""}


def test_the_worst_moment_of_memory() -> None:
    def peak(model: nn.Module) -> int:
        return peak_activations(recorded(model, 3, 4, 4), 48)

    assert peak(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 1))) == 64 + 128
    assert peak(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(64, 2))) == 48 + 64
    assert peak(Residual(nn.Conv2d(3, 3, 1))) == 48 + 48  # the sum writes over a branch
    assert peak(Residual(nn.Sequential(nn.Conv2d(3, 9, 1), nn.ReLU(), nn.Conv2d(9, 3, 1)))) == 48 + 144 + 48
    assert peak(Residual(nn.ReLU())) == 48 + 48  # the picture is still to be read: nothing may write over it
    assert peak(Joined()) == 48 + 48 + 96


class Residual(nn.Module):
    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return self.branch(x) + x


class Joined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.one(x), x], 1)


def test_sizes_are_of_the_folded_network_that_runs() -> None:
    googlenet, twin = trace("googlenet").total(), trace("googlenet:aux=no").total()
    assert googlenet["parameters_without_auxiliary"] == twin["parameters"] == 6_624_904
    for size in ("float32_bytes", "int8_bytes"):
        assert googlenet[size] == twin[size]
    total = trace("resnet20").total()
    channels = 16 * 7 + 32 * 6 + 64 * 6 + 10
    weights = 269_722 - 2 * (channels - 10) - 10  # less batch norms' scales and shifts, less the last biases
    assert total["float32_bytes"] == 4 * (weights + channels)
    assert total["int8_bytes"] == weights + 8 * channels
    assert total["peak_activation_bytes"] == 4 * 3 * 16 * 32 * 32


@pytest.mark.parametrize("name", ["mobilenet_v2", "googlenet:aux=no", "vgg11_bn", "efficientnet_b0", "resnet18"])
def test_the_size_in_float32_is_what_folding_leaves(name: str) -> None:
    """Torch's own folding of every batch norm into the convolution before it."""
    network = create(name, num_classes=10).eval()
    parts, before = [m for m in network.modules() if not any(m.children())], nn.Module()
    left = sum(p.numel() for p in network.parameters())
    for part in parts:
        if isinstance(part, nn.BatchNorm2d):
            assert isinstance(before, nn.Conv2d)
            left += sum(p.numel() for p in fuse_conv_bn_eval(before, part).parameters())
            left -= sum(p.numel() for p in (*before.parameters(), *part.parameters()))
        before = part
    assert trace(name, num_classes=10).total()["float32_bytes"] == 4 * left


def test_channels_of_a_linear_layer_over_places_are_its_own() -> None:
    (layer,) = record(nn.Linear(8, 4).to("meta"), torch.empty(1, 25, 8, device="meta"))
    assert (layer.output, layer.weights, layer.channels) == ((25, 4), 32, 4)


def test_a_layer_that_runs_twice() -> None:
    layer = nn.Linear(4, 4)
    first, second = record(nn.Sequential(layer, layer).to("meta"), torch.empty(1, 4, device="meta"))
    assert (first.name, second.name) == ("0", "0_2")
    assert (first.macs, second.macs) == (16, 16)
    assert (first.parameters, second.parameters) == (20, 0)
    assert second.inputs == ("0",)


def test_depth_takes_the_longest_way() -> None:
    branches = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)), nn.Conv2d(3, 3, 1)])

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = branches

        def forward(self, x: Tensor) -> Tensor:
            return self.branches[0](x) + self.branches[1](x)

    assert depth(recorded(Both(), 3, 8, 8)) == 2


def test_pictures_channels_classes_and_stems() -> None:
    anatomy = trace("resnet18", size=40, num_classes=7, in_channels=1, stem="small")
    assert anatomy.document()["input"] == [1, 40, 40]
    assert anatomy.document()["stem"] == "small"
    assert anatomy.layers[0].output == (64, 40, 40)
    assert anatomy.layers[-1].output == (7,)
    assert trace("resnet20").classes == trace("googlenet_small").classes == 10
    assert trace("vgg16").classes == 1000
    assert trace("efficientnet:phi=1").input == (3, 258, 258)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "gogglenet"}, 'did you mean "googlenet"'),
        ({"name": "resnet20", "num_classes": 0}, "at least one class"),
        ({"name": "resnet20", "style": "pretty"}, "unknown style"),
        ({"name": "resnet20", "stem": "imagenet"}, "no stem"),
        ({"name": "mobilenet_v2:width=-1"}, "width"),
        ({"name": "vgg16", "size": 31}, "32 or more"),
        ({"name": "googlenet", "size": 30, "style": "paper"}, "31 or more"),
        ({"name": "alexnet", "size": 1, "stem": "small"}, "15 or more"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        trace(**arguments)


def test_a_trace_draws_no_random_number() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    trace("vgg11")
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", ["resnet152", "efficientnet_b7"])
def test_torchs_compiler_stays_unloaded(name: str) -> None:
    """It would take longer than all the rest of `sightline anatomy`."""
    code = (
        f"import sys; from sightline.anatomy.trace import trace; trace({name!r}); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
