"""The Index: the pictures of a Dataset as vectors, one search method over them, and the Bundle that made them.

A directory that stands alone: `index.json` says what it is, what was measured and which folder holds its version:
`vectors.npy` (float32 [N, D], read by memory map), `pca.npz` where they were projected, the items (picture, class and
split of each row), the method's own files, and a copy of the Bundle in `bundle/`. A new version is written beside the
old one and index.json replaced last, so that readers see the one or the other. Opening reads no vector and starts no
network; the Bundle is opened, and verified, when the first picture is searched for. `search.build` makes one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.core.arrays import mapped
from sightline.core.artifact import read_json
from sightline.core.errors import UserError, closest, named
from sightline.data.layout import SPLITS
from sightline.search.backends import Backend, Exact, make
from sightline.search.items import Items
from sightline.search.metric import prepared
from sightline.search.pca import Projection

if TYPE_CHECKING:
    from sightline.bundle import Answer, Bundle

FORMAT = 3
DOCUMENT, VECTORS, BUNDLE, PROJECTION = "index.json", "vectors.npy", "bundle", "pca.npz"
STORE = "embeddings.sqlite"
HALF = np.array(0.5, np.float32)
VERSION = re.compile(r"v([1-9][0-9]*)")
KINDS: dict[str, Any] = {
    "name": str, "model_hash": str, "preprocess": dict, "backend": dict, "count": int, "dim": int, "root": str,
    "embedding_dim": int, "metric": str, "pca": (dict, type(None)), "classes": list,
    **dict.fromkeys(("tuning", "quality", "pca_table"), (dict, type(None))), "skipped": list,
}  # fmt: skip
AGAIN = "make the index again with `sightline index`"


Query = str | Path | bytes | int | np.ndarray


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
    """An opened Index; `document` is index.json, `vectors` float32 [N, D] and `items` are memory-mapped.

    Of a part of one, as `where` gives, `rows` int64 [n] are those that are searched.
    """

    path: Path
    document: dict[str, Any]
    vectors: np.ndarray
    items: Items
    backend: Backend
    projection: Projection | None
    rows: np.ndarray | None = None

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """The Index at `path`; UserError when there is none, or its parts are damaged or do not belong together."""
        path = Path(path)
        document = _read_document(path)
        while True:
            try:
                return cls._opened(path, document)
            except UserError:
                if (newer := _read_document(path))["version"] == document["version"]:
                    raise
                document = newer  # it was replaced while it was opened

    @classmethod
    def _opened(cls, path: Path, document: dict[str, Any]) -> Index:
        """The version that `document` tells of."""
        place = path / document["version"]
        _check_bundle(path, place, document)
        vectors = _read_vectors(place / VECTORS, (document["count"], document["dim"]))
        items = Items.open(place, document["classes"], document["count"])
        chosen = document["backend"]
        backend = make(str(chosen.get("name")), **chosen.get("parameters", {})).open(place, vectors)
        projection = Projection.open(place / PROJECTION) if document["pca"] else None
        return cls(path, document, vectors, items, backend, projection)

    @cached_property
    def _metric(self) -> str:
        return str(self.document["metric"])

    @cached_property
    def _dims(self) -> int:
        return int(self.document["embedding_dim"])

    @cached_property
    def _count(self) -> int:
        return len(self)

    @property
    def place(self) -> Path:
        """The folder of its version."""
        return self.path / str(self.document["version"])

    def __len__(self) -> int:
        return len(self.vectors) if self.rows is None else len(self.rows)

    @cached_property
    def bundle(self) -> Bundle:
        """The network that embeds a query picture, verified; UserError when another one has replaced it meanwhile."""
        from sightline.bundle import Bundle

        now = self.document if self.place.is_dir() else _read_document(self.path)
        if any(now[key] != self.document[key] for key in ("model_hash", "preprocess")):
            raise UserError(f"{named(self.path)} was made anew with another network since it was opened: open it again")
        return Bundle.open(self.path / now["version"] / BUNDLE)

    def check_made_by(self, bundle: Bundle) -> None:
        """UserError, with both hashes, unless the network of `bundle` made it."""
        made_by = str(self.document["model_hash"])
        if made_by != bundle.model_hash:
            raise UserError(
                f"{named(self.path)} was made by network {named(made_by[:12])}, {named(bundle.path)} is "
                f"{bundle.model_hash[:12]}: make the index with this network"
            )

    def where(self, *, label: str | None = None, split: str | None = None) -> Index:
        """The part with this class, or in this split, or both: it is searched alone, every vector compared.

        UserError when no picture is left.
        """
        rows = self.items.rows(label=label, split=split)
        rows = rows if self.rows is None else np.intersect1d(rows, self.rows)
        if not len(rows):
            wanted = {"class": (label, self.items.classes), "split": (split, SPLITS)}
            asked = " and ".join(
                f'{what} "{named(value)}"{closest(value, known)}' for what, (value, known) in wanted.items() if value
            )
            raise UserError(f"no picture of {named(self.path)} has {asked}")
        vectors = self.vectors if len(rows) == len(self.items) else self.vectors[rows]
        return replace(self, backend=Exact().fit(np.ascontiguousarray(vectors)), rows=rows)

    def search(self, query: Query, k: int = 10, *, exclude_self: bool = False) -> list[Neighbour]:
        """The `k` nearest to a picture (a name, or the bytes of a file), to a row of the Index, or to a vector [D].

        With `exclude_self` the picture of that name, or that row, is none of them. UserError when the picture cannot
        be read, there is no such row, the vector has no direction or another number of dimensions, or `k` is below 1 or
        above the number of pictures.
        """
        (found,) = self.search_each([query], k, exclude_self=exclude_self)
        if isinstance(found, UserError):
            raise found
        return found

    def search_each(
        self, queries: Sequence[Query], k: int = 10, *, exclude_self: bool = False
    ) -> Iterator[list[Neighbour] | UserError]:
        """What `search` gives for each of `queries`, in their order, or the UserError it would raise.

        Pictures are read in parallel and embedded by the batch.
        """
        pictures = [query for query in queries if isinstance(query, str | Path | bytes)]
        answers = self.bundle.stream(pictures, only=("embedding",)) if pictures else iter(())
        for query in queries:
            try:
                vector = next(answers) if isinstance(query, str | Path | bytes) else query
                yield self._found(query, self._searchable(vector), k, self._own(query) if exclude_self else None)
            except UserError as error:
                yield error

    def _searchable(self, query: int | np.ndarray | Answer) -> np.ndarray:
        """The vector [1, D] that is compared, of a row, a network's embedding or its answer."""
        if isinstance(query, int | np.integer):
            assert self.name_of(int(query))
            return np.ascontiguousarray(self.vectors[query : query + 1])
        if isinstance(query, np.ndarray):
            return self._projected(query[None], _numbered)
        if query.embedding is None:
            name = "" if named(query.name) in (query.error or "") else f"{named(query.name)}: "
            raise UserError(f"{name}{query.error}")
        return self._projected(query.embedding[None], lambda _: query.name)

    def _found(self, query: Query, vector: np.ndarray, k: int, own: int | None) -> list[Neighbour]:
        """The `k` nearest to `vector` but for the row `own`."""
        self._check(k, len(self) - (own is not None))
        distances, rows = self._nearest(vector, k if own is None else k + 1)
        found = [self._neighbour(int(row), float(d)) for row, d in zip(rows[0], distances[0], strict=True)]
        return [one for one in found if one.row != own][:k]

    def search_batch(self, queries: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
        """Distances float32 [Q, k], ascending, and rows int64 [Q, k] of the `k` nearest to `queries` float [Q, D].

        D is the number of a network's embedding. UserErrors as `search`'s; a query without direction is called by its
        number, from 1.
        """
        if not 1 <= k <= self._count:
            self._check(k, self._count)
        return self._nearest(self._projected(queries, _numbered), k)

    def _projected(self, queries: np.ndarray, called: Callable[[int], str]) -> np.ndarray:
        """Queries as they are searched; UserError when they do not fit, by what `called` calls each."""
        if queries.ndim != 2 or queries.shape[1] != self._dims:
            raise UserError(f"queries of shape {list(queries.shape)}: this index takes [Q, {self._dims}]")
        vectors = prepared(queries, self._metric, called)
        return self.projection(vectors) if self.projection else vectors

    def _nearest(self, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """What `search_batch` gives, of vectors [Q, D] as they are searched."""
        squares, rows = self.backend.search(vectors, k)
        distances = np.multiply(squares, HALF, squares) if self._metric == "cosine" else np.sqrt(squares, squares)
        return distances, rows if self.rows is None else self.rows[rows]

    def _check(self, k: int, most: int) -> None:
        if not 1 <= k <= most:
            raise UserError(f"{k} neighbours were asked for, {named(self.path)} holds {most}: ask for 1 to {most}")

    def name_of(self, row: int) -> str:
        """The absolute name of the picture in a row; UserError when there is none."""
        if not 0 <= row < len(self.items):
            raise UserError(f"{named(self.path)} has no row {row}: its rows are 0 to {len(self.items) - 1}")
        return os.path.join(self.document["root"], self.items.picture(row))

    def _own(self, query: Query) -> int | None:
        """The row that the query is, by its number or its name; None where it is none that is searched."""
        if isinstance(query, int | np.integer):
            row: int | None = int(query)
        elif isinstance(query, str | Path):
            row = self.items.row_of(os.path.relpath(os.path.abspath(query), self.document["root"]))
        else:
            return None
        return row if self.rows is None or row in self.rows else None

    def _neighbour(self, row: int, distance: float) -> Neighbour:
        return Neighbour(row, self.name_of(row), self.items.label(row), self.items.split(row), distance)


def _numbered(place: int) -> str:
    return f"query {place + 1}"


def _read_document(path: Path) -> dict[str, Any]:
    """index.json, checked for all that is read of it."""
    if (path / STORE).is_file() and not (path / DOCUMENT).is_file():
        raise UserError(f"{named(path)} is not finished: give the `sightline index` that began it again")
    document = read_json(path / DOCUMENT, "index")
    if document.get("format") != FORMAT:
        raise UserError(
            f"{named(path)} is an index of format {document.get('format')!r}, this Sightline reads {FORMAT}: {AGAIN}"
        )
    if not VERSION.fullmatch(str(document.get("version"))):
        raise UserError(f"damaged index {named(path)}: version in {DOCUMENT} is missing or wrong; {AGAIN}")
    wrong = [key for key, kind in KINDS.items() if not isinstance(document.get(key, Ellipsis), kind)]
    if wrong:
        raise UserError(f"damaged index {named(path)}: {wrong[0]} in {DOCUMENT} is missing or wrong; {AGAIN}")
    return document


def _check_bundle(path: Path, place: Path, document: dict[str, Any]) -> None:
    """UserError unless the Bundle inside is the one that made the vectors."""
    card = read_json(place / BUNDLE / "bundle.json", "bundle")
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
        vectors = mapped(path)
    except ValueError:
        raise UserError(f"damaged index: {named(path)} is missing or truncated; {AGAIN}") from None
    if vectors.dtype != np.float32 or vectors.shape != shape or not vectors.flags.c_contiguous:
        raise UserError(
            f"damaged index: {named(path)} holds {vectors.dtype} {list(vectors.shape)}, "
            f"{DOCUMENT} says float32 {list(shape)}; {AGAIN}"
        )
    return vectors
