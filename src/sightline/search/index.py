"""The Index: the pictures of a Dataset as vectors, one search method over them, and the Bundle that made them.

A directory that stands alone: `index.json` (what it is and what was measured), `vectors.npy` (float32 [N, D], read by
memory map), `pca.npz` where they were projected, `items.json` (picture, class and split of each row), the method's own
files, and a copy of the Bundle in `bundle/`. Opening reads no vector and starts no network; the Bundle is opened, and
verified, when the first picture is searched for. `search.build` makes one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.core.artifact import read_json
from sightline.core.errors import UserError, closest, named
from sightline.search.backends import Backend, Exact, make
from sightline.search.embed import prepared
from sightline.search.pca import Projection

if TYPE_CHECKING:
    from sightline.bundle import Bundle

FORMAT = 2
DOCUMENT, VECTORS, ITEMS, BUNDLE, PROJECTION = "index.json", "vectors.npy", "items.json", "bundle", "pca.npz"
COLUMNS = ("picture", "label", "split")
KINDS: dict[str, Any] = {
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
    """An opened Index; `document` is index.json, `vectors` float32 [N, D] are memory-mapped, `items` are columns.

    Of a part of one, as `where` gives, `rows` int64 [N] are the rows of the whole.
    """

    path: Path
    document: dict[str, Any]
    vectors: np.ndarray
    items: dict[str, list[str]]
    backend: Backend
    projection: Projection | None
    rows: np.ndarray | None = None

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

    def where(self, *, label: str | None = None, split: str | None = None) -> Index:
        """The part with this class, or in this split, or both: it is searched alone, every vector compared.

        UserError when no picture is left.
        """
        wanted = {"label": label, "split": split}
        kept = np.ones(len(self), bool)
        for column, value in wanted.items():
            if value is not None:
                kept &= np.asarray(self.items[column]) == value
                if not kept.any():
                    raise UserError(
                        f'no picture of {named(self.path)} has {column} "{named(value)}"'
                        f"{closest(value, set(self.items[column]))}"
                    )
        rows = np.flatnonzero(kept)
        vectors = np.ascontiguousarray(self.vectors[rows])
        items = {column: [values[row] for row in rows] for column, values in self.items.items()}
        whole = rows if self.rows is None else self.rows[rows]
        return replace(self, vectors=vectors, items=items, backend=Exact().fit(vectors), rows=whole)

    def search(
        self, query: str | Path | bytes | int | np.ndarray, k: int = 10, *, exclude_self: bool = False
    ) -> list[Neighbour]:
        """The `k` nearest to a picture (a name, or the bytes of a file), to a row of the Index, or to a vector [D].

        With `exclude_self` the picture of that name, or that row, is none of them. UserError when the picture cannot
        be read, there is no such row, the vector has no direction or another number of dimensions, or `k` is below 1 or
        above the number of pictures.
        """
        self._check(k, len(self) - exclude_self)
        own = self._own(query) if exclude_self else None
        if isinstance(query, int):
            vectors = self._row(query)
        else:
            vector = query if isinstance(query, np.ndarray) else self._embedding(query)
            vectors = self._projected(vector[None])
        distances, rows = self._nearest(vectors, k if own is None else k + 1)
        found = [self._neighbour(int(row), float(d)) for row, d in zip(rows[0], distances[0], strict=True)]
        return [one for one in found if one.row != own][:k]

    def search_batch(self, queries: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Distances float32 [Q, k], ascending, and rows int64 [Q, k] of the `k` nearest to `queries` float [Q, D].

        D is the number of a network's embedding. UserErrors as `search`'s; a query without direction is called by its
        number, from 1.
        """
        self._check(k, len(self))
        return self._nearest(self._projected(queries), k)

    def _check(self, k: int, most: int) -> None:
        if not 1 <= k <= most:
            raise UserError(f"{k} neighbours were asked for, {named(self.path)} holds {most}: ask for 1 to {most}")

    def _projected(self, queries: np.ndarray) -> np.ndarray:
        """Embeddings [Q, D] as the vectors that are searched."""
        if queries.ndim != 2 or queries.shape[1] != self.document["embedding_dim"]:
            raise UserError(
                f"queries of shape {list(queries.shape)}: this index takes [Q, {self.document['embedding_dim']}]"
            )
        vectors = prepared(queries, self.document["metric"], lambda place: f"query {place + 1}")
        return self.projection(vectors) if self.projection else vectors

    def _nearest(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        squares, rows = self.backend.search(vectors, k)
        return (squares / 2 if self.document["metric"] == "cosine" else np.sqrt(squares)), rows

    def _embedding(self, picture: str | Path | bytes) -> np.ndarray:
        (answer,) = self.bundle.stream([picture], only=("embedding",))
        if answer.embedding is None:
            name = "" if named(answer.name) in (answer.error or "") else f"{named(answer.name)}: "
            raise UserError(f"{name}{answer.error}")
        return prepared(answer.embedding[None], self.document["metric"], lambda _: answer.name)[0]

    def name_of(self, row: int) -> str:
        """The absolute name of the picture in a row of the whole Index; UserError when there is none."""
        whole = self.items if self.rows is None else _read_items(self.path / ITEMS, self.document["count"])
        if not 0 <= row < self.document["count"]:
            last = self.document["count"] - 1
            raise UserError(f"{named(self.path)} has no row {row}: its rows are 0 to {last}")
        return os.path.join(self.document["root"], whole["picture"][row])

    def _row(self, row: int) -> np.ndarray:
        """The vector of a row of the whole Index [1, D]."""
        assert self.name_of(row)
        whole = _read_vectors(self.path / VECTORS, (self.document["count"], self.document["dim"]))
        return np.ascontiguousarray(whole[row : row + 1])

    def _own(self, query: str | Path | bytes | int | np.ndarray) -> int | None:
        """The row of the whole Index that the query is, by its number or its name; None where it is none."""
        if isinstance(query, int):
            return query
        if not isinstance(query, str | Path):
            return None
        name = os.path.relpath(os.path.abspath(query), self.document["root"])
        try:
            place = self.items["picture"].index(name)
        except ValueError:
            return None
        return place if self.rows is None else int(self.rows[place])

    def _neighbour(self, row: int, distance: float) -> Neighbour:
        picture, label, split = (self.items[column][row] for column in COLUMNS)
        row = row if self.rows is None else int(self.rows[row])
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
