"""Collapse: a network that gives (nearly) every picture the same answer, or answers no better than by guessing.

It is judged by the mean recall of the classes, which is 1 / classes for one answer to everything, however unbalanced
the classes are.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sightline.core.wording import percent

SAME = 0.95  # of the answers: from here on they are called the same
LIFT, LIFT_TIMES = 0.05, 1.5  # mean recall above chance that 5 % of other answers can bring, and that chance may
ADVICE = "train it for longer, or with a lower --lr; deep residual networks start more steadily with --zero-init"


@dataclass(frozen=True)
class Spread:
    """How answers spread: the share of the `commonest` one, and the mean `recall` of the `classes` that have pictures.

    Shares are in [0, 1].
    """

    commonest: float
    recall: float
    classes: int

    @classmethod
    def of(cls, said: np.ndarray, labels: np.ndarray) -> Spread:
        """Of the answers `said` int64 [N], N > 0, to pictures of classes `labels` int64 [N]."""
        counts = np.bincount(labels)
        hits = np.bincount(labels[said == labels], minlength=len(counts))
        there = counts > 0
        recall = float((hits[there] / counts[there]).mean())
        return cls(float(np.bincount(said).max() / len(said)), recall, int(there.sum()))

    @property
    def same(self) -> bool:
        """Whether nearly all answers are the same."""
        return self.commonest > SAME

    @property
    def collapsed(self) -> bool:
        """Whether nothing of what tells the classes apart was learnt."""
        if self.classes < 2:
            return False
        chance = 1 / self.classes
        return self.recall < chance + LIFT and (self.same or self.recall < LIFT_TIMES * chance)

    def told(self, pictures: str) -> str:
        """What a collapsed network does, as the end of a sentence whose subject it is; `pictures` such as "test"."""
        if self.same:
            return f"gives the same answer to {percent(self.commonest)} of the {pictures} pictures"
        return (
            f"gets {percent(self.recall)} of the {pictures} pictures right in the mean of the classes, where guessing "
            f"gets {percent(1 / self.classes)}"
        )


def collapsed(epoch: dict[str, Any], labels: np.ndarray) -> dict[str, Any] | None:
    """The Spread that a Run's `epoch` measured on validation pictures of `labels`, where the network has collapsed.

    None else, or where nobody looked.
    """
    if epoch.get("validation_commonest") is None:  # a fitted head's trials, or no validation pictures
        return None
    spread = Spread(epoch["validation_commonest"], epoch["validation_balanced"], len(np.unique(labels)))
    return asdict(spread) if spread.collapsed else None
