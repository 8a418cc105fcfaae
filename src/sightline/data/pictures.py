"""A picture: the one way to name it and the one way to open it, for checking, training, measuring, searching, serving.

A picture's name is a path, or `file.npy#12` for row 12 of a uint8 array file [N, H, W] or [N, H, W, 3], which is how
datasets that came as arrays are kept. What opens is always upright, the first frame, 8 bits a channel, "L" or "RGB".
Only formats that Pillow decodes by itself are tried: EPS, for one, would start Ghostscript.
"""

from __future__ import annotations

import io
import os
import re
import stat
import warnings
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from sightline.core.arrays import mapped
from sightline.core.errors import UserError, named

MAX_PIXELS = 120_000_000  # above the 108 megapixels of a phone; 360 MB once decoded
MAX_BYTES = 1 << 30  # above MAX_PIXELS of 16 bits with alpha, uncompressed; a stray disk image is not read
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
SUFFIXES = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".jpe": "JPEG", ".jfif": "JPEG", ".png": "PNG", ".apng": "PNG", ".gif": "GIF",
    ".bmp": "BMP", ".dib": "BMP", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP", ".avif": "AVIF", ".avifs": "AVIF",
    ".ppm": "PPM", ".pgm": "PPM", ".pbm": "PPM", ".pnm": "PPM", ".jp2": "JPEG2000", ".j2k": "JPEG2000",
}  # fmt: skip
_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8|BM.{4}\0\0\0\0|II\*\0|MM\0\*|RIFF.{4}WEBP|P[1-6]\s|.{4}ftypavi|.{4}jP  ",
    re.DOTALL,
)
_HEIC = re.compile(rb".{4}ftyp(heic|heix|hevc|heim|heis|mif1|msf1)", re.DOTALL)
HEIC = "HEIC, which is not read: export it as JPEG"
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and the values of it that swap width and height
_ROW = re.compile(r"(.+\.npy)#(\d+)", re.DOTALL)

# Pillow also warns, of a broken EXIF entry or of more than 89 megapixels; here every file gets a verdict instead.
for _kind in (UserWarning, RuntimeWarning):
    warnings.filterwarnings("ignore", category=_kind, module=r"PIL\.")


class PictureError(UserError):
    """A picture that does not open. `reason` is one of "empty file", "not an image", "truncated or corrupt",
    "too many pixels", "file too large", "no such file", "no such row: …", "cannot be read" and HEIC's.
    """

    def __init__(self, reason: str, name: str | Path | None = None) -> None:
        super().__init__(reason if name is None else f"{named(name)}: {reason}")
        self.reason = reason


def open_picture(source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture at a path, of a picture name `file.npy#12`, or in the bytes of a file.

    Upright as its EXIF says, first frame, 8-bit, mode "L" or "RGB"; transparent parts lie over white. One of more than
    `max_pixels` is not decoded. Raises PictureError, whose `reason` says why.
    """
    row = None if isinstance(source, bytes) else _ROW.fullmatch(str(source))
    if row:
        return _array_row(row[1], int(row[2]))
    try:
        return upright(decoded(opened(source if isinstance(source, bytes) else read_bytes(source), max_pixels)))
    except PictureError as error:
        raise error if isinstance(source, bytes) else PictureError(error.reason, source) from None


def read_bytes(path: str | Path) -> bytes:
    """The file's bytes; PictureError when there is no such file, it is a folder or device, or above `MAX_BYTES`."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        raise PictureError("no such file") from None
    if not stat.S_ISREG(found.st_mode):
        raise PictureError("not an image")
    if found.st_size > MAX_BYTES:
        raise PictureError("file too large")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        raise PictureError("cannot be read") from None


def opened(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture in `data`, its header read and judged and nothing decoded yet."""
    if not data:
        raise PictureError("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise PictureError("too many pixels") from None
    except UnidentifiedImageError:
        known = "truncated or corrupt" if looks_like_picture(data) else "not an image"
        raise PictureError(HEIC if _HEIC.match(data[:32]) else known) from None
    except Exception:  # Pillow's readers raise anything from struct.error to ZeroDivisionError on a broken header
        raise PictureError("truncated or corrupt") from None
    if image.width * image.height > max_pixels:
        raise PictureError("too many pixels")
    return image


def decoded(image: Image.Image) -> Image.Image:
    """The same picture, its first frame decoded in full."""
    try:
        image.load()
    except Image.DecompressionBombError:
        raise PictureError("too many pixels") from None
    except Exception:  # as above: a broken file may raise anything
        raise PictureError("truncated or corrupt") from None
    return image


def upright(image: Image.Image) -> Image.Image:
    """A decoded picture turned as its EXIF says and brought to "L" or "RGB"."""
    try:
        ImageOps.exif_transpose(image, in_place=True)
        return plain(image)
    except Exception:  # damaged EXIF or palette
        raise PictureError("truncated or corrupt") from None


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of the picture in `data` once it is upright; PictureError as `opened`'s.

    Its header says so, though of a PNG Pillow decodes the whole to look for a turn at its end.
    """
    image = opened(data)
    width, height = image.size
    lying = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _LYING  # Pillow itself turns a TIFF's size
    return (height, width) if lying else (width, height)


def plain(image: Image.Image) -> Image.Image:
    """A decoded picture in mode "L" or "RGB": transparent parts over white, the upper 8 bits of 16."""
    if is_deep(image):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    if has_alpha(image):
        layers = image.convert("RGBA")
        white = Image.new("RGBA", layers.size, "white")
        grey = image.mode in ("1", "L", "LA", "La")
        return Image.alpha_composite(white, layers).convert("L" if grey else "RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def is_deep(image: Image.Image) -> bool:
    """Whether the picture is grey with more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def has_alpha(image: Image.Image) -> bool:
    """Whether parts of the picture may be transparent."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def looks_like_picture(data: bytes) -> bool:
    """Whether the first bytes are those of a picture format we read."""
    return _MAGIC.match(data[:32]) is not None


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Whole numbers are 16-bit; fractions are taken as [0, 1] if none is above 1, else as [0, 255]."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        return np.clip(values * 255 if values.max() <= 1 else values, 0, 255).astype(np.uint8)
    return (np.clip(values, 0, 65535) >> 8).astype(np.uint8)


def _array_row(path: str, row: int) -> Image.Image:
    array = array_file(path)
    if row >= len(array):
        raise PictureError(f"no such row: the file has {len(array):,}", f"{path}#{row}")
    return Image.fromarray(np.ascontiguousarray(array[row]))


def array_file(path: str | Path) -> np.ndarray:
    """The uint8 pictures [N, H, W] or [N, H, W, 3] in a .npy file, memory-mapped."""
    try:
        age = os.stat(path)
    except (OSError, ValueError):
        raise PictureError("no such file", path) from None
    return _mapped(str(path), age.st_mtime_ns, age.st_ino)


@lru_cache(maxsize=8)
def _mapped(path: str, mtime_ns: int, inode: int) -> np.ndarray:
    """The age and inode are part of the key, so that a file made anew is mapped anew."""
    try:
        array = mapped(path)
    except ValueError:
        raise PictureError("truncated or corrupt", path) from None
    if array.dtype != np.uint8 or array.ndim not in (3, 4) or array.shape[3:] not in ((), (3,)):
        raise PictureError("not an image", path)
    return array
