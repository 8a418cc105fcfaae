"""`--tune auto`: every depth is tried once, what does best on validation is kept, and a budget is shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline import api
from sightline.cli.train import show
from sightline.core.errors import UserError
from sightline.core.stopping import Diverged, Interrupted
from sightline.data.dataset import Dataset
from sightline.evaluation.network import how_trained
from sightline.run import Run
from sightline.training import depths, resume
from sightline.training.depths import DEPTHS, SHORTEST, try_depths
from sightline.training.loop import Training
from tests.weights import write_weights

SAID = {"arch": "resnet20", "preprocess": {"resize": [16, 16], "interpolation": "bilinear"}}


class Depths:
    """Trainings that take no time: `outcome` of a depth is its validation (top-1, loss), or what it raises."""

    def __init__(self, outcome: dict[str, Any], clock: Callable[[float], None] = lambda seconds: None) -> None:
        self.outcome, self.clock = outcome, clock
        self.budgets: dict[str, float | None] = {}
        self.head_seconds = 5

    def __call__(self, run: Run) -> Run:
        recipe = run.document["arguments"]["recipe"]
        outcome = self.outcome[recipe["tune"]]
        self.budgets[recipe["tune"]] = recipe["budget_s"]
        seconds = self.head_seconds if recipe["tune"] == "head" else recipe["budget_s"] or 0
        self.clock(seconds)
        if isinstance(outcome, BaseException):
            raise outcome
        (run.path / "bundle").mkdir()
        (run.path / "bundle" / "bundle.json").write_text(recipe["tune"])
        run.write_history([{"epoch": 1}])
        results = {
            "validation": {"top1": outcome[0], "loss": outcome[1]}, "epochs": 1, "trained_parameters": 1,
            "train_seconds": 0.9 * seconds,
        }  # fmt: skip
        return run.update(status="done", results=results)


def begun(path: Path, *, budget_s: float | None = None, validation: int = 50) -> Run:
    data = {"fingerprint": "f", "counts": {"train": 100, "validation": validation, "test": 0}}
    arguments = {"arch": "resnet20", "recipe": {"tune": "auto", "budget_s": budget_s}}
    return Run.create(path, {"status": "running", "arguments": arguments, "seed": 0, "data": data})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """A clock that only this moves on."""
    now = [0.0]
    monkeypatch.setattr(depths.time, "perf_counter", lambda: now[0])

    def tick(seconds: float) -> None:
        now[0] += seconds

    return tick


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        ({"head": (0.8, 1.0), "last": (0.9, 1.0), "gradual": (0.85, 0.1), "all": (0.9, 1.1)}, "last"),
        ({"head": (0.8, 1.0), "last": (0.8, 0.9), "gradual": (0.8, 1.0), "all": (0.8, 1.0)}, "last"),
        ({"head": (0.8, 1.0), "last": (0.8, 1.0), "gradual": (0.8, 1.0), "all": (0.8, 1.0)}, "head"),
        ({"head": (0.8, 1.0), "last": Diverged("x"), "gradual": (0.7, 1.0), "all": (0.9, 1.0)}, "all"),
    ],
)
def test_the_best_on_validation_is_kept(outcome: dict[str, Any], kept: str, tmp_path: Path) -> None:
    run = try_depths(begun(tmp_path / "run"), Depths(outcome))
    assert run.status == "done"
    assert (run.path / "bundle" / "bundle.json").read_text() == kept
    rows = run.document["results"]["depths"]
    assert [row["tune"] for row in rows] == list(DEPTHS)
    assert [row["tune"] for row in rows if row["chosen"]] == [kept]
    assert [row["status"] for row in rows] == ["done" if isinstance(outcome[d], tuple) else "diverged" for d in DEPTHS]
    assert run.history() == [{"epoch": 1}]


def test_a_budget_is_shared_by_those_after_the_head(tmp_path: Path, clock: Callable[[float], None]) -> None:
    tried = Depths(dict.fromkeys(DEPTHS, (0.5, 1.0)), clock)
    run = try_depths(begun(tmp_path / "run", budget_s=305), tried)
    assert tried.budgets == {"head": 305 / 4, "last": 100, "gradual": 100, "all": 100}
    assert [row["seconds"] for row in run.document["results"]["depths"]] == [5, 100, 100, 100]
    assert run.document["results"]["train_seconds"] == pytest.approx(0.9 * 305)


def test_depths_without_time_are_passed_over(tmp_path: Path, clock: Callable[[float], None]) -> None:
    tried = Depths(dict.fromkeys(DEPTHS, (0.5, 1.0)), clock)
    run = try_depths(begun(tmp_path / "run", budget_s=5 + 2.5 * SHORTEST), tried)
    assert tried.budgets == {"head": SHORTEST, "last": SHORTEST, "gradual": SHORTEST}
    assert [row["status"] for row in run.document["results"]["depths"]] == ["done", "done", "done", "no time left"]


def test_a_depth_that_fails_is_passed_over_with_its_reason_and_the_head_is_not(tmp_path: Path) -> None:
    full = UserError("cannot keep features: No space left on device")
    outcome: dict[str, Any] = dict.fromkeys(DEPTHS, (0.5, 1.0)) | {"last": full}
    run = try_depths(begun(tmp_path / "run"), Depths(outcome))
    rows = run.document["results"]["depths"]
    assert [row["status"] for row in rows] == ["done", "failed", "done", "done"]
    assert rows[1]["why"] == str(full)
    with pytest.raises(UserError, match="No space left"):
        try_depths(begun(tmp_path / "other"), Depths(outcome | {"head": full}))


def test_seconds_before_an_interrupt_count(tmp_path: Path, clock: Callable[[float], None]) -> None:
    outcome: dict[str, Any] = dict.fromkeys(DEPTHS, (0.5, 1.0))
    with pytest.raises(Interrupted):
        try_depths(begun(tmp_path / "run", budget_s=305), Depths(outcome | {"gradual": Interrupted()}, clock))
    tried = Depths(outcome, clock)
    run = try_depths(Run.open(tmp_path / "run"), tried)
    assert tried.budgets == {"gradual": 100}  # as it was begun, and it takes all of it again
    assert [row["seconds"] for row in run.document["results"]["depths"]] == [5, 100, 200, 0]


def test_the_last_depth_goes_on_though_its_budget_was_nearly_used(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    outcome: dict[str, Any] = dict.fromkeys(DEPTHS, (0.5, 1.0))
    with pytest.raises(Interrupted):
        try_depths(begun(tmp_path / "run", budget_s=305), Depths(outcome | {"all": Interrupted()}, clock))
    run = try_depths(Run.open(tmp_path / "run"), Depths(outcome, clock))
    assert [row["status"] for row in run.document["results"]["depths"]] == ["done"] * 4


def test_depths_that_got_more_or_less_of_a_budget_are_seeds_of_one_network(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    ways = []
    for seed, seconds in enumerate((5, 35)):
        tried = Depths(dict.fromkeys(DEPTHS, (0.5, 1.0)), clock)
        tried.head_seconds = seconds
        run = try_depths(begun(tmp_path / str(seed), budget_s=305), tried)
        ways.append([how_trained(Run.open(run.path / "depths" / tune)) for tune in DEPTHS])
        assert tried.budgets["last"] == (305 - seconds) / 3
    assert ways[0] == ways[1]
    assert len(set(ways[0])) == 4


def test_without_validation_the_head_is_fitted(tmp_path: Path) -> None:
    tried = Depths({"head": (None, None)})
    run = try_depths(begun(tmp_path / "run", validation=0), tried)
    assert list(tried.budgets) == ["head"]
    assert (run.path / "bundle" / "bundle.json").read_text() == "head"


def test_what_was_tried_is_not_tried_again(tmp_path: Path) -> None:
    outcome: dict[str, Any] = dict.fromkeys(DEPTHS, (0.5, 1.0))
    with pytest.raises(Interrupted):
        try_depths(begun(tmp_path / "run"), Depths(outcome | {"gradual": Interrupted()}))
    tried = Depths(outcome)
    run = try_depths(Run.open(tmp_path / "run"), tried)
    assert list(tried.budgets) == ["gradual", "all"]
    assert len(run.document["results"]["depths"]) == 4


def test_weights_are_tuned_without_validation_pictures_too(
    digits: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = np.where(digits.table.split == "validation", "", digits.table.split)
    bare = replace(digits, table=replace(digits.table, split=split))
    weights = write_weights(tmp_path / "mine.pth", "resnet20", SAID, settled=16, num_classes=100)
    run = api.train(bare, weights=weights, out=tmp_path / "auto")
    assert run.document["results"]["validation"] == {"top1": None, "balanced": None, "loss": None}
    (head,) = run.document["results"]["depths"]
    assert (head["tune"], head["chosen"], head["validation"]["top1"]) == ("head", True, None)
    assert all(row["validation_top1"] is None and 0 < row["held_out_top1"] <= 1 for row in run.history())
    show(run, None)
    said = " ".join(capsys.readouterr().out.split())
    assert "there are no validation pictures to measure deeper tuning by" in said


@pytest.mark.slow
@pytest.mark.parametrize("tune", ["last", "all"])
def test_a_budget_that_preparing_uses_up_still_trains(tune: str, digits: Dataset, tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "mine.pth", "resnet20", SAID, settled=16, num_classes=100)
    run = api.train(digits, weights=weights, tune=tune, budget="0.001s", out=tmp_path / "run")
    assert run.status == "done"
    assert run.document["results"]["epochs"] >= 1


@pytest.mark.slow
def test_auto_is_the_depth_it_keeps(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    weights = write_weights(tmp_path / "mine.pth", "resnet20", SAID, settled=16, num_classes=100)
    options: dict[str, Any] = {"epochs": 1, "precision": "32", "batch_size": 128, "lr": 1e-3}
    plain_step, died = Training.step, []

    def dies(self: Training, *arguments: Any) -> Any:
        if self.recipe.tune == "gradual" and not died:
            died.append(True)
            raise Interrupted
        return plain_step(self, *arguments)

    monkeypatch.setattr(Training, "step", dies)
    with pytest.raises(Interrupted, match=r"train --resume \S*auto` continues"):
        api.train(digits, weights=weights, out=tmp_path / "auto", **options)
    assert Run.open(tmp_path / "auto").status == "interrupted"
    run = resume(Run.open(tmp_path / "auto"))
    rows = run.document["results"]["depths"]
    kept = next(row for row in rows if row["chosen"])
    assert kept["validation"]["top1"] == max(row["validation"]["top1"] for row in rows)
    alone = api.train(digits, weights=weights, tune=kept["tune"], out=tmp_path / "alone", **options)
    ours, theirs = run.bundle(), alone.bundle()
    assert ours.card["files"]["model.safetensors"] == theirs.card["files"]["model.safetensors"]
    trained = [row["trained_parameters"] for row in rows]
    assert trained[0] < trained[1] < trained[2] == trained[3] == run.document["results"]["parameters"]
