from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sightline import api
from sightline.cli.resuming import differences
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.run import Run
from sightline.training.presets import PRESETS, preset
from sightline.training.recipe import Recipe
from sightline.training.train import arguments_of


def fields(**options: object) -> Recipe:
    return api._recipe(None, None, [], dict(options))[0]


def test_the_paper_s_recipe_is_the_paper_s() -> None:
    """He et al. 2015, section 4.2: 64,000 steps, divided by 10 at 32,000 and 48,000."""
    recipe = fields(recipe="paper").fitted(45_000, ("cat", "dog"))
    steps = recipe.epochs * (45_000 // 128)  # type: ignore[operator]
    assert abs(steps - 64_000) < 45_000 // 128
    rates = [recipe.lr_at(step / 64_000) for step in (0, 31_999, 32_000, 47_999, 48_000, 63_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    optimizer = recipe.make_optimizer(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)))
    assert [(group["weight_decay"], group["momentum"], group["nesterov"]) for group in optimizer.param_groups] == [
        (1e-4, 0.9, False)
    ]


def test_resnet_110_warms_up_for_400_steps() -> None:
    recipe = fields(recipe="paper", schedule="paper_step_warm_up")
    assert [recipe.lr_at(step / 64_000) for step in (0, 399, 400)] == pytest.approx([0.01, 0.01, 0.1])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_what_is_given_goes_before_the_preset_and_none_is_not_given(name: str) -> None:
    assert fields(recipe=name, lr=0.7, momentum=None) == fields(recipe=name).model_copy(update={"lr": 0.7})
    assert api._recipe(3, None, [], {"recipe": name})[0].epochs == 3
    budget = api._recipe(None, "90s", [], {"recipe": name})[0]
    assert (budget.epochs, budget.budget_s) == (None, 90)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_run_goes_on_with_the_recipe_and_the_options_it_was_begun_with(
    name: str, digits: Dataset, tmp_path: Path
) -> None:
    begun = api._recipe(3, None, [], {"recipe": name, "batch_size": 64})[0]
    document = {"status": "interrupted", "seed": 0, "data": {"fingerprint": "f", "classes": list(digits.classes)}}
    run = Run.create(tmp_path / "run", {**document, "arguments": arguments_of(digits, "resnet20", begun)})
    assert differences(run, {"recipe": name, "epochs": 3, "batch": 64}) == []
    assert differences(run, {"recipe": name, "budget": "10m"})[0] == "--budget 10m (it has None)"
    optimizer, nesterov = ("muon" if name == "fast" else "sgd"), (name != "paper")
    for other in PRESETS.keys() - {name}:
        (said,) = differences(run, {"recipe": other, "epochs": 3, "batch": 64})
        assert said.startswith(f"--recipe {other} (it has ")
        assert (f"optimizer {optimizer}" in said) == ("fast" in (name, other))
        assert (f"nesterov {nesterov}" in said) == ("paper" in (name, other))


def test_an_unknown_recipe_is_said() -> None:
    with pytest.raises(UserError, match='unknown recipe "papr", did you mean "paper"'):
        preset("papr")
