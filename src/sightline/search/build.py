"""Building an Index: pictures embedded, projected onto the axes that are worth it, and a search method chosen.

Where there is one of the same network already, only pictures that are new are embedded, and those that are gone go.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sightline.core.artifact import check_writable, directory, read_json, write_json
from sightline.core.errors import UserError, named
from sightline.core.kept import kept
from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.data.layout import SPLITS
from sightline.search.backends import make
from sightline.search.embeddings import Embeddings
from sightline.search.index import BUNDLE, DOCUMENT, FORMAT, PROJECTION, STORE, VECTORS, Index
from sightline.search.items import Items
from sightline.search.metric import Metric, prepared
from sightline.search.pca import Projection, alike, fit
from sightline.search.pca_table import pca_table
from sightline.search.quality import quality
from sightline.search.tune import NEIGHBOURS, TARGET_RECALL, check_target, tune

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset

EXACT: dict[str, Any] = {"name": "exact", "parameters": {}}
WHOLE = "embeddings.npy"  # while it is built
LEFT = re.compile(r"v([1-9][0-9]*)|\.(v[0-9]+|index\.json)\..+")  # a version, or what a killed job left
BLOCK = 1024  # vectors handled together
LEAST = 100  # pictures below which the dimensions are not worth choosing


def build(
    dataset: Dataset,
    bundle: Bundle,
    out: str | Path,
    *,
    split: str | None = None,
    metric: Metric = "cosine",
    pca: int | Literal["auto", "none"] = "auto",
    whiten: bool = False,
    method: Literal["auto", "exact"] = "auto",
    target_recall: float = TARGET_RECALL,
    k: int = NEIGHBOURS,
    tune_budget_s: float | None = None,
    progress: Progress = SILENT,
) -> Index:
    """An Index at `out` over the usable pictures of `dataset`, embedded by `bundle`; an Index there is replaced.

    Of all splits or of one. Vectors keep `pca` principal axes, `whiten`ed or not: as many as the table of dimensions
    chooses (auto), or all numbers as they are (none). The search `method` is the fastest that finds a share
    `target_recall` of the true `k` neighbours. Pictures that cannot be read any more are left out and listed in the
    document. Killed, it goes on where it was when called again. UserError when `out` holds something else or is being
    written by another process, no picture can be read, one has no direction, all are alike, or there is no room; an
    Index that was there stays.
    """
    out = Path(out)
    if out.exists() and not _ours(out):
        raise UserError(f"{named(out)} exists and is no index: choose another place")
    check_target(target_recall)
    check_writable(out / DOCUMENT)
    out.mkdir(parents=True, exist_ok=True)
    with Embeddings.opened(out / STORE, bundle) as store:
        rows, skipped = _embedded(store, dataset, (split,) if split else SPLITS, progress)
        old = [path for path in out.iterdir() if LEFT.fullmatch(path.name)]
        version = f"v{1 + max((int(path.name[1:]) for path in old if path.name[0] == 'v'), default=0)}"
        store.keep(dataset.table.sha256[rows])
        try:
            with directory(out / version) as place:
                embeddings = _embeddings(store, dataset, rows, metric, bundle, place / WHOLE)
                labels = dataset.labels(rows)
                projection, table = _projection(embeddings, labels, pca, whiten, progress)
                vectors = _vectors(embeddings, projection, place)
                tuned = None
                if method == "auto" and len(vectors) > 1:
                    limits: dict[str, Any] = {"target_recall": target_recall, "k": k, "budget_s": tune_budget_s}
                    tuned = tune(vectors, **limits, scratch=out, progress=progress)
                backend = {"name": tuned.chosen.method, "parameters": tuned.chosen.parameters} if tuned else EXACT
                near = min(k, len(vectors) - 1)
                figures = {
                    "pca": _described(projection, table) if projection else None,
                    "pca_table": table,
                    "backend": backend,
                    "tuning": tuned.to_dict() if tuned else None,
                    "quality": quality(vectors, labels, dataset.classes, near) if near else None,
                    "skipped": skipped,
                }
                document = _document(dataset, bundle, vectors.shape, {"version": version, "metric": metric, **figures})
                _write(place, dataset, bundle, rows, vectors, projection, backend)
            write_json(out / DOCUMENT, document)
        except OSError as error:
            shutil.rmtree(out / version, ignore_errors=True)
            raise UserError(f"cannot write the index {named(out)}: {error.strerror or error}") from None
        made = Index.open(out)
        for path in old:
            _remove(path)
    return made


def _remove(path: Path) -> None:
    """Remove a folder, or a file, as far as can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _embedded(
    store: Embeddings, dataset: Dataset, splits: Sequence[str], progress: Progress
) -> tuple[np.ndarray, list[dict[str, str]]]:
    """The manifest rows of the pictures whose embeddings are in the `store` now, and those that cannot be read."""
    rows = np.sort(np.concatenate([dataset.rows(split) for split in splits]))
    if not len(rows):
        raise UserError(f"{named(dataset.name)} has no {' or '.join(splits)} pictures: leave out --split")
    hashes = dataset.table.sha256[rows]
    store.add(hashes, lambda place: dataset.name_of(rows[place]), progress)
    unread = store.errors(hashes)
    skipped = [{"picture": dataset.name_of(rows[place]), "reason": reason} for place, reason in unread.items()]
    if len(unread) == len(rows):
        raise UserError(f"{named(dataset.name)} has no picture that can be read: see `sightline data`")
    return np.delete(rows, list(unread)), skipped


def _ours(out: Path) -> bool:
    """Whether `out` is an Index, one that is not finished, or an empty folder."""
    if not out.is_dir():
        return False
    if (out / DOCUMENT).is_file() and not (out / STORE).is_file():  # its embeddings may have been removed
        return "model_hash" in read_json(out / DOCUMENT, "index")
    return (out / STORE).is_file() or not any(out.iterdir())


def _embeddings(
    store: Embeddings, dataset: Dataset, rows: np.ndarray, metric: Metric, bundle: Bundle, path: Path
) -> np.ndarray:
    """The embeddings of the pictures in the manifest `rows`, ready for the `metric`, mapped from a new file."""

    def parts() -> Iterator[np.ndarray]:
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            names = [dataset.name_of(row) for row in part]
            yield prepared(store.vectors(dataset.table.sha256[part]), metric, names.__getitem__)

    return kept(path, (len(rows), bundle.card["embedding_dim"]), np.float32, parts, "embeddings")


def _vectors(embeddings: np.ndarray, projection: Projection | None, place: Path) -> np.ndarray:
    """The vectors that are searched, mapped from their file in `place`, where the `embeddings` lie."""
    if projection is None:
        (place / WHOLE).rename(place / VECTORS)
        return embeddings
    shape = (len(embeddings), projection.dims)
    vectors = kept(place / VECTORS, shape, np.float32, lambda: projection.blocks(embeddings), "vectors")
    (place / WHOLE).unlink()
    return vectors


def _projection(
    vectors: np.ndarray, labels: np.ndarray, pca: int | Literal["auto", "none"], whiten: bool, progress: Progress
) -> tuple[Projection | None, dict[str, Any] | None]:
    """The projection asked for, or None, and the table that chose its dimensions."""
    if len(vectors) > 1 and alike(vectors):
        raise UserError(
            f"all {len(vectors):,} pictures have the same embedding: this network tells nothing apart here, use another"
        )
    if pca == "none" or (pca == "auto" and (len(vectors) < LEAST or len(np.unique(labels)) < 2)):
        if whiten:
            raise UserError("--whiten is for projected vectors: leave it out, or give --pca a number of dimensions")
        return None, None
    fitted = fit(vectors)
    if pca != "auto":
        return fitted.cut(pca, whitened=whiten), None
    table = pca_table(fitted, vectors, labels, progress=progress)
    whole = table["chosen"] == len(fitted.axes)
    return (None if whole and not whiten else fitted.cut(table["chosen"], whitened=whiten)), table


def _described(projection: Projection, table: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "dims": projection.dims,
        "explained": projection.explained(),
        "whitened": projection.whitened,
        "why": table["why"] if table else "as asked for",
    }


def _write(
    place: Path, dataset: Dataset, bundle: Bundle, rows: np.ndarray, vectors: np.ndarray,
    projection: Projection | None, chosen: dict[str, Any],
) -> None:  # fmt: skip
    """What an Index consists of beside its vectors, into `place`; `rows` are the manifest rows of the vectors."""
    if projection:
        projection.save(place / PROJECTION)
    make(chosen["name"], **chosen["parameters"]).fit(vectors).save(place)
    (place / BUNDLE).mkdir()
    for file in bundle.path.iterdir():
        shutil.copyfile(file, place / BUNDLE / file.name)
    names = [dataset.table.path[row] for row in rows]
    Items.save(place, names, dataset.labels(rows), [str(split) for split in dataset.table.split[rows]])


def _document(dataset: Dataset, bundle: Bundle, shape: tuple[int, ...], figures: dict[str, Any]) -> dict[str, Any]:
    """index.json."""
    return {
        "format": FORMAT,
        "name": dataset.name,
        "dataset": {"fingerprint": dataset.fingerprint, "path": str(dataset.path)},
        "root": str(dataset.root),
        "classes": list(dataset.classes),
        "count": shape[0],
        "dim": shape[1],
        "embedding_dim": bundle.card["embedding_dim"],
        "arch": bundle.arch,
        "model_hash": bundle.model_hash,
        "preprocess": bundle.preprocess.to_dict(),
        **figures,
        "machine": describe(),
        "versions": versions(),
    }
