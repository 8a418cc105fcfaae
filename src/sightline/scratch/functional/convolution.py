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
from sightline.scratch.functional import by_columns, by_fft, by_loops
from sightline.scratch.functional.geometry import Geometry, Pair
from sightline.scratch.functional.lines import along, channel_sums, column_sums, in_lines, lines

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
    if bias is not None:
        of = lines(y)
        offset = along(bias, of)
        in_lines(lambda part: np.add(of[part], offset, out=of[part]), of)
    return y


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
    return Gradients(dx, dweight, channel_sums([column_sums(lines(dy))], len(weight)))


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


Forward = Callable[[np.ndarray, np.ndarray, Geometry], np.ndarray]
Backward = Callable[
    [np.ndarray, np.ndarray, np.ndarray, Geometry, bool], tuple[np.ndarray | None, np.ndarray]
]  # fmt: skip


def _forward(method: str) -> Forward:
    return {"im2col": by_columns.forward, "fft": by_fft.forward, "loops": by_loops.forward}[method]


def _backward(method: str) -> Backward:
    return {"im2col": by_columns.backward, "fft": by_fft.backward, "loops": by_loops.backward}[method]


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
