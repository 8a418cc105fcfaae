"""Arrays in files: NumPy's .npy, memory-mapped, and .npz; pickles are refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_ONE_AT_A_TIME = threading.Lock()
"""NumPy parses a file's header with `ast.literal_eval`, which Python before 3.11.8 cannot do in two threads at once:
SystemError, "AST constructor recursion depth mismatch" (python/cpython issue 106905).
"""
if hasattr(os, "register_at_fork"):  # a copy of the process is made while no thread of it reads
    os.register_at_fork(
        before=_ONE_AT_A_TIME.acquire, after_in_parent=_ONE_AT_A_TIME.release, after_in_child=_ONE_AT_A_TIME.release
    )


def mapped(path: str | Path) -> np.ndarray:
    """The array in the .npy file `path`, memory-mapped for reading; ValueError when it is missing, cut off or none."""
    with _damage_is_a_value_error(), _ONE_AT_A_TIME:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            array.close()
            raise ValueError("several arrays")
        return array.view(np.ndarray)


def archived(path: Path, *names: str) -> tuple[np.ndarray, ...]:
    """The arrays `names` in the .npz file `path`; ValueError when it is missing or damaged, or lacks one of them."""
    with _damage_is_a_value_error(), _ONE_AT_A_TIME, np.load(path, allow_pickle=False) as file:
        arrays = tuple(file[name] for name in names)
        if not all(isinstance(array, np.ndarray) for array in arrays):
            raise ValueError("no arrays")
        return arrays


@contextmanager
def _damage_is_a_value_error() -> Iterator[None]:
    """What NumPy, zipfile, zlib and Python's own parser say of a file, as one kind of error: they raise a dozen."""
    try:
        yield
    except Exception as error:
        raise ValueError(str(error)) from None
