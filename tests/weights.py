"""Weights of fresh networks as files, with what is said of them beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from sightline.models import create


def write_weights(path: Path, arch: str, described: Any = None, **how: Any) -> Path:
    """Weights of a fresh network at `path`, and what is said of them beside it."""
    torch.save(create(arch, **{"num_classes": 10, **how}).state_dict(), path)
    if described is not None:
        path.with_suffix(".json").write_text(json.dumps(described))
    return path
