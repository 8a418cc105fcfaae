"""What the frozen part of a network makes of pictures, computed once and kept beside the Dataset's decoded pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sightline.core.kept import kept
from sightline.core.progress import Progress
from sightline.data.pixels import Pixels

BATCH = 32


@dataclass(frozen=True)
class Frozen:
    """`compute` makes of uint8 pictures [B, S, S, C] float32 [B, ...]; `source` is all that decides what comes out.

    Views after the first see the pictures through `distort`, which `how` describes, drawn from (`seed`, view) alone;
    it takes uint8 [N, C, S, S] and a seed.
    """

    pixels: Pixels
    compute: Callable[[np.ndarray], np.ndarray]
    source: dict[str, Any]
    distort: Callable[[torch.Tensor, tuple[int, ...]], torch.Tensor]
    how: Any
    seed: int
    progress: Progress

    def of(self, rows: np.ndarray, view: int = 0) -> np.ndarray:
        """What comes out for manifest `rows`, float32 [N, ...], memory-mapped; UserError when there is no room."""
        if not len(rows):
            return np.empty((0, *self._form()), np.float32)
        decides = [
            self.source,
            self.pixels.dataset.fingerprint,
            rows.tolist(),
            [view, self.seed, self.how] if view else 0,
        ]
        name = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:24]
        path = self.pixels.dataset.path / "cache" / f"frozen-{name}.npy"
        return kept(path, (len(rows), *self._form()), np.float32, lambda: self._computed(rows, view), "kept features")

    def _form(self) -> tuple[int, ...]:
        """The shape of what comes out for a picture, found with one without content."""
        return self.compute(np.zeros((1, *self.pixels.shape), np.uint8)).shape[1:]

    def _computed(self, rows: np.ndarray, view: int) -> Iterator[np.ndarray]:
        with self.progress.task("Keeping features", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                images = self.pixels.read(rows[start : start + BATCH])
                if view:
                    images = self._distorted(images, view, start)
                yield self.compute(images)
                advance(len(images))

    def _distorted(self, images: np.ndarray, view: int, start: int) -> np.ndarray:
        moved = self.distort(torch.from_numpy(images).permute(0, 3, 1, 2), (self.seed, view, start))
        return moved.permute(0, 2, 3, 1).contiguous().numpy()


@dataclass(frozen=True)
class Views:
    """Several arrays of one length as a source of pixels: row r is row r % N of view r // N."""

    views: Sequence[np.ndarray]

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Those `rows`, a new array."""
        numbers, places = np.divmod(rows, len(self.views[0]))
        return np.stack([self.views[number][place] for number, place in zip(numbers, places, strict=True)])
