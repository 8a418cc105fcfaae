"""Exact search: every vector is compared."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from sightline.search.backends import library


class Exact:
    """FAISS's flat search, on the vectors where they are, so a memory map is not copied."""

    LIBRARY: ClassVar[str] = "faiss"
    READS_VECTORS: ClassVar[bool] = True
    EFFORTS: ClassVar[tuple[int, ...]] = ()
    effort = 0

    def __init__(self) -> None:
        self.vectors_: np.ndarray

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """One, without parameters."""
        return [{}]

    @property
    def parameters(self) -> dict[str, int]:
        """None."""
        return {}

    def fit(self, vectors: np.ndarray) -> Self:
        """Keep `vectors`."""
        self.vectors_ = np.ascontiguousarray(vectors, np.float32)
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest; rows at equal distance come in any order."""
        return library.knn(queries, self.vectors_, k)

    def save(self, directory: Path) -> None:
        """Nothing: the vectors are all there is."""

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """As `fit`."""
        return self.fit(vectors)
