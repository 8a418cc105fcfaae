"""What the networks share: the interface every network keeps, channel widths, joining branches, initialisation.

A network is a plain `nn.Module` in three steps: `forward_features` makes the feature map that enters the global
pooling, `embed` makes of it the vector that enters the last linear layer, `head` is that layer. Everything later (heat
maps, search, transfer) stands on these three.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sightline.core.errors import UserError


class Network(nn.Module, ABC):
    """The interface of every network; shapes: N pictures, K channels of h x w, D numbers, C classes."""

    @abstractmethod
    def forward_features(self, x: Tensor) -> Tensor:
        """Feature map [N, K, h, w] of the normalised pictures `x` [N, channels, H, W]."""

    @abstractmethod
    def embed(self, feature_map: Tensor) -> Tensor:
        """What enters the last linear layer [N, D], from the feature map [N, K, h, w]; in training after dropout."""

    @property
    @abstractmethod
    def head(self) -> nn.Linear:
        """The last linear layer: D numbers to C logits."""

    def forward_head(self, feature_map: Tensor) -> Tensor:
        """Logits [N, C] from the feature map [N, K, h, w]."""
        return self.head(self.embed(feature_map))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits [N, C]; while training, a network with auxiliary heads gives (logits, auxiliary logits...)."""
        return self.forward_head(self.forward_features(x))


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of 8 that loses no more than a tenth (MobileNet's rule).

    The counts of the papers are multiples of 8, so that width 1 leaves them as they are. UserError unless width > 0.
    """
    if not width > 0:
        raise UserError(f"width {width:g} is out of range: it must be above 0 (1 is the paper's network)")
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8


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


def initialise_for_relu(network: nn.Module) -> None:
    """He's initialisation of the convolutions (normal, fan out), as in torchvision's ResNets; others keep theirs."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
