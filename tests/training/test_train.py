"""Learning tests, on real handwritten digits: that it learns, repeats to the bit, and loses nothing when stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch.nn.functional import cross_entropy

from sightline.bundle import Bundle
from sightline.core.errors import UserError
from sightline.core.progress import SILENT
from sightline.core.stopping import Interrupted, stop_signals
from sightline.data.dataset import Dataset
from sightline.models import Network, create
from sightline.run import Run
from sightline.training import Recipe, loop, resume, train
from sightline.training.campaign import campaign, trained
from sightline.training.checkpoint import load_checkpoint
from sightline.training.inputs import grown
from sightline.training.loop import Training, spendable
from sightline.training.presets import preset
from sightline.training.train import arguments_of

TIMED = ("seconds", "images_per_s", "waiting_frac")


def recipe(**options: Any) -> Recipe:
    return Recipe.of(**{"epochs": 2, "precision": "32", "batch_size": 128, **options})


class Clock:
    """Stands in for the module time: only what was told to take time takes any."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def taking(self, seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, after which it is `seconds` later."""

        def timed(*arguments: Any) -> Any:
            result = function(*arguments)
            self.now += seconds
            return result

        return timed


def untimed(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key not in TIMED} for row in run.history()]


def assert_same_training(one: Run, other: Run) -> None:
    """Equal to the last bit: every tensor of network and optimizer, the exported weights, every figure not of time."""
    assert untimed(one) == untimed(other)
    for name in ("checkpoints/last.safetensors", "bundle/model.safetensors"):
        ours, theirs = load_file(one.path / name), load_file(other.path / name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert np.array_equal(ours[key], theirs[key]), key


def stopping(patch: pytest.MonkeyPatch, after: int, number: signal.Signals = signal.SIGINT) -> None:
    """Let a training be asked to stop in its step `after`."""
    steps, plain_step = 0, Training.step

    def step(self: Training, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == after:
            os.kill(os.getpid(), number)
        return plain_step(self, *arguments)

    patch.setattr(Training, "step", step)


@pytest.fixture(scope="module")
def plain(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs without interruption."""
    return train(digits, "resnet20", recipe(), tmp_path_factory.mktemp("runs") / "plain")


def test_a_run_ends_in_a_bundle_and_tells_everything(digits: Dataset, plain: Run) -> None:
    document = Run.open(plain.path).document
    assert document["status"] == "done"
    assert document["data"]["fingerprint"] == digits.fingerprint
    assert document["arguments"]["recipe"]["mirror"] is False
    results = document["results"]
    assert (results["epochs"], results["steps"]) == (2, 2 * (len(digits.rows("train")) // 128))
    assert results["parameters"] == 269_434
    bundle = Bundle.open(plain.path / "bundle")
    assert bundle.classes == digits.classes
    assert bundle.preprocess.channels == 1
    assert len(plain.history()) == 2
    assert list((plain.path / "events").iterdir())


def test_one_picture_a_step_is_refused_where_batch_norm_needs_more(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"resnet18 cannot be trained on one picture of 32 pixels a step.*--batch 2"):
        train(digits, "resnet18", recipe(batch_size=1), tmp_path / "run", size=32, stem="imagenet")
    one = digits.rows("train")[:1]
    monkeypatch.setattr(Dataset, "rows", lambda self, split: one)
    with pytest.raises(UserError, match="has no second training picture"):
        train(digits, "resnet18", recipe(), tmp_path / "run", size=32, stem="imagenet")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_it_overfits_eight_pictures(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eight = digits.rows("train")[:8]
    monkeypatch.setattr(Dataset, "rows", lambda self, split: eight)
    run = train(
        digits,
        "resnet20",
        recipe(epochs=40, batch_size=8, augment="none", label_smoothing=0.0, lr=0.02),
        tmp_path / "run",
    )
    last = run.history()[-1]
    assert last["train_top1"] == 1.0
    assert last["train_loss"] < 0.05
    assert last["validation_top1"] == 1.0


@pytest.mark.slow
def test_the_same_seed_repeats_to_the_bit_and_another_differs(
    digits: Dataset, plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_same_training(plain, train(digits, "resnet20", recipe(), tmp_path / "again"))
    stopping(monkeypatch, 10)  # one epoch tells
    with pytest.raises(Interrupted):
        train(digits, "resnet20", recipe(seed=1), tmp_path / "other")
    (other,) = untimed(Run.open(tmp_path / "other"))
    assert {key: other[key] for key in ("epoch", "step", "lr")} == {
        key: untimed(plain)[0][key] for key in ("epoch", "step", "lr")
    }
    assert other != untimed(plain)[0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_resumes_as_if_nothing_happened(
    digits: Dataset, plain: Run, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping(monkeypatch, 12, number)  # in the middle of the second epoch
    with pytest.raises(Interrupted):
        train(digits, "resnet20", recipe(), tmp_path / "run")
    stopped = Run.open(tmp_path / "run")
    assert stopped.document["status"] == "interrupted"
    with pytest.raises(UserError, match="--resume"):
        stopped.bundle()
    assert_same_training(resume(stopped), plain)


@pytest.mark.slow
def test_a_run_with_strong_distortions_resumes_as_if_nothing_happened_without_its_file(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mixed labels, distorted ahead by another thread, and begun again where the other thread was further."""
    file = tmp_path / "mine.yaml"
    file.write_text(
        "- rotation\n- elastic: {p: 0.5}\n- randaugment\n- erasing\n- mixup: {p: 0.5}\n- cutmix: {p: 0.5}\n"
    )
    whole = train(digits, "resnet20", recipe(augment=str(file)), tmp_path / "whole")
    stopping(monkeypatch, 12)
    with pytest.raises(Interrupted):
        train(digits, "resnet20", recipe(augment=file), tmp_path / "run")
    file.unlink()
    resumed = resume(Run.open(tmp_path / "run"))
    assert_same_training(resumed, whole)
    said = [next(iter(entry)) for entry in resumed.document["arguments"]["recipe"]["augment"]]
    assert said == ["rotation", "elastic", "randaugment", "erasing", "mixup", "cutmix"]
    assert 0 < whole.history()[-1]["train_top1"] <= 1


@pytest.mark.slow
def test_the_fast_recipe_learns_on_growing_pictures_and_resumes_as_if_nothing_happened(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides, plain_forward = list[tuple[int, bool]](), Network.forward

    def forward(self: Network, x: torch.Tensor) -> Any:
        sides.append((x.shape[-1], self.training))
        return plain_forward(self, x)

    monkeypatch.setattr(Network, "forward", forward)
    fast = recipe(**preset("fast"), epochs=4)
    whole = train(digits, "resnet20", fast, tmp_path / "whole")
    steps = whole.document["results"]["steps"]
    trained = [side for side, training in sides if training][-steps:]
    assert trained == [grown(16, fast.growing, step / steps) for step in range(steps)]
    assert sorted(set(trained)) == [8, 12, 16]
    assert sides[-1] == (16, False)
    assert whole.document["results"]["validation"]["top1"] > 0.9
    stopping(monkeypatch, 12)
    with pytest.raises(Interrupted):
        train(digits, "resnet20", fast, tmp_path / "run")
    assert_same_training(resume(Run.open(tmp_path / "run")), whole)


def test_signals_go_back_to_who_had_them() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_signals() as stop:
        assert signal.getsignal(signal.SIGTERM) is not before
        assert not stop.is_set()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.slow
def test_training_works_outside_the_main_thread(digits: Dataset, tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            train(digits, "resnet20", recipe(epochs=1), tmp_path / "run")
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert errors == []


SUICIDAL = """
import json, os, signal, sys
from pathlib import Path
import sightline.exporting.onnx, sightline.training
from sightline.cli import run
from sightline.training.loop import Training

out, moments, begin = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
for place, left in moments:  # each in a process of its own, which has imported everything
    child = os.fork()
    if child == 0:
        break
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, file=sys.stderr)
    if status != (0 if place == "never" else -signal.SIGKILL):
        sys.exit(1)
else:
    os._exit(0)

def dying(work):
    def counted(*arguments):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*arguments)
    return counted

if place == "step":
    Training.step = dying(Training.step)
if place == "fsync":
    os.fsync = dying(os.fsync)
verb = ["train", "--resume", out] if Path(out, "run.json").exists() else [*begin, "--out", out]
sys.exit(run(verb))
"""


@pytest.mark.slow
def test_a_killed_run_resumes_as_if_nothing_happened(digits: Dataset, plain: Run, tmp_path: Path) -> None:
    """SIGKILL at random moments: before the first checkpoint, while files are written, and in a later epoch."""
    out, chance = tmp_path / "run", random.Random()
    moments = [("step", chance.randrange(9)), ("fsync", chance.randrange(4)), ("step", chance.randrange(5))]
    begin = ["train", str(digits.path), "--arch", "resnet20", "--epochs", "2", "--batch", "128", "--precision", "32"]
    arguments = [sys.executable, "-c", SUICIDAL, str(out), json.dumps([*moments, ("never", 0)]), *begin]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (moments, done.stderr)
    assert_same_training(Run.open(out), plain)


def test_a_diverging_loss_stops_with_advice_and_keeps_what_was_good(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"at most 1e\+20\): try --lr 1e\+19; nothing was kept yet") as caught:
        train(digits, "resnet20", recipe(epochs=5, lr=1e20), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert Run.open(tmp_path / "run").document["status"] == "diverged"
    with pytest.raises(UserError, match="run diverged and would again: try a lower --lr with another --out"):
        trained(digits, "resnet20", recipe(epochs=5, lr=1e20), tmp_path / "run")


@pytest.mark.parametrize(("raised", "met"), [(KeyboardInterrupt, Interrupted), (OSError(28, "full"), OSError)])
def test_a_run_that_ends_while_it_is_exported_goes_on_there(
    raised: Any, met: type[BaseException], digits: Dataset, plain: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(plain.path, tmp_path / "run")
    run = Run.open(tmp_path / "run").update(status="interrupted")
    shutil.rmtree(run.path / "bundle")
    with monkeypatch.context() as patch, pytest.raises(met):
        patch.setattr(sys.modules["sightline.training.train"], "export", Mock(side_effect=raised))
        resume(run)
    assert Run.open(run.path).status == ("interrupted" if met is Interrupted else "running")
    assert resume(Run.open(run.path)).bundle().model_hash == plain.bundle().model_hash


def test_a_network_that_learnt_nothing_says_so_and_silenced_branches_stay_silent(
    digits: Dataset, plain: Run, tmp_path: Path
) -> None:
    still = recipe(epochs=1, lr=1e-9, zero_init=True)
    run = train(digits, "resnet20", still, tmp_path / "run")
    collapsed = run.document["results"]["collapsed"]
    assert collapsed["classes"] == 10
    assert collapsed["recall"] < 0.15
    (row,) = run.history()
    assert (row["validation_balanced"], row["validation_commonest"]) == (collapsed["recall"], collapsed["commonest"])
    scales = {k: v for k, v in load_file(run.path / "bundle/model.safetensors").items() if k.endswith("bn2.weight")}
    assert len(scales) == 9
    assert all(np.abs(scale).max() < 1e-6 for scale in scales.values())
    assert plain.document["results"]["collapsed"] is None


def test_a_loss_that_becomes_no_number_keeps_the_checkpoint_before(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second epoch of nine steps each; the message names the step, what is kept and what to try."""
    plain, steps = Training.loss, 0

    def spoilt(self: Training, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        return plain(self, logits, labels) * (float("nan") if steps == 12 else 1)

    monkeypatch.setattr(Training, "loss", spoilt)
    with pytest.raises(UserError, match=r"by step 18 \(epoch 2, .*try --lr .*epoch 1 is kept in .*last\.safetensors"):
        train(digits, "resnet20", recipe(), tmp_path / "run")
    kept = load_file(tmp_path / "run" / "checkpoints" / "last.safetensors")
    assert all(np.isfinite(value).all() for value in kept.values())
    monkeypatch.undo()
    run = Run.open(tmp_path / "run")
    assert run.status == "diverged"
    assert len(run.history()) == 1
    assert resume(run).document["results"]["epochs"] == 2


@pytest.mark.slow
def test_patience_ends_a_run_that_no_longer_improves(digits: Dataset, tmp_path: Path) -> None:
    run = train(digits, "resnet20", recipe(epochs=30, lr=1e-12, patience=2), tmp_path / "run")
    results = run.document["results"]
    assert results["epochs"] == results["best_epoch"] + 2 < 30


@pytest.mark.slow
def test_preparing_counts_every_time_a_run_is_begun(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = create("resnet20", num_classes=10, in_channels=1)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stopping(patch, 1)
        train(digits, "resnet20", recipe(epochs=None, budget_s=1), tmp_path / "run")
    before = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.safetensors", network, None)
    assert before.prepared > 0
    assert resume(Run.open(tmp_path / "run")).status == "done"
    after = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.safetensors", network, None)
    assert after.prepared > before.prepared


def test_a_budget_ends_a_run_with_its_schedule(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock where a step takes a second and a validation eight, and the budget ends in the third."""
    clock = Clock()
    monkeypatch.setattr(loop, "time", clock)
    monkeypatch.setattr(Training, "step", clock.taking(1.0, Training.step))
    monkeypatch.setattr(Training, "measure", clock.taking(8.0, Training.measure))
    run = train(digits, "resnet20", recipe(epochs=None, budget_s=65), tmp_path / "run")
    assert run.document["status"] == "done"
    history = run.history()
    assert history[-1]["lr"] < 0.05 * 0.01
    assert spendable(65) <= history[-1]["seconds"] <= spendable(65) + 8


@pytest.mark.slow
def test_auxiliary_heads_take_part_in_the_loss(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = []
    for weight in (0.0, 0.3):
        with monkeypatch.context() as patch, pytest.raises(Interrupted):
            stopping(patch, 10)  # when the first epoch is written down
            train(digits, "googlenet_small", recipe(auxiliary_weight=weight), tmp_path / str(weight))
        first += Run.open(tmp_path / str(weight)).history()
    assert first[1]["train_loss"] > first[0]["train_loss"] * 1.3


def test_a_comparison_keeps_a_finished_run_wherever_its_pictures_lie_now(
    digits: Dataset, plain: Run, tmp_path: Path
) -> None:
    shutil.copytree(digits.path, tmp_path / "moved")
    shutil.copytree(plain.path, tmp_path / "runs" / "resnet20-s0")
    moved = Dataset.open(tmp_path / "moved")
    (kept,) = campaign(moved, ["resnet20"], recipe(), tmp_path / "runs")
    assert kept.document == plain.document
    with pytest.raises(UserError, match=r"started otherwise \(lr\)"):
        campaign(moved, ["resnet20"], recipe(lr=0.05), tmp_path / "runs")


@pytest.mark.parametrize("balance", ["none", "weights", "sampling"])
def test_what_balances_classes_reaches_the_loop(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, balance: str
) -> None:
    """Loss by its formula, order by its loader, and the figure that chooses the best epoch."""
    caught: list[Training] = []

    def stopped(self: Training) -> None:
        caught.append(self)
        raise Interrupted

    rows = digits.rows("train")
    uneven = rows[(digits.labels(rows) > 3) | (np.arange(len(rows)) % 9 == 0)]
    monkeypatch.setattr(Dataset, "rows", lambda self, split: uneven if split == "train" else rows[:0])
    monkeypatch.setattr(Training, "run", stopped)
    with pytest.raises(Interrupted):
        train(digits, "resnet20", recipe(balance=balance), tmp_path / "run")
    (training,) = caught
    assert training.loader.even == (balance == "sampling")
    assert training.recipe.judge == ("top1" if balance == "none" else "balanced")
    labels = torch.arange(10)
    logits = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    losses = cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    counts = torch.bincount(torch.from_numpy(digits.labels(uneven)))
    weights = len(uneven) / (10 * counts) if balance == "weights" else torch.ones(10)
    torch.testing.assert_close(training.loss(logits, labels), (weights * losses).mean())
    mixed = 0.7 * torch.eye(10) + 0.3 * torch.eye(10).roll(1, 1)  # as mixup leaves them: the weights mix too
    losses = cross_entropy(logits, mixed, label_smoothing=0.1, reduction="none")
    torch.testing.assert_close(training.loss(logits, mixed), ((mixed @ weights) * losses).mean())


def test_resume_refuses_what_it_cannot_continue(digits: Dataset, plain: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="finished"):
        resume(plain)
    data = {**plain.document["data"], "fingerprint": "0" * 64}
    other = Run.create(tmp_path / "run", {**plain.document, "status": "interrupted", "data": data})
    with pytest.raises(UserError, match="changed since"):
        resume(other, progress=SILENT)


def test_size_stem_and_channels_follow_the_pictures(digits: Dataset) -> None:
    small = arguments_of(digits, "googlenet", recipe())
    assert (small["size"], small["stem"]) == (16, "small")
    large = arguments_of(digits, "googlenet", recipe(), size=224)
    assert (large["size"], large["stem"]) == (224, "imagenet")
    assert arguments_of(digits, "resnet20", recipe(), size=224)["stem"] == "small"


def test_pictures_too_small_for_the_network_are_told_the_smallest(digits: Dataset) -> None:
    with pytest.raises(UserError, match="16 pixels are too small for vgg11: resize them to 32 or more"):
        arguments_of(digits, "vgg11", recipe())
    assert arguments_of(digits, "vgg11", recipe(), size=32)["stem"] == "small"


def test_an_unknown_network_is_refused_before_anything_is_written(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match='did you mean "googlenet"'):
        train(digits, "googlnet", recipe(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
