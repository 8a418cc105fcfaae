"""The pictures worth looking at: what a network is most sure of and wrong, and where two networks part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

SHOWN = 12


def worst(
    arch: str,
    rows: np.ndarray,
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    name_of: Callable[[int], str],
) -> list[dict[str, Any]]:
    """The most confident wrong answers, at most 12, the surest first.

    `probabilities` float [N, C] for the manifest `rows` int [N] of true classes `labels` int [N]; `name_of` gives a
    row's picture name.
    """
    said, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(said != labels)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    return [
        {
            "arch": arch,
            "row": int(rows[i]),
            "picture": name_of(int(rows[i])),
            "true": classes[labels[i]],
            "predicted": classes[said[i]],
            "confidence": float(confidence[i]),
        }
        for i in chosen
    ]


def disagreements(
    names: tuple[str, str],
    rows: np.ndarray,
    labels: np.ndarray,
    probabilities: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
    name_of: Callable[[int], str],
) -> list[dict[str, Any]]:
    """Pictures only one of two networks gets, at most 12: half each way where there are enough, the surest first.

    Sure means that both are: the sum of the two confidences decides. Arguments as `worst` takes them, for both.
    """
    said = [p.argmax(axis=1) for p in probabilities]
    confidence = [p.max(axis=1) for p in probabilities]
    right = [s == labels for s in said]
    order = np.argsort(-(confidence[0] + confidence[1]), kind="stable")
    only_a, only_b = (order[(right[i] & ~right[1 - i])[order]] for i in (0, 1))
    count_a, count_b = shares(len(only_a), len(only_b), SHOWN)
    return [
        {
            "a": names[0],
            "b": names[1],
            "row": int(rows[i]),
            "picture": name_of(int(rows[i])),
            "true": classes[labels[i]],
            "a_says": classes[said[0][i]],
            "b_says": classes[said[1][i]],
            "a_confidence": float(confidence[0][i]),
            "b_confidence": float(confidence[1][i]),
        }
        for i in [*only_a[:count_a], *only_b[:count_b]]
    ]


def shares(a: int, b: int, places: int) -> tuple[int, int]:
    """How many of `a` and of `b` get one of `places`: half each, and what one side leaves the other may take."""
    half = places // 2
    return min(a, places - min(b, half)), min(b, places - min(a, half))
