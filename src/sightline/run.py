"""The Run: one training on disk, complete and resumable.

A directory with `run.json` (what was asked, on which data, with what results), `metrics.csv` (one row an epoch),
TensorBoard `events`, `checkpoints/`, and at the end `bundle/`. This module is the document: it reads and rewrites
`run.json` and `metrics.csv`, each whole or not at all. Training goes through it; everything later only reads.
"""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.core.artifact import directory, read_json, write_json, write_text
from sightline.core.errors import UserError, closest, named
from sightline.core.machine import describe, versions
from sightline.core.stopping import Diverged, Interrupted

if TYPE_CHECKING:
    from sightline.bundle import Bundle
    from sightline.data.dataset import Dataset

FORMAT = 1
STATUSES = ("running", "interrupted", "diverged", "done")
RUNS = Path("runs")
KINDS = {"arguments": dict, "seed": int, "data": dict, "results": dict}
# What an epoch measured on the validation pictures, in metrics.csv.
VALIDATION = ("validation_loss", "validation_top1", "validation_balanced", "validation_commonest")


@dataclass(frozen=True)
class Run:
    """A training at `path`; `document` is run.json as it was read or last written."""

    path: Path
    document: dict[str, Any]

    @classmethod
    def open(cls, path_or_name: str | Path) -> Run:
        """The Run in a directory, or of a name under runs/. UserError when there is none or run.json is damaged."""
        path = _find(path_or_name)
        document = read_json(path / "run.json", "run")
        _check(path, document)
        return cls(path, document)

    @classmethod
    def create(cls, path: str | Path, document: dict[str, Any]) -> Run:
        """A new Run directory with `document` as its run.json; UserError when `path` exists already."""
        document = {"format": FORMAT, "results": {}, **document}
        _check(Path(path), document)
        with directory(Path(path)) as temporary:
            write_json(temporary / "run.json", document)
        return cls(Path(path), document)

    def update(self, **changes: Any) -> Run:
        """The Run with these entries of run.json replaced, on disk too."""
        document = self.document | changes
        _check(self.path, document)
        write_json(self.path / "run.json", document)
        return Run(self.path, document)

    @property
    def name(self) -> str:
        """What the directory is called."""
        return self.path.resolve().name

    @property
    def status(self) -> str:
        """running, interrupted, diverged or done. A training that was killed still says running."""
        return self.document["status"]

    @property
    def arch(self) -> str:
        """The network's name."""
        return self.document["arguments"]["arch"]

    @property
    def seed(self) -> int:
        """The seed everything random was drawn from."""
        return self.document["seed"]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the Dataset it was trained on."""
        return self.document["data"]["fingerprint"]

    def bundle(self, *, threads: int | None = None) -> Bundle:
        """The Bundle the training ended in, its graph on `threads` threads (the processor quota when None).

        UserError when the training has not ended, with the command that continues it.
        """
        if self.status != "done":
            raise UserError(f"{named(self.path)} has no bundle yet, it is {self.status}: {self._mend()}")
        from sightline.bundle import Bundle

        return Bundle.open(self.path / "bundle", threads=threads)

    def _mend(self) -> str:
        """What to do about a Run that is not done."""
        if self.status == "diverged":
            return "train again with a lower --lr"
        return f"finish it with `{self.resume_command}`"

    @property
    def in_numpy(self) -> bool:
        """Whether it was trained in NumPy, and not in PyTorch."""
        return "engine" in self.document["arguments"]

    @property
    def resume_command(self) -> str:
        """What continues the training on the command line."""
        verb = "scratch train" if self.in_numpy else "train"
        return f"sightline {verb} --resume {named(shlex.quote(str(self.path)))}"

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Where what is inside ends early, run.json's status says how, and an interrupt what goes on from there."""
        try:
            yield
        except KeyboardInterrupt:  # with a checkpoint, or before and after the steps with nothing to keep
            self.update(status="interrupted")
            raise Interrupted(f"`{self.resume_command}` continues") from None
        except Diverged:
            self.update(status="diverged")
            raise
        except UserError:
            with suppress(OSError):  # of a disk without room
                self.update(status="interrupted")
            raise

    def unfinished_dataset(self) -> Dataset:
        """The Dataset the training goes on with; UserError when it is done, or its data is gone or has changed."""
        from sightline.data.dataset import Dataset

        if self.status == "done":
            raise UserError(f"{named(self.path)} is finished: nothing to resume")
        dataset = Dataset.open(Path(self.document["arguments"]["data"]))
        if dataset.fingerprint != self.fingerprint:
            raise UserError(
                f"the data in {named(dataset.path)} changed since {named(self.path)} began "
                f"({self.fingerprint[:12]} then, {dataset.fingerprint[:12]} now): train a new run"
            )
        return dataset

    def history(self) -> list[dict[str, int | float | None]]:
        """The rows of metrics.csv, one an epoch, blanks as None; empty before the first epoch ended.

        UserError when the file is damaged.
        """
        path = self.path / "metrics.csv"
        if not path.exists():
            return []
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return [_numbers(row) for row in csv.DictReader(file, strict=True)]
        except (ValueError, csv.Error):
            raise UserError(f"damaged {named(path)}: restore it, or train the run again") from None

    def write_history(self, rows: Sequence[dict[str, int | float | None]]) -> None:
        """Rewrite metrics.csv with `rows`; columns in the order they first appear, None as a blank."""
        columns = list(dict.fromkeys(column for row in rows for column in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "metrics.csv", text.getvalue())


def begun_on(dataset: Dataset, arguments: dict[str, Any], *, seed: int, counts: dict[str, int]) -> dict[str, Any]:
    """What run.json says when a training on `dataset` begins, on so many pictures of each split."""
    return {
        "status": "running",
        "arguments": arguments,
        "seed": seed,
        "versions": versions(),
        "machine": describe(),
        "data": {
            "name": dataset.name,
            "path": str(dataset.path),
            "fingerprint": dataset.fingerprint,
            "classes": list(dataset.classes),
            "counts": counts,
            "imbalance": dataset.imbalance,
        },
    }


def place(path_or_name: str | Path) -> Path | None:
    """The Run directory meant: the path itself, or a name under runs/; None when there is no run in either."""
    return next((path for path in (Path(path_or_name), RUNS / path_or_name) if (path / "run.json").exists()), None)


def _find(path_or_name: str | Path) -> Path:
    """The directory meant; UserError when there is none."""
    path = place(path_or_name)
    if path:
        return path
    if Path(path_or_name).is_dir():
        raise UserError(f"no run in {named(path_or_name)}: run.json is missing")
    near = named(closest(str(path_or_name), (path.parent.name for path in RUNS.glob("*/run.json"))))
    raise UserError(f"no run {named(path_or_name)}{near or ': it is neither a run directory nor a name under runs/'}")


def _check(path: Path, document: dict[str, Any]) -> None:
    """UserError unless `document` says what every Run says."""
    if document.get("format") != FORMAT:
        raise UserError(
            f"{named(path)} is a run of format {named(str(document.get('format')))}, this Sightline reads {FORMAT}: "
            "use the version that made it"
        )
    wrong = [key for key, kind in KINDS.items() if not isinstance(document.get(key), kind)]
    if document.get("status") not in STATUSES:
        wrong.append("status")
    if not wrong and not isinstance(document["arguments"].get("arch"), str):
        wrong.append("arguments.arch")
    if not wrong and not isinstance(document["data"].get("fingerprint"), str):
        wrong.append("data.fingerprint")
    if wrong:
        raise UserError(f"damaged run {named(path)}: {wrong[0]} in run.json is missing or wrong, train it again")


def _numbers(row: dict[Any, Any]) -> dict[str, int | float | None]:
    """A row of text as numbers; ValueError when a cell is no number or the row has too many or too few."""
    if None in row or None in row.values():
        raise ValueError("a row of another length than the header")
    return {column: _number(cell) for column, cell in row.items()}


def _number(cell: str) -> int | float | None:
    if cell == "":
        return None
    try:
        return int(cell)
    except ValueError:
        return float(cell)
