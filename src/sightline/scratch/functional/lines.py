"""Lines: many pixels' channels side by side, for what is done to every number or every channel.

NumPy goes along the last axis at full speed and pays at each of its ends: 16 channels are a short way, 64 pixels of
them a long one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sightline.scratch.functional.slices import Result, in_slices

LONG = 1024  # numbers in a line at most, unless one pixel has more


def lines(x: np.ndarray) -> np.ndarray:
    """`x` [..., C] as [L, k * C], k pixels a line; a view of what lies in memory as it is written."""
    channels = x.shape[-1]
    fitting = 1 << max(LONG // channels, 1).bit_length() - 1
    return x.reshape(-1, math.gcd(x.size // channels, fitting) * channels)


def along(values: np.ndarray, of: np.ndarray) -> np.ndarray:
    """`values` [C], again for each pixel of a line of `of`."""
    return np.tile(values, of.shape[1] // len(values))


def in_lines(work: Callable[[slice], Result], of: np.ndarray) -> list[Result]:
    """`in_slices` of the lines `of`, for work that makes a few numbers of each of theirs."""
    return in_slices(work, len(of), 2 * of.shape[1] * of.itemsize)


def column_sums(x: np.ndarray) -> np.ndarray:
    """The sums of the columns of `x` [M, C], as a product with ones, which is faster."""
    return np.ones(len(x), x.dtype) @ x


def channel_sums(found: list[np.ndarray], channels: int) -> np.ndarray:
    """The sum for each channel [C] of sums along lines [k * C], one of each slice."""
    return np.add.reduce(found).reshape(-1, channels).sum(0)
