"""Which rows are the same picture, and which nearly: every row gets a group.

Exact: equal SHA-256. Near: perceptual hashes within a few bits, confirmed on the grey thumbnails. Looking for near
pairs sorts the hashes under 16 rotations of their bits and compares each row with a few neighbours in each order
(sorted tables after Manku, Jain and Das Sarma, WWW 2007), so the work grows as N log N whatever the pictures are;
60,000 white pictures cost no more than others.
"""

from __future__ import annotations

import numpy as np

BITS_APART = 8  # of 64
THUMB_APART = 4.0  # mean absolute difference of the 16 x 16 grey thumbnails, of 255
CONTRAST_FRAC = 0.08  # and at most this share of the thumbnail's own mean absolute deviation
FLAT = 6.0  # a thumbnail whose mean absolute deviation is below says nothing
ROTATIONS = range(0, 64, 4)
NEIGHBOURS = 8
BLOCK = 1 << 17  # pairs whose thumbnails are compared at a time


def exact_groups(sha256: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each of `rows` the first of them with the same hash (uint8 [N, 32]): int64, its position in `rows`."""
    words = np.ascontiguousarray(sha256[rows]).view("<u8")
    order = np.lexsort((np.arange(len(rows)), *words.T))
    new = np.ones(len(rows), bool)
    new[1:] = (words[order][1:] != words[order][:-1]).any(1)
    first = np.empty(len(rows), np.int64)
    first[order] = order[new][np.cumsum(new) - 1] if len(rows) else order
    return first


def near_pairs(phash: np.ndarray, thumb: np.ndarray) -> np.ndarray:
    """Pairs of positions int64 [P, 2] whose pictures look the same, from hashes [N] and thumbnails uint8 [N, 256]."""
    deviation = _deviation(thumb)
    rows = np.flatnonzero(deviation > FLAT)
    rows = rows[np.argsort(thumb[rows].mean(1), kind="stable")]
    found = [np.empty((0, 2), np.int64)]
    for turn in ROTATIONS:
        turned = (phash[rows] << np.uint64(turn)) | (phash[rows] >> np.uint64(-turn % 64))
        order = rows[np.argsort(turned, kind="stable")]
        for step in range(1, NEIGHBOURS + 1):
            a, b = order[:-step], order[step:]
            close = np.bitwise_count(phash[a] ^ phash[b]) <= BITS_APART
            found.append(_confirmed(np.stack([a[close], b[close]], 1), thumb, deviation))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def join(count: int, pairs: np.ndarray) -> np.ndarray:
    """The connected parts of `count` rows under `pairs` [P, 2]: for each row the smallest row of its part, int32."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    part = connected_components(links, directed=False)[1]
    return np.unique(part, return_index=True)[1].astype(np.int32)[part]


def _deviation(thumb: np.ndarray) -> np.ndarray:
    """Mean absolute deviation of each thumbnail from its own mean, float32 [N]."""
    deviation = np.empty(len(thumb), np.float32)
    for start in range(0, len(thumb), BLOCK):
        part = thumb[start : start + BLOCK].astype(np.float32)
        deviation[start : start + BLOCK] = np.abs(part - part.mean(1, keepdims=True)).mean(1)
    return deviation


def _confirmed(pairs: np.ndarray, thumb: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    kept = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pairs), BLOCK):
        part = pairs[start : start + BLOCK]
        a, b = thumb[part[:, 0]].astype(np.int16), thumb[part[:, 1]].astype(np.int16)
        apart = np.abs(a - b).mean(1)
        contrast = np.minimum(deviation[part[:, 0]], deviation[part[:, 1]])
        kept.append(part[apart <= np.minimum(THUMB_APART, CONTRAST_FRAC * contrast)])
    return np.concatenate(kept)
