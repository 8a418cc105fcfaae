"""Inception: Szegedy et al. 2014, Table 1, with the names that PyTorch's weights have; and a small one for students."""

from __future__ import annotations

from sightline.scratch.architectures.blocks import convolved, scaled
from sightline.scratch.layers import (
    Concatenate,
    Convolution,
    Dropout,
    GlobalPool,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Relu,
)
from sightline.scratch.network import PICTURES, Network

# Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
MODULES = {
    "inception3a": (64, 96, 128, 16, 32, 32), "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64), "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64), "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128), "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
SMALL = {
    "inception1a": (16, 16, 24, 8, 8, 8),
    "inception1b": (24, 24, 32, 8, 16, 16),
    "inception2a": (32, 32, 48, 8, 24, 24),
}


def inception_small(classes: int, channels: int) -> Network:
    """A 3x3 convolution, two inception modules, pooling, one more, global pooling: 32 x 32 pictures in minutes."""
    network = Network()
    last = _convolution(network, "conv1", PICTURES, channels, 16, 3, norm=True)
    count = 16
    for name, widths in SMALL.items():
        if name == "inception2a":
            last = network.add("pool1", MaxPool(3, 2, 1), last)
        last, count = _module(network, name, last, count, widths, five=5, norm=True)
    network.add("pool", GlobalPool(), last)
    network.add("fc", Linear(count, classes))
    return network


def googlenet(
    classes: int, channels: int, *, small: bool = False, paper: bool = False, width: float = 1.0, naive: bool = False
) -> Network:
    """GoogLeNet without the heads that speak while training.

    `paper` has biases and local response norm instead of batch norm, and real 5x5 kernels; `naive` is Figure 2(a).
    """
    network, norm = Network(), not paper
    first, second = scaled(64, width), scaled(192, width)
    last = _convolution(network, "conv1", PICTURES, channels, first, *((3, 1) if small else (7, 2)), norm=norm)
    if not small:
        last = network.add("maxpool1", MaxPool(3, 2, ceil=True), last)
    if paper:
        last = network.add("norm1", LocalResponseNorm(5), last)
    last = _convolution(network, "conv2", last, first, first, 1, norm=norm)
    last = _convolution(network, "conv3", last, first, second, 3, norm=norm)
    if paper:
        last = network.add("norm2", LocalResponseNorm(5), last)
    if not small:
        last = network.add("maxpool2", MaxPool(3, 2, ceil=True), last)
    count = second
    for name, widths in MODULES.items():
        if name == "inception4a":
            last = network.add("maxpool3", MaxPool(3, 2, ceil=True), last)
        if name == "inception5a":
            last = network.add("maxpool4", MaxPool(3 if paper else 2, 2, ceil=True), last)
        wide = tuple(scaled(one, width) for one in widths)
        last, count = _module(network, name, last, count, wide, five=5 if paper else 3, norm=norm, naive=naive)
    network.add("pool", GlobalPool(), last)
    network.add("dropout", Dropout(0.4 if paper else 0.2))
    network.add("fc", Linear(count, classes))
    return network


def _convolution(
    network: Network, name: str, heard: str, channels_in: int, channels: int, kernel: int, stride: int = 1, *,
    norm: bool,
) -> str:  # fmt: skip
    """Convolution, batch norm (or a bias instead), ReLU."""
    if norm:
        return convolved(
            network, f"{name}.conv", f"{name}.bn", heard, channels_in, channels, kernel, stride, epsilon=0.001,
            relu=f"{name}.relu",
        )  # fmt: skip
    network.add(f"{name}.conv", Convolution(channels_in, channels, kernel, stride, kernel // 2), heard)
    return network.add(f"{name}.relu", Relu())


def _module(
    network: Network, name: str, heard: str, channels_in: int, widths: tuple[int, ...], *, five: int, norm: bool,
    naive: bool = False,
) -> tuple[str, int]:  # fmt: skip
    """1x1, 3x3, 5x5 and pooling side by side, joined in depth: the module's name, and how many channels it gives."""
    one, three_in, three, five_in, five_out, pool = widths
    b1, b2, b3, b4 = (f"{name}.branch{number}" for number in (1, 2, 3, 4))
    pooled = network.add(f"{b4}.0" if not naive else b4, MaxPool(3, 1, 1), heard)
    if naive:
        branches = [
            _convolution(network, b1, heard, channels_in, one, 1, norm=norm),
            _convolution(network, b2, heard, channels_in, three, 3, norm=norm),
            _convolution(network, b3, heard, channels_in, five_out, 5, norm=norm),
            pooled,
        ]
        return network.add(name, Concatenate(), *branches), one + three + five_out + channels_in
    reduced = [
        _convolution(network, f"{b2}.0", heard, channels_in, three_in, 1, norm=norm),
        _convolution(network, f"{b3}.0", heard, channels_in, five_in, 1, norm=norm),
    ]
    branches = [
        _convolution(network, b1, heard, channels_in, one, 1, norm=norm),
        _convolution(network, f"{b2}.1", reduced[0], three_in, three, 3, norm=norm),
        _convolution(network, f"{b3}.1", reduced[1], five_in, five_out, five, norm=norm),
        _convolution(network, f"{b4}.1", pooled, channels_in, pool, 1, norm=norm),
    ]
    return network.add(name, Concatenate(), *branches), one + three + five_out + pool
