"""Receptive fields: which pixels of the picture one number of a layer is made of.

From the place of the number the graph is walked back. A window of R x S pixels that begins at (p * stride - padding,
q * stride - padding) reads its pixels `dilation` apart; where a node is heard by several, what they read of it is
joined. Every node's read pixels are kept as a mask, so the field is exact, at borders and with holes too. What a max
pooling reads is its whole window, though only one pixel of it comes through.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.scratch.functional import Geometry, Pair
from sightline.scratch.functional.geometry import tap
from sightline.scratch.layers import AveragePool, Convolution, Layer, MaxPool, Pad, SamePad
from sightline.scratch.network import PICTURES, Network
from sightline.scratch.seeing.places import Windowed, peak, windows_of


@dataclass(frozen=True)
class Field:
    """What place (`row`, `column`) of `node` sees: rows `top` to `bottom`, columns `left` to `right`, ends excluded.

    `channel` and `value` are of the node's number there.
    """

    node: str
    channel: int
    row: int
    column: int
    value: float
    top: int
    left: int
    bottom: int
    right: int


def fields(network: Network, picture: np.ndarray, answers: dict[str, np.ndarray]) -> list[Field]:
    """The field of every layer that has windows, in order: of its largest number whose window is all within."""
    sizes = {PICTURES: picture.shape[1:3]} | {name: answer.shape[1:3] for name, answer in answers.items()}
    found = []
    for name, node in network.nodes.items():
        if not isinstance(node.layer, Windowed):
            continue
        row, column, channel = peak(answers[name][0], windows_of(network, name, picture, answers))
        seen = seen_by(network, name, (row, column), sizes)
        rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
        ends = (int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
        found.append(Field(name, channel, row, column, float(answers[name][0, row, column, channel]), *ends))
    return found


def seen_by(network: Network, node: str, place: Pair, sizes: dict[str, tuple[int, ...]]) -> np.ndarray:
    """The pixels bool [H, W] of the picture that `place` of `node` is made of; `sizes` (H, W) of all that it hears."""
    start = np.zeros(sizes[node], bool)
    start[place] = True
    waiting = {node: start}
    for name in reversed(network.nodes):
        if name not in waiting:
            continue
        mask, layer = waiting.pop(name), network.nodes[name].layer
        for heard in network.nodes[name].inputs:
            size = (sizes[heard][0], sizes[heard][1])
            waiting[heard] = waiting.get(heard, np.zeros(size, bool)) | _read(layer, mask, size)
    return waiting[PICTURES]


def _read(layer: Layer, mask: np.ndarray, size: Pair) -> np.ndarray:
    """The pixels of an input of `size` that the places in `mask` read."""
    if isinstance(layer, Convolution):
        _, down, across, _ = layer.parameters["weight"].shape
        return _windows(mask, (down, across), layer.geometry, size)
    if isinstance(layer, MaxPool | AveragePool):
        return _windows(mask, layer.kernel, layer.geometry, size)
    if isinstance(layer, Pad):
        read = np.zeros(size, bool)
        read[:: layer.stride, :: layer.stride] = mask
        return read
    if isinstance(layer, SamePad):
        top, left = ((long - length) // 2 for long, length in zip(mask.shape, size, strict=True))
        return mask[top : top + size[0], left : left + size[1]]
    return mask


def _windows(mask: np.ndarray, kernel: Pair, geometry: Geometry, size: Pair) -> np.ndarray:
    """The same of windows; the last may end beyond the padding, where sizes are rounded up."""
    rows, columns = (
        max(length + 2 * pad, (places - 1) * stride + dilation * (width - 1) + 1)
        for length, pad, places, stride, dilation, width in zip(
            size, geometry.padding, mask.shape, geometry.stride, geometry.dilation, kernel, strict=True
        )
    )
    read = np.zeros((rows, columns), bool)
    for r, s in np.ndindex(kernel):
        read[tap(r, s, (mask.shape[0], mask.shape[1]), geometry)[1:]] |= mask
    down, across = geometry.padding
    return read[down : down + size[0], across : across + size[1]]
