"""Where a training runs: one device, in a precision it multiplies fast."""

from __future__ import annotations

import logging
from typing import Literal

import torch
from lightning_fabric import Fabric

from sightline.core.errors import UserError
from sightline.core.machine import cpu_quota

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
Device = Literal["auto", "cpu", "cuda", "mps"]


def make_fabric(device: Device, precision: Literal["auto", "32", "bf16", "16"]) -> Fabric:
    """Fabric on one device. "auto" precision is bfloat16 where the device multiplies it fast, else float32.

    Raises UserError when the device is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is usable here, use --device cpu")
    if device == "mps" and not torch.backends.mps.is_available():
        raise UserError("--device mps: no Apple GPU is usable here, use --device cpu")
    device = _found(device)
    if precision == "16" and device == "cpu":
        raise UserError("--precision 16: a processor has no half precision, use --precision bf16 or 32")
    if precision == "auto":
        precision = "bf16" if _fast_bfloat16(device) else "32"
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    return Fabric(accelerator=device, devices=1, precision=PRECISIONS[precision])


def spoken(device: Device) -> str:
    """What a training on `device` runs on, in words: a graphics card's name, or how many processors."""
    if _found(device) == "cuda":
        return str(torch.cuda.get_device_name())
    count = cpu_quota()
    return "an Apple GPU" if _found(device) == "mps" else f"{count} processor" + ("" if count == 1 else "s")


def _found(device: Device) -> Device:
    """The device that "auto" stands for."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def _fast_bfloat16(device: str) -> bool:
    """Whether `device` has matrix units for bfloat16: recent CUDA cards, and processors with AMX."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))
