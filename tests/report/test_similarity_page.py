"""The page of an index: what was chosen first, every table and chart, pictures where there are any, names escaped."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sightline.cli import run
from sightline.cli.about_index import doubts, write_page
from sightline.core.artifact import read_json
from sightline.core.wording import percent
from sightline.data.dataset import Dataset
from sightline.report.drawing import specification
from sightline.report.similarity import dimensions, methods, plane
from sightline.search.index import Index
from tests.report.reading import read
from tests.report.test_charts import records
from tests.tiny_network import make_bundle


@pytest.fixture(scope="module")
def index(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Index:
    place = tmp_path_factory.mktemp("indexes")
    bundle = make_bundle(place / "bundle", digits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sightline.search.map.MOST", 200)  # a map of all takes ten seconds
        assert run(["index", str(digits.path), "--run", str(bundle.path), "--out", str(place / "index"), "--map"]) == 0
    return Index.open(place / "index")


def test_what_was_chosen_comes_first(index: Index) -> None:
    page = index.path / "report.html"
    sections = [section["id"] for section in read(page).all("section")]
    assert sections == [
        "findings", "dimensions", "methods", "neighbours", "duplicates", "suspects", "map", "machine",
    ]  # fmt: skip
    text, document = page.read_text(encoding="utf-8"), index.document
    assert document["tuning"]["why"] in text
    assert percent(document["quality"]["neighbour_accuracy"]) in text
    for row in document["pca_table"]["rows"]:
        assert percent(row["accuracy"]) in text
    drawn = {path.stem for path in (index.path / "charts").iterdir()}
    assert drawn == {"dimensions", "methods", "neighbours", "map"}


def test_asked_again_for_duplicates_the_map_stays(index: Index, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", str(index.path), "--duplicates", "--within", "0.005", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    text = (index.path / "report.html").read_text(encoding="utf-8")
    assert "within a distance of 0.005" in text
    assert 'id="map"' in text
    assert document["report"] == str(index.path / "report.html")
    assert document["groups"]
    assert text.count("<img") >= sum(len(group[:8]) for group in document["groups"][:24])


def test_the_charts_hold_every_figure(index: Index) -> None:
    table, tuning = index.document["pca_table"], index.document["tuning"]
    points = records(specification(dimensions(table)))
    assert {(p["dims"], p["value"]) for p in points if p.get("measure") == "neighbours of the class"} == {
        (row["dims"], row["accuracy"]) for row in table["rows"]
    }
    assert {p["name"] for p in points if "name" in p} in ({"knee", "chosen"}, {"chosen, the knee"})
    measured = [trial for trial in tuning["trials"] if "recall" in trial]
    found = records(specification(methods(tuning)))
    assert {(p["method"], p["latency"]) for p in found if "method" in p} == {
        (trial["method"], trial["latency_us_median"]) for trial in measured
    }


def test_a_map_of_many_classes_has_a_colour_for_the_rest(index: Index) -> None:
    points: list[Any] = read_json(index.place / "map.json", "map")["points"][:50]
    names = ["0", "1", "other classes"]
    found = records(specification(plane(points, names, {points[0]["picture"]: "data:image/png;base64,AAAA"})))
    assert {record["of"] for record in found} == set(names)
    assert [record["image"] for record in found if "image" in record] == ["data:image/png;base64,AAAA"]


def test_names_are_only_names(index: Index, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script>"
    copy = Path(shutil.copytree(index.path, tmp_path / "copy"))
    classes = [hostile, *index.document["classes"][1:]]
    (copy / "index.json").write_text(json.dumps({**index.document, "classes": classes, "name": hostile}))
    opened = Index.open(copy)
    page = write_page(opened, doubts(opened, 0.01)).read_text(encoding="utf-8")
    assert hostile not in page
    assert "&lt;/script&gt;" in page
