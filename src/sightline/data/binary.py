"""Datasets that come as arrays: MNIST's IDX files, and CIFAR-10 in its binary and its Python form.

IDX: http://yann.lecun.com/exdb/mnist (two zero bytes, type, dimensions, sizes big-endian, then the values), plain or
gzip. CIFAR-10: https://www.cs.toronto.edu/~kriz/cifar.html (binary: a label byte and 3,072 bytes of red, green and
blue planes a record; Python: pickled batches, read by cifar_python).
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.core.errors import UserError, named
from sightline.data.layout import ignored

RECORD = 1 + 3 * 32 * 32
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_IDX = re.compile(r"(?P<part>train|t10k|test)(?P<rest>.*)idx(?P<rank>[13])[-_.]ubyte(\.gz)?", re.IGNORECASE)
_BIN = re.compile(r"(data|test)_batch.*\.bin", re.IGNORECASE)
_PY = re.compile(r"(data_batch_\d+|test_batch)")


@dataclass(frozen=True)
class Arrays:
    """Pictures uint8 [N, H, W] or [N, H, W, 3], labels int64 [N], and "train" or "test" (or "" with no split) each."""

    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]


def read_arrays(root: Path) -> Arrays | None:
    """The arrays in the files under `root`, or None when it holds none of the known forms."""
    forms: tuple[tuple[re.Pattern[str], Callable[[list[Path]], Arrays]], ...] = ((_IDX, _idx), (_BIN, _cifar_binary))
    for pattern, read in forms:
        for folder in _folders(root):
            files = [f for f in sorted(folder.iterdir()) if pattern.fullmatch(f.name) and f.is_file()]
            if files:
                return read(files)
    return None


def _folders(root: Path) -> Iterator[Path]:
    """`root` and what lies below it, four levels deep."""
    for folder, inside, _ in os.walk(root):
        inside[:] = (
            sorted(i for i in inside if not ignored(i)) if Path(folder).relative_to(root).parts[3:] == () else []
        )
        yield Path(folder)


def _idx(files: list[Path]) -> Arrays:
    parts: dict[str, dict[str, Path]] = {"train": {}, "test": {}}
    for file in files:
        match = _IDX.fullmatch(file.name)
        assert match
        parts["train" if match["part"].lower() == "train" else "test"].setdefault(match["rank"], file)
    if not parts["train"]:
        raise UserError(f"{named(files[0].parent)} has IDX test files but no train-images-idx3-ubyte(.gz)")
    images, labels, splits = [], [], []
    for split, pair in parts.items():
        if not pair:
            continue
        if set(pair) != {"1", "3"}:
            there = next(iter(pair.values()))
            raise UserError(f"{named(there)} stands alone: put the {split} images and labels (idx3, idx1) side by side")
        images.append(read_idx(pair["3"], 3))
        labels.append(read_idx(pair["1"], 1).astype(np.int64))
        splits += [split] * len(images[-1])
        if len(images[-1]) != len(labels[-1]):
            raise UserError(f"{named(pair['3'])} holds {len(images[-1])} pictures, its labels {len(labels[-1])}")
    values, numbers = np.unique(np.concatenate(labels), return_inverse=True)
    return Arrays(np.concatenate(images), numbers, np.asarray(splits), tuple(str(v) for v in values))


def read_idx(path: Path, rank: int) -> np.ndarray:
    """The uint8 array of `rank` dimensions in an IDX file, plain or gzip; UserError when it is not exactly that."""
    try:
        with path.open("rb") as plain, gzip.open(plain) if plain.peek(2)[:2] == b"\x1f\x8b" else plain as file:
            head = file.read(4 + 4 * rank)
            if len(head) < 4 + 4 * rank or head[:4] != bytes((0, 0, 8, rank)):
                raise UserError(f"{named(path)} is no IDX file of bytes in {rank} dimensions: wrong magic number")
            shape = struct.unpack(f">{rank}I", head[4:])
            count = math.prod(shape)
            data = file.read(count + 1) if count < 1 << 36 else b""
    except (OSError, EOFError, zlib.error, MemoryError, OverflowError):
        raise UserError(f"{named(path)} cannot be unpacked: get it again") from None
    if len(data) != count:
        found = f"{len(data)}" if len(data) < count else "more"
        raise UserError(f"{named(path)} should hold {count} values after its header and holds {found}: get it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _cifar_binary(files: list[Path]) -> Arrays:
    images, labels, splits = [], [], []
    for file in sorted(files, key=lambda f: (f.name.lower().startswith("test"), f.name)):
        data = np.fromfile(file, np.uint8)
        if not len(data) or len(data) % RECORD:
            raise UserError(f"{named(file)} is no CIFAR-10 batch: {len(data)} bytes are no multiple of {RECORD}")
        records = data.reshape(-1, RECORD)
        if records[:, 0].max() > 9:
            raise UserError(f"{named(file)} is no CIFAR-10 batch: it holds a label above 9")
        labels.append(records[:, 0].astype(np.int64))
        images.append(planes(records[:, 1:]))
        splits += ["test" if file.name.lower().startswith("test") else "train"] * len(records)
    return Arrays(np.concatenate(images), np.concatenate(labels), np.asarray(splits), _names(files[0].parent))


def planes(values: np.ndarray) -> np.ndarray:
    """Rows of 3,072 values in planes as pictures [N, 32, 32, 3]."""
    return np.ascontiguousarray(values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _names(folder: Path) -> tuple[str, ...]:
    """The ten names in batches.meta.txt, or the known ones without it."""
    try:
        names = tuple((folder / "batches.meta.txt").read_text("utf-8").split())
    except (OSError, UnicodeDecodeError):
        return CIFAR_CLASSES
    return names if len(names) == len(set(names)) == 10 else CIFAR_CLASSES
