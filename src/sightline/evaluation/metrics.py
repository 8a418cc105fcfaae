"""Metrics: what one network's answers measure, from scikit-learn and SciPy where they have it.

The calibration error is that of Guo et al. 2017, section 2: 15 bins of equal width over the confidence of the first
class, the gap between confidence and accuracy of each, weighted by its pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sightline.core.shares import CONFIDENCE, wilson
from sightline.data.balance import balanced_accuracy

BINS = 15


@dataclass(frozen=True)
class Bin:
    """Answers of about one confidence: their mean confidence, the share that is right, how many they are."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True)
class ClassScore:
    """One class: precision, recall and their harmonic mean, each 0 where undefined; `support` pictures are of it."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Metrics:
    """Fractions in [0, 1] over `count` pictures; `interval` is Wilson's 95 % interval of top1; log_loss in nats.

    `balanced_accuracy` is the mean recall of the classes there are pictures of: what top1 would be if they were equally
    frequent. `confusion[i][j]` pictures of class i were called j. Empty bins are left out of `calibration`.
    """

    count: int
    top1: float
    top5: float
    balanced_accuracy: float
    interval: tuple[float, float]
    log_loss: float
    log_loss_interval: tuple[float, float] | None
    ece: float
    calibration: tuple[Bin, ...]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it; a class's name is under "class", an interval as {"low", "high"}."""
        figures = asdict(self)
        scores = [{"class": score.pop("name"), **score} for score in figures["per_class"]]
        low, high = self.interval
        return {
            "n": figures.pop("count"),
            **figures,
            "interval": {"low": low, "high": high},
            "log_loss_interval": _bounds(self.log_loss_interval),
            "calibration": list(figures["calibration"]),
            "per_class": scores,
            "confusion": [list(row) for row in self.confusion],
        }


def measure(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> Metrics:
    """The Metrics of `logits` float [N, C] against `labels` int [N], N >= 1. A class may be absent from the labels."""
    from scipy.special import log_softmax
    from sklearn.metrics import confusion_matrix

    if len(labels) == 0:
        raise ValueError("nothing to measure: no pictures")
    said = logits.argmax(axis=1)
    right = said == labels
    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    losses = -log_probabilities[np.arange(len(labels)), labels]
    calibration = bins(np.exp(log_probabilities.max(axis=1)), right)
    return Metrics(
        count=len(labels),
        top1=float(right.mean()),
        top5=_top5(logits, labels),
        balanced_accuracy=balanced_accuracy(labels, right),
        interval=wilson(int(right.sum()), len(right)),
        log_loss=float(losses.mean()),
        log_loss_interval=t_interval(losses),
        ece=calibration_error(calibration),
        calibration=calibration,
        per_class=_per_class(labels, said, classes),
        confusion=tuple(map(tuple, confusion_matrix(labels, said, labels=range(len(classes))).tolist())),
    )


def t_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float] | None:
    """Student's 95 % interval of the mean of independent `values`; None of fewer than two."""
    from scipy.stats import t

    if len(values) < 2:
        return None
    middle, half = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    half *= float(t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))
    return middle - half, middle + half


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact two-sided p-value of McNemar's test: the discordant pictures as fair coin flips; 1 without any."""
    from scipy.stats import binomtest

    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def pair(right_a: np.ndarray, right_b: np.ndarray) -> dict[str, Any]:
    """Two networks on the same pictures, bool [N] each where it is right: who gets which, and McNemar's p-value."""
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    return {
        "both": int((right_a & right_b).sum()),
        "only_a": only_a,
        "only_b": only_b,
        "neither": int((~right_a & ~right_b).sum()),
        "p_value": mcnemar(only_a, only_b),
        "top1_difference": (only_a - only_b) / len(right_a),
    }


def bins(confidences: np.ndarray, right: np.ndarray) -> tuple[Bin, ...]:
    """Answers by confidence float [N] in [0, 1] in BINS bins of equal width, empty ones left out; `right` bool [N]."""
    place = np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
    members = (place == number for number in range(BINS))
    return tuple(
        Bin(float(confidences[chosen].mean()), float(right[chosen].mean()), int(chosen.sum()))
        for chosen in members
        if chosen.any()
    )


def calibration_error(calibration: Sequence[Bin]) -> float:
    """The expected calibration error of `calibration`, in [0, 1]."""
    total = sum(one.count for one in calibration)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in calibration) / total


def _top5(logits: np.ndarray, labels: np.ndarray) -> float:
    """The share whose class is among the first five. Ties go to the lower class, as top-1's do.

    scikit-learn's top_k_accuracy_score breaks ties the other way round, so that top-5 could fall below top-1.
    """
    first = np.argsort(-logits, axis=1, kind="stable")[:, :5]
    return float((first == labels[:, None]).any(axis=1).mean())


def _per_class(labels: np.ndarray, said: np.ndarray, classes: Sequence[str]) -> tuple[ClassScore, ...]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(labels, said, labels=range(len(classes)), zero_division=0)
    return tuple(
        ClassScore(name, float(precision), float(recall), float(f1), int(support))
        for name, precision, recall, f1, support in zip(classes, *columns, strict=True)
    )


def _bounds(interval: tuple[float, float] | None) -> dict[str, float] | None:
    return None if interval is None else {"low": interval[0], "high": interval[1]}
