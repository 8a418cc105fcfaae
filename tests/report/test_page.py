from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sightline.core.wording import printable
from sightline.report.page import Figure, Section, json_in_html, page
from sightline.report.pages import comparison_page, dataset_page, report_page, search_page
from tests.report import documents
from tests.report.reading import Parsed, read
from tests.strategies import hostile_names

ATTACK = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of document on one page."""
    every = [documents.dataset(), documents.comparison(), documents.search(), documents.prediction()]
    return report_page(every, documents.pictures(), tmp_path_factory.mktemp("report") / "report.html")


def test_a_page_needs_nothing_outside_itself(report: Path) -> None:
    parsed = read(report)
    for tag, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:image/", "#")), f"{tag} {name}={address[:60]}"
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
    assert not re.search(r"url\(|@import", "".join(parsed.styles))


def test_the_policy_allows_exactly_our_scripts_and_style(report: Path) -> None:
    parsed = read(report)
    policy = next(m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    parts = {part.split()[0]: part.split()[1:] for part in policy.split("; ")}

    def fingerprint(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    code = [text for attributes, text in parsed.scripts if attributes.get("type") != "application/json"]
    assert parts["default-src"] == ["'none'"]
    assert parts["img-src"] == ["data:"]
    assert parts["script-src"] == [fingerprint(text) for text in code]
    assert parts["style-src"] == [fingerprint(text) for text in parsed.styles]
    assert "unsafe" not in policy
    assert not [
        name for _, attributes in parsed.elements for name in attributes if name.startswith("on") or name == "style"
    ]


def test_every_chart_has_its_specification_and_its_png(report: Path) -> None:
    parsed = read(report)
    blocks = {a["id"]: json.loads(text) for a, text in parsed.scripts if a.get("type") == "application/json"}
    wanted = [attributes["data-spec"] for attributes in parsed.all("div") if "data-spec" in attributes]
    assert len(wanted) == 13
    assert set(blocks) == {"themes", *wanted}
    assert {path.stem for path in (report.parent / "charts").glob("*.png")} == {str(name)[5:] for name in wanted}


def test_contents_lead_to_every_section_and_ids_are_single(report: Path) -> None:
    parsed = read(report)
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(a["href"])[1:] for a in parsed.all("a") if a.get("href") != "#main"]
    assert links == [section["id"] for section in parsed.all("section")]
    assert links[:2] == ["findings", "results"]
    assert links[-2:] == ["machine", "repeat"]
    assert {"dataset", "training", "confusion", "mistakes", "differences", "classes", "calibration", "cost"} < set(
        links
    )
    assert {"search", "prediction"} < set(links)


def test_the_page_says_the_figures(report: Path) -> None:
    text, document = read(report).text, documents.comparison()
    for finding in document["findings"]:
        assert finding in text
    for shown in (
        "272\u00a0k",
        "41\u00a0M",
        "82\u00a0M",
        "1\u00a0min 14\u00a0s",
        "1.3\u00a0GB",
        "2.13.0",
        "sightline compare digits",
    ):
        assert shown in text, shown
    pair = document["pairs"][0]
    assert f"differ on {pair['only_a'] + pair['only_b']} pictures" in text
    for mistake in document["mistakes"]:
        assert f"{mistake['confidence'] * 100:.1f}\u00a0% sure" in text


def test_mistakes_and_disagreements_stand_with_their_pictures(report: Path) -> None:
    shown = {a.get("title") for a in read(report).all("img")}
    document = documents.comparison()
    assert {m["picture"] for m in [*document["mistakes"], *document["disagreements"]]} <= shown


def test_a_missing_picture_is_said_to_be_missing(tmp_path: Path) -> None:
    parsed = read(search_page(documents.search(1), {}, tmp_path / "search.html"))
    assert not parsed.all("img")
    assert parsed.text.count("no picture") == 11


def test_two_documents_of_a_kind_keep_their_charts_apart(tmp_path: Path) -> None:
    page_path = report_page([documents.dataset(), documents.dataset(["cat", "dog"])], {}, tmp_path / "report.html")
    assert {path.name for path in (tmp_path / "charts").iterdir()} == {"class-counts.png", "class-counts-2.png"}
    assert {str(s["id"]) for s in read(page_path).all("section")} == {"dataset", "dataset-2"}


def test_a_document_of_another_kind_is_our_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no page for a document of kind 'poem'"):
        report_page([{"kind": "poem"}], {}, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_a_chart_that_fails_leaves_no_page(tmp_path: Path) -> None:
    section = Section("a", "A", "findings.html.j2", {"findings": []}, [Figure("f", "F", chart=None)])
    with pytest.raises(AttributeError):
        page("title", [section], tmp_path / "report.html", pictures={})
    assert not (tmp_path / "report.html").exists()


def test_searching_needs_neither_altair_nor_vl_convert(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules.update(dict.fromkeys(("altair", "vl_convert", "torch", "pyarrow", "scipy", "sklearn", "pandas")))
from pathlib import Path
from sightline.report.pages import search_page
document = {{"kind": "search", "index": "digits", "metric": "cosine", "queries": [{{"picture": "a", "neighbours": [
    {{"picture": "b", "label": "cat", "split": "train", "distance": 0.25}}]}}]}}
search_page(document, {{}}, Path({str(tmp_path / "search.html")!r}))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    parsed = read(tmp_path / "search.html")
    assert "distance 0.250" in parsed.text
    assert not parsed.scripts


# What is in a name never changes what a page is.


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Without the PNGs, which show no HTML."""
    with patch("sightline.report.drawing.write_png"):
        yield


def search_with(names: list[str]) -> dict[str, Any]:
    return {
        "kind": "search",
        "metric": "cosine",
        "index": names[0],
        "queries": [
            {
                "picture": names[0],
                "neighbours": [{"picture": names[1], "label": names[2], "split": "train", "distance": 0.1}],
            }
        ],
        "command": names[2],
    }


def prediction_with(names: list[str]) -> dict[str, Any]:
    return {
        "kind": "prediction",
        "picture": names[0],
        "classes": [{"class": name, "probability": 1 / 3} for name in names],
    }


def dataset_with(names: list[str]) -> dict[str, Any]:
    document = documents.dataset(names)
    document["name"] = names[0]
    document["quarantined"] = [{"picture": names[1], "reason": names[2]}]
    document["samples"] = {names[0]: [names[1]]}
    return document


def comparison_with(names: list[str]) -> dict[str, Any]:
    document = documents.comparison(("resnet20", "plain20"), seeds=1, num_pictures=60, class_names=names)
    document["dataset"]["name"] = names[0]
    for network, name in zip(document["networks"], names, strict=False):
        network["arch"] = name
    for item in (*document["pairs"], *document["disagreements"]):
        item["a"], item["b"] = names[:2]
    for mistake in document["mistakes"]:
        mistake["arch"] = names[0] if mistake["arch"] == "resnet20" else names[1]
        mistake["picture"] = names[2]
    document["findings"] = [name.replace("(", "[") for name in names]  # brackets are set apart, on purpose
    document["machine"]["processor"] = names[1]
    document["command"] = names
    return document


three_names = st.lists(hostile_names, min_size=3, max_size=3, unique_by=printable)
few = settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
many = settings(few, max_examples=40)


def holds_only_names(make: Callable[[list[str]], dict[str, Any]], names: list[str], folder: Path) -> None:
    """The page about `names` has the elements of a page about harmless ones, and says every name."""
    parsed = page_about(make, names, folder)
    if make not in HARMLESS:
        HARMLESS[make] = page_about(make, ["cat", "dog", "owl"], folder).structure
    assert parsed.structure == HARMLESS[make]
    said = parsed.text + "".join(str(value) for _, attributes in parsed.elements for value in attributes.values())
    for name in names:
        assert printable(name) in said
    for attributes, text in parsed.scripts:
        if attributes.get("type") == "application/json":
            json.loads(text)


def page_about(make: Callable[[list[str]], dict[str, Any]], names: list[str], folder: Path) -> Parsed:
    picture = documents.pictures(1)["digits.npy#0"]
    return read(report_page([make(names)], dict.fromkeys(names, picture), folder / "report.html"))


HARMLESS: dict[Callable[[list[str]], dict[str, Any]], list[tuple[str, tuple[str, ...]]]] = {}


@given(names=three_names)
@example(names=[ATTACK, '"><img src=x onerror=alert(1)>', "' onclick='alert(1)"])
@many
def test_no_name_escapes_a_search(names: list[str], tmp_path: Path) -> None:
    holds_only_names(search_with, names, tmp_path)


@given(names=three_names)
@example(names=[ATTACK, '"><img src=x onerror=alert(1)>', "' onclick='alert(1)"])
@many
def test_no_name_escapes_a_prediction(names: list[str], tmp_path: Path) -> None:
    holds_only_names(prediction_with, names, tmp_path)


@given(names=three_names)
@example(names=[ATTACK, '"><img src=x onerror=alert(1)>', "' onclick='alert(1)"])
@few
def test_no_name_escapes_a_dataset(names: list[str], tmp_path: Path, undrawn: None) -> None:
    holds_only_names(dataset_with, names, tmp_path)


@pytest.mark.slow
@given(names=three_names)
@example(names=[ATTACK, '"><img src=x onerror=alert(1)>', "' onclick='alert(1)"])
@few
def test_no_name_escapes_a_comparison(names: list[str], tmp_path: Path, undrawn: None) -> None:
    holds_only_names(comparison_with, names, tmp_path)


@given(
    value=st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@example(value={"a": [ATTACK, "<!--<script>", "\u2028&amp;"]})
def test_json_in_html_stays_json_and_stays_inside(value: Any) -> None:
    text = json_in_html(value)
    assert json.loads(text) == value
    parsed = Parsed(f"<script>{text}</script>")
    assert parsed.structure == [("script", ())]
    assert parsed.scripts[0][1] == text


def test_each_kind_has_its_own_page(tmp_path: Path, undrawn: None) -> None:
    summary = documents.dataset()
    samples = summary.pop("samples")
    assert "left out" in read(dataset_page(summary, samples, documents.pictures(), tmp_path / "d.html")).text
    one = read(comparison_page(documents.comparison(("resnet20",), seeds=1), {}, tmp_path / "c.html"))
    assert "How good it is" in one.text
    assert "differences" not in {section["id"] for section in one.all("section")}
