"""The charts of an anatomy: what each layer costs, how pictures shrink and views widen with depth, and the price of
accuracy over all networks.

Boxes are those of the drawing: a layer with its batch norm and activation. Families keep the colours they have there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sightline.report.anatomy_blocks import Box
from sightline.report.drawing import chart_of, flexible, log_ticks

if TYPE_CHECKING:
    import altair as alt

    from sightline.report.drawing import Chart

FAMILIES = {"conv": "convolution", "linear": "linear", "depthwise": "depthwise convolution", "one": "1×1 convolution"}
CROWDED = 0.035  # stage names closer than this share of the width are left out
_HEIGHT = 250
_Records = list[dict[str, Any]]


def by_layer(boxes: Sequence[Box], figure: str, title: str) -> Chart:
    """A bar for each layer with weights, in order: its "parameters" or "macs"."""
    import altair as alt

    records = [
        {"layer": box.name, "stage": box.stage, "kind": FAMILIES[box.family], "output": box.lines[-1],
         "left": i + 0.55, "right": i + 1.45, "amount": getattr(box, figure), "ground": 0}
        for i, box in enumerate(boxes)
        if box.family in FAMILIES
    ]  # fmt: skip
    bars = (
        chart_of(records)
        .mark_rect(strokeWidth=0)
        .encode(
            x=_along(boxes, "left:Q"),
            x2="right:Q",
            y=alt.Y("amount:Q", title=title, axis=alt.Axis(format="~s", tickCount=5)),
            y2="ground:Q",
            color=alt.Color("kind:N", scale=alt.Scale(domain=[*FAMILIES.values()]), title=None),
            tooltip=["layer:N", "stage:N", "kind:N", "output:N", alt.Tooltip("amount:Q", title=title, format=",")],
        )
    )
    return flexible(alt.layer(bars, *_stage_marks(boxes)), height=_HEIGHT)


def along_depth(boxes: Sequence[Box], figure: str, title: str, guide: float | None = None) -> Chart:
    """The "activations" or the "receptive_field" of each layer, in order; `guide` is a line to compare with."""
    import altair as alt

    records = _known(boxes, figure)
    y = alt.Y("amount:Q", title=title, axis=alt.Axis(format="~s", tickCount=5))
    steps = (
        chart_of(records)
        .mark_area(interpolate="step", line={"strokeWidth": 1.5}, opacity=0.3)
        .encode(
            x=_along(boxes, "place:Q"),
            y=y,
            tooltip=["layer:N", "stage:N", "output:N", alt.Tooltip("amount:Q", title=title, format=",")],
        )
    )
    level = [] if guide is None else [
        chart_of([{"amount": guide}]).mark_rule(style="guide", strokeDash=[4, 3]).encode(y=y)
    ]  # fmt: skip
    return flexible(alt.layer(steps, *level, *_stage_marks(boxes)), height=_HEIGHT)


def side_by_side(networks: Mapping[str, Sequence[Box]], figure: str, title: str, *, summed: bool = False) -> Chart:
    """A line for each network along its layers; `summed` adds up what came before."""
    import altair as alt

    records = []
    for name, boxes in networks.items():
        so_far = 0
        for record in _known(boxes, figure):
            so_far = so_far + record["amount"] if summed else record["amount"]
            records.append(record | {"network": name, "amount": so_far})
    longest = max(networks.values(), key=len)
    lines = (
        chart_of(records)
        .mark_line(interpolate="step-after" if summed else "step", strokeWidth=2)
        .encode(
            x=_along(longest, "place:Q"),
            y=alt.Y("amount:Q", title=title, axis=alt.Axis(format="~s", tickCount=5)),
            color=alt.Color("network:N", scale=alt.Scale(domain=list(networks)), title=None),
            tooltip=["network:N", "layer:N", alt.Tooltip("amount:Q", title=title, format=",")],
        )
    )
    return flexible(lines, height=_HEIGHT)


def price(rows: Sequence[Mapping[str, Any]], names: Sequence[str], figure: str, title: str) -> Chart:
    """Published top-1 against "macs" or "parameters" over all networks; those in `names` stand out."""
    import altair as alt

    low, high = (pick(row[figure] for row in rows) for pick in (min, max))
    ends, tops = (low / 2, high * 1.6), [row["top1"] for row in rows]
    floor, roof = math.floor(min(tops) - 1), math.ceil(max(tops) + 1)
    records = [
        {"network": row["network"], "family": _family(row["network"]), "cost": row[figure], "top1": row["top1"],
         "size": f"{row['size']} pixels", "source": row["source"], "ours": row["network"] in names}
        for row in rows
    ]  # fmt: skip
    base = chart_of(_labelled(records, ends, (floor, roof))).encode(
        x=alt.X(
            "cost:Q", title=title, scale=alt.Scale(type="log", domain=list(ends), nice=False),
            axis=alt.Axis(format="~s", values=log_ticks(*ends), grid=False),
        ),
        y=alt.Y(
            "top1:Q", title="published top-1, %", scale=alt.Scale(domain=[floor, roof], nice=False),
            axis=alt.Axis(tickCount=6),
        ),
        tooltip=[
            "network:N", alt.Tooltip("top1:Q", title="top-1, %"), alt.Tooltip("cost:Q", title=title, format=".3~s"),
            alt.Tooltip("size:N", title="input"), "source:N",
        ],
    )  # fmt: skip
    ours = alt.Color("network:N", scale=alt.Scale(domain=list(names)), legend=None)
    layers: list[Any] = [
        base.mark_line(style="guide", strokeWidth=1, opacity=0.45).encode(detail="family:N"),
        base.transform_filter("!datum.ours").mark_point(style="guide", filled=True, size=42, opacity=0.8),
        base.transform_filter("datum.ours").mark_point(filled=True, size=130, opacity=1).encode(color=ours),
    ]
    for where, (align, dx, dy) in _PLACES.items():
        spot = base.transform_filter(f"(width < {_ASSUMED['wide'][0]} ? datum.narrow : datum.wide) === '{where}'")
        layers += [
            spot.transform_filter("!datum.ours").mark_text(align=align, dx=dx, dy=dy, fontSize=10.5, opacity=0.8),
            spot.transform_filter("datum.ours").mark_text(align=align, dx=dx, dy=dy, fontSize=12.5, fontWeight=700),
        ]
    texts = [layer.encode(text="network:N") for layer in layers[3:]]
    return flexible(alt.layer(*layers[:3], *texts), height=380)


def scaling(curves: Mapping[str, Mapping[str, Any]], axis: str) -> Chart:
    """How MACs (solid) and parameters (dashed) grow along each of `curves`, as multiples of its first point's."""
    import altair as alt

    records = [
        {"curve": name, "at": point["at"], "network": point["network"], "figure": word, "amount": point[figure],
         "times": point[figure] / curve["points"][0][figure]}
        for name, curve in curves.items()
        for figure, word in (("macs", "MACs"), ("parameters", "parameters"))
        for point in curve["points"]
    ]  # fmt: skip
    high = max(record["times"] for record in records) * 1.2
    lines = (
        chart_of(records)
        .mark_line(strokeWidth=2, point={"size": 34, "filled": True})
        .encode(
            x=alt.X("at:Q", title=axis, scale=alt.Scale(zero=False), axis=alt.Axis(grid=False, tickCount=6)),
            y=alt.Y(
                "times:Q",
                title="times the first",
                scale=alt.Scale(type="log", domain=[1 / 1.2, high], nice=False),
                axis=alt.Axis(format="~g", values=log_ticks(1, high)),
            ),
            color=alt.Color("curve:N", scale=alt.Scale(domain=list(curves)), title=None),
            strokeDash=alt.StrokeDash(
                "figure:N", scale=alt.Scale(domain=["MACs", "parameters"], range=[[1, 0], [5, 4]]), title=None
            ),
            tooltip=["curve:N", "network:N", "figure:N", alt.Tooltip("amount:Q", format=","),
                     alt.Tooltip("times:Q", title="times the first", format=".3~g")],
        )
    )  # fmt: skip
    return flexible(lines, height=_HEIGHT)


_PLACES: dict[str, tuple[Literal["left", "right", "center"], int, int]] = {
    "right": ("left", 9, 0),
    "left": ("right", -9, 0),
    "above": ("center", 0, -12),
    "below": ("center", 0, 13),
}
# Pixels of a plot: names that would touch at this size are left to tooltip and table.
_ASSUMED = {"wide": (400, 320), "narrow": (280, 320)}


def _labelled(records: _Records, across: tuple[float, float], up: tuple[float, float]) -> _Records:
    """The records with where their names fit in a "wide" and a "narrow" plot."""
    shares = [
        (math.log(r["cost"] / across[0]) / math.log(across[1] / across[0]), (up[1] - r["top1"]) / (up[1] - up[0]))
        for r in records
    ]
    for plot, (width, height) in _ASSUMED.items():
        places = _places(records, [(x * width, y * height) for x, y in shares], width, height)
        records = [record | {plot: place} for record, place in zip(records, places, strict=True)]
    return records


def _places(records: _Records, spots: Sequence[tuple[float, float]], width: float, height: float) -> list[str]:
    """Where each name stands, "" for nowhere: ours first, at the emptiest place; others where nothing else stands."""
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in spots]
    places = [""] * len(records)
    for i in sorted(range(len(records)), key=lambda i: not records[i]["ours"]):
        ours = records[i]["ours"]
        frames = _frames(spots[i], 6.2 * len(records[i]["network"]) * (1.2 if ours else 1))
        trouble = {
            where: sum(_touch(frame, other) for other in taken)
            + 2 * (frame[0] < 0 or frame[2] > width or frame[1] < 0 or frame[3] > height)
            for where, frame in frames.items()
        }
        best = min(trouble, key=trouble.__getitem__)
        if ours or not trouble[best]:
            places[i] = best
            taken.append(frames[best])
    return places


def _frames(spot: tuple[float, float], long: float) -> dict[str, tuple[float, float, float, float]]:
    """What a name of `long` pixels would cover at each of its places: left, top, right, bottom."""
    x, y = spot
    frames = {}
    for where, (align, dx, dy) in _PLACES.items():
        left = {"left": x + dx, "right": x + dx - long, "center": x - long / 2}[align]
        frames[where] = (left, y + dy - 6, left + long, y + dy + 6)
    return frames


def _touch(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _family(network: str) -> str:
    """The name without what tells the members of a family apart: depth, width, letter and number."""
    return re.sub(r":.*$|_b\d+$|(?<!_v)\d+(?=_bn$|$)", "", network)


def _known(boxes: Sequence[Box], figure: str) -> _Records:
    return [
        {"layer": box.name, "stage": box.stage, "output": box.lines[-1], "place": i + 1, "amount": amount}
        for i, box in enumerate(boxes)
        if (amount := getattr(box, figure)) is not None
    ]


def _along(boxes: Sequence[Box], field: str) -> alt.X:
    import altair as alt

    scale = alt.Scale(domain=[0.5, len(boxes) + 0.5], nice=False)
    return alt.X(field, title="layer, in order", scale=scale, axis=alt.Axis(grid=False, tickMinStep=1, format="d"))


def _stage_marks(boxes: Sequence[Box]) -> list[Chart]:
    """A thin line where a stage starts, its name above where there is room: the widest stages choose first."""
    import altair as alt

    starts = [i for i, box in enumerate(boxes) if i == 0 or boxes[i - 1].stage != box.stage]
    ends = [*starts[1:], len(boxes)]
    named: set[int] = set()
    for start, _ in sorted(zip(starts, ends, strict=True), key=lambda span: span[0] - span[1]):
        if all(abs(start - other) >= CROWDED * len(boxes) for other in named):
            named.add(start)
    records = [{"start": i + 0.5, "stage": boxes[i].stage if i in named else ""} for i in starts]
    base = chart_of(records).encode(x=_along(boxes, "start:Q"))
    names = base.mark_text(angle=315, align="left", dx=3, dy=-3, fontSize=10.5, opacity=0.8).encode(
        text="stage:N", y=alt.value(0)
    )
    return [base.mark_rule(style="guide", strokeWidth=0.75, opacity=0.35), names]
