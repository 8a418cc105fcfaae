"""The learning-rate range test: it finds where the loss runs away, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline import api
from sightline.core.artifact import read_json
from sightline.core.errors import UserError
from sightline.core.progress import SILENT
from sightline.core.stopping import Interrupted
from sightline.data.dataset import Dataset
from sightline.run import Run
from sightline.training import resume
from sightline.training.loop import Training
from sightline.training.range_test import PART, STEPS, RangeTest, range_test
from sightline.training.recipe import Recipe


class Bowl:
    """A training whose loss is curvature / 2 * w^2: plain descent overshoots at rates above 2 / curvature."""

    def __init__(self, curvature: float) -> None:
        self.curvature = curvature
        self.network = self.model = torch.nn.Linear(1, 1, bias=False)
        self.network.weight.data.fill_(1.0)
        self.recipe = Recipe(epochs=1, lr=0.1, momentum=0.0, weight_decay=0.0)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1)
        self.progress, self.loader = SILENT, self

    def epoch(self, number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for _ in range(7):
            yield torch.zeros(1), torch.zeros(1)

    def step(self, images: Any, labels: Any, state: Any, done: float) -> tuple[torch.Tensor, ...]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.lr_at(done)
        self.optimizer.zero_grad()
        loss = self.curvature / 2 * self.network.weight.square().sum()
        loss.backward()
        self.optimizer.step()
        return loss, images, labels


def test_the_rate_goes_with_what_descent_bears() -> None:
    found = {curvature: range_test(Bowl(curvature), 0.1) for curvature in (2.0, 20.0, 200.0)}  # type: ignore[arg-type]
    for curvature, tested in found.items():
        assert 0.2 < tested.rate / (2 / curvature) < 5  # the mean of the loss trails by ten steps, a factor of 4
        assert tested.rate == pytest.approx(found[2.0].rate * 2 / curvature, rel=0.3)
        assert len(tested.rates) < STEPS  # it ran away before the end


def test_everything_is_as_it_was() -> None:
    bowl = Bowl(20.0)
    recipe, weight = bowl.recipe, bowl.network.weight.clone()
    range_test(bowl, 0.1)  # type: ignore[arg-type]
    assert bowl.recipe is recipe
    assert torch.equal(bowl.network.weight, weight)
    assert not bowl.optimizer.state_dict()["state"]


def test_the_rate_is_a_part_of_the_lowest_loss_s() -> None:
    assert RangeTest((0.1, 1.0, 10.0), (2.0, 1.0, 3.0)).rate == PART


@pytest.mark.parametrize("lr", ["0.05", 0.05])
def test_a_rate_may_be_text(lr: Any) -> None:
    assert Recipe.of(epochs=1, lr=lr).lr == 0.05


@pytest.mark.parametrize("lr", ["fast", "-1", "0"])
def test_what_is_no_rate_is_said(lr: str) -> None:
    with pytest.raises(UserError, match=f"^--lr .*{lr}"):
        Recipe.of(epochs=1, lr=lr)


@pytest.mark.slow
def test_a_resumed_run_keeps_the_rate_that_was_found(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain_close = Training._close

    def dies(self: Training, *arguments: Any) -> None:
        plain_close(self, *arguments)
        raise Interrupted

    monkeypatch.setattr(Training, "_close", dies)
    with pytest.raises(Interrupted):
        api.train(digits, "resnet20", lr="auto", epochs=2, out=tmp_path / "run")
    monkeypatch.setattr(Training, "_close", plain_close)
    first = read_json(tmp_path / "run" / "checkpoints" / "range_test.json", "range test")
    run = resume(Run.open(tmp_path / "run"))
    assert read_json(tmp_path / "run" / "checkpoints" / "range_test.json", "range test") == first
    assert run.document["arguments"]["recipe"]["lr"] == "auto"
    assert run.document["results"]["lr"] == first["rate"]
    assert max(row["lr"] for row in run.history()) <= first["rate"]
