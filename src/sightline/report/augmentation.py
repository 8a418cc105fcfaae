"""The page of distortions: one picture under each, at several strengths, and under whole lists of them.

The document has `lists` (name, entries, draws) and `distortions` (name, kind, what, after, settings with draws); a draw
is a picture's name and the label that it goes by where labels are mixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.report.page import Section, page

KINDS = {
    "Movement": ("Moved", "What comes from outside the picture is its reflection at the border."),
    "Change": ("Changed", ""),
    "Mixing": ("Mixed", "With another picture of the batch, and labelled in the same shares."),
}
_STYLE = Path(__file__).parent / "static" / "augmentation.css"


def augmentation_page(document: Mapping[str, Any], pictures: Mapping[str, bytes], out: Path) -> Path:
    """Write the page `out` and return it; needs neither Altair nor vl-convert."""
    lists = [{**listed, "text": _text(listed["entries"])} for listed in document["lists"]]
    sections = [
        Section("lists", "What --augment does", "augmentation_lists.html.j2", {"document": document, "lists": lists})
    ]
    for kind, (title, note) in KINDS.items():
        distortions = [distortion for distortion in document["distortions"] if distortion["kind"] == kind]
        data = {"distortions": distortions, "note": note}
        sections.append(Section(title.lower(), title, "augmentation.html.j2", data))
    return page(
        f"Distortions of {document['name']}",
        sections,
        out,
        pictures=pictures,
        subtitle=f"{document['file']} · {document['class']} · seen at {document['side']} pixels",
        rules=_STYLE.read_text(encoding="utf-8"),
    )


def _text(entries: list[dict[str, dict[str, Any]]]) -> str:
    """The list as a file would have it."""
    lines = []
    for entry in entries:
        for name, settings in entry.items():
            lines.append(f"- {name}: {{{', '.join(f'{key}: {_value(value)}' for key, value in settings.items())}}}")
    return "\n".join(lines) or "[]"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return value if isinstance(value, str) else f"{value:g}"
