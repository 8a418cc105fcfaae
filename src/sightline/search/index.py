"""The Index: the pictures of a Dataset as unit vectors, one search backend, and the Bundle that made them.

A directory that stands alone: `index.json` (what it is and what was measured), `vectors.npy` (float32 [N, D], read by
memory map), `items.json` (picture, class and split of each row), the backend's own files, and a copy of the Bundle in
`bundle/`. Opening reads no vector and starts no network; the Bundle is opened, and verified, when the first picture is
searched for.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.core.artifact import directory, read_json, write_json
from sightline.core.errors import UserError, closest, named
from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.search.backends import BACKENDS, Backend
from sightline.search.embed import Embedded, embed, unit
from sightline.search.measure import measured

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset

FORMAT = 1
DOCUMENT, VECTORS, ITEMS, BUNDLE = "index.json", "vectors.npy", "items.json", "bundle"
COLUMNS = ("picture", "label", "split")
SPLITS = ("train", "validation", "test")
KINDS = {"name": str, "model_hash": str, "preprocess": dict, "backend": dict, "count": int, "dim": int, "root": str}
AGAIN = "make the index again with `sightline index`"


@dataclass(frozen=True)
class Neighbour:
    """A picture found: its `row` in the Index, absolute name, class, split, and cosine distance in [0, 2]."""

    row: int
    picture: str
    label: str
    split: str
    distance: float


@dataclass(frozen=True, eq=False)
class Index:
    """An opened Index; `document` is index.json, `vectors` float32 [N, D] are memory-mapped, `items` are columns."""

    path: Path
    document: dict[str, Any]
    vectors: np.ndarray
    items: dict[str, list[str]]
    backend: Backend

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """The Index at `path`; UserError when there is none, or its parts are damaged or do not belong together."""
        path = Path(path)
        document = read_json(path / DOCUMENT, "index")
        _check(path, document)
        vectors = _read_vectors(path / VECTORS, (document["count"], document["dim"]))
        items = _read_items(path / ITEMS, document["count"])
        backend = _backend(document["backend"]).open(path, vectors)
        return cls(path, document, vectors, items, backend)

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def bundle(self) -> Bundle:
        """The network that embeds a query picture, verified."""
        from sightline.bundle import Bundle

        return Bundle.open(self.path / BUNDLE)

    def search(self, query: str | Path | bytes | np.ndarray, k: int = 10) -> list[Neighbour]:
        """The `k` nearest to a picture (a name or the bytes of a file) or to a vector [D] of any length, nearest first.

        UserError when the picture cannot be read, the vector has no direction or another number of dimensions, or `k`
        is below 1 or above the number of pictures.
        """
        vector = query if isinstance(query, np.ndarray) else self._embedding(query)
        distances, rows = self.search_batch(vector[None], k)
        return [self._neighbour(int(row), float(d)) for row, d in zip(rows[0], distances[0], strict=True)]

    def search_batch(self, queries: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Distances float32 [Q, k], ascending, and rows int64 [Q, k] of the `k` nearest to `queries` [Q, D].

        UserErrors as `search`'s; a query without direction is called by its number, from 1.
        """
        if not 1 <= k <= len(self):
            raise UserError(
                f"{k} neighbours were asked for, {named(self.path)} holds {len(self)}: ask for 1 to {len(self)}"
            )
        if queries.ndim != 2 or queries.shape[1] != self.document["dim"]:
            raise UserError(f"queries of shape {list(queries.shape)}: this index takes [Q, {self.document['dim']}]")
        directions = [unit(query, f"query {number}") for number, query in enumerate(queries, 1)]
        return self.backend.search(np.array(directions, np.float32).reshape(queries.shape), k)

    def _embedding(self, picture: str | Path | bytes) -> np.ndarray:
        (answer,) = self.bundle.stream([picture], only=("embedding",))
        if answer.embedding is None:
            name = "" if named(answer.name) in (answer.error or "") else f"{named(answer.name)}: "
            raise UserError(f"{name}{answer.error}")
        return unit(answer.embedding, answer.name)

    def _neighbour(self, row: int, distance: float) -> Neighbour:
        picture, label, split = (self.items[column][row] for column in COLUMNS)
        return Neighbour(row, os.path.join(self.document["root"], picture), label, split, distance)


def build(dataset: Dataset, bundle: Bundle, out: str | Path, progress: Progress = SILENT) -> Index:
    """An Index at `out` over every usable picture of `dataset`, embedded by `bundle`; an Index there is replaced.

    Pictures that cannot be read any more are left out and listed in the document. UserError when `out` holds
    something else, no picture can be read, or one has no direction; then nothing is written.
    """
    out = Path(out)
    if out.exists() and not (out / DOCUMENT).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{named(out)} exists and is no index: choose another place")
    rows = np.sort(np.concatenate([dataset.rows(split) for split in SPLITS]))
    embedded = embed(bundle, [dataset.name_of(row) for row in rows], progress)
    if not len(embedded.kept):
        raise UserError(f"{named(dataset.name)} has no picture that can be read: see `sightline data`")
    with directory(out, replace=True) as temporary:
        _write(temporary, dataset, bundle, rows[embedded.kept], embedded)
    return Index.open(out)


def _write(place: Path, dataset: Dataset, bundle: Bundle, rows: np.ndarray, embedded: Embedded) -> None:
    """Everything an Index consists of, into `place`; `rows` are the manifest rows of the vectors."""
    np.save(place / VECTORS, embedded.vectors)
    vectors = np.load(place / VECTORS, mmap_mode="r", allow_pickle=False)
    (place / BUNDLE).mkdir()
    for file in bundle.path.iterdir():
        shutil.copyfile(file, place / BUNDLE / file.name)
    items = {
        "picture": [dataset.table.path[row] for row in rows],
        "label": [dataset.classes[label] for label in dataset.labels(rows)],
        "split": [str(split) for split in dataset.table.split[rows]],
    }
    write_json(place / ITEMS, items)
    chosen: dict[str, Any] = {"name": "exact", "parameters": {}}
    backend = _backend(chosen).fit(vectors)
    backend.save(place)
    document = {
        "format": FORMAT,
        "name": dataset.name,
        "dataset": {"fingerprint": dataset.fingerprint, "path": str(dataset.path)},
        "root": str(dataset.root),
        "count": len(rows),
        "dim": vectors.shape[1],
        "arch": bundle.arch,
        "model_hash": bundle.model_hash,
        "bundle": BUNDLE,
        "preprocess": bundle.preprocess.to_dict(),
        "pca": None,
        "backend": chosen,
        "measured": measured(backend, vectors),
        "skipped": [asdict(one) for one in embedded.skipped],
        "machine": describe(),
        "versions": versions(),
    }
    write_json(place / DOCUMENT, document)


def _backend(chosen: dict[str, Any]) -> Backend:
    """The backend a document names, not yet ready; UserError when this version has no such one."""
    name = str(chosen.get("name"))
    if name not in BACKENDS:
        raise UserError(f'this Sightline has no search method "{named(name)}"{closest(name, BACKENDS)}: {AGAIN}')
    return BACKENDS[name](**chosen.get("parameters", {}))


def _check(path: Path, document: dict[str, Any]) -> None:
    """UserError unless the document is whole and the Bundle inside is the one that made the vectors."""
    if document.get("format") != FORMAT:
        raise UserError(
            f"{named(path)} is an index of format {document.get('format')!r}, this Sightline reads {FORMAT}: {AGAIN}"
        )
    wrong = [key for key, kind in KINDS.items() if not isinstance(document.get(key), kind)]
    if wrong:
        raise UserError(f"damaged index {named(path)}: {wrong[0]} in {DOCUMENT} is missing or wrong; {AGAIN}")
    card = read_json(path / BUNDLE / "bundle.json", "bundle")
    files = card.get("files")
    found = str(files.get("model.onnx")) if isinstance(files, dict) else "none"
    if found != document["model_hash"]:
        raise UserError(
            f"{named(path)} was made by network {named(document['model_hash'][:12])} "
            f"and holds {named(found[:12])}: {AGAIN}"
        )
    if card.get("preprocess") != document["preprocess"]:
        raise UserError(f"{named(path)} was made with another preprocess than its bundle's: {AGAIN}")


def _read_vectors(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """The memory-mapped vectors; UserError unless they are float32 of `shape` and the file is whole."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise UserError(f"damaged index: {named(path)} is missing or truncated; {AGAIN}") from None
    if vectors.dtype != np.float32 or vectors.shape != shape or not vectors.flags.c_contiguous:
        raise UserError(
            f"damaged index: {named(path)} holds {vectors.dtype} {list(vectors.shape)}, "
            f"{DOCUMENT} says float32 {list(shape)}; {AGAIN}"
        )
    return vectors


def _read_items(path: Path, count: int) -> dict[str, list[str]]:
    """The columns of items.json; UserError unless each holds `count` texts."""
    items = read_json(path, "index")
    for column in COLUMNS:
        values = items.get(column)
        if not isinstance(values, list) or len(values) != count or not all(isinstance(value, str) for value in values):
            raise UserError(f"damaged index: {named(path)} does not hold {count} of {column}; {AGAIN}")
    return items
