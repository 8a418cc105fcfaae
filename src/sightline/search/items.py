"""The items of an Index: name, class and split of each row's picture, in columns that are read where they lie."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.core.arrays import mapped
from sightline.core.artifact import write_bytes
from sightline.core.errors import UserError, named
from sightline.data.layout import SPLITS

ITEMS, NAMES = "items.npy", "names.npy"
FORM = np.dtype([("end", "<i8"), ("label", "<i4"), ("split", "<i1")])


@dataclass(frozen=True, eq=False)
class Items:
    """`table` [N] of FORM, with the `end` of each row's name in `names` uint8, which a zero ends; memory-mapped.

    `classes` are what its labels are numbers of.
    """

    table: np.ndarray
    names: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def open(cls, place: Path, classes: Sequence[str], count: int) -> Items:
        """What was saved in `place`; UserError unless it is whole and of `count` rows."""
        try:
            table = mapped(place / ITEMS)
            names = mapped(place / NAMES)
        except ValueError:
            raise UserError(
                f"damaged index: the items in {named(place)} are missing or truncated; make it again"
            ) from None
        fits = table.dtype == FORM and table.shape == (count,) and names.dtype == np.uint8 and names.ndim == 1
        if not fits or (count and table["end"][-1] != len(names)):
            raise UserError(f"damaged index: the items in {named(place)} are not those of {count} rows; make it again")
        return cls(table, names, tuple(classes))

    @staticmethod
    def save(place: Path, pictures: Sequence[str], labels: np.ndarray, splits: Sequence[str]) -> None:
        """Write the columns of an Index into `place`: names, class numbers int [N] and splits, in the rows' order."""
        names = [os.fsencode(picture) + b"\0" for picture in pictures]
        table = np.empty(len(names), FORM)
        table["end"] = np.cumsum([len(name) for name in names])
        table["label"] = labels
        table["split"] = [SPLITS.index(split) for split in splits]
        for file, column in ((ITEMS, table), (NAMES, np.frombuffer(b"".join(names), np.uint8))):
            buffer = io.BytesIO()
            np.save(buffer, column)
            write_bytes(place / file, buffer.getvalue())

    def __len__(self) -> int:
        return len(self.table)

    def picture(self, row: int) -> str:
        """The name of a row's picture, relative to the Index's root."""
        start = self.table["end"][row - 1] if row else 0
        return os.fsdecode(self.names[start : self.table["end"][row] - 1].tobytes())

    def label(self, row: int) -> str:
        """The class of a row's picture."""
        return self.classes[self.table["label"][row]]

    def split(self, row: int) -> str:
        """Where a row's picture is: train, validation or test."""
        return SPLITS[self.table["split"][row]]

    @property
    def labels(self) -> np.ndarray:
        """The class number of each row, int64 [N]."""
        return self.table["label"].astype(np.int64)

    def row_of(self, picture: str) -> int | None:
        """The first row with a picture of that name; None where there is none."""
        wanted, names = os.fsencode(picture) + b"\0", self.names.tobytes()
        start = 0 if names.startswith(wanted) else names.find(b"\0" + wanted) + 1
        if not start and not names.startswith(wanted):
            return None
        return int(np.searchsorted(self.table["end"], start, side="right"))

    def rows(self, *, label: str | None = None, split: str | None = None) -> np.ndarray:
        """The rows of that class, in that split, or both, int64, ascending."""
        kept = np.ones(len(self), bool)
        if label is not None:
            kept &= self.table["label"] == (self.classes.index(label) if label in self.classes else -1)
        if split is not None:
            kept &= self.table["split"] == (SPLITS.index(split) if split in SPLITS else -1)
        return np.flatnonzero(kept)
