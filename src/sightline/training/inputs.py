"""What enters a network in training: which pictures, at which side, normalised."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from sightline.data.dataset import Dataset
from sightline.data.preprocess import Preprocess


class Normalise(torch.nn.Module):
    """(x / 255 - mean) / std by channel, x uint8 [N, C, H, W]: what the exported graph does with its input."""

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.tensor(preprocess.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess.std).view(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The normalised batch."""
        return (x.float().div_(255) - self.mean) / self.std


def grown(side: int, growing: float, done: float) -> int:
    """The side of the pictures that a network sees when `done` in [0, 1] of a run is behind it.

    Half of `side` and then three quarters of it, each for half of the share `growing` of the run; after that all of it.
    """
    quarters = 4 if done >= growing else 3 if done >= growing / 2 else 2
    return max(1, side * quarters // 4)


def scaled(x: torch.Tensor, side: int) -> torch.Tensor:
    """Pictures [N, C, S, S] at another side, what is finer than their pixels then are smoothed away."""
    return x if x.shape[-1] == side else functional.interpolate(x, size=side, mode="bilinear", antialias=True)


def share_of(dataset: Dataset, arguments: dict[str, Any]) -> Dataset:
    """`dataset` with the training pictures that a run of these `arguments` takes: all, or a share by its seed."""
    return dataset.part(arguments.get("share", 1.0), arguments["recipe"]["seed"])
