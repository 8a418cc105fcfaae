"""The table of dimensions: what neighbours are worth when vectors keep fewer of their principal axes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sightline.core.progress import SILENT, Progress
from sightline.search.pca import WHOLE_BYTES, Projection
from sightline.search.quality import ask, same

DIMENSIONS = (1, 2, 3, 4, 5, 10, 20, 50, 75, 100, 150, 200)
NEIGHBOURS = 5
WITHIN = 0.005  # of the best accuracy


@dataclass(frozen=True)
class Row:
    """So many `dims`, the share of the variance `explained` by them, and the `accuracy` of neighbours.

    Accuracy is the share of the neighbours that bear the picture's class. `behind` is how far it lies behind the best
    row on the same pictures, with its 95 % interval from `low` to `high`; `seconds` what searching for all together
    took, a query of them `latency_us`.
    """

    dims: int
    explained: float
    accuracy: float
    behind: float
    low: float
    high: float
    seconds: float
    latency_us: float


def pca_table(
    projection: Projection, vectors: np.ndarray, labels: np.ndarray, k: int = NEIGHBOURS, progress: Progress = SILENT
) -> dict[str, Any]:
    """The table as a JSON document: a Row for each of `DIMENSIONS` that there are, and for all.

    `chosen` is the smallest number of dimensions whose accuracy lies within half a point of the best, all measured on
    the same pictures: up to 2,000 of `vectors` float32 [N, D] with `labels` int [N]; `k` neighbours each. Of vectors
    of more than a gigabyte a part that fits is taken, evenly spaced.
    """
    step = -(-vectors.nbytes // WHOLE_BYTES)
    vectors, labels = vectors[::step], labels[::step]
    most = len(projection.axes)
    dims = [*(d for d in DIMENSIONS if d < most), most]
    k = min(k, len(vectors) - 1)
    projected = np.concatenate(list(projection.cut(most).blocks(vectors)))
    ask(np.ascontiguousarray(projected[:, :1]), k)  # the first search loads the library
    found, seconds = [], []
    with progress.task("PCA table", len(dims), "dimensions") as advance:
        for d in dims:
            part = np.ascontiguousarray(projected[:, :d])
            began = time.perf_counter()
            asked = ask(part, k)
            seconds.append(time.perf_counter() - began)
            found.append(same(asked, labels))
            advance()
    best = max(range(len(dims)), key=lambda place: found[place].mean())
    rows = []
    for d, shares, took in zip(dims, found, seconds, strict=True):
        away = found[best] - shares
        half = 1.96 * away.std() / len(away) ** 0.5
        rows.append(
            Row(
                dims=d,
                explained=projection.explained(d),
                accuracy=float(shares.mean()),
                behind=float(away.mean()),
                low=float(away.mean() - half),
                high=float(away.mean() + half),
                seconds=took,
                latency_us=1e6 * took / len(away),
            )
        )
    chosen = next(row.dims for row in rows if row.behind <= WITHIN)
    return {
        "kind": "pca-table",
        "count": len(vectors),
        "numbers": vectors.shape[1],
        "asked": len(found[0]),
        "k": k,
        "rows": [asdict(row) for row in rows],
        "chosen": chosen,
        "knee": knee(dims, [row.accuracy for row in rows]),
        "why": f"{chosen} is the smallest number of dimensions within half a point of the best, {dims[best]}",
    }


def knee(dims: Sequence[int], accuracies: Sequence[float]) -> int | None:
    """The number of dimensions where accuracy, over its logarithm, bends most.

    That is the row farthest above the line from the first to the last; None where none lies above it.
    """
    along = np.log(dims) / max(np.log(dims[-1]), 1e-12)
    line = accuracies[0] + along * (accuracies[-1] - accuracies[0])
    above = np.asarray(accuracies) - line
    return int(dims[int(above.argmax())]) if above.max() > 0 else None
