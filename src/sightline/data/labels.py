"""Labels from a CSV file: a row a picture, with its name, its class and, if it likes, its split.

The first line names the columns; which is which is told by these names, whatever their case: the first of `COLUMNS`
that is there counts, other columns do not. Cells are parted by commas, semicolons or tabs, whichever the first line has
most of; the text is UTF-8, or UTF-16 with its mark. A picture is named by its path below the source, or the end of that
path, with or without its suffix. An empty split is train.

Nothing is guessed: a name that fits two files, an unknown split and a row of too many cells are errors that name their
line. Files that have no row, no label or two are put aside with that reason, as other files are; rows that name no file
are counted and listed.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.errors import UserError, first_line, named
from sightline.core.hashing import sha256_bytes
from sightline.data.layout import SPLIT_FOLDERS, Layout, ignored, is_folder, safe, walk
from sightline.data.pictures import SUFFIXES

COLUMNS = {
    "picture": (
        *("path", "file", "file_path", "filepath", "file_name", "filename", "picture", "image", "image_path"),
        *("image_name", "image_id", "name", "id"),
    ),
    "label": ("label", "class", "category", "target", "label_name", "class_name"),
    "split": ("split", "subset", "set", "partition"),
}
LISTED = 1000  # rows without a file that are named one by one


@dataclass(frozen=True)
class Row:
    """One row: the `line` it ends in, and its cells; `split` is train, validation or test."""

    line: int
    picture: str
    label: str
    split: str


@dataclass(frozen=True)
class Labels:
    """What a labels file says; `splits` is whether it has a column of them."""

    path: Path
    sha256: str
    rows: tuple[Row, ...]
    splits: bool


def read_labels(path: str | Path) -> Labels:
    """The labels in the CSV file at `path`; UserError that names the line when it is none."""
    path = Path(os.path.abspath(path))
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the labels in {named(path)}: {error.strerror}") from None
    text = _decoded(data, path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if not first:
        raise UserError(f"the labels file {named(path)} is empty: its first line must name the columns")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise UserError(f"line {reader.line_num} of {named(path)} is no CSV: {first_line(error)}") from None
    header = lines[0][1]
    places = _columns(header, path)
    rows = tuple(_row(line, cells, header, places, path) for line, cells in lines[1:])
    if not rows:
        raise UserError(f"{named(path)} has no rows below its header: give one for each picture")
    return Labels(path, sha256_bytes(data), rows, "split" in places)


def find_labelled(root: Path, name: str | Path, labels: Labels) -> tuple[Layout, dict[str, Any]]:
    """Every file under `root`, called `name`, with the class and split of its row; and what became of the rows.

    UserError when a row may mean several files, and when no row means any.
    """
    paths = sorted(_files(root), key=os.fsencode)
    finder = _Finder(root, paths)
    rows_of: dict[int, list[Row]] = defaultdict(list)
    lost = []
    for row in labels.rows:
        found = finder.find(row.picture) if row.picture else []
        if len(found) > 1:
            raise UserError(
                f"line {row.line} of {named(labels.path)} may mean {named(paths[found[0]])} or "
                f"{named(paths[found[1]])}: write the path below {named(name)}"
            )
        if found:
            rows_of[found[0]].append(row)
        else:
            lost.append(row)
    if not rows_of:
        instead = f", which holds {named(paths[0])}" if paths else ""
        raise UserError(
            f"no row of {named(labels.path)} names a file in {named(name)}{instead}: its first row has "
            f'"{named(labels.rows[0].picture)}"'
        )
    reasons = {number: _conflict(rows, labels.path.name) for number, rows in rows_of.items()}
    sound = {number: rows[0] for number, rows in rows_of.items() if not reasons[number]}
    classes = tuple(sorted({row.label for row in sound.values()}))
    numbers = {label: number for number, label in enumerate(classes)}
    layout = Layout(
        paths,
        classes,
        [numbers[sound[n].label] if n in sound else -1 for n in range(len(paths))],
        [sound[n].split if n in sound and labels.splits else "" for n in range(len(paths))],
        {n: reasons.get(n, f"no row in {named(labels.path.name)}") for n in range(len(paths)) if n not in sound},
    )
    told = {
        "file": safe(str(labels.path)),
        "sha256": labels.sha256,
        "rows": len(labels.rows),
        "repeated": sum(len(rows) - 1 for rows in rows_of.values()),
        "without_file": len(lost),
        "lost": [{"line": row.line, "picture": row.picture, "label": row.label} for row in lost[:LISTED]],
    }
    return layout, told


class _Finder:
    """Finds the files that a name may mean, by number."""

    def __init__(self, root: Path, paths: list[str]) -> None:
        self.root = str(root)
        self.whole = {_key(path): [number] for number, path in enumerate(paths)}
        self.ends: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for number, path in enumerate(paths):
            if any(map(ignored, Path(path).parts[:-1])):
                continue
            bare, suffix = os.path.splitext(path)
            for form in (path, bare) if suffix.lower() in SUFFIXES else (path,):
                self.ends[os.path.basename(_key(form))].append(("/" + _key(form), number))

    def find(self, name: str) -> list[int]:
        """The file whose path `name` is, or else all those whose paths end so."""
        name = name.removeprefix(self.root).replace("\\", "/").strip("/")
        key = _key(os.path.normpath(name))
        ends = (number for path, number in self.ends[os.path.basename(key)] if path.endswith("/" + key))
        return self.whole.get(key) or sorted(set(ends))


def _key(name: str) -> str:
    """A name however its accents are composed: archives from a Mac part them from their letters."""
    return unicodedata.normalize("NFC", name)


def _files(root: Path) -> Iterator[str]:
    """Every file below `root`, relative to it."""
    for here, entries in walk(root):
        yield from (os.path.join(here, entry.name) for entry in entries if not is_folder(entry))


def _decoded(data: bytes, path: Path) -> str:
    """The text of a labels file, without its byte order mark."""
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(f'line {line} of {named(path)} is not UTF-8: save the file as "CSV UTF-8"') from None
    if "\0" in text:
        raise UserError(f"{named(path)} holds zero bytes, it is no CSV file: export the table as CSV")
    return text


def _columns(header: list[str], path: Path) -> dict[str, int]:
    """The places of the columns for picture and label, and for the split if there is one."""
    names = [re.sub(r"[\s_-]+", "_", cell.lower()) for cell in header]
    places = {}
    for what, known in COLUMNS.items():
        name = next((name for name in known if name in names), None)
        if name is None and what != "split":
            raise UserError(
                f"{named(path)} has no column for the {what}: call it {', '.join(known[:-1])} or {known[-1]} (there "
                f"are {', '.join(map(named, header))})"
            )
        if name and names.count(name) > 1:
            raise UserError(f"{named(path)} has two columns called {name}: keep one")
        if name:
            places[what] = names.index(name)
    return places


def _row(line: int, cells: list[str], header: list[str], places: dict[str, int], path: Path) -> Row:
    if any(cells[len(header) :]):
        raise UserError(
            f"line {line} of {named(path)} has {len(cells)} cells, its header {len(header)}: put what holds a "
            "separator into quotes"
        )
    found = {what: cells[place] if place < len(cells) else "" for what, place in places.items()}
    split = SPLIT_FOLDERS.get(found.get("split", "").lower() or "train")
    if split is None:
        raise UserError(
            f'line {line} of {named(path)} has the split "{named(found["split"])}": use {", ".join(SPLIT_FOLDERS)}'
        )
    return Row(line, found["picture"], found["label"], split)


def _conflict(rows: list[Row], file: str) -> str:
    """Why the rows of one picture do not say what it is, or ""."""
    where = f"in {named(file)}, line{'s' if len(rows) > 1 else ''} {_listed(row.line for row in rows)}"
    labels, splits = (list(dict.fromkeys(values)) for values in zip(*((r.label, r.split) for r in rows), strict=True))
    if "" in labels:
        return f"no label {where}"
    if len(labels) > 1:
        return f"two labels {where}: {_listed(labels)}"
    return f"two splits {where}: {_listed(splits)}" if len(splits) > 1 else ""


def _listed(values: Iterable[object]) -> str:
    *others, last = (named(str(value)) for value in values)
    return f"{', '.join(others)} and {last}" if others else last
