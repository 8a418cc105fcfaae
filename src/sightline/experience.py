"""Experience: what a network was seen to know, by which it says "unknown" instead of guessing.

Two reasons to say so. "unsure": its confidence is not above a threshold, chosen so that of the answers it does give at
most a stated share is wrong (selective classification: Geifman and El-Yaniv, "Selective Classification for Deep Neural
Networks" (2017)). "unlike": nothing it was trained on looks like the picture. For that the distance of the picture's
embedding to the fifth nearest of some training pictures' counts, all of unit length (Sun et al., "Out-of-Distribution
Detection with Deep Nearest Neighbors" (2022), section 3): few pictures are enough, and there is no covariance to
estimate from fewer pictures than an embedding has numbers, as Mahalanobis distances need (LOG.md, "Unlike").

The promise holds with 95 % confidence for pictures drawn like the validation pictures. Thresholds are tried in sequence
from few answers to more, each with all of the doubt as long as those before it held (fixed-sequence testing:
Angelopoulos et al., "Learn then Test" (2021)); the first paper's union over a binary search would cost small validation
parts most of their answers (LOG.md, "Promises"). One sequence begins where no answer may be wrong, one where two may
be; each takes half of the doubt. Given its threshold, the pictures above it are independent draws, so the test is the
exact binomial one.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.core.arrays import archived
from sightline.core.errors import UserError, named
from sightline.core.shares import CONFIDENCE, so_few, wilson

NEIGHBOURS = 5
STARTS = (0, 2)  # wrong answers among those that a sequence begins with
STEPS = 50  # of a sequence from none to all
BATCH = 4096
UNSURE, UNLIKE = "unsure", "unlike"
UNLIKE_SHARE = 0.05  # of good pictures that may be called unlike unless told: the operating point of Sun et al.


@dataclass(frozen=True)
class Rule:
    """When to say "unknown": a confidence up to `confidence`, or a distance above `distance`.

    `error` is the promised share of wrong answers, `unlike` the share of validation pictures beyond `distance`. Of
    `pictures` validation pictures `answered` got an answer, `wrong` of these a wrong one.
    """

    error: float
    unlike: float
    confidence: float
    distance: float
    pictures: int
    answered: int
    wrong: int

    def unknown(self, confidence: float, distance: float) -> str | None:
        """Why a picture gets no answer: "unlike", "unsure" or, when it gets one, None."""
        if distance > self.distance:
            return UNLIKE
        return None if confidence > self.confidence else UNSURE

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, with Wilson's 95 % interval of the share answered."""
        low, high = wilson(self.answered, self.pictures)
        return {
            "error": self.error,
            "unlike": self.unlike,
            "confidence_above": self.confidence,
            "distance_up_to": self.distance if math.isfinite(self.distance) else None,
            "promise_confidence": CONFIDENCE,
            "validation": {
                "pictures": self.pictures,
                "answered": self.answered,
                "wrong": self.wrong,
                "coverage": {"mean": self.answered / self.pictures, "low": low, "high": high},
            },
        }


@dataclass(frozen=True, eq=False)
class Experience:
    """`references` float32 [R, D], embeddings of training pictures of unit length; and of V validation pictures the
    `confidence` of the first class float64 [V], whether it is `right` bool [V], and their `distance` float64 [V].

    On disk the references are float16, and rounded so from the beginning.
    """

    references: np.ndarray
    confidence: np.ndarray
    right: np.ndarray
    distance: np.ndarray

    @classmethod
    def of(cls, known: np.ndarray, embeddings: np.ndarray, confidence: np.ndarray, right: np.ndarray) -> Experience:
        """From embeddings `known` [R, D] of training pictures, and what the validation pictures' are and were called.

        `embeddings` float [V, D], `confidence` float64 [V] of the first class, and whether it is `right` bool [V].
        """
        references = units(known).astype(np.float16).astype(np.float32)
        return cls(references, confidence, right, distances(references, embeddings))

    def distances(self, embeddings: np.ndarray) -> np.ndarray:
        """How far each of `embeddings` [N, D] lies from what was trained on, float64 [N] in [0, 2]."""
        return distances(self.references, embeddings)

    def rule(self, error: float, unlike: float = UNLIKE_SHARE) -> Rule:
        """The Rule that answers most and keeps the promise of at most `error` wrong answers; both are shares.

        UserError when they are out of range, and when these validation pictures cannot carry the promise, with the
        least that they can.
        """
        if not (0 < error < 1 and 0 <= unlike < 1):
            raise UserError(
                f"a share of {error:g} wrong and of {unlike:g} unlike answers: both must lie between 0 and 1"
            )
        limit = self._limit(unlike)
        near = self.distance <= limit
        confidence, right = self.confidence[near], self.right[near]
        threshold = _threshold(confidence, right, error)
        if threshold is None:
            shares = [share / 100 for share in range(1, 100)]
            least = next((s for s in shares if s > error and _threshold(confidence, right, s) is not None), None)
            can = f"{100 * least:.0f} % is the least they can, ask for that" if least else "nothing can be"
            raise UserError(
                f"that at most {100 * error:.3g} % of the answers are wrong cannot be promised from {len(right):,} "
                f"validation pictures, {(~right).sum():,} of them answered wrongly: {can}, or train with more of them"
            )
        answered = confidence > threshold
        wrong = int((answered & ~right).sum())
        return Rule(error, unlike, threshold, limit, len(self.right), int(answered.sum()), wrong)

    def _limit(self, unlike: float) -> float:
        """The distance beyond which a new picture like the validation pictures lies with probability `unlike`.

        Or 1 / (V + 1), which is the least that V pictures can tell (split conformal prediction). Without bound for 0.
        """
        if not unlike:
            return math.inf
        count = len(self.distance)
        place = min(count, math.ceil((count + 1) * (1 - unlike)))
        return float(np.sort(self.distance)[place - 1])

    def to_bytes(self) -> bytes:
        """As `open` reads it."""
        file = io.BytesIO()
        np.savez(file, **{**vars(self), "references": self.references.astype(np.float16)})
        return file.getvalue()

    @classmethod
    def open(cls, path: Path) -> Experience:
        """Read what `to_bytes` wrote; UserError when it is damaged."""
        try:
            references, *answers = archived(path, "references", "confidence", "right", "distance")
            return cls(references.astype(np.float32), *answers)
        except ValueError:
            raise UserError(f"damaged bundle: {named(path)} cannot be read; get the bundle again") from None


def units(embeddings: np.ndarray) -> np.ndarray:
    """`embeddings` [N, D] scaled to length 1, float32; one of zeros stays so."""
    x = embeddings.astype(np.float32)
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def distances(references: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """The distance of each of `embeddings` [N, D] to its fifth nearest of `references` [R, D] of unit length, or to
    the last where there are fewer; float64 [N].
    """
    nth = min(NEIGHBOURS, len(references)) - 1
    parts = [units(embeddings[start : start + BATCH]) @ references.T for start in range(0, len(embeddings), BATCH)]
    nearest = [np.partition(-part, nth, axis=1)[:, nth].astype(np.float64) for part in parts]
    return np.sqrt(np.maximum(0.0, 2 + 2 * np.concatenate(nearest or [np.empty(0)])))


def _threshold(confidence: np.ndarray, right: np.ndarray, error: float) -> float | None:
    """The lowest confidence above which at most `error` of the answers are wrong, or None where that is not sure."""
    found = [_lowest(confidence, right, error, start, (1 - CONFIDENCE) / len(STARTS)) for start in STARTS]
    return min((threshold for threshold in found if threshold is not None), default=None)


def _lowest(confidence: np.ndarray, right: np.ndarray, error: float, start: int, doubt: float) -> float | None:
    """The last threshold of one sequence that holds the promise before one does not.

    Which thresholds are tried follows from the confidences alone: those that leave as many answers as could carry
    `start` wrong ones, and ever more up to all.
    """
    order = np.argsort(-confidence, kind="stable")
    sure, wrong = confidence[order], np.cumsum(~right[order])
    count = len(sure)
    first = next((n for n in range(start + 1, count + 1) if so_few(start, n, error) < doubt), count + 1)
    tried = [*sure[first : count : max(1, count // STEPS)].tolist(), *([0.0] if first <= count else [])]
    found = None
    for threshold in dict.fromkeys(tried):
        above = int(np.searchsorted(-sure, -threshold))
        if above < first:  # of equal confidence
            continue
        if so_few(int(wrong[above - 1]), above, error) >= doubt:
            break
        found = threshold
    return found
