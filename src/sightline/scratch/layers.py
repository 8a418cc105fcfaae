"""Layers: what they hold (parameters, their gradients, what batch norm keeps), and what they do both ways.

`forward` remembers what `backward` needs until it was called. Parameters are named, and laid out in files, as PyTorch
does it, so that weights go both ways; in memory kernels are [K, R, S, C/G], as channels lie last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from sightline.scratch import functional as F
from sightline.scratch.functional import Geometry, Method, Pair

Answers = tuple[np.ndarray | None, ...]


class Layer(ABC):
    """A step of a network: of one or several inputs an answer, of the answer's gradient those of the inputs."""

    def __init__(self) -> None:
        self.parameters: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}
        self.kept: dict[str, np.ndarray] = {}  # what is learnt without a gradient
        self._saved: Any = None

    @abstractmethod
    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """The answer; in `training` what `backward` needs is remembered."""

    @abstractmethod
    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """The inputs' gradients (None without `inputs_too`), of the last `forward` in training; the parameters' own are
        in `gradients` then.
        """

    def initialise(self, random: np.random.Generator) -> None:  # noqa: B027 - most layers hold nothing
        """Draw the parameters anew, where there are any."""

    def _take(self) -> Any:
        """What `forward` remembered, which is forgotten."""
        saved, self._saved = self._saved, None
        if saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward before forward(training=True)")
        return saved


class Convolution(Layer):
    """`channels` kernels over `channels_in`, each in one of `groups`; drawn as He et al. 2015 for ReLU (fan out)."""

    def __init__(
        self, channels_in: int, channels: int, kernel: int | Pair, stride: int = 1, padding: int | Pair = 0, *,
        dilation: int = 1, groups: int = 1, bias: bool = True, method: Method = "auto",
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
        _draw(self.parameters, "weight", random.standard_normal, deviation)
        if "bias" in self.parameters:
            self.parameters["bias"][:] = 0

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, P, Q, K]."""
        (x,) = inputs
        self._saved = x if training else None
        weight, bias = self.parameters["weight"], self.parameters.get("bias")
        return F.convolution(x, weight, bias, self.geometry, method=self.method)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, P, Q, K] to [N, H, W, C]."""
        found = F.convolution_gradients(
            dy, self._take(), self.parameters["weight"], self.geometry, method=self.method, input_too=inputs_too
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
            _draw(self.parameters, name, lambda shape: random.uniform(-1, 1, shape), bound)

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, D] to [N, K]."""
        (x,) = inputs
        self._saved = x if training else None
        return F.linear(x, self.parameters["weight"], self.parameters["bias"])

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, K] to [N, D]."""
        dx, weight, bias = F.linear_gradients(dy, self._take(), self.parameters["weight"])
        self.gradients = {"weight": weight, "bias": bias}
        return (dx if inputs_too else None,)


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
        self._saved = normed._replace(y=normed.unit)
        return normed.y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H, W, C] to the same."""
        dx, scale, shift = F.batch_norm_gradients(dy, self._take(), self.parameters["weight"])
        self.gradients = {"weight": scale, "bias": shift}
        return (dx,)


class Relu(Layer):
    """The positive part; below 0 `slope` times it, and `top` at most."""

    def __init__(self, slope: float = 0.0, top: float = np.inf) -> None:
        super().__init__()
        self.slope, self.top = slope, top

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """Any shape to the same."""
        (x,) = inputs
        y = F.relu(x, self.slope) if np.isinf(self.top) else F.clipped_relu(x, self.top)
        self._saved = y if training else None
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """Any shape to the same."""
        y = self._take()
        if np.isinf(self.top):
            return (F.relu_gradient(dy, y, self.slope),)
        return (F.clipped_relu_gradient(dy, y, self.top),)


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
        self._saved = (x, y) if training else None
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, P, Q, C] to [N, H, W, C]."""
        x, y = self._take()
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
        self._saved = x if training else None
        return F.average_pool(x, self.kernel, self.geometry)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, P, Q, C] to [N, H, W, C]."""
        return (F.average_pool_gradient(dy, self._take(), self.kernel, self.geometry),)


class GlobalPool(Layer):
    """The mean of each channel over the whole picture."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, C]."""
        (x,) = inputs
        self._saved = x if training else None
        return F.global_pool(x)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, C] to [N, H, W, C]."""
        return (F.global_pool_gradient(dy, self._take()),)


class Flatten(Layer):
    """All numbers of a picture in a row, channel by channel as PyTorch lays them, so that weights go both ways."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, C * H * W]."""
        (x,) = inputs
        self._saved = x.shape
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, C * H * W] to [N, H, W, C]."""
        n, h, w, c = self._take()
        return (np.ascontiguousarray(dy.reshape(n, c, h, w).transpose(0, 2, 3, 1)),)


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
        y, self._saved = F.dropout(x, self.rate, self.random)
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """Any shape to the same."""
        return (dy * self._take(),)


class LocalResponseNorm(Layer):
    """Each number over what `size` channels around it hold (AlexNet, the first GoogLeNet)."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.how = (size, alpha, beta, k)

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to the same."""
        (x,) = inputs
        self._saved = x if training else None
        return F.local_response_norm(x, *self.how)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H, W, C] to the same."""
        return (F.local_response_norm_gradient(dy, self._take(), *self.how),)


class Add(Layer):
    """The sum of its inputs: the end of a residual block."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """Shapes that are one, to the same."""
        self._saved = len(inputs)
        return F.add(*inputs)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """The same for each: whatever the branch does, the shortcut hands the gradient on undiminished."""
        return (dy,) * self._take()


class Concatenate(Layer):
    """The channels of its inputs one after another: the end of an inception block."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, Ci] of each to [N, H, W, sum of Ci]."""
        self._saved = [x.shape[-1] for x in inputs]
        return F.concatenate(*inputs)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """To each its own channels."""
        return tuple(F.concatenate_gradient(dy, self._take()))


class Pad(Layer):
    """Every `stride`-th pixel, with zeros for new channels, half before and half after: the shortcut "A" of ResNets."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.channels_in, self.channels, self.stride = channels_in, channels, stride
        self.before = (channels - channels_in) // 2

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, H / stride, W / stride, K], rounded up."""
        (x,) = inputs
        self._saved = x.shape
        kept = x[:, :: self.stride, :: self.stride]
        y = np.zeros((*kept.shape[:3], self.channels), x.dtype)
        y[..., self.before : self.before + self.channels_in] = kept
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H / stride, W / stride, K] to [N, H, W, C]."""
        dx = np.zeros(self._take(), dy.dtype)
        dx[:, :: self.stride, :: self.stride] = dy[..., self.before : self.before + self.channels_in]
        return (dx,)


class SamePad(Layer):
    """Zeros around, as TensorFlow's SAME puts them before a window of `kernel` and `stride`: the odd one at the end."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to such a size that windows give [N, H / stride, W / stride], rounded up."""
        (x,) = inputs
        self._saved = x.shape
        return np.pad(x, [(0, 0), self._sides(x.shape[1]), self._sides(x.shape[2]), (0, 0)])

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """What is within, [N, H, W, C]."""
        _, h, w, _ = self._take()
        (top, _), (left, _) = self._sides(h), self._sides(w)
        return (dy[:, top : top + h, left : left + w],)

    def _sides(self, length: int) -> Pair:
        total = max((-(-length // self.stride) - 1) * self.stride + self.kernel - length, 0)
        return total // 2, total - total // 2


def _draw(parameters: dict[str, np.ndarray], name: str, numbers: Any, scale: float) -> None:
    held = parameters[name]
    held[...] = numbers(held.shape) * scale
