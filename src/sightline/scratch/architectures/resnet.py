"""Residual networks and their plain twins: He et al. 2015, with the names that PyTorch's weights have."""

from __future__ import annotations

from sightline.scratch.architectures.blocks import convolved
from sightline.scratch.layers import Add, BatchNorm, Convolution, GlobalPool, Linear, MaxPool, Pad, Relu
from sightline.scratch.network import PICTURES, Network


def cifar_resnet(classes: int, channels: int, depth: int, shortcut: str = "A") -> Network:
    """The form for 32 x 32 pictures: `depth` blocks in each of three stages; with `shortcut` "none" a plain network."""
    network = Network()
    last = convolved(network, "conv1", "bn1", PICTURES, channels, 16, 3, relu="relu")
    last = _stages(network, last, 16, (16, 32, 64), (depth,) * 3, shortcut, expansion=1, stride_first=False)
    network.add("pool", GlobalPool(), last)
    network.add("fc", Linear(64, classes))
    return network


def imagenet_resnet(
    classes: int, channels: int, depths: tuple[int, ...], expansion: int, shortcut: str = "B", *, small: bool = False,
    stride_first: bool = False,
) -> Network:  # fmt: skip
    """The form for 224 x 224 pictures, of basic blocks (`expansion` 1) or bottlenecks (4).

    `small` has a stem that halves nothing; with `stride_first` a bottleneck strides in its first convolution (paper).
    """
    network = Network()
    kernel, stride = (3, 1) if small else (7, 2)
    last = convolved(network, "conv1", "bn1", PICTURES, channels, 64, kernel, stride, relu="relu")
    if not small:
        last = network.add("maxpool", MaxPool(3, 2, 1))
    widths = (64, 128, 256, 512)
    last = _stages(network, last, 64, widths, depths, shortcut, expansion=expansion, stride_first=stride_first)
    network.add("pool", GlobalPool(), last)
    network.add("fc", Linear(512 * expansion, classes))
    return network


def _stages(
    network: Network, heard: str, channels_in: int, widths: tuple[int, ...], depths: tuple[int, ...], shortcut: str, *,
    expansion: int, stride_first: bool,
) -> str:  # fmt: skip
    """All the blocks; the first of each stage but the first strides."""
    for stage, (channels, depth) in enumerate(zip(widths, depths, strict=True), 1):
        for number in range(depth):
            stride = 2 if stage > 1 and number == 0 else 1
            name = f"layer{stage}.{number}"
            heard = _block(network, name, heard, channels_in, channels, stride, shortcut, expansion, stride_first)
            channels_in = channels * expansion
    return heard


def _block(
    network: Network, name: str, heard: str, channels_in: int, channels: int, stride: int, shortcut: str,
    expansion: int, stride_first: bool,
) -> str:  # fmt: skip
    """Two 3x3 convolutions, or 1x1, 3x3 and 1x1 (`expansion` 4), and a shortcut; ReLU after the sum."""
    if expansion == 1:
        steps = [(3, stride, channels), (3, 1, channels)]
    else:
        first, second = (stride, 1) if stride_first else (1, stride)
        steps = [(1, first, channels), (3, second, channels), (1, 1, channels * expansion)]
    last, before = heard, channels_in
    for number, (kernel, step, after) in enumerate(steps, 1):
        relu = f"{name}.relu{number}" if number < len(steps) else None
        last = convolved(
            network, f"{name}.conv{number}", f"{name}.bn{number}", last, before, after, kernel, step, relu=relu
        )
        before = after
    if shortcut != "none":
        last = network.add(
            f"{name}.add", Add(), last, _shortcut(network, name, heard, channels_in, before, stride, shortcut)
        )
    return network.add(f"{name}.relu", Relu(), last)


def _shortcut(
    network: Network, name: str, heard: str, channels_in: int, channels: int, stride: int, option: str
) -> str:
    """The paper's options: A pads where sizes change, B projects there, C always does."""
    changes = stride > 1 or channels_in != channels
    if option == "C" or (changes and option == "B"):
        network.add(f"{name}.downsample.0", Convolution(channels_in, channels, 1, stride, bias=False), heard)
        return network.add(f"{name}.downsample.1", BatchNorm(channels))
    return network.add(f"{name}.downsample", Pad(channels_in, channels, stride), heard) if changes else heard
