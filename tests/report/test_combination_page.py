"""The page of views and networks: every row with its figures, as text whatever a network is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.core.wording import printable
from sightline.report.pages import combination_page
from tests.report import documents
from tests.report.reading import read
from tests.report.test_browser import browser, opened

__all__ = ["browser"]


@pytest.mark.parametrize("name", ["resnet20-digits-s0", "</script><script>alert(1)</script>", "a\n<b> (c) (d)"])
def test_it_says_every_row_and_finding(name: str, tmp_path: Path) -> None:
    document = documents.combination(name)
    parsed = read(combination_page(document, tmp_path / "views.html"))
    text = " ".join(parsed.text.split())
    for row in document["rows"]:
        assert " ".join(printable(row["name"]).split()) in text
    for shown in ("95.9 %", "93.8 to 97.3 %", "0.084", "31 M", "1,040", "× 3.1", "p = 0.021", "1.9 points ahead of"):
        assert shown in text.replace("\xa0", " "), shown
    assert "How to repeat this" in text
    specification = next(json.loads(block) for a, block in parsed.scripts if a.get("id") == "spec-accuracy")
    names = {record.get("network") for records in specification["datasets"].values() for record in records}
    assert names == {printable(row["name"]) for row in document["rows"]}
    assert (tmp_path / "charts" / "accuracy.png").stat().st_size > 1000


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (400, "dark")])
def test_the_chart_is_drawn_and_nothing_sticks_out(browser: Any, width: int, theme: str, tmp_path: Path) -> None:
    troubles: list[str] = []
    path = combination_page(documents.combination(), tmp_path / "views.html")
    tab = opened(browser, path, width, troubles, color_scheme=theme)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    labels = tab.evaluate("[...document.querySelectorAll('#chart-accuracy tspan')].map(line => line.textContent)")
    assert "(mirrored)" in labels
    assert troubles == []
