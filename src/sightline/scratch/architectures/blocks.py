"""What the families share: a convolution with what usually follows it."""

from __future__ import annotations

import numpy as np

from sightline.scratch.layers import BatchNorm, Convolution, Relu, SamePad
from sightline.scratch.network import Network


def convolved(
    network: Network, convolution: str, norm: str, heard: str, channels_in: int, channels: int, kernel: int,
    stride: int = 1, *, padding: int | None = None, groups: int = 1, same: bool = False, epsilon: float = 1e-5,
    relu: str | None = None, top: float = np.inf,
) -> str:  # fmt: skip
    """A convolution without bias called `convolution`, batch norm called `norm`, and ReLU if it has a name: the last.

    It keeps the size but for its stride, unless `padding` says otherwise; `same` pads as TensorFlow does.
    """
    around = kernel // 2 if padding is None else padding
    if same and stride > 1:
        heard, around = network.add(f"{convolution}.pad", SamePad(kernel, stride), heard), 0
    layer = Convolution(channels_in, channels, kernel, stride, around, groups=groups, bias=False)
    network.add(convolution, layer, heard)
    last = network.add(norm, BatchNorm(channels, epsilon=epsilon))
    return network.add(relu, Relu(top=top)) if relu else last


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of 8 that loses no more than a tenth (MobileNet's rule)."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8
