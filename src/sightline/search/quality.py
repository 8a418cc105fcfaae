"""What neighbours are worth in terms of labels: how often those of a picture bear its class.

Each picture asks for its nearest among the others; itself is never counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sightline.core.shares import wilson
from sightline.search.backends.exact import Exact

ASKED = 2000  # pictures, at most
BLOCK = 256  # of them at once
RANKED = 50_000  # vectors that a picture ranks, at most


@dataclass(frozen=True, eq=False)
class Asked:
    """The `rows` int64 [Q] that ask, and their k nearest `found` int64 [Q, k] and `squares` float32 [Q, k]."""

    rows: np.ndarray
    found: np.ndarray
    squares: np.ndarray


def ask(vectors: np.ndarray, k: int, most: int = ASKED) -> Asked:
    """The `k` nearest others of up to `most` of `vectors` float32 [N, D], always the same for one N; k < N."""
    rows = np.sort(np.random.default_rng(0).permutation(len(vectors))[:most])
    squares, found = Exact().fit(vectors).search(np.ascontiguousarray(vectors[rows]), k + 1)
    others = found != rows[:, None]
    others[others.all(1), -1] = False  # among equals the picture itself may not be found: the last goes
    return Asked(rows, found[others].reshape(-1, k), squares[others].reshape(-1, k))


def same(asked: Asked, labels: np.ndarray) -> np.ndarray:
    """For each that asks the share in [0, 1] of its neighbours that bear its label; `labels` int [N] of all."""
    return (labels[asked.found] == labels[asked.rows, None]).mean(1)


def voted(asked: Asked, labels: np.ndarray, classes: int) -> np.ndarray:
    """The class int [Q] that most neighbours bear; of equally many, the one with a nearer neighbour."""
    votes = np.zeros((len(asked.rows), classes))
    k = asked.found.shape[1]
    for place in range(k):  # a nearer neighbour's vote is worth a little more, and never a whole vote
        np.add.at(votes, (np.arange(len(votes)), labels[asked.found[:, place]]), 1 + 2.0 ** -(place + 1) / k)
    return votes.argmax(1)


def quality(vectors: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], k: int) -> dict[str, object]:
    """What neighbours are worth, as a JSON document; `labels` int [N] of `vectors` float32 [N, D], k < N.

    `neighbour_accuracy` is that of the k-nearest-neighbour classifier, `precision` the share of the k neighbours that
    bear the picture's label, `map` the mean average precision of the ranking of the others (`ranked` of them, evenly
    spaced, of many), over pictures that have another of their class among them; per class too, and `confusion` [C][C]
    counts neighbours' labels (columns) by the picture's.
    """
    asked = ask(vectors, k)
    own, shares = labels[asked.rows], same(asked, labels)
    right = voted(asked, labels, len(classes)) == own
    step = -(-len(vectors) // RANKED)
    precisions = np.concatenate(list(_average_precisions(vectors, labels, asked.rows, step)))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (np.repeat(own, k), labels[asked.found].ravel()), 1)
    low, high = wilson(int(right.sum()), len(right))
    return {
        "k": k,
        "asked": len(asked.rows),
        "neighbour_accuracy": float(right.mean()),
        "neighbour_accuracy_low": low,
        "neighbour_accuracy_high": high,
        "precision": float(shares.mean()),
        "map": _mean(precisions),
        "ranked": len(range(0, len(vectors), step)),
        "per_class": [
            {
                "class": name,
                "asked": int((own == number).sum()),
                "neighbour_accuracy": _mean(right[own == number]),
                "precision": _mean(shares[own == number]),
                "map": _mean(precisions[own == number]),
            }
            for number, name in enumerate(classes)
        ],
        "confusion": confusion.tolist(),
    }


def _average_precisions(vectors: np.ndarray, labels: np.ndarray, rows: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """The average precision of each of `rows`' ranking of every `step`-th vector; NaN without another of its class."""
    others, known = np.ascontiguousarray(vectors[::step]), labels[::step]
    lengths = np.einsum("nd,nd->n", others, others)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        squares = lengths - 2 * vectors[block] @ others.T
        own = block % step == 0
        squares[own, block[own] // step] = np.inf  # itself comes last
        order = np.argsort(squares, axis=1, kind="stable")
        hits = (known[order] == labels[block, None]) & np.isfinite(np.take_along_axis(squares, order, axis=1))
        ranks = np.arange(1, hits.shape[1] + 1)
        count = hits.sum(1)
        with np.errstate(invalid="ignore"):
            yield (np.cumsum(hits, 1) / ranks * hits).sum(1) / count


def _mean(values: np.ndarray) -> float | None:
    """The mean of what is a number; None of nothing."""
    known = values[~np.isnan(values.astype(float))]
    return float(known.mean()) if len(known) else None
