"""The sections of an experiment: what it asks and what it found, around those of its comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightline.core import wording
from sightline.report import charts
from sightline.report.anatomy_blocks import stages
from sightline.report.anatomy_layout import Plan, plan
from sightline.report.anatomy_page import FAMILIES, Total, totals
from sightline.report.comparison import comparison_sections, spoken
from sightline.report.page import Figure, Section

Document = Mapping[str, Any]
_STATIC = Path(__file__).parent / "static"
_SHEETS = ("anatomy_drawing.css", "experiment.css")
AFTER_PACE = ("results", "training")
AFTER_GENERALISATION = ("confusion", "classes", "differences", "mistakes", "calibration")
LEFT_OUT = ("FLOPs (2 × MACs)", "in int8")  # totals that are others times a number, or nothing here turns on


def experiment_sections(document: Document) -> list[Section]:
    """All sections of an experiment document (`inception_vs_resnet`), in reading order."""
    compared = {section.anchor: section for section in comparison_sections(document["comparison"])}
    question = {"question": document["question"], "setup": document["setup"]}
    limits = {"limits": document["limits"]}
    return [
        Section("question", "The question", "experiment_question.html.j2", question),
        Section("findings", "Findings", "findings.html.j2", {"findings": [*map(spoken, document["findings"])]}),
        _networks(document),
        _pace(document),
        *(compared[anchor] for anchor in AFTER_PACE if anchor in compared),
        _generalisation(document["comparison"]["networks"]),
        *(compared[anchor] for anchor in AFTER_GENERALISATION if anchor in compared),
        Section("claims", "What the papers state", "experiment_claims.html.j2", _claims(document)),
        Section("limits", "What this does not show", "experiment_limits.html.j2", limits),
    ]


def experiment_rules() -> str:
    """The CSS that these sections need beside the page's own."""
    return "".join((_STATIC / sheet).read_text(encoding="utf-8") for sheet in _SHEETS)


def _networks(document: Document) -> Section:
    """A block of each, drawn, and what the whole networks come to."""
    anatomies = document["anatomies"]
    drawn = [(one["name"], document["blocks"][one["name"]]["caption"], _drawn(document, one)) for one in anatomies]
    families = {box.box.family for _, _, laid in drawn for box in laid.placed}
    rows = [row for row in zip(*totals(anatomies), strict=True) if row[0].word not in LEFT_OUT]
    data = {
        "networks": document["comparison"]["networks"],
        "drawn": drawn,
        "families": {family: word for family, word in FAMILIES.items() if family in families},
        "rows": [*rows, *_kernels(anatomies)],
    }
    return Section("networks", "The two networks", "experiment_networks.html.j2", data)


def _drawn(document: Document, anatomy: Document) -> Plan:
    """The block that stands for the network, laid out."""
    wanted = document["blocks"][anatomy["name"]]["name"]
    return plan(next(block for stage in stages(anatomy) for block in stage.blocks if wanted in block.names))


def _kernels(anatomies: Sequence[Document]) -> list[tuple[Total, ...]]:
    """A row for each kernel size: how many convolutions have it, and their share of the multiply-adds."""
    counted = [_by_kernel(anatomy) for anatomy in anatomies]
    return [
        tuple(
            Total(
                f"{side}×{side} convolutions",
                None,
                wording.whole(found[side][0]) if side in found else "none",
                f"{wording.percent(found[side][1] / anatomy['total']['macs'])} of the MACs" if side in found else "",
            )
            for found, anatomy in zip(counted, anatomies, strict=True)
        )
        for side in sorted({side for found in counted for side in found})
    ]


def _by_kernel(anatomy: Document) -> dict[int, tuple[int, int]]:
    """Convolutions and their multiply-adds by the side of the kernel."""
    found: dict[int, tuple[int, int]] = {}
    for layer in anatomy["layers"]:
        if "Conv" in layer["kind"] and layer["kernel"]:
            count, macs = found.get(max(layer["kernel"]), (0, 0))
            found[max(layer["kernel"])] = (count + 1, macs + layer["macs"])
    return found


def _pace(document: Document) -> Section:
    pace = document["pace"]
    data = {
        "networks": pace["networks"],
        "epoch": pace["epoch"],
        "budget": document["budget_s"],
        "several": max(len(network["passes"]) for network in pace["networks"]) > 1,
    }
    return Section("pace", "The same time for both", "experiment_pace.html.j2", data)


def _generalisation(networks: Sequence[Document]) -> Section:
    figure = Figure(
        "generalisation", "From pictures it learnt to pictures it never saw", charts.generalisation(networks)
    )
    data = {"networks": networks, "several": any(len(network["seeds"]) > 1 for network in networks)}
    return Section("generalisation", "Does it generalise?", "experiment_generalisation.html.j2", data, [figure])


def _claims(document: Document) -> dict[str, Any]:
    return {"networks": document["comparison"]["networks"], "claims": document["claims"]}
