"""How the gradient of a picture's loss goes back through a network, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sightline.scratch.functional import cross_entropy
from sightline.scratch.layers import Convolution, Linear
from sightline.scratch.network import Network
from sightline.scratch.seeing.stand_ins import in_use


@dataclass(frozen=True)
class Gradient:
    """At a convolution or linear layer: Euclidean norms of the gradient of its `weight`, and of its `answer`."""

    node: str
    weight: float
    answer: float


@dataclass(frozen=True)
class Flow:
    """The `loss`, the norm of its gradient at the `logits`, where all of it begins, and at every layer with weights."""

    loss: float
    logits: float
    layers: tuple[Gradient, ...]


def flow(network: Network, picture: np.ndarray, label: int) -> Flow:
    """What the gradient of -log p(`label`) of the normalised `picture` [1, H, W, C] is at every layer.

    Backward through the network as it is in use: batch norms by what they kept, nothing dropped.
    """
    still = in_use(network)
    logits = still.forward(picture, training=True)
    loss, gradient = cross_entropy(logits.astype(np.float64), np.array([label]))
    answers: dict[str, float] = {}
    still.backward(gradient.astype(logits.dtype), watch=lambda name, dy: answers.__setitem__(name, _norm(dy)))
    layers = (
        Gradient(name, _norm(node.layer.gradients["weight"]), answers[name])
        for name, node in still.nodes.items()
        if isinstance(node.layer, Convolution | Linear)
    )
    return Flow(loss, _norm(gradient), tuple(layers))


def _norm(of: np.ndarray) -> float:
    return float(np.linalg.norm(of.astype(np.float64)))
