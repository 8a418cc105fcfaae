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
TABLE = 65536


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A tensor for every key, by the key's name and shape alone."""
    return {key: _tensor(key, shape) for key, shape in shapes.items()}


def _tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    count = math.prod(shape)
    phase = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) % 10007
    if key.endswith("running_var"):
        t = _sines(count, phase, 0.5, 1)
    elif key.endswith("running_mean"):
        t = _sines(count, phase, 0.1, 0)
    elif len(shape) < 2:
        t = _sines(count, phase, 0.1, 1 if key.endswith("weight") else 0)
    else:
        t = _sines(count, phase, math.sqrt(3 / (count / shape[0])), 0)
    return torch.from_numpy(t.reshape(shape))


def _sines(count: int, phase: int, scale: float, shift: float) -> np.ndarray:
    """`shift` + `scale` * sin(12.9898 * i + `phase`) for i below `count`, float32.

    By sin(a + b), a table's length at a time: VGG has 138 million of them.
    """
    values = np.empty(count, np.float32)
    sine, cosine = _table()
    for start in range(0, count, TABLE):
        piece = values[start : start + TABLE]
        a = (12.9898 * start + phase) % CIRCLE
        n = len(piece)
        piece[:] = shift + scale * math.sin(a) * cosine[:n] + scale * math.cos(a) * sine[:n]
    return values


@cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """sin(12.9898 * i) and cos(12.9898 * i) for i below TABLE."""
    angles = (12.9898 * np.arange(TABLE)) % CIRCLE
    return np.sin(angles), np.cos(angles)


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
