"""The Preprocess that fits a Dataset's pictures: their side, grey or colour, and what normalises them."""

from __future__ import annotations

import numpy as np

from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.preprocess import Preprocess

SIZES = (16, 32, 64, 128, 224)


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
