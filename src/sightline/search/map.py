"""The map: pictures as points of a plane, near to each other where their vectors are.

scikit-learn's t-SNE of the first principal axes (van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008), of
as many pictures as it draws in seconds; few pictures lie on their first two axes instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.core.errors import UserError, named
from sightline.search.index import Index
from sightline.search.pca import fit

MOST = 2000  # pictures, evenly spaced
FEW = 50  # below, two principal axes say as much
AXES = 50
SEED = 0


def map_of(index: Index) -> dict[str, Any]:
    """A JSON document: `points` with their row, picture, class and place (`x`, `y` in [0, 1]), and the `method`.

    UserError of a single picture.
    """
    if len(index.items) < 2:
        raise UserError(f"{named(index.path)} holds one picture: there is nothing to put it beside")
    rows = np.unique(np.linspace(0, len(index.items) - 1, min(MOST, len(index.items))).round().astype(int))
    vectors = np.ascontiguousarray(index.vectors[rows])
    projection = fit(vectors)
    reduced = projection.cut(min(AXES, len(projection.axes)))(vectors)
    plain = len(rows) < FEW or reduced.shape[1] < 2
    places, method = (_principal(reduced), "PCA") if plain else (_neighbouring(reduced), "t-SNE")
    low, high = places.min(0), places.max(0)
    places = (places - low) / np.where(high > low, high - low, 1)
    return {
        "kind": "index-map",
        "method": method,
        "count": len(index.items),
        "points": [
            {"row": int(row), "picture": index.name_of(row), "label": index.items.label(row), "x": x, "y": y}
            for row, (x, y) in zip(rows, places.round(4).tolist(), strict=True)
        ],
    }


def _principal(reduced: np.ndarray) -> np.ndarray:
    """The first two axes; 0 where there is no second."""
    return np.pad(reduced[:, :2], ((0, 0), (0, max(0, 2 - reduced.shape[1]))))


def _neighbouring(reduced: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(reduced) - 1) / 3)
    placed: np.ndarray = TSNE(2, perplexity=perplexity, init="pca", random_state=SEED).fit_transform(reduced)
    return placed
