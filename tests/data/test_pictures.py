from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightline.data import pictures
from sightline.data.pictures import PictureError, open_picture
from tests.data.made import encoded, picture, write


def reason(source: str | Path | bytes) -> str:
    with pytest.raises(PictureError) as caught:
        open_picture(source)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_jpeg_opens_alike_from_its_path_name_and_bytes(tmp_path: Path) -> None:
    data = encoded(picture(1))
    path = write(tmp_path / "a b\n.jpg", data)
    expected = np.asarray(Image.open(path))
    for source in (path, str(path), data):
        opened = open_picture(source)
        assert opened.mode == "RGB"
        assert np.array_equal(np.asarray(opened), expected)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_becomes_grey_or_colour(mode: str) -> None:
    base = picture(2)
    grey = np.asarray(base.convert("L"))
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else base.convert(mode)
    opened = open_picture(encoded(image, "PNG"))
    assert opened.mode == ("L" if mode in ("1", "L", "LA", "I;16") else "RGB")
    if mode == "I;16":
        assert np.array_equal(np.asarray(opened), grey)


@pytest.mark.parametrize(
    ("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), ("LAB", "TIFF"), ("YCbCr", "TIFF"), ("F", "TIFF")]
)
def test_the_modes_of_print_and_science_open(mode: str, kind: str) -> None:
    base = picture(3)
    image = Image.fromarray(np.asarray(base.convert("L"), np.float32) / 255) if mode == "F" else base.convert(mode)
    opened = open_picture(encoded(image, kind))
    expected = base.convert("L") if mode == "F" else base
    assert opened.mode == expected.mode
    if mode != "LAB":  # Pillow reads LAB's numbers as they are
        assert np.abs(np.asarray(opened, np.int16) - np.asarray(expected)).mean() < 12


def test_transparent_parts_lie_over_white() -> None:
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert np.asarray(open_picture(encoded(clear, "PNG"))).min() == 255
    marked = Image.new("P", (4, 4), 0)
    assert np.asarray(open_picture(encoded(marked, "PNG", transparency=0))).min() == 255
    half = Image.new("LA", (4, 4), (0, 128))
    assert np.unique(np.asarray(open_picture(encoded(half, "PNG")))).tolist() == [127]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(orientation: int) -> None:
    turned = picture(4).resize((48, 32))
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_picture(encoded(turned, "PNG", exif=exif))
    assert opened.size == ((48, 32) if orientation < 5 else (32, 48))
    ways = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    expected = turned.transpose(ways[orientation]) if orientation > 1 else turned
    assert np.array_equal(np.asarray(opened), np.asarray(expected))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_frame_is_taken(kind: str) -> None:
    frames = [picture(seed) for seed in (5, 6)]
    options = {"lossless": True} if kind == "WEBP" else {}
    opened = open_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    apart = [np.abs(np.asarray(opened, np.int16) - np.asarray(frame)).mean() for frame in frames]
    assert apart[0] < 10 < apart[1]


def test_reasons(tmp_path: Path) -> None:
    jpeg = encoded(picture(7))
    assert reason(b"") == "empty file"
    assert reason(write(tmp_path / "empty.jpg", b"")) == "empty file"
    assert reason(b"SQLite format 3\0" + bytes(100)) == "not an image"
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") == "not an image"
    assert reason(b"\0\0\0\x18ftypheic" + bytes(100)) == pictures.HEIC
    assert reason(jpeg[: len(jpeg) // 2]) == "truncated or corrupt"
    assert reason(jpeg[:30]) == "truncated or corrupt"
    assert reason(tmp_path / "gone.jpg") == "no such file"
    assert reason("nul\0byte.jpg") == "no such file"
    assert reason(tmp_path) == "not an image"
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reason(tmp_path / "pipe.jpg") == "not an image"
    with pytest.raises(PictureError, match="too many pixels"):
        open_picture(jpeg, max_pixels=64 * 64 - 1)


def test_a_pixel_bomb_is_refused_by_its_header_without_a_word() -> None:
    """Headers of 60,000 x 60,000 pixels and of 12,000 x 12,000: above our limit, the latter below Pillow's."""
    code = """
from sightline.data.pictures import PictureError, open_picture
for side in (60_000, 12_000):
    try:
        open_picture(b"P5\\n%d %d\\n255\\n" % (side, side))
    except PictureError as error:
        print(error.reason)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "too many pixels\n" * 2
    assert done.stderr == ""


def test_rows_of_array_files(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    colour = np.random.default_rng(1).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    for name, array in (("grey.npy", grey), ("a#1 b\n.npy", colour)):
        np.save(tmp_path / name, array)
        for row in range(3):
            opened = open_picture(f"{tmp_path / name}#{row}")
            assert opened.mode == ("L" if array.ndim == 3 else "RGB")
            assert np.array_equal(np.asarray(opened), array[row])
    assert reason(f"{tmp_path / 'grey.npy'}#3") == "no such row: the file has 3"
    assert reason(f"{tmp_path / 'gone.npy'}#0") == "no such file"
    np.save(tmp_path / "grey.npy", 255 - grey)
    os.utime(tmp_path / "grey.npy", ns=(1, 1))
    assert np.array_equal(np.asarray(open_picture(f"{tmp_path / 'grey.npy'}#0")), 255 - grey[0]), (
        "the old file was kept"
    )
    np.save(tmp_path / "float.npy", np.zeros((2, 3, 3)))
    assert reason(f"{tmp_path / 'float.npy'}#0") == "not an image"
    np.save(tmp_path / "object.npy", np.asarray([{}, []], dtype=object), allow_pickle=True)
    assert reason(f"{tmp_path / 'object.npy'}#0") == "truncated or corrupt"


FILES = [
    encoded(picture(8, 24), kind, **options)
    for kind, options in [
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}), ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {}), ("PPM", {}), ("AVIF", {}), ("JPEG2000", {}),
    ]
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(FILES), st.data())
def test_damaged_bytes_give_a_picture_or_a_picture_error(file: bytes, data: st.DataObject) -> None:
    damaged = bytearray(file[: data.draw(st.integers(0, len(file)), "length")])
    for _ in range(data.draw(st.integers(0, 4), "changes") if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1), "place")] = data.draw(st.integers(0, 255), "value")
    try:
        assert open_picture(bytes(damaged)).mode in ("L", "RGB")
    except PictureError:
        return


@given(st.binary(max_size=200))
def test_any_bytes_give_a_picture_error(data: bytes) -> None:
    with pytest.raises(PictureError):
        open_picture(data)


def test_a_huge_file_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.png", encoded(picture(0, 16), "PNG"))
    monkeypatch.setattr(pictures, "MAX_BYTES", path.stat().st_size)
    assert open_picture(path).size == (16, 16)
    monkeypatch.setattr(pictures, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(PictureError, match="file too large"):
        open_picture(path)
