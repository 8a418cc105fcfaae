"""An experiment that was carried out becomes a section of docs/results.md and a page beside it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sightline.core.artifact import write_json
from tests.report import documents

BENCH = Path(__file__).resolve().parents[2] / "bench"


def script(name: str) -> ModuleType:
    """A script of bench/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_experiment_comes_into_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = documents.experiment()
    document["command"] = "sightline reproduce inception-vs-resnet --data '/home/anna/my data/cifar.zip' --budget 1h"
    write_json(tmp_path / "runs" / "experiment.json", document)
    for folder in ("docs", "bench/results"):
        (tmp_path / folder).mkdir(parents=True)
    experiment, results = script("experiment"), script("results")
    monkeypatch.setattr(experiment, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["experiment.py", str(tmp_path / "runs")])
    experiment.main()

    page = (tmp_path / "docs" / "inception-vs-resnet.html").read_text(encoding="utf-8")
    assert "--data cifar.zip --budget 1h" in page
    assert "anna" not in page
    (figures,) = (tmp_path / "bench" / "results").iterdir()
    section = results.section(json.loads(figures.read_text(encoding="utf-8")))
    assert section.startswith("## Inception or residual? googlenet and resnet50\n")
    assert "[The page](inception-vs-resnet.html)" in section
    assert section.endswith("`sightline reproduce inception-vs-resnet --data cifar.zip --budget 1h`")
    for finding in document["findings"]:
        assert f"- {finding}\n" in section
    rows = [line for line in section.splitlines() if line.startswith(("| googlenet", "| resnet50"))]
    assert len(rows) == 2
    assert all(row.count("|") == 10 for row in rows)
    assert "| 30.0 | 8 min 13 s | 61.3 |" in rows[0].replace("\u00a0", " ")


def test_the_page_of_results_is_what_the_figures_say() -> None:
    results = script("results")
    assert results.PAGE.read_text(encoding="utf-8") == results.page()
