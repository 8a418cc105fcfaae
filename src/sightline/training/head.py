"""The head fitted to kept embeddings: logistic regression to its optimum, its penalty chosen on validation.

The embeddings are scaled to mean 0 and deviation 1 (which the head then takes back), the weights held small by an L2
penalty, the bias free; the pictures of a class may weigh more than others. Penalties are tried from strong to weak,
each from where the one before ended, until validation has got worse twice in a row.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from sightline.data.balance import JUDGE, Balance, balanced_accuracy, class_weights

STRENGTHS = tuple(10.0 ** (-power / 2) for power in range(0, 13))  # 1 to 1e-6
PATIENCE = 2
MAX_STEPS, PRECISION, SHORTEST = 50, 1e-8, 1e-6  # of Newton's method; the second of the gradient
HELD_OUT = 5  # where there is no validation: every fifth picture chooses


@dataclass(frozen=True, eq=False)
class Head:
    """A linear layer, float32: logits [N, C] are embeddings [N, D] times `weight` [C, D] transposed, plus `bias` [C].

    `trials` has a row for each strength that was tried, the chosen one's at place `best`.
    """

    weight: np.ndarray
    bias: np.ndarray
    trials: tuple[dict[str, Any], ...]
    best: int


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings float32 [N, D] and their classes int64 [N]."""

    embeddings: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Aim:
    """What the head is for: `weights` float64 [C], how much a picture of each class counts in the loss, and `judge`.

    The figure called `judge`, top1 or balanced, is what is wanted high on the pictures that choose the penalty.
    """

    weights: np.ndarray
    judge: str = "top1"

    @classmethod
    def of(cls, balance: Balance, labels: np.ndarray, classes: int) -> Aim:
        """What a training with this `balance` is after, on `labels` int [N] of so many `classes`."""
        return cls(np.ones(classes) if balance == "none" else class_weights(labels, classes), JUDGE[balance])


def fit_head(train: Embedded, validation: Embedded, aim: Aim, *, views: int = 1) -> Head:
    """The head that does best on `validation`; without one, on every fifth picture of `train`, then fitted to all.

    `train` has so many `views` of each picture, one pass over the pictures after the other. The trials' validation
    figures are None where there is none.
    """
    if len(validation.labels):
        return _path(train, validation, aim)
    pictures = np.arange(len(train.labels)) % max(1, len(train.labels) // views)
    held = pictures % HELD_OUT == HELD_OUT - 1
    if not held.any():
        return _unjudged(_path(train, train, aim, STRENGTHS[:1]))
    chosen = _path(those(train, ~held), those(train, held), aim)
    final = _path(train, train, aim, (chosen.trials[chosen.best]["l2"],))
    return _unjudged(Head(final.weight, final.bias, chosen.trials, chosen.best))


def _unjudged(head: Head) -> Head:
    """`head` with what its trials were chosen by called "held_out", as that was no validation."""
    trials = []
    for trial in head.trials:
        judged = {key: value for key, value in trial.items() if key.startswith("validation_")}
        trials.append(
            trial | dict.fromkeys(judged) | {key.replace("validation", "held_out"): judged[key] for key in judged}
        )
    return replace(head, trials=tuple(trials))


def those(embedded: Embedded, which: np.ndarray) -> Embedded:
    """The part of `embedded` at the places `which`."""
    return Embedded(embedded.embeddings[which], embedded.labels[which])


def _path(train: Embedded, judge: Embedded, aim: Aim, strengths: tuple[float, ...] = STRENGTHS) -> Head:
    """Fit with each of `strengths`, and keep the best on `judge`: the highest figure aimed at, then the lowest loss."""
    began = time.perf_counter()
    space, wanted, judged = Space.of(train.embeddings), torch.from_numpy(train.labels), torch.from_numpy(judge.labels)
    x, z = space.coordinates(train.embeddings), space.coordinates(judge.embeddings)
    weights = torch.from_numpy(aim.weights)
    weight, bias = torch.zeros(len(weights), x.shape[1], dtype=x.dtype), torch.zeros(len(weights), dtype=x.dtype)
    found, top, best, steps, trials = (weight, bias), (-1.0, 0.0), 0, 0, list[dict[str, Any]]()
    for l2 in strengths:
        weight, bias, more = optimum(x, wanted, l2, weight, bias, weights)
        steps += more
        logits, answers = x @ weight.T + bias, z @ weight.T + bias
        loss = float(functional.cross_entropy(answers, judged))
        right = (answers.argmax(1) == judged).numpy()
        row = {
            "step": steps, "seconds": time.perf_counter() - began, "l2": l2,
            "train_loss": float(functional.cross_entropy(logits, wanted)),
            "train_top1": float((logits.argmax(1) == wanted).double().mean()),
            "validation_loss": loss, "validation_top1": float(right.mean()),
            "validation_balanced": balanced_accuracy(judge.labels, right),
        }  # fmt: skip
        trials.append(row)
        score = (row[f"validation_{aim.judge}"], -loss)
        if score > top:
            top, found, best = score, (weight, bias), len(trials) - 1
        if len(trials) - 1 - best == PATIENCE:
            break
    weight, bias = space.back(*found)
    return Head(weight.float().numpy(), bias.float().numpy(), tuple(trials), best)


@dataclass(frozen=True, eq=False)
class Space:
    """Embeddings of mean 0 and deviation 1, turned onto their principal axes: what the penalty knows does not change.

    On these axes the curvature of the loss is nearly diagonal, which makes `optimum` quick; and there are no more axes
    than pictures. float64.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    axes: torch.Tensor

    @classmethod
    def of(cls, embeddings: np.ndarray) -> Space:
        """The space that `embeddings` [N, D] span."""
        x = torch.from_numpy(embeddings).double()
        mean, scale = x.mean(0), x.std(0, correction=0)
        scale[scale <= 1e-6 * scale.max()] = 1.0
        x = (x - mean) / scale
        if len(x) < x.shape[1]:
            powers, turns = torch.linalg.eigh(x @ x.T)
            spanned = powers > 1e-10 * powers.max()
            return cls(mean, scale, (x.T @ turns[:, spanned]) / powers[spanned].sqrt())
        return cls(mean, scale, torch.linalg.eigh(x.T @ x).eigenvectors)

    def coordinates(self, embeddings: np.ndarray) -> torch.Tensor:
        """[N, D] as [N, axes]."""
        return ((torch.from_numpy(embeddings).double() - self.mean) / self.scale) @ self.axes

    def back(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A layer [C, axes] and [C] of coordinates as one [C, D] and [C] of embeddings."""
        weight = (weight @ self.axes.T) / self.scale
        return weight, bias - weight @ self.mean


def optimum(
    x: torch.Tensor, y: torch.Tensor, l2: float, weight: torch.Tensor, bias: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Weight [C, D] and bias [C] at the least mean cross entropy of x [N, D], y [N] plus l2 / 2 |weight|^2.

    `weights` [C] say how much a picture of each class counts in that mean.

    Newton's method from the given ones, each step found by conjugate gradients no more exactly than it is worth (Lin,
    Weng and Keerthi, "Trust Region Newton Method for Large-Scale Logistic Regression" (2008), section 2), scaled by the
    curvature's diagonal, and halved until the loss falls. Also how many products with the curvature it took.
    """
    count, classes = len(x), len(bias)
    x = torch.cat([x, torch.ones(count, 1, dtype=x.dtype)], dim=1)
    penalty = torch.full((x.shape[1],), l2, dtype=x.dtype)
    penalty[-1] = 1e-9  # the logits' common shift is free: this holds it, and changes no answer
    both = torch.cat([weight, bias[:, None]], dim=1)
    wanted, squares, parts = functional.one_hot(y, classes).to(x.dtype), x.square(), weights[y] / count

    def loss(both: torch.Tensor) -> float:
        losses = functional.cross_entropy(x @ both.T, y, reduction="none")
        return float((parts * losses).sum() + 0.5 * (penalty * both.square()).sum())

    now, products = loss(both), 0
    for _ in range(MAX_STEPS):
        p = (x @ both.T).softmax(1)
        gradient = (parts[:, None] * (p - wanted)).T @ x + penalty * both
        size = float(gradient.norm())
        if size < PRECISION:
            break
        scale = 1 / ((parts[:, None] * p * (1 - p)).T @ squares + penalty)
        step, rest = torch.zeros_like(both), -gradient
        direction = scale * rest
        power = (rest * direction).sum()
        while float(rest.norm()) > min(0.1, math.sqrt(size)) * size:
            change = parts[:, None] * p * (x @ direction.T)
            curved = (change - p * change.sum(1, keepdim=True)).T @ x + penalty * direction
            along = power / (direction * curved).sum()
            step, rest, products = step + along * direction, rest - along * curved, products + 1
            power, before = (rest * scale * rest).sum(), power
            direction = scale * rest + power / before * direction
        slope, length = float((gradient * step).sum()), 1.0
        while (then := loss(both + length * step)) > now + 1e-4 * length * slope and length > SHORTEST:
            length /= 2
        if then >= now:
            break
        both, now = both + length * step, then
    return both[:, :-1], both[:, -1], products
