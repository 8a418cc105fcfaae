"""What `sightline index INDEX` says with --describe, --verify, --duplicates, --pca-table and --map, and its page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.cli.output import print_json, print_line, print_table
from sightline.core.errors import UserError, named
from sightline.core.wording import duration, percent, points, size

if TYPE_CHECKING:
    from sightline.search.index import Index

SHOWN = 20  # groups and suspects in the terminal
MAP = "map.json"
MOST = 200_000  # pictures whose neighbours are asked for the page of a new index


def describe(index: Index, within: float, json: bool) -> None:
    """What it is, and every method that was tried."""
    from sightline.cli.index import show

    document = {"kind": "index", "path": str(index.path), **index.document}
    if json:
        return print_json(document)
    show(document)
    trials = document["tuning"]["trials"] if document["tuning"] else []
    rows = [
        [trial["method"], ", ".join(f"{name} {value}" for name, value in trial["parameters"].items()), *_figures(trial)]
        for trial in trials
    ]
    if rows:
        columns = ["method", "parameters", "recall", "a query", "queries/s", "built in", "read"]
        print_table("What was tried", columns, rows, left=2)


def _figures(trial: dict[str, Any]) -> list[str]:
    if "recall" not in trial:
        return [trial["why"], "", "", "", ""]
    return [
        f"{trial['recall']:.4f}", f"{trial['latency_us_median']:,.1f} us", f"{trial['queries_per_s']:,.0f}",
        duration(trial["build_seconds"]), size(trial["size_bytes"]),
    ]  # fmt: skip


def verify(index: Index, within: float, json: bool) -> None:
    """What it finds now."""
    from sightline.search.verify import verify as measure

    document = measure(index)
    if json:
        return print_json(document)
    print_line(("warning: " if document["drifted"] else "") + document["said"])


def duplicates(index: Index, within: float, json: bool) -> None:
    """Near duplicates, and labels that neighbours contradict; the page shows their pictures."""
    document = doubts(index, within)
    page = write_page(index, document)
    if json:
        return print_json({**document, "report": str(page)})
    groups = [[f"{len(group)} pictures", ", ".join(one["picture"] for one in group)] for group in document["groups"]]
    print_table(f"Within {within:g} of each other", ["group", "pictures"], groups[:SHOWN], left=2)
    contradicted = [[one["picture"], one["label"], one["other"], percent(one["share"])] for one in document["suspects"]]
    columns = ["picture", "its class", "its neighbours'", "of them"]
    print_table("Labels that neighbours contradict", columns, contradicted[:SHOWN], left=3)
    for what in ("groups", "suspects"):
        if len(document[what]) > SHOWN:
            print_line(f"{len(document[what]) - SHOWN:,} more {what}: --json has all")
    print_line(f"report  {page}")


def few_doubts(index: Index, within: float) -> dict[str, Any] | None:
    """`doubts` for a page that nobody wants to wait for: None of a single picture, and of very many."""
    return doubts(index, within) if 1 < len(index) <= MOST else None


def doubts(index: Index, within: float) -> dict[str, Any]:
    """The document of near duplicates and suspected labels; UserError where there are too few pictures."""
    import numpy as np

    from sightline.search.suspects import NEIGHBOURS, near_duplicates, others, suspects

    if len(index) < 2:
        raise UserError(f"{named(index.path)} holds {len(index)} picture: there is nothing beside it")
    squares, rows = others(index.backend, np.asarray(index.vectors), min(NEIGHBOURS, len(index) - 1))
    limit = 2 * within if index.document["metric"] == "cosine" else within**2
    classes, labels = index.items.classes, index.items.labels

    def told(row: int) -> dict[str, Any]:
        return {"row": row, "picture": index.name_of(row), "label": index.items.label(row)}

    return {
        "kind": "index-doubts",
        "path": str(index.path),
        "within": within,
        "groups": [[told(row) for row in group] for group in near_duplicates(squares, rows, limit)],
        "suspects": [
            {**told(one.row), "other": classes[one.other], "share": one.share} for one in suspects(rows, labels)
        ],
    }


def pca_table(index: Index, within: float, json: bool) -> None:
    """What neighbours are worth in fewer dimensions."""
    document = table(index)
    if json:
        return print_json(document)
    rows = [
        [
            f"{row['dims']:,}" + (" (chosen)" if row["dims"] == document["chosen"] else ""), percent(row["explained"]),
            percent(row["accuracy"]), points(-row["behind"]), f"{row['latency_us']:,.0f} us",
        ]
        for row in document["rows"]
    ]  # fmt: skip
    columns = ["dimensions", "variance", "neighbours of the class", "against the best", "a query of many"]
    print_table(f"Dimensions of {index.document['name']}", columns, rows)
    print_line(document["why"])


def table(index: Index) -> dict[str, Any]:
    """The one that the Index was made by, or made now of the vectors it keeps as they were."""
    import numpy as np

    from sightline.search.pca import fit
    from sightline.search.pca_table import pca_table as make

    if index.document["pca_table"]:
        return dict(index.document["pca_table"])
    if index.projection:
        raise UserError(f"{named(index.path)} keeps {index.document['dim']} dimensions alone: make it with --pca auto")
    vectors = np.asarray(index.vectors)
    return make(fit(vectors), vectors, index.items.labels)


def draw_map(index: Index, within: float, json: bool) -> None:
    """Its pictures on a plane, kept with the Index and shown on its page."""
    document = write_map(index)
    page = write_page(index, few_doubts(index, within))
    if json:
        return print_json({**document, "report": str(page)})
    print_line(f"report  {page}")


def write_map(index: Index) -> dict[str, Any]:
    """The map's document, kept with the Index."""
    from sightline.core.artifact import write_json
    from sightline.search.map import map_of

    document = map_of(index)
    write_json(index.place / MAP, document)
    return document


def write_page(index: Index, doubtful: dict[str, Any] | None = None) -> Path:
    """The page of `index`, with its doubts, and its map where one was drawn."""
    from sightline.cli.pages import write_index_page
    from sightline.core.artifact import read_json

    documents = [{"kind": "index", "path": str(index.path), **index.document}]
    documents += [doubtful] if doubtful else []
    if (index.place / MAP).is_file():
        documents.append(read_json(index.place / MAP, "map"))
    return write_index_page(documents, index.path)


ABOUT: dict[str, Callable[[Index, float, bool], None]] = {
    "--describe": describe,
    "--verify": verify,
    "--duplicates": duplicates,
    "--pca-table": pca_table,
    "--map": draw_map,
}
