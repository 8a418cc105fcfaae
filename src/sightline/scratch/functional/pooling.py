"""Pooling: the largest or the mean of every window, or the mean of the whole picture. Pictures are [N, H, W, C]."""

from __future__ import annotations

import numpy as np

from sightline.scratch.functional.geometry import Geometry, Pair, padded, tap
from sightline.scratch.functional.slices import in_slices


def max_pool(x: np.ndarray, kernel: Pair, geometry: Geometry, *, ceil: bool = False) -> np.ndarray:
    """The largest of each window, [N, P, Q, C]; padding never is. With `ceil` windows may end beyond the edge."""
    of, places = _laid(x, kernel, geometry, ceil, -np.inf)
    y = np.empty((len(x), *places, x.shape[3]), x.dtype)

    def work(part: slice) -> None:
        y[part] = of[part][tap(0, 0, places, geometry)]
        for r, s in list(np.ndindex(kernel))[1:]:
            np.maximum(y[part], of[part][tap(r, s, places, geometry)], out=y[part])

    in_slices(work, len(x), _room(of))
    return y


def max_pool_gradient(
    dy: np.ndarray, x: np.ndarray, y: np.ndarray, kernel: Pair, geometry: Geometry, *, ceil: bool = False
) -> np.ndarray:
    """What `dy` means for `x`, whose pooling was `y`: all of it goes to the first largest pixel of each window."""
    of, places = _laid(x, kernel, geometry, ceil, -np.inf)
    into = np.zeros(of.shape, dy.dtype)
    sides = zip(kernel, geometry.stride, geometry.dilation, strict=True)
    apart = all(dilation * (width - 1) < stride for width, stride, dilation in sides)

    def work(part: slice) -> None:
        if apart:
            if all_differ(part):
                return
            into[part] = 0
        left = np.ones(y[part].shape, bool)
        for r, s in np.ndindex(kernel):
            place = tap(r, s, places, geometry)
            here = of[part][place] == y[part]
            here &= left
            left ^= here
            into[part][place] += dy[part] * here

    def all_differ(part: slice) -> bool:
        """Whether no window has two largest pixels; then all is done."""
        largest = 0
        for r, s in np.ndindex(kernel):
            place = tap(r, s, places, geometry)
            here = of[part][place] == y[part]
            largest += int(np.count_nonzero(here))
            np.multiply(dy[part], here, out=into[part][place])
        return largest == y[part].size

    in_slices(work, len(x), _room(of))
    return _within(into, x, geometry)


def average_pool(x: np.ndarray, kernel: Pair, geometry: Geometry) -> np.ndarray:
    """The mean of each window, [N, P, Q, C]; padding counts as zeros."""
    of, places = _laid(x, kernel, geometry, False, 0)
    y = np.zeros((len(x), *places, x.shape[3]), x.dtype)
    for r, s in np.ndindex(kernel):
        y += of[tap(r, s, places, geometry)]
    return y / (kernel[0] * kernel[1])


def average_pool_gradient(dy: np.ndarray, x: np.ndarray, kernel: Pair, geometry: Geometry) -> np.ndarray:
    """What `dy` means for `x`: each pixel of a window has an equal share."""
    of, places = _laid(x, kernel, geometry, False, 0)
    into, share = np.zeros(of.shape, dy.dtype), dy / (kernel[0] * kernel[1])
    for r, s in np.ndindex(kernel):
        into[tap(r, s, places, geometry)] += share
    return _within(into, x, geometry)


def global_pool(x: np.ndarray) -> np.ndarray:
    """The mean of each channel over the whole picture, [N, C]."""
    return x.mean((1, 2))


def global_pool_gradient(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What `dy` [N, C] means for `x`: the same for every pixel of a channel."""
    h, w = x.shape[1:3]
    return np.broadcast_to((dy / (h * w))[:, None, None, :], x.shape).astype(dy.dtype)


def _laid(x: np.ndarray, kernel: Pair, geometry: Geometry, ceil: bool, value: float) -> tuple[np.ndarray, Pair]:
    """`x` with its padding, and with what windows that end beyond the edge need; and how many windows there are."""
    places = geometry.places((x.shape[1], x.shape[2]), kernel)
    of = padded(x, geometry.padding, value)
    if not ceil:
        return of, places
    sides = zip(x.shape[1:3], places, kernel, geometry.stride, geometry.padding, geometry.dilation, strict=True)
    reach = []
    for axis, (length, count, width, stride, pad, dilation) in enumerate(sides):
        more = count * stride < length + pad and (count - 1) * stride + dilation * (width - 1) + 1 < length + 2 * pad
        reach.append(count + more)
        beyond = (reach[axis] - 1) * stride + dilation * (width - 1) + 1 - of.shape[axis + 1]
        if beyond > 0:
            around = [(0, 0)] * 4
            around[axis + 1] = (0, beyond)
            of = np.pad(of, around, constant_values=value)
    return of, (reach[0], reach[1])


def _room(of: np.ndarray) -> int:
    """Bytes of one picture."""
    return of[:1].nbytes


def _within(into: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
    down, across = geometry.padding
    return into[:, down : down + x.shape[1], across : across + x.shape[2]]
