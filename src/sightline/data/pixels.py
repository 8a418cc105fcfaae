"""The pictures of a Dataset as a network takes them: decoded and resized once, then read from a memory-mapped file.

The file lies in the Dataset's own directory, named after what decides its contents. Rows beyond the budget are decoded
anew each time, in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sightline.core import artifact
from sightline.core.errors import UserError, named
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
        kept = usable[: budget_bytes // int(np.prod(self.shape))]
        self._slot = np.full(len(dataset.table), -1, np.int64)
        self._slot[kept] = np.arange(len(kept))
        self._cache = self._open(kept, progress)

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

    def _open(self, kept: np.ndarray, progress: Progress) -> np.ndarray:
        if not len(kept):
            return np.empty((0, *self.shape), np.uint8)
        name = f"{self.preprocess.key()}-{self.dataset.fingerprint[:16]}-{len(kept)}.npy"
        path = self.dataset.path / "cache" / name
        shape = (len(kept), *self.shape)
        if _mapped(path, shape) is None:
            self._write(path, kept, progress)
        array = _mapped(path, shape)
        assert array is not None
        return array

    def _write(self, path: Path, kept: np.ndarray, progress: Progress) -> None:
        """Whole or not at all. Written, not mapped: on a full disk a write raises where a mapping kills the process."""
        header = {"descr": "|u1", "fortran_order": False, "shape": (len(kept), *self.shape)}
        try:
            with artifact.file(path) as file, progress.task("Decoding", len(kept)) as advance:
                np.lib.format.write_array_header_1_0(file, header)
                for pixels in in_threads(self._decode_all, _chunks(kept), self.workers):
                    file.write(pixels.tobytes())
                    advance(len(pixels))
        except OSError as error:
            raise UserError(f"cannot write the pixel cache {named(path)}: {error.strerror}") from None

    def _decode_all(self, rows: Sequence[int]) -> np.ndarray:
        return np.stack([self._decode(row) for row in rows])


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The cache at `path`; None when there is none, or a power cut left less of it than its name promises."""
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape else None


def _chunks(rows: np.ndarray) -> Iterator[Sequence[int]]:
    return (rows[start : start + CHUNK].tolist() for start in range(0, len(rows), CHUNK))
