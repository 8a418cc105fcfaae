"""`sightline search`: the pictures of an index that look most like a given one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sightline.cli.output import note, print_json, print_line, print_table
from sightline.cli.parameters import Json
from sightline.cli.predict import expand
from sightline.core.errors import UserError

if TYPE_CHECKING:
    from sightline.search.index import Index


def command(
    index: Annotated[str, typer.Argument(metavar="INDEX", help="An index made by `sightline index`.")],
    pictures: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...|FOLDER|ROW...", help="The pictures to search with, or rows of the index."),
    ],
    k: Annotated[int, typer.Option("-k", min=1, help="Neighbours for each picture.")] = 10,
    exclude_self: Annotated[
        bool, typer.Option("--exclude-self", help="Leave out the picture searched for, where it is in the index.")
    ] = False,
    label: Annotated[str | None, typer.Option("--class", help="Search this class alone.", show_default="all")] = None,
    split: Annotated[
        Literal["train", "validation", "test"] | None, typer.Option(help="Search this split alone.", show_default="all")
    ] = None,
    html: Annotated[Path, typer.Option(dir_okay=False, help="The page with the pictures.")] = Path("search.html"),
    json: Json = False,
) -> None:
    """Find look-alikes: a table, and a page with the pictures."""
    from sightline.cli.pages import write_search_page
    from sightline.search.index import Index

    opened = Index.open(Path(index))
    if label is not None or split is not None:
        opened = opened.where(label=label, split=split)
    numbers = [text for text in pictures if text.isdecimal() and not os.path.exists(text)]
    others = list(expand([text for text in pictures if text not in numbers])) if len(numbers) < len(pictures) else []
    document = answer(opened, [*map(int, numbers), *others], k, exclude_self=exclude_self)
    page = write_search_page(document, html)
    if json:
        print_json({**document, "page": str(page)})
        return
    for query in document["queries"]:
        rows = [
            [str(place), neighbour["picture"], neighbour["label"], f"{neighbour['distance']:.4f}"]
            for place, neighbour in enumerate(query["neighbours"], 1)
        ]
        print_table(f"Like {query['picture']}", ["", "picture", "class", "distance"], rows, left=3)
    print_line(f"page  {page}")


def answer(index: Index, pictures: Sequence[str | int], k: int, *, exclude_self: bool = False) -> dict[str, Any]:
    """The search document: each query picture, or row of the index, with its neighbours, nearest first.

    Pictures that cannot be searched for are in `skipped` with their errors; UserError when no picture can be.
    """
    queries, skipped = [], []
    for asked, found in zip(pictures, index.search_each(pictures, k, exclude_self=exclude_self), strict=True):
        if isinstance(found, UserError):
            if len(pictures) == 1 or k > len(index):
                raise found
            skipped.append({"picture": str(asked), "error": str(found)})
            note(f"skipped: {found}")
            continue
        picture = index.name_of(asked) if isinstance(asked, int) else asked
        neighbours = [
            {"picture": n.picture, "label": n.label, "split": n.split, "row": n.row, "distance": n.distance}
            for n in found
        ]
        queries.append({"picture": picture, "neighbours": neighbours})
    if not queries:
        raise UserError(f"none of the {len(pictures)} pictures could be searched for: {skipped[0]['error']}")
    note(f"{len(queries)} searched among {len(index):,}")
    about = {"kind": "search", "index": str(index.path), "metric": index.document["metric"], "k": k}
    return {**about, "queries": queries, "skipped": skipped}
