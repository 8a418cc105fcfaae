"""The learning curve, end to end on real digits: the same pictures for all, each looked at once, nothing lost."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sightline import api
from sightline.core.errors import UserError
from sightline.core.progress import SILENT, Advance
from sightline.core.stopping import Interrupted
from sightline.data.dataset import Dataset
from sightline.evaluation.answers import answer
from sightline.evaluation.comparison import compare
from sightline.evaluation.curve_findings import findings
from sightline.models.pretrained import find_weights
from sightline.run import Run
from sightline.runtime import Session
from sightline.training import Recipe, curve, fit, handmade, train
from sightline.training.curve import learning_curve
from sightline.training.fit import gather
from sightline.training.head import fit_head
from sightline.training.loop import Training
from sightline.training.tuning import begins_at
from tests.fewer import own, small, sparse, without, written
from tests.weights import write_weights

SAID = {"arch": "resnet20", "preprocess": {"resize": [16, 16], "interpolation": "bilinear"}}
COUNTS = [30, 60, 600]  # of 600 training pictures, class by class
STEPS = Recipe.of(epochs=1, precision="32")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    return write_weights(path, "resnet20", SAID, settled=16, num_classes=100)


@pytest.fixture(scope="module")
def place(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits with 60 training pictures a class."""
    return written(small(own(digits, tmp_path_factory.mktemp("own") / "digits"), 60)).path


@pytest.fixture(scope="module")
def looks() -> list[int]:
    """How many pictures were run at once by the network (in front) and hand-engineered (behind) for `document`."""
    return []


@pytest.fixture(scope="module")
def document(place: Path, weights: Path, looks: list[int], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The curve of a head, of two seeds."""
    run, write = Session.run, handmade.features
    counts = {"run": 0, "write": 0}

    def watched(self: Session, images: np.ndarray, **options: Any) -> Any:
        counts["run"] += len(images)
        return run(self, images, **options)

    def written(images: np.ndarray) -> np.ndarray:
        counts["write"] += len(images)
        return write(images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curve, "SHARES", (0.05, 0.1, 1.0))
        patch.setattr(Session, "run", watched)
        patch.setattr(handmade, "features", written)
        found = api.learning_curve(
            place, weights=weights, seeds=2, out=tmp_path_factory.mktemp("runs") / "curve", precision="32"
        )
    looks[:] = counts["run"], counts["write"]
    return found


def test_a_curve_holds_every_share_and_seed_of_both_methods(document: dict[str, Any], place: Path) -> None:
    assert (document["kind"], document["split"], document["n"]) == ("learning-curve", "test", 269)
    assert (document["arch"], document["tune"], document["seeds"]) == ("resnet20", "head", [0, 1])
    assert document["dataset"]["fingerprint"] == Dataset.open(place).fingerprint
    points = {(one["method"], one["pictures"], one["seed"]): one for one in document["points"]}
    assert set(points) == {(m, n, s) for m in ("network", "handmade") for n in COUNTS for s in (0, 1)}
    for one, share in zip(COUNTS, (0.05, 0.1, 1.0), strict=True):
        assert points["network", one, 0]["share"] == share
        assert points["network", one, 0]["interval"]["low"] < points["network", one, 0]["test_top1"]
    network, by_hand = document["curves"]
    assert [level["pictures"] for level in network["levels"]] == COUNTS
    for curve_, method in ((network, "network"), (by_hand, "handmade")):
        means = [np.mean([points[method, n, seed]["test_top1"] for seed in (0, 1)]) for n in COUNTS]
        assert [level["mean"] for level in curve_["levels"]] == pytest.approx(means)
        assert means[-1] > means[0] + 0.05  # both learn from more
    assert by_hand["levels"][-1]["mean"] > 0.9
    assert points["handmade", 600, 0]["test_top1"] == points["handmade", 600, 1]["test_top1"]
    assert points["handmade", 30, 0]["test_top1"] != points["handmade", 30, 1]["test_top1"]
    assert document["findings"] == findings(document)
    json.dumps(document, allow_nan=False)


def test_each_picture_is_looked_at_once_for_all_shares_and_seeds(document: dict[str, Any], looks: list[int]) -> None:
    pictures = 600 + 269 + 269
    # each of six Runs adds 28, to see shapes, to compare and to verify; a second look at one split would add 269
    assert pictures <= looks[0] <= pictures + 6 * 40
    assert pictures <= looks[1] <= pictures + 3


def test_all_pictures_are_an_ordinary_run(document: dict[str, Any], place: Path, weights: Path, tmp_path: Path) -> None:
    (path,) = (p["run"] for p in document["points"] if (p["method"], p["share"], p["seed"]) == ("network", 1, 0))
    whole, plain = Run.open(path), api.train(place, weights=weights, tune="head", out=tmp_path / "run", precision="32")
    assert whole.document["arguments"] == plain.document["arguments"]
    assert "share" not in whole.document["arguments"]
    assert whole.document["results"]["validation"] == plain.document["results"]["validation"]


def test_a_share_trains_on_its_pictures_alone(
    document: dict[str, Any], place: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a Dataset that has no others, but for the geometry, which the weights decide here."""
    dataset = Dataset.open(place)
    (path,) = (p["run"] for p in document["points"] if (p["method"], p["share"], p["seed"]) == ("network", 0.1, 1))
    run, part = Run.open(path), own(dataset, tmp_path / "part").part(0.1, 1)
    assert run.document["arguments"]["share"] == 0.1
    assert run.document["data"]["counts"] == {"train": 60, "validation": 269, "test": 269}
    assert run.fingerprint == dataset.fingerprint != part.fingerprint
    alone = api.train(part, weights=weights, tune="head", out=tmp_path / "run", precision="32", seed=1)
    assert alone.document["data"]["counts"]["train"] == 60
    ours, theirs = answer(run, dataset).logits, answer(alone, dataset, keep=tmp_path).logits
    assert np.allclose(ours, theirs, atol=1e-4)


def test_what_is_measured_is_what_the_bundles_answer(document: dict[str, Any], place: Path) -> None:
    dataset = Dataset.open(place)
    labels = dataset.labels(dataset.rows("test"))
    for one in document["points"]:
        if one["method"] == "network" and one["seed"] == 0:
            right = answer(Run.open(one["run"]), dataset).logits.argmax(axis=1) == labels
            assert right.mean() == one["test_top1"]


def test_runs_of_shares_compare_and_their_training_accuracy_is_of_their_own_pictures(
    document: dict[str, Any], place: Path
) -> None:
    dataset = Dataset.open(place)
    runs = [Run.open(p["run"]) for p in document["points"] if p["method"] == "network" and p["share"] in (0.05, 1)]
    networks = {network["arch"]: network for network in compare(runs, dataset)["networks"]}
    assert [len(network["seeds"]) for network in networks.values()] == [2, 1]  # a head of all pictures has no luck
    (part,) = (network for name, network in networks.items() if "share=0.05" in name)
    for seed, value in zip(part["seeds"], part["train_top1"]["values"], strict=True):
        answers = answer(Run.open(runs[0].path.parent / f"resnet20-n30-s{seed}"), dataset, "train")
        own_rows = np.isin(answers.rows, dataset.part(0.05, seed).rows("train"))
        assert own_rows.sum() == 30
        assert value == (answers.logits.argmax(axis=1) == answers.labels)[own_rows].mean()


def test_a_finished_curve_is_kept_and_another_refused(
    document: dict[str, Any], place: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.training.campaign.train", None)
    monkeypatch.setattr(curve, "SHARES", (0.05, 0.1, 1.0))
    again = api.learning_curve(place, weights=weights, seeds=2, out=document["path"], precision="32")
    assert again["findings"] == document["findings"]
    assert [one["run"] for one in again["points"]] == [one["run"] for one in document["points"]]
    with pytest.raises(UserError, match=r"started otherwise \(.*views"):
        api.learning_curve(place, weights=weights, seeds=2, out=document["path"], precision="32", views=2)


class Stopper:
    """Asks to stop, as Ctrl-C does, when so many pictures have been trained on; notes the tasks."""

    def __init__(self, after: int) -> None:
        self.after, self.titles = after, list[str]()

    @contextmanager
    def task(self, title: str, total: int | None, unit: str = "images") -> Iterator[Advance]:
        self.titles.append(title)

        def advance(n: int = 1, **figures: str) -> None:
            if any("epoch" in name for name in figures):
                self.after -= n
                if self.after <= 0 < self.after + n:
                    os.kill(os.getpid(), signal.SIGINT)

        yield advance

    def note(self, text: str) -> None:
        """Nothing that is asked about."""


@pytest.mark.slow
def test_an_interrupted_curve_goes_on_to_the_same_end(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "SHARES", (0.1, 1.0))
    few = written(small(own(digits, tmp_path / "digits"), 40))
    whole = learning_curve(few, "resnet20", STEPS, tmp_path / "whole", size=16)
    stopper = Stopper(after=500)  # within the second Run
    with pytest.raises(Interrupted, match="the same command goes on where this one stood"):
        learning_curve(few, "resnet20", STEPS, tmp_path / "stopped", size=16, progress=stopper)
    assert stopper.titles == ["40 pictures, seed 0", "400 pictures, seed 0"]
    first, second = (Run.open(tmp_path / "stopped" / f"resnet20-n{n}-s0") for n in (40, 400))
    assert (first.status, second.status) == ("done", "interrupted")
    before = (first.path / "run.json").stat().st_mtime_ns
    again = learning_curve(few, "resnet20", STEPS, tmp_path / "stopped", size=16)
    assert (first.path / "run.json").stat().st_mtime_ns == before
    figures = ("method", "pictures", "seed", "validation_top1", "test_top1")
    assert [[p[key] for key in figures] for p in again["points"]] == [
        [p[key] for key in figures] for p in whole["points"]
    ]
    # one epoch of 400 pictures in batches of 16 is 25 steps; of 40 they are 13 epochs of two
    recipes = [Run.open(path).document for path in (first.path, second.path)]
    assert [r["results"]["steps"] for r in recipes] == [26, 25]
    assert [r["arguments"]["recipe"]["batch_size"] for r in recipes] == [16, 16]


@pytest.mark.parametrize(
    ("pictures", "everything", "whole", "batch", "epochs"),
    [
        (1259, 1259, 64, 64, 4),
        (630, 1259, 64, 64, 9),  # 9 steps where there are 19
        (60, 1259, 64, 60, 76),
        (20, 30, 16, 16, 4),
        (10, 30, 16, 10, 4),
        (20, 30, 64, 20, 4),
    ],
)
def test_every_share_takes_as_many_steps(pictures: int, everything: int, whole: int, batch: int, epochs: int) -> None:
    recipe = Recipe.of(epochs=4, patience=2)
    found = curve._as_long(recipe, pictures, everything, whole)
    assert (found.batch_size, found.epochs, found.patience) == (batch, epochs, -(-epochs // 2))
    head = curve._as_long(Recipe.of(epochs=4, tune="head"), pictures, everything, whole)
    assert (head.batch_size, head.epochs) == (whole, 4)


def test_a_share_reads_its_own_rows_of_what_is_kept_for_all(
    digits: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(self: Training) -> None:
        raise Interrupted  # when everything is ready for the first step

    monkeypatch.setattr(Training, "run", stopped)
    found = {}
    for share in (0.1, 1.0):
        recipe = Recipe.of(epochs=1, precision="32", tune="last", views=2)
        with pytest.raises(Interrupted):
            train(digits, "resnet20", recipe, tmp_path / str(share), weights=find_weights(weights), share=share)
        material = gather(Run.open(tmp_path / str(share)), digits, None, SILENT)
        begin = begins_at(material.network, "last", 3, 16)
        source, rows, labels = fit._source(material, begin, "train")
        found[share] = source.read(rows), labels
    part, whole = digits.part(0.1, 0).rows("train"), digits.rows("train")
    places = np.searchsorted(whole, part)
    twice = np.concatenate([places, places + len(whole)])
    assert np.array_equal(found[0.1][1], np.tile(digits.labels(part), 2))
    for ours, all_of_them in zip(found[0.1], found[1.0], strict=True):
        assert np.array_equal(ours, all_of_them[twice])


def test_the_test_pictures_measure_else_those_of_validation(digits: Dataset) -> None:
    assert curve._measured(digits) == "test"
    assert curve._measured(without(digits, "test")) == "validation"
    assert curve._measured(without(digits, "validation")) == "test"


def test_of_small_classes_every_share_that_differs_is_left(digits: Dataset) -> None:
    assert curve._shares(small(digits, 20)) == {10: 0.05, 20: 0.1, 50: 0.25, 100: 0.5, 200: 1.0}
    assert curve._shares(small(digits, 4)) == {10: 0.25, 20: 0.5, 40: 1.0}
    assert curve._shares(small(digits, 2)) == {10: 0.5, 20: 1.0}


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda d: without(d, "test", "validation"), {}, "digits has neither test nor validation pictures"),
        (lambda d: small(d, 1), {}, "digits has 10 training pictures of 10 classes: too few for a learning curve"),
        (lambda d: without(d, "train"), {}, "no training pictures"),
        (lambda d: d, {"seeds": 0}, "--seeds 0: at least one is needed"),
        (lambda d: d, {"recipe": Recipe.of(budget_s=9)}, "for as many steps: give --epochs, no --budget"),
    ],
)
def test_what_has_no_curve_is_told_before_anything_is_written(
    digits: Dataset, tmp_path: Path, change: Any, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        learning_curve(change(digits), "resnet20", **{"recipe": STEPS, "out": tmp_path / "curve", **options})
    assert not (tmp_path / "curve").exists()


def test_every_depth_is_tried_for_as_many_steps(
    digits: Dataset, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Recipe] = []
    monkeypatch.setattr(curve, "learning_curve", lambda dataset, arch, recipe, *_, **__: asked.append(recipe) or {})
    api.learning_curve(digits, weights=weights, tune="auto")
    assert (asked[0].tune, asked[0].epochs, asked[0].budget_s) == ("auto", api.EPOCHS, None)


def test_a_share_beyond_all_is_refused(digits: Dataset, tmp_path: Path) -> None:
    for share in (0.0, -0.5, 1.5, float("nan")):
        with pytest.raises(UserError, match="of the training pictures cannot be"):
            train(digits, "resnet20", STEPS, tmp_path / "run", share=share)
    assert not (tmp_path / "run").exists()


def test_without_validation_the_curve_is_there_all_the_same(
    digits: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curve, "SHARES", (0.5, 1.0))
    bare = small(without(own(digits, tmp_path / "digits"), "validation"), 60)
    found = api.learning_curve(bare, weights=weights, out=tmp_path / "curve", precision="32")
    assert {point["validation_top1"] for point in found["points"]} == {None}
    assert found["curves"][1]["levels"][-1]["mean"] > 0.9
    assert "validation" not in " ".join(found["findings"])


def test_what_is_measured_on_validation_says_so_and_classes_are_balanced_alike(
    digits: Dataset, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aims = []
    monkeypatch.setattr(curve, "SHARES", (0.5, 1.0))
    monkeypatch.setattr(curve, "fit_head", lambda *given, **more: aims.append(given[2]) or fit_head(*given, **more))
    bare = without(sparse(own(digits, tmp_path / "digits"), 2), "test")
    found = api.learning_curve(bare, weights=weights, out=tmp_path / "curve", precision="32", balance="weights")
    assert any("measured on validation pictures" in finding for finding in found["findings"])
    assert {aim.judge for aim in aims} == {"balanced"}
    assert all(np.ptp(aim.weights) > 0 for aim in aims[-1:])
