"""What neighbours say of the data: pictures that are nearly the same, and those that may bear a wrong label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.search.backends import Backend

NEIGHBOURS = 10
SURE = 0.9  # of the neighbours that agree on another label


@dataclass(frozen=True)
class Suspect:
    """The picture in a `row`, whose neighbours nearly all, a `share` in [0, 1], bear the class `other`."""

    row: int
    other: int
    share: float


def others(backend: Backend, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances [N, k] and rows [N, k] of the nearest others of each of `vectors`, which `backend` holds."""
    squares, rows = backend.search(vectors, k + 1)
    kept = rows != np.arange(len(rows))[:, None]
    kept[kept.all(1), -1] = False  # itself was not found: the last goes
    return squares[kept].reshape(-1, k), rows[kept].reshape(-1, k)


def near_duplicates(squares: np.ndarray, rows: np.ndarray, within: float) -> list[list[int]]:
    """Groups of rows, ascending, that lie within squared distance `within` of another of their group.

    The largest come first; `squares` and `rows` are what `others` gives.
    """
    first = np.arange(len(rows))

    def root(row: int) -> int:
        while first[row] != row:
            first[row] = first[first[row]]
            row = first[row]
        return row

    for row, place in zip(*np.nonzero(squares <= within), strict=True):
        one, other = root(row), root(rows[row, place])
        first[max(one, other)] = min(one, other)
    groups: dict[int, list[int]] = {}
    for row in range(len(rows)):
        groups.setdefault(root(row), []).append(row)
    return sorted((group for group in groups.values() if len(group) > 1), key=lambda group: (-len(group), group))


def suspects(rows: np.ndarray, labels: np.ndarray, sure: float = SURE) -> list[Suspect]:
    """Pictures of which at least a share `sure` of the neighbours `rows` [N, k] bear one other label than theirs.

    The surest come first; `labels` int [N].
    """
    found = []
    for row, near in enumerate(labels[rows]):
        numbers, counts = np.unique(near, return_counts=True)
        other, share = int(numbers[counts.argmax()]), float(counts.max() / len(near))
        if other != labels[row] and share >= sure:
            found.append(Suspect(row, other, share))
    return sorted(found, key=lambda one: -one.share)
