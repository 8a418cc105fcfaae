"""Batches for the tests of distortions, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from sightline.data.augment import DISTORTIONS, Augment, Distortion, Mixing, Movement

MOVEMENTS = [kind for kind in DISTORTIONS.values() if issubclass(kind, Movement)]
MIXINGS = [kind for kind in DISTORTIONS.values() if issubclass(kind, Mixing)]
ALONE = [kind for kind in DISTORTIONS.values() if not issubclass(kind, Mixing)]
CLASSES = 5


def batch(count: int = 8, size: int = 16, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Pictures of random pixels, as a loader gives them: uint8 [count, channels, size, size], channels last."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), np.uint8)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def labels(count: int = 8) -> torch.Tensor:
    return torch.arange(count) % CLASSES


def setting(kind: type[Distortion], place: int, **more: Any) -> Distortion:
    """One of the settings that a distortion is shown in; 0 is none, -1 the strongest."""
    return kind(**{"p": 1.0, **kind.shown[place], **more})


def distorted(images: torch.Tensor, *distortions: Distortion, seed: tuple[int, ...] = (1, 2, 3)) -> torch.Tensor:
    """The pictures alone."""
    return Augment(distortions, CLASSES)(images, labels(len(images)), seed)[0]


class Most:
    """Stands in for a generator: the upper end of every range."""

    def uniform(self, low: Any, high: Any, size: Any) -> np.ndarray:
        return np.full(size, high, float)
