"""Making a Dataset: find the source, read its layout, audit every file, group duplicates, split, write it down.

A source is a folder, a zip or tar, an address of one, a folder or archive of IDX or CIFAR-10 files, a built-in name,
or a Dataset made before. The source is never written to, and nothing is copied out of a folder of pictures.

Splits. Given folders are kept: with train, validation and test as they are; with train and one held-out folder, that
one is the test (whatever it is called) and a validation part is cut from train, for a network chosen on the pictures
it is then judged by looks better than it is. With no split, or train alone, all is split. Arrays keep their test part.
"""

from __future__ import annotations

import errno
import os
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core import artifact
from sightline.core.download import download
from sightline.core.errors import UserError, closest, named
from sightline.core.hashing import sha256_bytes, sha256_file
from sightline.core.progress import SILENT, Progress
from sightline.data import archives, binary, builtins
from sightline.data.assemble import Labelled, assemble
from sightline.data.audit import audit_array, audit_files
from sightline.data.dataset import DOCUMENT, FORMAT, MANIFEST, Dataset
from sightline.data.layout import find_layout, safe

IMAGES, ARRAY = "images", "images.npy"


@dataclass(frozen=True)
class Source:
    """Where the pictures come from: a name, a local file or folder (None: digits), and what tells it from others."""

    name: str
    path: Path | None
    identity: dict[str, Any]
    classes: tuple[str, ...] = ()  # known names for numbered classes


def prepare(
    source: str | Path,
    out: Path | None = None,
    *,
    seed: int = 0,
    validation_frac: float = 0.15,
    test_frac: float = 0.15,
    sha256: str | None = None,
    allow_private: bool = False,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Dataset:
    """The Dataset of `source`, made in the directory `out` (default `datasets/<name>` here), or reused when it is there.

    `sha256` is what the archive must hash to; `allow_private` lets addresses point into the local network. Raises
    UserError for anything about the source that the user can mend; then nothing is left behind.
    """
    if (Path(source) / DOCUMENT).is_file():
        return Dataset.open(source)
    if not (validation_frac >= 0 and test_frac >= 0 and validation_frac + test_frac < 1):
        raise UserError(
            f"shares of {validation_frac} and {test_frac} leave nothing to train on: keep their sum below 1"
        )
    found = locate(source, sha256, allow_private, progress)
    made = {**found.identity, "seed": seed, "validation_frac": validation_frac, "test_frac": test_frac}
    out = Path(out).absolute() if out else _default_out(found, made)
    if _is_made(out, made):
        return Dataset.open(out)
    _check_out(out, found, made)
    try:
        with artifact.directory(out, replace=True) as temporary:
            _fill(temporary, found, made, workers, progress)
    except OSError as error:
        if error.errno != errno.ENOSPC and "No space left" not in str(error):
            raise
        raise UserError(f"the disk of {named(out)} is full: free some space or choose another place") from None
    return Dataset.open(out)


def locate(source: str | Path, sha256: str | None, allow_private: bool, progress: Progress) -> Source:
    """What `source` names: a path, else an address (downloaded into the cache), else a built-in name."""
    text = str(source)
    if re.match(r"https?://", text, re.IGNORECASE):
        return _remote(text, sha256, allow_private, progress)
    if text.lower().startswith("file://"):
        text = urllib.parse.unquote(urllib.parse.urlparse(text).path)
    path = Path(os.path.abspath(text))
    if path.exists():
        return _local(path, sha256)
    if text == "digits":
        return Source("digits", None, {"path": "digits"})
    builtin = builtins.BUILTINS.get(text)
    if builtin:
        folder = builtins.fetch(text, progress)
        inside = folder / next(iter(builtin.files)) if len(builtin.files) == 1 else folder
        return Source(text, inside, {"path": text}, builtin.classes)
    raise UserError(f"no such file, folder or built-in dataset: {named(text)}{closest(text, builtins.BUILTINS)}")


def _local(path: Path, sha256: str | None) -> Source:
    identity: dict[str, Any] = {"path": safe(str(path))}
    if path.is_dir():
        if sha256:
            raise UserError(f"{named(path)} is a folder: --sha256 is for archives and addresses")
        return Source(path.name or "pictures", path, {**identity, "state": _tree_state(path)})
    if sha256 and sha256_file(path) != sha256.lower():
        raise UserError(f"{named(path)} does not have the SHA-256 {named(sha256)}: it is damaged or another file")
    stat = path.stat()
    return Source(_stem(path.name), path, {**identity, "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns})


def _remote(url: str, sha256: str | None, allow_private: bool, progress: Progress) -> Source:
    name = urllib.parse.unquote(Path(urllib.parse.urlparse(url).path).name) or "download"
    path = builtins.cache_folder() / "downloads" / sha256_bytes(url.encode())[:16] / name.replace("/", "_")
    if not path.is_file() or (sha256 and sha256_file(path) != sha256.lower()):
        download(url, path, sha256=sha256, allow_private=allow_private, progress=progress)
    return Source(_stem(name), path, {"path": url, "size_bytes": path.stat().st_size})


def _stem(name: str) -> str:
    suffix = next((s for s in sorted(archives.SUFFIXES, key=len, reverse=True) if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)] or "pictures"


def _tree_state(folder: Path) -> str:
    """A hash over every file's name, size and age below `folder`."""
    lines = []
    for here, _, files in os.walk(folder, followlinks=False):
        for name in files:
            path = os.path.join(here, name)
            stat = os.lstat(path)
            lines.append(b"%s\0%d\0%d" % (os.fsencode(path), stat.st_size, stat.st_mtime_ns))
    return sha256_bytes(b"\0\0".join(sorted(lines)))


def _default_out(source: Source, made: dict[str, Any]) -> Path:
    """`datasets/<name>`, with a short hash of the source's place where another source of that name has taken it."""
    out = Path.cwd() / "datasets" / source.name
    if not (out / DOCUMENT).is_file():
        return out
    taken = artifact.read_json(out / DOCUMENT, "Dataset").get("source", {}).get("path") != made["path"]
    return out.with_name(f"{out.name}-{sha256_bytes(made['path'].encode())[:8]}") if taken else out


def _is_made(out: Path, made: dict[str, Any]) -> bool:
    return (out / DOCUMENT).is_file() and artifact.read_json(out / DOCUMENT, "Dataset").get("source") == made


def _check_out(out: Path, source: Source, made: dict[str, Any]) -> None:
    """`out` must not lie in the user's pictures, nor be anything but a Dataset of the same source."""
    if source.path and source.path.is_dir() and out.is_relative_to(source.path):
        raise UserError(f"{named(out)} lies inside the pictures: choose a place outside of {named(source.path)}")
    if not out.exists():
        return
    if not (out / DOCUMENT).is_file():
        raise UserError(f"{named(out)} exists and is no Dataset: choose another place, or remove it first")
    if artifact.read_json(out / DOCUMENT, "Dataset").get("source", {}).get("path") != made["path"]:
        raise UserError(f"{named(out)} holds a Dataset of another source: choose another place, or remove it first")


def _fill(folder: Path, source: Source, made: dict[str, Any], workers: int | None, progress: Progress) -> None:
    """Write the Dataset into the temporary `folder`."""
    root, arrays = source.path, builtins.digits() if source.path is None else None
    unpacked = folder / IMAGES
    if root and not root.is_dir():
        unpacked.mkdir()
        archives.extract(root, unpacked, progress=progress)
        root = unpacked
    if root:
        arrays = binary.read_arrays(root)
    validation_frac = made["validation_frac"]
    if arrays:
        np.save(folder / ARRAY, arrays.images, allow_pickle=False)
        archives.remove(unpacked)
        classes = source.classes or arrays.classes
        names = [f"{ARRAY}#{row}" for row in range(len(arrays.labels))]
        labelled = Labelled(names, classes, arrays.labels, arrays.splits, {})
        findings = audit_array(arrays.images, workers=workers, progress=progress)
        if np.count_nonzero(arrays.splits == "train") > 5000:
            validation_frac = min(validation_frac, 0.1)
        where = "."
    else:
        assert root is not None
        layout = find_layout(root)
        labelled = Labelled(
            layout.paths, layout.classes, np.asarray(layout.labels), np.asarray(layout.splits, np.str_), layout.strays
        )
        findings = audit_files(root, layout.paths, workers=workers, progress=progress)
        where = IMAGES if root == unpacked else str(root)
    table = assemble(labelled, findings, validation_frac, made["test_frac"], made["seed"], str(source.path))
    table.save(folder / MANIFEST)
    document = {
        "format": FORMAT,
        "kind": "dataset",
        "name": safe(source.name),
        "root": where,
        "classes": list(labelled.classes),
        "fingerprint": table.fingerprint(labelled.classes),
        "seed": made["seed"],
        "source": made,
    }
    artifact.write_json(folder / DOCUMENT, document)
