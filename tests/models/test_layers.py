from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from sightline.core.errors import UserError
from sightline.models import create
from sightline.models.layers import add, concatenate, scaled, silence_branches


@given(st.integers(1, 4096), st.floats(0.01, 8))
def test_scaled_is_a_multiple_of_eight_that_loses_at_most_a_tenth(channels: int, width: float) -> None:
    found = scaled(channels, width)
    assert found % 8 == 0
    assert found >= 0.9 * channels * width
    assert found <= max(8, channels * width + 8)


@given(st.integers(1, 512))
def test_width_one_leaves_the_papers_counts_alone(eighths: int) -> None:
    assert scaled(8 * eighths, 1.0) == 8 * eighths


@pytest.mark.parametrize("width", [0, -0.5, float("nan")])
def test_width_must_be_positive(width: float) -> None:
    with pytest.raises(UserError, match=r"width .* is out of range"):
        scaled(64, width)


def test_inception_3a_joins_to_256_channels() -> None:
    branches = [torch.zeros(2, channels, 28, 28) for channels in (64, 128, 32, 32)]
    assert concatenate(branches).shape == (2, 256, 28, 28)


def test_branches_of_different_size_are_refused_with_both_shapes() -> None:
    with pytest.raises(UserError) as error:
        concatenate([torch.zeros(1, 64, 28, 28), torch.zeros(1, 32, 26, 26)])
    assert "(1, 32, 26, 26)" in str(error.value)
    assert "(1, 64, 28, 28)" in str(error.value)


@pytest.mark.parametrize("shape", [(1, 32, 28, 28), (1, 64, 14, 14)])
def test_a_shortcut_of_another_shape_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError) as error:
        add(torch.zeros(1, 64, 28, 28), torch.zeros(shape))
    assert str(shape) in str(error.value)
    assert "(1, 64, 28, 28)" in str(error.value)


def test_a_shortcut_is_never_broadcast() -> None:
    with pytest.raises(UserError, match="all sizes must agree"):
        add(torch.zeros(1, 64, 28, 28), torch.zeros(1, 64, 1, 1))


@pytest.mark.parametrize("name", ["resnet18", "plain20", "googlenet_small", "vgg11", "mobilenet_v1"])
def test_leaky_relu_takes_the_place_of_every_relu(name: str) -> None:
    plain, leaky = (create(f"{name}:activation={kind}", num_classes=2) for kind in ("relu", "leaky_relu"))
    count = sum(isinstance(m, nn.ReLU) for m in plain.modules())
    slopes = [m.negative_slope for m in leaky.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.01] * count
    assert not any(isinstance(m, nn.ReLU) for m in leaky.modules())


@pytest.mark.parametrize(
    ("name", "block", "branches"),
    [
        ("resnet20", "layer1.1", 9),
        ("resnet50", "layer1.1", 16),
        ("mobilenet_v2", "features.3", 10),
        ("efficientnet_b0", "features.2.1", 9),
        ("plain20", "layer1.1", 0),
        ("googlenet_small", "inception3a", 0),
    ],
)
def test_a_silenced_block_is_its_shortcut(name: str, block: str, branches: int) -> None:
    network = create(name, num_classes=2).eval()
    silence_branches(network)
    scales = [m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert sum(not scale.any() for scale in scales) == branches
    part = network.get_submodule(block)
    channels = next(m for m in part.modules() if isinstance(m, nn.Conv2d)).in_channels
    x = torch.rand(2, channels, 8, 8)
    y = part(x)
    assert (y.shape == x.shape and torch.equal(y, x)) == (branches > 0)
