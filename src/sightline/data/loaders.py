"""Loaders: batches of pixels in a seeded order, read ahead by a thread while the network works.

The order of an epoch follows from (seed, epoch) alone, so a run that was killed in the middle continues with exactly
the batches it would have seen. The time the consumer waited for pixels is counted in `waited_seconds`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from sightline.data.balance import even_order

AHEAD = 4


class PixelSource(Protocol):
    """Where a loader reads: rows to uint8 pictures [B, S, S, C], or to float32 maps [B, h, w, K] made of them."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """What there is of `rows`, in their order."""
        ...


@dataclass
class Loader:
    """Batches of `rows` with their labels: (uint8 [B, C, S, S] in channels-last memory, int64 [B]).

    `shuffle` draws a new order every epoch and drops the last partial batch (batch normalisation needs a full one),
    unless it is the only one. With `even` that order holds every class equally often (`balance.even_order`).
    """

    pixels: PixelSource
    rows: np.ndarray
    labels: np.ndarray
    batch_size: int
    shuffle: bool = False
    even: bool = False
    seed: int = 0
    waited_seconds: float = field(default=0.0, init=False)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.rows), self.batch_size)
        return max(1, whole) if self.shuffle else whole + (rest > 0)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The batches of `epoch` from step `start` on."""
        order = self._order(epoch)
        batches = [order[step * self.batch_size : (step + 1) * self.batch_size] for step in range(start, self.steps)]
        for picked, pixels in self._ahead(batches):
            yield torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(self.labels[picked])

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.rows))
        random = np.random.default_rng([self.seed, epoch])
        return even_order(self.labels, random) if self.even else random.permutation(len(self.rows))

    def _ahead(self, batches: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Each batch with its pixels, read up to AHEAD batches before they are asked for."""
        ready: queue.Queue[np.ndarray | BaseException] = queue.Queue(maxsize=AHEAD)
        stop = threading.Event()
        reader = threading.Thread(target=self._read, args=(batches, ready, stop), daemon=True)
        reader.start()
        try:
            for picked in batches:
                began = time.perf_counter()
                pixels = ready.get()
                self.waited_seconds += time.perf_counter() - began
                if isinstance(pixels, BaseException):
                    raise pixels
                yield picked, pixels
        finally:
            stop.set()
            while reader.is_alive():
                _drain(ready)
                reader.join(timeout=0.01)

    def _read(
        self, batches: list[np.ndarray], ready: queue.Queue[np.ndarray | BaseException], stop: threading.Event
    ) -> None:
        try:
            for picked in batches:
                if stop.is_set():
                    return
                ready.put(self.pixels.read(self.rows[picked]))
        except BaseException as error:
            ready.put(error)


def _drain(ready: queue.Queue[np.ndarray | BaseException]) -> None:
    while not ready.empty():
        ready.get_nowait()
