"""Sightline: a folder of pictures to a trained, compared, explained, searchable and served convolutional network.

The verbs (`prepare`, `train`, `learning_curve`, `compare`, `reproduce`, `evaluate`, `export`, `quantise`, `load`,
`index`) and the nouns are loaded when they are first asked for, so importing the package costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime's own: read when it is imported, which is later

_HOMES = {
    "Bundle": "sightline.bundle",
    "Dataset": "sightline.data.dataset",
    "Index": "sightline.search.index",
    "Preprocess": "sightline.data.preprocess",
    "Recipe": "sightline.training.recipe",
    "Run": "sightline.run",
    "UserError": "sightline.core.errors",
    "compare": "sightline.api",
    "evaluate": "sightline.api",
    "export": "sightline.api",
    "index": "sightline.api",
    "learning_curve": "sightline.api",
    "load": "sightline.api",
    "prepare": "sightline.api",
    "quantise": "sightline.api",
    "reproduce": "sightline.api",
    "train": "sightline.api",
    "write_onnx": "sightline.api",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sightline' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
