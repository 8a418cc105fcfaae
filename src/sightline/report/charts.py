"""The charts, as Altair specifications: one function a chart, from plain documents to a chart of flexible width.

One specification serves twice: drawn in the page (scripts inlined, no network) and by `write_png` without a browser.
Colours come from the theme (`palette.theme`), never from a specification, so one chart suits light, dark and print.
Class and network names stand only in data and domains, never in expressions. Altair and vl-convert are imported inside
the functions: a page without charts needs neither.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sightline.report.drawing import chart_of, flexible, log_ticks, padded, rows_height
from sightline.report.drawing import write_png as write_png

if TYPE_CHECKING:
    from altair import Color

    from sightline.report.drawing import Chart

SPLITS = ("train", "validation", "test")
STEADY_BIN = 5  # bins of fewer pictures are dots on their own: they would make the calibration line jump
LISTED_CLASSES = 30  # beyond so many, a chart by class shows the most telling ones
BRACKET = "lastindexof(datum.label, ' (')"
IN_TWO_LINES = (  # what stands in brackets at the end of a name goes below it
    f"{BRACKET} < 0 ? datum.label : [slice(datum.label, 0, {BRACKET}), slice(datum.label, {BRACKET} + 1)]"
)
_Records = list[dict[str, Any]]


def curves(
    networks: Sequence[Mapping[str, Any]], measure: Literal["loss", "top1"], over: Literal["epoch", "seconds"] = "epoch"
) -> Chart:
    """Loss or accuracy over epochs or training time: solid validation, dashed training.

    Of several seeds thin lines are each one's, thick ones their mean, as far as all of them came.
    """
    import altair as alt

    unit, title = _unit(networks) if over == "seconds" else (1.0, "epoch")
    records = _points(networks, measure, over, unit)
    scale, axis = (_loss_scale if measure == "loss" else _accuracy_scale)(records)
    spoken = "cross-entropy loss" if measure == "loss" else "top-1 accuracy"
    epochs = sorted({record["epoch"] for record in records})
    ticks = epochs if over == "epoch" and len(epochs) <= 6 else alt.Undefined  # of few ticks Vega makes halves
    where = ["epoch:Q", *([alt.Tooltip("along:Q", title=title, format=".3~g")] if over == "seconds" else [])]
    channels: dict[str, Any] = {
        "x": alt.X("along:Q", title=title, axis=alt.Axis(tickCount=6, values=ticks, format="~r", grid=False)),
        "y": alt.Y("value:Q", scale=scale, axis=axis, title=spoken),
        "color": _network_colour(networks),
        "strokeDash": alt.StrokeDash(
            "part:N", scale=alt.Scale(domain=["validation", "train"], range=[[1, 0], [5, 4]]), title=None
        ),
        "tooltip": ["network:N", "part:N", *where, alt.Tooltip("value:Q", title=spoken, format=".4~f")],
    }
    clip = measure == "top1"  # its axis leaves the first epochs out
    dots = any(len(history["rows"]) == 1 for network in networks for history in network["histories"])  # no line of one
    several = any(len(network["histories"]) > 1 for network in networks)
    mean = chart_of(_means(records) if several else records)
    thick = mean.mark_line(strokeWidth=2.25, clip=clip, point=dots).encode(**channels)
    if not several:
        return flexible(thick, height=300)
    thin = chart_of(records).mark_line(strokeWidth=1, opacity=0.35, clip=clip).encode(**channels, detail="training:N")
    return flexible(alt.layer(thin, thick), height=300)


def _points(networks: Sequence[Mapping[str, Any]], measure: str, over: str, unit: float) -> _Records:
    """What every training of every network measured at the end of its epochs; `along` is `over` in units."""
    return [
        {"network": network["arch"], "training": number, "part": part, "epoch": row["epoch"],
         "along": row[over] / unit, "value": value}
        for network in networks
        for number, history in enumerate(network["histories"])
        for row in history["rows"]
        if row.get(over) is not None
        for part, value in (("train", row.get(f"train_{measure}")), ("validation", row.get(f"validation_{measure}")))
        if value is not None and math.isfinite(value)
    ]  # fmt: skip


def _means(records: _Records) -> _Records:
    """The mean over the trainings of each network at each epoch that all of them reached."""
    groups: dict[tuple[str, str, int], _Records] = {}
    trainings: dict[str, set[int]] = {}
    for record in records:
        groups.setdefault((record["network"], record["part"], record["epoch"]), []).append(record)
        trainings.setdefault(record["network"], set()).add(record["training"])
    return [
        {"network": network, "part": part, "epoch": epoch,
         **{key: sum(one[key] for one in group) / len(group) for key in ("along", "value")}}
        for (network, part, epoch), group in groups.items()
        if len(group) == len(trainings[network])
    ]  # fmt: skip


def _unit(networks: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """Seconds of the unit that suits the longest training, and the axis' title."""
    rows = [row for network in networks for history in network["histories"] for row in history["rows"]]
    longest = max((row["seconds"] for row in rows if row.get("seconds") is not None), default=0.0)
    fitting = next((one for one in ((3600.0, "hours"), (60.0, "minutes")) if longest >= 2 * one[0]), (1.0, "seconds"))
    return fitting[0], f"{fitting[1]} of training, validation included"


def accuracy(networks: Sequence[Mapping[str, Any]], split: str = "test") -> Chart:
    """Accuracy on `split` with its 95 % interval and each seed, beside training and validation accuracy if known."""
    import altair as alt

    parts = (("train", "train_top1"), ("validation", "validation_top1"), (split, "top1"))
    records = [
        {"network": network["arch"], "part": part, "mean": summary["mean"]}
        for network in networks
        for part, key in parts
        if (summary := network.get(key)) and summary.get("mean") is not None
    ]
    tests = [{"network": n["arch"], "mean": n["top1"]["mean"], **_bounds(n["top1"])} for n in networks]
    seeds = [{"network": n["arch"], "value": value} for n in networks for value in n["top1"]["values"]]
    axis = alt.Axis(grid=False, labelLimit=130, labelFontSize=12.5, labelExpr=IN_TWO_LINES)
    y = alt.Y("network:N", sort=_names(networks), title=None, axis=axis)
    values = [r["mean"] for r in records] + [v for t in tests for v in (t["low"], t["high"])]
    scale = alt.Scale(zero=False, domain=padded(values))

    def x(field: str) -> alt.X:
        return alt.X(field, scale=scale, title="top-1 accuracy", axis=alt.Axis(format=".1%", tickCount=5))

    colour = _network_colour(networks, legend=False)
    shape = alt.Shape(
        "part:N",
        scale=alt.Scale(domain=[part for part, _ in parts], range=["triangle-up", "diamond", "circle"]),
        title=None,
    )
    bars = (
        chart_of(tests)
        .mark_rule(strokeWidth=7, opacity=0.28, strokeCap="round")
        .encode(x("low:Q"), y, colour, x2="high:Q")
    )
    ticks = chart_of(seeds).mark_tick(thickness=1.5, size=22).encode(x("value:Q"), y, colour)
    dots = (
        chart_of(records)
        .mark_point(filled=True, size=95, opacity=1)
        .encode(x("mean:Q"), y, colour, shape, tooltip=["network:N", "part:N", alt.Tooltip("mean:Q", format=".2%")])
    )
    return flexible(alt.layer(bars, ticks, dots), height=rows_height(len(networks), each=46))


def generalisation(networks: Sequence[Mapping[str, Any]]) -> Chart:
    """Accuracy on training, validation and test pictures, joined by lines; thin ones are each seed's."""
    import altair as alt

    parts = (("training", "train_top1"), ("validation", "validation_top1"), ("test", "top1"))
    known = [(part, n["arch"], n[key]) for n in networks for part, key in parts if n[key]["mean"] is not None]
    means = [{"part": part, "network": name, "value": figure["mean"]} for part, name, figure in known]
    seeds = [
        {"part": part, "network": name, "seed": seed, "value": value}
        for part, name, figure in known
        for seed, value in enumerate(figure["values"])
    ]
    scale = alt.Scale(zero=False, domain=padded([one["value"] for one in seeds]))
    channels: dict[str, Any] = {
        "x": alt.X("part:N", sort=[part for part, _ in parts], title=None, axis=alt.Axis(labelAngle=0, grid=False)),
        "y": alt.Y("value:Q", scale=scale, title="top-1 accuracy", axis=alt.Axis(format=".1~%", tickCount=5)),
        "color": _network_colour(networks),
        "tooltip": ["network:N", "part:N", alt.Tooltip("value:Q", title="top-1 accuracy", format=".2%")],
    }
    thick = chart_of(means).mark_line(strokeWidth=2.25, point={"size": 60, "filled": True}).encode(**channels)
    thin = chart_of(seeds).mark_line(strokeWidth=1, opacity=0.35).encode(**channels, detail="seed:N")
    return flexible(alt.layer(thin, thick), height=300)


def per_class(networks: Sequence[Mapping[str, Any]]) -> Chart:
    """F1 of each class, worst first; of many classes only the `LISTED_CLASSES` worst."""
    import altair as alt

    records = [
        {"network": network["arch"], "class": row["class"], "f1": row["f1"], "pictures": row["support"]}
        for network in networks
        for row in network["per_class"]
        if row["support"]
    ]
    worst = _worst_classes(networks)
    records = [record for record in records if record["class"] in set(worst)]
    spans = [
        {"class": name, "low": min(values), "high": max(values)}
        for name in worst
        if (values := [record["f1"] for record in records if record["class"] == name])
    ]
    y = alt.Y("class:N", sort=worst, title=None, axis=alt.Axis(grid=False))
    scale = alt.Scale(zero=False, domain=padded([record["f1"] for record in records]))
    x = alt.X("f1:Q", scale=scale, title="F1", axis=alt.Axis(format=".3~f", tickCount=5))
    lines = (
        chart_of(spans)
        .mark_rule(style="guide", strokeWidth=1, opacity=0.5)
        .encode(alt.X("low:Q", scale=scale, title="F1"), y, x2="high:Q")
    )
    dots = (
        chart_of(records)
        .mark_point(filled=True, size=75, opacity=0.9)
        .encode(
            x,
            y,
            _network_colour(networks),
            tooltip=["class:N", "network:N", alt.Tooltip("f1:Q", title="F1", format=".3f"), "pictures:Q"],
        )
    )
    return flexible(alt.layer(lines, dots), height=rows_height(len(worst)))


def calibration(networks: Sequence[Mapping[str, Any]]) -> Chart:
    """How often a network is right when it says so surely: on the diagonal it means what it says."""
    import altair as alt

    records = [
        {"network": network["arch"], "confidence": b["confidence"], "accuracy": b["accuracy"], "pictures": b["count"]}
        for network in networks
        for b in network["calibration"]
        if b["count"]
    ]
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("confidence:Q", scale=unit, title="confidence", axis=alt.Axis(format=".0%", tickCount=5))
    y = alt.Y("accuracy:Q", scale=unit, title="how often right", axis=alt.Axis(format=".0%", tickCount=5))
    diagonal = chart_of([{"confidence": 0, "accuracy": 0}, {"confidence": 1, "accuracy": 1}])
    base = chart_of(records).encode(x, y, _network_colour(networks))
    dots = base.mark_point(filled=True, opacity=0.85).encode(
        size=alt.Size("pictures:Q", scale=alt.Scale(range=[25, 420]), legend=None),
        tooltip=[
            "network:N",
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("accuracy:Q", title="how often right", format=".1%"),
            "pictures:Q",
        ],
    )
    guide = diagonal.mark_line(style="guide", strokeDash=[3, 3], strokeWidth=1.25).encode(x, y)
    lines = base.transform_filter(f"datum.pictures >= {STEADY_BIN}").mark_line(strokeWidth=1.5, opacity=0.6)
    return flexible(alt.layer(guide, lines, dots), height=380)


def trade_off(networks: Sequence[Mapping[str, Any]], field: str, title: str) -> Chart:
    """Test accuracy with its interval against a cost or speed (`field` of a network), on a log scale."""
    import altair as alt

    known = [n for n in networks if n.get(field)]
    costs = [n[field] for n in known]
    middle = math.sqrt(min(costs) * max(costs))
    records = [
        {
            "network": n["arch"],
            "cost": n[field],
            "mean": n["top1"]["mean"],
            "left": n[field] > middle,
            **_bounds(n["top1"]),
        }
        for n in known
    ]
    ends = (min(costs) / 1.5, max(costs) * 1.5)
    across = alt.Scale(type="log", domain=list(ends), nice=False)
    up = alt.Scale(zero=False, domain=padded([v for r in records for v in (r["low"], r["high"])]))
    x = alt.X("cost:Q", scale=across, title=title, axis=alt.Axis(format="~s", values=log_ticks(*ends), grid=False))
    axis = alt.Axis(format=".1%", tickCount=5)
    base = chart_of(records).encode(x, color=_network_colour(networks, legend=False))
    y = alt.Y("mean:Q", scale=up, title="test top-1", axis=axis)
    tooltip = ["network:N", alt.Tooltip("cost:Q", title=title, format=".3~s"), alt.Tooltip("mean:Q", format=".2%")]
    layers = [
        base.mark_rule(strokeWidth=5, opacity=0.28, strokeCap="round").encode(
            alt.Y("low:Q", scale=up, axis=axis, title="test top-1"), y2="high:Q"
        ),
        base.mark_point(filled=True, size=95, opacity=1).encode(y, tooltip=tooltip),
        base.transform_filter("!datum.left").mark_text(align="left", dx=10, fontSize=12).encode(y, text="network:N"),
        base.transform_filter("datum.left").mark_text(align="right", dx=-10, fontSize=12).encode(y, text="network:N"),
    ]
    return flexible(alt.layer(*layers), height=230)


def class_counts(classes: Sequence[str], counts: Mapping[str, Mapping[str, int]]) -> Chart:
    """Pictures of each class in each split; `counts` maps split to class to pictures. Many classes: largest first."""
    import altair as alt

    total = {name: sum(counts[split].get(name, 0) for split in counts) for name in classes}
    many = len(classes) > LISTED_CLASSES
    order = sorted(classes, key=lambda name: -total[name]) if many else list(classes)
    splits = [split for split in SPLITS if split in counts]
    records = [
        {"class": name, "split": split, "pictures": counts[split].get(name, 0), "order": splits.index(split)}
        for split in splits
        for name in classes
    ]
    name, amount = ("x", "y") if many else ("y", "x")
    axis = alt.Axis(grid=False, labelOverlap=many, labelAngle=-90 if many else 0)
    gap = alt.Scale(paddingInner=0.1 if many else 0.4)
    along = (alt.X if many else alt.Y)("class:N", sort=order, title=None, axis=axis, scale=gap)
    long = (alt.Y if many else alt.X)("pictures:Q", title="pictures", axis=alt.Axis(tickCount=5, format="~s"))
    chart = (
        chart_of(records)
        .mark_bar()
        .encode(
            **{name: along, amount: long},
            color=alt.Color("split:O", scale=alt.Scale(domain=splits), title=None),
            order="order:Q",
            tooltip=["class:N", "split:N", "pictures:Q"],
        )
    )
    return flexible(chart, height=260 if many else rows_height(len(classes)))


def _names(networks: Sequence[Mapping[str, Any]]) -> list[str]:
    return [network["arch"] for network in networks]


def _network_colour(networks: Sequence[Mapping[str, Any]], *, legend: bool = True) -> Color:
    import altair as alt

    shown = alt.Undefined if legend else None
    return alt.Color("network:N", scale=alt.Scale(domain=_names(networks)), title=None, legend=shown)


def _worst_classes(networks: Sequence[Mapping[str, Any]]) -> list[str]:
    sums: dict[str, float] = {}
    for network in networks:
        for row in filter(lambda row: row["support"], network["per_class"]):
            sums[row["class"]] = sums.get(row["class"], 0.0) + row["f1"]
    return sorted(sums, key=sums.__getitem__)[:LISTED_CLASSES]


def _bounds(summary: Mapping[str, Any]) -> dict[str, float]:
    low, high = summary.get("low"), summary.get("high")
    return {"low": summary["mean"] if low is None else low, "high": summary["mean"] if high is None else min(high, 1.0)}


def _loss_scale(records: _Records) -> tuple[Any, Any]:
    import altair as alt

    values = [record["value"] for record in records]
    if min(values, default=0.0) > 0 and max(values) / min(values) > 20:
        low, high = min(values), max(values)
        return alt.Scale(type="log", domain=[low, high], nice=False), alt.Axis(format="~g", values=log_ticks(low, high))
    return alt.Scale(zero=True), alt.Axis(format="~g", tickCount=5)


def _accuracy_scale(records: _Records) -> tuple[Any, Any]:
    """From the worst accuracy after the first tenth of the axis: the first steep rise must not flatten the rest."""
    import altair as alt

    last = max((record["along"] for record in records), default=0)
    settled = [record["value"] for record in records if record["along"] > last / 10] or [0.0]
    return alt.Scale(domain=[min(0.95, math.floor(min(settled) * 20) / 20), 1]), alt.Axis(format=".0%", tickCount=6)
