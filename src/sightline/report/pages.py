"""The pages: one for each kind of document, and one that joins several of them.

Documents are plain JSON objects with a `kind`: "comparison", "combination", "learning-curve", "dataset", "index",
"index-doubts", "index-map", "search" or "prediction". Pictures are encoded thumbnails by picture name. Each function
writes one self-contained HTML file, and the PNG of each of its charts into `charts/` beside it, and returns the path of
the HTML file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sightline.core import wording
from sightline.report.page import Section, page
from sightline.report.parts import closing_sections, dataset_sections, prediction_sections, search_sections

Document = Mapping[str, Any]
Pictures = Mapping[str, bytes]
_FIRST = ("findings", "results")


def comparison_page(document: Document, pictures: Pictures, out: Path) -> Path:
    """The comparison of several networks, or the evaluation of one."""
    return report_page([document], pictures, out)


def combination_page(document: Document, out: Path) -> Path:
    """What many views and many networks bring; it shows no pictures."""
    return report_page([document], {}, out)


def curve_page(document: Document, out: Path) -> Path:
    """The learning curve of one network."""
    return report_page([document], {}, out)


def experiment_page(document: Document, pictures: Pictures, out: Path) -> Path:
    """An experiment: its question, what its comparison teaches, the networks, the figures, and what papers state."""
    from sightline.report.experiment import experiment_rules, experiment_sections

    comparison = document["comparison"]
    sections = [*experiment_sections(document), *closing_sections([{**comparison, "command": document["command"]}])]
    title = f"{document['title']} {_title([comparison])}"
    return page(title, sections, out, pictures=pictures, subtitle=_subtitle([comparison]), rules=experiment_rules())


def dataset_page(summary: Document, samples: Mapping[str, Sequence[str]], pictures: Pictures, out: Path) -> Path:
    """A Dataset's summary; `samples` names pictures of each class to show."""
    return report_page([{**summary, "kind": "dataset", "samples": samples}], pictures, out)


def index_page(documents: Sequence[Document], pictures: Pictures, thumbnails: Mapping[str, str], out: Path) -> Path:
    """An Index: its document first, then its doubts and its map, where there are any.

    `thumbnails` are the addresses of the map's pictures.
    """
    from sightline.report.similarity import doubt_sections, index_sections, map_sections

    sections: list[Section] = []
    for document in documents:
        if document["kind"] == "index":
            sections += index_sections(document)
        elif document["kind"] == "index-doubts":
            sections += doubt_sections(document)
        else:
            sections += map_sections(document, thumbnails)
    main = documents[0]
    subtitle = f"{len(main['classes'])} classes · {wording.whole(main['count'])} pictures as {main['arch']} sees them"
    sections += closing_sections([main])
    return page(f"Look-alikes in {main['name']}", sections, out, pictures=pictures, subtitle=subtitle)


def search_page(document: Document, pictures: Pictures, out: Path) -> Path:
    """Queries and their neighbours; needs neither Altair nor vl-convert."""
    return report_page([document], pictures, out)


def report_page(documents: Sequence[Document], pictures: Pictures, out: Path, *, title: str = "") -> Path:
    """All `documents` on one page: findings and results first, then the documents in the order given.

    Searches are gathered into one section, predictions into another; machine, versions and commands close the page.
    """
    sections = _sections(documents)
    opening = [section for section in sections if section.anchor in _FIRST]
    rest = [section for section in sections if section.anchor not in _FIRST]
    ordered = [*opening, *rest, *closing_sections(documents)]
    return page(title or _title(documents), ordered, out, pictures=pictures, subtitle=_subtitle(documents))


def _sections(documents: Sequence[Document]) -> list[Section]:
    sections: list[Section] = []
    for document in documents:
        if document["kind"] == "dataset":
            sections += dataset_sections(document)
        elif document["kind"] == "comparison":
            from sightline.report.comparison import comparison_sections

            sections += comparison_sections(document)
        elif document["kind"] == "combination":
            from sightline.report.combination import combination_sections

            sections += combination_sections(document)
        elif document["kind"] == "learning-curve":
            from sightline.report.curve import curve_sections

            sections += curve_sections(document)
        elif document["kind"] not in ("search", "prediction"):
            raise ValueError(f"no page for a document of kind {document['kind']!r}")
    sections += search_sections([d for d in documents if d["kind"] == "search"])
    return sections + prediction_sections([d for d in documents if d["kind"] == "prediction"])


def _main(documents: Sequence[Document]) -> Document:
    """The document the page is about: its comparison if it holds one, else its first."""
    return next((d for d in documents if d["kind"] == "comparison"), documents[0])


def _title(documents: Sequence[Document]) -> str:
    main = _main(documents)
    if main["kind"] == "comparison":
        names = [network["arch"] for network in main["networks"]]
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        listed = listed if len(names) <= 4 else f"{len(names)} networks"
        return f"{listed} on {main['dataset']['name']}"
    if main["kind"] == "combination":
        return f"Views and networks on {main['dataset']['name']}"
    if main["kind"] == "learning-curve":
        return f"The learning curve of {main['arch']} on {main['dataset']['name']}"
    if main["kind"] == "dataset":
        return str(main["name"])
    return f"Searched in {main['index']}" if main["kind"] == "search" else "What the network says"


def _subtitle(documents: Sequence[Document]) -> str:
    """How many classes and pictures the figures stand on."""
    main = _main(documents)
    if main["kind"] in ("comparison", "combination", "learning-curve"):
        counts, classes = main["dataset"]["counts"], main["dataset"]["classes"]
    elif main["kind"] == "dataset":
        counts = {split: sum(by_class.values()) for split, by_class in main["counts"].items()}
        classes = main["classes"]
    else:
        return ""
    spoken = ", ".join(f"{wording.whole(n)} {_SPOKEN.get(split, split)}" for split, n in counts.items() if n)
    return f"{len(classes)} classes · {spoken} pictures"


_SPOKEN = {"train": "training"}
