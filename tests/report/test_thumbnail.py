from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from sightline.report.thumbnail import thumbnail


def encoded(width: int, height: int, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize(("side", "shown"), [(8, 112), (28, 112), (32, 96), (1, 112)])
def test_tiny_pictures_grow_by_a_whole_factor(side: int, shown: int) -> None:
    found = thumbnail(encoded(side, side, "PNG"), 112)
    assert found is not None
    assert (found.width, found.height, found.pixelated) == (shown, shown, True)


def test_a_photo_is_fitted_with_its_proportions() -> None:
    found = thumbnail(encoded(256, 128, "JPEG"), 112)
    assert found is not None
    assert (found.width, found.height, found.pixelated) == (112, 56, False)
    assert found.address.startswith("data:image/jpeg;base64,")


def test_the_bytes_are_kept() -> None:
    data = encoded(8, 8, "PNG")
    found = thumbnail(data, 64)
    assert found is not None
    assert base64.b64decode(found.address.partition(",")[2]) == data


@pytest.mark.parametrize("data", [None, b"", b"no picture", b"<svg onload=alert(1)>", encoded(8, 8, "BMP")])
def test_what_no_browser_shows_is_no_thumbnail(data: bytes | None) -> None:
    assert thumbnail(data, 64) is None
