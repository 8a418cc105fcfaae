from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sightline.anatomy.macs import count_macs
from sightline.core.errors import UserError
from sightline.models import ARCHITECTURES, create


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(192, 32, 5, padding=2), (1, 192, 28, 28), 120_422_400),
        (nn.Conv2d(192, 16, 1), (1, 192, 28, 28), 2_408_448),
        (nn.Conv2d(16, 32, 5, padding=2), (1, 16, 28, 28), 10_035_200),
        (nn.Conv2d(3, 5, 3), (1, 3, 6, 6), 2_160),
        (nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 5, 1)), (1, 3, 6, 6), 432 + 240),
        (nn.Linear(4096, 1000), (1, 4096), 4_096_000),
        (nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)), (1, 8, 4, 4), 0),
    ],
)
def test_the_courses_arithmetic(layer: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert count_macs(layer, shape) == macs


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "resnet20", "googlenet", "googlenet_small"])
def test_agrees_with_pytorchs_own_counter(name: str) -> None:
    size = ARCHITECTURES[name].size
    with torch.device("meta"), torch.inference_mode():
        model = create(name, num_classes=10).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(2, 3, size, size))
    assert 2 * count_macs(model, (2, 3, size, size)) == counter.get_total_flops()


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2),
    st.integers(1, 2),
)  # fmt: skip
def test_any_convolution(
    batch: int, groups: int, per_group: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    layer = nn.Conv2d(groups * 2, groups * per_group, kernel, stride, padding, dilation, groups)
    x = torch.zeros(batch, groups * 2, 12, 11)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert 2 * count_macs(layer, tuple(x.shape)) == counter.get_total_flops()


class Scale(nn.Module):
    """A layer with a weight that multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


def test_an_unknown_layer_is_named_and_never_counts_as_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), Scale()))
    with pytest.raises(UserError, match=r"layer 1\.1 \(Scale\)"):
        count_macs(model, (1, 3, 4, 4))


def test_the_model_is_left_as_it_was() -> None:
    model = create("googlenet_small", num_classes=10).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    count_macs(model, (1, 3, 32, 32))
    with pytest.raises(RuntimeError):
        count_macs(model, (1, 5, 32, 32))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(
        value.device.type == "cpu" and torch.equal(value, before[key]) for key, value in model.state_dict().items()
    )


def test_tied_weights_stay_tied_and_count_twice() -> None:
    layer = nn.Linear(4, 4)
    assert count_macs(nn.Sequential(layer, layer), (1, 4)) == 32
