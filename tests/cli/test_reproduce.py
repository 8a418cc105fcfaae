"""The experiment from the command line: a run, again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.cli import run
from sightline.cli.pages import portable
from sightline.data.dataset import Dataset
from tests.fewer import own, sparse, written
from tests.report.documents import comparison

EXPERIMENT = ("reproduce", "inception-vs-resnet")


@pytest.mark.slow
def test_it_runs_and_goes_on_where_it_stood(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written(sparse(own(digits, tmp_path / "few"), 8))
    arguments = [*EXPERIMENT, "--data", "few", "--budget", "3s", "--seeds", "1", "--size", "8", "--json"]
    assert run(arguments) == 0, capsys.readouterr().err
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "experiment"
    assert [network["arch"] for network in document["comparison"]["networks"]] == ["googlenet", "resnet50"]
    assert document["size"] == 8
    place = Path(document["path"])
    assert str(place) == "runs/inception-vs-resnet-digits"
    kept = json.loads((place / "experiment.json").read_text())
    assert kept == {key: value for key, value in document.items() if key != "report"}
    page = (place / "report.html").read_text()
    assert str(tmp_path) not in page
    assert "learning-time.png" in {path.name for path in (place / "charts").iterdir()}
    trained = {path: path.stat().st_mtime_ns for path in place.glob("*/run.json")}
    assert len(trained) == 2

    assert run(arguments[:-1]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Which learns more in the same time")
    assert "report  runs/inception-vs-resnet-digits/report.html" in printed
    assert {path: path.stat().st_mtime_ns for path in trained} == trained

    assert run([*arguments, "--lr", "0.02"]) == 2
    assert "was started otherwise (lr): choose another --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reproduce", "vgg-vs-alexnet"), "inception-vs-resnet"),
        (("reproduce",), "EXPERIMENT"),
        ((*EXPERIMENT, "--seeds", "0"), "seeds"),
        ((*EXPERIMENT, "--size", "224"), "size"),
        ((*EXPERIMENT, "--budget", "-3m"), "is not a time"),
        ((*EXPERIMENT, "--data", "nowhere.zip"), "nowhere.zip"),
        ((*EXPERIMENT, "--device", "mps", "--data", "digits"), "--device mps"),
        ((*EXPERIMENT, "--recipe", "fast", "--data", "digits"), "pictures of one size: leave out --recipe fast"),
    ],
)
def test_what_is_refused(
    arguments: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(list(arguments)) == 2
    output = capsys.readouterr()
    assert output.out == ""
    line = output.err.splitlines()[-1]
    assert line.startswith("error: ")
    assert said in line
    assert not (tmp_path / "runs").exists()


def test_pictures_on_a_page_do_not_say_where_they_lie() -> None:
    found = comparison()
    for item in (*found["mistakes"], *found["disagreements"]):
        item["picture"] = f"/home/anna/photos/{item['true']}/{item['row']}.jpg"
    short = portable(found)
    assert all(item["picture"] == f"{item['true']}/{item['row']}.jpg" for item in short["mistakes"])
    assert all(item["picture"].count("/") == 1 for item in short["disagreements"])
    assert found["mistakes"][0]["picture"].startswith("/home")
    assert portable({**found, "mistakes": [], "disagreements": []})["mistakes"] == []
