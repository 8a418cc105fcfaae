"""The page of an experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.report.experiment import experiment_sections
from sightline.report.page import page as write_page
from sightline.report.pages import experiment_page
from tests.report import documents
from tests.report.reading import Parsed, read


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return documents.experiment()


@pytest.fixture(scope="module")
def page(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    out = tmp_path_factory.mktemp("experiment") / "report.html"
    assert experiment_page(document, documents.pictures(), out) == out
    assert out.stat().st_size < 1_500_000
    return read(out)


def test_the_question_comes_first_and_how_to_repeat_it_last(page: Parsed) -> None:
    assert [section["id"] for section in page.all("section")] == [
        "question", "findings", "networks", "pace", "results", "training", "generalisation", "confusion", "classes",
        "differences", "mistakes", "calibration", "claims", "limits", "machine", "repeat",
    ]  # fmt: skip


def test_it_says_everything_the_document_says(page: Parsed, document: dict[str, Any]) -> None:
    said = [document["question"], document["setup"], *document["findings"], *document["limits"]]
    said += [claim[key] for claim in document["claims"] for key in ("figure", "source", "remark")]
    said += [text for claim in document["claims"] for side in ("stated", "here") for text in claim[side].values()]
    missing = [text for text in said if text not in page.text]
    assert not missing


def test_both_blocks_are_drawn(page: Parsed) -> None:
    drawings = [str(a.get("aria-label")) for a in page.all("svg") if a.get("class") == "block"]
    assert [drawing.partition(":")[0] for drawing in drawings] == ["inception3a", "layer1.1 to layer1.2"]
    assert "concatenate" in drawings[0]
    assert "add" in drawings[1]


def test_kernels_are_counted(page: Parsed, document: dict[str, Any]) -> None:
    layers = document["anatomies"][0]["layers"]
    ones = [layer for layer in layers if "Conv" in layer["kind"] and max(layer["kernel"]) == 1]
    share = sum(layer["macs"] for layer in ones) / document["anatomies"][0]["total"]["macs"]
    assert "1×1 convolutions" in page.text
    assert str(len(ones)) in page.text
    assert f"{100 * share:.1f}\u00a0% of the MACs" in page.text


def test_curves_over_time_and_the_fall_to_unseen_pictures_are_drawn(page: Parsed) -> None:
    specs = {str(a["id"]): json.loads(text) for a, text in page.scripts if a.get("type") == "application/json"}
    assert {"spec-loss-time", "spec-learning-time", "spec-loss", "spec-learning", "spec-generalisation"} < set(specs)
    shown = [one for values in specs["spec-generalisation"]["datasets"].values() for one in values]
    assert {one["part"] for one in shown} == {"training", "validation", "test"}
    assert (len([one for one in shown if "seed" in one]), len(shown)) == (18, 24)


def test_a_run_too_short_for_a_pass_leaves_that_row_out(page: Parsed, document: dict[str, Any], tmp_path: Path) -> None:
    pace = {**document["pace"], "epoch": None}
    sections = [s for s in experiment_sections({**document, "pace": pace}) if s.anchor == "pace"]
    parsed = read(write_page("", sections, tmp_path / "report.html", pictures={}, beside=False))
    assert "multiply-adds" in parsed.text
    assert "validation after" not in parsed.text
    assert "validation after" in page.text
