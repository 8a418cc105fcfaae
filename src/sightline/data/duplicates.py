"""Which rows are the same picture, and which nearly: every row gets a group.

Exact: equal SHA-256. Near: perceptual hashes within a few bits, confirmed on the grey thumbnails, each brought to mean
0 and mean absolute deviation 1, so that a change of brightness or contrast does not matter.

Looking for near copies sorts the hashes under 16 rotations of their bits and compares each row with a few neighbours
in each order (sorted tables after Manku, Jain and Das Sarma, WWW 2007), so the work grows as N log N whatever the
pictures are: 60,000 white pictures cost no more than others. What it may miss is a pair of near copies in a crowd of
others with nearly the same hash.

The limits were set on real pictures. Of clothing photos and ImageNet photos saved at JPEG quality 30, halved, brighter
by a tenth or cut by 1 %, 99 % and more lie below 0.15, and no two different ones do. Digits of MNIST come that near by
themselves (14,331 pairs), and not one pair below 0.04: hence the second limit for small pictures.
"""

from __future__ import annotations

import numpy as np

BITS_APART = 8  # of 64
APART = 0.15  # mean absolute difference of two normalised thumbnails
APART_SMALL = 0.04  # where the shorter side of one is below SMALL pixels
SMALL = 48
FLAT = 6.0  # a thumbnail whose mean absolute deviation (of 255) is below says nothing
ROTATIONS = range(0, 64, 4)
NEIGHBOURS = 8
BLOCK = 1 << 15  # pairs whose thumbnails are compared at a time


def exact_groups(sha256: np.ndarray) -> np.ndarray:
    """For each of N hashes (uint8 [N, 32]) the first row with the same one, int64 [N]."""
    words = np.ascontiguousarray(sha256).view("<u8")
    order = np.lexsort((np.arange(len(words)), *words.T))
    new = np.ones(len(words), bool)
    new[1:] = (words[order][1:] != words[order][:-1]).any(1)
    first = np.empty(len(words), np.int64)
    first[order] = order[new][np.cumsum(new) - 1] if len(words) else order
    return first


def near_groups(phash: np.ndarray, thumb: np.ndarray, short_side: np.ndarray) -> np.ndarray:
    """The group of each of N pictures: the smallest row that looks like it, directly or through others, int32 [N].

    `phash` uint64 [N], `thumb` uint8 [N, 256], `short_side` in pixels [N].
    """
    group = np.arange(len(phash), dtype=np.int32)
    limit = np.where(short_side < SMALL, np.float32(APART_SMALL), np.float32(APART))
    rows = np.flatnonzero(_deviation(thumb) > FLAT)
    rows = rows[np.argsort(thumb[rows].mean(1, dtype=np.float32), kind="stable")]
    for turn in ROTATIONS:
        turned = (phash[rows] << np.uint64(turn)) | (phash[rows] >> np.uint64(-turn % 64))
        order = rows[np.argsort(turned, kind="stable")].astype(np.int32)
        pairs = [_alike(order[:-step], order[step:], phash, thumb, limit, group) for step in range(1, NEIGHBOURS + 1)]
        group = join(group, np.concatenate(pairs))
    return group


def join(group: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """`group` (each row's smallest fellow, int32 [N]) after the rows of `pairs` [P, 2] are joined."""
    if not len(pairs):
        return group
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    joined = group[pairs]
    links = coo_array((np.ones(len(joined), bool), (joined[:, 0], joined[:, 1])), shape=(len(group), len(group)))
    part = connected_components(links, directed=False)[1]
    return np.unique(part, return_index=True)[1].astype(np.int32)[part][group]


def _alike(
    a: np.ndarray, b: np.ndarray, phash: np.ndarray, thumb: np.ndarray, limit: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """Those pairs of rows (a[i], b[i]) that look the same and are not in one group yet, [P, 2]."""
    close = (np.bitwise_count(phash[a] ^ phash[b]) <= BITS_APART) & (group[a] != group[b])
    pairs = np.stack([a[close], b[close]], 1)
    kept = [np.empty((0, 2), pairs.dtype)]
    for start in range(0, len(pairs), BLOCK):
        part = pairs[start : start + BLOCK]
        apart = np.abs(_normalised(thumb[part[:, 0]]) - _normalised(thumb[part[:, 1]])).mean(1)
        kept.append(part[apart <= limit[part].min(1)])
    return np.concatenate(kept)


def _normalised(thumb: np.ndarray) -> np.ndarray:
    """Thumbnails [B, 256] as float32 with mean 0 and mean absolute deviation 1."""
    values = thumb.astype(np.float32)
    values -= values.mean(1, keepdims=True)
    return values / np.maximum(np.abs(values).mean(1, keepdims=True), 1e-6)


def _deviation(thumb: np.ndarray) -> np.ndarray:
    """Mean absolute deviation of each thumbnail from its own mean, float32 [N]."""
    deviation = np.empty(len(thumb), np.float32)
    for start in range(0, len(thumb), BLOCK):
        values = thumb[start : start + BLOCK].astype(np.float32)
        deviation[start : start + BLOCK] = np.abs(values - values.mean(1, keepdims=True)).mean(1)
    return deviation
