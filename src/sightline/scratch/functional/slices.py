"""Work on a few pictures at a time, so that what is made on the way stays small, in threads."""

from __future__ import annotations

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

from sightline.core.machine import cpu_quota

SLICE = 1 << 21  # bytes of what is made on the way, a slice: of smaller ones Python's threads wait for each other
WORTH = 1 << 18  # bytes from which on threads gain more than they cost
Result = TypeVar("Result")
_LOCK = threading.Lock()
_INSIDE: list[Any] = []  # the limit on BLAS, once for each who is inside


def in_slices(work: Callable[[slice], Result], count: int, each: int) -> list[Result]:
    """`work` of slices of `count` things that make `each` bytes on the way, in order, a thread a processor.

    The caller's own is one of them, and whoever is ready takes the next slice; there are as many for each processor
    where there are things enough. `work` asks for no slices itself. The slices, and so the answers to the last bit,
    depend on the shapes and the number of processors alone.
    """
    processors, total = _processors(), count * each
    wanted = math.ceil(total / SLICE / processors) * processors if total > WORTH else 1
    number = max(1, min(count, wanted))
    edges = [count * place // number for place in range(number + 1)]
    parts = [slice(*ends) for ends in itertools.pairwise(edges)]
    if number == 1 or processors == 1:
        return [work(part) for part in parts]
    found: list[Any] = [None] * number
    waiting = iter(range(number))

    def share() -> None:
        for place in waiting:
            try:
                found[place] = work(parts[place])
            except BaseException:
                list(waiting)  # nobody begins another
                raise

    with one_thread_a_product():  # helpers in the caller's context: it has what NumPy is to say of overflows
        helpers = [_threads().submit(copy_context().run, share) for _ in range(min(processors, number) - 1)]
        try:
            share()
        finally:
            wait([helper for helper in helpers if not helper.cancel()])
        for helper in helpers:
            if not helper.cancelled():
                helper.result()
    return found


@contextmanager
def one_thread_a_product() -> Iterator[None]:
    """While somebody is inside, BLAS multiplies on the thread it is called on.

    Its own threads stay busy waiting for a while after each product, on the processors that ours need.
    """
    with _LOCK:
        _INSIDE.append(_INSIDE[0] if _INSIDE else _blas().limit(limits=1))
    try:
        yield
    finally:
        with _LOCK:
            limit = _INSIDE.pop()
            if not _INSIDE:
                limit.restore_original_limits()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


@cache
def _processors() -> int:
    return cpu_quota()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_processors() - 1, thread_name_prefix="scratch")


if hasattr(os, "register_at_fork"):
    # A copy of the process has no copies of its threads, and is made while none of them has the lock.
    os.register_at_fork(before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)
    os.register_at_fork(after_in_child=_threads.cache_clear)
