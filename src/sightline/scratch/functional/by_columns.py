"""Convolution by products of matrices: every window a row (`im2col`), every kernel a column.

Where each kernel sees one channel of its own there are no matrices worth the name: then shifted pictures are summed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sightline.scratch.functional.geometry import Geometry, Pair, padded, tap, windows
from sightline.scratch.functional.slices import in_slices

SHORT = 16  # numbers that lie side by side in a window's row, below which they are gathered pixel by pixel
FEW = 32  # channels of an input whose gradient is found by turned kernels


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
    g, places = geometry.groups, geometry.places((h, w), kernel)
    by_tap = columns.reshape(g, n, *places, *kernel, c // g)

    def pixels(r: int, s: int) -> np.ndarray:
        return by_tap[:, :, :, :, r, s].transpose(1, 2, 3, 0, 4).reshape(n, *places, c)

    return _laid_back(pixels, shape, kernel, geometry, columns.dtype)


def _laid_back(
    pixels: Callable[[int, int], np.ndarray], shape: tuple[int, ...], kernel: Pair, geometry: Geometry, dtype: np.dtype
) -> np.ndarray:
    """The picture of `shape` that is the sum of all windows, whose `pixels(r, s)` are [N, P, Q, C].

    One pixel of all windows at a time: then rows of them lie side by side in the picture.
    """
    n, h, w, c = shape
    (down, across), places = geometry.padding, geometry.places((h, w), kernel)
    out = np.zeros((n, h + 2 * down, w + 2 * across, c), dtype)
    for r, s in np.ndindex(kernel):
        out[tap(r, s, places, geometry)] += pixels(r, s)
    return out[:, down : down + h, across : across + w]


def forward(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Some pictures at a time, of a single one some rows, as columns take many times the room of what they are of."""
    kernel = weight.shape[1], weight.shape[2]
    places = geometry.places((x.shape[1], x.shape[2]), kernel)
    y = np.empty((len(x), *places, len(weight)), np.result_type(x, weight))
    work = _by_taps if is_depthwise(weight, geometry) else _by_matrices
    within, room = replace(geometry, padding=(0, 0)), _room(x, weight, places)
    if len(x) == 1:
        of = padded(x, geometry.padding)

        def rows(part: slice) -> None:
            last = (part.stop - 1) * geometry.stride[0] + (kernel[0] - 1) * geometry.dilation[0]
            work(of[:, part.start * geometry.stride[0] : last + 1], weight, within, y[:, part])

        in_slices(rows, places[0], room // places[0])
    else:
        in_slices(lambda part: work(padded(x[part], geometry.padding), weight, within, y[part]), len(x), room)
    return y


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, input_too: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """The gradients of x (None without `input_too`) and of the weights."""
    kernel, columns = weight.shape[1:3], _room(x, weight, (dy.shape[1], dy.shape[2]))
    of_weights = _weights_by_taps if is_depthwise(weight, geometry) else _weights_by_matrices
    of_input = _input_by_matrices
    if is_depthwise(weight, geometry):
        of_input = _input_by_taps
    elif weight.shape[3] <= FEW and geometry.stride == (1, 1) and dy.shape[1:3] == x.shape[1:3] and kernel != (1, 1):
        of_input = _input_by_turned_kernels
    dx = np.empty(x.shape, dy.dtype) if input_too else None

    def both(part: slice) -> np.ndarray:
        if dx is not None:
            dx[part] = of_input(dy[part], x.shape, weight, geometry)
        return of_weights(dy[part], x[part], weight, geometry)

    parts = in_slices(both, len(x), columns)
    return dx, sum(parts[1:], parts[0])


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


def _weights_by_matrices(dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    g, k = geometry.groups, len(weight)
    out = dy.reshape(-1, g, k // g).transpose(1, 2, 0)
    return (out @ im2col(x, weight.shape[1:3], geometry)).reshape(weight.shape)


def _input_by_matrices(dy: np.ndarray, shape: tuple[int, ...], weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    k, r, s, c = weight.shape
    g = geometry.groups
    out, by_tap = dy.reshape(-1, g, k // g).transpose(1, 0, 2), weight.reshape(g, k // g, r, s, c)

    def pixels(i: int, j: int) -> np.ndarray:
        return (out @ by_tap[:, :, i, j]).transpose(1, 0, 2).reshape(*dy.shape[:3], g * c)

    return _laid_back(pixels, (len(dy), *shape[1:]), (r, s), geometry, dy.dtype)


def _input_by_turned_kernels(
    dy: np.ndarray, shape: tuple[int, ...], weight: np.ndarray, geometry: Geometry
) -> np.ndarray:
    """Without strides the gradient of the input is a convolution too, and of few channels a faster one.

    Pixel (i, j) met weight (r, s) in the window at (i - r, j - s): dx is dy, in a frame, under the kernels turned
    around, their channels in and out exchanged.
    """
    k, r, s, c = weight.shape
    g = geometry.groups
    frame = [d * (width - 1) - pad for d, width, pad in zip(geometry.dilation, (r, s), geometry.padding, strict=True)]
    exchanged = weight[:, ::-1, ::-1].reshape(g, k // g, r, s, c).transpose(0, 4, 2, 3, 1).reshape(g * c, r, s, k // g)
    dx = np.empty((len(dy), *shape[1:]), dy.dtype)
    _by_matrices(padded(dy, (frame[0], frame[1])), exchanged, replace(geometry, padding=(0, 0)), dx)
    return dx


def _by_taps(x: np.ndarray, weight: np.ndarray, geometry: Geometry, y: np.ndarray) -> None:
    places = y.shape[1], y.shape[2]
    y[:] = 0
    for r, s in np.ndindex(weight.shape[1:3]):
        y += x[tap(r, s, places, geometry)] * weight[:, r, s, 0]


def _weights_by_taps(dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    of, places = padded(x, geometry.padding), (dy.shape[1], dy.shape[2])
    dweight = np.empty(weight.shape, dy.dtype)
    for r, s in np.ndindex(weight.shape[1:3]):
        dweight[:, r, s, 0] = np.einsum("npqk,npqk->k", of[tap(r, s, places, geometry)], dy)
    return dweight


def _input_by_taps(dy: np.ndarray, shape: tuple[int, ...], weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    kernel = weight.shape[1], weight.shape[2]
    return _laid_back(lambda r, s: dy * weight[:, r, s, 0], (len(dy), *shape[1:]), kernel, geometry, dy.dtype)
