"""One number of a convolution, spelled out: the patch under the window, the kernel, their products, the sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.scratch.functional import padded
from sightline.scratch.layers import Convolution, SamePad
from sightline.scratch.network import PICTURES, Network
from sightline.scratch.seeing.places import windows_of

SHOWN = 3  # channels of the input that are spelled out: those that give most


@dataclass(frozen=True)
class Product:
    """How `node`'s number at (`row`, `column`) of `channel` comes about.

    `patch` and `kernel` [C, R, S] are over the input's channels that the kernel sees, the first of which is number
    `begins` of the input. `by_channel` [C] is what each adds, `shown` are those that add or take most, `total` is the
    sum of all products, and `total + bias` is `answer`, the network's own.
    """

    node: str
    channel: int
    row: int
    column: int
    begins: int
    patch: np.ndarray
    kernel: np.ndarray
    by_channel: np.ndarray
    shown: tuple[int, ...]
    total: float
    bias: float
    answer: float


@dataclass(frozen=True)
class Arithmetic:
    """The sizes and cost of a convolution that reads the picture: `before` and `after` [H, W, C], and its window.

    The first window begins at row and column `begins` of the picture, below 0 where zeros lie around it.
    `multiplications` are those of one picture, as many additions go with them.
    """

    node: str
    before: tuple[int, int, int]
    after: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    begins: tuple[int, int]
    multiplications: int
    parameters: int


@dataclass(frozen=True)
class Step:
    """A place of the window: where it begins in the picture (below 0: in zeros around it), and the number there."""

    row: int
    column: int
    top: int
    left: int
    answer: float


def convolutions(network: Network) -> list[str]:
    """The convolutions' names, in order."""
    return [name for name, node in network.nodes.items() if isinstance(node.layer, Convolution)]


def later(network: Network) -> str | None:
    """A convolution in the middle of the network, with a window wider than a pixel if any after the first has."""
    names = convolutions(network)[1:]
    wide = [name for name in names if layer_of(network, name).parameters["weight"].shape[1] > 1]
    return (wide or names)[len(wide or names) // 2] if names else None


def layer_of(network: Network, node: str) -> Convolution:
    """The convolution called `node`."""
    layer = network.nodes[node].layer
    if not isinstance(layer, Convolution):
        raise ValueError(f"{node} is no convolution")
    return layer


def heard_by(network: Network, node: str, picture: np.ndarray, answers: dict[str, np.ndarray]) -> np.ndarray:
    """What `node` was given, [H, W, C]."""
    (name,) = network.nodes[node].inputs
    return (picture if name == PICTURES else answers[name])[0]


def product(
    network: Network, node: str, place: tuple[int, int, int], picture: np.ndarray, answers: dict[str, np.ndarray]
) -> Product:
    """The number of the convolution `node` at `place` (row, column, channel), spelled out."""
    row, column, channel = place
    layer = layer_of(network, node)
    weight, bias, geometry = layer.parameters["weight"], layer.parameters.get("bias"), layer.geometry
    of_group = weight.shape[3]
    begins = channel // (len(weight) // geometry.groups) * of_group
    wide = padded(heard_by(network, node, picture, answers)[None], geometry.padding)[0]
    rows, columns = (
        start * stride + dilation * np.arange(width)
        for start, stride, dilation, width in zip(
            (row, column), geometry.stride, geometry.dilation, weight.shape[1:3], strict=True
        )
    )
    patch = wide[np.ix_(rows, columns, np.arange(begins, begins + of_group))].transpose(2, 0, 1)
    kernel = weight[channel].transpose(2, 0, 1)
    by_channel = (patch.astype(np.float64) * kernel).sum((1, 2))
    shown = tuple(sorted(int(one) for one in np.argsort(-np.abs(by_channel), kind="stable")[:SHOWN]))
    added = 0.0 if bias is None else float(bias[channel])
    answer = float(answers[node][0, row, column, channel])
    return Product(
        node, channel, row, column, begins, patch, kernel.copy(), by_channel, shown, float(by_channel.sum()), added,
        answer,
    )  # fmt: skip


def reads_picture(network: Network, node: str) -> bool:
    """Whether the convolution `node` is given the picture, or the picture with zeros around."""
    (name,) = network.nodes[node].inputs
    return name == PICTURES or (isinstance(network.nodes[name].layer, SamePad) and reads_picture(network, name))


def arithmetic(network: Network, node: str, picture: np.ndarray, answers: dict[str, np.ndarray]) -> Arithmetic:
    """The sizes and the cost of the convolution `node`, which reads the picture."""
    layer = layer_of(network, node)
    weight, geometry = layer.parameters["weight"], layer.geometry
    (before, after) = (of.shape for of in (heard_by(network, node, picture, answers), answers[node][0]))
    return Arithmetic(
        node, before, after, (weight.shape[1], weight.shape[2]), geometry.stride, geometry.padding, geometry.dilation,
        geometry.groups, windows_of(network, node, picture, answers).begins, after[0] * after[1] * weight.size,
        sum(one.size for one in layer.parameters.values()),
    )  # fmt: skip


def steps(of: Arithmetic, place: tuple[int, int, int], answers: dict[str, np.ndarray]) -> list[Step]:
    """The window's first place, three in a row that end at `place` (row, column, channel), the next row's, the last."""
    peak_row, peak_column, channel = place
    answer = answers[of.node][0, :, :, channel]
    high, wide = answer.shape
    along = [(peak_row, peak_column - before) for before in (2, 1, 0) if peak_column >= before]
    places = [(0, 0), *along, (min(peak_row + 1, high - 1), peak_column), (high - 1, wide - 1)]
    return [
        Step(
            row, column, row * of.stride[0] + of.begins[0], column * of.stride[1] + of.begins[1],
            float(answer[row, column]),
        )
        for row, column in dict.fromkeys(places)
    ]  # fmt: skip
