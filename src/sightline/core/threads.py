"""Work on many things in threads: results in order, in bounded memory, nothing left running afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from sightline.core.machine import cpu_quota

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int | None = None, *, ahead: int | None = None
) -> Generator[Result, None, None]:
    """`work` of each of `items`, in order, by `workers` threads (the processor quota when None).

    Up to `ahead` items (four a thread when None) are taken and worked on beyond the one handed out.
    """
    count = workers or cpu_quota()
    most = 4 * count if ahead is None else ahead
    pool = ThreadPoolExecutor(count, thread_name_prefix="sightline")
    pending: deque[Future[Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) > most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or an interrupt nothing that waits is begun
