from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.models import create
from sightline.models.resnet import Bottleneck, Pad


@pytest.mark.parametrize(("layers", "millions"), [(20, "0.27"), (32, "0.46"), (44, "0.66"), (56, "0.85"), (110, "1.7")])
def test_cifar_parameter_counts_are_the_papers(layers: int, millions: str) -> None:
    model = create(f"resnet{layers}", num_classes=10)
    digits = len(millions.split(".")[1])
    assert f"{sum(p.numel() for p in model.parameters()) / 1e6:.{digits}f}" == millions


@pytest.mark.parametrize("layers", [18, 20, 34, 50, 56, 101])
def test_the_name_counts_the_layers_with_weights(layers: int) -> None:
    model = create(f"resnet{layers}", num_classes=10)
    weighted = [name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len([name for name in weighted if "downsample" not in name]) == layers


def test_option_a_takes_every_second_pixel_and_pads_channels_with_zeros() -> None:
    x = torch.rand(2, 16, 9, 9)
    y = Pad(16, 32, 2)(x)
    assert y.shape == (2, 32, 5, 5)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()
    assert not list(Pad(16, 32, 2).parameters())


@pytest.mark.parametrize(("style", "strides"), [("torchvision", (1, 2)), ("paper", (2, 1))])
def test_where_a_bottleneck_strides(style: str, strides: tuple[int, int]) -> None:
    block = create("resnet50", num_classes=2, style=style).get_submodule("layer2.0")
    assert isinstance(block, Bottleneck)
    assert (block.conv1.stride[0], block.conv2.stride[0]) == strides
