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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.core.errors import UserError, named
from sightline.data import cifar_python
from sightline.data.layout import ignored

RECORD = 1 + 3 * 32 * 32
GZIP_RATIO = 1100  # gzip packs 1,032 to 1 at best
CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Arrays:
    """Pictures uint8 [N, H, W] or [N, H, W, 3], labels int64 [N], and "train" or "test" (or "" with no split) each."""

    images: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]


def read_arrays(root: Path) -> Arrays | None:
    """The arrays in the first folder at or up to three levels below `root` that holds one of the known forms, or None.

    Raises UserError when the files are there and damaged.
    """
    for folder, inside, files in os.walk(root):
        deep = len(Path(folder).relative_to(root).parts) >= 3
        inside[:] = [] if deep else sorted(name for name in inside if not ignored(name))
        for pattern, read in _FORMS:
            found = [Path(folder, name) for name in sorted(files) if pattern.fullmatch(name)]
            if found:
                return read(found)
    return None


def is_part(name: str) -> bool:
    """Whether a file of this name is a part of such a dataset."""
    return any(pattern.fullmatch(name) for pattern, _ in _FORMS)


def _idx(files: list[Path]) -> Arrays:
    parts: dict[str, dict[str, Path]] = {"train": {}, "test": {}}
    for file in files:
        match = _FORMS[0][0].fullmatch(file.name)
        assert match
        parts["train" if match["part"].lower() == "train" else "test"].setdefault(match["rank"], file)
    if not parts["train"]:
        raise UserError(f"{named(files[0].parent)} has IDX test files but no train-images-idx3-ubyte(.gz)")
    pairs = {split: _idx_pair(pair, split) for split, pair in parts.items() if pair}
    if len({images.shape[1:] for images, _ in pairs.values()}) > 1:
        raise UserError(f"{named(files[0].parent)} has train and test pictures of different sizes: get the files again")
    values, numbers = np.unique(np.concatenate([labels for _, labels in pairs.values()]), return_inverse=True)
    return Arrays(
        images=np.concatenate([images for images, _ in pairs.values()]),
        labels=numbers.astype(np.int64),
        splits=np.repeat(list(pairs), [len(labels) for _, labels in pairs.values()]),
        classes=tuple(str(value) for value in values),
    )


def _idx_pair(pair: dict[str, Path], split: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures and labels of one split, from the paths of its files of 3 dimensions and of 1."""
    if set(pair) != {"1", "3"}:
        alone = next(iter(pair.values()))
        raise UserError(f"{named(alone)} stands alone: put the {split} images and labels (idx3, idx1) side by side")
    images, labels = read_idx(pair["3"], 3), read_idx(pair["1"], 1)
    if len(images) != len(labels):
        raise UserError(f"{named(pair['3'])} holds {len(images)} pictures, but its labels are {len(labels)}")
    return images, labels


def read_idx(path: Path, rank: int) -> np.ndarray:
    """The uint8 array of `rank` dimensions in an IDX file, plain or gzip; UserError when it is not exactly that."""
    try:
        packed = path.stat().st_size
        with path.open("rb") as plain, gzip.open(plain) if plain.peek(2)[:2] == b"\x1f\x8b" else plain as file:
            head = file.read(4 + 4 * rank)
            if len(head) < 4 + 4 * rank or head[:4] != bytes((0, 0, 8, rank)):
                raise UserError(f"{named(path)} is no IDX file of bytes in {rank} dimensions: wrong magic number")
            shape = struct.unpack(f">{rank}I", head[4:])
            count = math.prod(shape)
            possible = 0 < count <= GZIP_RATIO * packed  # or a header could make us set aside any amount of memory
            data = file.read(count + 1) if possible else b""
    except (OSError, EOFError, zlib.error):
        raise UserError(f"{named(path)} cannot be unpacked: get it again") from None
    if len(data) != count or not count:
        found = "more" if len(data) > count else "less" if count else "nothing"
        raise UserError(f"{named(path)} should hold {count} values after its header and holds {found}: get it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _cifar_binary(files: list[Path]) -> Arrays:
    def read(file: Path) -> tuple[np.ndarray, np.ndarray]:
        data = np.fromfile(file, np.uint8)
        if not len(data) or len(data) % RECORD:
            raise UserError(f"{named(file)} is no CIFAR-10 batch: {len(data)} bytes are no multiple of {RECORD}")
        records = data.reshape(-1, RECORD)
        if records[:, 0].max() > 9:
            raise UserError(f"{named(file)} is no CIFAR-10 batch: it holds a label above 9")
        return records[:, 1:], records[:, 0].astype(np.int64)

    return _cifar(files, read, _meta_text(files[0].with_name("batches.meta.txt")))


def _cifar_python(files: list[Path]) -> Arrays:
    meta = files[0].with_name("batches.meta")
    return _cifar(files, cifar_python.read_batch, cifar_python.read_names(meta) if meta.is_file() else None)


def _cifar(
    files: list[Path], read: Callable[[Path], tuple[np.ndarray, np.ndarray]], names: tuple[str, ...] | None
) -> Arrays:
    """Batches in the order of their names, the test batch last; planes become pictures [N, 32, 32, 3]."""
    files = sorted(files, key=lambda file: (file.name.lower().startswith("test"), file.name))
    if files[0].name.lower().startswith("test"):
        raise UserError(f"{named(files[0].parent)} has CIFAR-10 test batches but no data_batch")
    batches = [read(file) for file in files]
    values = np.concatenate([values for values, _ in batches])
    splits = ["test" if file.name.lower().startswith("test") else "train" for file in files]
    return Arrays(
        images=np.ascontiguousarray(values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)),
        labels=np.concatenate([labels for _, labels in batches]),
        splits=np.repeat(splits, [len(labels) for _, labels in batches]),
        classes=names or CIFAR_CLASSES,
    )


def _meta_text(path: Path) -> tuple[str, ...] | None:
    """The ten class names in batches.meta.txt, or None when it does not hold them."""
    try:
        names = tuple(path.read_text("utf-8").split())
    except (OSError, UnicodeDecodeError):
        return None
    return names if len(names) == len(set(names)) == 10 else None


_FORMS: tuple[tuple[re.Pattern[str], Callable[[list[Path]], Arrays]], ...] = (
    (re.compile(r"(.*[-_])?(?P<part>train|t10k|test).*idx(?P<rank>[13])[-_.]ubyte(\.gz)?", re.IGNORECASE), _idx),
    (re.compile(r"(data|test)_batch.*\.bin", re.IGNORECASE), _cifar_binary),
    (re.compile(r"data_batch_\d+|test_batch"), _cifar_python),
)
