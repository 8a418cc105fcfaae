"""Calibration: what a trained network learns of itself from the validation pictures before it is exported.

A temperature is folded into its head, so that the graph, its weights and its heat maps agree, and its Experience is
written down, by which it may later say "unknown".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from sightline.bundle import softmax
from sightline.evaluation.metrics import Metrics, measure
from sightline.experience import Experience
from sightline.exporting.onnx import with_head
from sightline.training.fit import Fitted, Material
from sightline.training.temperature import fit_temperature

REFERENCES, PER_CLASS = 500, 10  # training pictures to remember: at least so many, and of each class


@dataclass(frozen=True)
class Calibrated:
    """The final `graph`; without validation pictures there is no `experience`, and nothing else to tell."""

    graph: bytes
    experience: Experience | None = None
    figures: dict[str, Any] | None = None
    confusion: list[list[int]] | None = None  # class, class that was said, pictures; where there are any


def calibrate(material: Material, fitted: Fitted) -> Calibrated:
    """Divide the head of the network in `material` by its temperature, and put it into the graph of `fitted`."""
    network, dataset = material.network, material.dataset
    rows, head = dataset.rows("validation"), network.head
    if not len(rows):
        return Calibrated(with_head(fitted.graph, network))
    labels, embeddings = dataset.labels(rows), fitted.embed("validation", rows)
    logits = embeddings @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    if not np.isfinite(logits).all():  # the export says so
        return Calibrated(with_head(fitted.graph, network))
    temperature = fit_temperature(logits, labels)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.div_(temperature.value)
    before = measure(logits, labels, dataset.classes)
    figures = {
        "temperature": asdict(temperature),
        "pictures": len(rows),
        "before": _trust(before),
        "after": _trust(measure(logits / temperature.value, labels, dataset.classes)),
    }
    known = fitted.embed("train", _remembered(dataset.rows("train"), dataset.labels(dataset.rows("train"))))
    confidence = softmax(logits / temperature.value).max(axis=1)
    experience = Experience.of(known, embeddings, confidence, logits.argmax(axis=1) == labels)
    confusion = np.array(before.confusion)
    cells = [[int(i), int(j), int(confusion[i, j])] for i, j in np.argwhere(confusion)]
    return Calibrated(with_head(fitted.graph, network), experience, figures, cells)


def _trust(metrics: Metrics) -> dict[str, float]:
    return {"ece": metrics.ece, "log_loss": metrics.log_loss}


def _remembered(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Those of the training `rows` with class numbers `labels` to remember, ascending, the same of each class."""
    order = np.random.default_rng(0).permutation(len(rows))
    turns = np.empty(len(rows), np.int64)  # of how many of its class a row is one when all are dealt in that order
    for label in np.unique(labels):
        own = order[labels[order] == label]
        turns[own] = np.arange(len(own))
    count = max(REFERENCES, PER_CLASS * len(np.unique(labels)))
    return np.sort(rows[np.lexsort((order, turns))[:count]])
