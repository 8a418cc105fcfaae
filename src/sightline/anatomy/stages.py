"""What a person calls the parts of a network: stages (conv1, layer1, inception3a, features.0-4) and their blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from torch import nn

from sightline.anatomy.layer import WEIGHTED, AnyConv, Layer

POOLS = ("MaxPool2d", "AvgPool")


def with_stages(network: nn.Module, layers: Sequence[Layer]) -> list[Layer]:
    """The layers of `network`, receptive fields known, with their stages and blocks.

    A stage is a part at the top of the network with what follows it (batch norm, pooling). A sequence there is cut
    where channels change, where a block strides, and after a pooling. What sees the whole picture to the end is the
    last stage, named after the last linear layer.
    """
    modules = dict(network.named_modules())
    stages = _stages(modules, layers)
    blocks = _blocks(modules)
    return [
        replace(layer, stage=stage, block=next((b for b in _above(layer.name) if b in blocks), ""))
        for layer, stage in zip(layers, stages, strict=True)
    ]


def _stages(modules: dict[str, nn.Module], layers: Sequence[Layer]) -> list[str]:
    body = max((i + 1 for i, layer in enumerate(layers) if layer.receptive_field is not None), default=0)
    stages: list[str] = []
    for top, run in groupby(layers[:body], key=lambda layer: layer.name.partition(".")[0]):
        members = list(run)
        if not stages or any(layer.kind in WEIGHTED for layer in members):
            stages += _cut(top, members) if type(modules.get(top)) is nn.Sequential else [top] * len(members)
        else:
            stages += [stages[-1]] * len(members)
    last = next((layer.name for layer in reversed(layers) if layer.kind in WEIGHTED), layers[-1].name)
    return stages + [last.partition(".")[0]] * (len(layers) - body)


def _cut(top: str, layers: Sequence[Layer]) -> list[str]:
    """Stage names for the layers of the sequence `top`: its own name when it is one stage."""
    children = [(name, list(run)) for name, run in groupby(layers, key=lambda layer: layer.name.split(".")[1])]
    groups: list[list[tuple[str, int]]] = []
    before: Layer | None = None
    for name, members in children:
        after = members[-1]
        pools = before is not None and before.kind in POOLS
        strides = before is not None and after.kind not in POOLS and after.output[1:] != before.output[1:]
        if before is None or pools or strides or after.output[0] != before.output[0]:
            groups.append([])
        groups[-1].append((name, len(members)))
        before = after
    stages = []
    for group in groups:
        first, last = group[0][0], group[-1][0]
        label = top if len(groups) == 1 else f"{top}.{first}" if first == last else f"{top}.{first}-{last}"
        stages += [label] * sum(count for _, count in group)
    return stages


def _blocks(modules: dict[str, nn.Module]) -> set[str]:
    """The parts that have several convolutions and are no mere rows of such parts."""
    inside = Counter(part for name, m in modules.items() if isinstance(m, AnyConv) for part in _above(name))
    rows = {part.rpartition(".")[0] for part, count in inside.items() if count > 1}
    return {
        part for part, count in inside.items()
        if count > 1 and not (type(modules[part]) is nn.Sequential and ("." not in part or part in rows))
    }  # fmt: skip


def _above(name: str) -> Iterator[str]:
    """The parts that `name` is in, from the top down: features, features.2, features.2.0."""
    parts = name.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))
