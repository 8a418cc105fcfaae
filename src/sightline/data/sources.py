"""Where pictures come from: what a person may name, and what tells one source from another."""

from __future__ import annotations

import os
import re
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.download import cache_folder, download
from sightline.core.errors import UserError, closest, named
from sightline.core.hashing import has_sha256, sha256_bytes
from sightline.core.progress import Progress
from sightline.data import archives, binary, builtins
from sightline.data.layout import is_folder, safe, walk

LONGEST_NAME = 200  # bytes; a disk takes 255, and temporary names are longer than the thing's own


@dataclass(frozen=True)
class Source:
    """A name, the local file or folder (None: digits, which comes with scikit-learn), and its identity: while that
    stays the same, a Dataset made from it need not be made again. `classes` names numbered classes.
    """

    name: str
    path: Path | None
    identity: dict[str, Any]
    classes: tuple[str, ...] = ()


def locate(source: str | Path, sha256: str | None, allow_private: bool, progress: Progress) -> Source:
    """What `source` names: an address (downloaded into the cache), else a path, else a built-in name.

    Raises UserError when there is no such thing, or it does not hash to `sha256`.
    """
    text = str(source)
    if not text:
        raise UserError("no data is named: give a folder, an archive, an address or a built-in name such as digits")
    if re.match(r"https?://", text, re.IGNORECASE):
        return _remote(text, sha256, allow_private, progress)
    if re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE) and not text.lower().startswith("file://"):
        raise UserError(f"{named(text)} is no address we can fetch: use http, https or file")
    path = Path(os.path.abspath(_file_path(text) if text.lower().startswith("file://") else text))
    if os.path.exists(path):  # Path.exists raises where a name is too long for the disk
        return _local(path, sha256)
    if text == "digits":
        return Source(text, None, {"path": text})
    builtin = builtins.BUILTINS.get(text)
    if builtin:
        folder = builtins.fetch(text, progress)
        packed = len(builtin.files) == 1
        return Source(text, folder / next(iter(builtin.files)) if packed else folder, {"path": text}, builtin.classes)
    raise UserError(f"no such file, folder or built-in dataset: {named(text)}{closest(text, builtins.BUILTINS)}")


def _file_path(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise UserError(f"{named(url)} names another machine: use file:///path")
    return urllib.request.url2pathname(parts.path)


def _local(path: Path, sha256: str | None) -> Source:
    identity: dict[str, Any] = {"path": safe(str(path))}
    if path.is_dir():
        if sha256:
            raise UserError(f"{named(path)} is a folder: a SHA-256 is for archives and addresses")
        return Source(path.name or "pictures", path, {**identity, "state": _tree_state(path)})
    if not path.is_file():
        raise UserError(f"{named(path)} is neither a file nor a folder")
    if not os.access(path, os.R_OK):
        raise UserError(f"{named(path)} may not be read: ask for permission to read it")
    if binary.is_part(path.name):
        raise UserError(f"{named(path)} is one part of a dataset: give its folder, {named(path.parent)}")
    if sha256 and not has_sha256(path, sha256):
        raise UserError(f"{named(path)} does not have the SHA-256 {named(sha256)}: it is damaged or another file")
    stat = path.stat()
    return Source(_stem(path.name), path, {**identity, "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns})


def _remote(url: str, sha256: str | None, allow_private: bool, progress: Progress) -> Source:
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1])
    name = os.fsencode(re.sub(r"[/\0]", "_", name))[:LONGEST_NAME].decode("utf-8", "ignore").lstrip(".") or "download"
    path = cache_folder() / "downloads" / sha256_bytes(url.encode("utf-8", "surrogateescape"))[:16] / name
    if not path.is_file() or (sha256 and not has_sha256(path, sha256)):
        download(url, path, sha256=sha256, allow_private=allow_private, progress=progress)
    return Source(_stem(name), path, {"path": url, "size_bytes": path.stat().st_size})


def _stem(name: str) -> str:
    suffixes = sorted(archives.SUFFIXES, key=len, reverse=True)
    return next((name[: -len(suffix)] for suffix in suffixes if name.lower().endswith(suffix)), name) or "pictures"


def _tree_state(folder: Path) -> str:
    """A hash over the name, size and age of every file below `folder`."""
    lines = []
    for here, entries in walk(folder):
        for entry in entries:
            if not is_folder(entry):
                stat = _stat(entry.path)
                name = os.fsencode(os.path.join(here, entry.name))
                lines.append(b"%s\0%d\0%d" % (name, stat.st_size, stat.st_mtime_ns))
    return sha256_bytes(b"\0\0".join(sorted(lines)))


def _stat(path: str) -> os.stat_result:
    """Of what a link leads to, or of the link itself where that is nothing."""
    try:
        return os.stat(path)
    except OSError:
        return os.lstat(path)
