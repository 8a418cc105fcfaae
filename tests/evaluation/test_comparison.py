"""Comparing Runs: the document, its figures against their definitions, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.bundle import softmax
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.evaluation.answers import answer
from sightline.evaluation.comparison import compare, evaluate
from sightline.evaluation.metrics import mcnemar
from sightline.evaluation.network import grouped
from sightline.run import Run
from tests.tiny_network import make_run, prototypes, write


@pytest.fixture(scope="module")
def runs(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two seeds of a good network and three of a worse one, mixed."""
    place = tmp_path_factory.mktemp("runs")
    plan = [("good", 0, 0.02), ("bad", 0, 0.3), ("good", 1, 0.02), ("bad", 1, 0.3), ("bad", 2, 0.3)]
    return [make_run(place / f"{arch}{seed}", digits, arch=arch, seed=seed, noise=noise) for arch, seed, noise in plan]


@pytest.fixture(scope="module")
def document(runs: list[Run], digits: Dataset) -> dict[str, Any]:
    return compare(runs, digits)


def test_it_is_plain_json(document: dict[str, Any]) -> None:
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["kind"] == "comparison"
    assert document["dataset"]["counts"] == {"train": 1259, "validation": 269, "test": 269}
    assert len(document["findings"]) == 3
    assert document["findings"][0].startswith("good is best")


def test_runs_are_grouped_by_network(document: dict[str, Any], runs: list[Run]) -> None:
    good, bad = document["networks"]
    assert (good["arch"], good["seeds"], bad["arch"], bad["seeds"]) == ("good", [0, 1], "bad", [0, 1, 2])
    assert good["runs"] == [str(runs[0].path), str(runs[2].path)]
    assert good["train_seconds"] == 10.5
    assert good["parameters"] == 650
    assert good["size_bytes"] == (runs[0].path / "bundle" / "model.onnx").stat().st_size
    assert good["run_images_per_s"] > 0
    assert [history["seed"] for history in bad["histories"]] == [0, 1, 2]
    assert bad["histories"][0]["rows"] == runs[1].history()


def test_figures_over_seeds(document: dict[str, Any], runs: list[Run], digits: Dataset) -> None:
    bad = document["networks"][1]
    members = [run for run in runs if run.arch == "bad"]
    for split, key in (("train", "train_top1"), ("validation", "validation_top1"), ("test", "top1")):
        found = [answer(run, digits, split) for run in members]
        values = [float((one.logits.argmax(1) == one.labels).mean()) for one in found]
        assert bad[key]["values"] == values
        assert bad[key]["mean"] == pytest.approx(np.mean(values))
        assert bad[key]["interval"] == "t"
        assert bad[key]["low"] <= bad[key]["mean"] <= bad[key]["high"]
    assert bad["gap"]["train_minus_test"] == pytest.approx(bad["train_top1"]["mean"] - bad["top1"]["mean"])
    for network in document["networks"]:
        assert all(network[key]["low"] >= 0 for key in ("top1", "top5", "log_loss", "ece"))
        assert all(network[key]["high"] <= 1 for key in ("top1", "top5", "ece"))
    confusion = np.array(bad["confusion"])
    assert confusion.sum() == 3 * 269
    assert np.trace(confusion) / confusion.sum() == pytest.approx(bad["top1"]["mean"])
    assert [row["support"] for row in bad["per_class"]] == (confusion.sum(1) // 3).tolist()
    assert sum(one["count"] for one in bad["calibration"]) == 3 * 269


def test_the_pair_is_about_answers_averaged_over_seeds(
    document: dict[str, Any], runs: list[Run], digits: Dataset
) -> None:
    right = []
    for arch in ("good", "bad"):
        found = [answer(run, digits) for run in runs if run.arch == arch]
        right.append(np.mean([softmax(one.logits) for one in found], axis=0).argmax(1) == found[0].labels)
    only_good, only_bad = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    (pair,) = document["pairs"]
    assert (pair["a"], pair["b"], pair["only_a"], pair["only_b"]) == ("good", "bad", only_good, only_bad)
    assert pair["both"] + pair["neither"] + only_good + only_bad == 269
    assert pair["p_value"] == mcnemar(only_good, only_bad) < 0.05
    assert pair["top1_difference"] == pytest.approx(right[0].mean() - right[1].mean())


def test_the_pictures_shown_open(document: dict[str, Any], digits: Dataset) -> None:
    from sightline.data.pictures import open_picture

    assert {m["arch"] for m in document["mistakes"]} == {"good", "bad"}
    for one in [*document["mistakes"], *document["disagreements"]]:
        assert open_picture(one["picture"]).size == (8, 8)
        assert one["true"] == digits.classes[digits.labels(np.array([one["row"]]))[0]]
    for one in document["disagreements"]:
        assert (one["a_says"] == one["true"]) != (one["b_says"] == one["true"])
    assert all(m["predicted"] != m["true"] for m in document["mistakes"])


def test_a_seed_that_collapsed_is_named(digits: Dataset, tmp_path: Path) -> None:
    good, dead = (make_run(tmp_path / f"r{seed}", digits, seed=seed, noise=0.02) for seed in (0, 1))
    shutil.rmtree(dead.path / "bundle")
    weight, bias = prototypes(digits)
    write(dead.path / "bundle", weight, bias + 1000 * (np.arange(10) == 3), arch="prototype")
    document = compare([good, dead], digits)
    (network,) = document["networks"]
    (one,) = network["collapsed"]
    assert (one["seed"], one["commonest"], one["classes"]) == (1, 1.0, 10)
    assert one["recall"] == pytest.approx(0.1)
    assert document["findings"][0].startswith("prototype has learnt nothing yet in 1 of 2 trainings (seed 1): it gives")


def test_one_run_alone(runs: list[Run], digits: Dataset) -> None:
    document = compare(runs[:1], digits)
    (network,) = document["networks"]
    assert document["pairs"] == document["disagreements"] == []
    assert network["top1"]["interval"] == "wilson"
    assert network["ece"]["low"] is None
    assert network["log_loss"]["low"] < network["log_loss"]["mean"] < network["log_loss"]["high"]
    json.dumps(document, allow_nan=False)


def test_the_same_network_trained_in_two_ways_is_two_networks(digits: Dataset, tmp_path: Path) -> None:
    ways = [make_run(tmp_path / f"r{seed}", digits, seed=seed, noise=0.1, lr=lr) for seed, lr in enumerate((0.1, 0.2))]
    document = compare(ways, digits)
    assert [network["arch"] for network in document["networks"]] == ["prototype (lr=0.1)", "prototype (lr=0.2)"]
    assert document["pairs"][0]["b"] == "prototype (lr=0.2)"


def test_a_name_says_in_few_words_how_a_network_was_trained(digits: Dataset, tmp_path: Path) -> None:
    def made(name: str, weights: str = "", **recipe: Any) -> Run:
        run = make_run(tmp_path / name, digits, noise=0.1, **recipe)
        if weights:
            source = {"source": f"/home/anna/{name}/mine.pth", "sha256": weights}
            run = run.update(arguments=run.document["arguments"] | {"weights": source, "preprocess": {"size": 8}})
        return run

    turned = [{"mirror": {"p": 0.5}}, {"rotation": {"degrees": 10}}]
    more = [{"mirror": {"p": 0.5}}, {"rotation": {"degrees": 20}}]
    runs = [
        made("scratch", augment=[], tune=None), made("turned", augment=turned, tune=None),
        made("more", augment=more, tune=None), made("tuned", "a" * 64, augment=[], tune="head"),
        made("moved", "a" * 64, augment=[], tune="head"), made("other", "b" * 64, augment=[], tune="head"),
    ]  # fmt: skip
    names = {str(name): len(members) for name, members in grouped([(run, run.bundle()) for run in runs]).items()}
    assert names == {
        "prototype (augment=none)": 1,
        "prototype (augment=mirror+rotation) #1": 1,
        "prototype (augment=mirror+rotation) #2": 1,
        "prototype (weights=mine.pth, augment=none, tune=head) #1": 2,
        "prototype (weights=mine.pth, augment=none, tune=head) #2": 1,
    }


def test_the_depths_of_tuning_stand_beside_the_run_that_chose_among_them(digits: Dataset, tmp_path: Path) -> None:
    tunes = {"auto": 300.0, "head": 75.0, "all": 99.5}
    runs = [make_run(tmp_path / tune, digits, tune=tune, budget_s=budget) for tune, budget in tunes.items()]
    asked = {"asked_budget_s": 300.0}
    runs[1:] = [run.update(arguments=run.document["arguments"] | asked) for run in runs[1:]]
    runs[1].write_history([{"epoch": n, "l2": 0.1, "validation_top1": 0.5} for n in (1, 2, 3)])
    document = compare(runs, digits)
    names = ["prototype (tune=auto)", "prototype (tune=head)", "prototype (tune=all)"]
    assert [network["arch"] for network in document["networks"]] == names
    assert [network["epochs"] for network in document["networks"]][1] is None
    assert [len(network["histories"][0]["rows"]) for network in document["networks"]] == [1, 0, 1]
    json.dumps(document, allow_nan=False)


def test_the_very_same_network_counts_once(runs: list[Run], digits: Dataset) -> None:
    document = compare([runs[0], runs[0]], digits)
    assert document["networks"][0]["seeds"] == [0]
    assert document["networks"][0]["top1"]["interval"] == "wilson"


def test_no_validation_pictures(runs: list[Run], digits: Dataset) -> None:
    split = np.where(digits.table.split == "validation", "", digits.table.split)
    document = compare(runs[:1], dataclasses.replace(digits, table=dataclasses.replace(digits.table, split=split)))
    (network,) = document["networks"]
    assert network["validation_top1"] == {"mean": None, "low": None, "high": None, "values": [], "interval": None}
    assert network["gap"]["validation_minus_test"] is None
    assert network["gap"]["train_minus_test"] is not None


def test_nothing_to_compare(digits: Dataset) -> None:
    with pytest.raises(UserError, match="at least one finished run"):
        compare([], digits)


def test_no_test_pictures(runs: list[Run], digits: Dataset) -> None:
    table = dataclasses.replace(digits.table, split=np.full(len(digits.table), "train"))
    with pytest.raises(UserError, match="digits has no test pictures"):
        compare(runs, dataclasses.replace(digits, table=table))


def test_a_run_of_other_data_is_named_with_both_fingerprints(runs: list[Run], digits: Dataset) -> None:
    other = dataclasses.replace(digits, name="letters", fingerprint="f" * 64)
    with pytest.raises(UserError) as caught:
        compare(runs, other)
    assert str(runs[0].path) in str(caught.value)
    assert digits.fingerprint[:12] in str(caught.value)
    assert "ffffffffffff" in str(caught.value)


def test_an_unfinished_run(runs: list[Run], digits: Dataset, tmp_path: Path) -> None:
    unfinished = Run.create(tmp_path / "new", {**runs[0].document, "status": "interrupted"})
    with pytest.raises(UserError, match="sightline train --resume"):
        compare([runs[0], unfinished], digits)


def test_evaluate_one_run(runs: list[Run], digits: Dataset) -> None:
    document = evaluate(runs[1], digits, "validation")
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert (document["kind"], document["run"], document["split"]) == ("evaluation", str(runs[1].path), "validation")
    assert document["n"] == 269
    assert document["interval"]["low"] < document["top1"] < document["interval"]["high"]
    assert 0 < len(document["mistakes"]) <= 12
    assert document["own_data"] is True
    assert document["notes"] == []


def test_evaluating_on_other_data_says_so(runs: list[Run], digits: Dataset) -> None:
    document = evaluate(runs[0], dataclasses.replace(digits, fingerprint="f" * 64))
    assert document["own_data"] is False
    assert "may hold pictures it was trained on" in document["notes"][0]


def test_evaluating_a_bundle_says_that_its_data_is_unknown(runs: list[Run], digits: Dataset) -> None:
    document, of_run = evaluate(runs[1].bundle(), digits), evaluate(runs[1], digits)
    assert {key for key in document if document[key] != of_run[key]} <= {"run", "seed", "own_data", "notes", "seconds"}
    assert document["run"] == str(runs[1].path / "bundle")
    assert (document["seed"], document["own_data"]) == (None, False)
    assert "does not say what it was trained on" in document["notes"][0]


def test_a_class_without_test_pictures(runs: list[Run], digits: Dataset) -> None:
    gone = (digits.table.label == 3) & (digits.table.split == "test")
    split = np.where(gone, "", digits.table.split)
    less = dataclasses.replace(digits, table=dataclasses.replace(digits.table, split=split))
    document = evaluate(runs[0], less)
    assert document["per_class"][3]["support"] == 0
    json.dumps(document, allow_nan=False)


def test_measuring_needs_no_torch() -> None:
    code = (
        "import sys; import sightline.evaluation.comparison;"
        "print([m for m in ('torch', 'sklearn', 'scipy', 'pyarrow', 'altair') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
