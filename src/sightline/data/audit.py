"""The audit: open every file as training would, and write down what is found. Nothing is touched.

A file is read once; its hash, header, full decode and look come from the same bytes. A large JPEG is decoded at an
eighth of its size: libjpeg still reads the whole entropy-coded stream, where truncation shows, and skips most of the
arithmetic. Pillow and hashlib let go of the interpreter lock, so threads suffice.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sightline.core.progress import SILENT, Progress
from sightline.core.threads import in_threads
from sightline.data import perceptual, pictures
from sightline.data.pictures import PictureError

CHUNK = 32  # files a task: keeps the cost of handing out work far below that of the work
ORIENTATION = 0x0112


@dataclass
class Findings:
    """What the audit found, a row a file: arrays of length N; `reason` is "" where the picture opens."""

    reason: list[str]
    notes: list[str]
    width: np.ndarray
    height: np.ndarray
    size_bytes: np.ndarray
    sha256: np.ndarray  # uint8 [N, 32]
    phash: np.ndarray  # uint64
    thumb: np.ndarray  # uint8 [N, 256]

    @classmethod
    def empty(cls, count: int) -> Findings:
        """Room for `count` files."""
        return cls(
            reason=[""] * count,
            notes=[""] * count,
            width=np.zeros(count, np.int32),
            height=np.zeros(count, np.int32),
            size_bytes=np.zeros(count, np.int64),
            sha256=np.zeros((count, 32), np.uint8),
            phash=np.zeros(count, np.uint64),
            thumb=np.zeros((count, perceptual.THUMB**2), np.uint8),
        )


def audit_files(
    root: Path, paths: Sequence[str], *, workers: int | None = None, progress: Progress = SILENT
) -> Findings:
    """Findings for the files `paths` under `root`."""
    found = Findings.empty(len(paths))

    def check(rows: Sequence[int]) -> int:
        grey = np.zeros((len(rows), perceptual.SIDE, perceptual.SIDE), np.uint8)
        for place, row in enumerate(rows):
            _check_file(os.path.join(root, paths[row]), row, found, grey[place])
        found.phash[rows], found.thumb[rows] = perceptual.looks(grey)
        return len(rows)

    with progress.task("Checking", len(paths)) as advance:
        for done in in_threads(check, _chunks(len(paths)), workers):
            advance(done)
    return found


def audit_array(images: np.ndarray, *, workers: int | None = None, progress: Progress = SILENT) -> Findings:
    """Findings for the rows of uint8 pictures [N, H, W] or [N, H, W, 3]."""
    found = Findings.empty(len(images))
    found.height[:], found.width[:] = images.shape[1:3]
    found.size_bytes[:] = images[0].nbytes if len(images) else 0

    def check(rows: Sequence[int]) -> int:
        for row in rows:
            found.sha256[row] = np.frombuffer(hashlib.sha256(images[row].tobytes()).digest(), np.uint8)
        grey = [perceptual.small(Image.fromarray(images[row])) for row in rows]
        found.phash[rows], found.thumb[rows] = perceptual.looks(np.stack(grey))
        return len(rows)

    with progress.task("Checking", len(images)) as advance:
        for done in in_threads(check, _chunks(len(images)), workers):
            advance(done)
    return found


def _chunks(count: int) -> Iterator[range]:
    return (range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK))


def _check_file(path: str, row: int, found: Findings, grey: np.ndarray) -> None:
    """Write what the file at `path` is into `row` of `found`, and how it looks into `grey`, uint8 [32, 32]."""
    try:
        data = pictures.read_bytes(path)
        found.size_bytes[row] = len(data)
        found.sha256[row] = np.frombuffer(hashlib.sha256(data).digest(), np.uint8)
        image = pictures.opened(data)
        if image.format == "PNG":
            _check_png(data)
        width, height = image.size
        orientation, notes = noteworthy(image, os.path.splitext(path)[1])
        lying = orientation > 4 and image.format != "TIFF"  # Pillow itself turns a TIFF's size
        found.width[row], found.height[row] = (height, width) if lying else (width, height)
        image.draft("L", (perceptual.SIDE, perceptual.SIDE))
        grey[:] = perceptual.small(pictures.upright(pictures.decoded(image)))
        found.notes[row] = ", ".join(notes)
    except PictureError as error:
        found.reason[row] = error.reason


def noteworthy(image: Image.Image, suffix: str) -> tuple[int, list[str]]:
    """The EXIF orientation (1 to 8) of an opened picture, and names of what is special about it, in order."""
    tile = getattr(image, "tile", None)  # how the file packs its pixels: "RGB;16B", say; decoding forgets it
    packing = str(tile[0][3]) if tile else ""
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
        animated = image.format != "MPO" and getattr(image, "n_frames", 1) > 1
    except Exception:  # damaged EXIF or a broken later frame
        raise PictureError("truncated or corrupt") from None
    orientation = orientation if orientation in range(1, 9) else 1
    kind = "JPEG" if image.format == "MPO" else image.format
    found = {
        "16-bit": pictures.is_deep(image) or (";16" in packing and "BGR;16" not in packing),
        "alpha": pictures.has_alpha(image),
        "animated": animated,
        "cmyk": image.mode == "CMYK",
        "exif-rotated": orientation > 1,
        "palette": image.mode in ("P", "PA"),
        "wrong-suffix": pictures.SUFFIXES.get(suffix.lower()) != kind,
    }
    return orientation, [name for name, holds in found.items() if holds]


def _check_png(data: bytes) -> None:
    """PNG carries a checksum a chunk, which decoding skips, and an end mark."""
    place = 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 12 + length
        if int.from_bytes(data[end - 4 : end], "big") != zlib.crc32(data[place + 4 : end - 4]):
            break
        if data[place + 4 : place + 8] == b"IEND":
            return
        place = end
    raise PictureError("truncated or corrupt")
