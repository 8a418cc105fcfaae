"""What a search method is worth on the vectors it holds: recall against brute force, and the time of one query."""

from __future__ import annotations

import time

import numpy as np

from sightline.search.backends import Backend

LATENCY_QUERIES = 200
RECALL_QUERIES = 50
TOLERANCE = 1e-5  # of a distance: float32 products in another order


def measured(backend: Backend, vectors: np.ndarray, k: int = 10) -> dict[str, float | int]:
    """Recall in [0, 1] and median microseconds of a single query for `k` neighbours (fewer where there are fewer).

    Queries are drawn from `vectors` float32 [N, D] without repetition and always the same for the same N: up to 200
    for the time, up to 50 of them for the recall.
    """
    k = min(k, len(vectors))
    drawn = np.random.default_rng(0).permutation(len(vectors))[:LATENCY_QUERIES]
    queries = np.ascontiguousarray(vectors[drawn])
    backend.search(queries[:1], k)  # the first call loads the library
    seconds = []
    for row in range(len(queries)):
        began = time.perf_counter()
        backend.search(queries[row : row + 1], k)
        seconds.append(time.perf_counter() - began)
    return {
        "recall": recall(backend, vectors, queries[:RECALL_QUERIES], k),
        "latency_us_median": 1e6 * float(np.median(seconds)),
        "k": k,
        "queries": len(queries),
    }


def recall(backend: Backend, vectors: np.ndarray, queries: np.ndarray, k: int) -> float:
    """The share of the `k` found for each of `queries` that are no farther than the true k-th, so ties are no errors.

    The truth is NumPy's product of each query with every vector, one query at a time to keep memory flat.
    """
    _, rows = backend.search(queries, k)
    hits = 0
    for query, found in zip(queries, rows, strict=True):
        distances = 1 - vectors @ query
        farthest = np.partition(distances, k - 1)[k - 1]
        hits += int((distances[np.unique(found)] <= farthest + TOLERANCE).sum())
    return hits / (len(queries) * k)
