"""HNSW: a graph that a query walks through to its neighbours.

Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search Using Hierarchical Navigable Small World
Graphs" (2016).
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from sightline.search.backends import library
from sightline.search.backends.in_faiss import InFaiss
from sightline.search.backends.inverted import ADDED, LEAST

CARE = 80  # candidates looked at for every vector that is linked (efConstruction)


class SmallWorld(InFaiss):
    """FAISS's HNSW; each vector has `links` to others, `effort` is the number of candidates kept (efSearch)."""

    READS_VECTORS: ClassVar[bool] = False
    EFFORTS: ClassVar[tuple[int, ...]] = (8, 12, 16, 24, 32, 48, 64, 96, 128, 256)

    def __init__(self, links: int = 16, effort: int = 32) -> None:
        self.links, self.effort = links, effort

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

    def _tell(self) -> None:
        self._index.hnsw.efSearch = self.effort
