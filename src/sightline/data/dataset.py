"""A Dataset: labelled pictures, checked and split, on disk as `manifest.parquet` and `dataset.json`.

The pictures stay where they are (`root`); only what came from an archive (`images/`) or as arrays (`images.npy`) lies
inside the Dataset's own directory. A Dataset is made by `prepare` and never changed afterwards.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.core import artifact
from sightline.core.errors import UserError, closest, named
from sightline.data.balance import imbalance
from sightline.data.layout import SPLITS, safe
from sightline.data.manifest import NOTED, QUARANTINED, Manifest
from sightline.data.pictures import open_picture
from sightline.data.split import part

FORMAT = 1
MANIFEST, DOCUMENT = "manifest.parquet", "dataset.json"
NOTED_CAP = 1000


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures with a verdict and a split each. `root` is what picture names are relative to."""

    path: Path
    root: Path
    name: str
    classes: tuple[str, ...]
    fingerprint: str
    table: Manifest = field(repr=False)
    document: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> Dataset:
        """The Dataset in the directory `path`; UserError when there is none, or it is damaged."""
        path = Path(path).absolute()
        document = artifact.read_json(path / DOCUMENT, "Dataset")
        if document.get("kind") != "dataset" or document.get("format") != FORMAT:
            raise UserError(f"{named(path)} is no Dataset of this version: make it again with `sightline data`")
        try:
            name, classes = str(document["name"]), tuple(str(label) for label in document["classes"])
            fingerprint, root = document["fingerprint"], path / document["root"]  # an absolute root replaces `path`
        except (KeyError, TypeError):
            raise UserError(f"damaged Dataset: {named(path / DOCUMENT)} lacks a part; make it again") from None
        table = Manifest.open(path / MANIFEST)
        if table.fingerprint(classes) != fingerprint:
            raise UserError(f"damaged Dataset: {named(path / MANIFEST)} does not match its fingerprint; make it again")
        return cls(path, root, name, classes, fingerprint, table, document)

    def rows(self, split: str) -> np.ndarray:
        """The usable rows of "train", "validation" or "test", int64, ascending."""
        if split not in SPLITS:
            raise UserError(f'unknown split "{named(split)}"{closest(split, SPLITS)}: use {", ".join(SPLITS)}')
        return np.flatnonzero(self.table.split == split)

    def part(self, share: float, seed: int) -> Dataset:
        """The same with only a `share` of the training pictures, drawn from `seed`; a Dataset of its own fingerprint.

        Every class keeps that share, and at least one picture; of one seed, a larger share holds every smaller one.
        UserError unless `share` is in (0, 1].
        """
        if not 0 < share <= 1:
            raise UserError(f"a share of {share:g} of the training pictures cannot be: it is above 0 and at most 1")
        if share == 1:
            return self
        rows = self.rows("train")
        kept = part(self.labels(rows), self.table.sha256[rows], share, seed)
        split = self.table.split.copy()
        split[rows[~kept]] = ""
        table = replace(self.table, split=split)
        return replace(self, table=table, fingerprint=table.fingerprint(self.classes))

    def labels(self, rows: np.ndarray) -> np.ndarray:
        """The class numbers of `rows`, int64."""
        return self.table.label[rows].astype(np.int64)

    @property
    def imbalance(self) -> dict[str, Any]:
        """The largest and the smallest class among the training pictures (`balance.imbalance`)."""
        return imbalance(self.classes, self.labels(self.rows("train")))

    def name_of(self, row: int) -> str:
        """The absolute name of a row's picture, as `open_picture` takes it."""
        return os.path.join(self.root, self.table.path[row])

    def picture(self, row: int) -> Image.Image:
        """A row's picture, upright, "L" or "RGB"; PictureError when its file is gone or spoilt."""
        return open_picture(self.name_of(row))

    def summary(self) -> dict[str, Any]:
        """What there is and what was found, as a JSON document."""
        table = self.table
        noted = np.flatnonzero(table.verdict == NOTED)
        bad = np.flatnonzero(table.verdict == QUARANTINED)
        notes = Counter(note for row in noted for note in table.notes[row].split(", "))
        verdicts = Counter(table.verdict.tolist())
        return {
            "kind": "dataset",
            "name": self.name,
            "path": safe(str(self.path)),
            "root": safe(str(self.root)),
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "counts": {split: self._counts(split) for split in SPLITS},
            "imbalance": self.imbalance,
            "verdicts": {verdict: verdicts[verdict] for verdict in ("fine", NOTED, QUARANTINED)},
            "quarantined": [{"picture": safe(table.path[row]), "reason": table.reason[row]} for row in bad],
            "notes": dict(sorted(notes.items())),
            "noted": [
                {"picture": safe(table.path[row]), "notes": table.notes[row].split(", ")} for row in noted[:NOTED_CAP]
            ],
            "noted_total": len(noted),
            "labels": self.document.get("labels"),
            "source": self.document.get("source"),
            "seed": self.document.get("seed"),
        }

    def _counts(self, split: str) -> dict[str, int]:
        counted = np.bincount(self.labels(self.rows(split)), minlength=len(self.classes))
        return dict(zip(self.classes, counted.tolist(), strict=True))
