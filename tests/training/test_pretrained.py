"""Trainings that begin with weights: what they take over, what they tell, and what a resumed one needs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from sightline import api
from sightline.core.errors import UserError
from sightline.core.stopping import Interrupted
from sightline.data.dataset import Dataset
from sightline.data.preprocess import Preprocess
from sightline.models import create
from sightline.run import Run
from sightline.training import resume
from sightline.training.loop import Training
from tests.weights import write_weights

pytestmark = pytest.mark.slow

SAID = {"arch": "resnet20", "style": "paper", "preprocess": {"resize": [16, 16], "interpolation": "bicubic"}}
QUICK: dict[str, Any] = {"tune": "all", "epochs": 1, "precision": "32", "batch_size": 128, "lr": 2e-4}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small pictures gain nothing from several threads, and on a busy machine every layer waits for the slowest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("sightline.training.fit"), "cpu_quota", lambda: 1)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of 100 classes for colour pictures of 16 pixels, and what is said of them."""
    torch.manual_seed(7)
    place = tmp_path_factory.mktemp("weights")
    return write_weights(place / "mine.pth", "resnet20", SAID, settled=16, num_classes=100)


@pytest.fixture
def weights(made: Path, tmp_path: Path) -> Path:
    """A copy of them, to be spoilt."""
    for path in (made, made.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    return tmp_path / made.name


@pytest.fixture(scope="module")
def whole(digits: Dataset, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two epochs without interruption."""
    return begin(digits, tmp_path_factory.mktemp("runs") / "whole", made, epochs=2)


def begin(digits: Dataset, out: Path, weights: Path, **options: Any) -> Run:
    return api.train(digits, weights=weights, out=out, **{**QUICK, **options})


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Die before that step, without a checkpoint."""
    plain_step, done = Training.step, 0

    def counted(self: Training, *arguments: Any) -> Any:
        nonlocal done
        if done == step:
            raise Interrupted
        done += 1
        return plain_step(self, *arguments)

    monkeypatch.setattr(Training, "step", counted)


def test_a_training_takes_over_weights_network_and_preprocess(digits: Dataset, weights: Path, tmp_path: Path) -> None:
    run = begin(digits, tmp_path / "run", weights, lr=1e-12)
    document = Run.open(run.path).document
    assert (document["arguments"]["arch"], document["arguments"]["style"]) == ("resnet20", "paper")
    told = document["weights"]
    assert told["file"] == "mine.pth"
    assert told["sha256"] == document["arguments"]["weights"]["sha256"]
    assert told["keys"]["replaced"] == [["fc.weight", [100, 64], [10, 64]], ["fc.bias", [100], [10]]]
    assert told["keys"]["loaded"] == 19 * 6
    bundle = run.bundle()
    assert bundle.preprocess == Preprocess(16, resize="squash", interpolation="bicubic")  # grey digits, made colour
    assert bundle.card["weights"] == told
    trained, before = load_file(bundle.path / "model.safetensors"), torch.load(weights, weights_only=True)
    assert trained["fc.weight"].shape == (10, 64)
    np.testing.assert_allclose(trained["layer2.1.conv1.weight"], before["layer2.1.conv1.weight"], atol=1e-6)


def test_flags_go_before_what_the_file_says_and_all_layers_are_trained(
    digits: Dataset, weights: Path, tmp_path: Path
) -> None:
    run = begin(digits, tmp_path / "run", weights, arch="resnet20:activation=leaky_relu", size=24, style="torchvision")
    assert (run.arch, run.document["arguments"]["style"]) == ("resnet20:activation=leaky_relu", "torchvision")
    assert run.bundle().preprocess == Preprocess(24, resize="squash", interpolation="bicubic")
    trained, before = load_file(run.path / "bundle/model.safetensors"), torch.load(weights, weights_only=True)
    for key, value in trained.items():
        if key in before and key.endswith("weight") and value.shape == before[key].shape:
            assert not np.allclose(value, before[key], atol=1e-6), key


def test_a_resumed_run_needs_the_file_no_more_once_there_is_a_checkpoint(
    digits: Dataset, weights: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stopped, pytest.raises(Interrupted):
        stop_at(12, stopped)  # in the second epoch
        begin(digits, tmp_path / "run", weights, epochs=2)
    weights.unlink()
    weights.with_suffix(".json").unlink()
    run = resume(Run.open(tmp_path / "run"))
    assert_same(run, whole)


def test_before_the_first_checkpoint_a_resumed_run_needs_the_same_file(
    digits: Dataset, weights: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as stopped, pytest.raises(Interrupted):
        stop_at(3, stopped)
        begin(digits, tmp_path / "run", weights, epochs=2)
    run, content = Run.open(tmp_path / "run"), weights.read_bytes()
    torch.save(create("resnet20", num_classes=100).state_dict(), weights)
    with pytest.raises(UserError, match=r"mine\.pth changed since .*put the file back"):
        resume(run)
    weights.unlink()
    with pytest.raises(UserError, match="no weights file"):
        resume(run)
    weights.write_bytes(content)
    weights.with_suffix(".json").write_text("{")  # what it said is in run.json
    assert_same(resume(run), whole)


def assert_same(one: Run, other: Run) -> None:
    """Equal to the last bit in what they exported."""
    ours, theirs = (load_file(run.path / "bundle/model.safetensors") for run in (one, other))
    assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    digits: Dataset, weights: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="do not fit this network"):
        begin(digits, tmp_path / "run", weights, arch="resnet32")
    with pytest.raises(UserError, match="train needs a network"):
        api.train(digits, out=tmp_path / "run", **QUICK)
    assert not (tmp_path / "run").exists()
