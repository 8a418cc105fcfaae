"""A thumbnail as it stands in a page: its bytes inside the address, shown at a size that suits it.

A tiny picture (8 x 8, 28 x 28, 32 x 32) is enlarged by a whole factor with hard pixels, so that one sees what the
network saw; a photo is fitted into its box.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

TINY = 64  # pixels: up to this, pixels are shown as squares
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}


@dataclass(frozen=True)
class Thumbnail:
    """What an `img` element needs: `address` (a data: URL), `width` and `height` in CSS pixels, hard pixels or not."""

    address: str
    width: int
    height: int
    pixelated: bool


def thumbnail(data: bytes | None, box: int) -> Thumbnail | None:
    """The picture in `data` fitted into a square of `box` pixels; None where there is no picture a browser shows."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, (width, height) = _TYPES.get(image.format or ""), image.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None
    if kind is None:
        return None
    longest = max(width, height)
    tiny = longest <= TINY
    factor = max(1, box // longest) if tiny else box / longest
    address = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    return Thumbnail(address, max(1, round(width * factor)), max(1, round(height * factor)), tiny)
