"""Layers that change a shape alone: flatten, and zeros around or between."""

from __future__ import annotations

import numpy as np

from sightline.scratch.functional import Pair
from sightline.scratch.layers.layer import Answers, Layer


class Flatten(Layer):
    """All numbers of a picture in a row, channel by channel as PyTorch lays them, so that weights go both ways."""

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, C * H * W]."""
        (x,) = inputs
        self.saved = x.shape if training else None
        return x.transpose(0, 3, 1, 2).reshape(len(x), -1)

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, C * H * W] to [N, H, W, C]."""
        n, h, w, c = self.take()
        return (np.ascontiguousarray(dy.reshape(n, c, h, w).transpose(0, 2, 3, 1)),)


class Pad(Layer):
    """Every `stride`-th pixel, with zeros for new channels, half before and half after: the shortcut "A" of ResNets."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.channels_in, self.channels, self.stride = channels_in, channels, stride
        self.before = (channels - channels_in) // 2

    def forward(self, *inputs: np.ndarray, training: bool) -> np.ndarray:
        """[N, H, W, C] to [N, H / stride, W / stride, K], rounded up."""
        (x,) = inputs
        self.saved = x.shape if training else None
        kept = x[:, :: self.stride, :: self.stride]
        y = np.zeros((*kept.shape[:3], self.channels), x.dtype)
        y[..., self.before : self.before + self.channels_in] = kept
        return y

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """[N, H / stride, W / stride, K] to [N, H, W, C]."""
        dx = np.zeros(self.take(), dy.dtype)
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
        self.saved = x.shape if training else None
        return np.pad(x, [(0, 0), self.sides(x.shape[1]), self.sides(x.shape[2]), (0, 0)])

    def backward(self, dy: np.ndarray, *, inputs_too: bool = True) -> Answers:
        """What is within, [N, H, W, C]."""
        _, h, w, _ = self.take()
        (top, _), (left, _) = self.sides(h), self.sides(w)
        return (dy[:, top : top + h, left : left + w],)

    def sides(self, length: int) -> Pair:
        """Zeros before and after a side of `length`."""
        total = max((-(-length // self.stride) - 1) * self.stride + self.kernel - length, 0)
        return total // 2, total - total // 2
