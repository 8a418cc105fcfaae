"""Layers of weighted sums: convolution and linear."""

from __future__ import annotations

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.functional import Geometry, Method, Pair
from sightline.scratch.layers.layer import Answers, Layer, draw


class Convolution(Layer):
    """`channels` kernels over `channels_in`, each in one of `groups`; drawn as He et al. 2015 for ReLU (fan out).

    Unless told it is by `im2col`: what `auto` measures may differ from run to run, and with it the last bits.
    """

    def __init__(
        self, channels_in: int, channels: int, kernel: int | Pair, stride: int = 1, padding: int | Pair = 0, *,
        dilation: int = 1, groups: int = 1, bias: bool = True, method: Method = "im2col",
    ) -> None:  # fmt: skip
        super().__init__()
        down, across = (kernel, kernel) if isinstance(kernel, int) else kernel
        around = (padding, padding) if isinstance(padding, int) else padding
        self.geometry = Geometry((stride, stride), around, (dilation, dilation), groups)
        self.method: Method = method
        self.parameters["weight"] = np.zeros((channels, down, across, channels_in // groups), np.float32)
        if bias:
            self.parameters["bias"] = np.zeros(channels, np.float32)

    def initialise(self, random: np.random.Generator) -> None:
        """Normal, of variance 2 / (the numbers an input's pixel goes into); biases 0."""
        k, r, s, _ = self.parameters["weight"].shape
        deviation = np.sqrt(2 / (k * r * s / self.geometry.groups))
        draw(self.parameters, "weight", random.standard_normal, deviation)
        if "bias" in self.parameters:
            self.parameters["bias"][:] = 0

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, P, Q, K]."""
        (x,) = inputs
        self.saved = x if training else None
        weight, bias = self.parameters["weight"], self.parameters.get("bias")
        return F.convolution(x, weight, bias, self.geometry, method=self.method)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, P, Q, K] to [N, H, W, C]."""
        found = F.convolution_gradients(
            dy, self.take(), self.parameters["weight"], self.geometry, method=self.method, input_too=inputs_too
        )
        self.gradients = {"weight": found.weight}
        if "bias" in self.parameters:
            self.gradients["bias"] = found.bias
        return (found.x,)


class Linear(Layer):
    """`outputs` weighted sums of `inputs` numbers; drawn uniformly within 1 / sqrt(inputs), as PyTorch does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.parameters["weight"] = np.zeros((outputs, inputs), np.float32)
        self.parameters["bias"] = np.zeros(outputs, np.float32)

    def initialise(self, random: np.random.Generator) -> None:
        """Weights and biases."""
        bound = 1 / np.sqrt(self.parameters["weight"].shape[1])
        for name in self.parameters:
            draw(self.parameters, name, lambda shape: random.uniform(-1, 1, shape), bound)

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, D] to [N, K]."""
        (x,) = inputs
        self.saved = x if training else None
        return F.linear(x, self.parameters["weight"], self.parameters["bias"])

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, K] to [N, D]."""
        dx, weight, bias = F.linear_gradients(dy, self.take(), self.parameters["weight"])
        self.gradients = {"weight": weight, "bias": bias}
        return (dx if inputs_too else None,)
