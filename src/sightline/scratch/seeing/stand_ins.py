"""Networks made of another's layers, to look at what it does: as it is in use, and with an edge cut.

Neither changes the network it is made of; what is learnt is shared.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from typing import NamedTuple

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.layers import BatchNorm, Dropout, Layer
from sightline.scratch.layers.layer import Answers
from sightline.scratch.network import Network


class Edge(NamedTuple):
    """What `node` hears as its input of that `number`."""

    node: str
    number: int


class FixedNorm(Layer):
    """A batch norm as it is in use, in training too: scale and shift of each channel by what was kept."""

    def __init__(self, norm: BatchNorm) -> None:
        super().__init__()
        self.parameters, self.kept, self.epsilon = norm.parameters, norm.kept, norm.epsilon

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to the same."""
        (x,) = inputs
        self.saved = x if training else None
        return F.fixed_norm(x, self.parameters["weight"], self.parameters["bias"], *self._seen)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H, W, C] to the same."""
        dx, scale, shift = F.fixed_norm_gradients(dy, self.take(), self.parameters["weight"], *self._seen)
        self.gradients = {"weight": scale, "bias": shift}
        return (dx,)

    @property
    def _seen(self) -> tuple[np.ndarray, np.ndarray, float]:
        return self.kept["running_mean"], self.kept["running_var"], self.epsilon


class Zeros(Layer):
    """Nothing, in the shape of what it hears."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """Any shape to the same."""
        return np.zeros_like(inputs[0])

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """Nothing of the answer came from the input."""
        return (np.zeros_like(dy),)


def in_use(network: Network) -> Network:
    """`network` as it answers in use, to go backward through: batch norms by what they kept, nothing dropped.

    One picture is no batch, so its own mean and variance would say nothing.
    """
    made = Network()
    for node in network.nodes.values():
        made.add(node.name, _in_use(node.layer), *node.inputs)
    return made


def _in_use(layer: Layer) -> Layer:
    if isinstance(layer, BatchNorm):
        return FixedNorm(layer)
    if isinstance(layer, Dropout):
        return Dropout(0.0)
    twin = copy(layer)
    twin.gradients = {}
    return twin


def without(network: Network, edges: Collection[Edge]) -> Network:
    """`network` in which zeros come along `edges`, and everything else is as it was."""
    made = Network()
    for node in network.nodes.values():
        heard = [
            made.add(f"{node.name}, input {number}", Zeros(), name) if Edge(node.name, number) in edges else name
            for number, name in enumerate(node.inputs)
        ]
        made.add(node.name, node.layer, *heard)
    return made
