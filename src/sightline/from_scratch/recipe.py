"""The Recipe of a training in NumPy: optimizer, learning rate, schedule, and for how long."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from sightline.core.errors import UserError
from sightline.scratch.optim import SGD, Adam, Optimizer, Schedule, one_cycle, steps_down

RATES = {"sgd": 0.05, "adam": 0.001}
MOMENTUM = 0.9
SCHEDULES = ("one_cycle", "paper_step", "constant")
STEPS_AN_EPOCH = 8  # at least, where there are few pictures


@dataclass(frozen=True)
class Recipe:
    """How to train; what is None is chosen by `fitted`. SGD takes Nesterov's momentum."""

    epochs: int = 5
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float = 5e-4
    schedule: str = "one_cycle"
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """UserError for a value that none can train with."""
        limits = {"epochs": self.epochs, "lr": self.lr, "batch": self.batch_size}
        for name, number in limits.items():
            if number is not None and not 0 < number < float("inf"):
                raise UserError(f"--{name} {number:g} must be above 0")
        if not 0 <= self.weight_decay < 1:
            raise UserError(f"--weight-decay {self.weight_decay:g} must be at least 0 and below 1")
        if self.momentum is not None and not 0 <= self.momentum < 1:
            raise UserError(f"--momentum {self.momentum:g} must be at least 0 and below 1")
        for name, value, known in (("optimizer", self.optimizer, RATES), ("schedule", self.schedule, SCHEDULES)):
            if value not in known:
                raise UserError(f'no {name} "{value}" in NumPy: there are {", ".join(known)}')
        if self.momentum is not None and self.optimizer != "sgd":
            raise UserError(f"--momentum is of sgd, {self.optimizer} has none: leave it out")

    def fitted(self, pictures: int) -> Recipe:
        """With every open choice made for so many training `pictures`."""
        batch = self.batch_size or max(1, min(128, pictures // STEPS_AN_EPOCH))
        momentum = MOMENTUM if self.momentum is None and self.optimizer == "sgd" else self.momentum
        return replace(self, batch_size=batch, lr=self.lr or RATES[self.optimizer], momentum=momentum)

    def make_optimizer(self) -> Optimizer:
        """The optimizer, which has not stepped yet."""
        if self.optimizer == "adam":
            return Adam(weight_decay=self.weight_decay)
        assert self.momentum is not None
        return SGD(self.momentum, nesterov=self.momentum > 0, weight_decay=self.weight_decay)

    def make_schedule(self, steps: int) -> Schedule:
        """The learning rate over all `steps`; paper_step is He et al. 2015, section 4.2, by shares of them."""
        assert self.lr is not None
        if self.schedule == "one_cycle":
            return one_cycle(self.lr, steps)
        return steps_down(self.lr, (steps // 2, steps * 3 // 4) if self.schedule == "paper_step" else ())

    def to_dict(self) -> dict[str, Any]:
        """As a Run keeps it."""
        return asdict(self)
