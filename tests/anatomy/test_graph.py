"""What follows from who reads whom: depth, receptive fields, and the worst moment of memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sightline.anatomy.graph import depth, peak_activations, with_receptive_fields
from sightline.anatomy.layer import Layer
from sightline.anatomy.record import record
from sightline.anatomy.trace import trace
from sightline.models import create


def recorded(model: nn.Module, *shape: int) -> list[Layer]:
    """The layers of any module on a picture of `shape`, batch 1."""
    return with_receptive_fields(record(model.to("meta").eval(), torch.empty(1, *shape, device="meta")))


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


@settings(max_examples=60)
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


def test_depth_takes_the_longest_way() -> None:
    branches = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)), nn.Conv2d(3, 3, 1)])

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = branches

        def forward(self, x: Tensor) -> Tensor:
            return self.branches[0](x) + self.branches[1](x)

    assert depth(recorded(Both(), 3, 8, 8)) == 2
