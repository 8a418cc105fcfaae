"""Multiply-adds of a network, traced on the meta device: shapes flow, no number is computed, no weight is copied.

One MAC is one multiply-add of a convolution or linear layer; bias, batch norm, activations and pooling are not counted
(the papers' convention, who call it "FLOPs"). Counted is what runs in evaluation, so auxiliary heads are not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sightline.core.errors import UserError, named


def count_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """MACs of one pass over an input [N, channels, H, W] of `input_shape`; the model itself is not touched.

    UserError that names it when a layer with parameters of its own runs that is no convolution, linear layer or batch
    norm: it would otherwise count as nothing.
    """
    twin = _on_meta(model).eval()
    total = 0

    def watch(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
            nonlocal total
            total += _macs(name, module, output)

        return add

    for name, module in twin.named_modules():
        if next(module.parameters(recurse=False), None) is not None:
            module.register_forward_hook(watch(name))
    with torch.inference_mode():
        twin(torch.empty(input_shape, device="meta"))
    return total


def _macs(name: str, module: nn.Module, output: Tensor) -> int:
    """MACs of one layer from its weights and the shape of what came out."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return output.numel() * prod(module.weight.shape[1:])
    if isinstance(module, nn.Linear):
        return output.numel() * module.in_features
    if isinstance(module, _BatchNorm):
        return 0
    raise UserError(f"cannot count the multiply-adds of layer {named(name)} ({type(module).__name__}): unknown kind")


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy of `model` whose tensors have shapes and no content."""
    memo: dict[int, Any] = {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    for p in model.parameters():
        memo[id(p)] = nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=False)
    return copy.deepcopy(model, memo)
