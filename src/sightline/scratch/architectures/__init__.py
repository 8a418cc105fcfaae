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

__all__ = ["NETWORKS", "make", "usual_size"]

CIFAR = (3, 5, 7, 9, 18)
WIDEST = 16


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


@dataclass(frozen=True)
class _Known:
    """How a network is built, its options with their defaults, and the side of the pictures it was made for."""

    build: Build
    options: dict[str, str | float]
    size: int


def _small(build: Build, **options: str | float) -> _Known:
    return _Known(build, options, 32)


def _large(build: Build, **options: str | float) -> _Known:
    return _Known(build, options, 224)


NETWORKS = {
    "lenet": _Known(_lenet, {}, 28),
    "inception_small": _small(_inception_small),
    **{f"resnet{6 * n + 2}": _small(partial(_cifar, n), shortcut="A") for n in (*CIFAR, 200)},
    **{f"plain{6 * n + 2}": _small(partial(_cifar, n), shortcut="none") for n in CIFAR},
    "resnet18": _large(partial(_imagenet, (2, 2, 2, 2), 1), shortcut="B"),
    "resnet34": _large(partial(_imagenet, (3, 4, 6, 3), 1), shortcut="B"),
    "resnet50": _large(partial(_imagenet, (3, 4, 6, 3), 4), shortcut="B"),
    "resnet101": _large(partial(_imagenet, (3, 4, 23, 3), 4), shortcut="B"),
    "resnet152": _large(partial(_imagenet, (3, 8, 36, 3), 4), shortcut="B"),
    "plain18": _large(partial(_imagenet, (2, 2, 2, 2), 1), shortcut="none"),
    "plain34": _large(partial(_imagenet, (3, 4, 6, 3), 1), shortcut="none"),
    "googlenet": _large(_googlenet, width=1.0),
    "googlenet_small": _large(_googlenet, width=0.25),
    "googlenet_naive": _large(partial(_googlenet, naive=True), width=1.0),
    "mobilenet_v1": _large(partial(_mobilenet, mobilenet_v1), width=1.0),
    "mobilenet_v2": _large(partial(_mobilenet, mobilenet_v2), width=1.0),
    "alexnet": _large(_alexnet),
    **{f"vgg{layers}": _large(partial(_vgg, layers, False)) for layers in DEPTHS},
    **{f"vgg{layers}_bn": _large(partial(_vgg, layers, True)) for layers in DEPTHS},
}


def usual_size(name: str) -> int:
    """The side, in pixels, of the pictures that the network of full name `name` was made for; UserError as `make`'s."""
    return _known(name).size


def make(
    name: str, *, classes: int, channels: int = 3, size: int = 32, small: bool = False, paper: bool = False
) -> Network:
    """The network of full name `name`, its numbers not drawn yet.

    UserError, with the nearest name, when there is no such network, option or value.
    """
    known = _known(name)
    base, _, wishes = name.partition(":")
    given = dict(known.options)
    for wish in wishes.split(",") if wishes else ():
        option, _, text = (part.strip() for part in wish.partition("="))
        if option not in given:
            raise UserError(f'{base} has no option "{named(option)}" in NumPy: it has {", ".join(given) or "none"}')
        given[option] = _value(base, option, text, known.options[option])
    return known.build(_Wanted(classes, channels, size, small, paper), **given)


def _known(name: str) -> _Known:
    base = name.partition(":")[0]
    if base not in NETWORKS:
        raise UserError(
            f'no network "{named(base)}" in NumPy{closest(base, NETWORKS) or ":"} there are {", ".join(NETWORKS)}'
        )
    return NETWORKS[base]


def _value(name: str, option: str, text: str, default: str | float) -> str | float:
    try:
        value = type(default)(text)
    except ValueError:
        raise UserError(f'{name}: {option} must be a number, not "{named(text)}"') from None
    if isinstance(value, float) and not 0 < value <= WIDEST:
        raise UserError(f"{name}: {option} {value:g} is out of range: it must be above 0 and at most {WIDEST}")
    if option == "shortcut" and value not in ("A", "B", "C", "none"):
        raise UserError(f'{name}: no shortcut "{named(text)}", use A, B, C or none')
    return value
