"""Embedding: pictures to vectors of unit length, so that the inner product of two is their cosine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from sightline.bundle import Bundle, Picture


@dataclass(frozen=True)
class Skipped:
    """A picture that could not be read, and why."""

    picture: str
    reason: str


@dataclass(frozen=True, eq=False)
class Embedded:
    """`vectors` float32 [N, D] of unit length for the pictures at the places `kept` int64 [N]; the others skipped."""

    vectors: np.ndarray
    kept: np.ndarray
    skipped: tuple[Skipped, ...]


def embed(bundle: Bundle, pictures: Sequence[Picture], progress: Progress = SILENT) -> Embedded:
    """The embeddings of `pictures`, in order. A picture that cannot be read is skipped and listed.

    UserError that names the picture when the network gives it a vector without direction: zero or not a number.
    """
    vectors = np.empty((len(pictures), bundle.card["embedding_dim"]), np.float32)
    kept: list[int] = []
    skipped: list[Skipped] = []
    with progress.task("Embedding", len(pictures)) as advance:
        for place, answer in enumerate(bundle.stream(pictures, only=("embedding",))):
            if answer.embedding is None:
                skipped.append(Skipped(answer.name, answer.error or "unreadable"))
            else:
                vectors[len(kept)] = unit(answer.embedding, answer.name)
                kept.append(place)
            advance()
    return Embedded(vectors[: len(kept)], np.array(kept, np.int64), tuple(skipped))


def unit(vector: np.ndarray, name: str) -> np.ndarray:
    """`vector` [D] scaled to length 1, float32; UserError that names `name` when it is zero or not a number."""
    vector = vector.astype(np.float64)
    length = np.linalg.norm(vector)
    if not np.isfinite(length) or length == 0:
        what = "zero" if length == 0 else "not a number"
        raise UserError(
            f"{named(name)}: its embedding is {what}, so nothing is near it; leave it out or use another run"
        )
    return (vector / length).astype(np.float32)
