"""Where windows lie: which places of a layer's answer have their whole window in what the layer reads, and the largest.

A window over the border reads zeros that no picture has, and often answers most of all: the border looks like an edge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.scratch.functional import Pair
from sightline.scratch.layers import AveragePool, Convolution, MaxPool, SamePad
from sightline.scratch.network import PICTURES, Network

Windowed = Convolution | MaxPool | AveragePool


@dataclass(frozen=True)
class Windows:
    """The windows over what a layer reads, of `size` (H, W): `extent` rows and columns each, the first beginning at
    row and column `begins`, below 0 where zeros lie around, the next `stride` further.
    """

    size: Pair
    extent: Pair
    begins: Pair
    stride: Pair

    def inside(self, places: int, axis: int) -> slice:
        """Of so many places down (`axis` 0) or across (1) those whose window is all within; all, where none is."""
        first = -(self.begins[axis] // self.stride[axis])
        last = (self.size[axis] - self.extent[axis] - self.begins[axis]) // self.stride[axis]
        return slice(first, min(last + 1, places)) if first <= min(last, places - 1) else slice(0, places)


def windows_of(network: Network, node: str, picture: np.ndarray, answers: dict[str, np.ndarray]) -> Windows:
    """The windows of the layer `node`; zeros that a layer of their own puts around count as padding."""
    layer = network.nodes[node].layer
    assert isinstance(layer, Windowed)
    kernel = layer.parameters["weight"].shape[1:3] if isinstance(layer, Convolution) else layer.kernel
    shapes = {PICTURES: picture.shape} | {name: answer.shape for name, answer in answers.items()}
    (heard,) = network.nodes[node].inputs
    wide = shapes[heard]
    while heard != PICTURES and isinstance(network.nodes[heard].layer, SamePad):
        (heard,) = network.nodes[heard].inputs
    own, how = shapes[heard], layer.geometry
    around = [(wide[axis + 1] - own[axis + 1]) // 2 + how.padding[axis] for axis in (0, 1)]
    extent = [dilation * (width - 1) + 1 for dilation, width in zip(how.dilation, kernel, strict=True)]
    return Windows((own[1], own[2]), (extent[0], extent[1]), (-around[0], -around[1]), how.stride)


def peak(answer: np.ndarray, windows: Windows) -> tuple[int, int, int]:
    """Row, column and channel of the largest number of `answer` [H, W, C] whose window is all within."""
    rows, columns = (windows.inside(answer.shape[axis], axis) for axis in (0, 1))
    within = answer[rows, columns]
    row, column, channel = (int(index) for index in np.unravel_index(within.argmax(), within.shape))
    return row + rows.start, column + columns.start, channel
