"""The networks: one table of names, one way to build them.

A family is a file here; its builder takes (num_classes, in_channels, stem, style) and its own options by keyword, each
with a default. A network's full name is its name in the table, or `NAME:option=value,...`: resnet20:shortcut=B,
mobilenet_v2:width=0.5, efficientnet:phi=1.5. Adding a network is a file, a line in ARCHITECTURES and a golden in
tests/models/goldens.json.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from sightline.core.errors import UserError, closest, named
from sightline.models.alexnet import AlexNet
from sightline.models.blank import blank
from sightline.models.efficientnet import SCALES, EfficientNet, compound_efficientnet, compound_size
from sightline.models.googlenet import GoogLeNet
from sightline.models.layers import Network, exchange_relu
from sightline.models.mobilenet import MobileNetV1, MobileNetV2
from sightline.models.resnet import basic_resnet, bottleneck_resnet, cifar_resnet
from sightline.models.vgg import DEPTHS, VGG

__all__ = [
    "ARCHITECTURES",
    "STYLES",
    "Architecture",
    "Network",
    "architecture",
    "check_size",
    "create",
    "learns_from_one",
    "smallest_size",
]

STYLES = ("torchvision", "paper")
BOTH = ("imagenet", "small")
SMALL = ("small",)


@dataclass(frozen=True)
class Architecture:
    """How a network is built, the picture size (pixels) it is meant for, the stems it has (the first is its own).

    `resolution` gives the size of a network whose options decide it. `options` are those a full name asked for.
    """

    build: Callable[..., Network]
    size: int = 224
    stems: tuple[str, ...] = BOTH
    resolution: Callable[..., int] | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def defaults(self) -> dict[str, Any]:
        """The builder's own options and their defaults."""
        parameters = inspect.signature(self.build).parameters.values()
        taken = self.build.keywords if isinstance(self.build, partial) else {}
        return {p.name: p.default for p in parameters if p.kind == p.KEYWORD_ONLY and p.name not in taken}


ARCHITECTURES: dict[str, Architecture] = {
    "resnet18": Architecture(partial(basic_resnet, (2, 2, 2, 2))),
    "resnet34": Architecture(partial(basic_resnet, (3, 4, 6, 3))),
    "resnet50": Architecture(partial(bottleneck_resnet, (3, 4, 6, 3))),
    "resnet101": Architecture(partial(bottleneck_resnet, (3, 4, 23, 3))),
    "resnet152": Architecture(partial(bottleneck_resnet, (3, 8, 36, 3))),
    "plain18": Architecture(partial(basic_resnet, (2, 2, 2, 2), shortcut="none")),
    "plain34": Architecture(partial(basic_resnet, (3, 4, 6, 3), shortcut="none")),
    **{f"resnet{6 * n + 2}": Architecture(partial(cifar_resnet, n), 32, SMALL) for n in (3, 5, 7, 9, 18, 200)},
    **{
        f"plain{6 * n + 2}": Architecture(partial(cifar_resnet, n, shortcut="none"), 32, SMALL)
        for n in (3, 5, 7, 9, 18)
    },
    "googlenet": Architecture(GoogLeNet),
    "googlenet_small": Architecture(partial(GoogLeNet, width=0.25), 32, ("small", "imagenet")),
    "googlenet_naive": Architecture(partial(GoogLeNet, naive=True)),
    "alexnet": Architecture(AlexNet),
    **{f"vgg{layers}": Architecture(partial(VGG, layers, norm=False)) for layers in DEPTHS},
    **{f"vgg{layers}_bn": Architecture(partial(VGG, layers, norm=True)) for layers in DEPTHS},
    "mobilenet_v1": Architecture(MobileNetV1),
    "mobilenet_v2": Architecture(MobileNetV2),
    **{f"efficientnet_b{n}": Architecture(partial(EfficientNet, scale), scale.size) for n, scale in enumerate(SCALES)},
    "efficientnet": Architecture(compound_efficientnet, resolution=compound_size),
}


def architecture(name: str) -> Architecture:
    """The table's line for the full name `name`, its options read.

    UserError, with the nearest name, when there is no such network, option or value.
    """
    base, _, wishes = name.partition(":")
    if base not in ARCHITECTURES:
        raise UserError(
            f'unknown network "{named(base)}"{closest(base, ARCHITECTURES) or ":"} known are {", ".join(ARCHITECTURES)}'
        )
    found = ARCHITECTURES[base]
    defaults, options = {**found.defaults(), "activation": "relu"}, {}
    for wish in wishes.split(",") if wishes else ():
        option, _, text = (part.strip() for part in wish.partition("="))
        _check_option(base, option, defaults)
        if option in options:
            raise UserError(f"{base} is given {option} twice: leave one out")
        options[option] = _value(base, option, text, defaults[option])
    own = {option: value for option, value in options.items() if option != "activation"}
    return replace(found, options=options, size=found.resolution(**own) if found.resolution else found.size)


def create(
    name: str, *, num_classes: int, in_channels: int = 3, stem: str | None = None, style: str = STYLES[0],
    **options: Any,
) -> Network:  # fmt: skip
    """The network of full name `name`, freshly initialised from torch's random generator, in training mode.

    `stem="small"` is for pictures of about 32 pixels; None takes the network's own. `style="paper"` follows the paper
    where it and torchvision's weights conflict. `options` are the family's own, as in a full name; every network with
    ReLUs also has `activation`: relu or leaky_relu. UserError for an unknown name, stem, style or option, and for
    counts below 1.
    """
    found = architecture(name)
    base = name.partition(":")[0]
    stem = stem or found.stems[0]
    if stem not in found.stems:
        raise UserError(f'{base} has no stem "{named(stem)}": use {" or ".join(found.stems)}')
    if style not in STYLES:
        raise UserError(f'unknown style "{named(style)}": use {" or ".join(STYLES)}')
    if num_classes < 1 or in_channels < 1:
        raise UserError(f"{base} needs at least one class and one input channel, not {num_classes} and {in_channels}")
    for option in options:
        _check_option(base, option, {**found.defaults(), "activation": "relu"})
    wished = {**found.options, **options}
    activation = wished.pop("activation", "relu")
    network = found.build(num_classes, in_channels, stem, style, **wished)
    if activation != "relu":
        exchange_relu(network, base, activation)
    return network


def check_size(name: str, size: int, *, stem: str | None = None, style: str = STYLES[0]) -> None:
    """UserError that says the smallest size when pictures of `size` x `size` pixels are too small for the network."""
    if size < architecture(name).size and not _passes(_on_meta(name, stem, style), size):
        least = smallest_size(name, stem=stem, style=style)
        raise UserError(f"pictures of {size} pixels are too small for {named(name)}: resize them to {least} or more")


def smallest_size(name: str, *, stem: str | None = None, style: str = STYLES[0]) -> int:
    """Pixels of the smallest square pictures the network can take; found by trying, without computing a number."""
    network, own = _on_meta(name, stem, style), architecture(name).size
    _see(network, own)  # a network that fails at its own size has another fault: let that error through
    return next(size for size in range(1, own + 1) if _passes(network, size))


def learns_from_one(name: str, size: int, *, stem: str | None = None, style: str = STYLES[0]) -> bool:
    """Whether one picture of `size` x `size` is enough for a training step: each batch norm needs two places."""
    try:
        _see(_on_meta(name, stem, style).train(), size)
    except ValueError:
        return False
    return True


def _on_meta(name: str, stem: str | None, style: str) -> Network:
    """The network for evaluation, its weights without content."""
    with blank():
        return create(name, num_classes=1, stem=stem, style=style).eval()


def _passes(network: Network, size: int) -> bool:
    """Whether a picture of `size` x `size` gets through: torch refuses kernels larger than what they see."""
    try:
        _see(network, size)
    except RuntimeError:
        return False
    return True


def _see(network: Network, size: int) -> None:
    """Pass one picture without content through."""
    with torch.inference_mode():
        network(torch.empty(1, 3, size, size, device="meta"))


def _check_option(name: str, option: str, known: dict[str, Any]) -> None:
    if option not in known:
        raise UserError(f'{name} has no option "{named(option)}": it has {", ".join(known)}')


def _value(name: str, option: str, text: str, default: Any) -> Any:
    """The text of an option as what its default is: yes or no, a number, or a word."""
    try:
        if isinstance(default, bool):
            return {"yes": True, "no": False}[text]
        return type(default)(text)
    except (KeyError, ValueError):
        kind = "yes or no" if isinstance(default, bool) else "a number"
        raise UserError(f'{name}: {option} must be {kind}, not "{named(text)}"') from None
