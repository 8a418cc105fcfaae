"""Work on a few pictures at a time, so that what is made on the way stays small, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from sightline.core.machine import cpu_quota

SLICE = 1 << 23  # bytes of what is made on the way, a slice: small ones make BLAS and our threads wait for each other
Result = TypeVar("Result")


def in_slices(work: Callable[[slice], Result], count: int, each: int) -> list[Result]:
    """`work` of slices of `count` pictures that make `each` bytes on the way, in order, a thread a processor.

    The slices, and so the answers to the last bit, depend on the shapes alone.
    """
    at_once = max(1, SLICE // max(each, 1))
    parts = [slice(start, min(start + at_once, count)) for start in range(0, count, at_once)]
    if len(parts) < 2 or cpu_quota() == 1:
        return [work(part) for part in parts]
    return list(_threads().map(work, parts))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cpu_quota(), thread_name_prefix="scratch")
