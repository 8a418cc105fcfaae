"""The memory that a training takes, told before its first step, and the batch that fits.

A step keeps what its backward pass will need. Torch tells each of these tensors, and on the meta device they have
shapes and no content. Beside them lie the weights, their gradients and momentum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from sightline.core.machine import memory_bytes
from sightline.models import create
from sightline.models.blank import blank

SHARE = 0.5  # of the memory that a training may take
LEAST_BATCH = 2
COPIES, WORKSPACE = 4, 2  # of weights and of what is kept: an upper bound for six of seven networks (LOG.md)


@dataclass(frozen=True)
class Footprint:
    """Bytes that training takes whatever the batch, bytes more for every picture of it, and bytes there are."""

    fixed: int
    picture: int
    memory: int

    @classmethod
    def of(cls, arch: str, *, classes: int, channels: int, size: int, stem: str, style: str, device: str) -> Footprint:
        """What training all of `arch` on pictures of `size` x `size` takes, in float32."""
        with blank():
            network = create(arch, num_classes=classes, in_channels=channels, stem=stem, style=style)
        weights = sum(p.numel() * p.element_size() for p in network.parameters())
        picture = WORKSPACE * kept_bytes(network, channels, size)
        memory = torch.cuda.mem_get_info()[1] if _on_cuda(device) else memory_bytes()
        return cls(COPIES * weights, picture, memory)

    def of_batch(self, pictures: int) -> int:
        """Bytes that training with batches of so many pictures takes."""
        return self.fixed + pictures * self.picture

    def most(self, wanted: int) -> int:
        """`wanted` pictures, halved until they take no more than half the memory, but two at least."""
        while wanted > LEAST_BATCH and self.of_batch(wanted) > SHARE * self.memory:
            wanted //= 2
        return wanted


def kept_bytes(network: nn.Module, channels: int, size: int) -> int:
    """Bytes of activations that a training step keeps of each picture [channels, size, size], in float32.

    `network` is on the meta device. A tensor that several layers keep counts once.
    """
    found: dict[int, Tensor] = {p.untyped_storage()._cdata: p for p in [*network.parameters(), *network.buffers()]}
    weights = set(found)

    def keep(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        _outputs = network.train()(torch.empty(2, channels, size, size, device="meta"))
    kept = (tensor.untyped_storage().nbytes() for key, tensor in found.items() if key not in weights)
    return sum(kept) // 2


def _on_cuda(device: str) -> bool:
    return device in ("auto", "cuda") and torch.cuda.is_available()
