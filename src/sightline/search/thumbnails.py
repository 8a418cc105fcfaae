"""Small pictures of an Index's rows, for where the pictures themselves are not: beside it, a JPEG a row."""

from __future__ import annotations

import io
from pathlib import Path

from sightline.data.pictures import MAX_PIXELS, open_picture
from sightline.search.index import Index

FOLDER = "thumbnails"
SIDE, QUALITY = 256, 85


def thumbnail_of(index: Path, row: int) -> Path:
    """Where the small picture of a row of the Index at that path lies, if it was kept."""
    return index / FOLDER / f"{row}.jpg"


def small_picture(index: Index, row: int, max_pixels: int = MAX_PIXELS) -> bytes:
    """A JPEG of up to 256 pixels a side, kept or made; PictureError where neither it nor the picture is to be had."""
    kept = thumbnail_of(index.path, row)
    if kept.is_file():
        return kept.read_bytes()
    small = open_picture(index.name_of(row), max_pixels).copy()
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
