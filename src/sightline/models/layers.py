"""What the networks share: the interface every network keeps, channel widths, joining branches, initialisation.

A network is a plain `nn.Module` in three steps: the modules of its `trunk`, one after the other, make the feature map
that enters the global pooling, `embed` makes of it the vector that enters the last linear layer, `head` is that layer.
Everything later (heat maps, search, transfer) stands on these three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.core.errors import UserError, named

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.01, inplace=True),
}


def normed_convolutions(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """Every convolution that a batch norm follows: the module that both are in, and their names there."""
    for module in network.modules():
        before, convolution = "", False
        for name, child in module.named_children():
            if convolution and isinstance(child, nn.BatchNorm2d):
                yield module, before, name
            before, convolution = name, isinstance(child, nn.Conv2d)


class Network(nn.Module, ABC):
    """The interface of every network; shapes: N pictures, K channels of h x w, D numbers, C classes."""

    @property
    @abstractmethod
    def trunk(self) -> Sequence[nn.Module]:
        """The modules between the pictures and the feature map, in the order in which they follow each other."""

    @abstractmethod
    def embed(self, feature_map: Tensor) -> Tensor:
        """What enters the last linear layer [N, D], from the feature map [N, K, h, w]; in training after dropout."""

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The last linear layer: D numbers to C logits."""

    @property
    def auxiliary(self) -> Sequence[nn.Module]:
        """The heads that answer from the middle of the trunk while training; most networks have none."""
        return ()

    def forward_features(self, x: Tensor) -> Tensor:
        """Feature map [N, K, h, w] of the normalised pictures `x` [N, channels, H, W]."""
        for module in self.trunk:
            x = module(x)
        return x

    def forward_head(self, feature_map: Tensor) -> Tensor:
        """Logits [N, C] from the feature map [N, K, h, w]."""
        return self.head(self.embed(feature_map))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits [N, C]; while training, a network with auxiliary heads gives (logits, auxiliary logits...)."""
        return self.forward_head(self.forward_features(x))


class Classified(Network):
    """A network of `features`, which make the feature map, and a `classifier` whose last layer is the head."""

    features: nn.Sequential
    classifier: nn.Sequential

    @property
    def trunk(self) -> Sequence[nn.Module]:
        """What `features` holds."""
        return list(self.features)

    @property
    def head(self) -> nn.Linear:
        """The last linear layer."""
        return cast(nn.Linear, self.classifier[-1])


class Hidden(Classified):
    """One whose classifier has hidden layers: `avgpool` brings any map to the places they take."""

    avgpool: nn.Module

    def embed(self, feature_map: Tensor) -> Tensor:
        """What the last hidden layer makes of the pooled map, [N, D]."""
        return self.classifier[:-1](self.avgpool(feature_map).flatten(1))


class Residual(nn.Module, ABC):
    """A block that adds a shortcut to its branch where `residual` is true."""

    residual: bool

    @property
    @abstractmethod
    def last_norm(self) -> nn.BatchNorm2d:
        """The batch norm that ends the branch."""


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of 8 that loses no more than a tenth (MobileNet's rule).

    The papers' counts are multiples of 8, so that width 1 leaves them as they are. UserError unless 0 < width <= 16.
    """
    if not 0 < width <= 16:
        raise UserError(
            f"width {width:g} is out of range: it must be above 0 (1 is the paper's network) and at most 16"
        )
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8


def add(branch: Tensor, shortcut: Tensor) -> Tensor:
    """The sum of two branches [N, K, h, w]; UserError that names both shapes when they differ."""
    if branch.shape[1:] != shortcut.shape[1:]:
        raise UserError(
            f"cannot add a shortcut of shape {tuple(shortcut.shape)} to a branch of shape {tuple(branch.shape)}: all "
            "sizes must agree; project the shortcut (1x1 convolution of the same stride) or pad it"
        )
    return branch + shortcut


def concatenate(branches: Sequence[Tensor]) -> Tensor:
    """Branches [N, Ki, h, w] joined in depth; UserError that names both shapes when heights or widths differ."""
    first = branches[0]
    for branch in branches[1:]:
        if branch.shape[2:] != first.shape[2:]:
            raise UserError(
                f"cannot concatenate a branch of shape {tuple(branch.shape)} to one of shape {tuple(first.shape)}: "
                "heights and widths must agree; give both branches the same stride and matching padding"
            )
    return torch.cat(list(branches), dim=1)


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding: output ceil(input / stride), the odd pixel right and bottom."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels_in, h, w] to [N, channels, ceil(h / stride), ceil(w / stride)]."""
        (top, bottom), (left, right) = (self._sides(size, axis) for axis, size in enumerate(x.shape[2:]))
        return super().forward(F.pad(x, (left, right, top, bottom)))

    def _sides(self, size: int, axis: int) -> tuple[int, int]:
        """Zeros before and after along `axis` (0 for height)."""
        kernel, stride, dilation = self.kernel_size[axis], self.stride[axis], self.dilation[axis]
        total = max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
        return total // 2, total - total // 2


def unit(
    channels_in: int, channels: int, kernel: int, stride: int = 1, *, activation: Callable[[], nn.Module] | None,
    groups: int = 1, same: bool = False, eps: float = 1e-5,
) -> nn.Sequential:  # fmt: skip
    """Convolution without bias, batch norm, activation unless None: the building unit of the mobile networks.

    Its padding is symmetric (kernel / 2), or TensorFlow's SAME padding with `same`; they differ where it strides.
    """
    convolution = SameConv2d if same and stride > 1 else partial(nn.Conv2d, padding=kernel // 2)
    norm = nn.BatchNorm2d(channels, eps=eps)
    layers = [convolution(channels_in, channels, kernel, stride, groups=groups, bias=False), norm]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def without_halvings(strides: Sequence[int], count: int) -> list[int]:
    """`strides` with the first `count` twos made ones: a small stem keeps that many halvings of the picture away."""
    kept = list(strides)
    for _ in range(count):
        kept[kept.index(2)] = 1
    return kept


def exchange_relu(network: nn.Module, name: str, activation: str) -> None:
    """Put another activation in the place of every ReLU; UserError when it is unknown or there is no ReLU."""
    if activation not in ACTIVATIONS:
        raise UserError(f'{name} has no activation "{named(activation)}": use {" or ".join(ACTIVATIONS)}')
    places = [
        (module, key)
        for module in network.modules()
        for key, child in module.named_children()
        if type(child) is nn.ReLU
    ]
    if not places:
        raise UserError(f"{name} has no ReLU to exchange for {activation}: its paper chose another activation")
    for module, key in places:
        setattr(module, key, ACTIVATIONS[activation]())


def initialise_for_relu(network: nn.Module) -> None:
    """He's initialisation of the convolutions (normal, fan out), as in torchvision's ResNets; others keep theirs."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def initialise_to_keep_signals(layers: nn.Module) -> None:
    """He's initialisation (normal, fan in) of all convolutions and linear layers: what goes forward keeps its size.

    Networks without batch norm learn slowly or not at all where signals fade from layer to layer.
    """
    for module in layers.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def silence_branches(network: nn.Module) -> None:
    """Scale the last batch norm of every residual branch by zero, so that a block begins as its shortcut alone.

    The network is then as shallow as can be in its first steps, and learns how deep to be (Goyal et al. 2017,
    section 5.1; He et al. 2019, section 3.1, "zero gamma"). Networks without shortcuts stay as they are.
    """
    for module in network.modules():
        if isinstance(module, Residual) and module.residual:
            nn.init.zeros_(module.last_norm.weight)
