"""What a person calls the parts of a network: stages (conv1, layer1, inception3a, features.0-4) and their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from torch import nn

from sightline.anatomy.layer import WEIGHTED, Convolution, Layer, is_layer

POOLS = ("MaxPool2d", "AvgPool")


def with_stages(network: nn.Module, layers: Sequence[Layer]) -> list[Layer]:
    """The layers of `network`, receptive fields known, with their stages and blocks.

    A stage is a part at the top of the network with what follows it (batch norm, pooling). A sequence there is cut
    where channels change, where a block strides, and after a pooling. What sees the whole picture to the end is the
    last stage, named after the last linear layer.
    """
    modules = dict(network.named_modules())
    stages = _stages(modules, layers)
    return [replace(x, stage=stage, block=_block(modules, x.name)) for x, stage in zip(layers, stages, strict=True)]


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


def _block(modules: dict[str, nn.Module], name: str) -> str:
    """The outermost part below the top that has several convolutions and is no mere sequence; "" when there is none."""
    parts = name.split(".")
    for end in range(1, len(parts)):
        path = ".".join(parts[:end])
        module = modules.get(path)
        if module is None or is_layer(module) or type(module) is nn.Sequential:
            continue
        if sum(isinstance(child, Convolution) for child in module.modules()) > 1:
            return path
    return ""
