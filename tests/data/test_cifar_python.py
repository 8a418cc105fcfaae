from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.core.errors import UserError
from sightline.data.binary import read_arrays
from sightline.data.cifar_python import read_batch, read_names
from tests.data.made import write

VALUES = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
LABELS = [n % 10 for n in range(20)]


def python2_batch(values: np.ndarray, labels: list[int]) -> bytes:
    """A batch as the published files have it: written by Python 2's cPickle, protocol 2, byte strings throughout."""

    def text(data: bytes) -> bytes:
        return b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"\x87R"
    shape = number(values.shape[0]) + number(values.shape[1]) + b"\x86"
    array += b"(" + number(1) + shape + dtype + b"\x89" + text(values.tobytes()) + b"tb"
    listed = b"](" + b"".join(number(label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


def dump(content: Any, protocol: int = 2) -> bytes:
    return pickle.dumps(content, protocol)


@pytest.mark.parametrize(
    "data",
    [
        python2_batch(VALUES, LABELS),
        dump({b"data": VALUES, b"labels": LABELS}),
        dump({"data": VALUES, "labels": LABELS, "filenames": ["a"] * 20}, 4),
    ],
)
def test_batches_load_exactly(tmp_path: Path, data: bytes) -> None:
    values, labels = read_batch(write(tmp_path / "data_batch_1", data))
    assert np.array_equal(values, VALUES)
    assert labels.tolist() == LABELS


def test_the_published_form_agrees_with_numpys_own_reading() -> None:
    """So that the bytes above are what they say: numpy reads them as the same array."""
    content = pickle.loads(python2_batch(VALUES, LABELS), encoding="bytes")
    assert np.array_equal(content[b"data"], VALUES)


def test_a_folder_of_batches(tmp_path: Path) -> None:
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        write(tmp_path / "cifar-10-batches-py" / name, python2_batch(VALUES, LABELS))
    write(
        tmp_path / "cifar-10-batches-py" / "batches.meta", dump({b"label_names": [b"%c" % (97 + n) for n in range(10)]})
    )
    arrays = read_arrays(tmp_path)
    assert arrays is not None
    assert arrays.classes == tuple("abcdefghij")
    assert arrays.splits.tolist() == ["train"] * 40 + ["test"] * 20
    assert np.array_equal(arrays.images[:20].transpose(0, 3, 1, 2).reshape(20, -1), VALUES)
    assert read_names(write(tmp_path / "meta", dump({"label_names": ["a"]}))) is None


class Runs:
    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> Any:
        return self.function, self.args


@pytest.mark.parametrize("function", [os.system, eval, exec, getattr, __import__, open])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_a_pickle_names_is_called(tmp_path: Path, function: Any, protocol: int) -> None:
    data = dump({"data": Runs(function, str(tmp_path / "made"), "w"), "labels": [1]}, protocol)
    with pytest.raises(UserError, match="it asks for"):
        read_batch(write(tmp_path / "data_batch_1", data))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"(S'true'\nios\nsystem\n.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x04\x8c\x05numpy\x8c\x0edtype.__class__\x93.",
        b"\x80\x02\x82\x01.",
        b"Pelsewhere\n.",
        b"\x80\x02}r\xff\xff\xff\x7f.",
    ],
)
def test_by_hand(tmp_path: Path, code: bytes) -> None:
    with pytest.raises(UserError, match="is no CIFAR-10 batch"):
        read_batch(write(tmp_path / "data_batch_1", code))


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"data": VALUES},
        {"data": VALUES, "labels": LABELS[1:]},
        {"data": VALUES, "labels": [*LABELS[1:], 10]},
        {"data": VALUES, "labels": [*LABELS[1:], "1"]},
        {"data": VALUES[:, 1:], "labels": LABELS},
        {"data": VALUES.astype(np.int64), "labels": LABELS},
        {"data": np.asfortranarray(VALUES), "labels": LABELS},
        {"data": VALUES.tobytes(), "labels": LABELS},
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match="is no CIFAR-10 batch"):
        read_batch(write(tmp_path / "data_batch_1", dump(content)))


SMALL = python2_batch(VALUES[:1], [3])


@given(st.data())
def test_damage_gives_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    raw = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, 250) | st.integers(len(raw) - 60, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp() / "batch", bytes(raw))
    message = ""
    try:
        read_batch(path)
    except UserError as error:
        message = str(error)
    assert "\n" not in message
