"""Embeddings: what a network makes of pictures, kept by the pictures' hashes, so that none is computed twice.

One SQLite file beside an Index, written batch by batch: a job that is killed goes on where it was. Whoever has it open
may write the Index, and nobody else.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from sightline.bundle import Bundle

BATCH = 32  # pictures embedded together; what is kept ends where a batch does, so going on changes no batch
EVERY_S = 0.5  # between two writings, at least


class Embeddings:
    """The embeddings of pictures by one network; `opened` gives one."""

    def __init__(self, connection: sqlite3.Connection, bundle: Bundle) -> None:
        self._connection, self._bundle = connection, bundle
        self._dims = int(bundle.card["embedding_dim"])
        connection.execute("CREATE TABLE IF NOT EXISTS source (text TEXT)")
        connection.execute("CREATE TABLE IF NOT EXISTS kept (hash BLOB PRIMARY KEY, vector BLOB, error TEXT)")
        source = json.dumps([bundle.model_hash, bundle.preprocess.to_dict()], sort_keys=True)
        if connection.execute("SELECT text FROM source").fetchone() != (source,):
            connection.execute("DELETE FROM kept")
            connection.execute("DELETE FROM source")
            connection.execute("INSERT INTO source VALUES (?)", (source,))
        connection.commit()

    @classmethod
    @contextmanager
    def opened(cls, path: Path, bundle: Bundle) -> Iterator[Embeddings]:
        """Those of `bundle`'s network at `path`, which nobody else may open meanwhile; another network's are dropped.

        UserError when another process has it open, when it is damaged, and when there is no room for it.
        """
        connection = None
        try:
            connection = sqlite3.connect(path, timeout=0)
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            yield cls(connection, bundle)
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise UserError(f"{named(path.parent)} is being written by another process: wait for it") from None
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise UserError(f"{named(path)} is damaged: remove it, and the pictures are embedded again") from None
            raise UserError(f"cannot keep embeddings in {named(path)}: {error}") from None
        finally:
            if connection:
                connection.close()

    def add(self, hashes: np.ndarray, name_of: Callable[[int], str], progress: Progress = SILENT) -> None:
        """Embed the pictures with `hashes` uint8 [N, 32] that are not kept yet; `name_of` gives a place's picture.

        What could not be read before is tried again.
        """
        self._connection.execute("DELETE FROM kept WHERE vector IS NULL")
        known = {key for (key,) in self._connection.execute("SELECT hash FROM kept")}
        pending: dict[bytes, int] = {}
        for place, key in enumerate(_keys(hashes)):
            if key not in known:
                pending.setdefault(key, place)
        names, written = [name_of(place) for place in pending.values()], time.monotonic()
        with progress.task("Embedding", len(names)) as advance:
            answers = self._bundle.stream(names, batch_size=BATCH, only=("embedding",))
            for number, (key, answer) in enumerate(zip(pending, answers, strict=True), 1):
                vector = None if answer.embedding is None else answer.embedding.astype("<f4").tobytes()
                row = (key, vector, answer.error)
                self._connection.execute("INSERT INTO kept VALUES (?, ?, ?)", row)
                if number % BATCH == 0 and time.monotonic() - written > EVERY_S:
                    self._connection.commit()
                    written = time.monotonic()
                advance()
        self._connection.commit()

    def errors(self, hashes: np.ndarray) -> dict[int, str]:
        """Which of the pictures with `hashes` [N, 32] could not be read, by their place, and why."""
        found = dict(self._connection.execute("SELECT hash, error FROM kept WHERE vector IS NULL"))
        return {place: found[key] for place, key in enumerate(_keys(hashes)) if key in found}

    def vectors(self, hashes: np.ndarray) -> np.ndarray:
        """The embeddings of the pictures with `hashes` [N, 32], all kept, float32 [N, D]."""
        rows = [
            self._connection.execute("SELECT vector FROM kept WHERE hash = ?", (key,)).fetchone()[0]
            for key in _keys(hashes)
        ]
        return np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), self._dims)

    def keep(self, hashes: np.ndarray) -> None:
        """Forget all but those of pictures with `hashes` [N, 32]."""
        wanted = set(_keys(hashes))
        gone = [(key,) for (key,) in self._connection.execute("SELECT hash FROM kept") if key not in wanted]
        self._connection.executemany("DELETE FROM kept WHERE hash = ?", gone)
        self._connection.commit()


def _keys(hashes: np.ndarray) -> Iterator[bytes]:
    return (row.tobytes() for row in hashes)
