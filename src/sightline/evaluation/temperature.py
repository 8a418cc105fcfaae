"""Temperature: the one number by which logits are divided so that confidence says how often an answer is right.

Guo et al., "On Calibration of Modern Neural Networks" (2017), section 4.2: the number with the least log loss on the
validation pictures. One more picture, of a class drawn at random, is counted with them, or no number would be small
enough where all answers are right. Where the pictures are fewer than 20, or leave open that 1 is the number (it lies in
their 95 % likelihood-ratio interval), the logits stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import logsumexp
from scipy.stats import chi2

BOUNDS = math.log(0.02), math.log(50)
FEWEST = 20
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Temperature:
    """`value` is what logits are divided by: what was `fitted`, or 1 where that cannot be told from 1.

    `low` to `high` is the interval of what fits the pictures.
    """

    value: float
    fitted: float
    low: float
    high: float


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> Temperature:
    """The Temperature for `logits` float [N, C], finite, and the classes `labels` int [N] they should name; N >= 1."""
    logits = logits.astype(np.float64)
    logits -= logits.mean(axis=1, keepdims=True)
    count = len(labels)
    wanted = logits[np.arange(count), labels].sum()

    def normaliser(log_temperature: float) -> float:
        return float(logsumexp(math.exp(-log_temperature) * logits, axis=1).sum())

    def loss(log_temperature: float) -> float:
        return normaliser(log_temperature) - math.exp(-log_temperature) * wanted

    def loss_with_one_more(log_temperature: float) -> float:  # whose logit is 0 in the mean
        return loss(log_temperature) + normaliser(log_temperature) / count

    low, high = _interval(loss)
    fitted = min(max(_lowest(loss_with_one_more), low), high)
    told = count >= FEWEST and not low <= 0 <= high
    return Temperature(math.exp(fitted) if told else 1.0, *map(math.exp, (fitted, low, high)))


def _lowest(loss: Callable[[float], float]) -> float:
    """Where `loss`, which falls and then rises, is least; logarithms of temperatures."""
    return float(minimize_scalar(loss, bounds=BOUNDS, method="bounded", options={"xatol": 1e-6}).x)


def _interval(loss: Callable[[float], float]) -> tuple[float, float]:
    """Where `loss` is so near its least that chance explains it."""
    best = _lowest(loss)
    limit = loss(best) + 0.5 * float(chi2.ppf(CONFIDENCE, 1))
    low, high = (
        end if loss(end) <= limit else float(brentq(lambda t: loss(t) - limit, *sorted((best, end)))) for end in BOUNDS
    )
    return low, high
