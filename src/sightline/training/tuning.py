"""Tuning: which layers of a pretrained network are trained, and which are left as they came.

`head` trains the last linear layer alone, `last` also the last stage, `all` everything. `gradual` begins with the last
stage and lets one more join in at a time, back to the first, each with a lower learning rate than the one after it
(Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018), sections 3.2 and
3.3). A stage is the part of a network that works at one resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from sightline.models import Network
from sightline.training.recipe import Tune

SLOWER = 2.6  # how much lower the learning rate of a stage is than that of the one after it (section 3.2)


def stages(network: Network, channels: int, size: int) -> list[list[nn.Module]]:
    """The trunk of `network` cut where pictures of `size` x `size` shrink, so that each part has parameters."""
    found: list[list[nn.Module]] = [[]]
    was_training, x = network.training, torch.zeros(1, channels, size, size)
    with torch.inference_mode():
        network.eval()
        for module in network.trunk:
            y = module(x)
            if y.shape[-1] < x.shape[-1] and _has_parameters(found[-1]):
                found.append([])
            found[-1].append(module)
            x = y
    network.train(was_training)
    if len(found) > 1 and not _has_parameters(found[-1]):
        last = found.pop()
        found[-1] += last
    return found


def begins_at(network: Network, tune: Tune | None, channels: int, size: int) -> int:
    """The place in the trunk of `network` before which nothing is trained, ever."""
    return len(network.trunk) - len(stages(network, channels, size)[-1]) if tune == "last" else 0


class Rest(nn.Module):
    """The part of `network` from place `begin` of its trunk on: a network of feature maps with the same parameters."""

    def __init__(self, network: Network, begin: int) -> None:
        super().__init__()
        self.network, self.begin = network, begin

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, C] of feature maps [N, K, h, w]."""
        for module in self.network.trunk[self.begin :]:
            x = module(x)
        return self.network.forward_head(x)


def freeze(network: Network, begin: int) -> None:
    """Leave what comes before place `begin` of the trunk as it is: its parameters take no gradient any more.

    Auxiliary heads, which `Rest` does not reach, neither.
    """
    for module in [*network.trunk[:begin], *(network.auxiliary if begin else ())]:
        module.requires_grad_(False)


class Thaw:
    """Gradual tuning: `stages` join in one by one, from the last to the first, at even shares of the run."""

    def __init__(self, stages: list[list[nn.Module]]) -> None:
        self.stages = stages[::-1]
        numbered = enumerate(self.stages, 1)
        self._depth = {id(p): depth for depth, stage in numbered for module in stage for p in module.parameters()}
        self._joined = 0

    def share(self, parameter: nn.Parameter) -> float:
        """The part of the learning rate that a parameter takes: all of it in the head, less with every stage before."""
        return SLOWER ** -self._depth.get(id(parameter), 0)

    def __call__(self, done: float) -> None:
        """Let those stages learn that take part when `done` in [0, 1] of the run is behind."""
        joined = min(1 + int(done * len(self.stages)), len(self.stages))
        if joined == self._joined:
            return
        self._joined = joined
        for place, stage in enumerate(self.stages):
            for module in stage:
                module.requires_grad_(place < joined)


def freeze_all_but_head(network: Network) -> None:
    """Leave everything but the last linear layer as it is."""
    network.requires_grad_(False)
    network.head.requires_grad_(True)


def training_mode(model: nn.Module, *, tuned: bool) -> None:
    """Put `model` into training mode, all but the batch norms of one that is `tuned`: they keep their statistics.

    Those of many pictures serve better than those of one small batch, and weights whose norms were folded into the
    convolutions have no others: in training mode such a network answers nothing at all (LOG.md, "Tuning").
    """
    model.train()
    for module in model.modules():
        if tuned and isinstance(module, nn.BatchNorm2d):
            module.eval()


def count(parameters: Iterable[nn.Parameter]) -> tuple[int, int]:
    """How many numbers are trained, and how many there are."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in parameters]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def _has_parameters(modules: Sequence[nn.Module]) -> bool:
    return any(True for module in modules for _ in module.parameters())
