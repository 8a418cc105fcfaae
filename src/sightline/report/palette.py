"""Colours, in one place: the style sheet's variables and the charts' theme are both written from these tables.

Networks keep their colour through the whole page: the n-th network of a document has the n-th colour. The first eight
differ for colour-blind readers as well (after Okabe and Ito, darkened or lightened until each stands 3:1 against its
ground); further networks start over and are told apart by their labels.
"""

from __future__ import annotations

from typing import Any

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"

LIGHT: dict[str, Any] = {
    "paper": "#ffffff",
    "wash": "#f4f6f8",
    "line": "#dfe3e8",
    "ink": "#15181d",
    "muted": "#59616d",
    "accent": "#0063a6",
    "good": "#00784f",
    "bad": "#b3360b",
    "right": "#cfd8e1",
    "networks": ["#0063a6", "#d1570a", "#00875f", "#a8478c", "#8a6a00", "#2b8cbe", "#5b5b66", "#7a3e2b"],
    "errors": ["#fdeee2", "#fbc99b", "#f79a4d", "#e56a10"],
    "splits": ["#3f5f7f", "#7d9dbd", "#bccfe2"],
}
DARK: dict[str, Any] = {
    "paper": "#101317",
    "wash": "#181c22",
    "line": "#2b313a",
    "ink": "#e9ecf0",
    "muted": "#9ba5b1",
    "accent": "#62b4f2",
    "good": "#4cc79a",
    "bad": "#ff9166",
    "right": "#3d4854",
    "networks": ["#5ab0f0", "#ff8a4c", "#3ccb9b", "#e48ccb", "#e0be4a", "#a5dcf7", "#b5b5c0", "#d09a85"],
    "errors": ["#33241a", "#67401f", "#9c5720", "#d06d1c"],
    "splits": ["#9fc0e0", "#5f82a6", "#384f68"],
}


def network_colour(position: int) -> int:
    """Which of the eight colours the network at `position` of a document has."""
    return position % len(LIGHT["networks"])


def by_name(colours: dict[str, Any]) -> dict[str, str]:
    """Each colour by its name in style sheets: ink, network-0, errors-1, ..."""
    made = {}
    for name, value in colours.items():
        if isinstance(value, str):
            made[name] = value
        else:
            singular = {"networks": "network", "splits": "split"}.get(name, name)
            made |= {f"{singular}-{i}": colour for i, colour in enumerate(value)}
    return made


def variables(colours: dict[str, Any]) -> str:
    """The colours as CSS custom properties: --ink: #15181d; --network-0: ..."""
    return " ".join(f"--{name}: {colour};" for name, colour in by_name(colours).items())


def theme(colours: dict[str, Any], *, legends: bool) -> dict[str, Any]:
    """The Vega-Lite config of these colours; on a page the legends are HTML, so only a PNG draws its own."""
    axis = {
        "labelColor": colours["muted"],
        "titleColor": colours["muted"],
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "labelFontSize": 11.5,
        "titleFontSize": 12,
        "labelLimit": 110,
        "gridColor": colours["line"],
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
    }
    return {
        "background": "transparent",
        "font": FONT,
        "view": {"stroke": None},
        "axis": axis,
        "legend": {"disable": not legends, "labelColor": colours["ink"], "orient": "top", "labelFontSize": 12},
        "title": {"color": colours["ink"], "anchor": "start", "fontSize": 14, "fontWeight": 600, "offset": 12},
        "text": {"color": colours["ink"], "fontSize": 11.5},
        "range": {"category": colours["networks"], "heatmap": colours["errors"], "ordinal": colours["splits"]},
        "style": {
            "right": {"color": colours["right"], "fill": colours["right"]},
            "guide": {"color": colours["muted"], "stroke": colours["muted"]},
            "number": {"fill": colours["ink"]},
            "ground": {"color": colours["wash"], "fill": colours["wash"]},
        },
    }
