"""How a window moves over a picture: stride, padding, dilation and groups; every window as a view, without a copy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from sightline.core.errors import UserError

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Steps between windows, rows and columns of zeros around, steps between a window's own pixels, and groups."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def places(self, size: Pair, kernel: Pair) -> Pair:
        """How many windows of `kernel` fit in a picture of `size`, down and across; UserError when none does."""
        rows, columns = (
            (length + 2 * pad - dilation * (width - 1) - 1) // stride + 1
            for length, width, stride, pad, dilation in zip(
                size, kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )
        if rows < 1 or columns < 1:
            raise UserError(
                f"a window of {kernel[0]} x {kernel[1]} does not fit a picture of {size[0]} x {size[1]} with "
                f"padding {self.padding} and dilation {self.dilation}: take a larger picture, or more padding"
            )
        return rows, columns


def padded(x: np.ndarray, padding: Pair, value: float = 0) -> np.ndarray:
    """`x` [N, H, W, C] with `padding` rows and columns of `value` around; `x` itself where that is none."""
    if padding == (0, 0):
        return x
    (n, h, w, c), (down, across) = x.shape, padding
    out = np.empty((n, h + 2 * down, w + 2 * across, c), x.dtype)
    out[:, :down] = out[:, down + h :] = value
    out[:, :, :across] = out[:, :, across + w :] = value
    out[:, down : down + h, across : across + w] = x
    return out


def windows(x: np.ndarray, kernel: Pair, geometry: Geometry) -> np.ndarray:
    """Every window of the padded `x` [N, H, W, C], as a view [G, N, P, Q, R, S, C/G]: no number is copied.

    Window (p, q) of R x S pixels begins at (p * stride, q * stride); its pixel (r, s) lies r * dilation, s * dilation
    further. So a step in p, q, r or s is a step of fixed length in memory, and strides alone describe them all.
    """
    n, h, w, c = x.shape
    rows, columns = Geometry(geometry.stride, (0, 0), geometry.dilation).places((h, w), kernel)
    by_picture, by_row, by_column, by_channel = x.strides
    of_group = c // geometry.groups
    return as_strided(
        x,
        (geometry.groups, n, rows, columns, *kernel, of_group),
        (
            of_group * by_channel, by_picture, geometry.stride[0] * by_row, geometry.stride[1] * by_column,
            geometry.dilation[0] * by_row, geometry.dilation[1] * by_column, by_channel,
        ),
        writeable=False,
    )  # fmt: skip


def tap(r: int, s: int, places: Pair, geometry: Geometry) -> tuple[slice, slice, slice]:
    """Where in a padded [N, H, W, C] pixel (r, s) of every window lies."""
    down, across = r * geometry.dilation[0], s * geometry.dilation[1]
    return (
        slice(None),
        slice(down, down + geometry.stride[0] * (places[0] - 1) + 1, geometry.stride[0]),
        slice(across, across + geometry.stride[1] * (places[1] - 1) + 1, geometry.stride[1]),
    )
