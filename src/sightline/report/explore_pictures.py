"""Numbers as pictures: maps, kernels and grids of what a network computes.

One colouring for all that has a sign: 0 is dark, what is positive amber to white, what is negative blue to white.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

ZERO, PLUS, MINUS, MOST = (18, 21, 27), (255, 170, 51), (64, 148, 255), (255, 255, 255)
BEND = 0.7  # of the strongest: where amber and blue are reached; beyond they pale
FAINT = 0.6  # power that lifts what is weak
SHADES = 64  # of a map: a palette for each map is most of what it takes
ROW = 64  # numbers of a vector in a row of its picture


@dataclass(frozen=True)
class Cell:
    """A number in a grid at (x, y): its text, and how strong it is beside the strongest, 0 to 1."""

    x: int
    y: int
    text: str
    sign: str
    strength: float


@dataclass(frozen=True)
class Grid:
    """Numbers [R, S] to be printed, with their number of `digits` after the point and the strongest of all."""

    rows: int
    columns: int
    digits: int
    strongest: float
    cells: tuple[Cell, ...]


def array(document: Mapping[str, Any]) -> np.ndarray:
    """The whole numbers of {"shape", "base64"}."""
    return np.frombuffer(base64.b64decode(document["base64"]), np.uint8).reshape(document["shape"])


def photo(pixels: np.ndarray) -> str:
    """The address of a picture [H, W, C] of 1 or 3 channels."""
    from PIL import Image

    return _address(Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def maps(document: Mapping[str, Any]) -> list[str]:
    """The address of each map of a layer, all in one colouring."""
    from PIL import Image

    low, high = document["low"], document["high"]
    values = low + (high - low) * np.arange(SHADES) / (SHADES - 1)
    values[np.abs(values).argmin()] = 0
    colours = _colours(values, max(-low, high)).tobytes()
    found = []
    for levels in array(document["levels"]):
        image = Image.fromarray(np.rint(levels * ((SHADES - 1) / 255)).astype(np.uint8))
        image.putpalette(colours)
        found.append(_address(image))
    return found


def vector(values: Sequence[float]) -> tuple[str, int, int]:
    """The address of a vector in rows of ROW numbers, and the width and height of it in numbers."""
    from PIL import Image

    width = min(len(values), ROW)
    height = -(-len(values) // width)
    laid = np.zeros(width * height)
    laid[: len(values)] = values
    pixels = _colours(laid, float(np.abs(laid).max())).reshape(height, width, 3)
    return _address(Image.fromarray(pixels)), width, height


def kernels(weights: Sequence[Any]) -> list[str]:
    """The address of each kernel [R, S, C] of `weights`, all on one scale: of three channels in their colours with 0 as
    middle grey, else the sum over the channels.
    """
    from PIL import Image

    array = np.asarray(weights, float)
    if array.shape[3] == 3:
        strongest = float(np.abs(array).max()) or 1.0
        pixels = np.rint(127.5 + 127.5 * array / strongest).astype(np.uint8)
    else:
        sums = array.sum(3)
        pixels = _colours(sums, float(np.abs(sums).max()))
    return [_address(Image.fromarray(np.ascontiguousarray(one))) for one in pixels]


def grid(values: np.ndarray, strongest: float) -> Grid:
    """`values` [R, S] as cells beside the `strongest` of all that is shown with them."""
    digits = decimals(strongest)
    cells = tuple(
        Cell(column, row, signed(float(value), digits), "minus" if value < 0 else "plus", _share(value, strongest))
        for row, line in enumerate(values)
        for column, value in enumerate(line)
    )
    return Grid(values.shape[0], values.shape[1], digits, strongest, cells)


def decimals(strongest: float) -> int:
    """Digits after the point that show two of the strongest number, two at least."""
    return max(2, 1 - math.floor(math.log10(strongest))) if strongest > 0 else 2


def signed(value: float, digits: int) -> str:
    """A number with a real minus sign, and none before zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def _share(value: float, strongest: float) -> float:
    return round(abs(float(value)) / strongest, 3) if strongest else 0.0


def _colours(values: np.ndarray, strongest: float) -> np.ndarray:
    """[..., 3] of `values`, whose largest size is `strongest`."""
    share = (np.abs(values) / (strongest or 1.0)).clip(0, 1)[..., None] ** FAINT
    full = np.where(values[..., None] < 0, np.array(MINUS), np.array(PLUS))
    near = np.array(ZERO) + (full - np.array(ZERO)) * (share / BEND)
    far = full + (np.array(MOST) - full) * ((share - BEND) / (1 - BEND))
    return np.rint(np.where(share < BEND, near, far)).astype(np.uint8)


def _address(image: Any) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
