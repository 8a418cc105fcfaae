"""Layers that pool: the largest or the mean of windows, the mean of the whole picture."""

from __future__ import annotations

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.functional import Geometry
from sightline.scratch.layers.layer import Answers, Layer


class MaxPool(Layer):
    """The largest of each window of `kernel` x `kernel`."""

    def __init__(self, kernel: int, stride: int | None = None, padding: int = 0, *, ceil: bool = False) -> None:
        super().__init__()
        stride = stride or kernel
        self.kernel, self.ceil = (kernel, kernel), ceil
        self.geometry = Geometry((stride, stride), (padding, padding))

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, P, Q, C]."""
        (x,) = inputs
        y = F.max_pool(x, self.kernel, self.geometry, ceil=self.ceil)
        self.saved = (x, y) if training else None
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, P, Q, C] to [N, H, W, C]."""
        x, y = self.take()
        return (F.max_pool_gradient(dy, x, y, self.kernel, self.geometry, ceil=self.ceil),)


class AveragePool(Layer):
    """The mean of each window of `kernel` x `kernel`; padding counts as zeros."""

    def __init__(self, kernel: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        stride = stride or kernel
        self.kernel, self.geometry = (kernel, kernel), Geometry((stride, stride), (padding, padding))

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, P, Q, C]."""
        (x,) = inputs
        self.saved = x if training else None
        return F.average_pool(x, self.kernel, self.geometry)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, P, Q, C] to [N, H, W, C]."""
        return (F.average_pool_gradient(dy, self.take(), self.kernel, self.geometry),)


class GlobalPool(Layer):
    """The mean of each channel over the whole picture."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, C]."""
        (x,) = inputs
        self.saved = x if training else None
        return F.global_pool(x)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, C] to [N, H, W, C]."""
        return (F.global_pool_gradient(dy, self.take()),)
