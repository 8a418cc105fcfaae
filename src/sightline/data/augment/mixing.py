"""Distortions that mix the pictures of a batch, and their labels in the same shares."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from sightline.data.augment.changes import boxes
from sightline.data.augment.distortion import Mixing, as_bytes, as_floats, tensor

Alpha = Annotated[
    float, Field(ge=0, le=10, description="of Beta(alpha, alpha), which the share is drawn from; 0: none")
]


class Mixup(Mixing):
    """Each picture faded into another of the batch."""

    name = "mixup"
    after = "Zhang et al. 2017, section 2"
    shown = ({"alpha": 0.0}, {"alpha": 0.2}, {"alpha": 1.0}, {"alpha": 8.0})

    alpha: Alpha = 0.2

    def mixed(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        partners = rng.permutation(len(images))
        own = kept(len(images), self.alpha, self.p, rng)
        share, floats = tensor(own, images)[:, None, None, None], as_floats(images)
        return as_bytes(share * floats + (1 - share) * floats[partners]), shared(targets, partners, own)


class Cutmix(Mixing):
    """A box of each picture taken from another of the batch; what lies outside the picture is cut off."""

    name = "cutmix"
    after = "Yun et al. 2019, section 3"
    shown = ({"alpha": 0.0}, {"alpha": 0.2}, {"alpha": 1.0}, {"alpha": 8.0})

    alpha: Alpha = 1.0

    def mixed(self, images: Tensor, targets: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        count, size = len(images), images.shape[-1]
        partners = rng.permutation(count)
        sides = np.rint(size * np.sqrt(1 - kept(count, self.alpha, self.p, rng))).astype(int)
        inside = boxes(rng.integers(0, size, (2, count)) - sides // 2, np.stack([sides, sides]), size)
        mixed = torch.where(torch.from_numpy(inside).to(images.device), images[partners], images)
        return mixed, shared(targets, partners, 1 - inside.mean(axis=(1, 2, 3)))


def kept(count: int, alpha: float, p: float, rng: np.random.Generator) -> np.ndarray:
    """The share [count] that each picture keeps of itself: all of it where it is not mixed, as a share p is."""
    chosen = rng.random(count) < p
    return np.where(chosen, rng.beta(alpha, alpha, count), 1.0) if alpha else np.ones(count)


def shared(targets: Tensor, partners: np.ndarray, own: np.ndarray) -> Tensor:
    """The shares of the classes [N, classes] when each picture keeps `own` [N] and takes the rest from its partner."""
    share = tensor(own, targets)[:, None]
    return share * targets + (1 - share) * targets[partners]
