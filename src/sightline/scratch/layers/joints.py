"""Layers where branches meet: the ends of residual and inception blocks."""

from __future__ import annotations

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.layers.layer import Answers, Layer


class Add(Layer):
    """The sum of its inputs: the end of a residual block."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """Shapes that are one, to the same."""
        self.saved = len(inputs) if training else None
        return F.add(*inputs)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """The same for each: whatever the branch does, the shortcut hands the gradient on undiminished."""
        return (dy,) * self.take()


class Concatenate(Layer):
    """The channels of its inputs one after another: the end of an inception block."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, Ci] of each to [N, H, W, sum of Ci]."""
        self.saved = [x.shape[-1] for x in inputs] if training else None
        return F.concatenate(*inputs)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """To each its own channels."""
        return tuple(F.concatenate_gradient(dy, self.take()))
