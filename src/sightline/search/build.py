"""Building an Index: pictures embedded, projected onto the axes that are worth it, and a search method chosen."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sightline.core.artifact import directory, write_json
from sightline.core.errors import UserError, named
from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.search.backends import make
from sightline.search.embed import Embedded, Metric, embed
from sightline.search.index import BUNDLE, DOCUMENT, FORMAT, ITEMS, PROJECTION, VECTORS, Index
from sightline.search.pca import Projection, fit
from sightline.search.pca_table import pca_table
from sightline.search.quality import quality
from sightline.search.tune import NEIGHBOURS, TARGET_RECALL, check_target, tune

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset

SPLITS = ("train", "validation", "test")
LEAST = 100  # pictures below which the dimensions are not worth choosing


def build(
    dataset: Dataset,
    bundle: Bundle,
    out: str | Path,
    *,
    metric: Metric = "cosine",
    pca: int | Literal["auto", "none"] = "auto",
    whiten: bool = False,
    method: Literal["auto", "exact"] = "auto",
    target_recall: float = TARGET_RECALL,
    k: int = NEIGHBOURS,
    tune_budget_s: float | None = None,
    progress: Progress = SILENT,
) -> Index:
    """An Index at `out` over every usable picture of `dataset`, embedded by `bundle`; an Index there is replaced.

    Vectors keep `pca` principal axes, `whiten`ed or not: as many as the table of dimensions chooses (auto), or all
    numbers as they are (none). The search `method` is the fastest that finds a share `target_recall` of the true `k`
    neighbours. Pictures that cannot be read any more are left out and listed in the document. UserError when `out`
    holds something else, no picture can be read, one has no direction, or all are alike; then nothing is written.
    """
    out = Path(out)
    if out.exists() and not (out / DOCUMENT).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{named(out)} exists and is no index: choose another place")
    check_target(target_recall)
    rows = np.sort(np.concatenate([dataset.rows(split) for split in SPLITS]))
    embedded = embed(bundle, [dataset.name_of(row) for row in rows], metric, progress)
    rows = rows[embedded.kept]
    if not len(rows):
        raise UserError(f"{named(dataset.name)} has no picture that can be read: see `sightline data`")
    labels = dataset.labels(rows)
    projection, table = _projection(embedded.vectors, labels, pca, whiten, progress)
    vectors = embedded.vectors if projection is None else np.concatenate(list(projection.blocks(embedded.vectors)))
    chosen: dict[str, Any] = {"name": "exact", "parameters": {}}
    tuned = None
    if method == "auto" and len(vectors) > 1:
        found = tune(vectors, target_recall=target_recall, k=k, budget_s=tune_budget_s, progress=progress)
        chosen, tuned = {"name": found.chosen.method, "parameters": found.chosen.parameters}, found.to_dict()
    figures = {
        "metric": metric,
        "pca": _described(projection, table) if projection else None,
        "pca_table": table,
        "backend": chosen,
        "tuning": tuned,
        "quality": quality(vectors, labels, dataset.classes, min(k, len(vectors) - 1)) if len(vectors) > 1 else None,
    }
    with directory(out, replace=True) as temporary:
        _write(temporary, dataset, bundle, rows, vectors, projection, figures, embedded)
    return Index.open(out)


def _projection(
    vectors: np.ndarray, labels: np.ndarray, pca: int | Literal["auto", "none"], whiten: bool, progress: Progress
) -> tuple[Projection | None, dict[str, Any] | None]:
    """The projection asked for, or None, and the table that chose its dimensions."""
    if len(vectors) > 1 and (vectors == vectors[0]).all():
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
    projection: Projection | None, figures: dict[str, Any], embedded: Embedded,
) -> None:  # fmt: skip
    """Everything an Index consists of, into `place`; `rows` are the manifest rows of the vectors."""
    np.save(place / VECTORS, vectors)
    mapped = np.load(place / VECTORS, mmap_mode="r", allow_pickle=False)
    if projection:
        projection.save(place / PROJECTION)
    make(figures["backend"]["name"], **figures["backend"]["parameters"]).fit(mapped).save(place)
    (place / BUNDLE).mkdir()
    for file in bundle.path.iterdir():
        shutil.copyfile(file, place / BUNDLE / file.name)
    items = {
        "picture": [dataset.table.path[row] for row in rows],
        "label": [dataset.classes[label] for label in dataset.labels(rows)],
        "split": [str(split) for split in dataset.table.split[rows]],
    }
    write_json(place / ITEMS, items)
    document = {
        "format": FORMAT,
        "name": dataset.name,
        "dataset": {"fingerprint": dataset.fingerprint, "path": str(dataset.path)},
        "root": str(dataset.root),
        "count": len(rows),
        "dim": vectors.shape[1],
        "embedding_dim": embedded.vectors.shape[1],
        "arch": bundle.arch,
        "model_hash": bundle.model_hash,
        "bundle": BUNDLE,
        "preprocess": bundle.preprocess.to_dict(),
        **figures,
        "skipped": [asdict(one) for one in embedded.skipped],
        "machine": describe(),
        "versions": versions(),
    }
    write_json(place / DOCUMENT, document)
