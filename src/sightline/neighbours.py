"""The nearest neighbours as a classifier, a Run like any other: what a network's embedding is worth untrained."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np

from sightline.bundle import Bundle
from sightline.core.artifact import check_vacant
from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.data.dataset import Dataset
from sightline.exporting.neighbours import export_neighbours
from sightline.run import Run, begun_on

NEIGHBOURS = 5


def neighbours_run(
    bundle: Bundle, dataset: Dataset, out: Path, k: int = NEIGHBOURS, progress: Progress = SILENT
) -> Run:
    """A finished Run at `out`: pictures get the class of most of their `k` nearest training pictures.

    One that is there for the same network and pictures is kept. UserError when `out` is something else, and when there
    are fewer than `k` training pictures that can be read.
    """
    arguments = {"arch": f"{k} nearest in {bundle.arch}", "network": bundle.model_hash, "data": str(dataset.path)}
    if (out / "run.json").is_file():
        known = Run.open(out)
        if known.document["arguments"] == arguments and known.fingerprint == dataset.fingerprint:
            if known.status == "done":
                return known
            shutil.rmtree(out)  # begun, and killed
    check_vacant(out)
    began = time.perf_counter()
    rows = dataset.rows("train")
    embeddings, kept = [], []
    with progress.task("Embedding", len(rows)) as advance:
        answers = bundle.stream([dataset.name_of(row) for row in rows], only=("embedding",))
        for row, answer in zip(rows, answers, strict=True):
            if answer.embedding is not None:
                embeddings.append(answer.embedding)
                kept.append(row)
            advance()
    if len(kept) < k:
        raise UserError(f"{named(dataset.name)} has {len(kept)} training pictures: {k} nearest take as many")
    taken = np.array(kept)
    run = Run.create(out, begun_on(dataset, arguments, seed=0, counts={"train": len(kept)}))
    export_neighbours(bundle, np.stack(embeddings), dataset.labels(taken), dataset.classes, k, out / "bundle")
    seconds = time.perf_counter() - began
    return run.update(status="done", results={"train_seconds": seconds, "train_images_per_s": len(kept) / seconds})
