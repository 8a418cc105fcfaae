from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from sightline.anatomy.arithmetic import Convolution, Slide, convolution, parse_padding, parse_shape
from sightline.core.errors import UserError
from sightline.models.layers import SameConv2d

sizes = st.integers(1, 19)
kernels, strides, dilations, groups = st.integers(1, 7), st.integers(1, 5), st.integers(1, 4), st.integers(1, 4)
paddings = st.integers(0, 5) | st.sampled_from(["same", "valid"])


def test_the_courses_five_by_five() -> None:
    document = convolution((28, 28, 192), filters=32, kernel=5)
    assert document["output"] == [28, 28, 32]
    assert document["formula"]["macs"] == "28 x 28 x 32 x 5 x 5 x 192 = 120,422,400"
    assert document["formula"]["width"] == "floor((28 + 2*2 - 1*(5 - 1) - 1) / 1) + 1 = 28"
    assert document["formula"]["parameters"] == "32 x 5 x 5 x 192 + 32 = 153,632"
    assert (document["macs"], document["flops"], document["parameters"]) == (120_422_400, 240_844_800, 153_632)
    assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize(
    ("shape", "asked", "macs"),
    [
        ((28, 28, 192), {"filters": 16, "kernel": 1}, 2_408_448),
        ((28, 28, 16), {"filters": 32, "kernel": 5}, 10_035_200),
        ((6, 6, 3), {"filters": 5, "kernel": 3, "padding": "valid"}, 2_160),
        ((6, 6, 3), {"filters": 3, "kernel": 3, "padding": "valid", "groups": 3}, 432),
        ((4, 4, 3), {"filters": 5, "kernel": 1}, 240),
    ],
)
def test_the_courses_other_convolutions(shape: tuple[int, int, int], asked: dict[str, Any], macs: int) -> None:
    document = convolution(shape, **asked)
    assert document["macs"] == macs
    assert document["formula"]["macs"].endswith(f"= {macs:,}")


def test_grouped_formula_and_uneven_padding_are_spelt_out() -> None:
    document = convolution((224, 224, 32), filters=64, kernel=3, stride=2, groups=32)
    assert document["zeros"] == [0, 1, 0, 1]
    assert document["formula"]["height"] == "floor((224 + (0 + 1) - 1*(3 - 1) - 1) / 2) + 1 = 112"
    assert document["formula"]["macs"] == "112 x 112 x 64 x 3 x 3 x (32 / 32) = 7,225,344"


@settings(max_examples=300)
@given(sizes, sizes, kernels, strides, paddings, dilations, groups, st.integers(1, 3), st.integers(1, 3))
def test_any_convolution_is_torchs(
    height: int, width: int, kernel: int, stride: int, padding: int | str, dilation: int, groups: int, a: int, b: int
) -> None:
    """Output shape, parameters and MACs are torch's; and what torch refuses, we refuse."""
    channels, filters = a * groups, b * groups
    x = torch.empty(1, channels, height, width, device="meta")
    same = padding == "same"
    number = 0 if isinstance(padding, str) else padding
    with torch.device("meta"):
        kind = SameConv2d if same else torch.nn.Conv2d
        layer = kind(channels, filters, kernel, stride, number, dilation, groups)
    try:
        with FlopCounterMode(display=False) as counter:
            shape = tuple(layer(x).shape)
    except RuntimeError:
        with pytest.raises(UserError, match="does not fit"):
            Convolution(height, width, channels, filters, kernel, stride, padding, dilation, groups)
        return
    ours = Convolution(height, width, channels, filters, kernel, stride, padding, dilation, groups)
    assert (1, ours.output[2], *ours.output[:2]) == shape
    assert ours.parameters == sum(p.numel() for p in layer.parameters())
    assert 2 * ours.macs == counter.get_total_flops()


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=100)
@given(sizes, kernels, dilations)
def test_same_is_torchs_same(size: int, kernel: int, dilation: int) -> None:
    x, weight = torch.randn(1, 1, size, size), torch.randn(1, 1, kernel, kernel)
    slide = Slide(kernel, dilation=dilation)
    before, after = slide.sides(size)
    theirs = F.conv2d(x, weight, padding="same", dilation=dilation)
    ours = F.conv2d(F.pad(x, (before, after, before, after)), weight, dilation=dilation)
    assert slide.output(size) == size
    assert torch.allclose(ours, theirs, atol=1e-4)


@settings(max_examples=200)
@given(sizes, kernels, strides, st.data(), dilations)
def test_a_pooling_slides_as_torchs(size: int, kernel: int, stride: int, data: st.DataObject, dilation: int) -> None:
    """Where the kernel does not fit, torch refuses too."""
    padding = data.draw(st.integers(0, kernel // 2))  # torch takes no more for a pooling
    slide, x = Slide(kernel, stride, padding, dilation), torch.zeros(1, 1, size, size)
    try:
        theirs = F.max_pool2d(x, kernel, stride, padding, dilation).shape[2]
    except RuntimeError:
        with pytest.raises(UserError, match="does not fit"):
            slide.output(size)
        return
    assert slide.output(size) == theirs


@pytest.mark.parametrize(
    ("text", "shape"), [("28x28x192", (28, 28, 192)), (" 7 X 9 x 3 ", (7, 9, 3)), ("1×2×3", (1, 2, 3))]
)
def test_a_shape_is_read(text: str, shape: tuple[int, int, int]) -> None:
    assert parse_shape(text) == shape


@pytest.mark.parametrize("text", ["", "28", "28x28", "28x28x192x1", "-1x2x3", "1.5x2x3", "axbxc", "²x2x3", "9" * 30])
def test_no_shape_is_said(text: str) -> None:
    with pytest.raises(UserError, match="28x28x192"):
        parse_shape(text)


@pytest.mark.parametrize(("text", "padding"), [("2", 2), ("0", 0), ("same", "same"), ("-1", "-1"), ("²", "²")])
def test_a_padding_is_read(text: str, padding: int | str) -> None:
    assert parse_padding(text) == padding


@pytest.mark.parametrize(
    ("shape", "asked", "message"),
    [
        ((5, 9, 3), {"kernel": 7, "padding": "valid"}, r"kernel of 7 .* does not fit into the input's 5"),
        ((9, 5, 3), {"kernel": 3, "dilation": 4, "padding": 1}, r"reaches over 9 pixels .* 5 \(7 with padding\)"),
        ((9, 9, 10), {"kernel": 3, "groups": 4}, "4 groups do not divide 10 channels"),
        ((9, 9, 12), {"kernel": 3, "groups": 3}, "3 groups do not divide 8 filters"),
        ((9, 9, 0), {"kernel": 3}, "channels must be 1 or more, not 0"),
        ((-9, 9, 3), {"kernel": 3}, "height must be 1 or more, not -9"),
        ((9, 9, 3), {"kernel": 0}, "kernel must be 1 or more, not 0"),
        ((9, 9, 3), {"kernel": 3, "stride": 0}, "stride must be"),
        ((9, 9, 3), {"kernel": 3, "dilation": -1}, "dilation must be"),
        ((9, 9, 3), {"kernel": 3, "groups": 0}, "groups must be"),
        ((9, 9, 3), {"kernel": 3, "filters": 0}, "filters must be"),
        ((9, 9, 3), {"kernel": 3, "padding": -1}, "padding must be 0 or more, not -1"),
        ((9, 9, 3), {"kernel": 3, "padding": "smae"}, 'padding "smae" is unknown, did you mean "same"'),
        ((9, 9, 3), {"kernel": 3, "padding": "x\n"}, r'padding "x\\n" is unknown: use same, valid or a number'),
    ],
)
def test_what_cannot_be_is_said(shape: tuple[int, int, int], asked: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        convolution(shape, **{"filters": 8, **asked})
    assert "\n" not in str(error.value)
