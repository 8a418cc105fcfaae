"""MobileNets: Howard et al. 2017 (v1, Table 1) and Sandler et al. 2018 (v2, Table 2), named as their weights are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.scratch.architectures.blocks import convolved, scaled
from sightline.scratch.layers import Add, Dropout, GlobalPool, Linear
from sightline.scratch.network import PICTURES, Network

SEPARABLE = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
# expansion, channels, repetitions, stride of the first
BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
TOP = 6.0  # of ReLU6


def mobilenet_v1(
    classes: int, channels: int, *, small: bool = False, paper: bool = False, width: float = 1.0
) -> Network:
    """A 3x3 convolution, 13 depthwise separable ones, global pooling, one linear layer."""
    network, how = Network(), _how(paper)
    strides = _without_halvings([2, *(stride for _, stride in SEPARABLE)], small)
    count = scaled(32, width)
    last = convolved(network, "features.0.0", "features.0.1", PICTURES, channels, count, 3, strides[0],
                     relu="features.0.2", **how)  # fmt: skip
    for number, ((wide, _), stride) in enumerate(zip(SEPARABLE, strides[1:], strict=True), 1):
        name, after = f"features.{number}", scaled(wide, width)
        last = convolved(network, f"{name}.0.0", f"{name}.0.1", last, count, count, 3, stride, groups=count,
                         relu=f"{name}.0.2", **how)  # fmt: skip
        last = convolved(network, f"{name}.1.0", f"{name}.1.1", last, count, after, 1, relu=f"{name}.1.2", **how)
        count = after
    network.add("pool", GlobalPool(), last)
    network.add("classifier", Linear(count, classes))
    return network


def mobilenet_v2(
    classes: int, channels: int, *, small: bool = False, paper: bool = False, width: float = 1.0
) -> Network:
    """A 3x3 convolution, 17 inverted residuals, a 1x1 convolution, global pooling, one linear layer."""
    network, how = Network(), {**_how(paper), "top": TOP}
    blocks = [(t, c, s if i == 0 else 1) for t, c, n, s in BOTTLENECKS for i in range(n)]
    strides = _without_halvings([2, *(stride for *_, stride in blocks)], small)
    count = scaled(32, width)
    last = convolved(network, "features.0.0", "features.0.1", PICTURES, channels, count, 3, strides[0],
                     relu="features.0.2", **how)  # fmt: skip
    for number, ((expansion, wide, _), stride) in enumerate(zip(blocks, strides[1:], strict=True), 1):
        after = scaled(wide, width)
        last = _inverted(network, f"features.{number}.conv", last, count, after, stride, expansion, how)
        count = after
    wide = scaled(1280, max(1.0, width))
    name = f"features.{len(blocks) + 1}"
    last = convolved(network, f"{name}.0", f"{name}.1", last, count, wide, 1, relu=f"{name}.2", **how)
    network.add("pool", GlobalPool(), last)
    network.add("classifier.0", Dropout(0.2))
    network.add("classifier.1", Linear(wide, classes))
    return network


def _inverted(
    network: Network, name: str, heard: str, channels_in: int, channels: int, stride: int, expansion: int,
    how: dict[str, Any],
) -> str:  # fmt: skip
    """1x1 up, depthwise 3x3, 1x1 down without ReLU, and a shortcut where no size changes."""
    inside, last, step = channels_in * expansion, heard, 0
    if expansion > 1:
        last = convolved(network, f"{name}.0.0", f"{name}.0.1", last, channels_in, inside, 1, relu=f"{name}.0.2", **how)
        step = 1
    last = convolved(network, f"{name}.{step}.0", f"{name}.{step}.1", last, inside, inside, 3, stride, groups=inside,
                     relu=f"{name}.{step}.2", **how)  # fmt: skip
    last = convolved(network, f"{name}.{step + 1}", f"{name}.{step + 2}", last, inside, channels, 1,
                     **{key: value for key, value in how.items() if key != "top"})  # fmt: skip
    if stride == 1 and channels_in == channels:
        return network.add(f"{name}.add", Add(), last, heard)
    return last


def _how(paper: bool) -> dict[str, Any]:
    """What TensorFlow's weights need (`paper`): its padding, and its batch norm's epsilon."""
    return {"same": paper, "epsilon": 0.001 if paper else 1e-5}


def _without_halvings(strides: Sequence[int], small: bool) -> list[int]:
    """`strides`; for `small` pictures with the first two twos made ones."""
    kept = list(strides)
    for _ in range(2 if small else 0):
        kept[kept.index(2)] = 1
    return kept
