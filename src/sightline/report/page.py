"""A page: a title and sections, joined into one HTML file that needs nothing else.

A `Section` is a template with its data and figures. The page numbers no figures and keeps no state: what it needs of
script, style and pictures is inlined, and a strict Content-Security-Policy (hashes of exactly our own scripts and
style, pictures only from inside the page) makes anything that slipped through escaping inert. Vega runs in its
interpreter mode, so no script is ever made from a string. Every text that is printed goes through `printable`, then
through HTML escaping: a class called `<script>` or with a newline inside is only a name.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core import wording
from sightline.core.artifact import write_text
from sightline.report import drawing, palette
from sightline.report.thumbnail import thumbnail

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE = Path(__file__).parent
_SWATCHES = (("network", len(palette.LIGHT["networks"])), ("split", len(palette.LIGHT["splits"])))


@dataclass(frozen=True)
class Figure:
    """A chart with the words around it; `square` ones keep their height equal to their width."""

    name: str
    title: str
    chart: drawing.Chart
    note: str = ""
    square: bool = False


@dataclass(frozen=True)
class Section:
    """One part of a page: `template` (a file of templates/sections) rendered with `data` and `figures`."""

    anchor: str
    title: str
    template: str
    data: Mapping[str, Any]
    figures: Sequence[Figure] = field(default=())


def page(
    title: str,
    sections: Sequence[Section],
    out: Path,
    *,
    pictures: Mapping[str, bytes],
    subtitle: str = "",
    rules: str = "",
    script: str = "",
    beside: bool = True,
) -> Path:
    """Write the page `out` (HTML) and, if `beside`, every chart beside it as charts/NAME.png; returns `out`.

    `pictures` maps picture names to encoded thumbnails (PNG, JPEG, GIF, WebP); a picture that is missing is shown by
    its name. `rules` is CSS that these sections need beside the common one, `script` JavaScript. Needs Altair and
    vl-convert (`pip install sightline[train]`) only when a section holds figures.
    """
    sections = _distinct(sections)
    figures = [figure for section in sections for figure in section.figures]
    env = environment(pictures)
    bodies = [
        env.get_template(f"sections/{section.template}").render(section=section, **section.data) for section in sections
    ]
    style = _style() + rules
    scripts = [*(_scripts() if figures else ()), *([script] if script else ())]
    html = env.get_template("page.html.j2").render(
        title=title,
        subtitle=subtitle,
        sections=[(section, _markup(body)) for section, body in zip(sections, bodies, strict=True)],
        policy=_policy(style, scripts),
        style=_markup(style),
        scripts=[_markup(script) for script in scripts],
        data=_data_blocks(figures),
    )
    for figure in figures if beside else ():
        size = {"width": 560, "height": 520} if figure.square else {}
        drawing.write_png(figure.chart, out.parent / "charts" / f"{figure.name}.png", title=figure.title, **size)
    write_text(out, html)
    return out


def _distinct(sections: Sequence[Section]) -> list[Section]:
    """The sections with anchors and figure names made unique, where two documents of one kind share a page."""
    seen: dict[str, int] = {}

    def own(name: str) -> str:
        seen[name] = seen.get(name, 0) + 1
        return name if seen[name] == 1 else f"{name}-{seen[name]}"

    return [
        replace(
            s,
            anchor=own(s.anchor),
            figures=[replace(figure, name=own(f"chart {figure.name}")[6:]) for figure in s.figures],
        )
        for s in sections
    ]


def _data_blocks(figures: Sequence[Figure]) -> list[tuple[str, Any]]:
    """(id, JSON) of the themes and every specification, as data blocks a script reads."""
    if not figures:
        return []
    themes = {
        "light": palette.theme(palette.LIGHT, legends=False),
        "dark": palette.theme(palette.DARK, legends=False),
    }
    blocks: list[tuple[str, Any]] = [("themes", themes)]
    blocks += [(f"spec-{figure.name}", drawing.specification(figure.chart)) for figure in figures]
    return [(name, _markup(json_in_html(value))) for name, value in blocks]


def json_in_html(value: Any) -> str:
    r"""`value` as JSON that no HTML parser can leave: `<`, `>` and `&` are written as \u003c and so on."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def environment(pictures: Mapping[str, bytes]) -> Environment:
    """The templates, with everything printed escaped; `pictures` as for `page`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        picture=lambda name, box: thumbnail(pictures.get(name), box),
        colour=palette.network_colour,
    )
    words = (
        wording.percent, wording.points, wording.interval, wording.points_interval, wording.decimal, wording.whole,
        wording.scaled, wording.size, wording.duration, wording.rate, wording.p_value, wording.paired,
    )  # fmt: skip
    made.filters.update({word.__name__: word for word in words})
    return made


def _printable(value: Any) -> Any:
    from markupsafe import Markup

    return wording.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # only ever our own files, JSON that passed json_in_html, and what Jinja escaped already


def _style() -> str:
    colours = (
        f":root {{ color-scheme: light dark; --font: {palette.FONT}; {palette.variables(palette.LIGHT)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {palette.variables(palette.DARK)} }} }}\n"
        + "".join(f".{kind}-{i} {{ background: var(--{kind}-{i}) }}\n" for kind, n in _SWATCHES for i in range(n))
    )
    return colours + (_HERE / "static" / "page.css").read_text(encoding="utf-8")


def _scripts() -> list[str]:
    return [_vega(), (_HERE / "static" / "page.js").read_text(encoding="utf-8")]


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; nothing in it can end its element."""
    import vl_convert

    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub omits the default
    return bundle.replace("\r\n", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _policy(style: str, scripts: Sequence[str]) -> str:
    """The Content-Security-Policy under which only `style` and `scripts`, byte for byte, have any effect."""
    allowed = " ".join(_fingerprint(script) for script in scripts) or "'none'"
    parts = ["default-src 'none'", "img-src data:", f"style-src {_fingerprint(style)}", f"script-src {allowed}"]
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'"])


def _fingerprint(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
