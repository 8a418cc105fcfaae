"""The Index: the pictures of a Dataset as vectors, one search method over them, and the Bundle that made them.

A directory that stands alone: `index.json` (what it is and what was measured), `vectors.npy` (float32 [N, D], read by
memory map), `pca.npz` where they were projected, `items.json` (picture, class and split of each row), the method's own
files, and a copy of the Bundle in `bundle/`. Opening reads no vector and starts no network; the Bundle is opened, and
verified, when the first picture is searched for. `search.build` makes one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.core.artifact import read_json
from sightline.core.errors import UserError, named
from sightline.search.backends import Backend, make
from sightline.search.embed import prepared
from sightline.search.pca import Projection

if TYPE_CHECKING:
    from sightline.bundle import Bundle

FORMAT = 2
DOCUMENT, VECTORS, ITEMS, BUNDLE, PROJECTION = "index.json", "vectors.npy", "items.json", "bundle", "pca.npz"
COLUMNS = ("picture", "label", "split")
KINDS = {
    "name": str, "model_hash": str, "preprocess": dict, "backend": dict, "count": int, "dim": int, "root": str,
    "embedding_dim": int, "metric": str, "pca": (dict, type(None)),
}  # fmt: skip
AGAIN = "make the index again with `sightline index`"


@dataclass(frozen=True)
class Neighbour:
    """A picture found: its `row` in the Index, absolute name, class, split, and distance, in the Index's metric.

    The cosine distance is 1 minus the cosine, in [0, 2]; of projected vectors half the squared distance that is left.
    """

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
    projection: Projection | None

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """The Index at `path`; UserError when there is none, or its parts are damaged or do not belong together."""
        path = Path(path)
        document = read_json(path / DOCUMENT, "index")
        _check(path, document)
        vectors = _read_vectors(path / VECTORS, (document["count"], document["dim"]))
        items = _read_items(path / ITEMS, document["count"])
        chosen = document["backend"]
        backend = make(str(chosen.get("name")), **chosen.get("parameters", {})).open(path, vectors)
        projection = Projection.open(path / PROJECTION) if document["pca"] else None
        return cls(path, document, vectors, items, backend, projection)

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
        """Distances float32 [Q, k], ascending, and rows int64 [Q, k] of the `k` nearest to `queries` float [Q, D].

        D is the number of a network's embedding. UserErrors as `search`'s; a query without direction is called by its
        number, from 1.
        """
        if not 1 <= k <= len(self.vectors):
            raise UserError(
                f"{k} neighbours were asked for, {named(self.path)} holds {len(self)}: ask for 1 to {len(self)}"
            )
        if queries.ndim != 2 or queries.shape[1] != self.document["embedding_dim"]:
            raise UserError(
                f"queries of shape {list(queries.shape)}: this index takes [Q, {self.document['embedding_dim']}]"
            )
        vectors = prepared(queries, self.document["metric"], lambda place: f"query {place + 1}")
        squares, rows = self.backend.search(self.projection(vectors) if self.projection else vectors, k)
        return (squares / 2 if self.document["metric"] == "cosine" else np.sqrt(squares)), rows

    def _embedding(self, picture: str | Path | bytes) -> np.ndarray:
        (answer,) = self.bundle.stream([picture], only=("embedding",))
        if answer.embedding is None:
            name = "" if named(answer.name) in (answer.error or "") else f"{named(answer.name)}: "
            raise UserError(f"{name}{answer.error}")
        return prepared(answer.embedding[None], self.document["metric"], lambda _: answer.name)[0]

    def _neighbour(self, row: int, distance: float) -> Neighbour:
        picture, label, split = (self.items[column][row] for column in COLUMNS)
        return Neighbour(row, os.path.join(self.document["root"], picture), label, split, distance)


def _check(path: Path, document: dict[str, Any]) -> None:
    """UserError unless the document is whole and the Bundle inside is the one that made the vectors."""
    if document.get("format") != FORMAT:
        raise UserError(
            f"{named(path)} is an index of format {document.get('format')!r}, this Sightline reads {FORMAT}: {AGAIN}"
        )
    wrong = [key for key, kind in KINDS.items() if not isinstance(document.get(key, Ellipsis), kind)]
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
