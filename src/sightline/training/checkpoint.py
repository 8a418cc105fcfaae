"""Checkpoint: one safetensors file with the network, the optimizer and where the training stands.

Tensors go in as tensors, everything else as JSON in the header: no pickle, and a file that was being written when the
machine died does not exist under its name.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sightline.core.artifact import write_bytes
from sightline.core.errors import UserError, named


@dataclass
class State:
    """Where a training stands: `step` steps of the current `epoch` done, and what was seen so far.

    `step_seconds` of the `seconds` went into steps and what went ahead of them, the others into validation; `prepared`
    more seconds went by before.
    """

    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    step_seconds: float = 0.0
    prepared: float = 0.0
    best_epoch: int = 0
    best_score: float = -1.0
    best_loss: float = float("inf")
    totals: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def save_checkpoint(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None, state: State) -> None:
    """Write network, optimizer and `state` to `path`, whole or not at all."""
    tensors = {f"model.{key}": value for key, value in model.state_dict().items()}
    scalars: dict[str, Any] = {}
    for index, values in (optimizer.state_dict()["state"] if optimizer else {}).items():
        for key, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            elif value is not None:
                scalars[f"{index}.{key}"] = value
    header = {"state": json.dumps(asdict(state)), "optimizer": json.dumps(scalars)}
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    write_bytes(path, save(contiguous, metadata=header))


def load_checkpoint(path: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer | None) -> State:
    """Put the checkpoint at `path` into network and optimizer, and return its State. UserError when it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata()
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        state = State(**json.loads(header["state"]))
        scalars = json.loads(header["optimizer"])
        model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
        if optimizer:
            optimizer.load_state_dict(_optimizer_state(optimizer, tensors, scalars))
    except (SafetensorError, OSError, ValueError, KeyError, IndexError, TypeError, RuntimeError):
        raise UserError(f"damaged checkpoint {named(path)}: remove it to start this run again") from None
    return state


def _optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], scalars: dict[str, Any]
) -> dict[str, Any]:
    """`optimizer`'s own groups with the saved per-parameter values, laid out in memory as the parameters are."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    values: dict[int, dict[str, Any]] = {}
    saved = {key.removeprefix("optimizer."): value for key, value in tensors.items() if key.startswith("optimizer.")}
    for key, value in (saved | scalars).items():
        index, name = key.split(".", 1)
        parameter = parameters[int(index)]
        if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        values.setdefault(int(index), {})[name] = value
    return {"state": values, "param_groups": optimizer.state_dict()["param_groups"]}
