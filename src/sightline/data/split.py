"""The split into train, validation and test: stratified, seeded, stable, groups of duplicates on one side.

Within each class the groups stand in an order decided by the seed and the content of their pictures, so neither file
names nor folder order matter, and adding a picture hardly moves the others. From the front of that order each part is
filled to its share; what is left is train. A class of three groups or more appears in train, validation and test, a
class of two in train and in the part filled first.
"""

from __future__ import annotations

import hashlib

import numpy as np


def split(labels: np.ndarray, groups: np.ndarray, keys: np.ndarray, parts: dict[str, float], seed: int) -> np.ndarray:
    """The part of each of N rows, str [N]: a name of `parts`, or "train".

    `labels` int [N]; `groups` int [N]; `keys` uint8 [N, 32], a hash of each picture's content; `parts` maps names to
    the share of each class they get, filled in that order. A group that spans classes counts to the class of its
    first row.
    """
    unique, first, member, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = _order(keys, member, len(unique), seed)
    owner = labels[first][order]
    chosen = np.zeros(len(unique), np.int8)
    for label in np.unique(owner):
        _fill(order[owner == label].tolist(), sizes, list(parts.values()), chosen)
    return np.asarray(["train", *parts], dtype="<U10")[chosen[member]]


def part(labels: np.ndarray, keys: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Which of N rows make a `share` in (0, 1] of them, bool [N]: of every class that share, and at least one row.

    `labels` and `keys` as for `split`. Of one seed, a larger share holds every smaller one.
    """
    order = _order(keys, np.arange(len(labels)), len(labels), seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        chosen[of_class[: max(1, round(share * len(of_class)))]] = True
    return chosen


def _order(keys: np.ndarray, member: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The groups, sorted by a hash of the seed and of the group's smallest picture hash."""
    words = np.ascontiguousarray(keys).view(">u8")
    by_group = np.lexsort((words[:, 1], words[:, 0], member))
    smallest = by_group[np.searchsorted(member[by_group], np.arange(count))]
    salt = hashlib.sha256(b"%d" % seed)
    hashed = np.empty(count, ">u8")
    for group, row in enumerate(smallest):
        salted = salt.copy()
        salted.update(keys[row].tobytes())
        hashed[group] = int.from_bytes(salted.digest()[:8], "big")
    return np.argsort(hashed, kind="stable")


def _fill(groups: list[int], sizes: np.ndarray, fracs: list[float], chosen: np.ndarray) -> None:
    """Write into `chosen` which part (1, 2, ...; 0 is train) each of the ordered `groups` of one class goes to.

    A part takes the next group that still fits into its share, or else the smallest there is; it always leaves one
    group for each part after it, and one for train.
    """
    total = int(sizes[groups].sum())
    left = len(groups)
    for part, frac in enumerate(fracs, 1):
        target = max(1, round(frac * total)) if frac > 0 else 0
        spare = left - 1 - sum(f > 0 for f in fracs[part:]) if len(groups) > 2 else left - 1
        free = [group for group in groups if not chosen[group]]
        taken: list[int] = []
        got = 0
        for group in free:
            if len(taken) < spare and got + sizes[group] <= target:
                taken.append(group)
                got += int(sizes[group])
        if target and spare > 0 and not taken:
            taken = [min(free, key=lambda g: sizes[g])]
        chosen[taken] = part
        left -= len(taken)
