"""From an Altair chart to what is drawn: its JSON for the page, a PNG without a browser, and shared habits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.artifact import write_bytes
from sightline.core.wording import printable
from sightline.report import palette

if TYPE_CHECKING:
    from altair import Chart as _Chart
    from altair import FacetChart, LayerChart

    Chart = _Chart | LayerChart | FacetChart


def specification(chart: Chart) -> dict[str, Any]:
    """The chart as Vega-Lite JSON, its data inline; control characters in names are escaped, NaN becomes null."""
    spec: dict[str, Any] = chart.to_dict()
    spec.pop("config", None)
    clean: dict[str, Any] = _clean(spec)
    return clean


def svg_of(chart: Chart, *, title: str, width: int, height: int) -> str:
    """`chart` under its `title` as an SVG element, on white."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(**_drawn(chart, title, width, height))
    return drawn


def write_png(chart: Chart, path: Path, *, title: str = "", width: int = 720, height: int | None = None) -> None:
    """Draw `chart` on white under its `title`, at twice `width` pixels, into `path`."""
    import vl_convert

    write_bytes(path, vl_convert.vegalite_to_png(**_drawn(chart, title, width, height), scale=2))


def _drawn(chart: Chart, title: str, width: int, height: int | None) -> dict[str, Any]:
    """What the renderer is given: the chart on white, with its title and size."""
    spec = specification(chart) | {"width": width} | ({"title": printable(title)} if title else {})
    if height is not None:
        spec["height"] = height
    config = palette.theme(palette.LIGHT, legends=True) | {"background": palette.LIGHT["paper"], "padding": 16}
    return {"vl_spec": spec, "vl_version": "6.4", "config": config}


def chart_of(records: Iterable[dict[str, Any]]) -> _Chart:
    """A chart, still without marks, of inline records."""
    import altair as alt

    return alt.Chart(alt.InlineData(values=list(records)))


def flexible(chart: Chart, height: int) -> Chart:
    """`chart` as wide as its container and `height` pixels high, its axes included."""
    import altair as alt

    fit = alt.AutoSizeParams(type="fit", contains="padding")
    return chart.properties(width="container", height=height, autosize=fit)


def rows_height(rows: int, each: int = 24) -> int:
    """Pixels for `rows` rows and the axis below them."""
    return max(110, each * rows + 48)


def padded(values: Sequence[float]) -> list[float]:
    """A domain of shares with a little air, inside [0, 1] but for a sliver that keeps dots at 100 % whole."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    air = max(0.06 * (high - low), 0.004)
    return [max(0.0, low - air), min(1.0 + air / 2, high + air)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round values between `low` and `high` for a log axis, about six at most: 1, 2, 5, 10 or 1, 3, 10 or 1, 10."""
    for steps in ((1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) <= 6:
            break
    return ticks


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    return [_clean(inner) for inner in value] if isinstance(value, list) else value
