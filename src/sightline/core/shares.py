"""Shares of pictures and how sure they are: a hit or a miss each, as coins that fall alike."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95


def wilson(hits: float, count: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval (95 % unless given) of a share of `hits` in `count`, 1 or more."""
    z, share = NormalDist().inv_cdf((1 + confidence) / 2), hits / count
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (middle - half if hits else 0.0), (middle + half if hits < count else 1.0)


def so_few(hits: int, count: int, share: float) -> float:
    """How likely at most `hits` in `count` are when each is one with probability `share` in (0, 1).

    Below d it is where Clopper and Pearson's one-sided upper bound of confidence 1 - d lies below `share`.
    """
    numbers = np.arange(hits)
    steps = np.log(count - numbers) - np.log(numbers + 1) + math.log(share) - math.log1p(-share)
    logs = count * math.log1p(-share) + np.concatenate([[0.0], np.cumsum(steps)])
    return float(np.exp(logs).sum())
