"""Learning curves: how many pictures are right after training on more and more of them, and what follows from it.

Every training answers the same pictures, so all differences are paired. Intervals hold for other seeds (with other
pictures drawn to train on) and for other pictures to measure on: seeds and pictures are crossed, and the variance of a
mean over both is estimated as the sum of the two means' variances, which errs on the safe side (Owen, "The Pigeonhole
Bootstrap" (2007), section 3), with Satterthwaite's degrees of freedom.

What twice the pictures would bring is read off a power law of the error, a line in logarithms with the slope of the
last levels (Cortes et al., "Learning Curves: Asymptotic Values and Rate of Convergence" (1994); Hestness et al., "Deep
Learning Scaling is Predictable, Empirically" (2017), section 3); with few pictures, errors do not follow it yet.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sightline.core.shares import CONFIDENCE, wilson

Method = Literal["network", "handmade"]
ALIKE = 1e-20  # variance of the mean below which all values are the same, but for rounding
RECENT = 0.2  # of the pictures: levels of at least so many are the last ones


@dataclass(frozen=True, eq=False)
class Trial:
    """One training on a `share` of the training pictures, `pictures` of them, drawn from `seed`.

    `right` bool [N] says which of the N measured pictures it got right; N and their order are every trial's.
    """

    method: Method
    share: float
    pictures: int
    seed: int
    right: np.ndarray
    validation_top1: float | None
    seconds: float
    run: str | None = None


def curve_of(trials: Sequence[Trial]) -> dict[str, Any]:
    """The levels of one method's `trials`, fewest pictures first, and their trend; every level has the same seeds."""
    levels = _levels(trials)
    right = [_right(level) for level in levels]
    return {
        "method": trials[0].method,
        "levels": [
            {
                "share": level[0].share,
                "pictures": level[0].pictures,
                **_share(answers),
                "values": answers.mean(axis=1).tolist(),
                "seconds": float(np.median([trial.seconds for trial in level])),
            }
            for level, answers in zip(levels, right, strict=True)
        ],
        "trend": trend([level[0].pictures for level in levels], right),
    }


def leads(network: Sequence[Trial], handmade: Sequence[Trial]) -> list[dict[str, Any]]:
    """How far the network is ahead of the hand-engineered features at each level, in shares of the pictures."""
    return [
        {"share": ours[0].share, "pictures": ours[0].pictures, **_estimate(_right(ours) - _right(theirs))}
        for ours, theirs in zip(_levels(network), _levels(handmade), strict=True)
    ]


def point(trial: Trial, split: str) -> dict[str, Any]:
    """One trial's figures; its interval is Wilson's, for other pictures to measure on alone."""
    low, high = wilson(int(trial.right.sum()), len(trial.right))
    return {
        "method": trial.method,
        "share": trial.share,
        "pictures": trial.pictures,
        "seed": trial.seed,
        "validation_top1": trial.validation_top1,
        "test_top1": float(trial.right.mean()) if split == "test" else None,
        "interval": {"low": low, "high": high},
        "seconds": trial.seconds,
        "run": trial.run,
    }


def trend(pictures: Sequence[int], right: Sequence[np.ndarray]) -> dict[str, Any]:
    """Where levels of so many `pictures`, ascending, are heading: `right` bool [seeds, N] of each.

    `doubling` is what each doubling among the last levels has brought, by a line through them, and `last_step` what the
    last one brought, both in shares of the N pictures. `twice` is the expected share right with twice the pictures,
    None when a level makes no mistake.
    """
    count = sum(number >= RECENT * pictures[-1] for number in pictures)
    recent = np.stack(right[-max(2, count) :]).astype(float)
    x = np.log2(pictures[-len(recent) :]) - math.log2(pictures[-1])
    slopes = (x - x.mean()) / np.square(x - x.mean()).sum()
    step = np.array([-1, 1]) / (x[-1] - x[-2])
    return {
        "from_pictures": pictures[-len(recent)],
        "doubling": _estimate(np.tensordot(slopes, recent, 1)),
        "last_step": _estimate(np.tensordot(step, recent[-2:], 1)),
        "twice": _twice(recent, slopes),
    }


def _twice(right: np.ndarray, slopes: np.ndarray) -> dict[str, float] | None:
    """What one more doubling brings along the slope of the errors' logarithms; its interval by the delta method."""
    errors = 1 - right.mean(axis=(1, 2))
    if not errors.all():
        return None
    weights = slopes + np.eye(len(slopes))[-1]
    logarithm = float(weights @ np.log(errors))
    found = _estimate(np.tensordot(weights / errors, 1 - right, 1))
    return {
        "mean": max(0.0, 1 - math.exp(logarithm)),
        "low": max(0.0, 1 - math.exp(logarithm + found["high"] - found["mean"])),
        "high": 1 - math.exp(logarithm + found["low"] - found["mean"]),
    }


def _levels(trials: Sequence[Trial]) -> list[list[Trial]]:
    """One method's trials by the number of their pictures, ascending, in the order of their seeds."""
    ordered = sorted(trials, key=lambda trial: (trial.pictures, trial.seed))
    return [list(level) for _, level in itertools.groupby(ordered, key=lambda trial: trial.pictures)]


def _right(level: Sequence[Trial]) -> np.ndarray:
    """What a level's trials got right, float64 [seeds, N]."""
    return np.stack([trial.right for trial in level]).astype(float)


def _estimate(values: np.ndarray) -> dict[str, float]:
    """The mean of differences [seeds, N] with its interval.

    Where all N are alike, of others up to 3 / N may not be (Hanley and Lippman-Hand, "If Nothing Goes Wrong, Is
    Everything All Right?" (1983)).
    """
    from scipy.stats import t

    variance, freedom = _crossed(values)
    half = 3 / values.shape[1]
    if variance > ALIKE:
        half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(variance)
    middle = float(values.mean())
    return {"mean": middle, "low": middle - half, "high": middle + half}


def _share(right: np.ndarray) -> dict[str, float]:
    """The share right of [seeds, N], with Wilson's interval for as many independent answers as vary so.

    How many those are is Korn and Graubard's "Confidence Intervals for Proportions with Small Expected Number of
    Positive Counts Estimated from Survey Data" (1998), section 2.
    """
    from scipy.stats import norm, t

    share, count, z = float(right.mean()), float(right.shape[1]), float(norm.ppf((1 + CONFIDENCE) / 2))
    variance, freedom = _crossed(right)
    if variance:
        count = share * (1 - share) / variance * (z / float(t.ppf((1 + CONFIDENCE) / 2, freedom))) ** 2
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / (1 + z**2 / count)
    return {"mean": share, "low": max(0.0, middle - half), "high": min(1.0, middle + half)}


def _crossed(values: np.ndarray) -> tuple[float, float]:
    """The variance of the mean of [seeds, N] over other seeds and other pictures, and its degrees of freedom."""
    parts = []
    for axis in (0, 1):
        means = values.mean(axis=1 - axis)
        if len(means) > 1:
            parts.append((float(means.var(ddof=1)) / len(means), len(means) - 1))
    variance = sum(part for part, _ in parts)
    return variance, variance**2 / sum(part**2 / freedom for part, freedom in parts) if variance else math.inf
