"""Convolution, and its gradients, by three algorithms that give the same numbers.

    y[n, p, q, k] = b[k] + sum over r, s, c of  x[n, p * stride + r * dilation - padding, ..., c] * w[k, r, s, c]

(a correlation, as every network library has it). Pictures are [N, H, W, C], channels last, so that a pixel's channels
lie side by side; weights [K, R, S, C/G]: K kernels of R x S pixels over the C/G channels of their group.

The gradients follow by asking where each number is used. w[k, r, s, c] multiplies the pixel under it in every window:

    dw[k, r, s, c] = sum over n, p, q of  dy[n, p, q, k] * (the pixel of window p, q under r, s)

and a pixel is used once by every window that covers it, so dx sums dy * w over those: the windows are laid back where
they came from, and what overlaps adds up (`col2im`, the transpose of `im2col`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple

import numpy as np

from sightline.core.errors import UserError
from sightline.scratch.functional import by_fft, by_loops
from sightline.scratch.functional.geometry import Geometry, Pair, padded, tap, windows
from sightline.scratch.functional.slices import in_slices

Method = Literal["auto", "im2col", "fft", "loops"]
MEASURED = 8  # pictures at most on which `auto` compares
TURNS = 3
LOOPS_LIMIT = 2_000_000  # multiplications; about two seconds


class Gradients(NamedTuple):
    """Of a layer's input (None where nobody asked), its weights and its bias."""

    x: np.ndarray | None
    weight: np.ndarray
    bias: np.ndarray


def convolution(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None, geometry: Geometry = Geometry(), *,
    method: Method = "auto",
) -> np.ndarray:  # fmt: skip
    """`x` [N, H, W, C] under the kernels `weight` [K, R, S, C/G] with `bias` [K]: [N, P, Q, K].

    `method` "loops" is the definition and takes small pictures only, "im2col" multiplies matrices, "fft" multiplies
    spectra, "auto" is the faster of the last two as measured here, once for each shape. UserError when the shapes do
    not meet.
    """
    places = check(x.shape, weight.shape, geometry)
    y = _forward(_chosen(method, x, weight, geometry, places))(x, weight, geometry)
    return y if bias is None else np.add(y, bias, out=y)


def convolution_gradients(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry = Geometry(), *, method: Method = "auto",
    input_too: bool = True,
) -> Gradients:  # fmt: skip
    """What `dy` [N, P, Q, K] means for `x`, `weight` and the bias; for `x` only with `input_too`."""
    places = check(x.shape, weight.shape, geometry)
    if dy.shape != (len(x), *places, len(weight)):
        raise UserError(f"gradients {list(dy.shape)} are not of outputs {[len(x), *places, len(weight)]}")
    backward = _backward(_chosen(method, x, weight, geometry, places))
    dx, dweight = backward(dy, x, weight, geometry, input_too)
    return Gradients(dx, dweight, dy.sum((0, 1, 2)))


def check(x: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry) -> Pair:
    """How many windows there are, down and across; UserError that names both shapes when they do not meet."""
    if len(x) != 4 or len(weight) != 4:
        raise UserError(f"pictures are [N, H, W, C] and kernels [K, R, S, C/G], not {list(x)} and {list(weight)}")
    groups = geometry.groups
    if x[3] != weight[3] * groups or weight[0] % groups:
        raise UserError(
            f"pictures {list(x)} and kernels {list(weight)} in {groups} groups do not meet: "
            f"kernels over {x[3] / groups:g} channels were needed, their number a multiple of {groups}"
        )
    return geometry.places((x[1], x[2]), (weight[1], weight[2]))


def im2col(x: np.ndarray, kernel: Pair, geometry: Geometry) -> np.ndarray:
    """Every window of `x` as a row: [G, N * P * Q, R * S * C/G]. A convolution is then one product of matrices."""
    view = windows(padded(x, geometry.padding), kernel, geometry)
    g, n, p, q, r, s, c = view.shape
    return view.reshape(g, n * p * q, r * s * c)


def col2im(columns: np.ndarray, shape: tuple[int, ...], kernel: Pair, geometry: Geometry) -> np.ndarray:
    """The transpose of `im2col`: rows laid back as windows of a picture of `shape` [N, H, W, C], overlaps added."""
    n, h, w, c = shape
    down, across = geometry.padding
    places = geometry.places((h, w), kernel)
    laid = columns.reshape(geometry.groups, n, *places, *kernel, c // geometry.groups)
    out = np.zeros((n, h + 2 * down, w + 2 * across, c), columns.dtype)
    of_groups = out.reshape(*out.shape[:3], geometry.groups, -1)
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            of_groups[tap(r, s, places, geometry)] += np.moveaxis(laid[:, :, :, :, r, s], 0, 3)
    return out[:, down : down + h, across : across + w]


def _by_columns(x: np.ndarray, weight: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Forward by `im2col`, some pictures at a time, as their columns take many times their room."""
    k, r, s, c = weight.shape
    g = geometry.groups
    places = geometry.places((x.shape[1], x.shape[2]), (r, s))
    y = np.empty((len(x), *places, k), np.result_type(x, weight))
    if _is_depthwise(weight, geometry):
        taps = weight[..., 0].transpose(1, 2, 0)  # [R, S, K]

        def work(part: slice) -> None:
            of = padded(x[part], geometry.padding)
            out = y[part]
            out[:] = 0
            for down in range(r):
                for across in range(s):
                    out += of[tap(down, across, places, geometry)] * taps[down, across]
    else:
        matrix = weight.reshape(g, k // g, r * s * c).transpose(0, 2, 1)

        def work(part: slice) -> None:
            columns = im2col(x[part], (r, s), geometry)
            if g == 1:
                np.matmul(columns[0], matrix[0], out=y[part].reshape(-1, k))
            else:
                product = (columns @ matrix).transpose(1, 0, 2)  # [rows, G, K/G]
                y[part].reshape(-1, g, k // g)[:] = product

    in_slices(work, len(x), places[0] * places[1] * r * s * c * g * x.itemsize)
    return y


def _by_columns_back(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray, geometry: Geometry, input_too: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    k, r, s, c = weight.shape
    g = geometry.groups
    places = (dy.shape[1], dy.shape[2])
    dx = np.empty(x.shape, dy.dtype) if input_too else None
    depthwise = _is_depthwise(weight, geometry)
    taps = weight[..., 0].transpose(1, 2, 0)
    matrix = weight.reshape(g, k // g, r * s * c)

    def by_taps(part: slice) -> np.ndarray:
        of, out = padded(x[part], geometry.padding), dy[part]
        pixels = [((i, j), tap(i, j, places, geometry)) for i in range(r) for j in range(s)]
        dweight = np.stack([np.einsum("npqk,npqk->k", of[where], out) for _, where in pixels])
        if dx is not None:
            into = np.zeros(of.shape, dy.dtype)
            for place, where in pixels:
                into[where] += out * taps[place]
            down, across = geometry.padding
            dx[part] = into[:, down : down + x.shape[1], across : across + x.shape[2]]
        return dweight.T.reshape(weight.shape)

    def by_matrices(part: slice) -> np.ndarray:
        columns = im2col(x[part], (r, s), geometry)
        out = dy[part].reshape(-1, g, k // g).transpose(1, 0, 2)  # [G, rows, K/G]
        if dx is not None:
            dx[part] = col2im(out @ matrix, x[part].shape, (r, s), geometry)
        return (out.transpose(0, 2, 1) @ columns).reshape(weight.shape)

    parts = in_slices(by_taps if depthwise else by_matrices, len(x), places[0] * places[1] * r * s * c * g * x.itemsize)
    return dx, sum(parts[1:], parts[0]) if parts else np.zeros_like(weight)


def _is_depthwise(weight: np.ndarray, geometry: Geometry) -> bool:
    """Whether each kernel sees one channel of its own: then sums of shifted pictures beat many tiny matrices."""
    return weight.shape[3] == 1 and len(weight) == geometry.groups > 1


Forward = Callable[[np.ndarray, np.ndarray, Geometry], np.ndarray]
Backward = Callable[
    [np.ndarray, np.ndarray, np.ndarray, Geometry, bool], tuple[np.ndarray | None, np.ndarray]
]  # fmt: skip


def _forward(method: str) -> Forward:
    return {"im2col": _by_columns, "fft": by_fft.forward, "loops": by_loops.forward}[method]


def _backward(method: str) -> Backward:
    return {"im2col": _by_columns_back, "fft": by_fft.backward, "loops": by_loops.backward}[method]


def _chosen(method: Method, x: np.ndarray, weight: np.ndarray, geometry: Geometry, places: Pair) -> str:
    """The algorithm meant; UserError when it is none, or the loops would take too long."""
    if method == "auto":
        return _faster((min(len(x), MEASURED), *x.shape[1:]), weight.shape, geometry, np.dtype(x.dtype).str)
    if method not in ("im2col", "fft", "loops"):
        raise UserError(f'no convolution by "{method}": auto, im2col, fft or loops')
    if method == "loops" and len(x) * places[0] * places[1] * weight.size > LOOPS_LIMIT:
        raise UserError(
            f"pictures {list(x.shape)} under kernels {list(weight.shape)} are too many multiplications for loops, "
            f"more than {LOOPS_LIMIT:,}: take smaller ones, or im2col"
        )
    return method


@cache
def _faster(x: tuple[int, ...], weight: tuple[int, ...], geometry: Geometry, dtype: str) -> str:
    """The faster of im2col and fft on drawn pictures of this shape."""
    if weight[1:3] == (1, 1) or not all(x):  # a spectrum has nothing to gain there
        return "im2col"
    random = np.random.default_rng(0)
    pictures, kernels = (random.standard_normal(shape).astype(dtype) for shape in (x, weight))
    seconds: dict[str, float] = {}
    for method in ("im2col", "fft"):
        taken = []
        for _ in range(TURNS):
            began = time.perf_counter()
            _forward(method)(pictures, kernels, geometry)
            taken.append(time.perf_counter() - began)
        seconds[method] = min(taken)
    return min(seconds, key=lambda method: seconds[method])
