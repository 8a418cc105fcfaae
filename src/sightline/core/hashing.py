"""SHA-256 of files and bytes, as lower-case hex."""

from __future__ import annotations

import hashlib
from pathlib import Path

SHORTEST = 8  # digits of a hash in a public file's name


def sha256_bytes(data: bytes) -> str:
    """The SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The SHA-256 of the file at `path`, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def has_sha256(path: Path, expected: str) -> bool:
    """Whether the SHA-256 of the file at `path` is `expected`, or begins with it (8 digits or more)."""
    return len(expected) >= SHORTEST and sha256_file(path).startswith(expected.lower())
