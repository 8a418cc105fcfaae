from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.data.manifest import Manifest
from tests.strategies import file_names

CLASSES = ("cat", "dog")


def manifest(paths: list[str]) -> Manifest:
    count = len(paths)
    generator = np.random.default_rng(0)
    return Manifest(
        path=paths,
        label=(np.arange(count) % 2).astype(np.int32),
        split=np.asarray((["train", "test", ""] * count)[:count], "<U10"),
        verdict=np.asarray((["fine", "noted", "quarantined"] * count)[:count], "<U11"),
        reason=(["", "", "empty file"] * count)[:count],
        notes=(["", "cmyk, palette", ""] * count)[:count],
        width=generator.integers(0, 999, count).astype(np.int32),
        height=generator.integers(0, 999, count).astype(np.int32),
        size_bytes=generator.integers(0, 2**40, count),
        sha256=generator.integers(0, 256, (count, 32), dtype=np.uint8),
        phash=generator.integers(0, 2**64, count, dtype=np.uint64),
        group=np.arange(count, dtype=np.int32),
    )


@given(st.lists(file_names, max_size=8))
def test_what_is_saved_is_opened(paths: list[str]) -> None:
    """Any name a file can have: newlines, bytes that are no UTF-8."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        table = manifest(paths)
        table.save(path)
        again = Manifest.open(path)
        for field in dataclasses.fields(Manifest):
            before, after = getattr(table, field.name), getattr(again, field.name)
            assert np.array_equal(before, after), field.name
            if isinstance(before, np.ndarray):
                assert before.dtype == after.dtype, field.name
        assert again.fingerprint(CLASSES) == table.fingerprint(CLASSES)
        first = path.read_bytes()
        table.save(path)
        assert path.read_bytes() == first


def test_the_file_is_plain_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    manifest(["a.jpg", "b.jpg"]).save(tmp_path / "m.parquet")
    table = pq.read_table(tmp_path / "m.parquet")
    expected = "path label split verdict reason notes width height size_bytes sha256 phash group"
    assert table.column_names == expected.split()
    assert table["path"].to_pylist() == ["a.jpg", "b.jpg"]
    assert len(table["sha256"][0].as_py()) == 64


@pytest.mark.parametrize("column", ["path", "label", "split", "sha256"])
def test_the_fingerprint_depends_on_what_is_trained_on(column: str) -> None:
    table = manifest(["a", "b", "c", "d"])
    before = table.fingerprint(CLASSES)
    changed = manifest(["a", "b", "c", "d"])
    {
        "path": lambda: changed.path.__setitem__(0, "x"),
        "label": lambda: changed.label.__setitem__(0, 1),
        "split": lambda: changed.split.__setitem__(0, "test"),
        "sha256": lambda: changed.sha256.__setitem__((0, 0), changed.sha256[0, 0] ^ 1),
    }[column]()
    assert changed.fingerprint(CLASSES) != before
    assert table.fingerprint(("dog", "cat")) != before


def test_the_fingerprint_does_not_depend_on_what_is_not() -> None:
    table, changed = manifest(["a", "b", "c"]), manifest(["a", "b", "c"])
    changed.path[2], changed.reason[2], changed.notes[0] = "x", "not an image", "cmyk"
    assert changed.fingerprint(CLASSES) == table.fingerprint(CLASSES)


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.parquet"
    with pytest.raises(UserError, match=r"m\.parquet is missing"):
        Manifest.open(path)
    manifest(["a", "b"]).save(path)
    data = path.read_bytes()
    for broken in (b"", data[:-20], data[: len(data) // 2], bytes(len(data)), b"PAR1" + bytes(99) + b"PAR1"):
        path.write_bytes(broken)
        with pytest.raises(UserError, match="make it again"):
            Manifest.open(path)
