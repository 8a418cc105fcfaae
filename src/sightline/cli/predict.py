"""`sightline predict`: what a network says of pictures; a bad file is a row with its error."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from sightline.cli.output import Bars, print_json, print_line, print_table
from sightline.cli.parameters import Json, Reject, RunName, Unlike, rejecting
from sightline.core.errors import UserError, named
from sightline.core.wording import interval, percent

if TYPE_CHECKING:
    from sightline.bundle import Prediction
    from sightline.experience import Rule

SHOWN = 50
WHY = {"unsure": "unsure", "unlike": "unlike anything trained on"}


def command(
    run: RunName,
    pictures: Annotated[list[str], typer.Argument(metavar="IMAGE...|FOLDER", help="Pictures, or folders of them.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each picture.")] = 5,
    reject: Reject = None,
    unlike: Unlike = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", dir_okay=False, help="Also write every answer to this CSV file.")
    ] = None,
    json: Json = False,
) -> None:
    """Name the classes of pictures. Exit code 2 when no picture could be read."""
    from sightline import api

    shares, names = rejecting(reject, unlike), list(expand(pictures))
    bundle = api.load(run)
    rule = bundle.experience.rule(shares.pop("reject"), **shares) if shares else None
    with Bars().task("predict", len(names)) as advance:
        answers = list(counted(bundle.predict(names, top=top, rule=rule), advance))
    if csv_file:
        write_csv(csv_file, answers, min(top, len(bundle.classes)))
    if json:
        said = {"rule": rule.to_dict()} if rule else {}
        print_json({"kind": "predictions", "run": run, **said, "predictions": [document(answer) for answer in answers]})
    else:
        show(answers)
        if rule:
            show_rule(rule)
    failed = [answer for answer in answers if answer.error]
    if len(failed) == len(answers):
        raise UserError(
            f"none of the {len(answers)} pictures could be read: {named(failed[0].name)}: {failed[0].error}"
        )


def expand(pictures: Iterable[str]) -> Iterator[str]:
    """Every picture meant: files as they are, folders as all files in them, in order. UserError when one is missing."""
    for name in pictures:
        if not name:
            raise UserError("the name of a picture is empty: name a picture or a folder of them")
        path = Path(name)
        if path.is_dir():
            found = sorted(str(file) for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
            if not found:
                raise UserError(f"{named(name)} holds no files: name a folder with pictures in it")
            yield from found
        elif path.exists() or ".npy#" in name:
            yield name
        else:
            raise UserError(f"no such picture: {named(name)}")


def counted(answers: Iterable[Prediction], advance: Any) -> Iterator[Prediction]:
    """`answers`, each reported as it passes."""
    for answer in answers:
        advance(1)
        yield answer


def document(answer: Prediction) -> dict[str, Any]:
    """An answer as JSON."""
    classes = [{"class": name, "probability": probability} for name, probability in answer.classes]
    return {"picture": answer.name, "classes": classes, "error": answer.error, "unknown": answer.unknown}


def write_csv(path: Path, answers: Iterable[Prediction], top: int) -> None:
    """One row a picture: name, error and why it is unknown, if so, then class and probability, the likeliest first."""
    from io import StringIO

    from sightline.core.artifact import write_text

    text: TextIO = StringIO()
    writer = csv.writer(text)
    heads = [head for n in range(1, top + 1) for head in (f"class_{n}", f"probability_{n}")]
    writer.writerow(["picture", "error", "unknown", *heads])
    for answer in answers:
        cells = [cell for name, probability in answer.classes for cell in (name, f"{probability:.6f}")]
        writer.writerow([answer.name, answer.error or "", answer.unknown or "", *cells])
    write_text(path, text.getvalue())  # type: ignore[attr-defined]


def show(answers: list[Prediction]) -> None:
    """A table of the first answers."""
    rows = []
    for answer in answers[:SHOWN]:
        said = "   ".join(f"{name} {percent(probability)}" for name, probability in answer.classes)
        why = f"unknown, {WHY[answer.unknown]}: " if answer.unknown else ""
        rows.append([answer.name, answer.error or why + said])
    print_table("Predictions", ["picture", "classes, likeliest first"], rows, left=2)
    if len(answers) > SHOWN:
        print_line(f"... and {len(answers) - SHOWN:,} more: --json or --csv FILE gives all")


def show_rule(rule: Rule) -> None:
    """What is promised, and what it costs."""
    seen = rule.to_dict()["validation"]
    print_line(
        f"at most {percent(rule.error)} of answers to pictures like the {seen['pictures']:,} validation pictures are "
        f"wrong, with 95 % confidence; {percent(seen['coverage']['mean'])} ({interval(seen['coverage'])}) of those got "
        f"an answer, {seen['wrong']:,} a wrong one"
    )
