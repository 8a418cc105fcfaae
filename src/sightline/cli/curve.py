"""`sightline train --learning-curve`: its options, and what it shows when it is done."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sightline.cli.output import print_line, print_table
from sightline.core.errors import named
from sightline.core.wording import UNKNOWN, duration, interval, percent, points, whole

LearningCurve = Annotated[
    bool,
    typer.Option(
        "--learning-curve",
        help="Train on 5, 10, 25, 50 and 100 % of the pictures, and say whether more would help.",
        show_default=False,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1, help="For the learning curve: how often pictures are drawn, from a seed each.", show_default="1"
    ),
]


def show(document: dict[str, Any]) -> None:
    """The curve's figures, a row a share, and the findings."""
    network, handmade = document["curves"]
    rows = [
        [
            whole(mine["pictures"]),
            percent(mine["mean"]),
            interval(mine),
            percent(theirs["mean"]),
            interval(theirs),
            points(lead["mean"]),
            duration(mine["seconds"]),
        ]
        for mine, theirs, lead in zip(network["levels"], handmade["levels"], document["leads"], strict=True)
    ]
    if network["trend"]["twice"]:
        twice = network["trend"]["twice"]
        pictures = f"{whole(2 * network['levels'][-1]['pictures'])} (expected)"
        rows.append([pictures, percent(twice["mean"]), interval(twice), *[UNKNOWN] * 4])
    seeds = len(document["seeds"])
    title = (
        f"{document['arch']} on {document['dataset']['name']}: right of {whole(document['n'])} {document['split']} "
        f"pictures, {seeds} seed{'s' if seeds > 1 else ''}"
    )
    columns = [
        "pictures",
        document["arch"],
        "95 % interval",
        "hand-engineered",
        "95 % interval",
        "ahead by",
        "training",
    ]
    print_table(title, columns, rows, left=())
    for finding in document["findings"]:
        print_line(f"- {finding}")
    print_line(f"runs    {named(document['path'])}")
