"""Search methods: ways to find the nearest of many vectors, each a small adapter over a library.

`BACKENDS` is the table that tuning tries and an Index chooses from. Distances here are squared Euclidean ones; of unit
vectors that is twice the cosine distance, so one measure serves both.
"""

from __future__ import annotations

from typing import Any

from sightline.core.errors import UserError, closest, named
from sightline.search.backends.annoy import Annoy
from sightline.search.backends.backend import Absent, Backend
from sightline.search.backends.exact import Exact
from sightline.search.backends.hashing import Hashing
from sightline.search.backends.inverted import Cells, ProductCodes, ScalarCodes
from sightline.search.backends.scann import Scann
from sightline.search.backends.small_world import SmallWorld
from sightline.search.backends.tree import Tree

__all__ = ["BACKENDS", "Absent", "Backend", "Exact", "make"]

BACKENDS: dict[str, type[Any]] = {
    "exact": Exact,
    "ivf": Cells,
    "ivf-sq": ScalarCodes,
    "ivf-pq": ProductCodes,
    "hnsw": SmallWorld,
    "annoy": Annoy,
    "scann": Scann,
    "lsh": Hashing,
    "kd-tree": Tree,
}


def make(name: str, **parameters: int) -> Backend:
    """The search method called `name`, not yet ready.

    UserError when there is no such one or its library is not installed.
    """
    if name not in BACKENDS:
        raise UserError(
            f'this Sightline has no search method "{named(name)}"{closest(name, BACKENDS)}: '
            "make the index again with `sightline index`"
        )
    made: Backend = BACKENDS[name](**parameters)
    return made
