"""Calibration: graph, weights and answers agree after it, and classes keep their order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from sightline import api
from sightline.bundle import softmax
from sightline.cli import run as call
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from sightline.experience import units
from sightline.run import Run
from sightline.training import Recipe, train
from tests.pictures import crops
from tests.weights import write_weights

SAID = {"arch": "resnet20", "preprocess": {"resize": [16, 16], "interpolation": "bilinear"}}


@pytest.fixture(scope="module")
def trained(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three epochs, with label smoothing: a network that is right more often than it thinks."""
    return train(digits, "resnet20", Recipe.of(epochs=3, batch_size=64), tmp_path_factory.mktemp("runs") / "trained")


@pytest.fixture(scope="module")
def fitted(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The head alone."""
    place = tmp_path_factory.mktemp("fitted")
    torch.manual_seed(7)
    weights = write_weights(place / "mine.pth", "resnet20", SAID, settled=16, num_classes=100)
    return api.train(digits, weights=weights, tune="head", out=place / "run")


@pytest.fixture(scope="module", params=["trained", "fitted"])
def run(request: pytest.FixtureRequest) -> Run:
    """Either, as both make their graphs in their own way."""
    return request.getfixturevalue(request.param)


def answers(run: Run, digits: Dataset, split: str) -> Any:
    bundle = run.bundle()
    return bundle.run(Pixels(digits, bundle.preprocess).read(digits.rows(split)))


def test_the_document_and_the_card_say_what_was_done(run: Run, digits: Dataset) -> None:
    said = run.document["results"]["calibration"]
    assert said == run.bundle().card["metrics"]["calibration"]
    temperature = said["temperature"]
    assert 0 < temperature["low"] < temperature["value"] < temperature["high"]
    assert temperature["value"] != 1
    assert said["pictures"] == len(digits.rows("validation"))
    assert said["after"]["log_loss"] < said["before"]["log_loss"]


def test_the_served_graph_measures_on_validation_what_was_said(run: Run, digits: Dataset) -> None:
    measured = api.evaluate(run, digits, split="validation")
    for figure, value in run.document["results"]["calibration"]["after"].items():
        assert measured[figure] == pytest.approx(value, abs=1e-4)


def test_what_it_was_seen_to_know_are_the_served_answers(run: Run, digits: Dataset) -> None:
    """The confidence of every validation picture and whether it is right, and distances to training pictures."""
    experience, said = run.bundle().experience, answers(run, digits, "validation")
    labels = digits.labels(digits.rows("validation"))
    np.testing.assert_allclose(experience.confidence, softmax(said.logits).max(1), atol=1e-4)
    assert (experience.right == (said.logits.argmax(1) == labels)).mean() > 0.99  # ties may fall otherwise
    np.testing.assert_allclose(experience.distance, experience.distances(said.embedding), atol=1e-3)
    trained_on = units(answers(run, digits, "train").embedding)
    assert (experience.references.astype(np.float32) @ trained_on.T).max(1).min() > 0.999


def test_only_the_head_is_divided_and_classes_keep_their_order(trained: Run, digits: Dataset) -> None:
    before = load_file(trained.path / "checkpoints" / "best.safetensors")
    after = load_file(trained.path / "bundle" / "model.safetensors")
    temperature = trained.document["results"]["calibration"]["temperature"]["value"]
    for key, value in after.items():
        if not value.is_floating_point():
            continue
        divided = temperature if key.startswith("fc.") else 1.0
        torch.testing.assert_close(value * divided, before[f"model.{key}"], rtol=1e-6, atol=0)
    said = answers(trained, digits, "test")
    unscaled = said.embedding @ before["model.fc.weight"].numpy().T + before["model.fc.bias"].numpy()
    np.testing.assert_allclose(said.logits * temperature, unscaled, rtol=1e-4, atol=1e-4)
    apart = np.diff(np.sort(unscaled, axis=1), axis=1).min(1) > 1e-4
    assert (said.logits.argsort(1) == unscaled.argsort(1))[apart].all()


@pytest.mark.slow
def test_confidence_on_test_pictures_is_better_for_it(trained: Run, digits: Dataset) -> None:
    """It was chosen on others. Log loss is what it lowers; the calibration error of 269 pictures alone is noisy."""
    temperature = trained.document["results"]["calibration"]["temperature"]["value"]
    said, labels = answers(trained, digits, "test"), digits.labels(digits.rows("test"))
    loss = [-np.log(softmax(said.logits * scale)[np.arange(len(labels)), labels]).mean() for scale in (1, temperature)]
    assert loss[0] < loss[1]


def test_photographs_are_unlike_what_a_trained_network_knows(trained: Run, digits: Dataset) -> None:
    """Test digits against crops of photographs: AUROC 0.97 when measured, after three epochs."""
    bundle = trained.bundle()
    photos = np.stack([bundle.preprocess(crop) for name in ("china.jpg", "flower.jpg") for crop in crops(name, 59)])
    own, others = (
        bundle.experience.distances(embedding)
        for embedding in (answers(trained, digits, "test").embedding, bundle.run(photos).embedding)
    )
    assert roc_auc_score([0] * len(own) + [1] * len(others), np.concatenate([own, others])) > 0.9


def test_the_promise_is_measured_on_test_pictures(trained: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["evaluate", str(trained.path), "--reject", "10%", "--unlike", "1%", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = document["rejection"]
    assert (found["rule"]["error"], found["rule"]["unlike"]) == (0.1, 0.01)
    assert found["answered"] + found["unsure"] + found["unlike"] == document["n"]
    assert found["coverage"]["mean"] == found["answered"] / document["n"]
    assert found["error_of_answers"]["low"] <= 0.1
    assert call(["evaluate", str(trained.path), "--reject", "10%"]) == 0
    assert "wrong of these" in capsys.readouterr().out


def test_without_validation_pictures_nothing_is_calibrated(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = digits.rows("train")[:160]
    monkeypatch.setattr(Dataset, "rows", lambda self, split: rows if split == "train" else rows[:0])
    run = train(digits, "resnet20", Recipe.of(epochs=1, batch_size=64), tmp_path / "run")
    assert run.document["results"]["calibration"] is None
    assert sorted(run.bundle().card["files"]) == ["golden.npz", "model.onnx", "model.safetensors"]
