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
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core import artifact
from sightline.core.errors import UserError, named
from sightline.core.hashing import sha256_bytes
from sightline.core.progress import SILENT, Progress
from sightline.data import archives, binary, builtins
from sightline.data.assemble import Labelled, Plan, assemble
from sightline.data.audit import Findings, audit_array, audit_files
from sightline.data.dataset import DOCUMENT, FORMAT, MANIFEST, Dataset
from sightline.data.labels import Labels, find_labelled, read_labels
from sightline.data.layout import Layout, find_layout, safe
from sightline.data.sources import Source, locate

IMAGES, ARRAY = "images", "images.npy"
DEFAULTS = {"seed": 0, "validation_frac": None, "test_frac": 0.15, "labels": None}


def prepare(
    source: str | Path,
    out: str | Path | None = None,
    *,
    seed: int | None = None,
    validation_frac: float | None = None,
    test_frac: float | None = None,
    labels: str | Path | None = None,
    sha256: str | None = None,
    allow_private: bool = False,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Dataset:
    """The Dataset of `source`, in the directory `out` (default `datasets/<name>` here); reused while nothing changed.

    `validation_frac` and `test_frac` are the shares of parts we cut; `labels` is a CSV file that says what the pictures
    are, instead of folders (`data.labels`). What is None stays as it is in a Dataset made of this source before; in a
    new one the seed is 0 and the shares 0.15, or 0.1 for validation of the train part of arrays of more than 5,000.
    `sha256` is what an archive must hash to; `allow_private` lets an address point into the
    local network. Raises UserError for anything about the source that the user can mend; then nothing is left behind.
    """
    if os.path.isfile(Path(source) / DOCUMENT):
        if labels is not None:
            raise UserError(f"{named(source)} is a Dataset already: give --labels with the pictures it was made from")
        return Dataset.open(source)
    shares = (validation_frac or 0, test_frac or 0)
    if not (min(shares) >= 0 and sum(shares) < 1):  # also when one is no number
        raise UserError("the shares of validation and test must be 0 or more, and leave something to train on")
    found = locate(source, sha256, allow_private, progress)
    place = Path(out).absolute() if out else _default_out(found)
    held = {name: value for name, value in _document(place).get("source", {}).items() if name in DEFAULTS}
    table = _labels(labels, held)
    said = {"path": safe(str(table.path)), "sha256": table.sha256} if table else None
    options = {"seed": seed, "validation_frac": validation_frac, "test_frac": test_frac, "labels": said}
    asked = {**found.identity, **{name: value for name, value in options.items() if value is not None}}
    reused = _reusable(place, asked)
    if reused:
        return reused
    _check_out(place, found)
    made = {**DEFAULTS, **held, **asked}
    if made["labels"] and not table:
        raise UserError(
            f"the labels of {named(place)} were in {named(made['labels']['path'])}: put it back, or give --labels"
        )
    try:
        with artifact.directory(place, replace=True) as temporary:
            _fill(temporary, found, made, table, workers, progress)
    except OSError as error:
        raise _mendable(error, place) from None
    return Dataset.open(place)


def _mendable(error: OSError, place: Path) -> Exception:
    """A full disk or a forbidden place is for the user to mend; anything else stays what it is."""
    if error.errno == errno.ENOSPC or "No space left" in str(error):
        return UserError(f"the disk of {named(place)} is full: free some space or choose another place")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return UserError(f"{named(place)} may not be written: choose another place")
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"a name is too long for the disk of {named(place)}: shorten it, or choose another with --out")
    return error


def _document(place: Path) -> dict[str, Any]:
    """The Dataset's document at `place`, or nothing when there is none, it is damaged, or of another version."""
    try:
        document = artifact.read_json(place / DOCUMENT, "Dataset")
    except UserError:
        return {}
    return document if document.get("format") == FORMAT and isinstance(document.get("source"), dict) else {}


def _default_out(source: Source) -> Path:
    """`datasets/<name>`, with a short hash of the source's place where another source of that name has taken it."""
    place = Path.cwd() / "datasets" / source.name
    path = source.identity["path"]
    taken = _document(place).get("source", {}).get("path", path) != path
    return place.with_name(f"{place.name}-{sha256_bytes(path.encode())[:8]}") if taken else place


def _reusable(place: Path, asked: dict[str, Any]) -> Dataset | None:
    """The Dataset at `place` if it is whole and was made as `asked`."""
    source = _document(place).get("source", {})
    if {**source, **asked} != source:
        return None
    try:
        return Dataset.open(place)
    except UserError:  # damaged: make it again
        return None


def _check_out(place: Path, source: Source) -> None:
    """`place` must not lie in the user's pictures, nor be anything but a Dataset of the same source."""
    if source.path and source.path.is_dir() and place.resolve().is_relative_to(source.path.resolve()):
        raise UserError(f"{named(place)} lies inside the pictures: choose a place outside of {named(source.path)}")
    if not place.exists():
        return
    if not (place / DOCUMENT).is_file():
        raise UserError(f"{named(place)} exists and is no Dataset: choose another place, or remove it first")
    path = source.identity["path"]
    if _document(place).get("source", {}).get("path", path) != path:
        raise UserError(f"{named(place)} holds a Dataset of another source: choose another place, or remove it first")


def _labels(given: str | Path | None, held: dict[str, Any]) -> Labels | None:
    """The labels file that is `given`, or that a Dataset made before was made with, if it is still there."""
    if given is not None:
        return read_labels(given)
    before = (held.get("labels") or {}).get("path")
    return read_labels(before) if before and os.path.isfile(before) else None


def _fill(
    folder: Path, source: Source, made: dict[str, Any], labels: Labels | None, workers: int | None, progress: Progress
) -> None:
    """Write the Dataset into the temporary `folder`."""
    name = str(source.path or source.name)
    root = _unpacked(folder, source, progress)
    arrays = binary.read_arrays(root) if root else builtins.digits()
    told = None
    if arrays:
        if labels:
            raise UserError(f"{named(name)} brings its own labels: {named(labels.path)} is for pictures in files")
        where = "."
        labelled, found = _from_arrays(folder, arrays, source.classes, workers, progress)
    else:
        assert root is not None
        where = str(root) if root == source.path else IMAGES
        layout, told = find_labelled(root, name, labels) if labels else (find_layout(root, name), None)
        labelled, found = _from_files(root, layout, workers, progress)
    table = assemble(labelled, found, Plan(made["validation_frac"], made["test_frac"], made["seed"]), name)
    table.save(folder / MANIFEST)
    document = {
        "format": FORMAT,
        "kind": "dataset",
        "name": safe(source.name),
        "root": where,
        "classes": list(labelled.classes),
        "fingerprint": table.fingerprint(labelled.classes),
        "seed": made["seed"],
        "labels": told,
        "source": made,
    }
    artifact.write_json(folder / DOCUMENT, document)


def _unpacked(folder: Path, source: Source, progress: Progress) -> Path | None:
    """The source's folder; an archive is unpacked into the Dataset's own."""
    if source.path is None or source.path.is_dir():
        return source.path
    (folder / IMAGES).mkdir()
    archives.extract(source.path, folder / IMAGES, limits=archives.LIMITS, progress=progress)
    return folder / IMAGES


def _from_files(root: Path, layout: Layout, workers: int | None, progress: Progress) -> tuple[Labelled, Findings]:
    splits = np.asarray(layout.splits, np.str_)
    labelled = Labelled(layout.paths, layout.classes, np.asarray(layout.labels), splits, layout.strays)
    return labelled, audit_files(root, layout.paths, workers=workers, progress=progress)


def _from_arrays(
    folder: Path, arrays: binary.Arrays, classes: tuple[str, ...], workers: int | None, progress: Progress
) -> tuple[Labelled, Findings]:
    """Keep the pictures as one array file; what they were unpacked from goes."""
    with (folder / ARRAY).open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": arrays.images.shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(arrays.images).data)  # numpy's own writing hides why it fails
    shutil.rmtree(folder / IMAGES, ignore_errors=True)
    names = [f"{ARRAY}#{row}" for row in range(len(arrays.labels))]
    known = classes if len(classes) == len(arrays.classes) else arrays.classes
    labelled = Labelled(names, known, arrays.labels, arrays.splits, {}, whole=True)
    return labelled, audit_array(arrays.images, workers=workers, progress=progress)
