"""Files and directories that are there whole or not at all.

Each is written to a temporary sibling and renamed into place, so that a crash, a full disk or an interrupt leaves
either the old one or the new one. The temporary sibling starts with a dot and is removed on failure.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sightline.core.errors import UserError, named


@contextmanager
def directory(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """A temporary directory that becomes `path` when the block ends well, and vanishes when it does not.

    Raises UserError when `path` exists and `replace` is false.
    """
    path = Path(path)
    if not replace:
        check_vacant(path)
    _make_folder(path.parent)
    with _a_place_for_files(path.parent):
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    temporary.chmod(0o777 & ~_umask())
    try:
        yield temporary
        _swap(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_vacant(path: Path) -> None:
    """UserError when something is at `path` already, or nothing can be written there."""
    if path.exists():
        raise UserError(f"{named(path)} exists already: choose another place, or remove it first")
    check_writable(path)


def check_writable(path: Path) -> None:
    """UserError when the folder that `path` is to be in may not be written to; for what would be lost late."""
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK):
        raise UserError(f"{named(path)} cannot be made, {named(folder)} may not be written to: choose another place")


def _make_folder(path: Path) -> None:
    """Make the folder `path` and those it is in."""
    with _a_place_for_files(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def _a_place_for_files(folder: Path) -> Iterator[None]:
    """UserError where the system lets nobody make files or folders, as in /proc."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"nothing can be made in {named(folder)}: choose another place") from None


def _swap(new: Path, path: Path) -> None:
    """Put `new` at `path`; what was there before is removed only after the new one stands."""
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        path.rename(old / "old")
        new.rename(path)
    except BaseException:
        if (old / "old").exists() and not path.exists():
            (old / "old").rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def file(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file, open for writing, that becomes `path` when the block ends well; flushed to the disk before.

    A link is followed. Raises UserError when `path` is a folder or a device.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise UserError(f"{named(path)} is no file: name a new file, or one to replace")
    _make_folder(path.parent)
    with _a_place_for_files(path.parent):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(opened.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data`, whole or not at all."""
    with file(path) as opened:
        opened.write(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path, what: str) -> dict[str, Any]:
    """The JSON object at `path`; `what` names it in the UserError raised when it is missing or damaged."""
    try:
        document = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"no {what} at {named(path.parent)}: {path.name} is missing") from None
    except OSError as error:
        raise UserError(f"cannot read the {what} at {named(path)}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"damaged {what}: {named(path)} is not valid JSON; make it again") from None
    if not isinstance(document, dict):
        raise UserError(f"damaged {what}: {named(path)} does not hold an object; make it again")
    return document
