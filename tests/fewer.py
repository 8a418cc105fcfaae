"""Datasets with fewer of their pictures, where fewer tell as much."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from sightline.core.artifact import write_json
from sightline.data.dataset import Dataset


def own(dataset: Dataset, path: Path) -> Dataset:
    """A copy of `dataset` that nothing is kept beside yet."""
    shutil.copytree(dataset.path, path, ignore=shutil.ignore_patterns("frozen-*"))
    return Dataset.open(path)


def without(dataset: Dataset, *splits: str) -> Dataset:
    """`dataset` with these splits empty."""
    split = dataset.table.split.copy()
    split[np.isin(split, splits)] = ""
    return replace(dataset, table=replace(dataset.table, split=split))


def small(dataset: Dataset, each: int) -> Dataset:
    """`dataset` with `each` training pictures a class."""
    rows, split = dataset.rows("train"), dataset.table.split.copy()
    labels = dataset.labels(rows)
    keep = np.concatenate([rows[labels == label][:each] for label in np.unique(labels)])
    split[np.setdiff1d(rows, keep)] = ""
    return replace(dataset, table=replace(dataset.table, split=split))


def sparse(dataset: Dataset, step: int) -> Dataset:
    """`dataset` with one of `step` pictures of each split."""
    split = np.full_like(dataset.table.split, "")
    for name in ("train", "validation", "test"):
        split[dataset.rows(name)[::step]] = name
    return replace(dataset, table=replace(dataset.table, split=split))


def written(dataset: Dataset) -> Dataset:
    """`dataset` as it is now, on its disk too."""
    fingerprint = dataset.table.fingerprint(dataset.classes)
    dataset.table.save(dataset.path / "manifest.parquet")
    write_json(dataset.path / "dataset.json", {**dataset.document, "fingerprint": fingerprint})
    return Dataset.open(dataset.path)
