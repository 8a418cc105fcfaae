"""Documents such as the other rooms write, with figures that hang together, and pictures of real digits."""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np

from sightline.evaluation.curve import Method, Trial, curve_of, leads, point
from sightline.evaluation.curve_findings import findings, verdict
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
        "imbalance": {
            "largest": {"class": classes[0], "pictures": 420},
            "smallest": {"class": classes[-1], "pictures": 30},
            "ratio": 14.0,
        },
        "labels": {
            "file": "/home/anna/labels.csv",
            "rows": 1812,
            "repeated": 2,
            "without_file": 9,
            "lost": [{"line": n, "picture": f"DSC_{n:04}.jpg", "label": classes[-1]} for n in range(3, 12)],
        },
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


def experiment(seeds: int = 3) -> dict[str, Any]:
    """The course's experiment around a made comparison of its two networks."""
    return deepcopy(_experiment(seeds))


@cache
def _experiment(seeds: int) -> dict[str, Any]:
    """It counts what two dozen networks are made of."""
    from sightline.inception_vs_resnet import NETWORKS, outcome

    compared = comparison(NETWORKS, seeds=seeds)
    document = outcome(compared, budget_s=600, size=32, on="2 processors")
    return {**document, "command": "sightline reproduce inception-vs-resnet", "path": "runs/experiment"}


def search(queries: int = 2) -> dict[str, Any]:
    """The nearest of 600 digits to the first few, by the cosine of their pixels."""
    vectors = images()[:600].reshape(600, 64)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = 1 - vectors @ vectors.T
    return {
        "kind": "search",
        "metric": "cosine",
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


def learning_curve(arch: str = "resnet20", *, seeds: int = 3, perfect: bool = False) -> dict[str, Any]:
    """A learning curve over made answers to 300 pictures; where `perfect`, the last level makes no mistake."""
    random = np.random.default_rng(5)
    hardness = random.normal(size=300)

    def trials(method: Method, skills: tuple[float, ...]) -> list[Trial]:
        made = []
        for share, number, skill in zip((0.05, 0.1, 0.25, 0.5, 1.0), (60, 126, 315, 630, 1259), skills, strict=True):
            for seed in range(seeds):
                right = hardness + random.normal(size=300) < skill
                run = f"runs/curve/{arch}-n{number}-s{seed}" if method == "network" else None
                made.append(Trial(method, share, number, seed, right, float(right.mean()), 0.1 * number, run))
        return made

    network = trials("network", (0.2, 0.8, 1.4, 1.9, 99.0 if perfect else 2.4))
    handmade = trials("handmade", (0.4, 0.6, 0.8, 1.0, 1.2))
    counts = {"train": 1259, "validation": 240, "test": 300}
    document = {
        "kind": "learning-curve",
        "arch": arch,
        "tune": None,
        "dataset": {"name": "digits", "fingerprint": "9c1e4b7a" * 8, "classes": [*"0123456789"], "counts": counts},
        "split": "test",
        "n": 300,
        "seeds": list(range(seeds)),
        "points": [point(trial, "test") for trial in (*network, *handmade)],
        "curves": [curve_of(network), curve_of(handmade)],
        "leads": leads(network, handmade),
        "handmade": {"side": 8, "orientations": 9, "cell": 2, "block": 2, "colours": [16]},
        "machine": {"processors": 2},
        "versions": {"sightline": "0.1.0"},
        "command": "sightline train digits --learning-curve",
    }
    return {**document, "verdict": verdict(document["curves"][0]), "findings": findings(document)}


def combination(name: str = "resnet20-digits-s0") -> dict[str, Any]:
    """One network, its mirrored view, and the mean of it and another."""
    comparison_document = comparison()

    def row(name: str, top1: float, log_loss: float, cost: int, beside: str | None) -> dict[str, Any]:
        against = {"a": name, "b": beside, "p_value": 0.021, "time_ratio": 1.02 * cost, "macs_ratio": cost}
        return {
            "name": name,
            "runs": ["runs/one"],
            "n": 269,
            "top1": top1,
            "interval": {"low": top1 - 0.021, "high": top1 + 0.014},
            "log_loss": log_loss,
            "ece": 0.013,
            "macs": cost * 10_200_000,
            "images_per_s": 3120 / cost,
            "against": against if beside else None,
        }

    return {
        "kind": "combination",
        "split": "test",
        "dataset": comparison_document["dataset"],
        "notes": [],
        "rows": [
            row(name, 0.9591, 0.141, 1, None),
            row(f"{name} (mirrored)", 0.9331, 0.212, 2, name),
            row("mean of 2 networks", 0.9777, 0.084, 3, name),
        ],
        "fitted": None,
        "findings": [
            f"mean of 2 networks is 1.9 points ahead of {name} (6 to 1 pictures, p = 0.13: not more than chance)"
        ],
        "machine": comparison_document["machine"],
        "versions": comparison_document["versions"],
        "command": f"sightline evaluate {name} other --views 2",
    }
