"""Weights from a file into a network, key by key: safetensors, or torch's own files read without running their code.

Nothing is loaded half: every key and shape is compared first, and a strict load that does not fit changes nothing.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from sightline.core.errors import UserError, named

SHOWN = 3  # keys an error names before it only counts


@dataclass(frozen=True)
class KeyReport:
    """What became of the keys; `reshaped` are in both with different shapes: (key, shape in file, shape in network)."""

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    reshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    @property
    def complete(self) -> bool:
        """Whether file and network have the same keys and shapes."""
        return not (self.missing or self.unexpected or self.reshaped)


def load_weights(model: nn.Module, path: str | Path, *, strict: bool = True) -> KeyReport:
    """Copy the weights in `path` (.safetensors, or torch's .pth, .pt, .th) into `model`; say what became of each key.

    A "module." before every key (DataParallel) is dropped and a last layer called "linear" is taken for our "fc".
    UserError when the file is missing or damaged, and when `strict` and anything is missing, unexpected or of another
    shape; the model is then as before. Without `strict` what fits is loaded.
    """
    path = Path(path)
    found = _our_keys(read_weights(path))
    expected = model.state_dict()
    fits = {key: value for key, value in found.items() if key in expected and value.shape == expected[key].shape}
    shapes = {key: (tuple(found[key].shape), tuple(expected[key].shape)) for key in found.keys() & expected.keys()}
    report = KeyReport(
        loaded=tuple(key for key in expected if key in fits),
        missing=tuple(key for key in expected if key not in found and not key.endswith("num_batches_tracked")),
        unexpected=tuple(key for key in found if key not in expected),
        reshaped=tuple((key, *shapes[key]) for key in expected if key in found and key not in fits),
    )
    if strict and not report.complete:
        raise UserError(f"the weights in {named(path)} do not fit this network: {_describe(report)}")
    model.load_state_dict(fits, strict=False)
    return report


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors in a weights file, on the CPU; a checkpoint that holds them as "state_dict" or "model" is opened."""
    if not path.is_file():
        raise UserError(f"no weights file at {named(path)}: check the path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError):
        raise UserError(
            f"{named(path)} is no readable weights file: it must be .safetensors or a torch file of tensors only; "
            "get it again"
        ) from None
    for wrapper in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    entries = found.items() if isinstance(found, dict) else [(None, found)]
    if not all(isinstance(key, str) and isinstance(value, Tensor) for key, value in entries):
        raise UserError(f"{named(path)} holds no table of weights: save the network's state_dict()")
    return found


def _our_keys(found: dict[str, Tensor]) -> dict[str, Tensor]:
    if found and all(key.startswith("module.") for key in found):
        found = {key.removeprefix("module."): value for key, value in found.items()}
    return {f"fc.{key.removeprefix('linear.')}" if key.startswith("linear.") else key: v for key, v in found.items()}


def _describe(report: KeyReport) -> str:
    """One line that names the first few keys of each kind, and says what to do."""
    parts = []
    if report.reshaped:
        shapes = [f"{named(key)} is {ours} there and {theirs} here" for key, ours, theirs in report.reshaped]
        parts.append(_list("", shapes))
    if report.missing:
        parts.append(_list("missing ", report.missing))
    if report.unexpected:
        parts.append(_list("unexpected ", [named(key) for key in report.unexpected]))
    return "; ".join(parts) + "; choose the network, class count and channels these weights were made for"


def _list(title: str, entries: list[str] | tuple[str, ...]) -> str:
    more = f" and {len(entries) - SHOWN} more" if len(entries) > SHOWN else ""
    return title + ", ".join(entries[:SHOWN]) + more
