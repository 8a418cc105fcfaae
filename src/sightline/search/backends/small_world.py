"""HNSW: a graph that a query walks through to its neighbours.

Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World
Graphs" (2016).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sightline.search.backends import library
from sightline.search.backends.backend import nearest_of, spread
from sightline.search.backends.inverted import ADDED, LEAST

CARE = 80  # candidates looked at for every vector that is linked (efConstruction)


class SmallWorld:
    """FAISS's HNSW; each vector has `links` to others, `effort` is the number of candidates kept (efSearch)."""

    LIBRARY: ClassVar[str] = "faiss"
    READS_VECTORS: ClassVar[bool] = False
    EFFORTS: ClassVar[tuple[int, ...]] = (8, 12, 16, 24, 32, 48, 64, 96, 128, 256)

    def __init__(self, links: int = 16, effort: int = 32) -> None:
        self.links, self.effort = links, effort
        self._index: Any = None
        self._vectors: np.ndarray

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """Few and many links."""
        return [{"links": links} for links in (8, 16, 32)] if count >= LEAST else []

    @property
    def parameters(self) -> dict[str, int]:
        """Links and effort."""
        return {"links": self.links, "effort": self.effort}

    def fit(self, vectors: np.ndarray) -> Self:
        """Link `vectors`, one after the other."""
        with library.together() as faiss:
            index = faiss.IndexHNSWFlat(vectors.shape[1], self.links)
            index.hnsw.efConstruction = CARE
            for start in range(0, len(vectors), ADDED):
                index.add(np.ascontiguousarray(vectors[start : start + ADDED], np.float32))
        return self._ready(index, vectors)

    def _ready(self, index: Any, vectors: np.ndarray) -> Self:
        self._index, self._vectors = index, vectors
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of those met on the way; among all vectors where fewer than k were."""
        self._index.hnsw.efSearch = self.effort
        return spread(self._search, queries, k)

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, rows = library.search(self._index, queries, k)
        if rows[:, -1].min() >= 0:
            return distances, rows
        return nearest_of(rows, queries, self._vectors, k)

    def save(self, directory: Path) -> None:
        """Write the graph."""
        library.write(self._index, directory)

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Map the graph."""
        return self._ready(library.read(directory, vectors.shape), vectors)
