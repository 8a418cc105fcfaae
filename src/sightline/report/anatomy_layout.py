"""Where the boxes of a block stand: ranks downwards, branches side by side, shortcuts around.

A box stands one rank below the lowest box it reads. The first reader of a box stands below it, others open a column
to the right, and a line that must pass boxes takes a narrow column of its own: a shortcut. Where branches multiply
(squeeze and excitation), what is multiplied goes straight down and the branch that weighs it stands aside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sightline.report.anatomy_blocks import OUTSIDE, Block, Box

WIDTH, LINE, GAP, ASIDE, LANE = 118, 14, 18, 10, 22  # pixels: box, line of text, between ranks, between columns
MARGIN, LEAD = 3, 20  # pixels: around the drawing; the line that leads in (below its label) and out

Point = tuple[float, float]


@dataclass(frozen=True)
class Placed:
    """A box with its upper left corner and size in pixels."""

    box: Box
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        """Its middle from left to right."""
        return self.x + self.width / 2


@dataclass(frozen=True)
class Edge:
    """A line from box to box; `identity` is a shortcut that changes nothing."""

    points: tuple[Point, ...]
    identity: bool

    @property
    def line(self) -> str:
        """As the path of an SVG."""
        return "M" + " L".join(f"{x:g} {y:g}" for x, y in self.points)

    @property
    def tip(self) -> str:
        """The arrow head at its end, as the path of an SVG."""
        (x0, _), (x, y) = self.points[-2:]
        if x == x0:
            return f"M{x:g} {y:g} l-3.5 -6 h7 z"
        way = 6 if x0 > x else -6
        return f"M{x:g} {y:g} l{way} -3.5 v7 z"


@dataclass(frozen=True)
class Plan:
    """A block laid out: pixels, boxes, lines, and where the shape it reads is written."""

    block: Block
    width: float
    height: float
    placed: tuple[Placed, ...]
    edges: tuple[Edge, ...]
    entry: Point


@dataclass
class _Columns:
    """Which columns are taken, from which rank to which."""

    taken: list[list[tuple[int, int]]] = field(default_factory=lambda: [[]])

    def take(self, first: int, last: int, column: int | None = None) -> int:
        """The given column, or the first beside the trunk that is free for the ranks `first` to `last`."""
        if column is None:
            column = next(
                (c for c in range(1, len(self.taken)) if all(last < a or b < first for a, b in self.taken[c])),
                len(self.taken),
            )
        if column == len(self.taken):
            self.taken.append([])
        self.taken[column].append((first, last))
        return column


def plan(block: Block) -> Plan:
    """Lay out one block."""
    boxes = block.boxes
    ranks = _ranks(boxes)
    readers = _readers(boxes)
    column_of, follower, columns = _columns(boxes, ranks, readers)
    lanes = _lanes(boxes, ranks, follower, columns)
    lefts, widths = _across(columns, set(column_of.values()))
    tops, heights, bottom = _down(boxes, ranks)
    spans = {i: _span(i, boxes, column_of) for i in range(len(boxes))}
    placed = tuple(
        Placed(box, lefts[a], tops[ranks[i]], lefts[b] + widths[b] - lefts[a], heights[ranks[i]])
        for i, box in enumerate(boxes)
        for a, b in [spans[i]]
    )
    joined = [place for place in placed if place.width > WIDTH]
    entry = (joined[0].middle if joined else lefts[0] + WIDTH / 2, 12.0)
    route = _Router(placed, entry, {key: lefts[c] + widths[c] / 2 for key, c in lanes.items()})
    edges = [route.edge(source, i) for i, box in enumerate(boxes) for source in dict.fromkeys(box.reads)]
    ends = [place for i, place in enumerate(placed) if not readers[i]]
    edges += [Edge(((p.middle, p.y + p.height), (p.middle, bottom + LEAD)), identity=False) for p in ends]
    width = lefts[-1] + widths[-1] + MARGIN
    return Plan(block, width, bottom + LEAD + MARGIN, placed, tuple(edges), entry)


def _ranks(boxes: Sequence[Box]) -> dict[int, int]:
    """The rank of each box, 1 at the top; what the block reads is rank 0."""
    ranks = {OUTSIDE: 0}
    for i, box in enumerate(boxes):
        ranks[i] = 1 + max((ranks[source] for source in box.reads), default=0)
    return ranks


def _readers(boxes: Sequence[Box]) -> dict[int, list[int]]:
    readers: dict[int, list[int]] = {i: [] for i in range(OUTSIDE, len(boxes))}
    for i, box in enumerate(boxes):
        for source in dict.fromkeys(box.reads):
            readers[source].append(i)
    return readers


def _columns(
    boxes: Sequence[Box], ranks: dict[int, int], readers: dict[int, list[int]]
) -> tuple[dict[int, int], dict[int, int], _Columns]:
    """The column of each box, which box continues the column of which, and what is taken."""
    column_of, follower, columns = {OUTSIDE: 0}, {}, _Columns()
    aside = _stand_aside(boxes, ranks)
    for i, box in enumerate(boxes):
        last = max([ranks[i], *(ranks[reader] - 1 for reader in readers[i])])
        open_sources = [s for s in box.reads if s not in follower and (s, i) not in aside]
        for source in open_sources:
            follower[source] = i
        above = min((column_of[source] for source in open_sources), default=None)
        column_of[i] = columns.take(ranks[i], last, above)
    return column_of, follower, columns


def _stand_aside(boxes: Sequence[Box], ranks: dict[int, int]) -> set[tuple[int, int]]:
    """(source, reader) where the reader starts a branch that weighs its own source: both meet in a product."""
    weighed = {
        min(box.reads, key=lambda source: ranks[source])
        for box in boxes
        if box.kind == "Multiply" and len(set(box.reads)) > 1
    }
    return {(s, i) for i, box in enumerate(boxes) for s in box.reads if s in weighed and box.kind != "Multiply"}


def _lanes(
    boxes: Sequence[Box], ranks: dict[int, int], follower: dict[int, int], columns: _Columns
) -> dict[tuple[int, int], int]:
    """The column of each line that has to pass boxes."""
    passing = [
        (source, i)
        for i, box in enumerate(boxes)
        for source in dict.fromkeys(box.reads)
        if follower.get(source) != i and ranks[i] - ranks[source] > 1
    ]
    return {(s, i): columns.take(ranks[s] + 1, ranks[i] - 1) for s, i in passing}


def _across(columns: _Columns, with_boxes: set[int]) -> tuple[list[float], list[float]]:
    """The left edge and the width of each column."""
    widths = [float(WIDTH if c in with_boxes else LANE) for c in range(len(columns.taken))]
    lefts = [MARGIN + sum(widths[:c]) + ASIDE * c for c in range(len(widths))]
    return lefts, widths


def _down(boxes: Sequence[Box], ranks: dict[int, int]) -> tuple[dict[int, float], dict[int, float], float]:
    """The top and the height of each rank, and the bottom of the last."""
    heights: dict[int, float] = {}
    for i, box in enumerate(boxes):
        heights[ranks[i]] = max(heights.get(ranks[i], 0), 10 + LINE * len(box.lines))
    tops, y = {}, 16.0 + LEAD
    for rank in sorted(heights):
        tops[rank] = y
        y += heights[rank] + GAP
    return tops, heights, y - GAP


def _span(i: int, boxes: Sequence[Box], column_of: dict[int, int]) -> tuple[int, int]:
    """The first and last column of a box: branches joined in depth meet in one wide box."""
    if boxes[i].kind != "Concatenate":
        return column_of[i], column_of[i]
    columns = [column_of[i], *(column_of[source] for source in boxes[i].reads)]
    return min(columns), max(columns)


@dataclass(frozen=True)
class _Router:
    """Draws the lines between boxes that have their places."""

    placed: Sequence[Placed]
    entry: Point
    lanes: dict[tuple[int, int], float]

    def edge(self, source: int, target: int) -> Edge:
        """The line from box to box (or from outside), around what lies between."""
        start = self._start(source)
        end = self.placed[target]
        lane = self.lanes.get((source, target))
        turn = start[1] + (LEAD - 4 - GAP / 2 if source == OUTSIDE else GAP / 2)
        if lane is not None:
            side = (end.x + end.width, end.y + end.height / 2)
            points = (start, (start[0], turn), (lane, turn), (lane, side[1]), side)
            return Edge(points, identity=end.box.kind == "Add")
        if end.x <= start[0] <= end.x + end.width and (end.width > WIDTH or start[0] == end.middle):
            return Edge((start, (start[0], end.y)), identity=False)
        if len(end.box.reads) > 1 and start[0] > end.x:
            side = (end.x + end.width, end.y + end.height / 2)
            return Edge((start, (start[0], side[1]), side), identity=False)
        return Edge((start, (start[0], turn), (end.middle, turn), (end.middle, end.y)), identity=False)

    def _start(self, source: int) -> Point:
        if source == OUTSIDE:
            return self.entry[0], self.entry[1] + 4
        place = self.placed[source]
        return place.middle, place.y + place.height
