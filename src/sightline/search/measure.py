"""What a search method is worth on given vectors: recall against exact search, times, and bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sightline.core.shares import wilson
from sightline.search.backends.backend import Backend
from sightline.search.backends.exact import Exact

QUERIES = 1000
TIMED = 500  # of them one by one
TURNS, EACH = 10, 60  # of those that are compared by turns
LEAST, LONG_S = 20, 10  # so many at least; no more, and no other turn, after so many seconds
TOLERANCE = 1e-5  # of a squared distance, and of its size: float32 sums in another order


@dataclass(frozen=True, eq=False)
class Queries:
    """`vectors` float32 [Q, D] to search with, and `farthest` float32 [Q]: the squared distance of each one's true k-th
    neighbour.
    """

    vectors: np.ndarray
    farthest: np.ndarray
    k: int

    @classmethod
    def among(cls, known: np.ndarray, vectors: np.ndarray, k: int) -> Queries:
        """`vectors` as queries for the `k` nearest among `known` float32 [N, D]; k <= N."""
        squares, _ = Exact().fit(known).search(vectors, k)
        return cls(vectors, squares[:, -1], k)


@dataclass(frozen=True)
class Measured:
    """`recall` in [0, 1], at least `recall_low` with 95 % confidence; microseconds of a query alone, on one thread, in
    the median and for the slowest hundredth; queries a second when many come at once.
    """

    recall: float
    recall_low: float
    latency_us_median: float
    latency_us_p99: float
    queries_per_s: float
    k: int
    queries: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


def measured(
    backend: Backend, known: np.ndarray, queries: Queries, clock: Callable[[], float] = time.perf_counter
) -> Measured:
    """What `backend`, over the vectors `known` float32 [N, D], is worth for `queries`."""
    vectors, k = queries.vectors, queries.k
    backend.search(vectors[:1], k)  # the first call loads the library
    seconds = alone(backend, queries, range(min(TIMED, len(vectors))), clock)
    began = clock()
    _, rows = backend.search(vectors, k)
    together = clock() - began
    found = recalls(rows, known, queries)
    recall = float(found.mean())
    return Measured(
        recall=recall,
        recall_low=at_least(found, k),
        latency_us_median=1e6 * float(np.median(seconds)),
        latency_us_p99=1e6 * float(np.quantile(seconds, 0.99)),
        queries_per_s=len(vectors) / together,
        k=k,
        queries=len(vectors),
    )


def alone(
    backend: Backend, queries: Queries, rows: Iterable[int], clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Seconds that each of these queries takes by itself."""
    seconds: list[float] = []
    for row in rows:
        if len(seconds) >= LEAST and sum(seconds) > LONG_S:
            break
        one = queries.vectors[row : row + 1]
        began = clock()
        backend.search(one, queries.k)
        seconds.append(clock() - began)
    return seconds


def by_turns(
    backends: Sequence[Backend], queries: Queries, clock: Callable[[], float] = time.perf_counter
) -> list[tuple[float, float]]:
    """Microseconds of a query alone with each of `backends`, in the median and for the slowest hundredth.

    They take turns, so that a slow moment of the machine meets all of them.
    """
    taken: list[list[float]] = [[] for _ in backends]
    began = clock()
    for turn in range(TURNS):
        rows = [(turn * EACH + place) % len(queries.vectors) for place in range(EACH)]
        for backend, seconds in zip(backends, taken, strict=True):
            seconds += alone(backend, queries, rows, clock)
        if clock() - began > LONG_S:
            break
    return [(1e6 * float(np.median(one)), 1e6 * float(np.quantile(one, 0.99))) for one in taken]


def at_least(found: np.ndarray, k: int) -> float:
    """What the mean of shares `found` [Q] of `k` neighbours is at least, with 95 % confidence.

    The lower end of Wilson's 90 % interval, of as many hits and misses as vary like them: most queries that miss miss
    one of k. Without any miss it is that of a single one.
    """
    if found.min() == 1:
        found = np.append(found[1:], 1 - 1 / k)
    mean, variance = float(found.mean()), float(found.var())
    count = len(found) * mean * (1 - mean) / variance if variance else len(found)
    return wilson(mean * count, count, 0.9)[0]


def recalls(rows: np.ndarray, known: np.ndarray, queries: Queries) -> np.ndarray:
    """For each query the share of the `rows` int64 [Q, k] found that are no farther than its true k-th neighbour.

    So a tie is no error, and a row counts once.
    """
    found = np.empty(len(rows))
    for number, (query, own) in enumerate(zip(queries.vectors, rows, strict=True)):
        squares = ((known[np.unique(own)] - query) ** 2).sum(1)
        far = queries.farthest[number]
        found[number] = (squares <= far + TOLERANCE * (1 + far)).sum() / queries.k
    return found
