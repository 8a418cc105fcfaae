"""From nouns to pages: gathers the documents and thumbnails a page shows, and lets the report room write it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.artifact import write_json

if TYPE_CHECKING:
    from PIL import Image

    from sightline.data.dataset import Dataset

SIDE = 256  # pixels of a thumbnail's longer side
SMALL = 72  # of those under the pointer
SAMPLES = 8  # pictures shown of each class
SAMPLED_CLASSES = 40


def write_dataset_page(dataset: Dataset, out: Path) -> Path:
    """The page of one Dataset: classes, splits, what was put aside, and pictures of each class."""
    from sightline.report.pages import dataset_page

    samples = samples_of(dataset)
    pictures = thumbnails(name for names in samples.values() for name in names)
    return dataset_page(dataset.summary(), samples, pictures, out)


def write_comparison(document: dict[str, Any], out: Path) -> Path:
    """comparison.json and report.html (with charts/) in the directory `out`; returns the page."""
    from sightline.report.pages import comparison_page

    write_json(out / "comparison.json", document)
    return comparison_page(document, thumbnails(shown_in(document)), out / "report.html")


def write_combination(document: dict[str, Any], out: Path) -> Path:
    """The page of many views and networks, with charts/ beside it."""
    from sightline.report.pages import combination_page

    return combination_page(document, out)


def write_curve(document: dict[str, Any], out: Path) -> Path:
    """learning-curve.json and report.html (with charts/) in the directory `out`; returns the page."""
    from sightline.report.pages import curve_page

    write_json(out / "learning-curve.json", document)
    return curve_page(document, out / "report.html")


def write_experiment(document: dict[str, Any], out: Path) -> Path:
    """experiment.json and report.html (with charts/) in the directory `out`; returns the page."""
    from sightline.report.pages import experiment_page

    write_json(out / "experiment.json", document)
    shown = {**document, "comparison": portable(document["comparison"])}
    pictures = thumbnails(shown_in(document["comparison"]))
    names = zip(shown_in(document["comparison"]), shown_in(shown["comparison"]), strict=True)
    return experiment_page(
        shown, {short: pictures[name] for name, short in names if name in pictures}, out / "report.html"
    )


def portable(comparison: dict[str, Any]) -> dict[str, Any]:
    """The comparison with its pictures called by what tells them apart, not by where they lie on this machine."""
    names = shown_in(comparison)
    above = os.path.commonpath([os.path.dirname(name) for name in names]) if names else ""
    short = {name: os.path.relpath(name, above) for name in names}
    renamed = {
        key: [{**item, "picture": short[item["picture"]]} for item in comparison[key]]
        for key in ("mistakes", "disagreements")
    }
    return {**comparison, **renamed}


def write_index_page(documents: list[dict[str, Any]], out: Path) -> Path:
    """report.html (with charts/) of an Index: its document, and what is known besides, into the directory `out`."""
    from sightline.report.pages import index_page
    from sightline.report.thumbnail import thumbnail

    shown = [name for document in documents for name in shown_in(document)]
    points = [
        point["picture"] for document in documents if document["kind"] == "index-map" for point in document["points"]
    ]
    tiny = thumbnails(points, SMALL)
    addresses = {name: found.address for name in tiny if (found := thumbnail(tiny[name], SMALL))}
    return index_page(documents, thumbnails(shown), addresses, out / "report.html")


def write_search_page(document: dict[str, Any], out: Path) -> Path:
    """The page of a search: each query with its neighbours."""
    from sightline.report.pages import search_page

    return search_page(document, thumbnails(shown_in(document)), out)


def shown_in(document: dict[str, Any]) -> list[str]:
    """The names of the pictures a document talks about."""
    if document["kind"] == "comparison":
        return [item["picture"] for item in [*document["mistakes"], *document["disagreements"]]]
    if document["kind"] == "search":
        queries = document["queries"]
        return [q["picture"] for q in queries] + [n["picture"] for q in queries for n in q["neighbours"]]
    if document["kind"] == "index-doubts":
        from sightline.report.similarity import IN_A_GROUP, SHOWN

        groups = [one for group in document["groups"][:SHOWN] for one in group[:IN_A_GROUP]]
        return [one["picture"] for one in [*groups, *document["suspects"][:SHOWN]]]
    if document["kind"] in ("index", "index-map"):
        return []
    return [document["picture"]]


def samples_of(dataset: Dataset) -> dict[str, list[str]]:
    """A few training pictures of each class, for the first classes."""
    rows = dataset.rows("train")
    labels = dataset.labels(rows)
    return {
        name: [dataset.name_of(row) for row in rows[labels == number][:SAMPLES]]
        for number, name in enumerate(dataset.classes[:SAMPLED_CLASSES])
    }


def thumbnails(names: Iterable[str], side: int = SIDE) -> dict[str, bytes]:
    """Small encoded pictures by name; what cannot be read is left out, and the page shows its name."""
    from sightline.core.errors import UserError
    from sightline.data.pictures import open_picture

    found = {}
    for name in dict.fromkeys(names):
        try:
            picture = open_picture(name)
        except UserError:
            continue
        found[name] = encoded(picture, side)
    return found


def encoded(picture: Image.Image, side: int) -> bytes:
    """The picture as a file of up to `side` pixels a side; a tiny one keeps its pixels exact."""
    tiny = max(picture.size) <= 64
    picture.thumbnail((side, side))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG" if tiny else "JPEG", quality=88)
    return buffer.getvalue()
