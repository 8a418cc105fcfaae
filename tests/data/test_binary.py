from __future__ import annotations

import gzip
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.data.binary import CIFAR_CLASSES, is_part, read_arrays, read_idx
from tests.data.made import write


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_mnist(root: Path, train: int = 6, test: int = 4, pack: Callable[[bytes], bytes] = bytes) -> None:
    generator = np.random.default_rng(0)
    suffix = ".gz" if pack is gzip.compress else ""
    for name, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, 5, 4), dtype=np.uint8)
        write(root / f"{name}-images-idx3-ubyte{suffix}", pack(idx(images)))
        write(root / f"{name}-labels-idx1-ubyte{suffix}", pack(idx(np.arange(count, dtype=np.uint8) % 3 + 4)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("deep", ["", "a/b"])
def test_idx_files(tmp_path: Path, pack: Callable[[bytes], bytes], deep: str) -> None:
    write_mnist(tmp_path / deep, pack=pack)
    arrays = read_arrays(tmp_path)
    assert arrays is not None
    expected = np.random.default_rng(0).integers(0, 256, (6, 5, 4), dtype=np.uint8)
    assert np.array_equal(arrays.images[:6], expected)
    assert arrays.classes == ("4", "5", "6")
    assert arrays.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert arrays.splits.tolist() == ["train"] * 6 + ["test"] * 4


def test_torchvision_names_and_train_alone(tmp_path: Path) -> None:
    write(tmp_path / "emnist-train-images.idx3-ubyte", idx(np.zeros((2, 3, 3), np.uint8)))
    write(tmp_path / "emnist-train-labels.idx1-ubyte", idx(np.zeros(2, np.uint8)))
    arrays = read_arrays(tmp_path)
    assert arrays is not None
    assert set(arrays.splits) == {"train"}


GOOD = idx(np.zeros((2, 3, 3), np.uint8))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "wrong magic number"),
        (b"\0\0\x0d\3" + GOOD[4:], "wrong magic number"),
        (idx(np.zeros(18, np.uint8)), "wrong magic number"),
        (GOOD[:-1], "should hold 18 values after its header and holds less"),
        (GOOD + b"\0", "should hold 18 values after its header and holds more"),
        (GOOD[:4] + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1), "holds less"),
        (GOOD[:4] + struct.pack(">3I", 0, 3, 3), "holds nothing"),
        (gzip.compress(GOOD, mtime=0)[:-9], "cannot be unpacked"),
        (gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), "cannot be unpacked"),
    ],
)
def test_damaged_idx(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_idx(write(tmp_path / "train-images-idx3-ubyte", data), 3)


@given(st.binary(max_size=60))
def test_any_bytes_are_no_idx_or_exactly_one(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any-idx3-ubyte", GOOD[:4] + data)
    try:
        array = read_idx(path, 3)
    except UserError:
        return
    assert idx(array) == GOOD[:4] + data


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("train-labels-idx1-ubyte", "stands alone"),
        ("t10k-images-idx3-ubyte", "stands alone"),
        ("train-*", "no train-images"),
    ],
)
def test_missing_idx_files(tmp_path: Path, gone: str, message: str) -> None:
    write_mnist(tmp_path)
    for path in tmp_path.glob(gone):
        path.unlink()
    with pytest.raises(UserError, match=message):
        read_arrays(tmp_path)


def test_idx_files_that_do_not_belong_together(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    write(tmp_path / "t10k-images-idx3-ubyte", idx(np.zeros((4, 9, 9), np.uint8)))
    with pytest.raises(UserError, match="different sizes"):
        read_arrays(tmp_path)
    write(tmp_path / "t10k-images-idx3-ubyte", idx(np.zeros((3, 5, 4), np.uint8)))
    with pytest.raises(UserError, match="holds 3 pictures, but its labels are 4"):
        read_arrays(tmp_path)


def records(count: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    data = generator.integers(0, 256, (count, 3073), dtype=np.uint8)
    data[:, 0] = np.arange(count) % 10
    return data


def test_cifar_binary(tmp_path: Path) -> None:
    for name, seed in (("data_batch_2.bin", 2), ("data_batch_1.bin", 1), ("test_batch_first500.bin", 3)):
        write(tmp_path / "cifar-10-batches-bin" / name, records(20, seed).tobytes())
    arrays = read_arrays(tmp_path)
    assert arrays is not None
    assert arrays.classes == CIFAR_CLASSES
    expected = np.concatenate([records(20, seed) for seed in (1, 2, 3)])
    assert arrays.labels.tolist() == expected[:, 0].tolist()
    assert np.array_equal(arrays.images.transpose(0, 3, 1, 2).reshape(60, -1), expected[:, 1:])
    assert arrays.splits.tolist() == ["train"] * 40 + ["test"] * 20
    write(
        tmp_path / "cifar-10-batches-bin" / "batches.meta.txt",
        b"\n".join(b"%c" % (97 + n) for n in range(10)) + b"\n\n",
    )
    named = read_arrays(tmp_path)
    assert named is not None
    assert named.classes == tuple("abcdefghij")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no multiple of 3073"),
        (records(2).tobytes()[:-1], "no multiple of 3073"),
        (b"\x0a" + bytes(3072), "label above 9"),
    ],
)
def test_damaged_cifar_binary(tmp_path: Path, data: bytes, message: str) -> None:
    write(tmp_path / "data_batch_1.bin", data)
    with pytest.raises(UserError, match=message):
        read_arrays(tmp_path)


def test_cifar_test_batch_alone(tmp_path: Path) -> None:
    write(tmp_path / "test_batch.bin", records(2).tobytes())
    with pytest.raises(UserError, match="no data_batch"):
        read_arrays(tmp_path)


def test_other_folders_hold_no_arrays(tmp_path: Path) -> None:
    write(tmp_path / "cat" / "1.bin", b"x")
    write(tmp_path / ".hidden" / "data_batch_1.bin", b"x")
    assert read_arrays(tmp_path) is None
    assert is_part("train-images-idx3-ubyte.gz")
    assert not is_part("photos.zip")


def test_the_cifar_subset_loads_exactly(shared: Callable[[str], Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(shared("data/cifar10/cifar10_subset.zip")) as archive:
        archive.extractall(tmp_path)
    arrays = read_arrays(tmp_path)
    assert arrays is not None
    parts = [np.fromfile(tmp_path / name, np.uint8) for name in ("data_batch_1.bin", "test_batch_first500.bin")]
    expected = np.concatenate(parts).reshape(10_500, 3073)
    assert np.array_equal(arrays.labels, expected[:, 0])
    for channel in range(3):
        plane = expected[:, 1 + 1024 * channel : 1 + 1024 * (channel + 1)].reshape(-1, 32, 32)
        assert np.array_equal(arrays.images[..., channel], plane)
    assert (arrays.splits == "train").sum() == 10_000
    assert (arrays.splits[10_000:] == "test").all()


def test_mnist_loads_exactly(shared: Callable[[str], Path]) -> None:
    folder = shared("data/mnist")
    arrays = read_arrays(folder)
    assert arrays is not None
    assert arrays.images.shape == (70_000, 28, 28)
    for name, split in (("train", "train"), ("t10k", "test")):
        rows = arrays.splits == split
        images = gzip.decompress((folder / f"{name}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{name}-labels-idx1-ubyte.gz").read_bytes())
        assert arrays.images[rows].tobytes() == images[16:]
        assert arrays.labels[rows].astype(np.uint8).tobytes() == labels[8:]
    assert arrays.classes == tuple("0123456789")
