"""The service is started and asked before it is deployed."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from PIL import Image

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.deploy.measure import Measured, golden_jpegs, measure


def test_figures_are_those_of_a_real_service(measured: Measured) -> None:
    assert 0.2 < measured.start_s < 60
    assert 0.0005 < measured.request_cpu_s < 1
    assert 80e6 < measured.peak_bytes < 600e6  # Python, NumPy, ONNX Runtime, FastAPI
    assert 300e6 < measured.picture_bytes < 2e9  # 50 megapixels of 4 bytes, and copies
    assert measured.held_bytes == 256 << 20
    assert measured.patience_s == 50
    assert measured.requests_per_s == 1 / measured.request_cpu_s


def test_the_golden_pictures_are_asked(bundle: Bundle) -> None:
    files = golden_jpegs(bundle.path)
    assert len(files) == 2
    assert Image.open(io.BytesIO(files[0])).size == (1024, 1024)


def test_a_service_that_does_not_begin_says_why(bundle: Bundle, tmp_path: Path) -> None:
    shutil.copytree(bundle.path, tmp_path / "bundle")
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(UserError, match=r"^damaged bundle: .*model\.onnx does not match its checksum"):
        measure(tmp_path / "bundle")
