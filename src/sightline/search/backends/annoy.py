"""Annoy: many trees that halve space at random between two vectors, searched together; the extra `ann`.

Bernhardsson, "Annoy: Approximate Nearest Neighbors in C++/Python" (2013, github.com/spotify/annoy).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.machine import cpu_quota
from sightline.search.backends.backend import Absent, complete, nearest_of, spread
from sightline.search.backends.inverted import LEAST

FILE = "backend.ann"
SEED = 1234


class Annoy:
    """So many `trees`; `effort` is the number of vectors looked at (search_k)."""

    LIBRARY: ClassVar[str] = "annoy"
    READS_VECTORS: ClassVar[bool] = False
    EFFORTS: ClassVar[tuple[int, ...]] = (100, 200, 400, 800, 1600, 3200, 6400)

    def __init__(self, trees: int = 40, effort: int = 800) -> None:
        self.trees, self.effort = trees, effort
        self._index: Any = None
        self._vectors: np.ndarray

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """Few and many trees."""
        return [{"trees": trees} for trees in (10, 40)] if count >= LEAST else []

    @property
    def parameters(self) -> dict[str, int]:
        """Trees and effort."""
        return {"trees": self.trees, "effort": self.effort}

    def _empty(self, dims: int) -> Any:
        try:
            from annoy import AnnoyIndex
        except ImportError:
            raise Absent("Annoy is not installed: `pip install sightline[ann]`") from None
        return AnnoyIndex(dims, "euclidean")

    def fit(self, vectors: np.ndarray) -> Self:
        """Grow the trees."""
        index = self._empty(vectors.shape[1])
        index.set_seed(SEED)
        for row, vector in enumerate(vectors):
            index.add_item(row, vector)
        index.build(self.trees, n_jobs=cpu_quota())
        self._index, self._vectors = index, vectors
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of the vectors looked at; among all where those are fewer than k."""
        return spread(self._search, queries, k)

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, rows = np.empty((len(queries), k), np.float32), np.full((len(queries), k), -1, np.int64)
        for number, query in enumerate(queries):
            found, away = self._index.get_nns_by_vector(query, k, self.effort, include_distances=True)
            rows[number, : len(found)], distances[number, : len(found)] = found, away
        if complete(rows):
            return np.square(distances), rows
        return nearest_of(rows, queries, self._vectors, k)

    def save(self, directory: Path) -> None:
        """Write the trees."""
        self._index.save(str(directory / FILE))

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Map the trees."""
        index = self._empty(vectors.shape[1])
        try:
            index.load(str(directory / FILE))
        except OSError:
            raise UserError(
                f"damaged index: {named(directory / FILE)} is missing or truncated; make the index again"
            ) from None
        if index.get_n_items() != len(vectors):
            raise UserError(
                f"damaged index: {named(directory / FILE)} holds {index.get_n_items()} vectors, not {len(vectors)}; "
                "make the index again"
            )
        self._index, self._vectors = index, vectors
        return self
