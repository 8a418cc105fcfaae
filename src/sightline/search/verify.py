"""Verifying: what an Index's search method finds now, measured on the Index's own pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from sightline.core.errors import UserError, named
from sightline.core.wording import percent
from sightline.search.index import Index
from sightline.search.measure import Queries, at_least, recalls
from sightline.search.quality import ask
from sightline.search.tune import NEIGHBOURS, TARGET_RECALL


def verify(index: Index) -> dict[str, Any]:
    """The recall of `index` as a JSON document: up to 2,000 of its pictures ask for their nearest others.

    `drifted` says whether, with 95 % confidence, it lies below what the method was chosen for.
    UserError when there are fewer than two pictures.
    """
    if len(index) < 2:
        raise UserError(f"{named(index.path)} holds {len(index)} picture: there is nothing to find beside it")
    tuning = index.document["tuning"] or {}
    target, k = tuning.get("target_recall", TARGET_RECALL), min(tuning.get("k", NEIGHBOURS), len(index) - 1)
    vectors = np.asarray(index.vectors)
    asked = ask(vectors, k)
    queries = Queries(np.ascontiguousarray(vectors[asked.rows]), asked.squares[:, -1], k)
    _, rows = index.backend.search(queries.vectors, k + 1)
    kept = rows != asked.rows[:, None]
    kept[kept.all(1), -1] = False
    found = recalls(rows[kept].reshape(-1, k), vectors, queries)
    low, high = at_least(found, k), 1 - at_least(1 - found, k)
    drifted = high < target
    said = f"finds {percent(float(found.mean()))} of the true {k} neighbours, {percent(low)} to {percent(high)}"
    advice = (
        f"below the {percent(target)} it was chosen for: make the index again" if drifted else "as it was chosen to"
    )
    return {
        "kind": "index-verification",
        "path": str(index.path),
        "method": index.document["backend"],
        "target_recall": target,
        "recall": float(found.mean()),
        "recall_low": low,
        "recall_high": high,
        "k": k,
        "queries": len(found),
        "drifted": drifted,
        "said": f"{index.document['backend']['name']} {said}, {advice}",
    }
