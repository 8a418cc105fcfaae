"""`sightline evaluate`: measure finished runs, alone and combined, on any split of their data or of other data."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import Json, Reject, Split, Unlike, rejecting
from sightline.core.artifact import check_writable
from sightline.core.errors import UserError, named
from sightline.core.wording import decimal, interval, p_value, percent, rate, scaled, times

NETWORKS_HELP = (
    "Runs' directories, their names under runs/, or bundles; after them, unless it is the first run's own, the data to "
    "measure on, as `sightline train` takes it."
)
VIEWS_HELP = (
    "What a network is shown of each picture: the centre, its mirror image too, centre and corners, all five and their "
    "mirror images, or the whole larger picture, fully convolutionally."
)
SCALES_HELP = "Shorter sides, in pixels, of the pictures the views are cut from, such as 224,256,288."
AVERAGE_HELP = "What of the answers is averaged."
FIT_HELP = "Weigh the runs as their validation answers say, instead of alike."
SAVE_HELP = "The bundle to write of the last row, a new directory: one graph that takes one picture."


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN... [DATA]", help=NETWORKS_HELP, show_default=False)],
    split: Split = "test",
    views: Annotated[Literal["1", "2", "5", "10", "dense"], typer.Option(help=VIEWS_HELP)] = "1",
    scales: Annotated[str | None, typer.Option(help=SCALES_HELP, show_default="the run's, or a little larger")] = None,
    average: Annotated[
        Literal["probabilities", "logits"] | None, typer.Option(help=AVERAGE_HELP, show_default="probabilities")
    ] = None,
    fit_weights: Annotated[bool, typer.Option("--fit-weights", help=FIT_HELP)] = False,
    save: Annotated[Path | None, typer.Option(metavar="DIR", help=SAVE_HELP)] = None,
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="Also write a page with the rows.")] = None,
    reject: Reject = None,
    unlike: Unlike = None,
    json: Json = False,
) -> None:
    """Measure a run: top-1, top-5, figures by class, calibration; --json has the confusion too.

    Several runs, or --views or --scales: a row for each alone and for each combination, with what it brings and costs.
    """
    from sightline import api
    from sightline.cli.pages import write_combination

    networks, data = (runs[:-1], runs[-1]) if len(runs) > 1 and not api.is_network(runs[-1]) else (runs, None)
    if html and len(networks) == 1 and views == "1" and scales is None:
        raise UserError("--html is a page of combinations: give several runs, or --views or --scales")
    if html:
        check_writable(html)
    options: dict[str, Any] = {"average": average, "fit_weights": fit_weights, "save": save}
    options |= rejecting(reject, unlike)
    document = api.evaluate(networks, data, split=split, views=views, scales=sides(scales), **options, progress=Bars())
    if html:
        document["command"] = shlex.join(["sightline", *sys.argv[1:]])
        document["html"] = str(write_combination(document, html))
    if json:
        print_json(document)
    else:
        (show_rows if document["kind"] == "combination" else show)(document)


def sides(text: str | None) -> tuple[int, ...]:
    """The whole numbers in `text`, parted by commas; UserError for anything else."""
    if text is None:
        return ()
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UserError(f'--scales are whole numbers of pixels, such as 224,256,288, not "{named(text)}"') from None


def show_rows(document: dict[str, Any]) -> None:
    """The combination's table and findings."""
    rows = [
        [
            row["name"],
            f"{percent(row['top1'])} ({interval(row['interval'])})",
            decimal(row["log_loss"]),
            percent(row["ece"]),
            scaled(row["macs"]),
            rate(row["images_per_s"]),
            *_against(row["against"]),
        ]
        for row in document["rows"]
    ]
    columns = ["network", "top-1 (95 % interval)", "log loss", "ECE", "MACs", "images/s", "time", "paired test"]
    print_table(
        f"{document['rows'][0]['n']:,} {document['split']} pictures of {document['dataset']['name']}", columns, rows
    )
    for line in [*document["findings"], *document["notes"]]:
        print_line(f"- {line}")
    for kind in ("bundle", "html"):
        if kind in document:
            print_line(f"{kind:<6}  {document[kind]}")


def _against(pair: dict[str, Any] | None) -> tuple[str, str]:
    """How many times as long as what it stands beside, and the p-value."""
    return (f"x {times(pair['time_ratio'])}", p_value(pair["p_value"])) if pair else ("", "")


def show(document: dict[str, Any]) -> None:
    """The evaluation's tables."""
    print_table(
        f"{document['run']} on {document['n']:,} {document['split']} pictures",
        ["figure", "value"],
        [
            ["top-1", f"{percent(document['top1'])} ({interval(document['interval'])})"],
            ["top-5", percent(document["top5"])],
            ["balanced accuracy", percent(document["balanced_accuracy"])],
            ["log loss", f"{document['log_loss']:.4f}"],
            ["calibration error", percent(document["ece"])],
        ],
        left=2,
    )
    if "rejection" in document:
        show_rejection(document["rejection"], document["n"])
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
    for line in document["notes"]:
        print_line(f"- {line}")


def show_rejection(found: dict[str, Any], count: int) -> None:
    """How many pictures got an answer, how many of these a wrong one, and why the others got none."""
    coverage, error, rule = found["coverage"], found["error_of_answers"], found["rule"]
    rows = [
        ["answered", f"{percent(coverage['mean'])} ({interval(coverage)})"],
        ["wrong of these", f"{percent(error['mean'])} ({interval(error)})"],
        ["unknown", f"{found['unsure']:,} unsure, {found['unlike']:,} unlike anything trained on, of {count:,}"],
    ]
    print_table(f"At most {percent(rule['error'])} of the answers wrong", ["figure", "value"], rows, left=2)
