"""What shortcuts and branches are worth to one picture: the network's answer without each.

Veit et al. 2016 removed whole residual blocks; here it is the other way that is closed, or a branch of an inception
block: zeros come where it ends, and all else stays as it was learnt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sightline.scratch.functional import softmax
from sightline.scratch.layers import Add, AveragePool, Concatenate, Convolution, Linear, MaxPool, Pad
from sightline.scratch.network import PICTURES, Network
from sightline.scratch.seeing.activations import kind
from sightline.scratch.seeing.stand_ins import Edge, without


@dataclass(frozen=True)
class Removal:
    """The answer when zeros come along `edges`: the `probability` that is left to the class the network says, and the
    likeliest class now, `label`, with its own. `what` ended in the edge, in words ("" of several edges).
    """

    edges: tuple[Edge, ...]
    what: str
    probability: float
    label: int
    label_probability: float


def shortcuts(network: Network) -> list[Edge]:
    """Of every sum the input that went through the fewest layers with weights."""
    depth = {PICTURES: 0}
    for name, node in network.nodes.items():
        depth[name] = max(depth[one] for one in node.inputs) + isinstance(node.layer, Convolution | Linear)
    return [
        Edge(name, min(range(len(node.inputs)), key=lambda number: depth[node.inputs[number]]))
        for name, node in network.nodes.items()
        if isinstance(node.layer, Add)
    ]


def branches(network: Network) -> list[Edge]:
    """Every input of every concatenation."""
    return [
        Edge(name, number)
        for name, node in network.nodes.items()
        if isinstance(node.layer, Concatenate)
        for number in range(len(node.inputs))
    ]


def removal(network: Network, edges: Sequence[Edge], picture: np.ndarray, label: int) -> Removal:
    """The answer to the normalised `picture` [1, H, W, C], of which the whole network says `label`, without `edges`."""
    probabilities = softmax(without(network, edges).forward(picture).astype(np.float64))[0]
    now = int(probabilities.argmax())
    what = described(network, edges[0]) if len(edges) == 1 else ""
    return Removal(tuple(edges), what, float(probabilities[label]), now, float(probabilities[now]))


def described(network: Network, edge: Edge) -> str:
    """What happens on the way that `edge` ends, back to where it forked: "1×1 convolution, 3×3 convolution".

    "identity" where there are none.
    """
    heard = Counter(name for node in network.nodes.values() for name in node.inputs)
    name, words = network.nodes[edge.node].inputs[edge.number], []
    while name != PICTURES and heard[name] == 1 and len(network.nodes[name].inputs) == 1:
        node = network.nodes[name]
        if isinstance(node.layer, Convolution | MaxPool | AveragePool | Pad):
            words.append(kind(node.layer))
        (name,) = node.inputs
    return ", ".join(reversed(words)) or "identity"
