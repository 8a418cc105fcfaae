"""Muon: filters whose size a batch norm takes off stepped along their orthogonalised momentum, all else by SGD.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024): a filter bank's momentum becomes about
the nearest orthogonal matrix, times as much as it is taller than wide under the root, so that every direction learns at
one pace. As in their speed runs on CIFAR-10 (github.com/KellerJordan/cifar10-airbench) the bank is held at one length,
which changes nothing where batch norm follows. `torch.optim.Muon` takes matrices alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

FILTER_SHARE = 1.2  # of the learning rate that all else takes (LOG.md, "The fast recipe")
FILTER_MOMENTUM = 0.6
STEPS, QUINTIC = 5, (3.4445, -4.7750, 2.0315)  # of Newton and Schulz's iteration, as they tuned it


class Muon(torch.optim.Optimizer):
    """`groups` with the key "filters" true are banks [K, C, h, w]; the others go by SGD with Nesterov's momentum.

    Banks have a momentum of their own, 0.6, and no weight decay, as their length is held.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, momentum: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "filters": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every parameter that has a gradient; `closure` is called first, and its loss returned."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not group["filters"]:
            gradient = gradient + group["weight_decay"] * parameter
        momentum = FILTER_MOMENTUM if group["filters"] else group["momentum"]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer = state["momentum_buffer"].mul_(momentum).add_(gradient)
        step = gradient.add(buffer, alpha=momentum)
        if group["filters"]:
            parameter.mul_(len(parameter) ** 0.5 / parameter.norm())
            bank = step.flatten(1)
            step = orthogonalised(bank).view_as(parameter) * max(1, len(bank) / bank.shape[1]) ** 0.5
        parameter.add_(step, alpha=-group["lr"])


def orthogonalised(matrix: Tensor) -> Tensor:
    """About the orthogonal matrix nearest to `matrix` [K, D]: its singular values, whatever they are, lie near 1."""
    a, b, c = QUINTIC
    x = matrix / (matrix.norm() + 1e-7)
    if wide := x.shape[0] <= x.shape[1]:
        x = x.T
    for _ in range(STEPS):
        square = x.T @ x
        x = a * x + x @ (b * square + c * square @ square)
    return x.T if wide else x
