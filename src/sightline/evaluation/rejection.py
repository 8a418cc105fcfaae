"""Rejection: how a Rule for saying "unknown" does on pictures it was not chosen on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.bundle import softmax
from sightline.core.progress import SILENT, Progress
from sightline.core.shares import wilson
from sightline.data.pixels import Pixels
from sightline.experience import UNLIKE, UNSURE, Rule

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset
    from sightline.evaluation.answers import Answers

BATCH = 32


def rejection(
    bundle: Bundle, dataset: Dataset, answers: Answers, rule: Rule, progress: Progress = SILENT
) -> dict[str, Any]:
    """What `rule` makes of `answers`, those of `bundle` on a split of `dataset`: the share answered, and how well.

    The figures of the answered pictures are None where there are none.
    """
    pixels, rows = Pixels(dataset, bundle.preprocess, progress=progress), answers.rows
    embeddings = np.empty((len(rows), bundle.experience.references.shape[1]), np.float32)
    with progress.task("Measuring how unlike", len(rows)) as advance:
        for start in range(0, len(rows), BATCH):
            images = pixels.read(rows[start : start + BATCH])
            embeddings[start : start + BATCH] = bundle.session.run(images, only=("embedding",)).embedding
            advance(len(images))
    said = zip(softmax(answers.logits).max(axis=1), bundle.experience.distances(embeddings), strict=True)
    unknown = np.array([rule.unknown(float(confidence), float(distance)) or "" for confidence, distance in said])
    answered = unknown == ""
    wrong = int((answered & (answers.logits.argmax(axis=1) != answers.labels)).sum())
    return {
        "rule": rule.to_dict(),
        "answered": int(answered.sum()),
        "wrong": wrong,
        **{why: int((unknown == why).sum()) for why in (UNSURE, UNLIKE)},
        "coverage": _share(int(answered.sum()), len(rows)),
        "error_of_answers": _share(wrong, int(answered.sum())),
    }


def _share(hits: int, count: int) -> dict[str, float | None]:
    low, high = wilson(hits, count) if count else (None, None)
    return {"mean": hits / count if count else None, "low": low, "high": high}
