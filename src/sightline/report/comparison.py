"""The sections that a comparison of networks fills: findings first, figures next, then where and how they fail."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sightline.core import wording
from sightline.report import charts, tables
from sightline.report.confusion import confused_most, confusion, worst_share
from sightline.report.page import Figure, Section

Document = Mapping[str, Any]
WIDE_MATRIX = 24  # classes beyond which a confusion matrix takes the whole width


def comparison_sections(document: Document) -> list[Section]:
    """All sections of a comparison document (`evaluation.comparison`), in reading order; empty ones are left out."""
    networks = document["networks"]
    sections = [
        Section("findings", "Findings", "findings.html.j2", {"findings": [*map(spoken, document["findings"])]}),
        _results(document),
        _training(networks),
        _confusion(document),
        _mistakes(document),
        _disagreements(document),
        _classes(networks),
        _calibration(networks),
        _cost(networks),
    ]
    return [section for section in sections if section is not None]


def spoken(finding: str) -> list[tuple[str, bool]]:
    """A finding in pieces, each with whether it stands in brackets: intervals and tests are set more quietly."""
    pieces = re.split(r"(\([^()]*\))", finding)
    return [(piece, i % 2 == 1) for i, piece in enumerate(pieces) if piece]


def _results(document: Document) -> Section:
    networks = document["networks"]
    uneven = bool(wording.unbalanced(document["dataset"].get("imbalance", {})))
    figure = Figure("accuracy", "Accuracy and its uncertainty", charts.accuracy(networks))
    data = {
        "networks": networks,
        "quality": tables.quality(networks, uneven=uneven),
        "uneven": uneven,
        "cost": tables.cost(networks),
        "basis": _basis(document),
        "parts": [part for part, key in _PARTS if any((n.get(key) or {}).get("mean") is not None for n in networks)],
        "seeds": max(len(n["top1"]["values"]) for n in networks),
    }
    return Section("results", "Results", "results.html.j2", data, [figure])


_PARTS = (("test", "top1"), ("validation", "validation_top1"), ("training", "train_top1"))


def _basis(document: Document) -> str:
    """What the intervals stand on."""
    test = wording.whole(document["dataset"]["counts"].get("test"))
    seeds = {len(network["top1"]["values"]) for network in document["networks"]}
    single = f"the 95 % interval (Wilson) says how far {test} other test pictures could land"
    several = "the 95 % interval (t) is that of the mean over them"
    if max(seeds) == 1:
        return f"One training each; {single}."
    if min(seeds) > 1:
        return f"Means over {min(seeds)}{'' if len(seeds) == 1 else f' to {max(seeds)}'} seeds; {several}."
    return f"Where there are several seeds, their mean; {several}. Where there is one, {single}."


def _training(networks: Sequence[Document]) -> Section | None:
    if not any(history["rows"] for network in networks for history in network["histories"]):
        return None
    figures = [
        Figure("loss", "Loss by epoch", charts.curves(networks, "loss")),
        Figure("learning", "Accuracy by epoch", charts.curves(networks, "top1")),
    ]
    if len(networks) > 1 and all(_timed(network) for network in networks):
        figures += [
            Figure("loss-time", "Loss by training time", charts.curves(networks, "loss", "seconds")),
            Figure("learning-time", "Accuracy by training time", charts.curves(networks, "top1", "seconds")),
        ]
    several = any(len(network["histories"]) > 1 for network in networks)
    return Section("training", "Training", "training.html.j2", {"networks": networks, "several": several}, figures)


def _timed(network: Document) -> bool:
    """Whether it is known when each epoch of the network ended."""
    return all(row.get("seconds") is not None for history in network["histories"] for row in history["rows"])


def _confusion(document: Document) -> Section:
    networks, classes = document["networks"], document["dataset"]["classes"]
    deepest = worst_share([n["confusion"] for n in networks])
    figures = [
        Figure(f"confusion-{i + 1}", n["arch"], confusion(n["confusion"], classes, deepest), square=True)
        for i, n in enumerate(networks)
    ]
    confused = [confused_most(n["confusion"], classes) for n in networks]
    data = {
        "networks": networks,
        "confused": confused,
        "seeds": max(len(n["seeds"]) for n in networks),
        "wide": len(classes) > WIDE_MATRIX,
    }
    return Section("confusion", "What is taken for what", "confusion.html.j2", data, figures)


def _mistakes(document: Document) -> Section | None:
    groups = [
        (n["arch"], i, mistakes)
        for i, n in enumerate(document["networks"])
        if (mistakes := [m for m in document["mistakes"] if m["arch"] == n["arch"]])
    ]
    return Section("mistakes", "The worst mistakes", "mistakes.html.j2", {"groups": groups}) if groups else None


def _disagreements(document: Document) -> Section | None:
    if not document["pairs"]:
        return None
    position = {n["arch"]: i for i, n in enumerate(document["networks"])}
    pairs = [
        (
            pair,
            [
                (pair[me], position[pair[me]], pair[other], shown)
                for me, other in (("a", "b"), ("b", "a"))
                if (shown := _only_right(document["disagreements"], pair, me))
            ],
        )
        for pair in document["pairs"]
    ]
    data = {"pairs": pairs, "pairing": document["pairing"]}
    return Section("differences", "Where the networks differ", "differences.html.j2", data)


def _only_right(disagreements: Sequence[Document], pair: Document, me: str) -> list[dict[str, Any]]:
    """The pictures of a pair that `me` ("a" or "b") names and the other does not, with what the other says instead."""
    other = "b" if me == "a" else "a"
    return [
        {"picture": d["picture"], "true": d["true"], "says": d[f"{other}_says"], "confidence": d[f"{other}_confidence"]}
        for d in disagreements
        if (d["a"], d["b"]) == (pair["a"], pair["b"]) and d[f"{me}_says"] == d["true"] != d[f"{other}_says"]
    ]


def _classes(networks: Sequence[Document]) -> Section:
    classes = [row["class"] for row in networks[0]["per_class"]]
    rows = [
        (name, networks[0]["per_class"][i]["support"], [network["per_class"][i] for network in networks])
        for i, name in enumerate(classes)
    ]
    note = (
        f"The {charts.LISTED_CLASSES} weakest of {len(classes)} classes."
        if len(classes) > charts.LISTED_CLASSES
        else ""
    )
    figures = [Figure("classes", "F1 of each class, the weakest first", charts.per_class(networks), note)]
    data = {"networks": networks, "rows": rows, "long": len(rows) > charts.LISTED_CLASSES}
    return Section("classes", "Class by class", "classes.html.j2", data, figures)


def _calibration(networks: Sequence[Document]) -> Section:
    figures = [Figure("calibration", "How often right, by confidence", charts.calibration(networks), square=True)]
    return Section("calibration", "Does it know when it knows?", "calibration.html.j2", {"networks": networks}, figures)


def _cost(networks: Sequence[Document]) -> Section | None:
    """Accuracy against each cost that at least two networks state."""
    fields = (
        ("train_seconds", "By training time", "seconds"),
        ("macs", "By arithmetic", "MACs for one picture"),
        ("run_images_per_s", "By running speed", "images per second"),
    )
    figures = [
        Figure(f"accuracy-{field.replace('_', '-')}", title, charts.trade_off(networks, field, axis))
        for field, title, axis in fields
        if sum(bool(network.get(field)) for network in networks) > 1
    ]
    return (
        Section("cost", "Accuracy and its price", "cost.html.j2", {"networks": networks}, figures) if figures else None
    )
