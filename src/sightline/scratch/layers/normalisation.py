"""Layers that normalise: over the batch, and between neighbouring channels."""

from __future__ import annotations

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.layers.layer import Answers, Layer


class BatchNorm(Layer):
    """Each channel to mean 0 and variance 1 over the batch, in use by what training kept of means and variances."""

    def __init__(self, channels: int, *, epsilon: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.epsilon, self.momentum = epsilon, momentum
        self.parameters = {"weight": np.ones(channels, np.float32), "bias": np.zeros(channels, np.float32)}
        self.kept = {"running_mean": np.zeros(channels, np.float32), "running_var": np.ones(channels, np.float32)}

    def initialise(self, random: np.random.Generator) -> None:
        """As if it was not there."""
        for of, value in (
            (self.parameters["weight"], 1), (self.parameters["bias"], 0),
            (self.kept["running_mean"], 0), (self.kept["running_var"], 1),
        ):  # fmt: skip
            of[:] = value

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to the same."""
        (x,) = inputs
        scale, shift = self.parameters["weight"], self.parameters["bias"]
        if not training:
            return F.fixed_norm(x, scale, shift, self.kept["running_mean"], self.kept["running_var"], self.epsilon)
        normed = F.batch_norm(x, scale, shift, self.epsilon)
        count = x.size // x.shape[-1]
        unbiased = normed.variance * (count / max(count - 1, 1))
        for name, value in (("running_mean", normed.mean), ("running_var", unbiased)):
            self.kept[name] += self.momentum * (value - self.kept[name])
        self.saved = normed._replace(y=normed.centred)
        return normed.y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H, W, C] to the same."""
        dx, scale, shift = F.batch_norm_gradients(dy, self.take(), self.parameters["weight"])
        self.gradients = {"weight": scale, "bias": shift}
        return (dx,)


class LocalResponseNorm(Layer):
    """Each number over what `size` channels around it hold (AlexNet, the first GoogLeNet)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.how = (size, alpha, beta, k)

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to the same."""
        (x,) = inputs
        self.saved = x if training else None
        return F.local_response_norm(x, *self.how)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H, W, C] to the same."""
        return (F.local_response_norm_gradient(dy, self.take(), *self.how),)
