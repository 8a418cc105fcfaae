"""What every layer answers to a picture: shapes, figures, and a few channels as small maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.scratch.layers import AveragePool, Convolution, Layer, MaxPool, Relu
from sightline.scratch.network import Network

CHANNELS = 12  # shown of a layer
SIDE = 56  # pixels: larger maps are shown by the means of squares


@dataclass(frozen=True)
class Maps:
    """Channels [H, W] as whole numbers uint8 [M, H, W], on one scale: 0 stands for `low`, 255 for `high`."""

    channels: tuple[int, ...]
    levels: np.ndarray
    low: float
    high: float


@dataclass(frozen=True)
class Activation:
    """What the node `name` answered: its `shape` without the batch, figures over all of it, and its maps or `values`.

    `zeros` is the share of numbers that are exactly 0.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    mean: float
    deviation: float
    zeros: float
    maps: Maps | None
    values: np.ndarray | None


def answers_of(network: Network, picture: np.ndarray) -> dict[str, np.ndarray]:
    """What every node answers to the normalised `picture` [1, H, W, C], by name and in order."""
    answers: dict[str, np.ndarray] = {}
    network.forward(picture, watch=answers.__setitem__)
    return answers


def activations(network: Network, answers: dict[str, np.ndarray]) -> list[Activation]:
    """Every node's, in order; of a picture's channels the strongest (by their mean size) as maps."""
    found = []
    for name, (answer, *_) in answers.items():
        spatial = answer.ndim == 3
        found.append(
            Activation(
                name, kind(network.nodes[name].layer), answer.shape, float(answer.mean()), float(answer.std()),
                float((answer == 0).mean()), maps_of(answer, strongest(answer)) if spatial else None,
                None if spatial else answer,
            )
        )  # fmt: skip
    return found


def strongest(answer: np.ndarray, count: int = CHANNELS) -> tuple[int, ...]:
    """The channels of `answer` [H, W, C] of the largest mean size, the strongest first."""
    return tuple(int(channel) for channel in np.argsort(-np.abs(answer).mean((0, 1)), kind="stable")[:count])


def maps_of(answer: np.ndarray, channels: tuple[int, ...]) -> Maps:
    """The `channels` of `answer` [H, W, C] as maps; one larger than SIDE by the means of squares."""
    chosen = answer[..., list(channels)]
    square = -(-max(chosen.shape[:2]) // SIDE)
    if square > 1:
        rows, columns = (np.arange(0, length, square) for length in chosen.shape[:2])
        sums = np.add.reduceat(np.add.reduceat(chosen, rows, 0), columns, 1)
        counts = np.outer(np.diff(rows, append=chosen.shape[0]), np.diff(columns, append=chosen.shape[1]))
        chosen = sums / counts[..., None]
    low, high = min(0.0, float(chosen.min())), max(0.0, float(chosen.max()))
    levels = np.rint((chosen - low) * (255 / ((high - low) or 1))).astype(np.uint8)
    return Maps(channels, np.ascontiguousarray(levels.transpose(2, 0, 1)), low, high)


def kind(layer: Layer) -> str:
    """What a layer is, in words: "3×3 convolution, stride 2"."""
    if isinstance(layer, Convolution):
        _, down, across, _ = layer.parameters["weight"].shape
        groups = layer.geometry.groups
        word = "depthwise convolution" if groups > 1 and layer.parameters["weight"].shape[3] == 1 else "convolution"
        shared = f", {groups} groups" if groups > 1 and word == "convolution" else ""
        return f"{down}×{across} {word}{shared}{_stride(layer.geometry.stride[0])}"
    if isinstance(layer, MaxPool | AveragePool):
        word = "max" if isinstance(layer, MaxPool) else "average"
        return f"{layer.kernel[0]}×{layer.kernel[1]} {word} pooling{_stride(layer.geometry.stride[0])}"
    if isinstance(layer, Relu):
        return "ReLU" if np.isinf(layer.top) else f"ReLU{layer.top:g}"
    return _WORDS[type(layer).__name__]


def _stride(steps: int) -> str:
    return f", stride {steps}" if steps > 1 else ""


_WORDS = {
    "Add": "sum", "BatchNorm": "batch norm", "Concatenate": "concatenation", "Dropout": "dropout, idle in use",
    "Flatten": "all numbers in a row", "GlobalPool": "mean of each channel", "Linear": "weighted sums of all",
    "LocalResponseNorm": "local response norm", "Pad": "zeros for new channels",
    "SamePad": "zeros around",
}  # fmt: skip
