"""From a messy zip to a search, by the command line alone, as a new user would."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.cli import run
from sightline.training import curve
from tests.pictures import crops, write_messy_zip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with PetImages.zip, where every verb is called from."""
    place = tmp_path_factory.mktemp("journey")
    write_messy_zip(place / "PetImages.zip")
    (place / "new pictures").mkdir()
    for name in ("china", "flower"):
        crops(f"{name}.jpg", 60)[-1].save(place / "new pictures" / f"a {name}.png")
    (place / "new pictures" / "notes.txt").write_text("no picture")
    return place


@pytest.fixture
def say(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call a verb with --json in `place`; its one document. Nothing else may be on standard output."""
    monkeypatch.chdir(place)

    def call(*arguments: str) -> Any:
        capsys.readouterr()
        code = run([*arguments, "--json"])
        output = capsys.readouterr()
        assert code == 0, output.err
        return json.loads(output.out)

    return call


@pytest.fixture(scope="module")
def archive_bytes(place: Path) -> bytes:
    """The archive as it was before anything ran."""
    return (place / "PetImages.zip").read_bytes()


def test_data_says_what_became_of_every_file(say: Any, place: Path, archive_bytes: bytes) -> None:
    document = say("data", "PetImages.zip")
    assert document["classes"] == ["Cat", "Dog"]
    assert sum(sum(counts.values()) for counts in document["counts"].values()) == 80
    reasons = {Path(item["picture"]).name: item["reason"] for item in document["quarantined"]}
    assert len(document["quarantined"]) == 9
    assert "empty" in reasons["empty.jpg"]
    assert "truncated" in reasons["half a füle\n.jpg"]
    assert "duplicate" in reasons["copy of 1.jpg"]
    assert "not an image" in reasons["Thumbs.db"]
    assert "leftover.tar" in reasons
    assert Path(document["report"]).exists()
    assert (place / "PetImages.zip").read_bytes() == archive_bytes


def test_the_same_data_again_is_the_same_dataset(say: Any) -> None:
    assert say("data", "PetImages.zip") == say("data", "datasets/PetImages")


def test_the_split_that_was_asked_for_is_the_one_that_is_trained_on(say: Any) -> None:
    asked = say("data", "PetImages.zip", "--seed", "3", "--out", "datasets/asked")
    report = Path(asked["report"])
    assert say("data", "PetImages.zip", "--out", "datasets/asked") == asked
    assert asked["seed"] == 3
    assert asked["fingerprint"] != say("data", "PetImages.zip")["fingerprint"]
    made = report.stat().st_mtime_ns
    trained = say("train", "datasets/asked", "--arch", "resnet20", "--epochs", "1", "--size", "16")
    assert trained["run"]["data"]["fingerprint"] == asked["fingerprint"]
    say("train", "PetImages.zip", "--arch", "resnet20", "--epochs", "1", "--size", "16")
    assert report.stat().st_mtime_ns == made
    assert Path("datasets/PetImages/report.html").exists()


def test_train_evaluate_predict_index_search(say: Any, place: Path) -> None:
    trained = say("train", "PetImages.zip", "--arch", "resnet20", "--epochs", "6", "--size", "32", "--out", "runs/pets")
    assert trained["run"]["status"] == "done"
    assert trained["evaluation"]["top1"] > 0.7

    evaluated = say("evaluate", "pets")
    assert evaluated["top1"] == trained["evaluation"]["top1"]
    assert evaluated["n"] == sum(map(sum, evaluated["confusion"]))

    predicted = say("predict", "pets", "new pictures", "--csv", "answers.csv", "--top", "2")
    by_name = {Path(item["picture"]).name: item for item in predicted["predictions"]}
    assert by_name["notes.txt"]["error"]
    assert by_name["notes.txt"]["classes"] == []
    for name in ("a china.png", "a flower.png"):
        assert by_name[name]["error"] is None
        assert sum(entry["probability"] for entry in by_name[name]["classes"]) == pytest.approx(1, abs=1e-5)
    with open("answers.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class_1"] for row in rows] == [
        item["classes"][0]["class"] if item["classes"] else None for item in predicted["predictions"]
    ]

    indexed = say("index", "PetImages.zip", "--run", "pets", "--out", "indexes/pets")
    assert indexed["count"] == 80
    with zipfile.ZipFile("PetImages.zip") as archive:
        archive.extract("kaggle/PetImages/Dog/3.jpg")
    found = say("search", "indexes/pets", "kaggle/PetImages/Dog/3.jpg", "-k", "4", "--html", "found.html")
    (query,) = found["queries"]
    nearest = query["neighbours"][0]
    assert nearest["picture"].endswith("Dog/3.jpg")
    assert nearest["distance"] == pytest.approx(0, abs=1e-5)
    distances = [neighbour["distance"] for neighbour in query["neighbours"]]
    assert distances == sorted(distances)
    assert len(distances) == 4
    assert "<img" in Path("found.html").read_text(encoding="utf-8")


def test_compare_two_networks_and_an_earlier_run(say: Any) -> None:
    options = ("--arch", "resnet20", "--arch", "plain20", "--epochs", "1", "--size", "16", "--out", "both")
    document = say("compare", "PetImages.zip", *options)
    assert [network["arch"] for network in document["networks"]] == ["resnet20", "plain20"]
    assert len(document["findings"]) == 3 + sum(bool(network["collapsed"]) for network in document["networks"])
    for name in ("both/report.html", "both/comparison.json", "both/charts"):
        assert Path(name).exists()
    again = say("compare", "PetImages.zip", *options)
    assert again["networks"][0]["histories"] == document["networks"][0]["histories"]


def test_a_learning_curve(say: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(curve, "SHARES", (0.5, 1.0))
    options = ("PetImages.zip", "--arch", "resnet20", "--epochs", "1", "--size", "16", "--learning-curve")
    document = say("train", *options)
    assert (document["kind"], document["path"]) == ("learning-curve", "runs/curve-resnet20-PetImages")
    place = Path(document["path"])
    assert (document["report"], document["split"]) == (str(place / "report.html"), "test")
    for name in ("report.html", "learning-curve.json", "charts/learning-curve.png"):
        assert (place / name).is_file(), name
    kept = json.loads((place / "learning-curve.json").read_text(encoding="utf-8"))
    assert kept["findings"] == document["findings"]
    assert all(Path(point["run"]).is_dir() for point in document["points"] if point["method"] == "network")
    assert run(["train", *options]) == 0
    output = capsys.readouterr().out
    assert "hand-engineered" in output
    assert all(f"- {finding}".replace("\u00a0", " ") in output for finding in document["findings"])


def test_tables_are_printed_without_json(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    for verb, word in (
        (["data", "PetImages.zip"], "Put aside"),
        (["evaluate", "pets"], "calibration"),
        (["predict", "pets", "new pictures/a china.png"], "likeliest"),
        (["search", "indexes/pets", "new pictures/a china.png"], "distance"),
    ):
        assert run(verb) == 0
        assert word in capsys.readouterr().out


def test_grey_pictures_of_another_size_are_predicted_too(place: Path, say: Any) -> None:
    Image.new("L", (300, 40), 128).save(place / "grey.png")
    (answer,) = say("predict", "pets", "grey.png")["predictions"]
    assert answer["error"] is None
