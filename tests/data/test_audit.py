from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data import pictures
from sightline.data.audit import Findings, audit_array, audit_files
from tests.data.made import encoded, picture, write


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


BASE = picture(0, 64)
WIDE = BASE.resize((64, 32))
DEEP = Image.fromarray(np.asarray(BASE.convert("L")).astype(np.uint16) * 257)
FRAMES = {"save_all": True, "append_images": [picture(1)]}
NOTED = {
    "fine.jpg": (encoded(BASE), ""),
    "fine.JPEG": (encoded(BASE), ""),
    "grey.png": (encoded(BASE.convert("L"), "PNG"), ""),
    "really-png.jpg": (encoded(BASE, "PNG"), "wrong-suffix"),
    "no-suffix": (encoded(BASE), "wrong-suffix"),
    "turned.jpg": (encoded(WIDE, exif=turned(6)), "exif-rotated"),
    "turned.png": (encoded(WIDE, "PNG", exif=turned(3)), "exif-rotated"),
    "upright.jpg": (encoded(WIDE, exif=turned(1)), ""),
    "nonsense.jpg": (encoded(WIDE, exif=turned(99)), ""),
    "print.jpg": (encoded(BASE.convert("CMYK")), "cmyk"),
    "print.tif": (encoded(BASE.convert("CMYK"), "TIFF"), "cmyk"),
    "deep.png": (encoded(DEEP, "PNG"), "16-bit"),
    "deep.tiff": (encoded(DEEP, "TIFF"), "16-bit"),
    "few.png": (encoded(BASE.convert("P"), "PNG"), "palette"),
    "few.gif": (encoded(BASE.convert("P"), "GIF"), "palette"),
    "clear.png": (encoded(BASE.convert("RGBA"), "PNG"), "alpha"),
    "clear-few.png": (encoded(BASE.convert("P"), "PNG", transparency=0), "alpha, palette"),
    "moving.gif": (encoded(BASE, "GIF", **FRAMES), "animated, palette"),
    "moving.png": (encoded(BASE, "PNG", **FRAMES), "animated"),
    "moving.webp": (encoded(BASE, "WEBP", **FRAMES), "animated"),
    "pages.tif": (encoded(BASE, "TIFF", **FRAMES), "animated"),
    "camera.jpg": (encoded(BASE, "MPO", **FRAMES), ""),
    "all.jpg": (
        encoded(WIDE.convert("P"), "PNG", transparency=0, exif=turned(8)),
        "alpha, exif-rotated, palette, wrong-suffix",
    ),
}


def audited(root: Path) -> dict[str, tuple[str, str]]:
    names = sorted(path.name for path in root.iterdir())
    found = audit_files(root, names, workers=2)
    return {name: (found.reason[row], found.notes[row]) for row, name in enumerate(names)}


def test_notes(tmp_path: Path) -> None:
    for name, (data, _) in NOTED.items():
        write(tmp_path / name, data)
    assert audited(tmp_path) == {name: ("", notes) for name, (_, notes) in NOTED.items()}


def test_a_sixteen_bit_colour_png_is_noted(tmp_path: Path) -> None:
    """Pillow cannot write one: this is an 8-bit one of twice the width whose header says otherwise."""
    import zlib

    data = bytearray(
        encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (4, 8, 3), dtype=np.uint8)), "PNG")
    )
    data[16:20], data[24] = (4).to_bytes(4, "big"), 16
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    write(tmp_path / "a.png", bytes(data))
    assert audited(tmp_path) == {"a.png": ("", "16-bit")}


def test_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png = encoded(BASE, "PNG")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 1
    bad = {
        "empty.jpg": (b"", "empty file"),
        "Thumbs.db": (b"\xd0\xcf\x11\xe0" + bytes(99), "not an image"),
        "a.tar": (bytes(1024), "not an image"),
        "._a.jpg": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(99), "not an image"),
        "page.jpg": (b"<html>404</html>", "not an image"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(99), pictures.HEIC),
        "half.jpg": (encoded(BASE)[:900], "truncated or corrupt"),
        "half.png": (png[: len(png) // 2], "truncated or corrupt"),
        "no-end.png": (png[:-12], "truncated or corrupt"),
        "flipped.png": (bytes(flipped), "truncated or corrupt"),
        "half.gif": (encoded(BASE, "GIF")[:500], "truncated or corrupt"),
        "huge.ppm": (b"P6\n60000 60000\n255\n", "too many pixels"),
    }
    for name, (data, _) in bad.items():
        write(tmp_path / name, data)
    assert audited(tmp_path) == {name: (reason, "") for name, (_, reason) in bad.items()}


def test_sizes_and_hashes(tmp_path: Path) -> None:
    data = encoded(WIDE, exif=turned(6))
    write(tmp_path / "a.jpg", data)
    found = audit_files(tmp_path, ["a.jpg"])
    assert (found.width[0], found.height[0]) == (32, 64), "as it is shown"
    assert found.size_bytes[0] == len(data)
    assert found.sha256[0].tobytes() == hashlib.sha256(data).digest()


FORMS = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"quality": 30}]


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_decoding_at_an_eighth_finds_what_decoding_in_full_finds(
    tmp_path: Path, mode: str, options: dict[str, bool]
) -> None:
    data = encoded(picture(3, 320).convert(mode), **options)
    cuts = [int(len(data) * share) for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 0.995)] + [len(data) - 3, len(data)]
    for cut in cuts:
        write(tmp_path / f"{cut:06}.jpg", data[:cut])
    found = [reason == "" for reason, _ in audited(tmp_path).values()]
    full = []
    for cut in sorted(cuts):
        try:
            pictures.decoded(pictures.opened(data[:cut]))
            full.append(True)
        except pictures.PictureError:
            full.append(False)
    assert found == full
    assert full == [False] * (len(cuts) - 1) + [True]


def test_array_rows() -> None:
    for shape in ((70, 5, 4), (70, 5, 4, 3)):
        images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        found = audit_array(images, workers=2)
        assert set(found.reason) == set(found.notes) == {""}
        assert found.sha256[69].tobytes() == hashlib.sha256(images[69].tobytes()).digest()
        assert (found.width[0], found.height[0], found.size_bytes[0]) == (4, 5, images[0].nbytes)
        assert len(np.unique(found.phash)) > 60


def test_files_and_rows_of_the_same_pixels_look_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a.png", encoded(BASE, "PNG"))
    from_file, from_row = audit_files(tmp_path, ["a.png"]), audit_array(np.asarray(BASE)[None])
    assert from_file.phash == from_row.phash
    assert np.array_equal(from_file.thumb, from_row.thumb)


def test_nothing_to_check(tmp_path: Path) -> None:
    assert audit_files(tmp_path, []).reason == []
    assert Findings.empty(0).thumb.shape == (0, 256)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_sides_are_those_of_the_upright_picture(kind: str, orientation: int, tmp_path: Path) -> None:
    data = encoded(WIDE, kind, exif=turned(orientation))
    write(tmp_path / "wide.jpg", data)
    found = audit_files(tmp_path, ["wide.jpg"], workers=1)
    upright = pictures.open_picture(data).size
    assert (found.width[0], found.height[0]) == pictures.upright_size(data) == upright
