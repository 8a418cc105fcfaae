"""Documents such as the other rooms write, with figures that hang together, and pictures of real digits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.report.compared import comparison as comparison
from tests.report.digits import images, targets
from tests.report.digits import pictures as pictures


def dataset(classes: list[str] | None = None) -> dict[str, Any]:
    """A summary of a Dataset with a few stray files."""
    classes = classes or [str(i) for i in range(10)]
    random = np.random.default_rng(3)
    counts = {
        split: {name: int(n + random.integers(-6, 7)) for name in classes}
        for split, n in (("train", 120), ("validation", 24), ("test", 36))
    }
    return {
        "kind": "dataset",
        "name": "digits",
        "classes": classes,
        "fingerprint": "9c1e4b7a" * 8,
        "path": "/home/anna/datasets/digits",
        "root": "/home/anna/photos",
        "counts": counts,
        "verdicts": {"fine": 1770, "noted": 23, "quarantined": 5},
        "quarantined": [
            {"picture": "3/IMG 0012.jpg", "reason": "empty file"},
            {"picture": "7/été 2019.png", "reason": "truncated or corrupt"},
            {"picture": "Thumbs.db", "reason": "not an image"},
            {"picture": "backup.tar", "reason": "not an image"},
            {"picture": "8/DSC_0001.jpg", "reason": "empty file"},
        ],
        "notes": {"EXIF rotated": 6, "near duplicate": 17},
        "samples": {
            name: [f"digits.npy#{row}" for row in np.flatnonzero(targets()[:600] == i)[:8]]
            for i, name in enumerate(classes)
        },
    }


def search(queries: int = 2) -> dict[str, Any]:
    """The nearest of 600 digits to the first few, by the cosine of their pixels."""
    vectors = images()[:600].reshape(600, 64)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - vectors @ vectors.T
    return {
        "kind": "search",
        "index": "indexes/digits",
        "count": 600,
        "queries": [
            {
                "picture": f"digits.npy#{query}",
                "neighbours": [
                    {
                        "picture": f"digits.npy#{row}",
                        "label": str(targets()[row]),
                        "split": "train",
                        "distance": float(distances[query, row]),
                    }
                    for row in np.argsort(distances[query])[1:11]
                ],
            }
            for query in range(queries)
        ],
    }


def prediction(picture: str = "digits.npy#4") -> dict[str, Any]:
    """One answer of a network."""
    return {
        "kind": "prediction",
        "picture": picture,
        "classes": [
            {"class": "4", "probability": 0.9871},
            {"class": "9", "probability": 0.0093},
            {"class": "7", "probability": 0.0021},
            {"class": "1", "probability": 0.0009},
            {"class": "6", "probability": 0.0002},
        ],
    }
