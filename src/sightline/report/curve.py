"""The sections that a learning curve fills: what it says, the curve itself, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sightline.report.comparison import spoken
from sightline.report.drawing import chart_of, flexible, padded
from sightline.report.page import Figure, Section

if TYPE_CHECKING:
    from sightline.report.drawing import Chart

Document = Mapping[str, Any]
HANDMADE = "hand-engineered"


def curve_sections(document: Document) -> list[Section]:
    """All sections of a learning-curve document (`training.curve`), in reading order."""
    network, handmade = document["curves"]
    figure = Figure("learning-curve", "Accuracy by number of training pictures", curve(document))
    data = {
        "document": document,
        "networks": [{"arch": name} for name in _names(document)],
        "rows": [*zip(network["levels"], handmade["levels"], document["leads"], strict=True)],
        "twice": network["trend"]["twice"],
    }
    return [
        Section("findings", "Findings", "findings.html.j2", {"findings": [*map(spoken, document["findings"])]}),
        Section("results", "The curve", "curve.html.j2", data, [figure]),
    ]


def curve(document: Document) -> Chart:
    """Accuracy against pictures on a log axis: seeds as points, their mean as a line, its interval as a band.

    A dashed line leads to what twice the pictures are expected to bring, with its interval.
    """
    import altair as alt

    names = _names(document)
    levels = [
        {"network": name, **{key: level[key] for key in ("pictures", "mean", "low", "high")}, "values": level["values"]}
        for name, one in zip(names, document["curves"], strict=True)
        for level in one["levels"]
    ]
    seeds = [
        {"network": level["network"], "pictures": level["pictures"], "value": value}
        for level in levels
        for value in level.pop("values")
    ]
    last, twice = document["curves"][0]["levels"][-1], document["curves"][0]["trend"]["twice"]
    expected = [{"network": names[0], "pictures": 2 * last["pictures"], **twice}] if twice else []
    ticks = sorted({record["pictures"] for record in [*levels, *expected]})
    x = alt.X(
        "pictures:Q",
        title="training pictures",
        scale=alt.Scale(type="log", domain=[ticks[0] / 1.15, ticks[-1] * 1.15], nice=False),
        axis=alt.Axis(values=ticks, format=",d", grid=False, labelOverlap=True),
    )
    scale = alt.Scale(zero=False, domain=padded([r[end] for r in [*levels, *expected] for end in ("low", "high")]))
    title = f"{document['split']} top-1"

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=scale, title=title, axis=alt.Axis(format=".0%", tickCount=6))

    colour = alt.Color("network:N", scale=alt.Scale(domain=names), title=None)
    tooltip = [
        "network:N",
        alt.Tooltip("pictures:Q", format=",d"),
        *(alt.Tooltip(f"{field}:Q", format=".1%") for field in ("mean", "low", "high")),
    ]
    measured, ahead = chart_of(levels).encode(x, color=colour), chart_of(expected).encode(x, color=colour)
    dash = [{"network": names[0], "pictures": last["pictures"], "mean": last["mean"]}, *expected]
    layers = [
        measured.mark_area(opacity=0.16).encode(y("low"), y2="high:Q"),
        chart_of(dash if expected else []).mark_line(strokeWidth=1.5, strokeDash=[4, 4]).encode(x, y("mean"), colour),
        measured.mark_line(strokeWidth=2.25).encode(y("mean")),
        chart_of(seeds).mark_point(filled=True, size=26, opacity=0.75).encode(x, y("value"), colour),
        measured.mark_point(size=90, strokeWidth=2, opacity=1).encode(y("mean"), tooltip=tooltip),
        ahead.mark_rule(strokeWidth=5, opacity=0.28, strokeCap="round").encode(y("low"), y2="high:Q"),
        ahead.mark_point(size=90, strokeWidth=2, opacity=1, shape="diamond").encode(y("mean"), tooltip=tooltip),
    ]
    return flexible(alt.layer(*layers), height=380)


def _names(document: Document) -> list[str]:
    """What the two curves are called."""
    return [str(document["arch"]), HANDMADE]
