from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sightline.anatomy.shapes import ELEMENTWISE, RULES, outcome
from sightline.models import ARCHITECTURES, create
from sightline.models.blank import blank


class Compare(TorchDispatchMode):
    """Asks torch and the rules for every operation; `asked` are the operations that only torch answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: set[str] = set()
        self.asked: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        ours = outcome(name, args)
        torchs = func(*args, **(kwargs or {}))
        if ours is None:
            self.asked.add(name)
            return torchs
        self.answered.add(name)
        first = torchs[0] if isinstance(torchs, tuple) else torchs
        assert (ours[0] if isinstance(ours, tuple) else ours).shape == first.shape, name
        return torchs


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "googlenet", "vgg11_bn", "mobilenet_v2", "efficientnet_b0"])
@pytest.mark.parametrize("style", ["torchvision", "paper"])
@pytest.mark.parametrize("smaller", [0, 33])
def test_torch_agrees(name: str, style: str, smaller: int) -> None:
    size = max(ARCHITECTURES[name].size - smaller, 31)
    with blank():
        network = create(name, num_classes=10, style=style).eval()
        picture = torch.empty(2, 3, size, size)
    with torch.no_grad(), Compare() as compare:
        network(picture)
    assert {"convolution", "addmm"} <= compare.answered


def test_every_rule_is_needed() -> None:
    answered: set[str] = set()
    for name in ("resnet18", "googlenet", "mobilenet_v2", "efficientnet_b0", "resnet20:activation=leaky_relu"):
        with blank():
            network = create(name, num_classes=10).eval()
            picture = torch.empty(1, 3, 64, 64)
        with torch.no_grad(), Compare() as compare:
            network(picture)
        answered |= compare.answered
        assert not compare.asked - {"t", "view", "_unsafe_view", "slice", "constant_pad_nd", "empty"}, name
    assert {name.rstrip("_") for name in answered} == {*RULES, *ELEMENTWISE}


@settings(max_examples=200)
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 5), st.integers(0, 3), st.integers(1, 3), st.booleans())
def test_any_pool(size: int, kernel: int, stride: int, padding: int, dilation: int, up: bool) -> None:
    x = torch.empty(1, 2, size, 20, device="meta")
    layer = nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=up)
    agree(layer, x)


@settings(max_examples=200)
@given(
    st.integers(1, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3), st.integers(1, 2)
)
def test_any_convolution(size: int, kernel: int, stride: int, padding: int, dilation: int, groups: int) -> None:
    x = torch.empty(2, 4, size, 20, device="meta")
    agree(nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups, device="meta"), x)


def agree(layer: nn.Module, x: Tensor) -> None:
    """Torch's shape is ours; where torch refuses, we leave it to torch."""
    with torch.no_grad():
        try:
            expected = layer(x).shape
        except RuntimeError:
            with pytest.raises(RuntimeError), Ours():
                layer(x)
            return
        with Ours():
            assert layer(x).shape == expected


class Ours(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = outcome(func.overloadpacket.__name__, args)
        return func(*args, **(kwargs or {})) if made is None else made


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("add", (torch.empty(1, 2, 3), torch.empty(1, 2, 4))),
        ("add", (torch.empty(1, 2, 3), torch.empty(3))),
        ("cat", ([torch.empty(1, 2, 3), torch.empty(1, 2, 4)], 1)),
        ("mean", (torch.empty(1, 2, 3), [-1])),
        ("addmm", (torch.empty(5), torch.empty(1, 4), torch.empty(3, 5))),
        ("convolution", (torch.empty(1, 3, 4), torch.empty(5, 2, 1), None, [1], [0], [1], False, [0], 1)),
        ("convolution", (torch.empty(1, 3, 4), torch.empty(3, 5, 1), None, [1], [0], [1], True, [0], 1)),
        ("sub", (torch.empty(1), torch.empty(1))),
    ],
)
def test_what_does_not_fit_is_left_to_torch(name: str, args: Any) -> None:
    assert outcome(name, args) is None
