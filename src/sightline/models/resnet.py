"""Residual networks: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition" (2015), Tables 1 and 6.

Two families of one paper. The ImageNet form (18 to 152 layers) has torchvision's keys; its bottleneck strides in the
3x3 ("v1.5", as the public weights), with style="paper" in the first 1x1. The CIFAR form (6n + 2 layers of 16, 32 and
64 channels) joins blocks of different size by option A: every second pixel, zeros for the new channels, no parameters.
The plain networks are the same without shortcuts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.errors import UserError, named
from sightline.models.layers import Network, Residual, add, initialise_for_relu

Shortcut = Callable[[int, int, int], nn.Module | None]


def project(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """A strided 1x1 convolution with batch norm."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out))


def identity_or(change: Callable[[int, int, int], nn.Module]) -> Shortcut:
    """The identity (None), with `change` where the size or the number of channels changes."""

    def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module | None:
        return change(channels_in, channels_out, stride) if stride > 1 or channels_in != channels_out else None

    return shortcut


class Pad(nn.Module):
    """Option A of the paper: every `stride`-th pixel, zeros for the new channels (half before, half after)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.channels_in, self.channels_out, self.stride = channels_in, channels_out, stride
        self.before = (channels_out - channels_in) // 2
        self.after = channels_out - channels_in - self.before

    def forward(self, x: Tensor) -> Tensor:
        """[N, K, h, w] to [N, K + new, h / stride, w / stride], rounded up."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))

    def as_convolution(self) -> nn.Conv2d:
        """The same function as a 1x1 convolution of zeros and ones, which a graph runner fuses with its neighbours."""
        convolution = nn.Conv2d(self.channels_in, self.channels_out, 1, self.stride, bias=False)
        with torch.no_grad():
            convolution.weight.zero_()[self.before : self.before + self.channels_in, :, 0, 0].fill_diagonal_(1)
        return convolution


class Basic(Residual):
    """Two 3x3 convolutions and a shortcut; without one (None) it is a piece of a plain network."""

    expansion = 1

    def __init__(self, channels_in: int, channels: int, stride: int, shortcut: Shortcut | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.residual = shortcut is not None
        self.downsample = shortcut(channels_in, channels, stride) if shortcut else None

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, channels, h / stride, w / stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.residual:
            y = add(y, x if self.downsample is None else self.downsample(x))
        return self.relu(y)


class Bottleneck(Residual):
    """1x1 down to `channels`, 3x3, 1x1 up to four times as many, and a shortcut unless it is None."""

    expansion = 4

    def __init__(
        self, channels_in: int, channels: int, stride: int, shortcut: Shortcut | None, stride_first: bool
    ) -> None:
        super().__init__()
        channels_out = channels * self.expansion
        # The paper strides in the first 1x1; the public weights (v1.5) in the 3x3, which sees every pixel.
        first, second = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(channels_in, channels, 1, first, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, second, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.residual = shortcut is not None
        self.downsample = shortcut(channels_in, channels_out, stride) if shortcut else None

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, 4 * channels, h / stride, w / stride]."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.residual:
            y = add(y, x if self.downsample is None else self.downsample(x))
        return self.relu(y)


class ResNet(Network):
    """The ImageNet form: a stem, four stages, global average pooling, one linear layer."""

    def __init__(
        self, block: Callable[..., nn.Module], expansion: int, depths: tuple[int, ...], num_classes: int,
        in_channels: int, stem: str, shortcut: Shortcut | None,
    ) -> None:  # fmt: skip
        super().__init__()
        small = stem == "small"
        self.conv1 = nn.Conv2d(in_channels, 64, 3, 1, 1, bias=False) if small else nn.Conv2d(
            in_channels, 64, 7, 2, 3, bias=False
        )  # fmt: skip
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, expansion, 64, 64, depths[0], 1, shortcut)
        self.layer2 = _stage(block, expansion, 64 * expansion, 128, depths[1], 2, shortcut)
        self.layer3 = _stage(block, expansion, 128 * expansion, 256, depths[2], 2, shortcut)
        self.layer4 = _stage(block, expansion, 256 * expansion, 512, depths[3], 2, shortcut)
        self.fc = nn.Linear(512 * expansion, num_classes)
        initialise_for_relu(self)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        return self.fc

    @property
    def trunk(self) -> Sequence[nn.Module]:
        """[N, channels, H, W] becomes [N, K, H / 32, W / 32] (H / 8 with the small stem), rounded up."""
        stem = (self.conv1, self.bn1, self.relu, self.maxpool)
        return (*stem, self.layer1, self.layer2, self.layer3, self.layer4)

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places, [N, K]."""
        return feature_map.mean((2, 3))


class CifarResNet(Network):
    """The CIFAR form: 3x3 stem of 16 channels, three stages of `depth` blocks, average pooling, a linear layer."""

    def __init__(self, depth: int, num_classes: int, in_channels: int, shortcut: Shortcut | None) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _stage(Basic, 1, 16, 16, depth, 1, shortcut)
        self.layer2 = _stage(Basic, 1, 16, 32, depth, 2, shortcut)
        self.layer3 = _stage(Basic, 1, 32, 64, depth, 2, shortcut)
        self.fc = nn.Linear(64, num_classes)
        initialise_for_relu(self)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        return self.fc

    @property
    def trunk(self) -> Sequence[nn.Module]:
        """[N, channels, H, W] becomes [N, 64, H / 4, W / 4], rounded up."""
        return (self.conv1, self.bn1, self.relu, self.layer1, self.layer2, self.layer3)

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places, [N, 64]."""
        return feature_map.mean((2, 3))


def _stage(
    block: Callable[..., nn.Module], expansion: int, channels_in: int, channels: int, depth: int, stride: int,
    shortcut: Shortcut | None,
) -> nn.Sequential:  # fmt: skip
    """`depth` blocks in a row; the first of them strides and widens."""
    first = block(channels_in, channels, stride, shortcut)
    rest = (block(channels * expansion, channels, 1, shortcut) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)


def basic_resnet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, stem: str, style: str, *, shortcut: str = "B",
) -> ResNet:  # fmt: skip
    """ResNet-18 and 34, or with shortcut "none" plain-18 and 34; paper and torchvision agree on them."""
    return ResNet(Basic, Basic.expansion, depths, num_classes, in_channels, stem, _shortcut(shortcut))


def bottleneck_resnet(
    depths: tuple[int, ...], num_classes: int, in_channels: int, stem: str, style: str, *, shortcut: str = "B",
) -> ResNet:  # fmt: skip
    """ResNet-50, 101 and 152; `style` says where a bottleneck strides."""
    block = partial(Bottleneck, stride_first=style == "paper")
    return ResNet(block, Bottleneck.expansion, depths, num_classes, in_channels, stem, _shortcut(shortcut))


def cifar_resnet(
    depth: int, num_classes: int, in_channels: int, stem: str, style: str, *, shortcut: str = "A"
) -> CifarResNet:
    """The paper's form for 32 x 32 pictures, `depth` blocks a stage; it has one stem and one style."""
    return CifarResNet(depth, num_classes, in_channels, _shortcut(shortcut))


def _shortcut(option: str) -> Shortcut | None:
    """The paper's shortcuts (section 4.1): where the size changes, A pads and B projects; C always projects."""
    options: dict[str, Shortcut | None] = {"A": identity_or(Pad), "B": identity_or(project), "C": project, "none": None}
    if option not in options:
        raise UserError(f'no shortcut "{named(option)}": use {", ".join(options)}')
    return options[option]
