"""Normalisation: of a batch (Ioffe and Szegedy 2015), and between neighbouring channels (Krizhevsky et al. 2012)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sightline.scratch.functional.lines import along, channel_sums, column_sums, in_lines, lines


class Normed(NamedTuple):
    """A batch normalised in training: `y` itself, x less its `mean`, and 1 / its deviation (for the gradients)."""

    y: np.ndarray
    centred: np.ndarray
    inverse: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


def batch_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray, epsilon: float) -> Normed:
    """`x` [..., C] with mean 0 and variance 1 in each channel over all the rest, then `scale` and `shift` [C]."""
    of, channels = lines(x), x.shape[-1]
    count = x.size // channels
    mean = channel_sums(in_lines(lambda part: column_sums(of[part]), of), channels) / count
    centred, y, middle = np.empty(of.shape, x.dtype), np.empty(of.shape, x.dtype), along(mean, of)

    def centre(part: slice) -> np.ndarray:
        np.subtract(of[part], middle, out=centred[part])
        return np.einsum("lc,lc->c", centred[part], centred[part])

    variance = channel_sums(in_lines(centre, of), channels) / count
    inverse = 1 / np.sqrt(variance + epsilon)
    slope, offset = along(inverse * scale, of), along(shift, of)

    def scaled(part: slice) -> None:
        np.multiply(centred[part], slope, out=y[part])
        y[part] += offset

    in_lines(scaled, of)
    return Normed(y.reshape(x.shape), centred.reshape(x.shape), inverse, mean, variance)


def batch_norm_gradients(
    dy: np.ndarray, normed: Normed, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `dy` means for x, scale and shift.

    y = scale * u + shift and u = (x - mean(x)) / sd(x). Every x moves the mean and the deviation too: what of dy is
    constant over the batch, or proportional to u, therefore moves nothing and is taken out,

        dx = scale / sd * (dy - mean(dy) - u * mean(dy * u)).
    """
    of, centred, channels = lines(dy), lines(normed.centred), dy.shape[-1]
    count = dy.size // channels
    sums = in_lines(lambda part: (column_sums(of[part]), np.einsum("lc,lc->c", of[part], centred[part])), of)
    dshift, shared = (channel_sums(list(found), channels) for found in zip(*sums, strict=True))
    dx = np.empty(of.shape, dy.dtype)
    factors = shared * normed.inverse**2 / count, dshift / count, scale * normed.inverse
    proportional, constant, slope = (along(factor, of) for factor in factors)

    def back(part: slice) -> None:
        np.multiply(centred[part], proportional, out=dx[part])
        np.subtract(of[part], dx[part], out=dx[part])
        dx[part] -= constant
        dx[part] *= slope

    in_lines(back, of)
    return dx.reshape(dy.shape), shared * normed.inverse, dshift


def fixed_norm(
    x: np.ndarray, scale: np.ndarray, shift: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> np.ndarray:
    """`x` [..., C] by the `mean` and `variance` that training kept: a straight line for every channel."""
    slope = scale / np.sqrt(variance + epsilon)
    of = lines(x)
    y, factor, offset = np.empty(of.shape, x.dtype), along(slope, of), along(shift - mean * slope, of)

    def scaled(part: slice) -> None:
        np.multiply(of[part], factor, out=y[part])
        y[part] += offset

    in_lines(scaled, of)
    return y.reshape(x.shape)


def fixed_norm_gradients(
    dy: np.ndarray, x: np.ndarray, scale: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `dy` means for x, scale and shift."""
    axes = tuple(range(dy.ndim - 1))
    inverse = 1 / np.sqrt(variance + epsilon)
    return dy * (scale * inverse), (dy * ((x - mean) * inverse)).sum(axes), dy.sum(axes)


def local_response_norm(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Each number over (k + alpha / size * sum of squares)^beta, the sum over `size` channels around its own."""
    return x * (k + alpha / size * _around(x * x, size)) ** -beta


def local_response_norm_gradient(
    dy: np.ndarray, x: np.ndarray, size: int, alpha: float, beta: float, k: float
) -> np.ndarray:
    """What `dy` means for `x`: with d the denominator's base,

        dx = dy * d^-beta - 2 * alpha * beta / size * x * (sum over the neighbours of  dy * x * d^(-beta - 1)).

    (The channels a number is divided by are those whose sums it is part of, so the neighbourhood is mirrored.)
    """  # fmt: skip
    base = k + alpha / size * _around(x * x, size)
    inner = _around(dy * x * base ** (-beta - 1), size, mirrored=True)
    return dy * base**-beta - 2 * alpha * beta / size * x * inner


def _around(x: np.ndarray, size: int, *, mirrored: bool = False) -> np.ndarray:
    """Sums over `size` channels: size // 2 before (after, if `mirrored`) each one, itself, and the rest after it."""
    before = (size - 1) // 2 if mirrored else size // 2
    wide = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(before, size - 1 - before)])
    sums = np.zeros_like(x)
    for offset in range(size):
        sums += wide[..., offset : offset + x.shape[-1]]
    return sums
