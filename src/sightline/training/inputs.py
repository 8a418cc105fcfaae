"""What enters a network in training: which pictures, the Preprocess that fits them, the normalisation it asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional

from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess

SIZES = (16, 32, 64, 128, 224)


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


def fitting_size(dataset: Dataset, rows: np.ndarray, default: int) -> int:
    """The network's own size, or the smallest usual one that the median picture does not exceed."""
    short = float(np.median(np.minimum(dataset.table.width[rows], dataset.table.height[rows])))
    return min(default, next((size for size in SIZES if size >= short), default))


def plain_preprocess(dataset: Dataset, rows: np.ndarray, size: int) -> Preprocess:
    """The geometry: grey when every training picture looked at is grey; mean 0 and std 1."""
    grey = all(dataset.picture(row).mode == "L" for row in _spread(rows))
    channels = 1 if grey else 3
    return Preprocess(size=size, channels=channels, mean=(0.0,) * channels, std=(1.0,) * channels)


def normalised(plain: Preprocess, pixels: Pixels, rows: np.ndarray) -> Preprocess:
    """`plain` with the mean and std of up to 1,024 training pictures, by channel; a constant channel keeps std 1."""
    sample = pixels.read(_spread(rows, 1024)).astype(np.float64) / 255
    mean, std = sample.mean(axis=(0, 1, 2)), sample.std(axis=(0, 1, 2))
    std = np.where(std < 1e-3, 1.0, std)
    rounded = {"mean": tuple(round(float(v), 6) for v in mean), "std": tuple(round(float(v), 6) for v in std)}
    return Preprocess.from_dict({**plain.to_dict(), **rounded})


def _spread(rows: np.ndarray, count: int = 32) -> np.ndarray:
    """Up to `count` of `rows`, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
