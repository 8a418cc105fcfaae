"""The proof that the gradients here are right: every kind of layer, in its forms, and whole networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.scratch.architectures import make, usual_size
from sightline.scratch.gradients import LIMIT, Checked, check_layer, check_network
from sightline.scratch.layers import (
    Add,
    AveragePool,
    BatchNorm,
    Concatenate,
    Convolution,
    Dropout,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    LocalResponseNorm,
    MaxPool,
    Pad,
    Relu,
    SamePad,
)

PROVEN = ("lenet", "resnet20", "plain20", "inception_small")
SIDE, PICTURES, CLASSES = 16, 3, 4
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Proof:
    """Of a layer or a network, by name: what each of its tensors came to."""

    name: str
    checked: tuple[Checked, ...]

    @property
    def worst(self) -> Checked:
        """The tensor whose gradient is furthest from its slope."""
        return max(self.checked, key=lambda one: one.error)

    @property
    def holds(self) -> bool:
        """Whether every gradient is within `gradients.LIMIT`."""
        return self.worst.error < LIMIT


def cases() -> dict[str, tuple[Layer, tuple[Shape, ...]]]:
    """Every kind of layer by what it is, new, with the shapes of inputs to check it on."""
    maps = (2, 3, 3, 2)
    return {
        "convolution, im2col, stride 2, 2 groups": (
            Convolution(4, 6, 3, 2, 1, groups=2, method="im2col"), ((2, 7, 6, 4),)
        ),
        "convolution, FFT, 1x3, dilation 2": (
            Convolution(3, 4, (1, 3), padding=(0, 1), dilation=2, bias=False, method="fft"), ((2, 7, 6, 3),)
        ),
        "convolution, loops": (Convolution(2, 3, 3, 2, 1, method="loops"), ((1, 5, 4, 2),)),
        "convolution, depthwise": (Convolution(5, 5, 3, 1, 1, groups=5, method="im2col"), ((2, 5, 5, 5),)),
        "linear": (Linear(7, 3), ((4, 7),)),
        "batch norm": (BatchNorm(3), ((4, 5, 5, 3),)),
        "local response norm": (LocalResponseNorm(5), ((2, 3, 3, 9),)),
        "ReLU": (Relu(), ((3, 4),)),
        "leaky ReLU": (Relu(slope=0.1), ((3, 4),)),
        "ReLU6, at 1": (Relu(top=1.0), ((3, 4),)),
        "max pooling, overlapping": (MaxPool(3, 2, 1), ((2, 7, 7, 3),)),
        "max pooling, beyond the edge": (MaxPool(3, 2, ceil=True), ((2, 8, 6, 3),)),
        "max pooling, side by side": (MaxPool(2), ((2, 7, 6, 3),)),
        "average pooling": (AveragePool(3, 2, 1), ((2, 7, 7, 3),)),
        "global pooling": (GlobalPool(), ((2, 3, 4, 5),)),
        "flatten": (Flatten(), ((2, 3, 4, 5),)),
        "dropout": (Dropout(0.5), ((6, 6),)),
        "addition": (Add(), (maps,) * 3),
        "depth concatenation": (Concatenate(), (maps, (2, 3, 3, 4))),
        "shortcut A": (Pad(3, 8, 2), ((2, 5, 5, 3),)),
        "padding as TensorFlow's": (SamePad(3, 2), ((2, 6, 5, 3),)),
    }  # fmt: skip


def prove_layers(seed: int = 0) -> Iterator[Proof]:
    """Each of `cases`, on drawn inputs, its parameters away from where they begin."""
    random = np.random.default_rng(seed)
    for name, (layer, shapes) in cases().items():
        layer.initialise(random)
        for parameter in layer.parameters.values():
            parameter += 0.3 * random.standard_normal(parameter.shape)
        inputs = [random.standard_normal(shape) for shape in shapes]
        yield Proof(name, tuple(check_layer(layer, *inputs, seed=seed)))


def prove_networks(names: Sequence[str] = PROVEN, seed: int = 0) -> Iterator[Proof]:
    """The networks of full `names`, newly drawn, on drawn pictures, by the loss. UserError for one that is unknown."""
    random = np.random.default_rng(seed)
    for name in names:
        usual_size(name)  # a network that is not there is said before long work
    for name in names:
        network = make(name, classes=CLASSES, size=SIDE, small=True)
        network.initialise(seed)
        pictures = random.standard_normal((PICTURES, SIDE, SIDE, 3))
        yield Proof(name, tuple(check_network(network, pictures, random.integers(0, CLASSES, PICTURES), seed)))
