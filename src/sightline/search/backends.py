"""Backends: ways to find the nearest of many unit vectors. Distance is the cosine distance, 1 - inner product.

Each is a small adapter over a library, final, behind one protocol; `BACKENDS` is the table an Index chooses from.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, Self

import numpy as np

from sightline.core.machine import cpu_quota


class Backend(Protocol):
    """A search method. Its constructor takes its parameters by name; `fit` or `open` makes it ready."""

    def fit(self, vectors: np.ndarray) -> Self:
        """Learn `vectors` float32 [N, D] of unit length, which may be memory-mapped; returns itself."""
        ...

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Distances float32 [Q, k], ascending, and rows int64 [Q, k], for `queries` float32 [Q, D]; 1 <= k <= N."""
        ...

    def save(self, directory: Path) -> None:
        """Write what `open` needs besides the vectors into `directory`."""
        ...

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Become what was saved into `directory` over the same `vectors`; returns itself."""
        ...


class Exact:
    """Every vector is compared: FAISS's flat search, on the vectors where they are, so a memory map is not copied."""

    def __init__(self) -> None:
        self.vectors_: np.ndarray

    def fit(self, vectors: np.ndarray) -> Self:
        """Keep `vectors`."""
        self.vectors_ = np.ascontiguousarray(vectors, np.float32)
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The exact nearest; rows at equal distance come in any order."""
        faiss = _faiss()
        products, rows = faiss.knn(queries, self.vectors_, k, metric=faiss.METRIC_INNER_PRODUCT)
        return np.maximum(1 - products, 0), rows

    def save(self, directory: Path) -> None:
        """Nothing: the vectors are all there is."""

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """As `fit`."""
        return self.fit(vectors)


BACKENDS: dict[str, type[Any]] = {"exact": Exact}


@cache
def _faiss() -> ModuleType:
    """FAISS, on as many threads as the processor quota grants (by itself it takes one a core of the host)."""
    import faiss

    faiss.omp_set_num_threads(cpu_quota())
    return faiss
