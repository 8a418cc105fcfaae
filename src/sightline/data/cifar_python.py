"""CIFAR-10 in its Python form: pickled batches, read without unpickling anything.

A pickle is a program that may call whatever it names. Here every name it gives is refused, but for the four that
numpy's arrays are made of, and those become inert stand-ins that only remember what they were given. Pure Python's
reader is used: the one in C sets aside memory as the file demands.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import UserError, named

UINT8 = ("u1", "|u1", "uint8")
_ARRAY = "_reconstruct"
_NAMES = {
    ("numpy.core.multiarray", _ARRAY),
    ("numpy._core.multiarray", _ARRAY),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Inert:
    """Stands for a named function or class: calling it, or giving it a state, only writes down what was given."""

    __slots__ = ("args", "name", "state")

    def __init__(self, name: str, args: tuple[Any, ...] = ()) -> None:
        self.name, self.args = name, args
        self.state: Any = ()

    def __call__(self, *args: Any) -> _Inert:
        return _Inert(self.name, args)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Reader(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> _Inert:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _Inert(name)

    def persistent_load(self, identity: Any) -> Any:
        raise pickle.UnpicklingError("it asks for an object from elsewhere")

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError("it asks for a registered extension")


def read_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values uint8 [N, 3072] and labels int64 [N] of one batch; UserError when the file is anything else."""
    content = _read(path)
    labels = content.get("labels")
    values = _array(content.get("data"))
    if values is None or not isinstance(labels, list) or len(labels) != len(values):
        raise UserError(f"{named(path)} is no CIFAR-10 batch: it lacks matching data and labels; get it again")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise UserError(f"{named(path)} is no CIFAR-10 batch: it holds a label outside 0 to 9")
    return values, np.asarray(labels, np.int64)


def read_names(path: Path) -> tuple[str, ...] | None:
    """The ten class names in `batches.meta`, or None when it does not hold them."""
    listed = _read(path).get("label_names")
    names = [_text(name) for name in listed] if isinstance(listed, list) else []
    return tuple(names) if len(names) == len(set(names)) == 10 else None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = _Reader(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    except Exception as error:  # a broken pickle raises anything
        why = str(error) if isinstance(error, pickle.UnpicklingError) else "it cannot be read"
        raise UserError(f"{named(path)} is no CIFAR-10 batch: {named(why)}; get it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{named(path)} is no CIFAR-10 batch: it holds no table; get it again")
    return {_text(key): value for key, value in content.items()}


def _plain(value: Any) -> Any:
    """A value, or the bytes that a stand-in for `_codecs.encode` was told of: so Python 3 writes them in protocol 2."""
    if isinstance(value, _Inert) and value.name == "encode" and value.args and isinstance(value.args[0], str):
        return value.args[0].encode("latin-1", "replace")
    return value


def _text(value: Any) -> str:
    value = _plain(value)
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _array(value: Any) -> np.ndarray | None:
    """The uint8 [N, 3072] array a stand-in was told of: state (version, shape, dtype, Fortran order, bytes)."""
    if not isinstance(value, _Inert) or value.name != _ARRAY or not _is_tuple(value.state, 5):
        return None
    _, shape, dtype, fortran, data = value.state
    data = _plain(data)
    kind = _text(dtype.args[0]) if isinstance(dtype, _Inert) and dtype.args else ""
    fits = _is_tuple(shape, 2) and shape[1] == 3072 and isinstance(data, bytes) and shape[0] == len(data) / 3072
    return np.frombuffer(data, np.uint8).reshape(-1, 3072) if fits and not fortran and kind in UINT8 else None


def _is_tuple(value: Any, length: int) -> bool:
    return isinstance(value, tuple) and len(value) == length
