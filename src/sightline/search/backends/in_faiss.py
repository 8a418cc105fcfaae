"""What the methods that FAISS keeps an index for share: searching it, writing it, mapping it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sightline.search.backends import library
from sightline.search.backends.backend import complete, nearest_of


class InFaiss:
    """An index of FAISS over `vectors`; its `fit` makes it `_ready`."""

    LIBRARY: ClassVar[str] = "faiss"
    effort: int
    _index: Any
    _vectors: np.ndarray
    _told: int | None = None  # the effort that the index knows of

    def _ready(self, index: Any, vectors: np.ndarray) -> Self:
        self._index, self._vectors, self._told = index, vectors, None
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest that are found; among all vectors where fewer than k are."""
        if self._told != self.effort:
            self._tell()
            self._told = self.effort
        return self._search(queries, k)

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, the effort being known."""
        distances, rows = library.search(self._index, queries, k)
        if complete(rows):
            return distances, rows
        return nearest_of(rows, queries, self._vectors, k)

    def _tell(self) -> None:
        """Tell the index of the effort; nothing where it need not know."""

    def save(self, directory: Path) -> None:
        """Write the index."""
        library.write(self._index, directory)

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Map the index."""
        return self._ready(library.read(directory, vectors.shape), vectors)
