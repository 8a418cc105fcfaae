"""Weights of fresh networks as files, with what is said of them beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import nn

from sightline.data.preprocess import IMAGENET_MEAN, IMAGENET_STD
from sightline.models import Network, create


def write_weights(path: Path, arch: str, described: Any = None, settled: int | None = None, **how: Any) -> Path:
    """Weights of a fresh network at `path`, and what is said of them beside it; `settled` for digits of that size."""
    network = create(arch, **{"num_classes": 10, **how})
    torch.save((_settle(network, settled) if settled else network).state_dict(), path)
    if described is not None:
        path.with_suffix(".json").write_text(json.dumps(described))
    return path


def _settle(network: Network, size: int) -> Network:
    """Let the batch norms of `network` know the digits, at `size` pixels: as those of one that has learnt know them."""
    digits = torch.from_numpy(load_digits().images[:512] / 16).float()[:, None].expand(-1, 3, -1, -1)
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()((nn.functional.interpolate(digits, size, mode="bilinear") - mean) / std)
    return network
