"""Hand-engineered features: what people wrote down about pictures before networks learnt it from them.

Histograms of oriented gradients of the grey picture (Dalal and Triggs, "Histograms of Oriented Gradients for Human
Detection" (2005), section 6: 9 orientations without sign, blocks of 2 x 2 cells that overlap, each normalised by
"L2-Hys"), and beside them a histogram of colour over the whole picture, the square root of each share. Pictures of more
than 128 pixels are averaged down to at most that, which is the height of the paper's. A cell is an eighth of the side,
2 pixels at least.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LARGEST = 128
ORIENTATIONS, CELLS, SMALLEST, BLOCK = 9, 8, 2, 2
HUES, SATURATIONS, VALUES = 8, 4, 4
GREYS = 16


def features(images: np.ndarray) -> np.ndarray:
    """What is written down of uint8 pictures [B, S, S, C], grey or colour: float32 [B, D]."""
    images = _reduced(images)
    return np.concatenate([_gradients(images), _colours(images)], axis=1, dtype=np.float32)


def describe(size: int, channels: int) -> dict[str, Any]:
    """What decides the features of pictures of `size` pixels: the side they are averaged to, and the histograms'."""
    side = size // _factor(size)
    cell, block = _cells(side)
    colours = [HUES, SATURATIONS, VALUES] if channels == 3 else [GREYS]
    return {"side": side, "orientations": ORIENTATIONS, "cell": cell, "block": block, "colours": colours}


def _factor(size: int) -> int:
    return -(-size // LARGEST)


def _cells(side: int) -> tuple[int, int]:
    """The side of a cell in pixels (2 of 8, 4 of 32, 14 of 112 pixels) and of a block in cells."""
    cell = min(side, max(SMALLEST, side // CELLS))
    return cell, min(BLOCK, side // cell)


def _reduced(images: np.ndarray) -> np.ndarray:
    """uint8 [B, S, S, C] in which each pixel is the mean of a square."""
    count, size, _, channels = images.shape
    factor = _factor(size)
    if factor == 1:
        return images
    side = size // factor
    squares = images[:, : side * factor, : side * factor].reshape(count, side, factor, side, factor, channels)
    return np.rint(squares.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)


def _gradients(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients, float64 [B, D]."""
    from skimage.color import rgb2gray
    from skimage.feature import hog

    cell, block = _cells(images.shape[1])
    greys = rgb2gray(images) if images.shape[3] == 3 else images[..., 0] / 255
    return np.stack([hog(grey, ORIENTATIONS, (cell, cell), (block, block), block_norm="L2-Hys") for grey in greys])


def _colours(images: np.ndarray) -> np.ndarray:
    """The square roots of how much of each picture has which hue, saturation and value (or grey), float64 [B, D]."""
    from skimage.color import rgb2hsv

    if images.shape[3] == 1:
        places, bins = images[..., 0].astype(np.int64) * GREYS // 256, GREYS
    else:
        counts = np.array([HUES, SATURATIONS, VALUES])
        hue, saturation, value = np.moveaxis(np.minimum((rgb2hsv(images) * counts).astype(np.int64), counts - 1), -1, 0)
        places, bins = (hue * SATURATIONS + saturation) * VALUES + value, int(counts.prod())
    shares = [np.bincount(of_picture.ravel(), minlength=bins) / of_picture.size for of_picture in places]
    return np.sqrt(np.stack(shares))
