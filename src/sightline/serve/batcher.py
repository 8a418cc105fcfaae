"""Micro-batches: pictures of many requests through one Session, a bounded number of them at a time.

While a batch runs the next one gathers by itself. When nothing runs, a batch waits only for pictures that are known to
be on their way, a few milliseconds and never beyond a request's deadline; a lone request waits for nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np

from sightline.runtime import Outputs, Session
from sightline.serve.limits import Limits, Refused, full

Watcher = Callable[[int, float], None]


@dataclass(eq=False)
class _Waiting:
    pixels: np.ndarray
    only: Sequence[str]
    deadline: float
    answer: asyncio.Future[tuple[Outputs, int]]
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Runs `session` on what `answer` is given; an async context manager.

    `watch` is told the size of every batch and the seconds it ran.
    """

    def __init__(self, session: Session, limits: Limits, watch: Watcher = lambda size, seconds: None) -> None:
        self._session, self._limits, self._watch = session, limits, watch
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._admitted = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="graph")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown()

    @property
    def admitted(self) -> int:
        """Pictures that are decoded, queued or run now."""
        return self._admitted

    @property
    def alive(self) -> bool:
        """Whether what is queued will be run."""
        return self._task is not None and not self._task.done()

    @contextmanager
    def admit(self, count: int) -> Iterator[None]:
        """Places for `count` pictures, held until the block is left; Refused (503) when there are not so many."""
        if self._admitted + count > self._limits.waiting:
            raise full()
        self._admitted += count
        try:
            yield
        finally:
            self._admitted -= count

    async def answer(self, pixels: np.ndarray, only: Sequence[str], deadline: float) -> tuple[Outputs, int]:
        """The outputs named in `only` for one picture uint8 [S, S, C] that was admitted: those of a batch, and its row.

        Refused (504) when it is not begun by `deadline` (of `time.monotonic`).
        """
        waiting = _Waiting(pixels, only, deadline, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def _serve(self) -> None:
        """Run batches until cancelled; what is queued then is never answered."""
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gathered()
            if not batch:
                continue
            only = tuple(dict.fromkeys(name for waiting in batch for name in waiting.only))
            pixels = np.stack([waiting.pixels for waiting in batch])
            began = time.monotonic()
            try:
                outputs = await loop.run_in_executor(self._thread, partial(self._session.run, pixels, only=only))
            except Exception as error:  # one batch that fails must not end the service
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            self._watch(len(batch), time.monotonic() - began)
            for row, waiting in enumerate(batch):
                if not waiting.answer.done():  # its client has left
                    waiting.answer.set_result((outputs, row))

    async def _gathered(self) -> list[_Waiting]:
        """The next batch: what is queued, and what comes meanwhile of what is on its way."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        until = min(self._queue[0].since + self._limits.delay_s, *(waiting.deadline for waiting in self._queue))
        while len(self._queue) < min(self._limits.batch, self._admitted):
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(self._at(until)):
                    await self._arrived.wait()
            except TimeoutError:
                break
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._limits.batch:
            waiting = self._queue.popleft()
            if waiting.answer.done():
                continue
            if waiting.deadline < time.monotonic():
                waiting.answer.set_exception(Refused(504, "not answered in time: try again, or with fewer pictures"))
                continue
            batch.append(waiting)
        return batch

    @staticmethod
    def _at(moment: float) -> float:
        """A moment of `time.monotonic` on the loop's clock."""
        return asyncio.get_running_loop().time() + moment - time.monotonic()
