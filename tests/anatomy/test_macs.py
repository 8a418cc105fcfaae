from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sightline.anatomy.macs import count_macs, layers_of
from sightline.core.errors import UserError
from sightline.models import create


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


@settings(max_examples=30)
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


class Attention(nn.Module):
    """Multiplies matrices without a parameter."""

    def forward(self, x: Tensor) -> Tensor:
        return x @ x.transpose(-1, -2)


class Functional(nn.Module):
    """A convolution whose weight is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(3, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.weight)


class Distances(nn.Module):
    """Multiplies inside an operation whose name says nothing of it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, x)


class Spectrum(nn.Module):
    """A Fourier transform."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(x).abs()


@pytest.mark.parametrize(
    "layer", [Attention(), Functional(), Distances(), Spectrum(), nn.PReLU(), nn.ConvTranspose2d(3, 3, 1)]
)
def test_nothing_that_multiplies_counts_as_nothing(layer: nn.Module) -> None:
    with pytest.raises(UserError, match=rf"layer 1 \({type(layer).__name__}\)"):
        count_macs(nn.Sequential(nn.Conv2d(3, 3, 1), layer), (1, 3, 4, 4))


def test_a_model_that_is_one_unknown_layer() -> None:
    with pytest.raises(UserError, match=r"layer at the top \(Scale\)"):
        count_macs(Scale(), (1, 3, 4, 4))


class Pooled(nn.Module):
    """A pooling that gives two tensors, and a chunk that gives two more, between convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.last = nn.Conv2d(4, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        halves = nn.functional.max_pool2d(self.first(x), 2).chunk(2, 1)
        return self.last(torch.cat(halves[::-1], 1))


def test_operations_of_several_results_pass_on_who_made_them() -> None:
    layers = {layer.name: layer for layer in layers_of(Pooled(), (1, 3, 14, 14))}
    chunk = next(name for name in layers if "split" in name)
    pool = layers[chunk].inputs[0]
    assert layers[pool].inputs == ("first",)
    assert layers["concatenate"].inputs == (chunk, chunk)
    assert layers["last"].inputs == ("concatenate",)


class Free(nn.Module):
    """Operations that no network here has, and that multiply nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(nn.functional.interpolate(x.clamp(0, 1).tanh(), scale_factor=2.0), 1).permute(0, 2, 3, 1)


def test_operations_without_parameters_cost_nothing() -> None:
    assert count_macs(nn.Sequential(nn.Conv2d(3, 5, 1), Free(), nn.Linear(5, 2)), (1, 3, 4, 4)) == 240 + 640


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


def test_a_model_without_content_keeps_no_hooks() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(nn.ReLU(), Scale())).to("meta").eval()
    for channels in (3, 4):
        with pytest.raises((UserError, RuntimeError)):
            count_macs(model, (1, channels, 4, 4))
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_tied_weights_stay_tied_and_count_twice() -> None:
    layer = nn.Linear(4, 4)
    assert count_macs(nn.Sequential(layer, layer), (1, 4)) == 32
