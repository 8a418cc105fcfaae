"""The sections that an Index fills: what was chosen, dimensions, search methods, neighbours, doubts, the map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sightline.core import wording
from sightline.report.charts import LISTED_CLASSES
from sightline.report.confusion import confused_most, confusion, worst_share
from sightline.report.drawing import chart_of, flexible, log_ticks, padded
from sightline.report.page import Figure, Section

if TYPE_CHECKING:
    from sightline.report.drawing import Chart

Document = Mapping[str, Any]
SHOWN = 24  # groups, and suspects, with pictures
IN_A_GROUP = 8
COLOURED = 7  # classes that a map tells apart by colour
OTHERS = "other classes"


def index_sections(document: Document) -> list[Section]:
    """All sections of an index document (index.json, with what `--describe` adds); empty ones are left out."""
    sections = [_choice(document), _dimensions(document), _methods(document), _neighbours(document)]
    return [section for section in sections if section]


def doubt_sections(document: Document) -> list[Section]:
    """Near duplicates, and pictures whose neighbours bear another label."""
    groups, suspects = document["groups"], document["suspects"]
    data = {"document": document, "most": IN_A_GROUP, "groups": groups[:SHOWN], "suspects": suspects[:SHOWN]}
    return [
        Section("duplicates", "Nearly the same", "duplicates.html.j2", data),
        Section("suspects", "Labels worth a second look", "suspects.html.j2", data),
    ]


def map_sections(document: Document, thumbnails: Mapping[str, str]) -> list[Section]:
    """The plane of pictures; `thumbnails` are the addresses of those that are shown under the pointer."""
    names = _coloured(document["points"])
    figure = Figure("map", "The pictures, those alike near each other", plane(document["points"], names, thumbnails))
    return [Section("map", "The map", "map.html.j2", {"document": document, "names": names}, [figure])]


def _choice(document: Document) -> Section:
    """What the Index is, in a table of words."""
    tuning, found, pca = document["tuning"], document["quality"], document["pca"]
    facts = [("pictures", wording.whole(document["count"]))]
    dims = wording.whole(document["dim"])
    if pca:
        dims += f" of {document['embedding_dim']:,}, {wording.percent(pca['explained'])} of the variance"
        dims += " whitened" if pca["whitened"] else ""
    facts += [("dimensions", dims), ("near is", document["metric"]), ("search", spoken(document["backend"]))]
    if tuning:
        chosen = tuning["chosen"]
        recall = f"{wording.percent(chosen['recall'])} of the true {chosen['k']} neighbours"
        query = f"{chosen['latency_us_median']:,.0f} µs on one thread, one in a hundred over "
        facts += [
            ("finds", f"{recall}, at least {wording.percent(chosen['recall_low'])} with 95 % confidence"),
            ("a query takes", f"{query}{chosen['latency_us_p99']:,.0f} µs"),
            ("reads", wording.size(chosen["size_bytes"])),
        ]
    if found:
        right = f"{wording.percent(found['neighbour_accuracy'])} of the pictures"
        facts.append(("the neighbours name the class of", right))
    reasons = [f"{what}: {one['why']}" for what, one in (("Dimensions", pca), ("Search", tuning)) if one]
    data = {"facts": facts, "reasons": reasons, "document": document}
    return Section("findings", "What was chosen", "similarity.html.j2", data)


def spoken(backend: Document) -> str:
    """A search method with its parameters."""
    parameters = ", ".join(f"{name} {value}" for name, value in backend["parameters"].items())
    return f"{backend['name']} ({parameters})" if parameters else str(backend["name"])


def _dimensions(document: Document) -> Section | None:
    table = document["pca_table"]
    if not table:
        return None
    figure = Figure("dimensions", "What neighbours are worth by number of dimensions", dimensions(table))
    return Section("dimensions", "Dimensions", "dimensions.html.j2", {"table": table}, [figure])


def dimensions(table: Document) -> Chart:
    """Accuracy of neighbours, and the variance kept, over the number of principal axes; knee and choice marked."""
    import altair as alt

    rows = [dict(row) for row in table["rows"]]
    ticks = [row["dims"] for row in rows]
    axis = alt.Axis(values=ticks, format=",d", grid=False, labelOverlap=True)
    x = alt.X("dims:Q", title="principal axes kept", scale=alt.Scale(type="log", nice=False), axis=axis)
    series = [
        {"dims": row["dims"], "measure": name, "value": row[key]}
        for row in rows
        for name, key in (("neighbours of the class", "accuracy"), ("variance kept", "explained"))
    ]
    names = ["neighbours of the class", "variance kept"]
    y = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=6))
    colour = alt.Color("measure:N", scale=alt.Scale(domain=names), title=None)
    tooltip = [alt.Tooltip("dims:Q", format=",d"), "measure:N", alt.Tooltip("value:Q", format=".1%")]
    marks = [
        {"dims": dims, "name": name}
        for dims, name in ((table["knee"], "knee"), (table["chosen"], "chosen"))
        if dims is not None
    ]
    if len({mark["dims"] for mark in marks}) < len(marks):
        marks = [{"dims": table["chosen"], "name": "chosen, the knee"}]
    line = chart_of(series).encode(x, y, colour)
    rules = chart_of(marks)
    return flexible(
        alt.layer(
            rules.mark_rule(style="guide", strokeDash=[4, 4]).encode(x),
            rules.mark_text(align="left", dx=5, dy=-9).encode(x, y=alt.datum(0.0), text="name:N"),
            line.mark_line(strokeWidth=2.25),
            line.mark_point(filled=True, size=44, opacity=1).encode(tooltip=tooltip),
        ),
        height=340,
    )


def _methods(document: Document) -> Section | None:
    tuning = document["tuning"]
    if not tuning:
        return None
    measured = [trial for trial in tuning["trials"] if trial.get("recall") is not None]
    best = [one for one in measured if one["recall_low"] >= tuning["target_recall"] or one["method"] == "exact"]
    kept = {
        name: min((trial for trial in best if trial["method"] == name), key=lambda trial: trial["latency_us_median"])
        for name in dict.fromkeys(trial["method"] for trial in best)
    }
    absent = {trial["method"]: trial["why"] for trial in tuning["trials"] if trial.get("why")}
    for trial in measured:
        absent.setdefault(trial["method"], "found too little, or was slower than exact search on the way to it")
    rows = sorted(kept.values(), key=lambda trial: trial["latency_us_median"])
    data = {
        "tuning": tuning,
        "rows": [{**row, "spoken": spoken({"name": row["method"], "parameters": row["parameters"]})} for row in rows],
        "absent": {name: why for name, why in absent.items() if name not in kept},
        "tried": len(measured),
    }
    figure = Figure("methods", "Every setting that was tried", methods(tuning))
    return Section("methods", "Search methods", "methods.html.j2", data, [figure])


def methods(tuning: Document) -> Chart:
    """Recall against the time of a query, a point a setting; a line joins what nothing else beats in both."""
    import altair as alt

    trials = [trial for trial in tuning["trials"] if trial.get("recall") is not None]
    points = [
        {
            "method": trial["method"], "recall": trial["recall"], "latency": trial["latency_us_median"],
            "setting": spoken({"name": trial["method"], "parameters": trial["parameters"]}),
        }
        for trial in trials
    ]  # fmt: skip
    front: list[dict[str, Any]] = []
    for point in sorted(points, key=lambda one: (one["latency"], -one["recall"])):
        if not front or point["recall"] > front[-1]["recall"]:
            front.append(point)
    low, high = (end(point["latency"] for point in points) for end in (min, max))
    axis = alt.Axis(values=log_ticks(low / 1.2, high * 1.2), format="~s", grid=False)
    x = alt.X(
        "latency:Q", title="microseconds a query, one thread", axis=axis,
        scale=alt.Scale(type="log", domain=[low / 1.2, high * 1.2], nice=False),
    )  # fmt: skip
    domain = padded([*(point["recall"] for point in points), tuning["target_recall"]])
    share = alt.Axis(format=".1%" if domain[1] - domain[0] < 0.05 else ".0%", tickCount=6)
    y = alt.Y("recall:Q", title="true neighbours found", scale=alt.Scale(domain=domain), axis=share)
    tooltip = [
        "setting:N", alt.Tooltip("recall:Q", format=".2%"),
        alt.Tooltip("latency:Q", title="microseconds", format=",.1f"),
    ]  # fmt: skip
    colour = alt.Color("method:N", scale=alt.Scale(domain=list(dict.fromkeys(p["method"] for p in points))), title=None)
    chosen = tuning["chosen"]
    ring = [{"recall": chosen["recall"], "latency": chosen["latency_us_median"], "setting": "chosen"}]
    target = chart_of([{"recall": tuning["target_recall"], "setting": "asked for"}])
    return flexible(
        alt.layer(
            target.mark_rule(style="guide", strokeDash=[4, 4]).encode(y),
            chart_of(front).mark_line(style="guide", strokeWidth=1.5).encode(x, y, order="latency:Q"),
            chart_of(points).mark_point(filled=True, size=52, opacity=0.9).encode(x, y, colour, tooltip=tooltip),
            chart_of(ring).mark_point(size=230, strokeWidth=2).encode(x, y),
            chart_of(ring).mark_text(dy=-17, fontWeight="bold").encode(x, y, text="setting:N"),
        ),
        height=380,
    )


def _neighbours(document: Document) -> Section | None:
    found = document["quality"]
    if not found:
        return None
    classes = document["classes"]
    counts = found["confusion"]
    chart = confusion(counts, classes, worst_share([counts]), said="a neighbour is")
    figure = Figure("neighbours", "Labels of the neighbours", chart, square=True)
    worst = sorted(found["per_class"], key=lambda one: one["precision"] if one["precision"] is not None else 1)
    data = {
        "found": found,
        "rows": worst[:LISTED_CLASSES],
        "more": max(0, len(worst) - LISTED_CLASSES),
        "confused": confused_most(counts, classes),
    }
    return Section("neighbours", "What neighbours are worth", "neighbours.html.j2", data, [figure])


def _coloured(points: Sequence[Document]) -> list[str]:
    """The commonest classes, as far as colours go, and what the others are called together."""
    counts = Counter(point["label"] for point in points)
    names = sorted(counts, key=lambda label: (-counts[label], label))
    return [*names[:COLOURED], OTHERS] if len(names) > COLOURED + 1 else names


def plane(points: Sequence[Document], names: Sequence[str], thumbnails: Mapping[str, str]) -> Chart:
    """The map's points, coloured by class (`names`, the last for all others), each's picture under the pointer."""
    import altair as alt

    records = [
        {
            "x": point["x"], "y": point["y"], "class": point["label"], "row": point["row"],
            "of": point["label"] if point["label"] in names else OTHERS,
            **({"image": thumbnails[point["picture"]]} if point["picture"] in thumbnails else {}),
        }
        for point in points
    ]  # fmt: skip
    bare = alt.Axis(labels=False, ticks=False, grid=False, domain=False, title=None)
    scale = alt.Scale(domain=[-0.02, 1.02])
    x, y = alt.X("x:Q", axis=bare, scale=scale), alt.Y("y:Q", axis=bare, scale=scale)
    tooltip = [alt.Tooltip("image:N"), "class:N", "row:Q"]
    size = 60 if len(points) <= 500 else 30
    dots = chart_of(records).mark_point(filled=True, size=size, opacity=0.8)
    colour = alt.Color("of:N", scale=alt.Scale(domain=list(names)), title=None)
    return flexible(dots.encode(x, y, colour, tooltip=tooltip), height=620)
