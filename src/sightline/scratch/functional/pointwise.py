"""What is done to every number alike, or joins several answers: linear, ReLU, dropout, addition, concatenation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sightline.core.errors import UserError
from sightline.scratch.functional.lines import in_lines, lines


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """`x` [N, D] times `weight` [K, D], plus `bias` [K]: [N, K]; UserError when the shapes do not meet."""
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise UserError(f"vectors {list(x.shape)} and weights {list(weight.shape)} do not meet: [N, D] and [K, D]")
    y = x @ weight.T
    return y if bias is None else np.add(y, bias, out=y)


def linear_gradients(
    dy: np.ndarray, x: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """What `dy` [N, K] means for x, weight and bias: each of a product's factors receives the other, times dy."""
    return dy @ weight, dy.T @ x, dy.sum(0)


def relu(x: np.ndarray, slope: float = 0.0) -> np.ndarray:
    """`x` where it is positive, elsewhere `slope` times it (0: ReLU, else leaky)."""
    if slope:
        return np.where(x > 0, x, slope * x)
    of = lines(x)
    y, nothing = np.empty(of.shape, x.dtype), np.zeros(of.shape[1], x.dtype)  # a line of 0 goes faster than one 0
    in_lines(lambda part: np.maximum(of[part], nothing, out=y[part]), of)
    return y.reshape(x.shape)


def relu_gradient(dy: np.ndarray, y: np.ndarray, slope: float = 0.0) -> np.ndarray:
    """What `dy` means for the input whose answer was `y`; its sign is the input's. At 0 it is `slope`."""
    if slope:
        return np.where(y > 0, dy, slope * dy)
    of, answers = lines(dy), lines(y)
    dx = np.empty(of.shape, dy.dtype)
    in_lines(lambda part: np.multiply(of[part], answers[part] > 0, out=dx[part]), of)
    return dx.reshape(dy.shape)


def clipped_relu(x: np.ndarray, top: float) -> np.ndarray:
    """`x` between 0 and `top` (ReLU6 of MobileNet)."""
    return np.clip(x, 0, top)


def clipped_relu_gradient(dy: np.ndarray, y: np.ndarray, top: float) -> np.ndarray:
    """What `dy` means for the input whose answer was `y`: nothing outside of 0 to `top`."""
    return dy * ((y > 0) & (y < top))


def dropout(x: np.ndarray, rate: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """`x` with numbers set to 0 with probability `rate`, the others enlarged by 1 / (1 - rate); and by what each was.

    Srivastava et al. 2014; enlarged in training so that nothing is to be done afterwards. Its gradient is dy times the
    same factors.
    """
    factors = (random.random(x.shape, np.float32) >= rate).astype(x.dtype) / (1 - rate)
    return x * factors, factors


def add(*parts: np.ndarray) -> np.ndarray:
    """The sum (a residual block's end); its gradient is dy for each part. UserError when shapes differ."""
    shapes = [list(part.shape) for part in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise UserError(
            f"a sum needs answers of one shape, not {' and '.join(map(str, shapes))}: let the shortcut change its "
            "channels and stride by a 1 x 1 convolution"
        )
    first, second, *others = map(lines, parts)
    total = np.empty(first.shape, np.result_type(*parts))

    def add_up(part: slice) -> None:
        np.add(first[part], second[part], out=total[part])
        for other in others:
            total[part] += other[part]

    in_lines(add_up, first)
    return total.reshape(parts[0].shape)


def concatenate(*parts: np.ndarray) -> np.ndarray:
    """Channels one after another (an inception block's end); UserError when heights, widths or pictures differ."""
    shapes = [list(part.shape) for part in parts]
    if any(shape[:-1] != shapes[0][:-1] for shape in shapes):
        raise UserError(
            f"channels {' and '.join(map(str, shapes))} cannot lie one after another: all but the last number must be "
            "one, so give every branch the same stride and a padding that keeps the size"
        )
    return np.concatenate(parts, -1)


def concatenate_gradient(dy: np.ndarray, channels: Sequence[int]) -> list[np.ndarray]:
    """What `dy` means for each part, of so many `channels`: its own slice."""
    return np.split(dy, np.cumsum(channels)[:-1], -1)
