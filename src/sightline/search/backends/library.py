"""FAISS, called with little around it: one thread a query, no copies, and files read by memory map.

FAISS sizes OpenMP's threads by the host's processors and keeps that number for each calling thread by itself; here a
thread that searches uses itself alone, and many queries are shared among threads of our own (`backend.spread`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.machine import cpu_quota

FILE = "backend.faiss"
_told = threading.local()


@cache
def _module() -> ModuleType:
    import faiss

    return faiss


def faiss() -> ModuleType:
    """FAISS, on one thread where it is called from this one."""
    module = _module()
    if not getattr(_told, "alone", False):
        module.omp_set_num_threads(1)
        _told.alone = True
    return module


@contextmanager
def together() -> Iterator[ModuleType]:
    """FAISS on as many threads as the processor quota grants, to build an index."""
    module = _module()
    module.omp_set_num_threads(cpu_quota())
    try:
        yield module
    finally:
        module.omp_set_num_threads(1)
        _told.alone = True


def knn(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances [Q, k] and rows [Q, k] of the nearest among `vectors` float32 [N, D], contiguous."""
    module, (distances, rows) = faiss(), _answers(len(queries), k)
    pointer = module.swig_ptr
    module.knn_L2sqr(
        pointer(queries), pointer(vectors), vectors.shape[1], len(queries), len(vectors), k,
        pointer(distances), pointer(rows),
    )  # fmt: skip
    return distances, rows


def search(index: Any, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What a FAISS index answers: distances float32 [Q, k] and rows int64 [Q, k], -1 where it found no more."""
    pointer, (distances, rows) = faiss().swig_ptr, _answers(len(queries), k)
    index.search_c(len(queries), pointer(queries), k, pointer(distances), pointer(rows))
    return distances, rows


def _answers(count: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((count, k), np.float32), np.empty((count, k), np.int64)


def write(index: Any, directory: Path) -> None:
    """Write a FAISS index into `directory`."""
    _module().write_index(index, str(directory / FILE))


def read(directory: Path, shape: tuple[int, int]) -> Any:
    """The FAISS index in `directory`, memory-mapped, over vectors of `shape`; UserError when missing or damaged."""
    path, module = directory / FILE, _module()
    try:
        index = module.read_index(str(path), module.IO_FLAG_MMAP_IFC)
    except RuntimeError:
        raise UserError(f"damaged index: {named(path)} is missing or truncated; make the index again") from None
    if (index.ntotal, index.d) != shape:
        raise UserError(
            f"damaged index: {named(path)} holds {index.ntotal} vectors of {index.d} numbers, not {shape[0]} of "
            f"{shape[1]}; make the index again"
        )
    return index
