"""What the verbs print with: one JSON document or tables on standard output, progress on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from sightline.core.errors import named
from sightline.core.progress import Advance

console = Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """The verb's one document, on standard output."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """A table on standard output; the first `left` columns are text, the others figures."""
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(escape(column), justify="left" if number < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(named(cell)) for cell in row))
    Console(highlight=False).print(table)


def print_line(text: str) -> None:
    """A line on standard output, as it is."""
    Console(highlight=False, soft_wrap=True).print(Text(text))


def note(text: str) -> None:
    """A line on standard error."""
    console.print(Text(text), soft_wrap=True)


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage."""
    return "-" if value is None else f"{value:.{digits}%}"


def count(value: float) -> str:
    """A number for people: 272 k, 41.0 M, 4.1 G."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def duration(value: float) -> str:
    """Seconds for people: 4.2 s, 3 min 12 s, 2 h 5 min."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(value: float) -> str:
    """Bytes for people: 1.3 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} {task.fields['unit']}/s")


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
        rate = f"{done / seconds:,.0f} {unit}/s" if seconds > 0 else ""
        note(
            "  ".join(
                part for part in (f"{named(title):<14}", f"{done:,} {unit}", duration(seconds), rate, figures) if part
            )
        )
