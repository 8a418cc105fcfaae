from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.data.prepare import prepare
from sightline.data.preprocess import Preprocess
from tests.data.made import write, write_classes

PREPROCESS = Preprocess(16)
BYTES = 16 * 16 * 3


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    root = write_classes(tmp_path / "photos", {"cat": 30, "dog": 20})
    write(root / "cat" / "000a.jpg", b"")
    return prepare(root, tmp_path / "out")


def usable(dataset: Dataset) -> np.ndarray:
    return np.concatenate([dataset.rows(split) for split in ("train", "validation", "test")])


def expected(dataset: Dataset, rows: np.ndarray) -> np.ndarray:
    return np.stack([PREPROCESS(dataset.picture(row)) for row in rows])


def cached(dataset: Dataset) -> list[Path]:
    return sorted((dataset.path / "cache").iterdir()) if (dataset.path / "cache").exists() else []


@pytest.mark.parametrize("budget", [0, BYTES - 1, BYTES, 7 * BYTES, 50 * BYTES, 2 << 30])
def test_pixels_are_the_same_whatever_is_cached(dataset: Dataset, budget: int) -> None:
    pixels = Pixels(dataset, PREPROCESS, budget_bytes=budget)
    rows = np.random.default_rng(0).permutation(usable(dataset))
    rows = np.concatenate([rows, rows[:5]])
    read = pixels.read(rows)
    assert read.dtype == np.uint8
    assert read.flags.writeable
    assert np.array_equal(read, expected(dataset, rows))
    assert pixels.read(rows[:0]).shape == (0, 16, 16, 3)
    assert sum(len(np.load(path)) for path in cached(dataset)) == min(50, budget // BYTES)


def test_the_second_time_nothing_is_decoded(dataset: Dataset) -> None:
    rows = usable(dataset)
    first = Pixels(dataset, PREPROCESS).read(rows)
    for row in rows:
        Path(dataset.name_of(row)).unlink()
    assert np.array_equal(Pixels(dataset, PREPROCESS).read(rows), first)


def test_a_split_is_decoded_when_it_is_asked_for(dataset: Dataset) -> None:
    pixels = Pixels(dataset, PREPROCESS)
    assert cached(dataset) == []
    for number, split in enumerate(("validation", "train", "test"), 1):
        pixels.read(dataset.rows(split)[:1])
        sizes = {np.load(path).shape[0] for path in cached(dataset)}
        assert len(cached(dataset)) == number
        assert len(dataset.rows(split)) in sizes


def test_train_is_cached_first(dataset: Dataset) -> None:
    train = dataset.rows("train")
    pixels = Pixels(dataset, PREPROCESS, budget_bytes=len(train) * BYTES)
    pixels.read(train)
    for row in train:
        Path(dataset.name_of(row)).unlink()
    assert pixels.read(train).shape == (len(train), 16, 16, 3)


def test_each_geometry_has_its_own_cache(dataset: Dataset) -> None:
    for preprocess in (PREPROCESS, Preprocess(16, resize="squash"), Preprocess(8, channels=1, mean=(0.5,), std=(0.5,))):
        pixels = Pixels(dataset, preprocess).read(dataset.rows("test"))
        assert np.array_equal(pixels, np.stack([preprocess(dataset.picture(row)) for row in dataset.rows("test")]))
    assert len(cached(dataset)) == 3
    Pixels(dataset, Preprocess(16, mean=(0.5,) * 3, std=(0.5,) * 3)).read(dataset.rows("test"))  # the same pixels
    assert len(cached(dataset)) == 3


def test_array_rows(digits: Dataset) -> None:
    preprocess = Preprocess(8, channels=1, mean=(0.5,), std=(0.5,))
    rows = digits.rows("test")
    images = np.load(digits.path / "images.npy")
    assert np.array_equal(Pixels(digits, preprocess, budget_bytes=0).read(rows)[..., 0], images[rows])


@pytest.mark.parametrize("budget", [0, 2 << 30])
def test_a_picture_spoilt_since_is_told_and_leaves_no_cache(dataset: Dataset, budget: int) -> None:
    row = int(dataset.rows("train")[0])
    Path(dataset.name_of(row)).write_bytes(b"spoilt")
    with pytest.raises(UserError, match=r"\.jpg: not an image since the Dataset was made"):
        Pixels(dataset, PREPROCESS, budget_bytes=budget).read(np.asarray([row]))
    assert cached(dataset) == []


def test_a_place_that_cannot_be_written_is_told(dataset: Dataset) -> None:
    (dataset.path / "cache").write_text("in the way")
    with pytest.raises(UserError, match="cannot keep decoded pictures"):
        Pixels(dataset, PREPROCESS).read(dataset.rows("train"))


@pytest.mark.parametrize("left", [0, 60, 1000])
def test_a_cache_that_was_cut_off_is_written_again(dataset: Dataset, left: int) -> None:
    rows = dataset.rows("train")
    Pixels(dataset, PREPROCESS).read(rows)
    (path,) = cached(dataset)
    path.write_bytes(path.read_bytes()[:left])
    assert np.array_equal(Pixels(dataset, PREPROCESS).read(rows), expected(dataset, rows))
