"""`sightline evaluate` with several runs and views: what it prints, what it saves, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline import api
from sightline.bundle import Bundle, softmax
from sightline.cli import run
from sightline.core.errors import UserError
from sightline.data.dataset import Dataset
from sightline.data.pixels import Pixels
from tests.tiny_network import make_bundle, make_run


@pytest.fixture(scope="module")
def place(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with runs/good and runs/bad on the digits, bundles of that and of other classes, and a picture."""
    place = tmp_path_factory.mktemp("place")
    make_run(place / "runs" / "good", digits, seed=1, noise=0.05)
    make_run(place / "runs" / "bad", digits, seed=2, noise=0.3)
    make_bundle(place / "bundle", digits)
    make_bundle(place / "letters", digits, classes=list("abcdefghij"))
    Image.fromarray(np.asarray(digits.picture(0))).resize((20, 20)).save(place / "digit.png")
    return place


@pytest.fixture
def say(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Call a verb in `place`: its --json document, or what it printed."""
    monkeypatch.chdir(place)

    def call(*arguments: object) -> Any:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        output = capsys.readouterr()
        assert code == 0, output.err
        return json.loads(output.out) if "--json" in arguments else output.out

    return call


def test_one_run_alone_stays_an_evaluation(say: Any, digits: Dataset) -> None:
    document = say("evaluate", "good", "--json")
    assert (document["kind"], document["run"], document["own_data"]) == ("evaluation", "runs/good", True)
    again = say("evaluate", "good", digits.path, "--json")
    assert {key: again[key] for key in ("n", "top1", "confusion")} == {
        k: document[k] for k in ("n", "top1", "confusion")
    }
    assert say("evaluate", "bundle", digits.path, "--json")["notes"]


def test_every_row_alone_and_combined(say: Any) -> None:
    document = say("evaluate", "good", "bad", "--views", "2", "--fit-weights", "--json")
    names = [row["name"] for row in document["rows"]]
    assert names == [
        "good", "bad", "good (mirrored)", "bad (mirrored)", "mean of 2 networks", "mean of 2 networks (mirrored)",
        "fitted mean of 2 networks (mirrored)",
    ]  # fmt: skip
    rows = dict(zip(names, document["rows"], strict=True))
    beside = {name: row["against"]["b"] if row["against"] else None for name, row in rows.items()}
    assert beside["good"] is beside["bad"] is None
    assert beside["bad (mirrored)"] == "bad"
    assert {beside[name] for name in names[4:]} == {"good"}
    assert rows["good"]["runs"] == ["runs/good"]
    assert rows["mean of 2 networks (mirrored)"]["runs"] == ["runs/good", "runs/bad"]
    assert rows["mean of 2 networks (mirrored)"]["macs"] == 4 * rows["good"]["macs"]
    weights = document["fitted"]["weights"]
    told = rows[names[-1]]["combination"]["members"]
    assert [one["weight"] for one in told] == pytest.approx([w for w in weights.values() if w])
    assert len(document["findings"]) == 6
    assert all(row["n"] == 269 for row in rows.values())


def test_the_single_rows_are_the_runs_own_figures(say: Any) -> None:
    alone = say("evaluate", "bad", "--json")
    row = say("evaluate", "good", "bad", "--json")["rows"][1]
    assert all(row[key] == alone[key] for key in ("n", "top1", "top5", "interval", "log_loss", "ece"))


def test_what_is_measured_is_what_is_saved(say: Any, place: Path, digits: Dataset, tmp_path: Path) -> None:
    saved = tmp_path / "both"
    document = say(
        "evaluate", "good", "bad", "--views", "10", "--save", saved, "--html", tmp_path / "page.html", "--json"
    )
    bundle, last = Bundle.open(saved), document["rows"][-1]
    assert (document["bundle"], document["html"]) == (str(saved), str(tmp_path / "page.html"))
    assert "mean of 2 networks" in (tmp_path / "page.html").read_text()
    rows = digits.rows("test")
    logits = bundle.run(Pixels(digits, bundle.preprocess, budget_bytes=0).read(rows)).logits
    assert (logits.argmax(1) == digits.labels(rows)).mean() == last["top1"]
    assert bundle.card["metrics"]["test"] == {key: last[key] for key in ("n", "top1", "log_loss")}
    predicted = say("predict", saved, "digit.png", "--top", "10", "--json")["predictions"][0]["classes"]
    expected = softmax(bundle.run(bundle.preprocess(Image.open(place / "digit.png"))[None]).logits[0])
    found = {one["class"]: one["probability"] for one in predicted}
    assert [found[name] for name in bundle.classes] == pytest.approx(expected.tolist(), abs=1e-6)
    index = say("index", digits.path, "--run", saved, "--out", tmp_path / "index", "--json")
    assert index["count"] == 1797
    picture = digits.name_of(int(rows[0]))
    page = tmp_path / "search.html"
    (query,) = say("search", tmp_path / "index", picture, "-k", "3", "--html", page, "--json")["queries"]
    assert query["neighbours"][0]["picture"] == picture
    again = say("evaluate", saved, digits.path, "--json")
    assert again["top1"] == last["top1"]


def test_the_table_and_the_findings(say: Any) -> None:
    text = say("evaluate", "good", "bad", "--average", "logits")
    assert "mean logits of 2 networks" in text
    assert "images/s" in text
    assert re.search(r"to \d+ pictures, p .{2,12}: (not )?more than chance\)", " ".join(text.split()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["good", "--views", "3"], "'3' is not one of"),
        (["good", "--views", "10", "--scales", "9,big"], "--scales are whole numbers of pixels"),
        (["good", "--views", "10", "--scales", ""], "--scales are whole numbers of pixels"),
        (["good", "--scales", "0"], "scale 0 is out of range"),
        (["good", "--scales", "4"], "scale 4 is too small: the network takes 8 pixels"),
        (["good", "--views", "5", "--scales", "8"], "5 views of 8 pixels are all alike"),
        (["good", "--views", "10", "--scales", ",".join(map(str, range(9, 30)))], "21 scales are too many"),
        (["good", "--views", "dense"], 'unknown network "prototype"'),
        (["good", "good"], "runs/good is given twice"),
        (["good", "letters"], "letters knows 10 classes"),
        (["bundle"], "a bundle does not say what it was trained on: name the data to measure on after it"),
        (["bundle", "letters"], "name the data to measure on"),
        (["good", "nowhere"], "nowhere"),
        (["good", "--save", "x"], "--save needs something to combine"),
        (["good", "--average", "logits"], "--average needs something to combine"),
        (["good", "--fit-weights"], "--fit-weights needs something to combine"),
        (["good", "--views", "2", "--fit-weights"], "no weights to fit, there is one network"),
        (["good", "bad", "--fit-weights", "--split", "validation"], "measured on what they were fitted on"),
        (["good", "--html", "x.html"], "--html is a page of combinations"),
        (["good", "bad", "--save", "runs"], "runs exists already"),
        (["good", "--unlike", "5%"], "--unlike belongs to --reject: give both"),
        (["good", "--reject", "5%", "--split", "validation"], "measured on the pictures it was chosen on"),
    ],
)
def test_what_is_refused(
    arguments: list[str], words: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    before = sorted(place.iterdir())
    assert run(["evaluate", *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.splitlines()[-1].startswith("error: ")
    assert words in output.err.splitlines()[-1]
    assert sorted(place.iterdir()) == before


def test_nothing_and_no_validation_pictures_are_told(place: Path, digits: Dataset) -> None:
    with pytest.raises(UserError, match="nothing to measure"):
        api.evaluate([])
    split = np.where(digits.table.split == "validation", "", digits.table.split)
    without = dataclasses.replace(digits, table=dataclasses.replace(digits.table, split=split))
    with pytest.raises(UserError, match="digits has no validation pictures to fit weights on"):
        api.evaluate([place / "runs" / "good", place / "runs" / "bad"], without, fit_weights=True)


def test_runs_of_other_data_need_the_data_named(
    place: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    other = make_run(place / "other", digits)
    other.update(data={**other.document["data"], "fingerprint": "f" * 64})
    assert run(["evaluate", "good", "other"]) == 2
    assert "the runs were trained on different data: name the data" in capsys.readouterr().err
    assert run(["evaluate", "good", "other", str(digits.path), "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert "is not the data other was made from" in note
    assert run(["evaluate", "good", str(digits.path)]) == 0
    assert "is not the data" not in capsys.readouterr().out
    assert run(["evaluate", "other", str(digits.path)]) == 0
    assert "- digits is not the data other was made from" in " ".join(capsys.readouterr().out.split())
