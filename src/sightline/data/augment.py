"""Augment: distortions of a training batch, on the batch and on the device.

Two for now, the paper's own: a mirror and a padded random crop (He et al. 2015, section 4.2: "4 pixels are padded on
each side, and a 32x32 crop is randomly sampled from the padded image or its horizontal flip"; the padding grows with
the picture, an eighth of its side). The border is filled with mirrored pixels where the paper pads with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Augment = Callable[[torch.Tensor], torch.Tensor]


def standard(size: int, *, mirror: bool, crop: bool) -> Augment:
    """A function of a batch [N, C, size, size], of any type, to a distorted batch of the same form.

    It draws from torch's global generator: seed that before each call to repeat a batch.

    Both distortions only move pixels, so a picture's is a list of its rows and a list of its columns: those of one of
    the windows into the padded picture, the columns forwards or backwards. A batch is gathered at once, as uint8, at a
    third of the cost of a padded crop and a flip of floats one after the other (LOG.md).
    """
    if not (mirror or crop):
        return unchanged
    margin = size // 8 if crop else 0
    numbers = torch.arange(size, dtype=torch.float32)[None]
    windows = torch.nn.functional.pad(numbers, (margin, margin), mode="reflect")[0].long().unfold(0, size, 1)
    across = torch.cat([windows, windows.flip(1)]) if mirror else windows

    def move(images: torch.Tensor) -> torch.Tensor:
        count = len(images)
        rows = windows[torch.randint(len(windows), (count,))].to(images.device)
        columns = across[torch.randint(len(across), (count,))].to(images.device)
        picture = torch.arange(count, device=images.device)[:, None, None]
        moved = images.permute(0, 2, 3, 1)[picture, rows[:, :, None], columns[:, None, :]]
        return moved.permute(0, 3, 1, 2)

    return move


def unchanged(images: torch.Tensor) -> torch.Tensor:
    """No distortion."""
    return images


def reads_mirrored(classes: Sequence[str]) -> bool:
    """Whether a mirrored picture still shows its class: not when the classes are single letters or digits."""
    return not all(len(name) == 1 and name.isalnum() for name in classes)
