"""What a network of the zoo costs: its parameters and multiply-adds, counted on the meta device, once a process."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache

from torch import nn

from sightline.anatomy.macs import count_macs
from sightline.models import STYLES, Network, architecture, create
from sightline.models.blank import blank

CLASSES = {"imagenet": 1000, "small": 10}


@dataclass(frozen=True)
class Cost:
    """Parameters (auxiliary heads too), and multiply-adds of one picture in convolutions and linear layers."""

    parameters: int
    macs: int

    def document(self) -> dict[str, int]:
        """The cost as JSON."""
        return asdict(self)


@cache
def build(name: str, style: str = STYLES[0]) -> Network:
    """The network of full name `name` on the meta device, in evaluation; it is shared: look, and change nothing.

    It has ImageNet's 1000 classes, or CIFAR's 10 where it is meant for small pictures.
    """
    with blank():
        return create(name, num_classes=CLASSES[architecture(name).stems[0]], style=style).eval()


@cache
def cost(name: str, style: str = STYLES[0], size: int | None = None) -> Cost:
    """Cost of one colour picture of `size` x `size` pixels (None: what the network is meant for)."""
    size = size or architecture(name).size
    return module_cost(build(name, style), (1, 3, size, size))


def module_cost(module: nn.Module, shape: tuple[int, ...]) -> Cost:
    """Cost of any module for an input of `shape` [N, channels, H, W]."""
    return Cost(parameters(module), count_macs(module, shape))


def parameters(module: nn.Module) -> int:
    """Trainable numbers of a module."""
    return sum(p.numel() for p in module.parameters())
