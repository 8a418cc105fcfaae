"""The page of a learning curve: findings, the chart, and every figure in the table."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sightline.core.wording import percent
from sightline.report.curve import curve
from sightline.report.drawing import specification
from sightline.report.pages import curve_page
from tests.report import documents
from tests.report.reading import read
from tests.report.test_charts import records

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return curve_page(documents.learning_curve(), tmp_path_factory.mktemp("report") / "report.html")


def test_findings_come_first_then_the_curve_then_how_it_came_about(report: Path) -> None:
    sections = [section["id"] for section in read(report).all("section")]
    assert sections == ["findings", "results", "machine", "repeat"]
    text = report.read_text(encoding="utf-8")
    assert "<h1>The learning curve of resnet20 on digits</h1>" in text
    assert "More pictures would help: each doubling from 315 to 1,259 has brought" in text
    assert "10 classes · 1,259 training, 240 validation, 300 test pictures" in text
    assert "sightline train digits --learning-curve" in text
    assert "9c1e4b7a9c1e4b7a" in text


def test_every_figure_is_in_the_table(report: Path) -> None:
    text, document = report.read_text(encoding="utf-8"), documents.learning_curve()
    table = text[text.index("<table") : text.index("</table>")]
    rows = [re.sub(r"<[^>]+>", " ", row) for row in table.split("<tr>")[2:]]
    assert len(rows) == 6
    for row, *levels in zip(rows, *(one["levels"] for one in document["curves"]), strict=False):
        assert f" {levels[0]['pictures']:,} " in row
        assert all(percent(level["mean"]) in row for level in levels)
    assert "2,518, expected" in rows[-1]


def test_the_chart_shows_every_seed_their_means_and_what_to_expect(report: Path) -> None:
    document = documents.learning_curve()
    found = records(specification(curve(document)))
    assert len([r for r in found if "value" in r]) == 30
    assert {(r["network"], r["pictures"]) for r in found if "low" in r} == {
        *((name, n) for name in ("resnet20", "hand-engineered") for n in (60, 126, 315, 630, 1259)),
        ("resnet20", 2518),
    }
    axis = specification(curve(document))["layer"][0]["encoding"]["x"]
    assert axis["scale"]["type"] == "log"
    assert axis["axis"]["values"] == [60, 126, 315, 630, 1259, 2518]
    assert (report.parent / "charts" / "learning-curve.png").is_file()


@pytest.mark.parametrize("how", [{}, {"seeds": 1}, {"perfect": True}])
def test_the_page_of_any_curve_is_drawn(how: dict[str, Any], tmp_path: Path) -> None:
    document = documents.learning_curve(**how)
    text = curve_page(document, tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("one seed" in text) == (document["seeds"] != [0])
    assert ("expected of twice as many" in text) == ("perfect" not in how)
    image = Image.open(tmp_path / "charts" / "learning-curve.png").convert("RGB")
    assert len(image.getcolors(1 << 24) or []) > 20


def test_the_specification_names_no_colour_and_no_address() -> None:
    text = str({k: v for k, v in specification(curve(documents.learning_curve())).items() if k != "$schema"})
    assert "#" not in text
    assert "http" not in text


def test_hostile_names_are_only_names(tmp_path: Path) -> None:
    document = copy.deepcopy(documents.learning_curve(HOSTILE))
    document["dataset"]["name"] = HOSTILE
    parsed = read(curve_page(document, tmp_path / "report.html"))
    blocks = [json.loads(text) for attributes, text in parsed.scripts if attributes.get("type") == "application/json"]
    assert len(blocks) == 2
    assert not [text for _, text in parsed.scripts if text.startswith("alert")]
