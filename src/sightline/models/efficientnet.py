"""EfficientNet: Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019).

One baseline (Table 1), scaled in width, depth and resolution together. B0 to B7 have the published multipliers, their
own picture sizes and torchvision's keys; `efficientnet` with option phi follows the rule itself (section 3.3). Blocks
are MobileNet v2's inverted residuals with squeeze-and-excitation; while training, whole blocks are left out at random
(stochastic depth). style="paper" pads as TensorFlow does (SAME) and has its batch norm epsilon; keys are the same.

The small stem, ours alone, leaves the first two halvings out: 32 pixels end at 4x4.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from sightline.core.errors import UserError
from sightline.models.layers import Classified, Residual, add, initialise_for_relu, scaled, unit, without_halvings

# Table 1: expansion, kernel, stride of the first, channels, repetitions
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
LEFT_OUT = 0.2  # probability that the last block is left out of a training step; the others' grows linearly
PHI_MAX = 7.0


class Scale(NamedTuple):
    """How a network is scaled; `size` in pixels."""

    width: float
    depth: float
    size: int
    dropout: float
    eps: float = 1e-5  # of batch norm: torchvision's default, but 0.001 for B5 to B7


# B0 to B7. Sizes are those torchvision evaluates its weights at; the paper's B2 has 260.
SCALES = (
    Scale(1.0, 1.0, 224, 0.2),
    Scale(1.0, 1.1, 240, 0.2),
    Scale(1.1, 1.2, 288, 0.3),
    Scale(1.2, 1.4, 300, 0.3),
    Scale(1.4, 1.8, 380, 0.4),
    Scale(1.6, 2.2, 456, 0.4, eps=0.001),
    Scale(1.8, 2.6, 528, 0.5, eps=0.001),
    Scale(2.0, 3.1, 600, 0.5, eps=0.001),
)


class SqueezeExcitation(nn.Module):
    """Each channel times a factor in [0, 1] that two layers make of all channels' means (Hu et al. 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation = nn.SiLU(inplace=True)
        self.scale_activation = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """[N, K, h, w] to the same shape."""
        factors = self.fc2(self.activation(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * self.scale_activation(factors)


class StochasticDepth(nn.Module):
    """While training: zero for a picture with probability `left_out`, else scaled up to keep the mean."""

    def __init__(self, left_out: float) -> None:
        super().__init__()
        self.left_out = left_out

    def forward(self, x: Tensor) -> Tensor:
        """[N, K, h, w] to the same shape (Huang et al. 2016)."""
        if not self.training or self.left_out == 0:
            return x
        kept = 1 - self.left_out
        return x * (torch.empty(len(x), 1, 1, 1, dtype=x.dtype, device=x.device).bernoulli_(kept) / kept)


class MBConv(Residual):
    """1x1 up to `expansion` times the channels, depthwise, squeeze-and-excitation, linear 1x1 down, and a shortcut."""

    def __init__(
        self, channels_in: int, channels: int, kernel: int, stride: int, expansion: int, left_out: float, *,
        same: bool, eps: float,
    ) -> None:  # fmt: skip
        super().__init__()
        make = partial(unit, activation=partial(nn.SiLU, inplace=True), same=same, eps=eps)
        inside = channels_in * expansion
        self.block = nn.Sequential(
            *([make(channels_in, inside, 1)] if expansion > 1 else []),
            make(inside, inside, kernel, stride, groups=inside),
            SqueezeExcitation(inside, max(1, channels_in // 4)),
            make(inside, channels, 1, activation=None),
        )
        self.residual = stride == 1 and channels_in == channels
        self.stochastic_depth = StochasticDepth(left_out)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""
        return cast(nn.BatchNorm2d, cast(nn.Sequential, self.block[-1])[-1])

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, channels, h / stride, w / stride], rounded up."""
        return add(self.stochastic_depth(self.block(x)), x) if self.residual else self.block(x)


class EfficientNet(Classified):
    """A 3x3 convolution, seven stages of MBConv, a 1x1 convolution, global average pooling, dropout, a linear layer."""

    def __init__(self, scale: Scale, num_classes: int, in_channels: int, stem: str, style: str) -> None:
        super().__init__()
        same = style == "paper"
        eps = 0.001 if same else scale.eps
        make = partial(unit, activation=partial(nn.SiLU, inplace=True), same=same, eps=eps)
        strides = without_halvings([2, *(stride for _, _, stride, *_ in STAGES)], 2 if stem == "small" else 0)
        depths = [math.ceil(repetitions * scale.depth) for *_, repetitions in STAGES]
        rates = iter(LEFT_OUT * i / sum(depths) for i in range(sum(depths)))
        channels = scaled(32, scale.width)
        self.features = nn.Sequential(make(in_channels, channels, 3, strides[0]))
        for (expansion, kernel, _, count, _), stride, depth in zip(STAGES, strides[1:], depths, strict=True):
            stage = nn.Sequential()
            for i in range(depth):
                channels_in, channels = channels, scaled(count, scale.width)
                step = stride if i == 0 else 1
                block = MBConv(channels_in, channels, kernel, step, expansion, next(rates), same=same, eps=eps)
                stage.append(block)
            self.features.append(stage)
        self.features.append(make(channels, 4 * channels, 1))
        self.classifier = nn.Sequential(nn.Dropout(scale.dropout), nn.Linear(4 * channels, num_classes))
        initialise_for_relu(self)
        bound = 1 / math.sqrt(num_classes)
        nn.init.uniform_(self.head.weight, -bound, bound)
        nn.init.zeros_(self.head.bias)

    def embed(self, feature_map: Tensor) -> Tensor:
        """The mean over all places, [N, K]; in training after dropout."""
        return self.classifier[0](feature_map.mean((2, 3)))


def compound_efficientnet(
    num_classes: int, in_channels: int, stem: str, style: str, *, phi: float = 0.0
) -> EfficientNet:  # fmt: skip
    """The baseline scaled by the compound coefficient `phi` in [0, 7] (section 3.3, equation 3).

    Depth grows as 1.2^phi, width as 1.1^phi. Dropout grows from 0.2 (B0) to 0.5 (B7, where depth says phi is 6).
    """
    size = compound_size(phi)
    scale = Scale(1.1**phi, 1.2**phi, size, min(0.5, 0.2 + 0.05 * phi))
    return EfficientNet(scale, num_classes, in_channels, stem, style)


def compound_size(phi: float = 0.0) -> int:
    """Pixels of `phi`: 224 * 1.15^phi, to the nearest whole number. UserError unless 0 <= phi <= 7."""
    if not 0 <= phi <= PHI_MAX:
        raise UserError(f"efficientnet: phi {phi:g} is out of range: it must be between 0 and {PHI_MAX:g}")
    return round(224 * 1.15**phi)
