"""The manifest: one row a file, with its verdict. Columns in memory, Parquet on disk.

A verdict is "fine", "noted" (kept; `notes` says what is special) or "quarantined" (never used; `reason` says why).
`split` is "" where a row is not used, `label` is -1 where a file lies in no class folder. Rows of one `group` are
the same or nearly the same picture and lie on one side of a split we make. The hash columns are bytes; a million rows
take about 400 MB.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.errors import UserError, named

WORDS = {"split": "<U10", "verdict": "<U11"}
FINE, NOTED, QUARANTINED = "fine", "noted", "quarantined"


@dataclass
class Manifest:
    """Columns of equal length N. `notes` are names joined by ", "; `sha256` is of the file's bytes (of an array row:
    its pixels); `phash` is the perceptual hash, 0 where there is none.
    """

    path: list[str]
    label: np.ndarray  # int32
    split: np.ndarray  # str
    verdict: np.ndarray  # str
    reason: list[str]
    notes: list[str]
    width: np.ndarray  # int32
    height: np.ndarray  # int32
    size_bytes: np.ndarray  # int64
    sha256: np.ndarray  # uint8 [N, 32]
    phash: np.ndarray  # uint64
    group: np.ndarray  # int32

    def __len__(self) -> int:
        return len(self.path)

    def fingerprint(self, classes: tuple[str, ...]) -> str:
        """SHA-256 over the used rows: name, class, split and content, and the order of the classes."""
        used = np.flatnonzero(self.split != "")
        digest = hashlib.sha256("\0".join(classes).encode("utf-8", "surrogateescape"))
        digest.update(b"\0\0" + b"\0".join(os.fsencode(self.path[row]) for row in used))
        digest.update(self.label[used].astype("<i4").tobytes())
        digest.update("\0".join(self.split[used]).encode())
        digest.update(np.ascontiguousarray(self.sha256[used]).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write as Parquet. Names are text, or bytes when one of them is no UTF-8."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        try:
            columns["path"] = pa.array(self.path, pa.string())
        except UnicodeEncodeError:
            columns["path"] = pa.array([os.fsencode(name) for name in self.path], pa.binary())
        columns["sha256"] = pa.array([row.tobytes().hex() for row in self.sha256], pa.string())
        for name in ("split", "verdict", "reason", "notes"):
            columns[name] = pa.array(columns[name], pa.string())
        pq.write_table(pa.table(columns), path, compression="zstd")

    @classmethod
    def open(cls, path: Path) -> Manifest:
        """Read what `save` wrote; UserError when it is missing or damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.is_file():
            raise UserError(f"no Dataset at {named(path.parent)}: {path.name} is missing")
        try:
            table = pq.read_table(path)
            names = [os.fsdecode(name) for name in table["path"].to_pylist()]
            text: dict[str, Any] = {n: table[n].to_pylist() for n in ("reason", "notes")}
            text |= {n: np.asarray(table[n].to_pylist(), dtype=kind) for n, kind in WORDS.items()}
            numbers = {n: table[n].to_numpy() for n in ("label", "width", "height", "size_bytes", "phash", "group")}
            hashes = np.frombuffer(bytes.fromhex("".join(table["sha256"].to_pylist())), np.uint8).reshape(-1, 32)
        except (pa.ArrowException, OSError, KeyError, ValueError, TypeError):
            raise UserError(f"damaged Dataset: {named(path)} cannot be read; make it again") from None
        return cls(path=names, sha256=hashes, **text, **numbers)
