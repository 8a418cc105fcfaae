"""`sightline data`: check a source of pictures, say what became of every file, and split it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import AUGMENT_FILE, Data, Json, Out, Workers
from sightline.core.errors import UserError
from sightline.core.wording import unbalanced

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

SHOWN = 12
SHOW_HELP = "Also write augment.html: a picture under each distortion that `train --augment` knows."
LABELS_HELP = "A CSV file of what the pictures are: columns path (or file, image, id ...), label and maybe split."
VALIDATION_HELP = "Share for validation, where the source has none."


def command(
    source: Data,
    out: Out = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Of the split.", show_default="0")] = None,
    validation: Annotated[float | None, typer.Option(help=VALIDATION_HELP, show_default="0.15, or 0.1")] = None,
    test: Annotated[
        float | None, typer.Option(help="Share for testing, where there is none.", show_default="0.15")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help=LABELS_HELP, show_default="the folders' names")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="What the file at a URL or an archive must hash to.")] = None,
    allow_private: Annotated[bool, typer.Option(help="Allow URLs to private and link-local addresses.")] = False,
    show_augment: Annotated[bool, typer.Option("--show-augment", help=SHOW_HELP)] = False,
    augment: Annotated[
        str | None, typer.Option(metavar=AUGMENT_FILE, help="For --show-augment: this list as well.")
    ] = None,
    picture: Annotated[
        str | None, typer.Option(help="For --show-augment: the first picture with this in its name.")
    ] = None,
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Check pictures, quarantine what is no picture, find duplicates and leaks, and split.

    The source is never touched. The manifest goes to datasets/NAME, and report.html with it; the other verbs find it
    there. Seed, shares and labels, once given, hold until others are given.
    """
    from sightline.api import prepare
    from sightline.cli.pages import write_dataset_page

    if not show_augment and (augment, picture) != (None, None):
        raise UserError("--augment and --picture say what --show-augment shows: give that too")

    listed = None
    if augment is not None:
        from sightline.data.augment import read

        listed = read(augment)  # before what may take long
    dataset = prepare(
        source,
        out,
        seed=seed,
        validation_frac=validation,
        test_frac=test,
        labels=labels,
        sha256=sha256,
        allow_private=allow_private,
        workers=workers,
        progress=Bars(),
    )
    pages = {"report": write_dataset_page(dataset, dataset.path / "report.html")}
    if show_augment:
        from sightline.cli.augmented import write_augment_page

        pages["augment"] = write_augment_page(dataset, listed, picture, dataset.path / "augment.html")
    if json:
        print_json({**dataset.summary(), **{name: str(page) for name, page in pages.items()}})
        return
    show(dataset)
    print_line(f"dataset  {dataset.path}")
    for name, page in pages.items():
        print_line(f"{name:<8} {page}")


def show(dataset: Dataset) -> None:
    """The dataset's tables: pictures by class and split, and what was put aside and why."""
    summary = dataset.summary()
    splits = list(summary["counts"])
    rows = [[name, *(f"{summary['counts'][split].get(name, 0):,}" for split in splits)] for name in dataset.classes]
    totals = ["all", *(f"{sum(summary['counts'][split].values()):,}" for split in splits)]
    print_table(f"{dataset.name}: {len(dataset.classes)} classes", ["class", *splits], [*rows, totals])
    verdicts = summary["verdicts"]
    print_line("  ".join(f"{verdict} {count:,}" for verdict, count in verdicts.items()))
    if summary["notes"]:
        print_line("noted: " + ", ".join(f"{note} {count:,}" for note, count in summary["notes"].items()))
    if summary["labels"]:
        show_labels(summary["labels"])
    said = unbalanced(summary["imbalance"])
    if said:
        print_line(f"unbalanced: {said}")
    bad = summary["quarantined"]
    if bad:
        rows = [[item["picture"], item["reason"]] for item in bad[:SHOWN]]
        more = [["...", f"{len(bad) - SHOWN:,} more in the manifest"]] if len(bad) > SHOWN else []
        print_table("Put aside, never touched", ["file", "why"], [*rows, *more], left=2)


def show_labels(labels: dict[str, Any]) -> None:
    """What became of the rows of a labels file."""
    repeated = f", {labels['repeated']:,} repeated" if labels["repeated"] else ""
    print_line(f"labels: {labels['rows']:,} rows in {labels['file']}{repeated}")
    lost = [[str(row["line"]), row["picture"], row["label"]] for row in labels["lost"][:SHOWN]]
    if lost:
        more = labels["without_file"] - len(lost)
        rest = [["...", f"{more:,} more", ""]] if more else []
        print_table("Rows that name no file", ["line", "picture", "label"], [*lost, *rest], left=3)
