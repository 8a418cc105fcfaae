"""Optimizers, which turn gradients into steps, and schedules of how long the steps are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np

from sightline.core.errors import UserError

Arrays = Mapping[str, np.ndarray]
Schedule = Callable[[int], float]


class Optimizer(ABC):
    """Changes parameters, in their place, by their gradients; `state` is what it remembers of steps before."""

    def __init__(self, weight_decay: float = 0.0) -> None:
        self.weight_decay = weight_decay
        self.state: dict[str, np.ndarray] = {}

    @abstractmethod
    def step(self, parameters: Arrays, gradients: Arrays, lr: float) -> None:
        """One step of length `lr`."""

    def _kept(self, name: str, like: np.ndarray) -> np.ndarray:
        return self.state.setdefault(name, np.zeros_like(like))


class SGD(Optimizer):
    """Against the gradient. With `momentum` against its running sum v = momentum * v + g (Polyak 1964).

    `nesterov` looks a step ahead: g + momentum * v (Nesterov 1983, in the form of Sutskever et al. 2013). Weight decay
    is part of the gradient, as in He et al. 2015.
    """

    def __init__(self, momentum: float = 0.0, *, nesterov: bool = False, weight_decay: float = 0.0) -> None:
        super().__init__(weight_decay)
        if not 0 <= momentum < 1 or (nesterov and not momentum):
            raise UserError(f"momentum {momentum:g} must be at least 0 and below 1, and above 0 for Nesterov's")
        self.momentum, self.nesterov = momentum, nesterov

    def step(self, parameters: Arrays, gradients: Arrays, lr: float) -> None:
        """One step of length `lr`."""
        for name, parameter in parameters.items():
            gradient = gradients[name]
            if self.weight_decay:
                gradient = gradient + self.weight_decay * parameter
            if self.momentum:
                velocity = self._kept(name, parameter)
                velocity *= self.momentum
                velocity += gradient
                gradient = gradient + self.momentum * velocity if self.nesterov else velocity
            parameter -= lr * gradient


class Adam(Optimizer):
    """Against the running mean of gradients over the root of that of their squares (Kingma and Ba 2015, Algorithm 1).

    Weight decay shrinks the parameters beside the step, as in AdamW (Loshchilov and Hutter 2019, Algorithm 2).
    """

    def __init__(
        self, betas: tuple[float, float] = (0.9, 0.999), *, epsilon: float = 1e-8, weight_decay: float = 0.0
    ) -> None:
        super().__init__(weight_decay)
        self.betas, self.epsilon = betas, epsilon

    def step(self, parameters: Arrays, gradients: Arrays, lr: float) -> None:
        """One step of length `lr`."""
        count = self._kept("steps", np.zeros(1))
        count += 1
        corrections = [1 - beta ** float(count[0]) for beta in self.betas]
        for name, parameter in parameters.items():
            gradient = gradients[name]
            if self.weight_decay:
                parameter *= 1 - lr * self.weight_decay
            moments = []
            for number, (beta, value) in enumerate(zip(self.betas, (gradient, gradient * gradient), strict=True), 1):
                moment = self._kept(f"{name}.moment{number}", parameter)
                moment += (1 - beta) * (value - moment)
                moments.append(moment)
            mean, square = (moment / correction for moment, correction in zip(moments, corrections, strict=True))
            parameter -= lr * mean / (np.sqrt(square) + self.epsilon)


def one_cycle(peak: float, steps: int, *, rise: float = 0.3, first: float = 1 / 25, last: float = 1e-4) -> Schedule:
    """Up from `first` of `peak` over the share `rise` of all `steps`, then down to `last` of it, both along a cosine.

    Smith and Topin 2017.
    """
    top = max(rise * steps - 1, 1e-9)

    def length(step: int) -> float:
        if step <= top:
            return _between(peak * first, peak, step / top)
        return _between(peak, peak * last, (step - top) / max(steps - 1 - top, 1e-9))

    return length


def steps_down(peak: float, milestones: tuple[int, ...], factor: float = 0.1) -> Schedule:
    """`peak`, times `factor` from each of the steps `milestones` on (He et al. 2015)."""
    return lambda step: peak * factor ** sum(step >= milestone for milestone in milestones)


def _between(start: float, end: float, share: float) -> float:
    """Along half a cosine."""
    return float(end + (start - end) * (1 + np.cos(np.pi * min(max(share, 0), 1))) / 2)
