"""Convolution as it is defined: seven loops. Slow, as loops in Python are; what the other algorithms are held to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sightline.scratch.functional.geometry import Geometry, padded

Step = tuple[tuple[int, int, int, int], tuple[int, int, int, int], tuple[int, int, int, int]]


def forward(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """[N, P, Q, K] of `x` [N, H, W, C] and `weight` [K, R, S, C/G]."""
    of = padded(x, geometry.padding)
    places = geometry.places((x.shape[1], x.shape[2]), (weight.shape[1], weight.shape[2]))
    y = np.zeros((len(x), *places, len(weight)), np.result_type(x, weight))
    for out, pixel, kernel in _steps(y.shape, weight.shape, geometry):
        y[out] += of[pixel] * weight[kernel]
    return y


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, input_too: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """Gradients of `x` and `weight`: each product's two factors receive the other, times dy."""
    of = padded(x, geometry.padding)
    dx, dweight = np.zeros(of.shape, dy.dtype), np.zeros_like(weight)
    for out, pixel, kernel in _steps(dy.shape, weight.shape, geometry):
        dx[pixel] += dy[out] * weight[kernel]
        dweight[kernel] += dy[out] * of[pixel]
    down, across = geometry.padding
    return (dx[:, down : down + x.shape[1], across : across + x.shape[2]] if input_too else None), dweight


def _steps(y: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry) -> Iterator[Step]:
    """Each multiplication: the number it adds to, the pixel, and the kernel's number."""
    (n, p, q, k), (_, r, s, c) = y, weight
    of_group = k // geometry.groups
    for picture in range(n):
        for row in range(p):
            for column in range(q):
                for kernel in range(k):
                    for down in range(r):
                        for across in range(s):
                            for channel in range(c):
                                yield (
                                    (picture, row, column, kernel),
                                    (
                                        picture,
                                        row * geometry.stride[0] + down * geometry.dilation[0],
                                        column * geometry.stride[1] + across * geometry.dilation[1],
                                        kernel // of_group * c + channel,
                                    ),
                                    (kernel, down, across, channel),
                                )
