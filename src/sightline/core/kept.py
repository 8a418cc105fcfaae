"""Kept arrays: what takes long to compute, written to a file once and memory-mapped from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from sightline.core import artifact
from sightline.core.arrays import mapped
from sightline.core.errors import UserError, named


def kept(
    path: Path, shape: tuple[int, ...], dtype: DTypeLike, parts: Callable[[], Iterator[np.ndarray]], what: str
) -> np.ndarray:
    """The array of `shape` at `path`; where there is none, it is written there first, whole or not at all.

    `parts` are its rows in order, some at a time. UserError, with `what` it is, when there is no room for it. It is
    written as a file and not through the mapping: on a full disk a write raises where a mapping kills the process.
    """
    dtype = np.dtype(dtype)
    if _mapped(path, shape, dtype) is None:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        try:
            with artifact.file(path) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for part in parts():
                    file.write(part.astype(dtype, copy=False).tobytes())
        except OSError as error:
            size = np.prod(shape, dtype=np.int64) * dtype.itemsize / 1e9
            raise UserError(f"cannot keep {what} ({size:.2g} GB) in {named(path)}: {error.strerror}") from None
    array = _mapped(path, shape, dtype)
    assert array is not None
    return array


def _mapped(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray | None:
    """The array at `path`; None when there is none, or a power cut left less of it than its name promises."""
    try:
        array = mapped(path)
    except ValueError:
        return None
    return array if array.shape == shape and array.dtype == dtype else None
