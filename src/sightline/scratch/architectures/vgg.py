"""VGG (Simonyan and Zisserman 2014, Table 1) and AlexNet (Krizhevsky et al. 2012; 2014 in PyTorch's form)."""

from __future__ import annotations

from sightline.scratch.layers import (
    BatchNorm,
    Convolution,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Relu,
)
from sightline.scratch.network import Network

CHANNELS = (64, 128, 256, 512, 512)
DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg(classes: int, channels: int, layers: int, *, norm: bool, small: bool = False) -> Network:
    """Five stages of 3x3 convolutions with 2x2 pooling, three linear layers; for 224 pixels, or 32 (`small`)."""
    network, number = Network(), 0
    for wide, depth in zip(CHANNELS, DEPTHS[layers], strict=True):
        for _ in range(depth):
            network.add(f"features.{number}", Convolution(channels, wide, 3, padding=1))
            if norm:
                number += 1
                network.add(f"features.{number}", BatchNorm(wide))
            network.add(f"features.{number + 1}", Relu())
            number, channels = number + 2, wide
        network.add(f"features.{number}", MaxPool(2))
        number += 1
    places, hidden = (1, 512) if small else (7, 4096)
    network.add("pool", GlobalPool() if small else Flatten())
    for number, (before, after) in zip((0, 3), ((channels * places**2, hidden), (hidden, hidden)), strict=True):
        network.add(f"classifier.{number}", Linear(before, after))
        network.add(f"classifier.{number + 1}", Relu())
        network.add(f"classifier.{number + 2}", Dropout(0.5))
    network.add("classifier.6", Linear(hidden, classes))
    return network


def alexnet(classes: int, channels: int, *, small: bool = False, paper: bool = False) -> Network:
    """Five convolutions, three of them with pooling, three linear layers; for 224 pixels, or 32 (`small`).

    `paper` has its widths, its two groups and its local response norm.
    """
    network, groups = Network(), 2 if paper else 1
    one, two, three, four, five = (96, 256, 384, 384, 256) if paper else (64, 192, 384, 256, 256)
    first = Convolution(channels, one, 3, padding=1) if small else Convolution(channels, one, 11, 4, padding=2)
    steps = (
        (first, True, True), (Convolution(one, two, 5, padding=2, groups=groups), True, True),
        (Convolution(two, three, 3, padding=1), False, False),
        (Convolution(three, four, 3, padding=1, groups=groups), False, False),
        (Convolution(four, five, 3, padding=1, groups=groups), False, True),
    )  # fmt: skip
    number = 0
    for convolution, normed, pooled in steps:
        following: list[Layer] = [Relu()]
        following += [LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if normed and paper else []
        following += [MaxPool(3, 2)] if pooled else []
        for layer in (convolution, *following):
            network.add(f"features.{number}", layer)
            number += 1
    places, hidden = (1, 512) if small else (6, 4096)
    network.add("pool", GlobalPool() if small else Flatten())
    network.add("classifier.0", Dropout(0.5))
    network.add("classifier.1", Linear(five * places**2, hidden))
    network.add("classifier.2", Relu())
    network.add("classifier.3", Dropout(0.5))
    network.add("classifier.4", Linear(hidden, hidden))
    network.add("classifier.5", Relu())
    network.add("classifier.6", Linear(hidden, classes))
    return network
