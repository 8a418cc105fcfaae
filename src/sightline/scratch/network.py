"""A network: layers in a graph, so that shortcuts and branches are nothing special.

Each node has a name, a layer and the names of the nodes it hears; nodes are added in the order in which they answer,
the last one's answer is the network's. Backward goes the other way, and where several nodes heard one, their gradients
add up (the chain rule of a sum).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from sightline.core.artifact import write_bytes
from sightline.core.errors import UserError, named
from sightline.scratch.functional import add, one_thread_a_product, softmax
from sightline.scratch.layers import Convolution, Layer

PICTURES = "pictures"
Watch = Callable[[str, np.ndarray], None]


@dataclass(frozen=True)
class Node:
    """A layer of a network, and the nodes it hears."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]


class Network:
    """Nodes by their names, in the order in which they answer."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    @property
    def last(self) -> str:
        """The node whose answer is the network's; of an empty one the pictures."""
        return next(reversed(self.nodes), PICTURES)

    def add(self, name: str, layer: Layer, *inputs: str) -> str:
        """Add a node that hears `inputs` (the last one added, unless given), and give back its name."""
        heard = inputs or (self.last,)
        unknown = [one for one in heard if one != PICTURES and one not in self.nodes]
        if name in self.nodes or name == PICTURES or unknown:
            raise ValueError(f"{name}: its name is taken, or it hears {unknown}, which is not there yet")
        self.nodes[name] = Node(name, layer, heard)
        return name

    def initialise(self, seed: int) -> None:
        """Draw all parameters anew."""
        random = np.random.default_rng(seed)
        for node in self.nodes.values():
            node.layer.initialise(random)

    @one_thread_a_product()
    def forward(self, pictures: np.ndarray, *, training: bool = False, watch: Watch | None = None) -> np.ndarray:
        """The network's answer to `pictures` [N, H, W, C]; `watch` is shown every node's. UserError names the node at
        which shapes do not meet.
        """
        answers = {PICTURES: pictures}
        uses = Counter(name for node in self.nodes.values() for name in node.inputs)
        for node in self.nodes.values():
            try:
                answers[node.name] = node.layer.forward(*(answers[name] for name in node.inputs), training=training)
            except UserError as error:
                raise UserError(f"{node.name}: {error}") from None
            if watch:
                watch(node.name, answers[node.name])
            for name in node.inputs:
                uses[name] -= 1
                if not uses[name]:
                    del answers[name]
        return answers[self.last]

    @one_thread_a_product()
    def backward(
        self, gradient: np.ndarray, *, watch: Watch | None = None, input_too: bool = False
    ) -> np.ndarray | None:
        """Fill every layer's gradients from that of the answer, after `forward` in training; `watch` is shown each
        node's. With `input_too` the pictures' own.
        """
        waiting: dict[str, np.ndarray] = {self.last: gradient}
        for node in reversed(self.nodes.values()):
            dy = waiting.pop(node.name)
            if watch:
                watch(node.name, dy)
            wanted = input_too or node.inputs != (PICTURES,)
            found = node.layer.backward(dy, inputs_too=wanted)
            for name, dx in zip(node.inputs, found, strict=True):
                if dx is not None and (name != PICTURES or input_too):
                    waiting[name] = add(waiting[name], dx) if name in waiting else dx
        return waiting.get(PICTURES)

    def predict(self, pictures: np.ndarray, *, batch_size: int = 128) -> np.ndarray:
        """Probabilities [N, K] of normalised `pictures` [N, H, W, C]."""
        parts = [self.forward(pictures[i : i + batch_size]) for i in range(0, len(pictures), batch_size)]
        return softmax(np.concatenate(parts))

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """Every parameter, by its node's name and its own; the arrays themselves."""
        return {f"{n.name}.{key}": value for n in self.nodes.values() for key, value in n.layer.parameters.items()}

    @property
    def gradients(self) -> dict[str, np.ndarray]:
        """The gradient of every parameter, after `backward`."""
        return {f"{n.name}.{key}": value for n in self.nodes.values() for key, value in n.layer.gradients.items()}

    def to(self, dtype: type[np.floating]) -> Network:
        """The same network, its numbers turned to `dtype`: float64 to check gradients by."""
        for node in self.nodes.values():
            for held in (node.layer.parameters, node.layer.kept):
                held.update({name: value.astype(dtype) for name, value in held.items()})
        return self

    def state(self) -> dict[str, np.ndarray]:
        """All that is learnt, as PyTorch names it and lays it out: kernels [K, C/G, R, S]."""
        state = {}
        for node in self.nodes.values():
            for name, value in (node.layer.parameters | node.layer.kept).items():
                kernels = isinstance(node.layer, Convolution) and name == "weight"
                state[f"{node.name}.{name}"] = np.ascontiguousarray(value.transpose(0, 3, 1, 2)) if kernels else value
        return state

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Take over what `state` holds. UserError that names the first tensor that is not there, is too many, or has
        another shape; the network is as it was then.
        """
        own = self.state()
        missing, unknown = [name for name in own if name not in state], [name for name in state if name not in own]
        unknown = [name for name in unknown if not name.endswith("num_batches_tracked")]
        if missing or unknown:
            what = f"lack {named(missing[0])}" if missing else f"have {named(unknown[0])}, which it has not"
            raise UserError(f"the weights do not belong to this network: they {what}")
        for name, value in own.items():
            if state[name].shape != value.shape:
                raise UserError(f"{name} has shape {list(state[name].shape)}, this network needs {list(value.shape)}")
        for node in self.nodes.values():
            for held in (node.layer.parameters, node.layer.kept):
                for name in held:
                    value = state[f"{node.name}.{name}"]
                    kernels = isinstance(node.layer, Convolution) and name == "weight"
                    held[name][...] = value.transpose(0, 2, 3, 1) if kernels else value

    def save(self, file: Path) -> None:
        """Write `state` as a safetensors file, whole or not at all."""
        write_bytes(file, save(self.state()))
