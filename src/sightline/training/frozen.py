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
from sightline.core.machine import versions
from sightline.core.progress import SILENT, Progress
from sightline.data.pixels import Pixels
from sightline.run import Run
from sightline.runtime import Session

BATCH = 32

Distort = Callable[[torch.Tensor, tuple[int, ...]], torch.Tensor]


@dataclass(frozen=True)
class Frozen:
    """`compute` makes of uint8 pictures [B, S, S, C] float32 [B, ...]; `source` is all that decides what comes out.

    It is computed for whole splits of the Dataset that `pixels` read, and trainings on a share of one take theirs from
    that. Views after the first see the pictures through `distort`, which `how` describes, drawn from (`seed`, view)
    alone; it takes uint8 [N, C, S, S] and a seed.
    """

    pixels: Pixels
    compute: Callable[[np.ndarray], np.ndarray]
    source: dict[str, Any]
    progress: Progress = SILENT
    distort: Distort | None = None
    how: Any = None
    seed: int = 0

    def of(self, split: str, view: int = 0) -> np.ndarray:
        """What comes out for the pictures of a split, float32 [N, ...], memory-mapped; UserError without room."""
        rows = self.pixels.dataset.rows(split)
        if not len(rows):
            return np.empty((0, *self._form()), np.float32)
        decides = [
            self.source,
            self.pixels.dataset.fingerprint,
            versions(),
            split,
            [view, self.seed, self.how] if view else 0,
        ]
        name = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:24]
        path = self.pixels.dataset.path / "cache" / f"frozen-{name}.npy"
        return kept(path, (len(rows), *self._form()), np.float32, lambda: self._computed(rows, view), "features")

    def places(self, rows: np.ndarray, split: str) -> np.ndarray:
        """Where in `of(split)` the manifest `rows` are, int64."""
        return np.searchsorted(self.pixels.dataset.rows(split), rows)

    def _form(self) -> tuple[int, ...]:
        """The shape of what comes out for a picture, found with one without content."""
        return self.compute(np.zeros((1, *self.pixels.shape), np.uint8)).shape[1:]

    def _computed(self, rows: np.ndarray, view: int) -> Iterator[np.ndarray]:
        with self.progress.task("Keeping features", len(rows)) as advance:
            for start in range(0, len(rows), BATCH):
                images = self.pixels.read(rows[start : start + BATCH])
                if view and self.distort:
                    moved = self.distort(torch.from_numpy(images).permute(0, 3, 1, 2), (self.seed, view, start))
                    images = moved.permute(0, 2, 3, 1).contiguous().numpy()
                yield self.compute(images)
                advance(len(images))


@dataclass(frozen=True)
class Passes:
    """Several arrays of one length as a source of pixels: row r is row r % N of view r // N."""

    views: Sequence[np.ndarray]

    def rows(self, places: np.ndarray) -> np.ndarray:
        """The rows of `places` in each of the views, one view after the other."""
        return np.concatenate([places + number * len(view) for number, view in enumerate(self.views)])

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Those `rows`, a new array."""
        numbers, places = np.divmod(rows, len(self.views[0]))
        return np.stack([self.views[number][place] for number, place in zip(numbers, places, strict=True)])


def origin(run: Run) -> dict[str, Any]:
    """All that decides what the frozen layers of a tuned `run` make of a picture, but for how many they are."""
    arguments = run.document["arguments"]
    described = {key: arguments[key] for key in ("arch", "stem", "style", "preprocess")}
    return {**described, "weights": arguments["weights"]["sha256"]}


def embeddings(run: Run, pixels: Pixels, session: Session, **options: Any) -> Frozen:
    """The embeddings that a `session` of `run`'s graph computes; they do not depend on its head."""
    source = {**origin(run), "embedding": 1}
    return Frozen(pixels, lambda images: session.run(images, only=("embedding",)).embedding, source, **options)
