"""The pictures of a Dataset as a network takes them: decoded and resized once, then read from memory-mapped files.

There is a file for each split, in the Dataset's own directory, named after what decides its contents; it is made when
a picture of the split is asked for. Rows beyond the budget are decoded anew each time, in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sightline.core.errors import UserError
from sightline.core.kept import kept
from sightline.core.machine import cpu_quota
from sightline.core.progress import SILENT, Progress
from sightline.core.threads import in_threads
from sightline.data.dataset import Dataset
from sightline.data.layout import SPLITS
from sightline.data.pictures import PictureError
from sightline.data.preprocess import Preprocess

CHUNK = 32


class Pixels:
    """`read(rows)` gives the pixels of manifest rows under one Preprocess, from the cache as far as it reaches."""

    def __init__(
        self,
        dataset: Dataset,
        preprocess: Preprocess,
        *,
        budget_bytes: int = 2 << 30,
        workers: int | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.dataset, self.preprocess = dataset, preprocess
        self.workers = workers or cpu_quota()
        self.shape = (preprocess.size, preprocess.size, preprocess.channels)
        self._pool: ThreadPoolExecutor | None = None
        self._progress = progress
        self._parts: list[np.ndarray] = []  # the rows of each split that are kept, train first: it is read most often
        self._caches: dict[int, np.ndarray] = {}
        self._part, self._slot = np.full((2, len(dataset.table)), -1, np.int64)
        left = budget_bytes // int(np.prod(self.shape))
        for part, split in enumerate(SPLITS):
            rows = dataset.rows(split)[:left]
            self._part[rows], self._slot[rows] = part, np.arange(len(rows))
            self._parts.append(rows)
            left -= len(rows)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The pixels of `rows` as uint8 [B, size, size, channels], a new array."""
        rows = np.asarray(rows, np.int64)
        parts, slots = self._part[rows], self._slot[rows]
        asked = np.unique(parts)
        if len(asked) == 1 and asked[0] >= 0:
            return np.take(self._cache(asked[0]), slots, axis=0)
        pixels = np.empty((len(rows), *self.shape), np.uint8)
        for part in asked:
            places = np.flatnonzero(parts == part)
            pixels[places] = self._cache(part)[slots[places]] if part >= 0 else self._anew(rows[places])
        return pixels

    def _anew(self, rows: np.ndarray) -> np.ndarray:
        self._pool = self._pool or ThreadPoolExecutor(self.workers)
        return np.stack(list(self._pool.map(self._decode, rows.tolist())))

    def _decode(self, row: int) -> np.ndarray:
        try:
            return self.preprocess(self.dataset.picture(row))
        except PictureError as error:
            raise UserError(f"{error} since the Dataset was made: run `sightline data` again") from None

    def _cache(self, part: int) -> np.ndarray:
        """The kept pictures of a split, decoded first where they are not."""
        if part not in self._caches:
            rows = self._parts[part]
            name = f"{self.preprocess.key()}-{self.dataset.fingerprint[:16]}-{SPLITS[part]}-{len(rows)}.npy"
            path, shape = self.dataset.path / "cache" / name, (len(rows), *self.shape)
            self._caches[part] = kept(path, shape, np.uint8, lambda: self._decoded(rows), "decoded pictures")
        return self._caches[part]

    def _decoded(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        with self._progress.task("Decoding", len(rows)) as advance:
            for pixels in in_threads(self._decode_all, _chunks(rows), self.workers):
                yield pixels
                advance(len(pixels))

    def _decode_all(self, rows: Sequence[int]) -> np.ndarray:
        return np.stack([self._decode(row) for row in rows])


def _chunks(rows: np.ndarray) -> Iterator[Sequence[int]]:
    return (rows[start : start + CHUNK].tolist() for start in range(0, len(rows), CHUNK))
