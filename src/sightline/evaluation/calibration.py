"""Calibration: what a trained network learns of itself from the validation pictures before it is exported.

A temperature, to be folded into its head, so that the graph, its weights and its heat maps agree; and its Experience,
by which it may later say "unknown".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sightline.bundle import softmax
from sightline.evaluation.metrics import Metrics, measure
from sightline.evaluation.temperature import fit_temperature
from sightline.experience import Experience

REFERENCES, PER_CLASS = 500, 10  # training pictures to remember: at least so many, and of each class


@dataclass(frozen=True)
class Calibration:
    """What the head is to be divided by, the Experience, figures, and cells (class, class that was said, pictures)."""

    temperature: float
    experience: Experience
    figures: dict[str, Any]
    confusion: list[list[int]]


def calibrate(
    logits: np.ndarray, labels: np.ndarray, classes: Sequence[str], embeddings: np.ndarray, known: np.ndarray
) -> Calibration:
    """The Calibration of a network by its finite `logits` [N, C] and `embeddings` [N, D] of N validation pictures.

    `labels` [N] are their classes; `known` [M, D] the embeddings of the training pictures to remember.
    """
    temperature = fit_temperature(logits, labels)
    before = measure(logits, labels, classes)
    figures = {
        "temperature": asdict(temperature),
        "pictures": len(labels),
        "before": _trust(before),
        "after": _trust(measure(logits / temperature.value, labels, classes)),
    }
    confidence = softmax(logits / temperature.value).max(axis=1)
    experience = Experience.of(known, embeddings, confidence, logits.argmax(axis=1) == labels)
    confusion = np.array(before.confusion)
    cells = [[int(i), int(j), int(confusion[i, j])] for i, j in np.argwhere(confusion)]
    return Calibration(temperature.value, experience, figures, cells)


def _trust(metrics: Metrics) -> dict[str, float]:
    return {"ece": metrics.ece, "log_loss": metrics.log_loss}


def remembered(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Those of the training `rows` with class numbers `labels` to remember, ascending, the same of each class."""
    order = np.random.default_rng(0).permutation(len(rows))
    turns = np.empty(len(rows), np.int64)  # of how many of its class a row is one when all are dealt in that order
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turns[own] = np.arange(len(own))
    count = max(REFERENCES, PER_CLASS * len(np.unique(labels)))
    return np.sort(rows[np.lexsort((order, turns))[:count]])
