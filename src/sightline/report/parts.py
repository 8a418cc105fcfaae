"""The sections that other documents fill: a dataset, searches, predictions, and how the page came about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sightline.core import wording
from sightline.report.page import Figure, Section

Document = Mapping[str, Any]
SAMPLES = 8  # pictures shown of each class
LISTED_FILES = 200  # left-out files named one by one


def dataset_sections(document: Document) -> list[Section]:
    """What pictures there are, and which were left out and why.

    `document` is a Dataset's summary, with `samples` (class to picture names) where pictures are to be shown.
    """
    from sightline.report.charts import class_counts

    counts, classes = document["counts"], document["classes"]
    totals = {split: sum(counts[split].values()) for split in counts}
    samples = {name: list(names)[:SAMPLES] for name, names in document.get("samples", {}).items() if names}
    left_out = document["quarantined"]
    kinds = (re.split(r", lines? \d|: | of ", file["reason"])[0] for file in left_out)  # without what is one file's own
    reasons = Counter(kinds).most_common()
    data = {
        "document": document,
        "uneven": wording.unbalanced(document.get("imbalance", {})),
        "labels": document.get("labels"),
        "totals": totals,
        "samples": samples,
        "left_out": left_out[:LISTED_FILES],
        "more": max(0, len(left_out) - LISTED_FILES),
        "reasons": reasons,
        "noted": sorted(document["notes"].items(), key=lambda note: -note[1]),
    }
    figure = Figure("class-counts", "Pictures in each class", class_counts(classes, counts))
    return [Section("dataset", "The pictures", "dataset.html.j2", data, [figure])]


def search_sections(documents: Sequence[Document]) -> list[Section]:
    """Every query of `documents` with its neighbours, nearest first."""
    queries = [query for document in documents for query in document["queries"]]
    euclidean = any(document["metric"] == "euclidean" for document in documents)
    data = {"queries": queries, "euclidean": euclidean}
    return [Section("search", "Look-alikes", "search.html.j2", data)] if queries else []


def prediction_sections(documents: Sequence[Document]) -> list[Section]:
    """Predicted pictures with the likeliest classes of each."""
    return (
        [Section("prediction", "New pictures", "prediction.html.j2", {"predictions": documents})] if documents else []
    )


def closing_sections(documents: Sequence[Document]) -> list[Section]:
    """The machine and versions that the figures hold for, and the commands that make them again."""
    sections = []
    machine: Document = next((d["machine"] for d in documents if d.get("machine")), {})
    versions: Document = next((d["versions"] for d in documents if d.get("versions")), {})
    if machine or versions:
        facts = [*_machine(machine), *versions.items(), *_fingerprints(documents)]
        sections.append(Section("machine", "Machine and versions", "machine.html.j2", {"facts": facts}))
    commands = [command for d in documents for command in _commands(d)]
    if commands:
        sections.append(Section("repeat", "How to repeat this", "repeat.html.j2", {"commands": commands}))
    return sections


def _machine(machine: Document) -> list[tuple[str, str]]:
    spoken = {"processors": "processors used", "memory_bytes": "memory"}
    return [
        (spoken.get(name, name), wording.size(value) if name == "memory_bytes" else str(value))
        for name, value in machine.items()
    ]


def _fingerprints(documents: Sequence[Document]) -> list[tuple[str, str]]:
    """The data the figures hold for, by the beginning of its fingerprint."""
    kinds = ("comparison", "combination", "learning-curve", "dataset")
    data = [d.get("dataset", d) for d in documents if d["kind"] in kinds]
    return list(dict.fromkeys((f"data, {d['name']}", str(d["fingerprint"])[:16]) for d in data))


def _commands(document: Document) -> list[str]:
    command = document.get("command", [])
    return [command] if isinstance(command, str) else list(command)
