"""The metric: what is near. For the cosine vectors have unit length: their distance is that of their directions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np

from sightline.core.errors import UserError, named
from sightline.search.backends.library import squared_length

Metric = Literal["cosine", "euclidean"]
SMALL, LARGE = 1e-20, 1e20  # squared lengths that float32 holds with room to spare
UNIT = 1e-6  # by which a squared length may differ from 1


def prepared(vectors: np.ndarray, metric: str, name: Callable[[int], str]) -> np.ndarray:
    """`vectors` [N, D] as they are searched, float32: for the cosine scaled to length 1.

    UserError that gives the `name` of a row whose numbers are none, or that has no direction where one is needed.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    if len(vectors) == 1 and SMALL < (square := squared_length(vectors)) < LARGE:  # a query: no time to lose
        near = metric != "cosine" or abs(square - 1) < UNIT
        return vectors if near else vectors * np.float32(1 / math.sqrt(square))
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(lengths).all() or (metric == "cosine" and not lengths.all()):
        place = int(np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))[0])
        what = "zero" if lengths[place] == 0 else "not a number"
        raise UserError(
            f"{named(name(place))}: its embedding is {what}, so nothing is near it; leave it out or use another run"
        )
    return (vectors / lengths[:, None]).astype(np.float32) if metric == "cosine" else vectors
