"""The networks by their names, as everywhere in Sightline; two more, lenet and inception_small, are for students.

A full name is `NAME:option=value,...`. What a network has elsewhere and not here (EfficientNet's gates, another
activation) is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sightline.core.errors import UserError, closest, named
from sightline.scratch.architectures.inception import googlenet, inception_small
from sightline.scratch.architectures.lenet import lenet
from sightline.scratch.architectures.mobilenet import mobilenet_v1, mobilenet_v2
from sightline.scratch.architectures.resnet import cifar_resnet, imagenet_resnet
from sightline.scratch.architectures.vgg import DEPTHS, alexnet, vgg
from sightline.scratch.network import Network

__all__ = ["NETWORKS", "make"]

CIFAR = (3, 5, 7, 9, 18)


@dataclass(frozen=True)
class _Wanted:
    """Pictures of `channels` and `size`, the stem for small ones, and the paper's own form instead of PyTorch's."""

    classes: int
    channels: int
    size: int
    small: bool
    paper: bool

    @property
    def both(self) -> tuple[int, int]:
        return self.classes, self.channels


Build = Callable[..., Network]


def _lenet(wanted: _Wanted) -> Network:
    return lenet(*wanted.both, wanted.size)


def _inception_small(wanted: _Wanted) -> Network:
    return inception_small(*wanted.both)


def _cifar(depth: int, wanted: _Wanted, *, shortcut: str) -> Network:
    return cifar_resnet(*wanted.both, depth, shortcut)


def _imagenet(depths: tuple[int, ...], expansion: int, wanted: _Wanted, *, shortcut: str) -> Network:
    return imagenet_resnet(
        *wanted.both, depths, expansion, shortcut, small=wanted.small, stride_first=wanted.paper
    )  # fmt: skip


def _googlenet(wanted: _Wanted, *, width: float, naive: bool = False) -> Network:
    return googlenet(*wanted.both, small=wanted.small, paper=wanted.paper, width=width, naive=naive)


def _mobilenet(build: Build, wanted: _Wanted, *, width: float) -> Network:
    return build(*wanted.both, small=wanted.small, paper=wanted.paper, width=width)


def _vgg(layers: int, norm: bool, wanted: _Wanted) -> Network:
    return vgg(*wanted.both, layers, norm=norm, small=wanted.small)


def _alexnet(wanted: _Wanted) -> Network:
    return alexnet(*wanted.both, small=wanted.small, paper=wanted.paper)


# Each with its options and their defaults
NETWORKS: dict[str, tuple[Build, dict[str, str | float]]] = {
    "lenet": (_lenet, {}),
    "inception_small": (_inception_small, {}),
    **{f"resnet{6 * n + 2}": (partial(_cifar, n), {"shortcut": "A"}) for n in (*CIFAR, 200)},
    **{f"plain{6 * n + 2}": (partial(_cifar, n), {"shortcut": "none"}) for n in CIFAR},
    "resnet18": (partial(_imagenet, (2, 2, 2, 2), 1), {"shortcut": "B"}),
    "resnet34": (partial(_imagenet, (3, 4, 6, 3), 1), {"shortcut": "B"}),
    "resnet50": (partial(_imagenet, (3, 4, 6, 3), 4), {"shortcut": "B"}),
    "resnet101": (partial(_imagenet, (3, 4, 23, 3), 4), {"shortcut": "B"}),
    "resnet152": (partial(_imagenet, (3, 8, 36, 3), 4), {"shortcut": "B"}),
    "plain18": (partial(_imagenet, (2, 2, 2, 2), 1), {"shortcut": "none"}),
    "plain34": (partial(_imagenet, (3, 4, 6, 3), 1), {"shortcut": "none"}),
    "googlenet": (_googlenet, {"width": 1.0}),
    "googlenet_small": (_googlenet, {"width": 0.25}),
    "googlenet_naive": (partial(_googlenet, naive=True), {"width": 1.0}),
    "mobilenet_v1": (partial(_mobilenet, mobilenet_v1), {"width": 1.0}),
    "mobilenet_v2": (partial(_mobilenet, mobilenet_v2), {"width": 1.0}),
    "alexnet": (_alexnet, {}),
    **{f"vgg{layers}": (partial(_vgg, layers, False), {}) for layers in DEPTHS},
    **{f"vgg{layers}_bn": (partial(_vgg, layers, True), {}) for layers in DEPTHS},
}


def make(
    name: str, *, classes: int, channels: int = 3, size: int = 32, small: bool = False, paper: bool = False
) -> Network:
    """The network of full name `name`, its numbers not drawn yet.

    UserError, with the nearest name, when there is no such network, option or value.
    """
    base, _, wishes = name.partition(":")
    if base not in NETWORKS:
        raise UserError(
            f'no network "{named(base)}" in NumPy{closest(base, NETWORKS) or ":"} there are {", ".join(NETWORKS)}'
        )
    build, options = NETWORKS[base]
    given = dict(options)
    for wish in wishes.split(",") if wishes else ():
        option, _, text = (part.strip() for part in wish.partition("="))
        if option not in options:
            raise UserError(f'{base} has no option "{named(option)}" in NumPy: it has {", ".join(options) or "none"}')
        given[option] = _value(base, option, text, options[option])
    return build(_Wanted(classes, channels, size, small, paper), **given)


def _value(name: str, option: str, text: str, default: str | float) -> str | float:
    try:
        value = type(default)(text)
    except ValueError:
        raise UserError(f'{name}: {option} must be a number, not "{named(text)}"') from None
    if option == "shortcut" and value not in ("A", "B", "C", "none"):
        raise UserError(f'{name}: no shortcut "{named(text)}", use A, B, C or none')
    return value
