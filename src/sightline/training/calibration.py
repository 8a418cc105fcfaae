"""Calibration of a network that was trained here: its temperature goes into its head and its graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sightline.evaluation.calibration import Calibration, remembered
from sightline.evaluation.calibration import calibrate as measure
from sightline.exporting.onnx import with_head
from sightline.training.fit import Fitted, Material


@dataclass(frozen=True)
class Calibrated:
    """The final `graph`, and what the validation pictures said; nothing where there are none."""

    graph: bytes
    found: Calibration | None = None


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
    train = dataset.rows("train")
    known = fitted.embed("train", remembered(train, dataset.labels(train)))
    found = measure(logits, labels, dataset.classes, embeddings, known)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.div_(found.temperature)
    return Calibrated(with_head(fitted.graph, network), found)
