"""What combinations are measured by: fitted weights, rows beside what they are to improve on, and the document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from sightline.data.dataset import Dataset
from sightline.evaluation.answers import Answers, answer
from sightline.evaluation.combination import Table, best, fit_weights
from sightline.evaluation.metrics import measure, pair
from tests.tiny_network import make_bundle, make_run

AVERAGES = ("probabilities", "logits")


def said(logits: np.ndarray, labels: np.ndarray) -> Answers:
    return Answers(np.arange(len(labels)), labels, logits.astype(np.float32), 0.0)


def network(labels: np.ndarray, knowledge: float, seed: int) -> Answers:
    """Logits that know the true class by so much, on top of noise of deviation 1."""
    logits = np.random.default_rng(seed).normal(size=(len(labels), 5))
    logits[np.arange(len(labels)), labels] += knowledge
    return said(logits, labels)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, 400)


def log_loss(answers: list[Answers], weights: list[float], average: str) -> float:
    labels = answers[0].labels
    if average == "logits":
        logs = log_softmax(sum(w * one.logits.astype(float) for w, one in zip(weights, answers, strict=True)), axis=1)
    else:
        parts = [np.exp(log_softmax(one.logits.astype(float), axis=1)) for one in answers]
        logs = np.log(sum(w * p for w, p in zip(weights, parts, strict=True)))
    return float(-logs[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("average", AVERAGES)
def test_fitted_weights_prefer_the_better_network(average: str, labels: np.ndarray) -> None:
    answers = {"good": network(labels, 2, 1), "fair": network(labels, 1.6, 2), "blind": network(labels, -2, 3)}
    found = fit_weights(answers, average)
    weights = found["weights"]
    assert list(weights) == ["good", "fair", "blind"]
    assert weights["good"] > weights["fair"] > 0
    assert weights["blind"] == 0
    assert sum(weights.values()) == pytest.approx(1)
    assert found["n"] == 400
    assert found["log_loss"] == pytest.approx(log_loss([*answers.values()], [*weights.values()], average))
    assert found["log_loss_equal"] == pytest.approx(log_loss([*answers.values()], [1 / 3] * 3, average))


@pytest.mark.parametrize("average", AVERAGES)
def test_no_other_weights_have_less_log_loss(average: str, labels: np.ndarray) -> None:
    answers = [network(labels, knowledge, seed) for seed, knowledge in enumerate((1.0, 1.2, 0.8))]
    found = fit_weights({str(n): one for n, one in enumerate(answers)}, average)
    others = np.random.default_rng(4).dirichlet(np.ones(3), 200)
    least = min(log_loss(answers, [*other], average) for other in others)
    assert found["log_loss"] <= least + 1e-9


@pytest.mark.parametrize("average", AVERAGES)
def test_equal_networks_keep_equal_weights(average: str, labels: np.ndarray) -> None:
    one = network(labels, 1, 1)
    assert fit_weights({"a": one, "b": one}, average)["weights"] == pytest.approx({"a": 0.5, "b": 0.5})


def test_a_network_that_is_sure_and_wrong_gives_no_infinite_loss(labels: np.ndarray) -> None:
    sure = said(np.where(np.arange(5) == ((labels + 1) % 5)[:, None], 500.0, -500.0), labels)
    found = fit_weights({"good": network(labels, 3, 1), "sure": sure}, "probabilities")
    assert found["weights"]["good"] == 1
    assert np.isfinite([found["log_loss"], found["log_loss_equal"]]).all()
    assert np.isfinite(fit_weights({"sure": sure, "twin": sure}, "probabilities")["log_loss"])


@pytest.fixture(scope="module")
def document(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    place = tmp_path_factory.mktemp("table")
    table = Table(digits, "test")
    worse = table.add("worse", ["runs/worse"], make_bundle(place / "worse", digits, noise=0.3), None)
    better = table.add("better", ["runs/better"], make_bundle(place / "better", digits), None, against=worse)
    assert best([worse, better]) is best([better, worse]) is better
    return table.document(["a note"], None)


def test_a_row_measures_and_stands_beside_another(document: dict[str, Any], digits: Dataset, tmp_path: Path) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["kind"], document["split"], document["notes"]) == ("combination", "test", ["a note"])
    worse, better = document["rows"]
    assert worse["against"] is None
    answers = [answer(make_bundle(tmp_path / str(noise), digits, noise=noise), digits) for noise in (0.3, 0.0)]
    right = [one.logits.argmax(1) == one.labels for one in answers]
    metrics = measure(answers[1].logits, answers[1].labels, digits.classes).to_dict()
    assert all(better[key] == metrics[key] for key in ("n", "top1", "interval", "log_loss", "ece"))
    against = better["against"]
    assert {key: against[key] for key in pair(right[1], right[0])} == pair(right[1], right[0])
    assert (against["a"], against["b"], against["macs_ratio"]) == ("better", "worse", 1)
    assert against["time_ratio"] == pytest.approx(worse["images_per_s"] / better["images_per_s"])
    assert against["top1_difference"] > 0
    assert against["p_value"] < 0.05


def test_the_finding_says_what_it_brings(document: dict[str, Any]) -> None:
    (finding,) = document["findings"]
    only = document["rows"][1]["against"]
    assert finding.startswith("better is ")
    assert f"ahead of worse ({only['only_a']} to {only['only_b']} pictures, p" in finding
    assert "more than chance), in " in finding


def test_answers_of_a_run_are_kept_and_of_a_bundle_are_not(digits: Dataset, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", digits)
    table = Table(digits, "test")
    table.add("run", ["run"], run.bundle(), run.path)
    table.add("bundle", ["bundle"], make_bundle(tmp_path / "bundle", digits), None)
    assert [path.parent.name for path in tmp_path.rglob("answers-*")] == ["run"]
