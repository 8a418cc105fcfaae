"""A thousand files that somebody might send as pictures: whole ones, damaged ones, traps and what is no picture."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

Named = tuple[str, bytes]
COUNT = 1000


def files() -> list[Named]:
    """All of them, the same every time, with what each one is."""
    chance = random.Random(0)
    whole = list(_whole())
    made = [*whole, *_traps(), *_polyglots(whole)]
    damages = [_truncated, _flipped, _zeroed, _doubled, _spliced]
    while len(made) < COUNT:
        name, data = chance.choice(whole)
        damage = damages[len(made) % len(damages)]
        made.append((f"{name} {damage.__name__[1:]}", damage(data, chance)))
    return made


def _whole() -> Iterator[Named]:
    """Files of every format and mode, each of which opens."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)
    modes = {
        "L": Image.fromarray(noise[..., 0]), "RGB": Image.fromarray(noise[..., :3]), "RGBA": Image.fromarray(noise),
        "CMYK": Image.fromarray(noise, "CMYK"),
        "P": Image.fromarray(noise[..., :3]).quantize(16),
        "1": Image.fromarray(noise[..., 0]).convert("1"), "LA": Image.fromarray(noise[..., :2], "LA"),
        "I;16": Image.fromarray(noise[..., 0].astype(np.uint16) * 257),
        "F": Image.fromarray(noise[..., 0] / np.float32(255)),
    }  # fmt: skip
    takes = {
        "JPEG": ("L", "RGB", "CMYK"), "PNG": ("L", "RGB", "RGBA", "P", "1", "LA", "I;16"), "GIF": ("L", "P"),
        "BMP": ("L", "RGB", "1"), "TIFF": ("L", "RGB", "CMYK", "I;16", "F"), "WEBP": ("RGB", "RGBA"),
        "PPM": ("L", "RGB"), "AVIF": ("RGB",), "JPEG2000": ("RGB",),
    }  # fmt: skip
    for kind, names in takes.items():
        for mode in names:
            yield f"{kind} {mode}", _saved(modes[mode], kind)
    frames = [Image.fromarray(noise[..., channel]) for channel in range(3)]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        yield f"animated {kind}", _saved(frames[0], kind, save_all=True, append_images=frames[1:])
    for orientation in (0, 1, 3, 6, 8, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"EXIF {orientation}", _saved(modes["RGB"], "JPEG", exif=exif)
    yield "progressive", _saved(modes["RGB"], "JPEG", progressive=True)
    yield "compressed TIFF", _saved(modes["RGB"], "TIFF", compression="tiff_lzw")
    yield "1 x 1", _saved(Image.new("RGB", (1, 1)), "PNG")
    yield "a line", _saved(Image.new("L", (9000, 1)), "PNG")


def _traps() -> Iterator[Named]:
    """Headers that promise too much, files that unpack to too much, and what is no picture at all."""
    for side in (0, 1, 7072, 30_000, 65_500, 2**31 - 1, 2**32 - 1):
        yield f"PNG header {side}", _png_header(side, side)
        yield (
            f"BMP header {side}",
            b"BM" + struct.pack("<IIIIiiHH", 100, 0, 54, 40, *[side & 0x7FFFFFFF] * 2, 1, 24) + bytes(24),
        )
        yield f"PPM header {side}", b"P6 %d %d 255\n" % (side, side) + bytes(30)
        yield f"GIF header {side}", b"GIF89a" + struct.pack("<HH", side & 0xFFFF, side & 0xFFFF) + bytes(20)
        yield f"TIFF header {side}", _tiff_header(side)
    yield "bomb", _saved(Image.new("1", (20_000, 20_000)), "PNG")
    yield "bomb of text", _with_chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(80_000_000)))
    yield "bomb of colours", _with_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(80_000_000)))
    yield "circle of TIFF pages", b"II*\0\x08\0\0\0\0\0\x08\0\0\0"
    yield from {
        "empty": b"", "a byte": b"\0", "zeros": bytes(5000), "text": b"hello" * 99,
        "script": b"<script>alert(1)</script>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:1/x.png"/></svg>',
        "PDF": b"%PDF-1.7\n1 0 obj\n",
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
        "zip": b"PK\x05\x06" + bytes(18), "gzip": b"\x1f\x8b\x08" + bytes(20), "pickle": b"\x80\x04.",
        "ELF": b"\x7fELF" + bytes(60),
        "HEIC": b"\0\0\0\x18ftypheic" + bytes(30), "AVIF": b"\0\0\0\x18ftypavif" + bytes(30),
        "numpy": b"\x93NUMPY\x01\0",
        "PSD": b"8BPS\0\x01" + bytes(40), "ICO": b"\0\0\x01\0\x01\0" + bytes(40), "FITS": b"SIMPLE  =" + b" " * 3000,
        "a path": b"/etc/passwd", "a row": b"images.npy#0", "an address": b"http://127.0.0.1:1/x.png",
    }.items()  # fmt: skip


def _polyglots(whole: list[Named]) -> Iterator[Named]:
    for name, data in whole:
        yield f"{name} and a zip", data + b"PK\x05\x06" + bytes(18)
        yield f"a script and {name}", b"<script>/*" + data
        yield f"GIF and {name}", b"GIF89a" + data


def _truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _flipped(data: bytes, chance: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(chance.choice([1, 3, 30])):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _zeroed(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return (data[:start] + bytes(chance.choice([1, 8, 100])) + data[start + 100 :])[: len(data)]


def _doubled(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start // 2 :]


def _spliced(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.choice([1, 4, 200])) + data[start:]


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_header(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(99)))
        + _chunk(b"IEND", b"")
    )


def _with_chunk(kind: bytes, data: bytes) -> bytes:
    whole = _saved(Image.new("RGB", (8, 8)), "PNG")
    return whole[:33] + _chunk(kind, data) + whole[33:]


def _tiff_header(side: int) -> bytes:
    entries = [
        (256, 4, 1, side),
        (257, 4, 1, side),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (279, 4, 1, 4),
    ]
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + body + bytes(4)
