"""ScaNN: cells of vectors in codes that keep what matters for the nearest, compared in registers; the extra `ann`.

Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization" (2020).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sightline.core.errors import UserError, named
from sightline.search.backends.backend import Absent, nearest_of
from sightline.search.backends.inverted import LEARNT, LEAST

FOLDER, PICKLED = "scann", "scann_docids.pkl"
NUMBERS_A_CODE, THRESHOLD, MORE = 2, 0.2, 10


class Scann:
    """So many `cells`; `effort` is the number of them that a query looks into; ten times k candidates are compared."""

    LIBRARY: ClassVar[str] = "scann"
    READS_VECTORS: ClassVar[bool] = False
    EFFORTS: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)

    def __init__(self, cells: int = 64, effort: int = 8) -> None:
        self.cells, self.effort = cells, effort
        self._searcher: Any = None
        self._vectors: np.ndarray

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """About the square root of the vectors as cells, and half of it."""
        root = 2 ** round(np.log2(max(1, count) ** 0.5))
        return [{"cells": int(root * part)} for part in (0.5, 1)] if count >= LEAST and dims > 1 else []

    @property
    def parameters(self) -> dict[str, int]:
        """Cells and effort."""
        return {"cells": self.cells, "effort": self.effort}

    def fit(self, vectors: np.ndarray) -> Self:
        """Learn cells and codes."""
        ops = _library()
        builder = ops.builder(np.ascontiguousarray(vectors), MORE, "squared_l2")
        builder = builder.tree(self.cells, self.effort, training_sample_size=min(len(vectors), LEARNT))
        builder = builder.score_ah(NUMBERS_A_CODE, anisotropic_quantization_threshold=THRESHOLD).reorder(MORE * 10)
        with _quiet():
            self._searcher = builder.build()
        self._vectors = vectors
        return self

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of the candidates in the cells looked into; among all where those are fewer than k."""
        wanted = {"final_num_neighbors": k, "pre_reorder_num_neighbors": MORE * k, "leaves_to_search": self.effort}
        if len(queries) == 1:
            rows, squares = self._searcher.search(queries[0], **wanted)
            rows, squares = rows[None], squares[None]
        else:
            rows, squares = self._searcher.search_batched_parallel(queries, **wanted)
        rows = np.asarray(rows, np.int64)
        if rows.shape[1] == k and np.isfinite(squares).all():
            return np.asarray(squares, np.float32), rows
        full = np.full((len(queries), k), -1, np.int64)
        full[:, : rows.shape[1]] = np.where(np.isfinite(squares), rows, -1)
        return nearest_of(full, queries, self._vectors, k)

    def save(self, directory: Path) -> None:
        """Write cells and codes."""
        (directory / FOLDER).mkdir()
        self._searcher.serialize(str(directory / FOLDER), relative_path=True)  # an Index is renamed, and may be moved

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Read cells and codes."""
        ops = _library()
        if (directory / FOLDER / PICKLED).exists():  # we never write one, and ScaNN would unpickle it
            raise UserError(f"damaged index: {named(directory / FOLDER / PICKLED)} does not belong there; remove it")
        try:
            self._searcher = ops.load_searcher(str(directory / FOLDER))
        except Exception:
            raise UserError(
                f"damaged index: {named(directory / FOLDER)} is missing or damaged; make the index again"
            ) from None
        self._vectors = vectors
        return self


@contextmanager
def _quiet() -> Iterator[None]:
    """ScaNN tells its own news on standard error while it builds, past Python; nobody asked for them."""
    sys.stderr.flush()
    own = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


def _library() -> Any:
    try:
        from scann import scann_ops_pybind
    except ImportError:
        raise Absent("ScaNN is not installed: `pip install sightline[ann]`") from None
    return scann_ops_pybind
