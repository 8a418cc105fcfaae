"""Micro-batches: pictures of many requests through one Session, a bounded number of them at a time.

While a batch runs the next one gathers by itself. When nothing runs, a batch waits only for pictures that are known to
be on their way, a few milliseconds; a lone request waits for nothing. An answer that nobody waits for any more, because
its time is over or its client has left, is never begun.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import numpy as np

from sightline.runtime import Outputs, Session
from sightline.serve.limits import Limits, full

Watcher = Callable[[int, float], None]


@dataclass(eq=False)
class _Waiting:
    pixels: np.ndarray
    only: Sequence[str]
    answer: asyncio.Future[tuple[Outputs, int]]
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """Runs `session` on what `answer` is given; an async context manager.

    `watch` is told the size of every batch and the seconds it ran.
    """

    def __init__(self, session: Session, limits: Limits, watch: Watcher = lambda size, seconds: None) -> None:
        self._session, self._limits, self._watch = session, limits, watch
        self._queue: deque[_Waiting] = deque()
        self._changed = asyncio.Event()
        self._admitted = self._coming = 0
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
        _fail(self._queue, full())
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

    @contextmanager
    def coming(self) -> Iterator[None]:
        """A picture is on its way while the block lasts: batches wait a little for it."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._changed.set()

    async def answer(self, pixels: np.ndarray, only: Sequence[str]) -> tuple[Outputs, int]:
        """The outputs named in `only` for one picture uint8 [S, S, C] that was admitted: those of a batch, and its row.

        Refused (503) when the batcher ends; what the graph raises goes to every picture of its batch. One whose caller
        is cancelled is left out of the batches to come.
        """
        if not self.alive:
            raise full()
        waiting = _Waiting(pixels, only, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._changed.set()
        return await waiting.answer

    async def _serve(self) -> None:
        """Run batches until cancelled."""
        while True:
            batch = await self._gathered()
            try:
                outputs = await self._run(batch)
            except Exception as error:  # one batch that fails must not end the service
                _fail(batch, error)
            except asyncio.CancelledError:
                _fail(batch, full())
                raise
            else:
                for row, waiting in enumerate(batch):
                    if not waiting.answer.done():
                        waiting.answer.set_result((outputs, row))

    async def _run(self, batch: Sequence[_Waiting]) -> Outputs:
        only = tuple(dict.fromkeys(name for waiting in batch for name in waiting.only))
        pixels = np.stack([waiting.pixels for waiting in batch])
        began = time.monotonic()
        run = partial(self._session.run, pixels, only=only)
        outputs = await asyncio.get_running_loop().run_in_executor(self._thread, run)
        self._watch(len(batch), time.monotonic() - began)
        return outputs

    async def _gathered(self) -> list[_Waiting]:
        """The next batch, of one picture at least: what is queued, and what comes meanwhile of what is on its way."""
        while True:
            self._forget_cancelled()
            self._changed.clear()
            if not self._queue:
                await self._changed.wait()
                continue
            left = self._queue[0].since + self._limits.delay_s - time.monotonic()
            if len(self._queue) >= self._limits.batch or left <= 0 or not self._coming:
                return [self._queue.popleft() for _ in range(min(len(self._queue), self._limits.batch))]
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    def _forget_cancelled(self) -> None:
        if any(waiting.answer.done() for waiting in self._queue):
            self._queue = deque(waiting for waiting in self._queue if not waiting.answer.done())


def _fail(waiting: Iterable[_Waiting], error: Exception) -> None:
    for one in waiting:
        if not one.answer.done():
            one.answer.set_exception(error)
