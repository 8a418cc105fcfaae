"""LSH: vectors as bits, the sides of drawn planes on which they lie; near vectors differ in few.

Charikar, "Similarity Estimation Techniques from Rounding Algorithms" (2002).
"""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np

from sightline.search.backends import library
from sightline.search.backends.backend import nearest_of
from sightline.search.backends.in_faiss import InFaiss
from sightline.search.backends.inverted import ADDED, LEAST


class Hashing(InFaiss):
    """FAISS's LSH on so many `bits`; `effort` is the number of candidates compared by their vectors."""

    READS_VECTORS: ClassVar[bool] = True
    EFFORTS: ClassVar[tuple[int, ...]] = (20, 50, 100, 200, 500, 1000)

    def __init__(self, bits: int = 256, effort: int = 100) -> None:
        self.bits, self.effort = bits, effort

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """One and two bits a number, and 256."""
        bits = sorted({8 * -(-dims // 8), 16 * -(-dims // 8), 256})
        return [{"bits": count} for count in bits] if count >= LEAST else []

    @property
    def parameters(self) -> dict[str, int]:
        """Bits and effort."""
        return {"bits": self.bits, "effort": self.effort}

    def fit(self, vectors: np.ndarray) -> Self:
        """Draw the planes and note on which side of each every one of `vectors` lies."""
        with library.together() as faiss:
            index = faiss.IndexLSH(vectors.shape[1], self.bits, True, True)
            index.train(np.ascontiguousarray(vectors[:: -(-len(vectors) // 65_536)]))
            for start in range(0, len(vectors), ADDED):
                index.add(np.ascontiguousarray(vectors[start : start + ADDED], np.float32))
        return self._ready(index, vectors)

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of the candidates whose bits differ least."""
        _, rows = library.search(self._index, queries, min(max(self.effort, k), len(self._vectors)))
        return nearest_of(rows, queries, self._vectors, k)
