from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.report import charts
from sightline.report.confusion import confused_most, confusion, worst_share
from sightline.report.drawing import log_ticks, specification
from tests.report.documents import comparison, dataset


def every_chart(document: dict[str, Any]) -> dict[str, Any]:
    networks, classes = document["networks"], document["dataset"]["classes"]
    share = worst_share([network["confusion"] for network in networks])
    return {
        "loss": charts.curves(networks, "loss"),
        "learning": charts.curves(networks, "top1"),
        "loss by time": charts.curves(networks, "loss", "seconds"),
        "learning by time": charts.curves(networks, "top1", "seconds"),
        "accuracy": charts.accuracy(networks),
        "classes": charts.per_class(networks),
        "calibration": charts.calibration(networks),
        "cost": charts.trade_off(networks, "macs", "MACs"),
        "confusion": confusion(networks[0]["confusion"], classes, share),
        "counts": charts.class_counts(classes, dataset(classes)["counts"]),
    }


def records(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for data in spec["datasets"].values() for record in data]


@pytest.mark.parametrize("name", list(every_chart(comparison(seeds=1))))
def test_every_chart_is_drawn_to_a_png(name: str, tmp_path: Path) -> None:
    charts.write_png(every_chart(comparison())[name], tmp_path / "chart.png", title=name, width=400)
    image = Image.open(tmp_path / "chart.png").convert("RGB")
    assert image.width >= 800
    colours = image.getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 20, "blank"
    assert image.getpixel((0, 0)) == (255, 255, 255), "not on white"


@pytest.mark.parametrize("name", list(every_chart(comparison(seeds=1))))
def test_no_chart_names_a_colour_or_an_address(name: str) -> None:
    text = str({k: v for k, v in specification(every_chart(comparison())[name]).items() if k != "$schema"})
    assert "#" not in text
    assert "http" not in text


def test_networks_keep_their_colour_from_chart_to_chart() -> None:
    def domains(value: Any) -> list[list[str]]:
        if isinstance(value, list):
            return [found for inner in value for found in domains(inner)]
        if not isinstance(value, dict):
            return []
        own = [value["color"]["scale"]["domain"]] if value.get("color", {}).get("field") == "network" else []
        return own + [found for inner in value.values() for found in domains(inner)]

    drawn = every_chart(comparison(("plain20", "googlenet", "resnet20")))
    found = [
        domain
        for name in ("loss", "accuracy", "classes", "calibration", "cost")
        for domain in domains(specification(drawn[name]))
    ]
    assert len(found) >= 5
    assert all(domain == ["plain20", "googlenet", "resnet20"] for domain in found)


def test_curves_hold_every_epoch_of_every_seed_and_leave_out_what_is_no_number() -> None:
    networks = comparison(seeds=2)["networks"]
    networks[0]["histories"][0]["rows"][3]["train_loss"] = float("nan")
    networks[0]["histories"][0]["rows"][4]["validation_loss"] = None
    found = records(specification(charts.curves(networks, "loss")))
    thin = [record for record in found if "training" in record]
    assert len(thin) == 2 * 2 * 30 * 2 - 2
    assert {record["part"] for record in thin} == {"train", "validation"}


def test_few_epochs_are_each_a_tick() -> None:
    networks = comparison(("resnet20",), seeds=1)["networks"]
    spec = specification(charts.curves(networks, "loss"))
    assert "values" not in spec["encoding"]["x"]["axis"]
    del networks[0]["histories"][0]["rows"][2:]
    spec = specification(charts.curves(networks, "loss"))
    assert spec["encoding"]["x"]["axis"]["values"] == [1, 2]


def test_the_thick_line_is_the_mean_as_far_as_all_seeds_came() -> None:
    networks = comparison(("resnet20",), seeds=2)["networks"]
    first, second = (history["rows"] for history in networks[0]["histories"])
    del second[20:]
    for row in second:
        row["seconds"] *= 3
    found = records(specification(charts.curves(networks, "top1", "seconds")))
    means = {r["epoch"]: r for r in found if "training" not in r and r["part"] == "validation"}
    assert list(means) == list(range(1, 21))
    both = first[9]["validation_top1"], second[9]["validation_top1"]
    assert means[10]["value"] == pytest.approx(sum(both) / 2)
    assert means[10]["along"] == pytest.approx((first[9]["seconds"] + second[9]["seconds"]) / 2 / 60)


@pytest.mark.parametrize(
    ("seconds", "unit", "last"), [(100, "seconds", 100), (600, "minutes", 10), (9000, "hours", 2.5)]
)
def test_training_time_is_told_in_a_unit_that_suits_it(seconds: float, unit: str, last: float) -> None:
    networks = comparison(("resnet20",), seeds=1)["networks"]
    for row in networks[0]["histories"][0]["rows"]:
        row["seconds"] = seconds * row["epoch"] / 30
    spec = specification(charts.curves(networks, "loss", "seconds"))
    assert spec["encoding"]["x"]["title"].startswith(unit)
    assert max(record["along"] for record in records(spec)) == pytest.approx(last)


def test_a_confusion_matrix_keeps_right_and_wrong_apart() -> None:
    spec = specification(confusion([[3, 1], [0, 4]], ["cat", "dog"], 0.25))
    found = [r for r in records(spec) if r]
    wrong = {(r["true"], r["said"]): (r["pictures"], r["share"]) for r in found if r["true"] != r["said"]}
    assert wrong == {("cat", "dog"): (1, 0.25)}
    assert not any(r["pictures"] == 0 for r in found)


def test_a_hundred_classes_stay_small() -> None:
    document = comparison(num_classes=100, num_pictures=2000)
    spec = specification(every_chart(document)["confusion"])
    assert len(records(spec)) < 400
    assert not any(layer["mark"]["type"] == "text" for layer in spec["layer"])
    assert len({r["class"] for r in records(specification(every_chart(document)["classes"])) if "f1" in r}) == 30


def test_the_commonest_mistakes_come_first() -> None:
    assert confused_most([[5, 2, 0], [3, 5, 0], [0, 1, 5]], ["a", "b", "c"]) == [
        ("b", "a", 3),
        ("a", "b", 2),
        ("c", "b", 1),
    ]
    assert confused_most([[1, 0], [0, 1]], ["a", "b"]) == []


def test_figures_at_the_edge_still_draw(tmp_path: Path) -> None:
    """A network without a mistake, one epoch, one seed, a class without pictures, nothing validated."""
    document = copy.deepcopy(comparison(("resnet20",), seeds=1))
    network = document["networks"][0]
    network["top1"] = {"mean": 1.0, "low": 0.99, "high": 1.0, "values": [1.0], "interval": "wilson"}
    network["validation_top1"] = {"mean": None, "low": None, "high": None, "values": [], "interval": None}
    network["confusion"] = [[3 if i == j and i else 0 for j in range(10)] for i in range(10)]
    network["histories"] = [{"seed": 0, "rows": [{"epoch": 1, "train_loss": 0.5, "train_top1": 1.0}]}]
    for row in network["per_class"]:
        row["f1"] = 1.0
    network["calibration"] = [
        {"confidence": None, "accuracy": None, "count": 0},
        {"confidence": 1.0, "accuracy": 1.0, "count": 30},
    ]
    for name, chart in every_chart(document).items():
        charts.write_png(chart, tmp_path / f"{name}.png")
        assert len(Image.open(tmp_path / f"{name}.png").convert("RGB").getcolors(1 << 24) or []) > 10, name


def test_two_trainings_of_one_seed_have_a_mean_of_both() -> None:
    networks = comparison(("resnet20",), seeds=2)["networks"]
    for history in networks[0]["histories"]:
        history["seed"] = 0
    found = records(specification(charts.curves(networks, "top1")))
    assert len([record for record in found if "training" not in record]) == 2 * 30


def test_a_fitted_head_without_epochs_leaves_the_curves_of_others_as_lines() -> None:
    networks = comparison(seeds=1)["networks"]
    networks[0]["histories"] = [{"seed": 0, "passes": None, "rows": []}]
    chart = specification(charts.curves(networks, "top1"))
    assert {record["network"] for record in records(chart)} == {networks[1]["arch"]}
    assert chart["mark"]["point"] is False


def test_classes_without_test_pictures_are_not_the_weakest() -> None:
    networks = comparison(("resnet20",))["networks"]
    gone, row = networks[0]["per_class"][3]["class"], networks[0]["per_class"][3]
    row.update(support=0, f1=0.0, precision=0.0, recall=0.0)
    assert gone not in {record["class"] for record in records(specification(charts.per_class(networks)))}


def test_accuracy_is_told_of_the_split_it_was_measured_on() -> None:
    networks = comparison(("resnet20",))["networks"]
    parts = {record.get("part") for record in records(specification(charts.accuracy(networks, "train")))}
    assert "test" not in parts
    assert "train" in parts


def test_names_are_spelt_out_in_charts() -> None:
    spec = specification(confusion([[1, 1], [0, 1]], ["two\nlines", "\u202eb"], 1.0))
    assert {r["true"] for r in records(spec) if r} == {r"two\nlines", r"\u202eb"}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (50, 700, [50, 100, 200, 500]),
        (3e7, 2e9, [5e7, 1e8, 2e8, 5e8, 1e9, 2e9]),
        (0.005, 2.5, [0.01, 0.03, 0.1, 0.3, 1]),
        (1e-3, 1e5, [10.0**power for power in range(-3, 6)]),
    ],
)
def test_log_axes_have_round_ticks(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high) == pytest.approx(ticks)


def test_a_png_is_written_whole(tmp_path: Path) -> None:
    charts.write_png(charts.accuracy(comparison(seeds=1)["networks"]), tmp_path / "new folder" / "a.png")
    assert Image.open(io.BytesIO((tmp_path / "new folder" / "a.png").read_bytes())).format == "PNG"
    assert [path.name for path in (tmp_path / "new folder").iterdir()] == ["a.png"]
