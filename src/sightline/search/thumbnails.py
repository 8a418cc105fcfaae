"""Small pictures of an Index's rows, for where the pictures themselves are not: beside it, a JPEG a row."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from sightline.search.index import Index

SIDE, QUALITY = 256, 85


def thumbnail_of(index: Index, row: int) -> Path:
    """Where the small picture of a row lies, if it was kept."""
    return index.path / "thumbnails" / f"{row}.jpg"


def small_jpeg(picture: Image.Image) -> bytes:
    """`picture` with up to 256 pixels a side."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
