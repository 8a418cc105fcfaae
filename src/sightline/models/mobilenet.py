"""MobileNets: depthwise separable convolutions, with a multiplier for the width of every layer.

v1: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications" (2017), Table 1;
torchvision has none, so the keys are ours in its manner. v2: Sandler et al., "MobileNetV2: Inverted Residuals and
Linear Bottlenecks" (2018), Table 2, with torchvision's keys. style="paper" pads as TensorFlow does (SAME) and has its
batch norm epsilon, which weights trained there need; the keys are the same.

The small stem, ours alone, leaves the first two halvings out: 32 pixels end at 4x4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

from torch import Tensor, nn

from sightline.models.layers import (
    Classified,
    Network,
    Residual,
    add,
    initialise_for_relu,
    scaled,
    unit,
    without_halvings,
)

# v1, Table 1: channels and stride of each depthwise separable convolution. The table gives the last one stride 2, but
# its sizes (7x7 in, 7x7 out) and its sum of multiply-adds want 1.
SEPARABLE = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1),
)  # fmt: skip
# v2, Table 2: expansion, channels, repetitions, stride of the first
BOTTLENECKS = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip

Unit = Callable[..., nn.Sequential]


class MobileNetV1(Network):
    """A 3x3 convolution, 13 depthwise separable convolutions, global average pooling, one linear layer."""

    def __init__(self, num_classes: int, in_channels: int, stem: str, style: str, *, width: float = 1.0) -> None:
        super().__init__()
        make = _unit(partial(nn.ReLU, inplace=True), style)
        strides = without_halvings([2, *(stride for _, stride in SEPARABLE)], 2 if stem == "small" else 0)
        channels = scaled(32, width)
        self.features = nn.Sequential(make(in_channels, channels, 3, strides[0]))
        for (count, _), stride in zip(SEPARABLE, strides[1:], strict=True):
            depthwise = make(channels, channels, 3, stride, groups=channels)
            self.features.append(nn.Sequential(depthwise, make(channels, scaled(count, width), 1)))
            channels = scaled(count, width)
        self.classifier = nn.Linear(channels, num_classes)
        _initialise(self)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        return self.classifier

    @property
    def trunk(self) -> Sequence[nn.Module]:
        """[N, channels, H, W] becomes [N, 1024 * width, H / 32, W / 32] (H / 8 with the small stem), rounded up."""
        return list(self.features)

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places, [N, K]."""
        return feature_map.mean((2, 3))


class InvertedResidual(Residual):
    """1x1 up to `expansion` times the channels, depthwise 3x3, linear 1x1 down, a shortcut where no size changes."""

    def __init__(self, channels_in: int, channels: int, stride: int, expansion: int, make: Unit) -> None:
        super().__init__()
        inside = channels_in * expansion
        self.conv = nn.Sequential(
            *([make(channels_in, inside, 1)] if expansion > 1 else []),
            make(inside, inside, 3, stride, groups=inside),
            *make(inside, channels, 1, activation=None),
        )
        self.residual = stride == 1 and channels_in == channels

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        return cast(nn.BatchNorm2d, self.conv[-1])

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, channels, h / stride, w / stride], rounded up."""
        return add(self.conv(x), x) if self.residual else self.conv(x)


class MobileNetV2(Classified):
    """A 3x3 convolution, 17 inverted residuals, a 1x1 convolution, global average pooling, dropout, a linear layer."""

    def __init__(self, num_classes: int, in_channels: int, stem: str, style: str, *, width: float = 1.0) -> None:
        super().__init__()
        make = _unit(partial(nn.ReLU6, inplace=True), style)
        blocks = [(t, c, s if i == 0 else 1) for t, c, n, s in BOTTLENECKS for i in range(n)]
        strides = without_halvings([2, *(stride for *_, stride in blocks)], 2 if stem == "small" else 0)
        channels = scaled(32, width)
        self.features = nn.Sequential(make(in_channels, channels, 3, strides[0]))
        for (expansion, count, _), stride in zip(blocks, strides[1:], strict=True):
            self.features.append(InvertedResidual(channels, scaled(count, width), stride, expansion, make))
            channels = scaled(count, width)
        # Section 4: multipliers below one leave the last convolution as wide as it is.
        last = scaled(1280, max(1.0, width))
        self.features.append(make(channels, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        _initialise(self)

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places, [N, 1280]; in training after dropout."""
        return self.classifier[0](feature_map.mean((2, 3)))


def _unit(activation: Callable[[], nn.Module], style: str) -> Unit:
    """The building unit with TensorFlow's padding and batch norm epsilon (0.001, torch has 1e-5) in paper style."""
    return partial(unit, activation=activation, same=style == "paper", eps=0.001 if style == "paper" else 1e-5)


def _initialise(network: Network) -> None:
    """As torchvision's MobileNets: He's for the convolutions, normal of 0.01 for the linear layer."""
    initialise_for_relu(network)
    nn.init.normal_(network.head.weight, 0, 0.01)
    nn.init.zeros_(network.head.bias)
