"""The anatomy page: a network drawn stage by stage, what each part costs, and what that buys.

A document is an anatomy (`sightline.anatomy.trace`), or {"kind": "anatomies", "networks": [...]} to set several side
by side. With "published" ({"rows": [...]}) the page shows accuracy against cost over all networks; with "ideas" and
"scaling", which go together, what each idea saves and how cost grows with width, depth and resolution. One HTML file
without a picture or script from elsewhere, or one PNG of the drawing and of accuracy against cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core import wording
from sightline.core.artifact import write_bytes
from sightline.report import anatomy_charts as charts
from sightline.report.anatomy_blocks import Box, boxes, shape, stages
from sightline.report.anatomy_layout import plan
from sightline.report.anatomy_picture import Head, svg
from sightline.report.page import Figure, Section, page

Document = Mapping[str, Any]
FAMILIES = {**charts.FAMILIES, "pool": "pooling", "join": "branches meet", "other": "other"}
SCALING_TITLES = {  # along: title and axis
    "phi": ("One alone, or all together", "φ"),
    "B": ("The published steps", "B"),
    "width": ("Wider", "width"),
    "pixels": ("Larger pictures", "pixels"),
    "layers": ("Deeper", "layers"),
}
_STATIC = Path(__file__).parent / "static"
_SHEETS = ("anatomy_drawing.css", "anatomy.css")


def write_page(document: Document, path: Path) -> None:
    """Write the page of one anatomy, or of several side by side, as one HTML file; needs Altair and vl-convert."""
    networks = networks_of(document)
    drawn = [boxes(network) for network in networks]
    sections = [
        _totals(networks[0]) if len(networks) == 1 else _against(networks),
        _drawing(networks),
        _depth(networks, drawn),
        _price(document, networks),
        _ideas(document),
        _layers(networks),
    ]
    rules = "".join((_STATIC / sheet).read_text(encoding="utf-8") for sheet in _SHEETS)
    page(
        title_of(networks), [section for section in sections if section], path, pictures={},
        subtitle=subtitle_of(networks), rules=rules, beside=False,
    )  # fmt: skip


def write_png(document: Document, path: Path) -> None:
    """Write the drawing of one anatomy, or of several side by side, as one PNG; needs Altair and vl-convert.

    Below it stands accuracy against cost, where the document has it.
    """
    import vl_convert

    networks = networks_of(document)
    heads = [
        Head(network["name"], subtitle_of([network]), [(total.text, total.word) for total in column])
        for network, column in zip(networks, totals(networks), strict=True)
    ]
    price = _price(document, networks)
    drawn = svg(networks, heads, FAMILIES, price.figures if price else ())
    write_bytes(path, vl_convert.svg_to_png(drawn, scale=2))


def networks_of(document: Document) -> list[Document]:
    """The anatomies of a document: itself, or those it compares."""
    return list(document["networks"]) if document["kind"] == "anatomies" else [document]


def title_of(networks: Sequence[Document]) -> str:
    """The name of one network, or of several against each other."""
    return " against ".join(network["name"] for network in networks)


def subtitle_of(networks: Sequence[Document]) -> str:
    """Style, input and classes of each network, once where they agree."""
    said = dict.fromkeys(
        f"style {network['style']} · input {shape(network['input'])} · {wording.whole(network['classes'])} classes"
        for network in networks
    )
    return "; ".join(said)


@dataclass(frozen=True)
class Total:
    """One figure of a whole network: what it is, its value, the value as people say it, and `exact` if that differs."""

    word: str
    value: float | None
    text: str
    exact: str = ""


def totals(networks: Sequence[Document]) -> list[list[Total]]:
    """The totals of each network; what is without auxiliary heads only where one of them has such."""
    return [_totals_of(network["total"], any(n["auxiliary"]["parameters"] for n in networks)) for network in networks]


def _totals_of(total: Document, auxiliary: bool) -> list[Total]:
    def count(word: str, key: str) -> Total:
        return Total(word, total[key], wording.scaled(total[key]), wording.whole(total[key]))

    def size(word: str, key: str) -> Total:
        return Total(word, total[key], wording.size(total[key]))

    seen = total["receptive_field"]
    return [
        count("parameters", "parameters"),
        *([count("without auxiliary heads", "parameters_without_auxiliary")] if auxiliary else []),
        count("MACs", "macs"),
        count("FLOPs (2 × MACs)", "flops"),
        Total("layers deep", total["layers"], wording.whole(total["layers"])),
        size("in float32", "float32_bytes"),
        size("in int8", "int8_bytes"),
        size("peak activations", "peak_activation_bytes"),
        Total("receptive field", seen, f"{wording.whole(seen)} px" if seen else "all"),
    ]


def _totals(network: Document) -> Section:
    more = {"layers deep": "with weights, one behind another", "peak activations": "one picture, float32"}
    shown = [(total, total.exact or more.get(total.word, "")) for total in totals([network])[0]]
    data = {"totals": shown, "auxiliary": network["auxiliary"]["parameters"]}
    return Section("totals", "At a glance", "anatomy_totals.html.j2", data)


def _against(networks: Sequence[Document]) -> Section:
    """Totals side by side with their ratio to the first, and the stages' shares on one scale."""
    rows = [
        [(total, _ratio(total.value, row[0].value) if i else "") for i, total in enumerate(row)]
        for row in zip(*totals(networks), strict=True)
    ]
    bars = []
    for title, figure in (("Parameters", "parameters"), ("MACs", "macs")):
        most = max([1, *(stage[figure] for network in networks for stage in network["stages"])])
        bars.append(
            (title, [
                [(s["name"], s[figure], max(100 * s[figure] / most, 0.6 if s[figure] else 0)) for s in n["stages"]]
                for n in networks
            ])
        )  # fmt: skip
    data = {"networks": networks, "rows": rows, "bars": bars}
    return Section("totals", "Side by side", "anatomy_against.html.j2", data)


def _ratio(value: float | None, first: float | None) -> str:
    """How many times the first network's figure this one is."""
    if not value or not first:
        return ""
    return "the same" if value == first else f"× {value / first:.3g}"


def _drawing(networks: Sequence[Document]) -> Section:
    drawings = [[(stage, [plan(block) for block in stage.blocks]) for stage in stages(n)] for n in networks]
    laid = [p for drawing in drawings for _, plans in drawing for p in plans]
    used = {place.box.family for p in laid for place in p.placed}
    most = {
        figure: max([1, *(getattr(stage, figure) for drawing in drawings for stage, _ in drawing)])
        for figure in ("parameters", "macs")
    }
    data = {
        "drawings": list(zip(networks, drawings, strict=True)),
        "families": {family: word for family, word in FAMILIES.items() if family in used},
        "identity": any(edge.identity for p in laid for edge in p.edges),
        "most": most,
    }
    return Section("stages", "Stage by stage", "anatomy_drawing.html.j2", data)


def _depth(networks: Sequence[Document], drawn: Sequence[list[Box]]) -> Section:
    """What layers cost, how much they put out and how far they see, in order."""
    if len(networks) == 1:
        figures = _figures_of_one(drawn[0], max(networks[0]["input"][1:]))
    else:
        figures = _figures_of_several(dict(zip((n["name"] for n in networks), drawn, strict=True)))
    used = {box.family for box in drawn[0]}
    families = {family: word for family, word in charts.FAMILIES.items() if family in used}
    data = {"networks": networks, "families": families}
    return Section("depth", "Along the depth", "anatomy_depth.html.j2", data, figures)


def _figures_of_one(drawn: list[Box], side: int) -> list[Figure]:
    note = f"The dashed line is the picture's side, {side} pixels. What sees the whole picture is left out."
    return [
        Figure("macs", "MACs of each layer", charts.by_layer(drawn, "macs", "MACs")),
        Figure("parameters", "Parameters of each layer", charts.by_layer(drawn, "parameters", "parameters")),
        Figure("activations", _PUT_OUT, charts.along_depth(drawn, "activations", "numbers")),
        Figure("field", _SEEN, charts.along_depth(drawn, "receptive_field", "pixels", side), note),
    ]


def _figures_of_several(drawn: Mapping[str, Sequence[Box]]) -> list[Figure]:
    return [
        Figure("macs", "MACs so far", charts.side_by_side(drawn, "macs", "MACs", summed=True)),
        Figure("parameters", "Parameters so far", charts.side_by_side(drawn, "parameters", "parameters", summed=True)),
        Figure("activations", _PUT_OUT, charts.side_by_side(drawn, "activations", "numbers")),
        Figure("field", _SEEN, charts.side_by_side(drawn, "receptive_field", "pixels")),
    ]


_PUT_OUT, _SEEN = "Numbers each layer puts out", "How far each layer sees"


def _price(document: Document, networks: Sequence[Document]) -> Section | None:
    if "published" not in document:
        return None
    rows = document["published"]["rows"]
    names = [network["name"] for network in networks]
    unknown = [name for name in names if name not in {row["network"] for row in rows}]
    figures = [
        Figure(
            "price-macs", "Published accuracy by arithmetic", charts.price(rows, names, "macs", "MACs for one picture")
        ),
        Figure("price-parameters", "Published accuracy by size", charts.price(rows, names, "parameters", "parameters")),
    ]
    missing = f"None is published for {' and '.join(unknown)}." if unknown else ""
    return Section(
        "price", "Accuracy and its price", "anatomy_price.html.j2",
        {"rows": rows, "names": names, "missing": missing}, figures,
    )  # fmt: skip


def _ideas(document: Document) -> Section | None:
    if "ideas" not in document:
        return None
    ideas = [
        {**idea, "most": max(idea[side][idea["figure"]] for side in ("with", "without")), "verdict": _verdict(idea)}
        for idea in document["ideas"]
    ]
    curves: dict[str, dict[str, Document]] = {}
    for name, curve in document["scaling"].items():
        curves.setdefault(curve["along"], {})[name] = curve
    figures = []
    for along, of in curves.items():
        title, axis = SCALING_TITLES[along]
        figures.append(Figure(f"scaling-{along}", title, charts.scaling(of, axis)))
    data = {"ideas": ideas, "curves": list(curves.values())}
    return Section("ideas", "What each idea saves", "anatomy_ideas.html.j2", data, figures)


def _verdict(idea: Document) -> str:
    """What the idea does to its figure, in words."""
    word = {"macs": "MACs"}.get(idea["figure"], idea["figure"])
    ratio = idea["ratio"]
    if ratio < 1:
        return f"{wording.percent(ratio)} of the {word}: {1 / ratio:.1f} times fewer"
    return f"{ratio:.2f} times the {word}"


def _layers(networks: Sequence[Document]) -> Section:
    rows = [[_row(layer) for layer in network["layers"]] for network in networks]
    return Section("layers", "Every layer", "anatomy_layers.html.j2", {"networks": networks, "rows": rows})


def _row(layer: Document) -> tuple[str, ...]:
    groups = layer["groups"] or 1
    return (
        layer["name"],
        f"{layer['kind']}, {groups} groups" if groups > 1 else layer["kind"],
        "×".join(map(str, layer["kernel"] or ())),
        *("×".join(map(str, _short(layer[key] or ()))) for key in ("stride", "padding")),
        shape(layer["output"]),
        *(wording.whole(layer[key]) if layer[key] else "" for key in ("parameters", "macs")),
        wording.whole(layer["activations"]),
        wording.whole(layer["receptive_field"]) if layer["receptive_field"] else "all",
    )


def _short(sides: Sequence[int]) -> Sequence[int]:
    """One number where all sides are equal."""
    return sides[:1] if len(set(sides)) == 1 else sides
