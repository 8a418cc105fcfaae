"""Answers: the logits a network gives for one split of a Dataset, computed once and kept in its Run.

Every figure is computed from these, so two figures can never be about different answers. They are kept as
`answers-<split>.npz` beside the Run's `bundle/` with what decides them (data, graph and the geometry of the pictures),
and computed again when any of it differs or the file is damaged.
"""

from __future__ import annotations

import contextlib
import io
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.core.arrays import archived
from sightline.core.artifact import write_bytes
from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress
from sightline.data.pixels import Pixels

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset
    from sightline.run import Run

BATCH = 32


@dataclass(frozen=True, eq=False)
class Answers:
    """`logits` float32 [N, C] for the manifest `rows` int64 [N] whose classes are `labels` int64 [N].

    `seconds` is the wall time they took, reading the pictures included.
    """

    rows: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    seconds: float


def answer(
    source: Run | Bundle,
    dataset: Dataset,
    split: str = "test",
    progress: Progress = SILENT,
    *,
    keep: Path | None = None,
) -> Answers:
    """What a Run or Bundle says of every usable picture of a split.

    They are kept in the directory `keep` and reused from there; a Run's in its own directory unless given.
    Raises UserError when the split is empty or unknown, when the network knows other classes than the data has, or when
    it gives a logit that is not a number.
    """
    rows = dataset.rows(split)
    if len(rows) == 0:
        raise UserError(f"{named(dataset.name)} has no {split} pictures: there is nothing to measure on")
    bundle, own = opened(source)
    place = keep or own
    check_classes(bundle, dataset)
    key = json.dumps([dataset.fingerprint, bundle.model_hash, bundle.preprocess.key()])
    kept = place / f"answers-{split}.npz" if place else None
    found = _load(kept, key, rows, dataset.labels(rows)) if kept else None
    if found:
        return found
    answers = _compute(bundle, dataset, rows, split, progress)
    if kept:
        with contextlib.suppress(OSError):  # a Run on a full or read-only disk can still be measured
            _save(kept, key, answers)
    return answers


def check_classes(bundle: Bundle, dataset: Dataset) -> None:
    """UserError unless the network's classes are the data's, in the same order."""
    if bundle.classes == dataset.classes:
        return
    differing = sorted(set(bundle.classes) ^ set(dataset.classes))
    detail = f"{named(differing[0])} is in one only" if differing else "their order differs"
    raise UserError(
        f"the network in {named(bundle.path)} knows {len(bundle.classes)} classes, {named(dataset.name)} has "
        f"{len(dataset.classes)}, and they are not the same ({detail}): measure it on data of its own classes"
    )


def opened(source: Run | Bundle) -> tuple[Bundle, Path | None]:
    """The Bundle of a Run, and the Run's directory, where answers are kept; of a Bundle itself they are not."""
    from sightline.run import Run

    return (source.bundle(), source.path) if isinstance(source, Run) else (source, None)


def pixels_for(bundle: Bundle, dataset: Dataset, progress: Progress = SILENT) -> Pixels:
    """The pictures of `dataset` as the network of `bundle` takes them.

    A combination's are not kept decoded: they are larger, and nothing else asks for them.
    """
    room = {"budget_bytes": 0} if "combination" in bundle.card else {}
    return Pixels(dataset, bundle.preprocess, progress=progress, **room)


def _compute(bundle: Bundle, dataset: Dataset, rows: np.ndarray, split: str, progress: Progress) -> Answers:
    began = time.perf_counter()
    pixels = pixels_for(bundle, dataset, progress)
    logits = np.empty((len(rows), len(bundle.classes)), np.float32)
    with progress.task(f"{bundle.arch} on {split}", len(rows)) as advance:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            logits[start : start + BATCH] = bundle.session.run(pixels.read(batch), only=("logits",)).logits
            advance(len(batch))
    wrong = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(wrong):
        picture = named(dataset.name_of(rows[wrong[0]]))
        raise UserError(f"{named(bundle.path)} gives no number for {picture}: its weights are spoilt, train it again")
    return Answers(rows, dataset.labels(rows), logits, time.perf_counter() - began)


def _save(path: Path, key: str, answers: Answers) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, key=np.array(key), rows=answers.rows, logits=answers.logits, seconds=np.array(answers.seconds))
    write_bytes(path, buffer.getvalue())


def _load(path: Path, key: str, rows: np.ndarray, labels: np.ndarray) -> Answers | None:
    """The kept answers, or None when there are none, they are of something else, or the file is damaged."""
    try:
        kept_key, kept_rows, logits, took = archived(path, "key", "rows", "logits", "seconds")
        seconds = float(took)
    except ValueError:
        return None
    if str(kept_key) != key or not np.array_equal(kept_rows, rows) or len(logits) != len(rows):
        return None
    return Answers(rows, labels, logits, seconds)
