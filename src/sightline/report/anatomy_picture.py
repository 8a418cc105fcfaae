"""The drawing of a network as one picture: SVG in the page's light colours, from which the PNG is made.

Several networks stand side by side; the stages of a single one are folded into columns until it fits a wide screen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.core.wording import printable
from sightline.report import palette
from sightline.report.anatomy_blocks import Stage, stages
from sightline.report.anatomy_layout import Plan, plan
from sightline.report.drawing import svg_of
from sightline.report.page import Figure, environment

Document = Mapping[str, Any]
_STATIC = Path(__file__).parent / "static"
LABEL, SHARES, BETWEEN, EDGE = 132, 170, 22, 32  # pixels: stage name, bars, between blocks, around the picture
BLOCKS = 760  # the widest row of blocks
WIDE = 1.5  # a single network's picture is folded until it is about so much wider than high
TOTAL, HEAD, BAND, TITLE = 132, 96, 84, 20  # pixels: a total, the head, the lowest stage, a block's title
LETTER = 6.4  # pixels: a letter's width
CHART = (640, 400)  # pixels: width and height of a chart below the drawing


@dataclass(frozen=True)
class Spot:
    """A block at its place in a stage, its title cut to what fits a line."""

    plan: Plan
    title: str
    x: float
    y: float


@dataclass(frozen=True)
class Band:
    """A stage, its name as it is printed, `x` and `y` of its upper left corner, its width and height, its blocks."""

    stage: Stage
    label: str
    x: float
    y: float
    width: float
    height: float
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class Panel:
    """One network: name and subtitle, `x`, width and height, its totals as (figure, word, x, y), its stages."""

    name: str
    subtitle: str
    x: float
    width: float
    height: float
    totals: tuple[tuple[str, str, float, float], ...]
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Head:
    """What stands above a network: its name, a line below it, and totals as (figure, word)."""

    name: str
    subtitle: str
    totals: Sequence[tuple[str, str]]


def svg(
    networks: Sequence[Document], heads: Sequence[Head], families: Mapping[str, str], below: Sequence[Figure] = ()
) -> str:
    """The picture of `networks` under their `heads`, the charts `below` it; `families` are the words of the legend."""
    panels: list[Panel] = []
    x = float(EDGE)
    for network, head in zip(networks, heads, strict=True):
        panels.append(_panel(network, head, x, single=len(networks) == 1))
        x += panels[-1].width + 2 * EDGE
    drawn = [band for panel in panels for band in panel.bands]
    used = {place.box.family for band in drawn for spot in band.spots for place in spot.plan.placed}
    most = {figure: max([1, *(getattr(b.stage, figure) for b in drawn)]) for figure in ("parameters", "macs")}
    keys, along = [], float(EDGE)
    for family, word in families.items():
        if family in used:
            keys.append((family, word, along))
            along += 44 + LETTER * 1.1 * len(word)
    identity = any(edge.identity for band in drawn for spot in band.spots for edge in spot.plan.edges)
    height = max(panel.height for panel in panels) + 2 * EDGE + 28
    from markupsafe import Markup

    charts = [
        (EDGE + i * (CHART[0] + EDGE), Markup(svg_of(f.chart, title=f.title, width=CHART[0], height=CHART[1])))
        for i, f in enumerate(below)
    ]

    style = _colours((_STATIC / "anatomy_drawing.css").read_text(encoding="utf-8"))
    template = environment({}).get_template("anatomy_picture.svg.j2")
    return template.render(
        panels=panels, most=most, keys=keys, identity=along if identity else None,
        width=max(x - EDGE, along + 260, EDGE + len(charts) * (CHART[0] + EDGE)),
        height=height + (CHART[1] + 2 * EDGE if charts else 0), charts=charts, top=height + EDGE,
        style=Markup(style), font=palette.FONT,
        colours=palette.LIGHT, bottom=height - EDGE - 20, label=LABEL, shares=SHARES,
    )  # fmt: skip


def _colours(style: str) -> str:
    """The style sheet with its variables replaced: what draws the picture knows none."""
    values = palette.by_name(palette.LIGHT)
    return re.sub(r"var\(--([\w-]+)\)", lambda found: values[found[1]], style)


def _panel(network: Document, head: Head, x: float, *, single: bool) -> Panel:
    rows = [(stage, *_rows(stage)) for stage in stages(network)]
    column = LABEL + max(width for _, _, width, _ in rows) + BETWEEN + SHARES
    heights = [height for *_, height in rows]
    columns = _columns(heights, column) if single else 1
    width = columns * column + (columns - 1) * 2 * EDGE
    a_row = max(1, int(width // TOTAL))
    spots = tuple(
        (figure, word, x + i % a_row * TOTAL, EDGE + HEAD + i // a_row * 50)
        for i, (figure, word) in enumerate(head.totals)
    )
    top = EDGE + HEAD + 50 * -(-len(head.totals) // a_row)
    bands, below, left, limit = [], float(top), x, _limit(heights, columns)
    for stage, placed, _, height in rows:
        if below > top and below + height > top + limit + 0.5:
            below, left = float(top), left + column + 2 * EDGE
        bands.append(Band(stage, _cut(stage.name, 16), left, below, column, height, placed))
        below += height
    name, subtitle = _cut(head.name, int(width / 18)), _cut(head.subtitle, int(width / LETTER))
    return Panel(name, subtitle, x, width, max(band.y + band.height for band in bands), spots, tuple(bands))


def _rows(stage: Stage) -> tuple[tuple[Spot, ...], float, float]:
    """The blocks of a stage in rows of at most BLOCKS pixels, and the width and height they take."""
    spots, x, y, low, wide = [], 0.0, 0.0, 0.0, 0.0
    for block in stage.blocks:
        name = "" if block.title == stage.name else block.title
        laid, title = plan(block), _cut(f"{block.times} × {name}" if block.times > 1 else name, 40)
        width = max(laid.width, LETTER * len(title))
        if x > 0 and x + width > BLOCKS:
            x, y = 0.0, low + BETWEEN
        spots.append(Spot(laid, title, x, y))
        x, wide, low = x + width + BETWEEN, max(wide, x + width), max(low, y + TITLE + laid.height)
    return tuple(spots), wide, max(float(BAND), low + 24)


def _cut(text: str, letters: int) -> str:
    text = printable(text)
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _limit(heights: Sequence[float], columns: int) -> float:
    """The lowest column height with which the stages, kept in order, need no more than so many columns."""
    sums = sorted({sum(heights[i:j]) for i in range(len(heights)) for j in range(i + 1, len(heights) + 1)})
    return next(limit for limit in sums if limit >= max(heights) and _needed(heights, limit) <= columns)


def _needed(heights: Sequence[float], limit: float) -> int:
    columns, below = 1, 0.0
    for height in heights:
        if below and below + height > limit + 0.5:
            columns, below = columns + 1, 0.0
        below += height
    return columns


def _columns(heights: Sequence[float], width: float) -> int:
    """How many columns bring the picture closest to WIDE."""
    return min(
        range(1, min(6, len(heights)) + 1),
        key=lambda n: abs(n * (width + 2 * EDGE) / (_limit(heights, n) + HEAD + 150) - WIDE),
    )
