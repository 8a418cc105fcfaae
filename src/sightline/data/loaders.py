"""Loaders: batches in a seeded order, read and distorted ahead by a thread while the network works.

The order of an epoch follows from (seed, epoch) alone, and what befalls a batch from (seed, epoch, step), so a run that
was killed in the middle continues with exactly the batches it would have seen. The time the consumer waited for a batch
is counted in `waited_seconds`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from sightline.data.balance import even_order

AHEAD = 4

Batch = tuple[torch.Tensor, torch.Tensor]
Prepare = Callable[[torch.Tensor, torch.Tensor, tuple[int, int, int]], Batch]


class PixelSource(Protocol):
    """Where a loader reads: rows to uint8 pictures [B, S, S, C], or to float32 maps [B, h, w, K] made of them."""

    def read(self, rows: np.ndarray) -> np.ndarray:
        """What there is of `rows`, in their order."""
        ...


def as_they_are(images: torch.Tensor, labels: torch.Tensor, seed: tuple[int, int, int]) -> Batch:
    """Nothing done to a batch."""
    return images, labels


@dataclass
class Loader:
    """Batches of `rows` with their labels: (uint8 [B, C, S, S] in channels-last memory, int64 [B]), prepared.

    `shuffle` draws a new order every epoch and drops the last partial batch (batch normalisation needs a full one),
    unless it is the only one; with `even` that order holds every class equally often (`balance.even_order`). `prepare`
    makes of a batch and (seed, epoch, step) what the consumer gets.
    """

    pixels: PixelSource
    rows: np.ndarray
    labels: np.ndarray
    batch_size: int
    shuffle: bool = False
    even: bool = False
    seed: int = 0
    prepare: Prepare = as_they_are
    waited_seconds: float = field(default=0.0, init=False)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        whole, rest = divmod(len(self.rows), self.batch_size)
        return max(1, whole) if self.shuffle else whole + (rest > 0)

    def epoch(self, epoch: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from step `start` on, made up to AHEAD batches before they are asked for."""
        ready: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=AHEAD)
        stop = threading.Event()
        reader = threading.Thread(target=self._read, args=(epoch, start, ready, stop), daemon=True)
        reader.start()
        try:
            for _ in range(start, self.steps):
                began = time.perf_counter()
                batch = ready.get()
                self.waited_seconds += time.perf_counter() - began
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            stop.set()
            while reader.is_alive():
                _drain(ready)
                reader.join(timeout=0.01)

    def _order(self, epoch: int) -> np.ndarray:
        if not self.shuffle:
            return np.arange(len(self.rows))
        random = np.random.default_rng([self.seed, epoch])
        return even_order(self.labels, random) if self.even else random.permutation(len(self.rows))

    def _read(self, epoch: int, start: int, ready: queue.Queue[Batch | BaseException], stop: threading.Event) -> None:
        order = self._order(epoch)
        try:
            for step in range(start, self.steps):
                if stop.is_set():
                    return
                picked = order[step * self.batch_size : (step + 1) * self.batch_size]
                images = torch.from_numpy(self.pixels.read(self.rows[picked])).permute(0, 3, 1, 2)
                ready.put(self.prepare(images, torch.from_numpy(self.labels[picked]), (self.seed, epoch, step)))
        except BaseException as error:
            ready.put(error)


def _drain(ready: queue.Queue[Batch | BaseException]) -> None:
    while not ready.empty():
        ready.get_nowait()
