"""The sections that a combination document fills: what views and further networks bring, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.core import wording
from sightline.report import charts
from sightline.report.comparison import spoken
from sightline.report.page import Figure, Section
from sightline.report.tables import Column, table

Document = Mapping[str, Any]


def combination_sections(document: Document) -> list[Section]:
    """The sections of a combination document (`evaluation.combination`), in reading order."""
    rows = [{**row, "arch": row["name"], "top1": _summary(row)} for row in document["rows"]]
    columns = [
        Column("top-1", lambda r: r["top1"]["mean"], wording.percent, 1, lambda r: wording.interval(r["top1"])),
        Column("log loss", lambda r: r["log_loss"], wording.decimal, -1),
        Column("ECE", lambda r: r["ece"], wording.percent, -1),
        Column("MACs", lambda r: r["macs"], wording.scaled, -1),
        Column("images/s", lambda r: r["images_per_s"], wording.rate, 1),
        Column("time", lambda r: (r["against"] or {}).get("time_ratio"), _times),
        Column("paired test", lambda r: (r["against"] or {}).get("p_value"), wording.p_value, 0, _beside),
    ]
    data = {
        "networks": rows,
        "table": table(rows, columns),
        "split": document["split"],
        "count": document["rows"][0]["n"],
        "notes": document["notes"],
    }
    figure = Figure("accuracy", "Accuracy and its uncertainty", charts.accuracy(rows, document["split"]))
    return [
        Section("findings", "Findings", "findings.html.j2", {"findings": [*map(spoken, document["findings"])]}),
        Section("results", "What they bring and cost", "combination.html.j2", data, [figure]),
    ]


def _summary(row: Document) -> dict[str, Any]:
    return {"mean": row["top1"], **row["interval"], "values": [row["top1"]]}


def _times(ratio: float | None) -> str:
    return f"× {wording.times(ratio)}" if ratio else wording.UNKNOWN


def _beside(row: Document) -> str:
    return f"beside {row['against']['b']}" if row["against"] else ""
