"""The split into train, validation and test: stratified, seeded, stable, groups of duplicates on one side.

Within each class the groups stand in an order decided by the seed and the content of their first picture, so neither
file names nor folder order matter, and adding a picture hardly moves the others. From the front of that order the
test part is filled, then the validation part; the rest is train. A class of three groups or more appears in every
part asked for, a class of two in train and in the first part asked for.
"""

from __future__ import annotations

import hashlib

import numpy as np


def split(
    labels: np.ndarray, groups: np.ndarray, keys: np.ndarray, parts: dict[str, float], seed: int, rest: str = "train"
) -> np.ndarray:
    """The part of each of N rows, str [N].

    `labels` int [N]; `groups` int [N]; `keys` uint8 [N, 32], a hash of each picture; `parts` maps names to the share
    of each class they get, filled in that order; what is left over is `rest`. A group that spans classes counts to
    the class of its first row.
    """
    names = (rest, *parts)
    result = np.zeros(len(labels), np.int8)
    unique, first, member, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    order = _order(keys, member, len(unique), seed)
    chosen = np.zeros(len(unique), np.int8)
    for label in np.unique(labels[first]):
        mine = order[labels[first][order] == label]
        _fill(mine, sizes, list(parts.values()), chosen)
    result = chosen[member]
    return np.asarray(names, dtype=np.str_)[result]


def _order(keys: np.ndarray, member: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The groups in the order of a keyed hash of their smallest picture hash."""
    salt = hashlib.sha256(b"split %d" % seed).digest()
    words = np.ascontiguousarray(keys).view(">u8")
    first = np.lexsort((words[:, 1], words[:, 0], member))
    starts = np.searchsorted(member[first], np.arange(count))
    hashed = [hashlib.blake2b(keys[row].tobytes(), key=salt, digest_size=8).digest() for row in first[starts]]
    return np.argsort(np.frombuffer(b"".join(hashed), ">u8"), kind="stable")


def _fill(groups: np.ndarray, sizes: np.ndarray, fracs: list[float], chosen: np.ndarray) -> None:
    """Write into `chosen` which part (1, 2, ...; 0 stays the rest) each of the ordered `groups` of one class gets."""
    total = int(sizes[groups].sum())
    left = list(groups)
    for part, frac in enumerate(fracs, 1):
        later = 1 + sum(f > 0 for f in fracs[part:]) if len(groups) > len(fracs) else 1
        target = max(1, round(frac * total)) if frac > 0 else 0
        got = 0
        for group in [g for g in left if sizes[g] <= target] if target else []:
            if len(left) > later and got + sizes[group] <= target:
                chosen[group] = part
                left.remove(group)
                got += sizes[group]
        if target and not got and len(left) > later:
            smallest = min(left, key=lambda g: sizes[g])
            chosen[smallest] = part
            left.remove(smallest)
