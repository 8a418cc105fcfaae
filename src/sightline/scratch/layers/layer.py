"""A Layer: what it holds (parameters, their gradients, what batch norm keeps), and what it does both ways.

`forward` remembers what `backward` needs until it was called. Parameters are named, and laid out in files, as PyTorch
does it, so that weights go both ways; in memory kernels are [K, R, S, C/G], as channels lie last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

Answers = tuple[np.ndarray | None, ...]


class Layer(ABC):
    """A step of a network: of one or several inputs an answer, of the answer's gradient those of the inputs."""

    def __init__(self) -> None:
        self.parameters: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}
        self.kept: dict[str, np.ndarray] = {}  # what is learnt without a gradient
        self.saved: Any = None

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

    def take(self) -> Any:
        """What `forward` remembered, which is forgotten."""
        saved, self.saved = self.saved, None
        if saved is None:
            raise RuntimeError(f"{type(self).__name__}.backward before forward(training=True)")
        return saved


def draw(parameters: dict[str, np.ndarray], name: str, numbers: Any, scale: float) -> None:
    """Fill one of `parameters` with `numbers` of its shape, times `scale`."""
    held = parameters[name]
    held[...] = numbers(held.shape) * scale
