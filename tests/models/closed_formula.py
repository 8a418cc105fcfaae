"""Weights and an input from a closed formula, so that two implementations can be compared without any download.

`python tests/models/closed_formula.py NAME...` prints the goldens of networks, to be added to goldens.json.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.anatomy.macs import count_macs
from sightline.models import ARCHITECTURES, create

CIRCLE = 6.283185307179586
BLOCK = 4096


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A tensor for every key, by the key's name and shape alone."""
    return {key: _tensor(key, shape) for key, shape in shapes.items()}


def _tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    count = math.prod(shape)
    phase = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10007
    t = _sines(count, phase)
    if key.endswith("running_var"):
        t = 1 + 0.5 * t
    elif key.endswith("running_mean"):
        t = 0.1 * t
    elif len(shape) < 2:
        t = 1 + 0.1 * t if key.endswith("weight") else 0.1 * t
    else:
        t = t * math.sqrt(3 / (count / shape[0]))
    return torch.from_numpy(t.astype(np.float32).reshape(shape))


def _sines(count: int, phase: int) -> np.ndarray:
    """sin(12.9898 * i + phase) for i below `count`, by sin(a + b): VGG has 138 million of them."""
    a = (12.9898 * np.arange(0, count, BLOCK) + phase) % CIRCLE
    b = (12.9898 * np.arange(min(BLOCK, count))) % CIRCLE
    return (np.stack([np.sin(a), np.cos(a)], axis=1) @ np.stack([np.cos(b), np.sin(b)])).ravel()[:count]


def picture(size: int) -> Tensor:
    """The input [1, 3, size, size]."""
    return torch.from_numpy(np.sin(0.0137 * np.arange(3 * size * size)).astype(np.float32).reshape(1, 3, size, size))


@dataclass(frozen=True)
class Facts:
    """What the formula makes of a network with 1000 classes at its own size; `logits` [1000] float64."""

    shapes: dict[str, tuple[int, ...]]
    parameters: int
    macs: int
    logits: np.ndarray

    @property
    def layout_sha256(self) -> str:
        """A hash of every key and shape, in order."""
        layout = [[key, list(shape)] for key, shape in self.shapes.items()]
        return hashlib.sha256(json.dumps(layout).encode()).hexdigest()


@cache
def facts(name: str) -> Facts:
    """The facts of network `name`; no random weights are drawn for it."""
    size = ARCHITECTURES[name].size
    with torch.device("meta"):
        model = create(name, num_classes=1000).eval()
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    macs = count_macs(model, (1, 3, size, size))
    model.load_state_dict(weights(shapes), assign=True)
    with torch.inference_mode():
        logits = model(picture(size))[0].double().numpy()
    return Facts(shapes, sum(p.numel() for p in model.parameters()), macs, logits)


def golden(name: str) -> dict[str, Any]:
    """What goldens.json keeps of a network."""
    found = facts(name)
    return {
        "parameters": found.parameters,
        "macs": found.macs,
        "layout_sha256": found.layout_sha256,
        # In 1,202 residual layers the formula's numbers grow beyond what a float64 holds.
        "logits_first_8": [round(float(x), 5) for x in found.logits[:8]] if np.isfinite(found.logits).all() else None,
    }


if __name__ == "__main__":
    print(json.dumps({name: golden(name) for name in sys.argv[1:]}, indent=1))
