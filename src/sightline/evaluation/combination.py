"""Many views and many networks, measured: rows of figures, each combination beside what it is to improve on.

A network's views are set beside its single view, several networks beside the best single one on the same pictures: by
McNemar's exact test, and by what they cost. The weights of an average are fitted on the validation pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.core.machine import describe, versions
from sightline.core.progress import SILENT, Progress
from sightline.core.wording import SIGNIFICANT, decimal, p_value, points, times, whole
from sightline.evaluation.answers import Answers, answer
from sightline.evaluation.comparison import about
from sightline.evaluation.metrics import measure, pair
from sightline.evaluation.network import images_per_second

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset

FIGURES = ("n", "top1", "interval", "top5", "log_loss", "log_loss_interval", "ece")
PAIRING = "McNemar's exact test on the same pictures; its p-values are not corrected for the number of rows"
LEAST = 1e-3  # a fitted weight below this is none


@dataclass(frozen=True, eq=False)
class Row:
    """A network or a combination, measured: `figures` for the document, `right` bool [N] where its answers are."""

    figures: dict[str, Any]
    right: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """The rows measured so far on one `split` of `dataset`."""

    dataset: Dataset
    split: str
    progress: Progress = SILENT
    rows: list[Row] = field(default_factory=list)

    def add(
        self, name: str, runs: Sequence[str], bundle: Bundle, keep: Path | None = None, *, against: Row | None = None
    ) -> Row:
        """Measure `bundle`, made of `runs`, its answers kept in `keep`, and set it beside the row `against`."""
        answers = answer(bundle, self.dataset, self.split, self.progress, keep=keep)
        metrics = measure(answers.logits, answers.labels, self.dataset.classes).to_dict()
        figures = {
            "name": name,
            "runs": list(runs),
            "combination": bundle.card.get("combination"),
            **{key: metrics[key] for key in FIGURES},
            "parameters": bundle.card["parameters"],
            "macs": bundle.card["macs"],
            "images_per_s": images_per_second(bundle, self.dataset, answers.rows),
        }
        row = Row(figures, answers.logits.argmax(axis=1) == answers.labels)
        figures["against"] = _beside(row, against) if against else None
        self.rows.append(row)
        return row

    def document(self, notes: Sequence[str], fitted: dict[str, Any] | None) -> dict[str, Any]:
        """The combination document: every row, and in words what each combination brings, the last one first."""
        rows = [row.figures for row in self.rows]
        return {
            "kind": "combination",
            "split": self.split,
            "dataset": about(self.dataset),
            "notes": list(notes),
            "rows": rows,
            "pairing": PAIRING,
            "fitted": fitted,
            "findings": [*(_bring(row["against"]) for row in reversed(rows) if row["against"]), *_fitted(fitted)],
            "machine": describe(),
            "versions": versions(),
        }


def best(rows: Sequence[Row]) -> Row:
    """The row that gets most pictures right; of several the one of the least log loss."""
    return max(rows, key=lambda row: (row.figures["top1"], -row.figures["log_loss"]))


def fit_weights(answers: Mapping[str, Answers], average: str) -> dict[str, Any]:
    """The `weights`, none below 0 and of sum 1, whose average of `answers` to the same pictures has the least log loss.

    `answers` are by the networks' names, and so are the weights in the document; `average` is of "probabilities" or
    "logits". The loss is convex in the weights of either.
    """
    from scipy.optimize import minimize

    all_answers = list(answers.values())
    loss = _probability_loss(all_answers) if average == "probabilities" else _logit_loss(all_answers)
    equal = np.full(len(answers), 1 / len(answers))
    found = minimize(
        loss, equal, jac=True, method="SLSQP", bounds=[(0, 1)] * len(answers),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like}, options={"ftol": 1e-9},
    ).x  # fmt: skip
    found = np.where(found < LEAST, 0, found)
    found /= found.sum()
    return {
        "n": len(all_answers[0].labels),
        "weights": dict(zip(answers, found.tolist(), strict=True)),
        "log_loss": loss(found)[0],
        "log_loss_equal": loss(equal)[0],
    }


def _probability_loss(answers: Sequence[Answers]) -> Any:
    """Mean log loss of the weighted mean probabilities, and its gradient, as a function of the weights."""
    from scipy.special import log_softmax

    labels = answers[0].labels
    every = np.arange(len(labels))
    logs = np.stack([log_softmax(one.logits.astype(np.float64), axis=1)[every, labels] for one in answers])
    highest = logs.max(axis=0)
    true = np.exp(logs - highest)  # [networks, N], probabilities of the true class, the highest of them 1

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mean = np.maximum(weights @ true, np.finfo(float).tiny)
        return float(-(np.log(mean) + highest).mean()), -(true / mean).mean(axis=1)

    return loss


def _logit_loss(answers: Sequence[Answers]) -> Any:
    """The same of the weighted mean logits."""
    from scipy.special import log_softmax

    labels = answers[0].labels
    every = np.arange(len(labels))
    logits = np.stack([one.logits.astype(np.float64) for one in answers])  # [networks, N, C]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logs = log_softmax(np.tensordot(weights, logits, 1), axis=1)
        slope = np.exp(logs)
        slope[every, labels] -= 1
        return float(-logs[every, labels].mean()), np.einsum("mnc,nc->m", logits, slope) / len(labels)

    return loss


def _beside(row: Row, other: Row) -> dict[str, Any]:
    """How `row` (a) stands to `other` (b): who gets which pictures right, and how many times as much it costs."""
    ours, theirs = row.figures, other.figures
    return {
        "a": ours["name"],
        "b": theirs["name"],
        **pair(row.right, other.right),
        "macs_ratio": ours["macs"] / theirs["macs"],
        "time_ratio": theirs["images_per_s"] / ours["images_per_s"],
    }


def _bring(pair: dict[str, Any]) -> str:
    """How a combination stands, whether that is more than chance, and at what price."""
    gain = pair["top1_difference"]
    standing = f"{points(abs(gain)).lstrip('+')} {'ahead of' if gain > 0 else 'behind'}" if gain else "level with"
    verdict = "more than chance" if pair["p_value"] < SIGNIFICANT else "not more than chance"
    tally = f"{whole(pair['only_a'])} to {whole(pair['only_b'])} pictures, {p_value(pair['p_value'])}: {verdict}"
    return f"{pair['a']} is {standing} {pair['b']} ({tally}), in {times(pair['time_ratio'])} times the time."


def _fitted(report: dict[str, Any] | None) -> list[str]:
    if report is None:
        return []
    weights = ", ".join(f"{decimal(weight)} {name}" for name, weight in report["weights"].items())
    return [
        f"Weights fitted on {whole(report['n'])} validation pictures: {weights}. The log loss there is "
        f"{decimal(report['log_loss'])}, with equal weights {decimal(report['log_loss_equal'])}."
    ]
