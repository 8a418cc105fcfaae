"""What the verbs print with: one JSON document or tables on standard output, progress on standard error."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from sightline.core.errors import named
from sightline.core.progress import Advance
from sightline.core.wording import duration, rate, whole

UNBOUNDED = 1000  # columns
console = Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """The verb's one document, on standard output."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int | Collection[int] = 1
) -> None:
    """A table on standard output, as wide as it is unless a terminal bounds it.

    The first `left` columns, or those with these numbers, are text; the others are figures.
    """
    texts = range(left) if isinstance(left, int) else left
    table = Table(title=escape(_plain(title)), title_justify="left", title_style="bold", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if number in texts else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_plain(cell)) for cell in row))
    Console(highlight=False, width=None if sys.stdout.isatty() else UNBOUNDED).print(table)


def print_line(text: str) -> None:
    """A line on standard output, as it is."""
    Console(highlight=False, soft_wrap=True).print(Text(_plain(text)))


def note(text: str) -> None:
    """A line on standard error."""
    console.print(Text(_plain(text)), soft_wrap=True)


def _plain(text: str) -> str:
    """One printable line; no-break spaces, which pages want, as plain ones."""
    return named(text.replace("\xa0", " "))


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{rate(speed)} {task.fields['unit']}/s")


class Bars:
    """Progress drawn as bars on a terminal, and as one line a task elsewhere."""

    @contextmanager
    def task(self, title: str, total: int | None, unit: str = "images") -> Iterator[Advance]:
        """A bar with rate, figures and time left; gone when the work is done, a line stays."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(compact=True),
        )
        began, figures, done = time.perf_counter(), "", 0
        with RichProgress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
            bar = bars.add_task(escape(named(title)), total=total, unit=unit, figures="")

            def advance(n: int = 1, **more: str) -> None:
                nonlocal figures, done
                done += n
                figures = "  ".join(f"{name} {value}" for name, value in more.items()) or figures
                bars.update(bar, advance=n, figures=figures)

            yield advance
        seconds = time.perf_counter() - began
        parts = [f"{named(title):<14}", duration(seconds), figures]
        if done:
            parts[1:2] = [f"{whole(done)} {unit}", duration(seconds), f"{rate(done / seconds)} {unit}/s"]
        note("  ".join(parts).rstrip())

    def note(self, text: str) -> None:
        """A line among those of the tasks."""
        note(text)


def finish(
    document: dict[str, Any],
    write: Callable[[dict[str, Any], Path], Path],
    show: Callable[[dict[str, Any]], None],
    *,
    as_json: bool,
) -> None:
    """Write the page of a `document` into its path, and print the document, or show it and say where the page is."""
    document["command"] = shlex.join(["sightline", *sys.argv[1:]])
    page = write(document, Path(document["path"]))
    if as_json:
        return print_json({**document, "report": str(page)})
    show(document)
    print_line(f"report  {named(page)}")
