"""Whether gradients are right: the derivative along a drawn direction, by the network and by taking a small step.

For a direction v the slope of f at x is <gradient, v>, and about (f(x + h v) - f(x - h v)) / 2h. One direction touches
every number at once, so a network of millions is checked by two more forwards; a wrong gradient hides from a drawn
direction with probability 0. Half of v is drawn, half is along the gradient itself, so that the slope is not lost in
rounding: in float64 the two agree to about 1e-8. Where a ReLU or a pooling turns over within the step a shorter one
helps, as it does not where the gradient is wrong; the best of three lengths counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sightline.scratch.functional import cross_entropy
from sightline.scratch.layers import Dropout, Layer
from sightline.scratch.network import PICTURES, Network

STEPS = (1e-6, 1e-7, 1e-8)
LIMIT = 1e-6  # relative, above which a gradient is wrong


@dataclass(frozen=True)
class Checked:
    """Of one tensor, by name: its slope along a direction by the gradient and by a small step."""

    name: str
    gradient: float
    measured: float

    @property
    def error(self) -> float:
        """Relative to the larger of the two."""
        return abs(self.gradient - self.measured) / max(abs(self.gradient), abs(self.measured), 1e-8)


def check_layer(layer: Layer, *inputs: np.ndarray, seed: int = 0) -> list[Checked]:
    """Every input and parameter of `layer`, turned to float64, by the sum of its answer times drawn numbers."""
    random = np.random.default_rng(seed)
    for held in (layer.parameters, layer.kept):
        held.update({name: value.astype(np.float64) for name, value in held.items()})
    tensors = {f"input {number}": value for number, value in enumerate(inputs)} | layer.parameters

    def answer() -> np.ndarray:
        if isinstance(layer, Dropout):
            layer.random = np.random.default_rng(seed)  # else each answer drops others
        return layer.forward(*inputs, training=True)

    weights = random.standard_normal(answer().shape)
    found = layer.backward(weights)
    gradients = {f"input {number}": dx for number, dx in enumerate(found) if dx is not None} | layer.gradients
    return [
        _checked(name, tensors[name], gradient, lambda: float((answer() * weights).sum()), random)
        for name, gradient in gradients.items()
    ]


def check_network(network: Network, pictures: np.ndarray, labels: np.ndarray, seed: int = 0) -> list[Checked]:
    """Every parameter of `network`, which is turned to float64, and the pictures, by the cross-entropy in training."""
    network.to(np.float64)
    pictures = pictures.astype(np.float64)
    random = np.random.default_rng(seed)

    def loss() -> tuple[float, np.ndarray]:
        for node in network.nodes.values():
            if isinstance(node.layer, Dropout):
                node.layer.random = np.random.default_rng(seed)
        return cross_entropy(network.forward(pictures, training=True), labels)

    dx = network.backward(loss()[1], input_too=True)
    assert dx is not None
    gradients = {PICTURES: dx} | {name: value.copy() for name, value in network.gradients.items()}
    tensors = {PICTURES: pictures} | network.parameters
    return [_checked(name, tensors[name], gradient, lambda: loss()[0], random) for name, gradient in gradients.items()]


def _checked(
    name: str, tensor: np.ndarray, gradient: np.ndarray, value: Callable[[], float], random: np.random.Generator
) -> Checked:
    """Move `tensor` there and back."""
    before, drawn = tensor.copy(), random.standard_normal(tensor.shape)
    direction = sum(of / (np.linalg.norm(of) or 1) for of in (drawn, gradient))
    slope, found = float((gradient * direction).sum()), []
    for step in STEPS:
        values = []
        for moved in (step, -step):
            tensor[...] = before + moved * direction
            values.append(value())
        found.append(Checked(name, slope, (values[0] - values[1]) / (2 * step)))
    tensor[...] = before
    return min(found, key=lambda one: one.error)
