"""k-d tree: space halved again and again; exact, and quick in few dimensions alone.

Bentley, "Multidimensional Binary Search Trees Used for Associative Searching" (1975).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sightline.search.backends.backend import spread

MOST_DIMS = 32  # beyond, every leaf is visited
MOST_COUNT = 200_000


class Tree:
    """scikit-learn's KDTree with so many vectors in a `leaf`.

    It is planted anew when an Index is opened and first used, as scikit-learn writes it with pickle alone.
    """

    LIBRARY: ClassVar[str] = "scikit-learn"
    READS_VECTORS: ClassVar[bool] = True
    EFFORTS: ClassVar[tuple[int, ...]] = ()
    effort = 0

    def __init__(self, leaf: int = 40) -> None:
        self.leaf = leaf
        self._vectors: np.ndarray

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """Small and large leaves, for vectors of few dimensions."""
        return [{"leaf": leaf} for leaf in (20, 80)] if dims <= MOST_DIMS and count <= MOST_COUNT else []

    @property
    def parameters(self) -> dict[str, int]:
        """The size of a leaf."""
        return {"leaf": self.leaf}

    @cached_property
    def _tree(self) -> Any:
        from sklearn.neighbors import KDTree

        return KDTree(self._vectors, leaf_size=self.leaf)

    def fit(self, vectors: np.ndarray) -> Self:
        """Plant the tree."""
        self.open(Path(), vectors)
        assert self._tree is not None
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest."""
        return spread(self._search, queries, k)

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances, rows = self._tree.query(queries, k)
        return np.square(distances, dtype=np.float32, casting="unsafe"), rows.astype(np.int64, copy=False)

    def save(self, directory: Path) -> None:
        """Nothing."""

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Keep `vectors` until the tree is needed."""
        self._vectors = vectors
        return self
