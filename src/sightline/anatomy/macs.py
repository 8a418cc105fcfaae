"""Multiply-adds of a network, traced on the meta device: shapes flow, no number is computed, no weight is copied.

`sightline.anatomy.layer` says what a MAC is. Counted is what runs in evaluation, so auxiliary heads are not.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from sightline.anatomy.layer import Layer
from sightline.anatomy.record import record


def count_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """MACs of one pass over an input [N, channels, H, W] of `input_shape`; the model itself is not touched.

    UserError as `layers_of`'s.
    """
    return sum(layer.macs for layer in layers_of(model, input_shape))


def layers_of(model: nn.Module, input_shape: tuple[int, ...]) -> list[Layer]:
    """What runs in evaluation on an input [N, channels, H, W] of `input_shape`; the model itself is not touched.

    UserError that names it when a layer or an operation runs that has parameters or multiplies matrices and is no
    convolution, linear layer or batch norm: it would otherwise count as nothing.
    """
    twin = model if _is_blank(model) else _on_meta(model).eval()
    return record(twin, torch.empty(input_shape, device="meta"))


def _is_blank(model: nn.Module) -> bool:
    """Whether `model` is in evaluation and has no content, so that it can be run itself."""
    tensors = [*model.parameters(), *model.buffers()]
    return not any(part.training for part in model.modules()) and all(tensor.is_meta for tensor in tensors)


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy of `model` whose tensors have shapes and no content."""
    memo: dict[int, Any] = {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    for p in model.parameters():
        memo[id(p)] = nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
    return copy.deepcopy(model, memo)
