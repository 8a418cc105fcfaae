"""Convolution as a product of spectra (the convolution theorem): it gains where kernels are large.

A correlation of x and w is, frequency by frequency, X times the conjugate of W; summed over the channels that is a
small product of matrices at each frequency. Strides keep every so many outputs of the dense answer; dilation is a
kernel with zeros between. Both gradients are products of the same spectra: of x that of dy times W, of w that of X
times the conjugate of dY.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from sightline.scratch.functional.geometry import Geometry, Pair, padded

AXES = (1, 2)


def forward(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """[N, P, Q, K] of `x` [N, H, W, C] and `weight` [K, R, S, C/G]."""
    of = padded(x, geometry.padding)
    size = _size(of)
    places = geometry.places((x.shape[1], x.shape[2]), (weight.shape[1], weight.shape[2]))
    pictures = _grouped(_spectrum(of, size), geometry.groups)  # [u, v, G, N, C/G]
    kernels = _by_group(_spectrum(_spread(weight, geometry.dilation), size), geometry.groups)  # [u, v, G, K/G, C/G]
    dense = _picture(pictures @ kernels.conj().swapaxes(-1, -2), size)
    return np.ascontiguousarray(_strided(dense, places, geometry.stride), np.result_type(x, weight))


def backward(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, input_too: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """Gradients of `x` and `weight`."""
    of = padded(x, geometry.padding)
    size = _size(of)
    (down, across), (n, p, q, k) = geometry.stride, dy.shape
    dense = np.zeros((n, down * (p - 1) + 1, across * (q - 1) + 1, k), dy.dtype)
    dense[:, ::down, ::across] = dy
    outputs = _grouped(_spectrum(dense, size), geometry.groups)  # [u, v, G, N, K/G]
    pictures = _grouped(_spectrum(of, size), geometry.groups)
    by_kernel = outputs.conj().swapaxes(-1, -2) @ pictures  # [u, v, G, K/G, C/G]
    u, v, g, k, c = by_kernel.shape
    laid = fft.irfft2(by_kernel.reshape(u, v, g * k, c).transpose(2, 0, 1, 3), size, axes=AXES)
    dweight = _strided(laid, (weight.shape[1], weight.shape[2]), geometry.dilation)
    dx = None
    if input_too:
        kernels = _by_group(_spectrum(_spread(weight, geometry.dilation), size), geometry.groups)
        down, across = geometry.padding
        whole = _picture(outputs @ kernels, size)[:, down : down + x.shape[1], across : across + x.shape[2]]
        dx = np.ascontiguousarray(whole, dy.dtype)
    return dx, np.ascontiguousarray(dweight, weight.dtype)


def _size(x: np.ndarray) -> Pair:
    """A fast length for spectra of the padded `x`: nothing of a valid window wraps around."""
    return fft.next_fast_len(x.shape[1], real=True), fft.next_fast_len(x.shape[2], real=True)


def _spectrum(x: np.ndarray, size: Pair) -> np.ndarray:
    """[u, v, N, C] of [N, H, W, C]."""
    return fft.rfft2(x, size, axes=AXES).transpose(1, 2, 0, 3)


def _grouped(spectrum: np.ndarray, groups: int) -> np.ndarray:
    """Channels by their groups: [u, v, N, C] as [u, v, G, N, C/G]."""
    u, v, n, c = spectrum.shape
    return spectrum.reshape(u, v, n, groups, c // groups).swapaxes(2, 3)


def _by_group(spectrum: np.ndarray, groups: int) -> np.ndarray:
    """Kernels by their groups: [u, v, K, C/G] as [u, v, G, K/G, C/G]."""
    u, v, k, c = spectrum.shape
    return spectrum.reshape(u, v, groups, k // groups, c)


def _picture(spectrum: np.ndarray, size: Pair) -> np.ndarray:
    """[N, H, W, K] of [u, v, G, N, K/G]."""
    u, v, g, n, k = spectrum.shape
    return fft.irfft2(spectrum.transpose(3, 0, 1, 2, 4).reshape(n, u, v, g * k), size, axes=AXES)


def _spread(weight: np.ndarray, dilation: Pair) -> np.ndarray:
    """Kernels with zeros between, as dilation has them."""
    k, r, s, c = weight.shape
    out = np.zeros((k, dilation[0] * (r - 1) + 1, dilation[1] * (s - 1) + 1, c), weight.dtype)
    out[:, :: dilation[0], :: dilation[1]] = weight
    return out


def _strided(dense: np.ndarray, places: Pair, step: Pair) -> np.ndarray:
    return dense[:, : step[0] * (places[0] - 1) + 1 : step[0], : step[1] * (places[1] - 1) + 1 : step[1]]
