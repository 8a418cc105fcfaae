"""The learning-rate range test of `--lr auto` (Smith, "Cyclical Learning Rates for Training Neural Networks" (2017)).

Section 3.3: the rate grows from step to step by one factor until the loss runs away. Half the rate at which the loss
was lowest is the peak of the schedule. It is for networks that have learnt nothing yet: the loss of one that is tuned
hardly falls, and one batch differs from the next by more (LOG.md).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.training.checkpoint import State

if TYPE_CHECKING:
    import torch

    from sightline.training.loop import Training

STEPS = 80
LOWEST, HIGHEST = 1e-3, 1e2  # of the rate that is usual
SMOOTH = 0.9  # of the loss's running mean
RUNS_AWAY = 3.0  # times the lowest loss
WHOLE = 1.0  # the share of a run at which pictures that grow have grown
PART = 0.5


@dataclass(frozen=True)
class RangeTest:
    """The `rates` that were tried with the smoothed loss after each, and the `rate` to train with."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Half the rate at which the loss was lowest."""
        return PART * self.rates[self.losses.index(min(self.losses))]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"rates": list(self.rates), "losses": list(self.losses), "rate": self.rate}


def range_test(training: Training, usual: float) -> RangeTest:
    """Try rates around the `usual` one on the first batches of `training`, which is then as it was before."""
    recipe, network = training.recipe, copy.deepcopy(training.network.state_dict())
    optimizer = copy.deepcopy(training.optimizer.state_dict())
    tried: list[tuple[float, float]] = []
    mean = 0.0
    training.model.train()
    with training.progress.task("Trying learning rates", STEPS) as advance:
        for step, (images, labels) in enumerate(itertools.islice(_batches(training), STEPS)):
            rate = usual * LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1))
            training.recipe = recipe.model_copy(update={"lr": rate, "schedule": "constant"})
            loss, _, _ = training.step(images, labels, State(step=step), WHOLE)
            mean = SMOOTH * mean + (1 - SMOOTH) * float(loss.detach())
            smoothed = mean / (1 - SMOOTH ** (step + 1))
            if not math.isfinite(smoothed) or (tried and smoothed > RUNS_AWAY * min(loss for _, loss in tried)):
                break
            tried.append((rate, smoothed))
            advance(1, rate=f"{rate:.2g}", loss=f"{smoothed:.3f}")
    training.recipe = recipe
    training.network.load_state_dict(network)
    training.optimizer.load_state_dict(optimizer)
    rates, losses = zip(*tried, strict=True)
    return RangeTest(rates, losses)


def _batches(training: Training) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    for epoch in itertools.count():
        yield from training.loader.epoch(epoch)
