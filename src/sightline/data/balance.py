"""Unbalanced classes: how far a Dataset's are from even, what each weighs then, and an order that draws them evenly.

Weights are inverse frequencies whose mean over the pictures is 1 (King and Zeng, "Logistic Regression in Rare Events
Data" (2001), "Weighting"; scikit-learn's "balanced"). The even order is class-balanced sampling (Kang et al.,
"Decoupling Representation and Classifier for Long-Tailed Recognition" (2020), section 3, q = 0), dealt instead of
drawn: counts differ by one at most, and so do the repeats of a class's pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

Balance = Literal["none", "weights", "sampling"]
# The figure on validation that chooses an epoch, a penalty or a depth: where classes are balanced, so is the choice.
JUDGE: dict[str, str] = {"none": "top1", "weights": "balanced", "sampling": "balanced"}


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """What a picture of each of `classes` classes weighs, float64 [C]: N / (C n_c) for `labels` int [N].

    C counts the classes that the labels name; one that they do not weighs nothing.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.divide(len(labels), np.count_nonzero(counts) * counts, out=np.zeros(classes), where=counts > 0)


def balanced_accuracy(labels: np.ndarray, right: np.ndarray) -> float:
    """The mean over the classes of the share of their `labels` int [N] that are `right` bool [N]; N >= 1."""
    return float(np.average(right, weights=class_weights(labels, int(labels.max()) + 1)[labels]))


def even_order(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """As many places of `labels` int [N] as there are, int64 [N], each class as often as the others, shuffled.

    Of a class with more pictures than its share a part comes, of one with fewer all of them come again and again.
    """
    classes = np.unique(labels)
    share, rest = divmod(len(labels), len(classes))
    counts = share + (random.permutation(len(classes)) < rest)
    dealt = [
        _dealt(np.flatnonzero(labels == label), count, random)
        for label, count in zip(classes, counts.tolist(), strict=True)
    ]
    return random.permutation(np.concatenate(dealt))


def _dealt(places: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """`count` of `places`, round after round, each round in a new order."""
    rounds = -(-count // len(places))
    return np.concatenate([random.permutation(places) for _ in range(rounds)] or [places[:0]])[:count]


def imbalance(classes: Sequence[str], labels: np.ndarray) -> dict[str, Any]:
    """The class with the most and the one with the fewest of `labels` int [N], and the `ratio` of their counts.

    The ratio is None where a class has no picture at all.
    """
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    largest, smallest = counts.index(max(counts)), counts.index(min(counts))
    return {
        "largest": {"class": classes[largest], "pictures": counts[largest]},
        "smallest": {"class": classes[smallest], "pictures": counts[smallest]},
        "ratio": counts[largest] / counts[smallest] if counts[smallest] else None,
    }
