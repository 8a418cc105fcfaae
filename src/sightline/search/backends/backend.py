"""Backend: what every search method can do, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np

from sightline.core.errors import UserError
from sightline.core.threads import in_threads

FEW = 64  # queries that one thread answers sooner than several begin
GATHERED = 1 << 22  # numbers gathered at once to compare candidates


class Absent(UserError):
    """The library of a search method is not installed."""


class Backend(Protocol):
    """A search method, final. Its constructor takes its parameters by name; `fit` or `open` makes it ready.

    `effort` may be changed at any time: more finds more and takes longer. `EFFORTS` are those worth trying, ascending;
    none where there is nothing to choose. `READS_VECTORS` says whether the vectors themselves are read while searching,
    or what it keeps of them alone. `search` may be called from several threads.
    """

    LIBRARY: ClassVar[str]
    READS_VECTORS: ClassVar[bool]
    EFFORTS: ClassVar[tuple[int, ...]]
    effort: int

    @classmethod
    def builds(cls, count: int, dims: int) -> list[dict[str, int]]:
        """Constructor parameters worth trying for `count` vectors of `dims` numbers; none where it cannot serve."""
        ...

    @property
    def parameters(self) -> dict[str, int]:
        """What the constructor would take to make it again, effort included."""
        ...

    def fit(self, vectors: np.ndarray) -> Self:
        """Learn `vectors` float32 [N, D], which may be memory-mapped; returns itself."""
        ...

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances float32 [Q, k], ascending, and rows int64 [Q, k], for `queries` float32 [Q, D].

        1 <= k <= N; always k different rows.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write what `open` needs besides the vectors into `directory`."""
        ...

    def open(self, directory: Path, vectors: np.ndarray) -> Self:
        """Become what was saved into `directory` over the same `vectors`; returns itself.

        UserError when files are missing or damaged.
        """
        ...


Search = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


def spread(search: Search, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """`search` over many queries, shared among as many threads as the processor quota grants."""
    if len(queries) <= FEW:
        return search(queries, k)
    parts = (queries[start : start + FEW] for start in range(0, len(queries), FEW))
    distances, rows = zip(*in_threads(lambda part: search(part, k), parts), strict=True)
    return np.concatenate(distances), np.concatenate(rows)


def complete(rows: np.ndarray) -> bool:
    """Whether as many `rows` [Q, k] were found for every query as were asked for; below 0 stands for none."""
    return rows.item(-1) >= 0 if len(rows) == 1 else not len(rows) or bool(rows[:, -1].min() >= 0)


def nearest_of(
    candidates: np.ndarray, queries: np.ndarray, vectors: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of each query's `candidates` int64 [Q, C] the `k` truly nearest, as `Backend.search` gives them.

    A row may stand among a query's candidates once; below 0 stands for none. Where fewer than k are left, all vectors
    are compared.
    """
    distances = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    enough = (candidates >= 0).sum(1) >= k
    places, step = np.flatnonzero(enough), max(1, GATHERED // max(1, candidates.shape[1] * vectors.shape[1]))
    for start in range(0, len(places), step):
        part = places[start : start + step]
        found = candidates[part]
        away = vectors[found] - queries[part, None, :]
        squares = np.einsum("qcd,qcd->qc", away, away)
        squares[found < 0] = np.inf
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        distances[part] = np.take_along_axis(squares, order, axis=1)
        rows[part] = np.take_along_axis(found, order, axis=1)
    for place in np.flatnonzero(~enough):
        distances[place], rows[place] = _among_all(queries[place], vectors, k)
    return distances, rows


def _among_all(query: np.ndarray, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` nearest of all `vectors`."""
    squares = np.concatenate(
        [
            ((vectors[start : start + GATHERED // 1024] - query) ** 2).sum(1)
            for start in range(0, len(vectors), GATHERED // 1024)
        ]
    )
    rows = np.argsort(squares, kind="stable")[:k]
    return squares[rows].astype(np.float32), rows
