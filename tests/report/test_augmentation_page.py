from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.core.wording import printable
from sightline.report.augmentation import augmentation_page
from tests.report import documents
from tests.report.reading import Parsed, read
from tests.strategies import hostile_names

ENTRIES = [{"blur": {"p": 0.5, "sigma": [0.0, 0.01]}}, {"padded_crop": {"fill": "black"}}]


def document(names: list[str]) -> dict[str, Any]:
    """One list and one distortion of each kind; the data, the picture and the label are called by `names`."""
    draws = [{"picture": "0", "label": f"{names[2]}: 70 %"}, {"picture": "1", "label": ""}]
    distortions = [
        {"name": f"{kind} it", "kind": kind, "what": f"What a {kind} does.", "after": "Somebody 1999",
         "settings": [{"said": "degrees 10", "draws": draws}] if kind != "Change" else []}
        for kind in ("Movement", "Change", "Mixing")
    ]  # fmt: skip
    return {
        "kind": "augmentation",
        "name": names[0],
        "file": names[1],
        "class": names[2],
        "side": 8,
        "original": "0",
        "lists": [
            {
                "name": "mine",
                "entries": ENTRIES,
                "draws": draws,
            }
        ],
        "distortions": distortions,
    }


def page(names: list[str], folder: Path) -> Parsed:
    picture = documents.pictures(1)["digits.npy#0"]
    return read(augmentation_page(document(names), {"0": picture, "1": picture}, folder / "augment.html"))


def test_the_page_says_what_was_done_and_shows_it(tmp_path: Path) -> None:
    parsed = page(["photos", "cat/1.jpg", "cat"], tmp_path)
    for said in ("photos", "cat/1.jpg", "seen at 8 pixels", "degrees 10", "cat: 70 %", "Somebody 1999", "Change it"):
        assert said in parsed.text
    assert "- blur: {p: 0.5, sigma: [0, 0.01]}" in parsed.text
    assert "- padded_crop: {fill: black}" in parsed.text
    assert "These pictures are grey" in parsed.text
    pictures = parsed.all("img")
    assert len(pictures) == 1 + 2 + 2 * 2
    assert all(str(picture["src"]).startswith("data:image/png;base64,") for picture in pictures)
    assert not parsed.scripts
    assert not (tmp_path / "charts").exists()


@given(names=st.lists(hostile_names, min_size=3, max_size=3))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_escapes(names: list[str], tmp_path: Path) -> None:
    parsed = page(names, tmp_path)
    assert parsed.structure == page(["photos", "cat/1.jpg", "cat"], tmp_path).structure
    for name in names:
        assert printable(name) in parsed.text
