"""Convolution by products of matrices: every window a row (`im2col`), every kernel a column.

Where each kernel sees one channel of its own there are no matrices worth the name: then shifted pictures are summed.
"""

from __future__ import annotations

import numpy as np

from sightline.scratch.functional.geometry import Geometry, Pair, padded, tap, windows
from sightline.scratch.functional.slices import in_slices

SHORT = 16  # numbers that lie side by side in a window's row, below which they are gathered pixel by pixel
GROWS = 2.5  # times as many places in the picture as windows, above which gradients are laid back from these


def im2col(x: np.ndarray, kernel: Pair, geometry: Geometry) -> np.ndarray:
    """Every window of `x` as a row: [G, N * P * Q, R * S * C/G]. A convolution is then one product of matrices."""
    view = windows(padded(x, geometry.padding), kernel, geometry)
    g, n, p, q, r, s, c = view.shape
    if s * c < SHORT:  # the same matrix, laid down column by column
        return view.transpose(0, 4, 5, 6, 1, 2, 3).reshape(g, r * s * c, n * p * q).transpose(0, 2, 1)
    return view.reshape(g, n * p * q, r * s * c)


def col2im(columns: np.ndarray, shape: tuple[int, ...], kernel: Pair, geometry: Geometry) -> np.ndarray:
    """The transpose of `im2col`: rows laid back as windows of a picture of `shape` [N, H, W, C], overlaps added."""
    n, h, w, c = shape
    down, across = geometry.padding
    places = geometry.places((h, w), kernel)
    laid = columns.reshape(geometry.groups, n, *places, *kernel, c // geometry.groups)
    out = np.zeros((n, h + 2 * down, w + 2 * across, c), columns.dtype)
    of_groups = out.reshape(*out.shape[:3], geometry.groups, -1)
    for r, s in np.ndindex(kernel):
        of_groups[tap(r, s, places, geometry)] += np.moveaxis(laid[:, :, :, :, r, s], 0, 3)
    return out[:, down : down + h, across : across + w]


def forward(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Some pictures at a time, as their columns take many times their room."""
    k, r, s, _ = weight.shape
    places = geometry.places((x.shape[1], x.shape[2]), (r, s))
    y = np.empty((len(x), *places, k), np.result_type(x, weight))
    work = _by_taps if is_depthwise(weight, geometry) else _by_matrices
    in_slices(lambda part: work(x[part], weight, geometry, y[part]), len(x), _room(x, weight, places))
    return y


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, input_too: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """The gradients of x (None without `input_too`) and of the weights."""
    dx = np.empty(x.shape, dy.dtype) if input_too else None
    work = _by_taps_back if is_depthwise(weight, geometry) else _by_matrices_back

    def part_of(part: slice) -> np.ndarray:
        return work(dy[part], x[part], weight, geometry, None if dx is None else dx[part])

    parts = in_slices(part_of, len(x), _room(x, weight, (dy.shape[1], dy.shape[2])))
    return dx, sum(parts[1:], parts[0]) if parts else np.zeros_like(weight)


def is_depthwise(weight: np.ndarray, geometry: Geometry) -> bool:
    """Whether each kernel sees one channel of its own: then sums of shifted pictures beat many tiny matrices."""
    return weight.shape[3] == 1 and len(weight) == geometry.groups > 1


def _room(x: np.ndarray, weight: np.ndarray, places: Pair) -> int:
    """Bytes of one picture's columns."""
    return places[0] * places[1] * weight.shape[1] * weight.shape[2] * x.shape[3] * x.itemsize


def _by_matrices(x: np.ndarray, weight: np.ndarray, geometry: Geometry, y: np.ndarray) -> None:
    k, r, s, c = weight.shape
    g = geometry.groups
    columns = im2col(x, (r, s), geometry)
    matrix = weight.reshape(g, k // g, r * s * c).transpose(0, 2, 1)
    if g == 1:
        np.matmul(columns[0], matrix[0], out=y.reshape(-1, k))
    else:
        y.reshape(-1, g, k // g)[:] = (columns @ matrix).transpose(1, 0, 2)


def _by_matrices_back(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, dx: np.ndarray | None
) -> np.ndarray:
    k, r, s, c = weight.shape
    g = geometry.groups
    out = dy.reshape(-1, g, k // g).transpose(1, 0, 2)  # [G, rows, K/G]
    if dx is not None:
        turned = _turned(weight, geometry, dy.shape, x.shape)
        if turned:
            _by_matrices(dy, *turned, dx)
        else:
            dx[:] = col2im(out @ weight.reshape(g, k // g, r * s * c), x.shape, (r, s), geometry)
    return (out.transpose(0, 2, 1) @ im2col(x, (r, s), geometry)).reshape(weight.shape)


def _turned(
    weight: np.ndarray, geometry: Geometry, dy: tuple[int, ...], x: tuple[int, ...]
) -> tuple[np.ndarray, Geometry] | None:
    """The convolution of dy that gives dx: kernels turned around, their channels in and out exchanged.

    Without strides a pixel (i, j) met weight (r, s) in the window at (i - r, j - s), so dx is dy, in a frame, under the
    kernels turned around. None where that is not so, or means many more products than laying windows back.
    """
    k, *kernel, c = weight.shape
    g = geometry.groups
    frame = [d * (width - 1) - pad for d, width, pad in zip(geometry.dilation, kernel, geometry.padding, strict=True)]
    if geometry.stride != (1, 1) or min(frame) < 0 or x[1] * x[2] > GROWS * dy[1] * dy[2]:
        return None
    by_group = weight[:, ::-1, ::-1].reshape(g, k // g, *kernel, c)
    exchanged = by_group.transpose(0, 4, 2, 3, 1).reshape(g * c, *kernel, k // g)
    return exchanged, Geometry((1, 1), (frame[0], frame[1]), geometry.dilation, g)


def _by_taps(x: np.ndarray, weight: np.ndarray, geometry: Geometry, y: np.ndarray) -> None:
    kernel = weight.shape[1], weight.shape[2]
    of, places = padded(x, geometry.padding), (y.shape[1], y.shape[2])
    y[:] = 0
    for r, s in np.ndindex(kernel):
        y += of[tap(r, s, places, geometry)] * weight[:, r, s, 0]


def _by_taps_back(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, dx: np.ndarray | None
) -> np.ndarray:
    kernel = weight.shape[1], weight.shape[2]
    of, places = padded(x, geometry.padding), (dy.shape[1], dy.shape[2])
    dweight = np.empty(weight.shape, dy.dtype)
    into = None if dx is None else np.zeros(of.shape, dy.dtype)
    for r, s in np.ndindex(kernel):
        where = tap(r, s, places, geometry)
        dweight[:, r, s, 0] = np.einsum("npqk,npqk->k", of[where], dy)
        if into is not None:
            into[where] += dy * weight[:, r, s, 0]
    if dx is not None and into is not None:
        down, across = geometry.padding
        dx[:] = into[:, down : down + x.shape[1], across : across + x.shape[2]]
    return dweight
