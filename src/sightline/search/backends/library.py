"""FAISS, called with little around it: one thread a query, no copies, and files read by memory map.

FAISS sizes OpenMP's threads by the host's processors and keeps that number for each calling thread by itself; here few
queries are answered by the thread that asks, and many by as many as the processor quota grants.
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

from sightline.core.errors import UserError, first_line, named
from sightline.core.machine import cpu_quota
from sightline.search.backends.backend import FEW

FILE = "backend.faiss"
FLOAT, WHOLE = np.dtype(np.float32), np.dtype(np.int64)
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
    """FAISS on as many threads as the processor quota grants."""
    module = _module()
    module.omp_set_num_threads(cpu_quota())
    try:
        yield module
    finally:
        module.omp_set_num_threads(1)
        _told.alone = True


def knn(queries: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances [Q, k] and rows [Q, k] of the nearest among `vectors` float32 [N, D], contiguous."""

    def answer(module: ModuleType) -> None:
        pointer = module.swig_ptr
        module.knn_L2sqr(
            pointer(queries), pointer(vectors), vectors.shape[1], len(queries), len(vectors), k,
            pointer(distances), pointer(rows),
        )  # fmt: skip

    distances, rows = np.empty((len(queries), k), FLOAT), np.empty((len(queries), k), WHOLE)
    if len(queries) <= FEW:
        answer(faiss())
    else:
        with together() as module:
            answer(module)
    return distances, rows


def search(index: Any, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """What a FAISS index answers: distances float32 [Q, k] and rows int64 [Q, k], -1 where it found no more."""
    distances, rows = np.empty((len(queries), k), FLOAT), np.empty((len(queries), k), WHOLE)
    pointer = faiss().swig_ptr
    if len(queries) <= FEW:
        index.search_c(len(queries), pointer(queries), k, pointer(distances), pointer(rows))
    else:
        with together():
            index.search_c(len(queries), pointer(queries), k, pointer(distances), pointer(rows))
    return distances, rows


def squared_length(vector: np.ndarray) -> float:
    """That of a vector float32 [1, D], contiguous; in half the time that NumPy takes."""
    module = _module()
    length: float = module.fvec_norm_L2sqr(module.swig_ptr(vector), vector.shape[1])
    return length


def write(index: Any, directory: Path) -> None:
    """Write a FAISS index into `directory`; OSError when there is no room."""
    try:
        _module().write_index(index, str(directory / FILE))
    except RuntimeError as error:
        raise OSError(0, first_line(error)) from None


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
