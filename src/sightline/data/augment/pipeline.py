"""A list of distortions as a function of batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any
from zlib import crc32

import numpy as np
from torch import Tensor
from torch.nn.functional import one_hot

from sightline.data.augment.distortion import Distortion, Mixing, Movement, as_bytes, as_floats
from sightline.data.augment.movements import gathered, grid, pixel_centres, resampled

Seed = tuple[int, ...]


class Augment:
    """What `distortions`, in their order, make of a batch; `classes` is how many there are.

    All that is drawn follows from the seed of the call, the name of the distortion and how many of that name stand
    before it: the same on any device and in any thread, whatever else is in the list.
    """

    def __init__(self, distortions: Sequence[Distortion], classes: int) -> None:
        seen: Counter[str] = Counter()
        self._alone: list[tuple[Distortion, Seed]] = []
        self._mixing: list[tuple[Mixing, Seed]] = []
        for distortion in distortions:
            stream = crc32(distortion.name.encode()), seen[distortion.name]
            seen[distortion.name] += 1
            if isinstance(distortion, Mixing):
                self._mixing.append((distortion, stream))
            else:
                self._alone.append((distortion, stream))
        self._classes = classes

    def __call__(self, images: Tensor, labels: Tensor, seed: Seed) -> tuple[Tensor, Tensor]:
        """Pictures uint8 [N, C, S, S] distorted, with their labels int64 [N].

        Where pictures are mixed there come the shares of the classes instead of labels: float32 [N, classes].
        """
        images = self.distort(images, seed)
        if not self._mixing:
            return images, labels
        shares = one_hot(labels, self._classes).float()
        for mixing, stream in self._mixing:
            images, shares = mixing.mixed(images, shares, np.random.default_rng([*seed, *stream]))
        return images, shares

    def distort(self, images: Tensor, seed: Seed) -> Tensor:
        """The same of each picture alone: what mixes pictures is left out."""
        for moves, some in groupby(self._alone, key=lambda item: isinstance(item[0], Movement)):
            drawn = [(distortion, np.random.default_rng([*seed, *stream])) for distortion, stream in some]
            images = _moved(images, drawn) if moves else _changed(images, drawn)
        return images


def _moved(images: Tensor, movements: Sequence[tuple[Any, np.random.Generator]]) -> Tensor:
    """All movements as one: where each pixel comes from is followed back through them, and looked up once.

    What moves by whole pixels is a picture's list of rows and list of columns: the batch is gathered at once, as uint8,
    at a third of the cost of a padded crop and a flip of floats one after the other (LOG.md).
    """
    count, size = len(images), images.shape[-1]
    whole = all(movement.whole_pixels for movement, _ in movements)
    points = pixel_centres(size, images)[None, :, None].expand(count, -1, 2) if whole else grid(count, size, images)
    for movement, rng in reversed(movements):
        points = movement.befall(points, size, rng)
    return gathered(images, points) if whole else as_bytes(resampled(as_floats(images), points))


def _changed(images: Tensor, changes: Sequence[tuple[Any, np.random.Generator]]) -> Tensor:
    for change, rng in changes:
        images = change.befall(images, rng)
    return images
