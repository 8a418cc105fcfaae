"""Augment: distortions of a training batch, by Kornia, on the batch and on the device.

Two for now, the paper's own: a mirror and a padded random crop (He et al. 2015, section 4.2: "4 pixels are padded on
each side, and a 32x32 crop is randomly sampled from the padded image or its horizontal flip"; the padding grows with
the picture, an eighth of its side). The border is filled with mirrored pixels where the paper pads with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Augment = Callable[[torch.Tensor], torch.Tensor]


def standard(size: int, *, mirror: bool, crop: bool) -> Augment:
    """A function of a batch, float [N, C, size, size] in [0, 1], to a distorted batch of the same form.

    It draws from torch's global generator, as Kornia does: seed that before each call to repeat a batch.
    """
    from kornia.augmentation import RandomCrop, RandomHorizontalFlip

    steps: list[torch.nn.Module] = []
    if mirror:
        steps.append(RandomHorizontalFlip(p=0.5))
    if crop and size >= 8:
        padding = size // 8
        steps.append(RandomCrop((size, size), padding=padding, padding_mode="reflect", cropping_mode="slice"))
    if not steps:
        return _unchanged
    return torch.nn.Sequential(*steps)


def _unchanged(images: torch.Tensor) -> torch.Tensor:
    return images


def reads_mirrored(classes: Sequence[str]) -> bool:
    """Whether a mirrored picture still shows its class: not when the classes are single letters or digits."""
    return not all(len(name) == 1 and name.isalnum() for name in classes)
