from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

from sightline.anatomy.layer import Layer
from sightline.anatomy.record import record
from sightline.anatomy.trace import Anatomy, trace
from sightline.core.errors import UserError
from sightline.models import ARCHITECTURES, create
from sightline.models.blank import blank

GOLDENS = json.loads((Path(__file__).parents[1] / "models" / "goldens.json").read_text())
STYLED = [(name, "torchvision") for name in ARCHITECTURES] + [
    (name, "paper")
    for name, found in ARCHITECTURES.items()
    if "imagenet" in found.stems  # the others have one style
]


def layers_of(anatomy: Anatomy) -> dict[str, Layer]:
    return {layer.name: layer for layer in anatomy.layers}


@pytest.mark.parametrize(("name", "style"), STYLED)
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


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0"])
def test_torchs_compiler_stays_unloaded(name: str) -> None:
    """It would take longer than all the rest of `sightline anatomy`."""
    code = (
        f"import sys; from sightline.anatomy.trace import trace; trace({name!r}); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
