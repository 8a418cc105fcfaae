"""The networks: one table of names, one way to build them.

A family is a file here; its builder takes (num_classes, in_channels, stem, style) and its own options by keyword.
Adding a network is a file, a line in ARCHITECTURES and a golden in tests/models/goldens.json.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sightline.core.errors import UserError, closest, named
from sightline.models.googlenet import GoogLeNet
from sightline.models.layers import Network
from sightline.models.resnet import basic_resnet, bottleneck_resnet, cifar_resnet

__all__ = ["ARCHITECTURES", "STYLES", "Architecture", "Network", "architecture", "create"]

STYLES = ("torchvision", "paper")
BOTH = ("imagenet", "small")


@dataclass(frozen=True)
class Architecture:
    """How a network is built, the picture size (pixels) it is meant for, the stems it has (the first is its own)."""

    build: Callable[..., Network]
    size: int = 224
    stems: tuple[str, ...] = BOTH


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(partial(basic_resnet, (2, 2, 2, 2))),
    "resnet34": Architecture(partial(basic_resnet, (3, 4, 6, 3))),
    "resnet50": Architecture(partial(bottleneck_resnet, (3, 4, 6, 3))),
    "resnet101": Architecture(partial(bottleneck_resnet, (3, 4, 23, 3))),
    "resnet152": Architecture(partial(bottleneck_resnet, (3, 8, 36, 3))),
    "resnet20": Architecture(partial(cifar_resnet, 3), 32, ("small",)),
    "resnet32": Architecture(partial(cifar_resnet, 5), 32, ("small",)),
    "resnet44": Architecture(partial(cifar_resnet, 7), 32, ("small",)),
    "resnet56": Architecture(partial(cifar_resnet, 9), 32, ("small",)),
    "resnet110": Architecture(partial(cifar_resnet, 18), 32, ("small",)),
    "googlenet": Architecture(GoogLeNet),
    "googlenet_small": Architecture(partial(GoogLeNet, width=0.25), 32, ("small", "imagenet")),
}


def architecture(name: str) -> Architecture:
    """The table's line for `name`; UserError, with the nearest name, when there is none."""
    if name not in ARCHITECTURES:
        raise UserError(
            f'unknown network "{named(name)}"{closest(name, ARCHITECTURES) or ":"} known are {", ".join(ARCHITECTURES)}'
        )
    return ARCHITECTURES[name]


def create(
    name: str, *, num_classes: int, in_channels: int = 3, stem: str | None = None, style: str = "torchvision",
    **options: Any,
) -> Network:  # fmt: skip
    """The network `name`, freshly initialised from torch's random generator, in training mode.

    `stem="small"` is for pictures of about 32 pixels; None takes the network's own. `style="paper"` follows the paper
    where it and torchvision's weights conflict. `options` are the family's own (GoogLeNet: width, aux).
    UserError for an unknown name, stem, style or option, and for counts below 1.
    """
    found = architecture(name)
    stem = stem or found.stems[0]
    if stem not in found.stems:
        raise UserError(f'{name} has no stem "{named(stem)}": use {" or ".join(found.stems)}')
    if style not in STYLES:
        raise UserError(f'unknown style "{named(style)}": use {" or ".join(STYLES)}')
    if num_classes < 1 or in_channels < 1:
        raise UserError(f"{name} needs at least one class and one input channel, not {num_classes} and {in_channels}")
    allowed = [p.name for p in inspect.signature(found.build).parameters.values() if p.kind == p.KEYWORD_ONLY]
    for option in options:
        if option not in allowed:
            raise UserError(f'{name} has no option "{named(option)}": it has {", ".join(allowed) or "none"}')
    return found.build(num_classes, in_channels, stem, style, **options)
