"""`sightline evaluate`: measure a finished run on a split it may or may not have been trained on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import DATA_HELP, Json, RunName, Split
from sightline.core.wording import interval, percent


def command(
    run: RunName,
    data: Annotated[str | None, typer.Argument(metavar="DATA", help=DATA_HELP, show_default="the run's own")] = None,
    split: Split = "test",
    json: Json = False,
) -> None:
    """Measure a run: top-1, top-5, per-class figures, confusion, calibration."""
    from sightline import api

    document = api.evaluate(run, data, split=split, progress=Bars())
    if json:
        print_json(document)
    else:
        show(document)


def show(document: dict[str, Any]) -> None:
    """The evaluation's tables."""
    print_table(
        f"{document['run']} on {document['n']:,} {document['split']} pictures",
        ["figure", "value"],
        [
            ["top-1", f"{percent(document['top1'])} ({interval(document['interval'])})"],
            ["top-5", percent(document["top5"])],
            ["log loss", f"{document['log_loss']:.4f}"],
            ["calibration error", percent(document["ece"])],
        ],
        left=2,
    )
    rows = [
        [row["class"], percent(row["precision"]), percent(row["recall"]), percent(row["f1"]), f"{row['support']:,}"]
        for row in document["per_class"]
    ]
    print_table("By class", ["class", "precision", "recall", "F1", "pictures"], rows)
    for mistake in document["mistakes"][:5]:
        print_line(
            f"wrong: {mistake['picture']} is {mistake['true']}, "
            f"said {mistake['predicted']} ({percent(mistake['confidence'])})"
        )
