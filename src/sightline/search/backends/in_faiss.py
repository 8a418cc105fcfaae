"""What the methods that FAISS keeps an index for share: searching it, writing it, mapping it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sightline.search.backends import library
from sightline.search.backends.backend import nearest_of, spread


class InFaiss:
    """An index of FAISS over `vectors`; its `fit` makes it `_ready`."""

    LIBRARY: ClassVar[str] = "faiss"
    _index: Any
    _vectors: np.ndarray

    def _ready(self, index: Any, vectors: np.ndarray) -> Self:
        self._index, self._vectors = index, vectors
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest that are found; among all vectors where fewer than k are."""
        return spread(self._search, queries, k)

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, on one thread."""
        distances, rows = library.search(self._index, queries, k)
        if not rows.size or rows[:, -1].min() >= 0:
            return distances, rows
        return nearest_of(rows, queries, self._vectors, k)

    def save(self, directory: Path) -> None:
        """Write the index."""
        library.write(self._index, directory)

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Map the index."""
        return self._ready(library.read(directory, vectors.shape), vectors)
