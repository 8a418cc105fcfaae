"""Work on a few pictures at a time, so that what is made on the way stays small, in threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from sightline.core.machine import cpu_quota

SLICE = 1 << 20  # bytes of what is made on the way, a slice: what a processor's own cache holds
Result = TypeVar("Result")


def in_slices(work: Callable[[slice], Result], count: int, each: int) -> list[Result]:
    """`work` of slices of `count` pictures that make `each` bytes on the way, in order, a thread a processor.

    The slices, and so the answers to the last bit, depend on the shapes alone.
    """
    at_once = max(1, SLICE // max(each, 1))
    parts = [slice(start, min(start + at_once, count)) for start in range(0, count, at_once)]
    if len(parts) < 2 or cpu_quota() == 1:
        return [work(part) for part in parts]
    with _blas().limit(limits=1):  # else its threads and ours wait for each other
        return list(_threads().map(work, parts))


def in_rows(work: Callable[[slice], Result], x: np.ndarray) -> list[Result]:
    """`in_slices` of the rows of `x` [M, C], for work that makes a few numbers of each of its."""
    return in_slices(work, len(x), 2 * x.shape[1] * x.itemsize)


def rows(x: np.ndarray) -> np.ndarray:
    """`x` [..., C] as rows [M, C]; of what lies in memory as it is written a view."""
    return x.reshape(-1, x.shape[-1])


def column_sums(x: np.ndarray) -> np.ndarray:
    """The sums of the columns of `x` [M, C], as a product with ones, which is faster."""
    return np.ones(len(x), x.dtype) @ x


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cpu_quota(), thread_name_prefix="scratch")
