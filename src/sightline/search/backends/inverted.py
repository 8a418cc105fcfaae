"""Inverted lists: vectors fall into cells around centroids found by k-means, and a query looks into the nearest cells.

Sivic and Zisserman, "Video Google" (2003); the codes: Jegou et al., "Product Quantization for Nearest Neighbor Search"
(2011), with the distances looked up in registers as Andre et al., "Quicker ADC" (2019) do.
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from sightline.search.backends import library
from sightline.search.backends.backend import nearest_of
from sightline.search.backends.in_faiss import InFaiss

LEAST = 256  # vectors below which there is nothing to divide
SEED = 1234
LEARNT_FROM = 64  # vectors for each centroid; FAISS takes 256, and four times as long
LEARNT = 1 << 20  # vectors that codes and centroids are learnt from, at most
ADDED = 1 << 16  # vectors added at once


class Cells(InFaiss):
    """FAISS's IVF with whole vectors; `effort` is the number of `cells` that a query looks into (nprobe)."""

    READS_VECTORS: ClassVar[bool] = False
    EFFORTS: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128)
    CODES: ClassVar[str] = "Flat"

    def __init__(self, cells: int = 64, effort: int = 4) -> None:
        self.cells, self.effort = cells, effort

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """About the square root of the vectors as cells, from a half of it to four times."""
        root = 2 ** round(np.log2(max(1, count) ** 0.5))
        return [{"cells": int(root * part)} for part in (0.5, 1, 2, 4)] if count >= LEAST else []

    @property
    def parameters(self) -> dict[str, int]:
        """Cells and effort."""
        return {"cells": self.cells, "effort": self.effort}

    def fit(self, vectors: np.ndarray) -> Self:
        """Find the centroids and sort `vectors` into their cells."""
        self.cells = max(1, min(self.cells, len(vectors)))
        with library.together() as faiss:
            index = faiss.index_factory(vectors.shape[1], f"IVF{self.cells},{self._codes(vectors.shape[1])}")
            for learnt in (index, *([index.pq] if hasattr(index, "pq") else [])):
                learnt.cp.seed, learnt.cp.min_points_per_centroid = SEED, 1  # few vectors need no warning
                learnt.cp.max_points_per_centroid = LEARNT_FROM
            index.train(np.ascontiguousarray(_sample(vectors)))
            for start in range(0, len(vectors), ADDED):
                index.add(np.ascontiguousarray(vectors[start : start + ADDED], np.float32))
        return self._ready(index, vectors)

    def _codes(self, dims: int) -> str:
        """How vectors are kept in a cell, in FAISS's words."""
        return self.CODES

    def _tell(self) -> None:
        self._index.nprobe = self.effort


class ScalarCodes(Cells):
    """Cells of vectors with a byte a number; twice as many candidates as asked for are compared by their vectors."""

    READS_VECTORS: ClassVar[bool] = True
    CODES: ClassVar[str] = "SQ8"
    MORE: ClassVar[int] = 2

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        _, rows = library.search(self._index, queries, min(self.MORE * k, len(self._vectors)))
        return nearest_of(rows, queries, self._vectors, k)


class ProductCodes(ScalarCodes):
    """Cells of vectors with half a byte for two numbers; ten times as many candidates are compared by their vectors."""

    MORE: ClassVar[int] = 10

    def _codes(self, dims: int) -> str:
        return (
            f"PQ{max(part for part in range(1, dims // 2 + 2) if dims % part == 0 and part <= max(1, dims // 2))}x4fs"
        )


def _sample(vectors: np.ndarray) -> np.ndarray:
    """Up to a million of `vectors`, evenly spaced."""
    return vectors[:: -(-len(vectors) // LEARNT)]
