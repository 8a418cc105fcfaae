"""Layers that do the same to every number: ReLU and dropout."""

from __future__ import annotations

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.layers.layer import Answers, Layer


class Relu(Layer):
    """The positive part; below 0 `slope` times it, or `top` at most."""

    def __init__(self, slope: float = 0.0, top: float = np.inf) -> None:
        super().__init__()
        if slope and np.isfinite(top):
            raise ValueError("a ReLU has a slope below 0 or a top, not both")
        self.slope, self.top = slope, top

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """Any shape to the same."""
        (x,) = inputs
        y = F.relu(x, self.slope) if np.isinf(self.top) else F.clipped_relu(x, self.top)
        self.saved = y if training else None
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """Any shape to the same."""
        y = self.take()
        if np.isinf(self.top):
            return (F.relu_gradient(dy, y, self.slope),)
        return (F.clipped_relu_gradient(dy, y, self.top),)


class Dropout(Layer):
    """In training, numbers set to 0 with probability `rate`; each time others, drawn from `random`."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.random = rate, np.random.default_rng(0)

    def initialise(self, random: np.random.Generator) -> None:
        """What it will draw."""
        self.random = np.random.default_rng(random.integers(1 << 63))

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """Any shape to the same."""
        (x,) = inputs
        if not training:
            return x
        y, self.saved = F.dropout(x, self.rate, self.random)
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """Any shape to the same."""
        return (dy * self.take(),)
