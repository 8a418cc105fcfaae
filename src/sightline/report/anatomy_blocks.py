"""From the layers of a network to what is drawn: boxes, in blocks, in stages.

Batch norm, activation and dropout stand in the box of the layer they follow. Blocks of a stage that follow each other
and are equal in every shape and count are one block, "times" so many. Nothing is left out: the layers of all boxes,
each times its block, are the layers of the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from sightline.core import wording

Document = Mapping[str, Any]
INPUT = "input"  # what the first layer reads
OUTSIDE = -1  # the place of whatever a block reads from before it

_FOLDED = {
    "BatchNorm2d": "BN",
    "ReLU": "ReLU",
    "ReLU6": "ReLU6",
    "LeakyReLU": "leaky ReLU",
    "SiLU": "SiLU",
    "Sigmoid": "sigmoid",
    "Dropout": "dropout",
    "Flatten": "flatten",
}
_JOINS = {"Add": "add", "Concatenate": "concatenate", "Multiply": "multiply"}
_OTHER = {"LocalResponseNorm": "local norm", "Linear": "linear", "Pad": "pad"}


@dataclass(frozen=True)
class Box:
    """A layer with what is folded into it.

    `family` is its colour: conv, one (a 1x1), depthwise, linear, pool, join or other. `reads` are the places, in its
    block, of the boxes it reads (OUTSIDE: from before the block). `layers` counts it and those folded into it.
    """

    name: str
    family: str
    kind: str
    lines: tuple[str, ...]
    facts: tuple[str, ...]
    reads: tuple[int, ...]
    source: str
    layers: int
    parameters: int
    macs: int
    activations: int
    receptive_field: int | None
    stage: str


@dataclass(frozen=True)
class Block:
    """Boxes that belong together, once for the `names` of all equal blocks in a row; `source` is the shape it reads."""

    names: tuple[str, ...]
    boxes: tuple[Box, ...]

    @property
    def times(self) -> int:
        """How many equal blocks this one stands for."""
        return len(self.names)

    @property
    def source(self) -> str:
        """The shape of what it reads, as height x width x channels."""
        return next((box.source for box in self.boxes if OUTSIDE in box.reads), "")

    @property
    def title(self) -> str:
        """The name, or the first and the last of several."""
        return self.names[0] if self.times == 1 else f"{self.names[0]} to {self.names[-1]}"

    def total(self, figure: str) -> int:
        """Sum of "parameters", "macs" or "layers" over one of the equal blocks."""
        return sum(getattr(box, figure) for box in self.boxes)


@dataclass(frozen=True)
class Stage:
    """A stage with its blocks and its share of the parameters and MACs of all stages, each in [0, 1]."""

    name: str
    output: str
    layers: int
    parameters: int
    macs: int
    parameters_frac: float
    macs_frac: float
    blocks: tuple[Block, ...]


def shape(output: Sequence[int]) -> str:
    """[K, h, w] as h x w x K, [D] as D: 28×28×192, 1000."""
    return "×".join(map(str, [*output[1:], output[0]]))


def boxes(network: Document) -> list[Box]:
    """Every box in order, its `reads` as places in this list."""
    groups, place_of, shapes = _folded(network)
    return [_box(group, place_of, shapes) for group in groups]


def stages(network: Document) -> list[Stage]:
    """The stages in order, equal blocks collapsed."""
    drawn: dict[str, list[Block]] = {stage["name"]: [] for stage in network["stages"]}
    first = 0
    block_of = {layer["name"]: layer["block"] for layer in network["layers"]}
    for (stage, block), run in groupby(boxes(network), key=lambda box: (box.stage, block_of[box.name])):
        members = list(run)
        drawn[stage].append(Block((block,), tuple(_within(box, first) for box in members)))
        first += len(members)
    whole = {key: max(1, sum(stage[key] for stage in network["stages"])) for key in ("parameters", "macs")}
    return [
        Stage(
            stage["name"], shape(stage["output"]), stage["layers"], stage["parameters"], stage["macs"],
            stage["parameters"] / whole["parameters"], stage["macs"] / whole["macs"],
            tuple(_collapsed(drawn[stage["name"]])),
        )
        for stage in network["stages"]
    ]  # fmt: skip


def _folded(network: Document) -> tuple[list[list[Document]], dict[str, int], dict[str, str]]:
    """Layers in groups of one box each, the place of the group that each layer is in, and each layer's shape."""
    layers = network["layers"]
    readers: dict[str, int] = {}
    for layer in layers:
        for name in layer["inputs"]:
            readers[name] = readers.get(name, 0) + 1
    groups: list[list[Document]] = []
    place_of: dict[str, int] = {INPUT: OUTSIDE}
    for layer in layers:
        before = layer["inputs"][0] if len(layer["inputs"]) == 1 else INPUT
        if layer["kind"] in _FOLDED and before != INPUT and readers[before] == 1:
            place_of[layer["name"]] = place_of[before]
            groups[place_of[before]].append(layer)
        else:
            place_of[layer["name"]] = len(groups)
            groups.append([layer])
    shapes = {layer["name"]: shape(layer["output"]) for layer in layers} | {INPUT: shape(network["input"])}
    return groups, place_of, shapes


def _box(group: Sequence[Document], place_of: Mapping[str, int], shapes: Mapping[str, str]) -> Box:
    layer, *followers = group
    parameters, macs = (sum(one[figure] for one in group) for figure in ("parameters", "macs"))
    sources = [shapes[name] for name in layer["inputs"]]
    joined = [" + ".join(source.split("×")[-1] for source in sources)] if layer["kind"] == "Concatenate" else []
    follow = " · ".join([*joined, *(_FOLDED[one["kind"]] for one in followers)])
    size = shapes[group[-1]["name"]]
    facts = [
        f"{layer['name']}: {layer['kind']}{' · ' + follow if follow else ''}",
        f"{' and '.join(sources)} to {size}",
        f"{wording.whole(parameters)} parameters, {wording.whole(macs)} MACs",
    ]
    if layer["receptive_field"]:
        facts.append(f"sees {layer['receptive_field']} pixels")
    return Box(
        name=layer["name"],
        family=_family(layer),
        kind=layer["kind"],
        lines=tuple(line for line in (_title(layer), follow, size) if line),
        facts=tuple(facts),
        reads=tuple(place_of[name] for name in layer["inputs"]),
        source=sources[0] if sources else "",
        layers=len(group),
        parameters=parameters,
        macs=macs,
        activations=layer["activations"],
        receptive_field=layer["receptive_field"],
        stage=layer["stage"],
    )


def _family(layer: Document) -> str:
    kind, kernel = layer["kind"], layer["kernel"]
    if "Conv" in kind:
        if layer["groups"] > 1 and layer["groups"] == layer["output"][0]:
            return "depthwise"
        return "one" if kernel and max(kernel) == 1 else "conv"
    if kind in _JOINS:
        return "join"
    return "linear" if kind == "Linear" else "pool" if "Pool" in kind else "other"


def _title(layer: Document) -> str:
    """What the layer is, in at most 16 letters: 3×3 conv /2, global average, add."""
    kind, kernel, stride = layer["kind"], layer["kernel"], layer["stride"]
    extent = "×".join(map(str, kernel)) + " " if kernel else ""
    step = max(stride or [1])
    by = f" /{step}" if step > 1 else ""
    if "Conv" in kind:
        word = "depthwise" if _family(layer) == "depthwise" else "conv"
        return f"{extent}{word}{by}"
    if "Pool" in kind:
        word = "max pool" if "Max" in kind else "average"
        everywhere = max(layer["output"][1:], default=1) == 1
        return f"global {word}" if everywhere else f"{extent}{word}{by}"
    other: str = {**_JOINS, **_OTHER, **_FOLDED}.get(kind) or kind
    return other[:16]


def _within(box: Box, first: int) -> Box:
    """The box with its `reads` counted from the block's first box."""
    return replace(box, reads=tuple(place - first if place >= first else OUTSIDE for place in box.reads))


def _collapsed(blocks: Sequence[Block]) -> list[Block]:
    """Equal blocks in a row as one."""
    rows = [list(run) for _, run in groupby(blocks, key=_likeness)]
    return [Block(tuple(block.names[0] for block in row), row[0].boxes) for row in rows]


def _likeness(block: Block) -> tuple[Any, ...]:
    return tuple((box.family, box.lines, box.reads, box.source, box.parameters, box.macs) for box in block.boxes)
