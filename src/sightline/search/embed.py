"""Embedding: pictures to vectors, for the cosine of unit length, so that their distance is that of their directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from sightline.bundle import Bundle, Picture

Metric = Literal["cosine", "euclidean"]


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


def embed(
    bundle: Bundle, pictures: Sequence[Picture], metric: Metric = "cosine", progress: Progress = SILENT
) -> Embedded:
    """The embeddings of `pictures`, in order. A picture that cannot be read is skipped and listed.

    UserError that names the picture when the network gives it a vector that `prepared` refuses.
    """
    vectors = np.empty((len(pictures), bundle.card["embedding_dim"]), np.float32)
    kept: list[int] = []
    skipped: list[Skipped] = []
    with progress.task("Embedding", len(pictures)) as advance:
        for place, answer in enumerate(bundle.stream(pictures, only=("embedding",))):
            if answer.embedding is None:
                skipped.append(Skipped(answer.name, answer.error or "unreadable"))
            else:
                vectors[len(kept)] = prepared(answer.embedding[None], metric, [answer.name].__getitem__)[0]
                kept.append(place)
            advance()
    return Embedded(vectors[: len(kept)], np.array(kept, np.int64), tuple(skipped))


def prepared(vectors: np.ndarray, metric: str, name: Callable[[int], str]) -> np.ndarray:
    """`vectors` [N, D] as they are searched, float32: for the cosine scaled to length 1.

    UserError that gives the `name` of a row whose numbers are none, or that has no direction where one is needed.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(lengths).all() or (metric == "cosine" and not lengths.all()):
        place = int(np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))[0])
        what = "zero" if lengths[place] == 0 else "not a number"
        raise UserError(
            f"{named(name(place))}: its embedding is {what}, so nothing is near it; leave it out or use another run"
        )
    return (vectors / lengths[:, None]).astype(np.float32) if metric == "cosine" else vectors
