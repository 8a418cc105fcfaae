"""The two headline tables: how good each network is, and what it costs. A row is a network, a column a figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sightline.core import wording

Network = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """A figure as text, a smaller line under it, and whether no other network of the table does better."""

    text: str
    small: str = ""
    best: bool = False


@dataclass(frozen=True)
class Column:
    """How a column is headed, where its figure comes from, how it is written and which way is better (0: neither)."""

    title: str
    value: Callable[[Network], float | None]
    text: Callable[[float | None], str]
    better: int = 0
    small: Callable[[Network], str] = lambda network: ""


@dataclass(frozen=True)
class Table:
    """A rendered table: column titles, and per network its name, its colour and its cells."""

    titles: Sequence[str]
    rows: Sequence[tuple[str, int, Sequence[Cell]]]


def quality(networks: Sequence[Network], *, uneven: bool = False) -> Table:
    """Test accuracy with its interval, top-5, log loss, calibration error, and the way from training to test.

    Where classes are `uneven` also the balanced accuracy, which elsewhere says what top-1 says.
    """
    columns = [
        Column("test top-1", _mean("top1"), wording.percent, 1, lambda n: wording.interval(n["top1"])),
        Column("test top-5", _mean("top5"), wording.percent, 1),
        *([Column("balanced accuracy", _mean("balanced_accuracy"), wording.percent, 1)] if uneven else []),
        Column("log loss", _mean("log_loss"), wording.decimal, -1),
        Column("ECE", _mean("ece"), wording.percent, -1),
        Column("training top-1", _mean("train_top1"), wording.percent),
        Column("validation top-1", _mean("validation_top1"), wording.percent),
        Column("gap", lambda n: (n.get("gap") or {}).get("train_minus_test"), wording.points),
    ]
    return table(networks, columns)


def cost(networks: Sequence[Network]) -> Table:
    """Size, arithmetic, time, speed and memory."""
    columns = [
        Column("parameters", _own("parameters"), wording.scaled, -1),
        Column("MACs", _own("macs"), wording.scaled, -1),
        Column("FLOPs", lambda n: None if n.get("macs") is None else 2 * n["macs"], wording.scaled),
        Column("on disk", _own("size_bytes"), wording.size, -1),
        Column("epochs", _own("epochs"), lambda value: wording.decimal(value, 1).removesuffix(".0")),
        Column("training time", _own("train_seconds"), wording.duration, -1),
        Column("training images/s", _own("train_images_per_s"), wording.rate, 1),
        Column("running images/s", _own("run_images_per_s"), wording.rate, 1),
        Column("peak memory", _own("peak_memory_bytes"), wording.size, -1),
    ]
    return table(networks, columns)


def table(networks: Sequence[Network], columns: Sequence[Column]) -> Table:
    """The figures of `networks` as text; the best of each column is marked when there is something to compare."""
    cells = [_cells(networks, column) for column in columns]
    rows = [(n["arch"], i, [column[i] for column in cells]) for i, n in enumerate(networks)]
    return Table([column.title for column in columns], rows)


def _cells(networks: Sequence[Network], column: Column) -> list[Cell]:
    """One column; figures that read the same are best together."""
    values = [column.value(network) for network in networks]
    known = [value for value in values if value is not None]
    best = column.text(max(known, key=lambda value: column.better * value)) if known else ""
    marked = column.better != 0 and len({column.text(value) for value in known}) > 1
    return [
        Cell(column.text(value), column.small(network), marked and column.text(value) == best)
        for network, value in zip(networks, values, strict=True)
    ]


def _mean(field: str) -> Callable[[Network], float | None]:
    return lambda network: (network.get(field) or {}).get("mean")


def _own(field: str) -> Callable[[Network], float | None]:
    return lambda network: network.get(field)
