"""The confusion matrix: which class is taken for which.

Right answers are many and alike, mistakes few and telling, so the two do not share a colour scale: the diagonal is a
calm grey, and orange grows with the share of the true class that went astray (by its square root, or single mistakes
would be invisible beside the commonest).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sightline.report.drawing import chart_of, flexible

if TYPE_CHECKING:
    from sightline.report.drawing import Chart

NUMBERED_CLASSES = 12  # up to so many classes a confusion matrix has room for its counts


def confusion(
    counts: Sequence[Sequence[int]], classes: Sequence[str], worst_share: float, said: str = "the network says"
) -> Chart:
    """What each true class (row) was called (column): grey is right, the darker the orange the commoner the error.

    Only cells that hold pictures are drawn, so a hundred classes stay readable and small; counts are written in while
    there is room (`NUMBERED_CLASSES`). The deepest orange stands for `worst_share`, so matrices can be compared.
    """
    import altair as alt

    records = [
        {"true": classes[i], "said": classes[j], "pictures": count, "share": count / sum(row), "label": _brief(count)}
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if count
    ]
    few = len(classes) <= NUMBERED_CLASSES
    names = list(classes)
    angle = 0 if max(map(len, names)) <= 3 and few else -90 if not few else -45
    labels: dict[str, Any] = {"grid": False, "labelOverlap": not few, "labelSeparation": 4, "labelLimit": 84}
    domain = alt.Scale(domain=names, paddingInner=0.06 if few else 0)
    x = alt.X("said:N", scale=domain, title=said, axis=alt.Axis(orient="bottom", labelAngle=angle, **labels))
    y = alt.Y("true:N", scale=domain, title="it is", axis=alt.Axis(**labels))
    tooltip = [
        alt.Tooltip("true:N", title="it is"),
        alt.Tooltip("said:N", title=said),
        "pictures:Q",
        alt.Tooltip("share:Q", title="of that class", format=".1%"),
    ]
    right = [record for record in records if record["true"] == record["said"]]
    wrong = [record for record in records if record["true"] != record["said"]]
    corner = 2 if few else 0
    layers = [
        chart_of([{}]).mark_rect(style="ground"),
        chart_of(right).mark_rect(style="right", cornerRadius=corner).encode(x, y, tooltip=tooltip),
        chart_of(wrong)
        .mark_rect(cornerRadius=corner)
        .encode(
            x,
            y,
            alt.Color("share:Q", scale=alt.Scale(type="sqrt", domain=[0, worst_share]), legend=None),
            tooltip=tooltip,
        ),
    ]
    if few:
        layers.append(
            chart_of(records).mark_text(style="number", fontSize=10.5).encode(x, y, text="label:N", tooltip=tooltip)
        )
    return flexible(alt.layer(*layers), height=420)


def confused_most(
    counts: Sequence[Sequence[int]], classes: Sequence[str], limit: int = 8
) -> list[tuple[str, str, int]]:
    """The commonest mistakes as (true class, said class, pictures), most frequent first."""
    cells = [(count, i, j) for i, row in enumerate(counts) for j, count in enumerate(row) if count and i != j]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    return [(classes[i], classes[j], count) for count, i, j in cells[:limit]]


def _brief(count: int) -> str:
    return str(count) if count < 1000 else f"{count / 1000:.1f}k" if count < 9950 else f"{count / 1000:.0f}k"


def worst_share(matrices: Sequence[Sequence[Sequence[int]]]) -> float:
    """The largest share of any true class that went to one wrong class, over all `matrices`."""
    cells = [
        count / sum(row)
        for counts in matrices
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if count and i != j
    ]
    return max(cells, default=1.0)
