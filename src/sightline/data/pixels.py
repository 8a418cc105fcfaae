"""The pictures of a Dataset as a network takes them: decoded and resized once, then read from a memory-mapped file.

The file lies in the Dataset's own directory, named after what decides its contents. Rows beyond the budget are decoded
anew each time, in threads.
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
        usable = np.concatenate([dataset.rows(split) for split in SPLITS])  # train first: it is read most often
        cached = usable[: budget_bytes // int(np.prod(self.shape))]
        self._slot = np.full(len(dataset.table), -1, np.int64)
        self._slot[cached] = np.arange(len(cached))
        self._cache = self._open(cached, progress)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The pixels of `rows` as uint8 [B, size, size, channels], a new array."""
        rows = np.asarray(rows, np.int64)
        slots = self._slot[rows]
        rest = np.flatnonzero(slots < 0)
        if not len(rest):
            return np.take(self._cache, slots, axis=0)
        pixels = np.empty((len(rows), *self.shape), np.uint8)
        cached = slots >= 0
        pixels[cached] = self._cache[slots[cached]]
        self._pool = self._pool or ThreadPoolExecutor(self.workers)
        for place, picture in zip(rest, self._pool.map(self._decode, rows[rest].tolist()), strict=True):
            pixels[place] = picture
        return pixels

    def _decode(self, row: int) -> np.ndarray:
        try:
            return self.preprocess(self.dataset.picture(row))
        except PictureError as error:
            raise UserError(f"{error} since the Dataset was made: run `sightline data` again") from None

    def _open(self, rows: np.ndarray, progress: Progress) -> np.ndarray:
        if not len(rows):
            return np.empty((0, *self.shape), np.uint8)
        name = f"{self.preprocess.key()}-{self.dataset.fingerprint[:16]}-{len(rows)}.npy"
        path = self.dataset.path / "cache" / name
        return kept(path, (len(rows), *self.shape), np.uint8, lambda: self._decoded(rows, progress), "decoded pictures")

    def _decoded(self, rows: np.ndarray, progress: Progress) -> Iterator[np.ndarray]:
        with progress.task("Decoding", len(rows)) as advance:
            for pixels in in_threads(self._decode_all, _chunks(rows), self.workers):
                yield pixels
                advance(len(pixels))

    def _decode_all(self, rows: Sequence[int]) -> np.ndarray:
        return np.stack([self._decode(row) for row in rows])


def _chunks(rows: np.ndarray) -> Iterator[Sequence[int]]:
    return (rows[start : start + CHUNK].tolist() for start in range(0, len(rows), CHUNK))
