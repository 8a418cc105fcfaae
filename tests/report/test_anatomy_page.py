from __future__ import annotations

import base64
import hashlib
import io
import xml.etree.ElementTree as ET
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from sightline.anatomy.macs import layers_of
from sightline.anatomy.trace import trace
from sightline.core.wording import printable
from sightline.report.anatomy_blocks import OUTSIDE, Block, boxes, stages
from sightline.report.anatomy_charts import along_depth, price
from sightline.report.anatomy_layout import Plan, plan
from sightline.report.anatomy_page import FAMILIES, totals, write_page, write_png
from sightline.report.anatomy_picture import Head, svg
from sightline.report.page import Figure
from tests.report.reading import Parsed, read
from tests.report.test_browser import browser as browser
from tests.report.test_browser import opened
from tests.strategies import hostile_names

pytestmark = pytest.mark.slow

SVG = "{http://www.w3.org/2000/svg}"
REAL = (
    "googlenet", "googlenet:aux=no", "googlenet_naive", "resnet18", "resnet50", "resnet152", "plain34", "resnet20",
    "resnet56:shortcut=C", "alexnet", "vgg16_bn", "mobilenet_v1", "mobilenet_v2:width=0.5", "efficientnet_b0",
    "efficientnet_b7",
)  # fmt: skip
RESIDUAL = "resnet20:shortcut=B"
ROWS = [
    {"network": name, "row": f"{name} of old", "top1": top1, "top5": top5, "size": 224, "source": "a table",
     "parameters": n, "macs": 70 * n}
    for name, top1, top5, n in (
        ("alexnet", 56.5, 79.1, 61e6), ("resnet18", 69.8, 89.1, 11.7e6), (RESIDUAL, 71.0, None, 9e6),
    )
]  # fmt: skip
IDEA = {
    "name": "1x1 reduction",
    "what": "Squeeze first.",
    "with": {"what": "1x1, then 5x5", "parameters": 16_000, "macs": 12_443_648, "formula": "2,408,448 + 10,035,200"},
    "without": {"what": "5x5", "parameters": 153_600, "macs": 120_422_400, "formula": "28 x 28 x 32 x 5 x 5 x 192"},
    "figure": "macs",
    "ratio": 12_443_648 / 120_422_400,
    "source": "Szegedy et al. 2014",
}
SCALING = {
    "compound": {
        "along": "phi",
        "points": [{"at": i, "network": "n", "macs": 2**i, "parameters": i + 1} for i in (0, 1)],
    },
    "MobileNet v1": {
        "along": "width",
        "points": [{"at": i, "network": "n", "macs": 3**i, "parameters": 2**i} for i in (1, 2)],
    },
    "MobileNet v2": {
        "along": "width",
        "points": [{"at": i, "network": "n", "macs": 2**i, "parameters": i} for i in (1, 2)],
    },
}


def full(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "published": {"rows": ROWS}, "ideas": [IDEA], "scaling": SCALING}


def against() -> dict[str, Any]:
    return full({"kind": "anatomies", "networks": [traced("plain20"), traced(RESIDUAL)]})


def page_of(document: dict[str, Any], folder: Path) -> Parsed:
    write_page(document, folder / "page.html")
    return read(folder / "page.html")


anatomy = cache(trace)


def traced(name: str) -> dict[str, Any]:
    return anatomy(name).document()


def plans(document: dict[str, Any]) -> list[Plan]:
    return [plan(block) for stage in stages(document) for block in stage.blocks]


def block_named(document: dict[str, Any], name: str) -> Block:
    return next(block for stage in stages(document) for block in stage.blocks if block.names[0] == name)


@pytest.mark.parametrize("document", [full(traced("googlenet")), against()], ids=["one", "several"])
def test_the_page_is_one_file_under_a_strict_policy(document: dict[str, Any], tmp_path: Path) -> None:
    parsed = page_of(document, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    policy = next(m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    parts = {part.split()[0]: part.split()[1:] for part in str(policy).split("; ")}

    def fingerprint(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    code = [text for attributes, text in parsed.scripts if attributes.get("type") != "application/json"]
    assert parts["default-src"] == ["'none'"]
    assert parts["script-src"] == [fingerprint(text) for text in code]
    assert parts["style-src"] == [fingerprint(text) for text in parsed.styles]
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], tag
        assert str(attributes.get("href", "#")).startswith("#"), tag
        assert "src" not in attributes, tag
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_stage_block_and_layer_is_named(tmp_path: Path) -> None:
    document = traced(RESIDUAL)
    text = page_of(document, tmp_path).text
    for stage in document["stages"]:
        assert stage["name"] in text
    for layer in document["layers"]:
        assert layer["name"] in text
    assert "layer1.0 to layer1.2" in text
    assert "layer2.1 to layer2.2" in text
    assert f"{document['total']['macs']:,}" in text


def test_auxiliary_heads_are_said_on_page_comparison_and_picture(tmp_path: Path) -> None:
    googlenet, other = traced("googlenet"), traced(RESIDUAL)
    text = page_of(googlenet, tmp_path).text
    assert "6.6\u00a0M without auxiliary heads" in text
    assert "without their 6,379,984 parameters" in text
    compared = page_of({"kind": "anatomies", "networks": [other, googlenet]}, tmp_path).text
    assert "without auxiliary heads272\u00a0k" in compared
    assert "6.6\u00a0M6,624,904" in compared
    for documents, said in (([googlenet], True), ([other, googlenet], True), ([other], False)):
        assert ("without auxiliary heads" in [total.word for column in totals(documents) for total in column]) is said
    assert "running" not in page_of(other, tmp_path).text


def test_an_inception_module_has_four_branches_that_meet_in_one_wide_box() -> None:
    laid = plan(block_named(traced("googlenet"), "inception3a"))
    *branches, joined = laid.placed
    assert len(branches) == 7
    assert len({place.x for place in branches}) == 4
    assert sum(OUTSIDE in place.box.reads for place in laid.placed) == 4
    assert len(joined.box.reads) == 4
    assert joined.box.lines == ("concatenate", "64 + 128 + 32 + 32", "28×28×256")
    assert joined.x == min(place.x for place in branches)
    assert joined.x + joined.width == max(place.x + place.width for place in branches)


def test_shortcuts_are_dashed_where_they_change_nothing_and_have_a_box_where_they_project() -> None:
    document = traced(RESIDUAL)
    identity, projected = plan(block_named(document, "layer2.1")), plan(block_named(document, "layer2.0"))
    assert sum(edge.identity for edge in identity.edges) == 1
    assert len({place.x for place in identity.placed}) == 1
    assert not any(edge.identity for edge in projected.edges)
    assert [p.box.family for p in projected.placed if p.x > projected.placed[0].x] == ["one"]


def test_a_plain_network_has_no_shortcut(tmp_path: Path) -> None:
    plain = traced("plain20")
    assert not any(edge.identity for laid in plans(plain) for edge in laid.edges)
    assert "edge identity" not in {a.get("class") for a in page_of(plain, tmp_path).all("path")}
    assert "edge identity" in {a.get("class") for a in page_of(traced(RESIDUAL), tmp_path).all("path")}


def test_squeeze_and_excitation_stands_aside_and_the_identity_goes_around_it() -> None:
    laid = plan(block_named(traced("efficientnet_b0"), "features.2.1"))
    trunk = laid.placed[0].x
    aside = [place.box.name.rsplit(".", 1)[1] for place in laid.placed if place.x > trunk]
    assert aside == ["avgpool", "fc1", "fc2"]
    (around,) = [edge for edge in laid.edges if edge.identity]
    assert max(x for x, _ in around.points) > max(place.x + place.width for place in laid.placed)


def test_batch_norm_and_activation_stand_in_the_box_of_their_convolution() -> None:
    first, _, last = block_named(traced(RESIDUAL), "layer1.0").boxes
    assert first.lines == ("3×3 conv", "BN · ReLU", "32×32×16")
    assert first.layers == 3
    assert last.lines == ("add", "ReLU", "32×32×16")


class Twice(nn.Module):
    """What its activation reads is read again behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 4, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + self.relu(y)


def test_an_activation_that_is_not_alone_in_reading_has_its_own_box() -> None:
    layers = [layer.document() for layer in layers_of(Twice(), (1, 3, 8, 8))]
    assert [box.name for box in boxes({"input": [3, 8, 8], "layers": layers})] == ["conv", "relu", "add"]


def test_blocks_that_differ_in_anything_are_not_collapsed() -> None:
    changed = traced(RESIDUAL)
    assert [b.times for s in stages(changed) if s.name == "layer1" for b in s.blocks] == [3]
    next(x for x in changed["layers"] if x["name"] == "layer1.1.conv2")["parameters"] += 1
    assert [b.times for s in stages(changed) if s.name == "layer1" for b in s.blocks] == [1, 1, 1]


@pytest.mark.parametrize("name", REAL)
def test_collapsed_blocks_add_up_to_the_whole_network(name: str) -> None:
    document = traced(name)
    drawn = [block for stage in stages(document) for block in stage.blocks]
    for figure, whole in (
        ("layers", len(document["layers"])),
        ("macs", document["total"]["macs"]),
        ("parameters", document["total"]["parameters"] - document["auxiliary"]["parameters"]),
    ):
        assert sum(block.times * block.total(figure) for block in drawn) == whole, figure
    assert [stage.name for stage in stages(document)] == [stage["name"] for stage in document["stages"]]
    assert sum(stage.macs_frac for stage in stages(document)) == pytest.approx(1)


@pytest.mark.parametrize("name", REAL)
def test_boxes_do_not_overlap_and_no_line_crosses_a_box(name: str) -> None:
    for laid in plans(traced(name)):
        frames = [(p.x, p.y, p.x + p.width, p.y + p.height) for p in laid.placed]
        for a, b in combinations(frames, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1], laid.block.title
        assert min(f[0] for f in frames) >= 0
        assert max(f[2] for f in frames) <= laid.width
        assert len(laid.edges) >= sum(len(set(p.box.reads)) for p in laid.placed)
        for edge in laid.edges:
            for (x0, y0), (x1, y1) in pairwise(edge.points):
                assert x0 == x1 or y0 == y1, "a slanted line"
                assert max(x0, x1) <= laid.width
                assert max(y0, y1) <= laid.height
                for left, top, right, bottom in frames:
                    beside = max(x0, x1) <= left or min(x0, x1) >= right
                    assert beside or max(y0, y1) <= top or min(y0, y1) >= bottom, (laid.block.title, edge)


def test_the_comparison_says_how_many_times(tmp_path: Path) -> None:
    document = against()
    parsed = page_of(document, tmp_path)
    plain, residual = (network["total"]["macs"] for network in document["networks"])
    assert f"{plain:,}" in parsed.text
    assert f"{residual:,}" in parsed.text
    assert f"× {residual / plain:.3g}" in parsed.text
    assert "the same" in parsed.text
    assert f"plain20 against {RESIDUAL}" in parsed.text
    drawings = [a for a in parsed.all("div") if a.get("class") == "drawing"]
    assert len(drawings) == 2


def test_of_stages_that_crowd_each_other_the_wide_keep_their_names() -> None:
    marked = along_depth(boxes(traced("googlenet")), "activations", "numbers").to_dict()
    values = [value for data in marked["datasets"].values() for value in data]
    named = {value["stage"] for value in values if "start" in value}
    assert {"conv1", "inception3a", "inception5b"} < named
    assert "conv3" not in named  # two boxes wide, just before inception3a


def test_published_accuracies_ideas_and_scaling_are_shown_where_the_document_has_them(tmp_path: Path) -> None:
    parsed = page_of(full(traced(RESIDUAL)), tmp_path)
    assert [a["id"] for a in parsed.all("section")] == ["totals", "stages", "depth", "price", "ideas", "layers"]
    specs = {a["data-spec"] for a in parsed.all("div") if "data-spec" in a}
    assert {"spec-price-macs", "spec-price-parameters"} < specs
    assert {spec for spec in specs if "scaling" in str(spec)} == {"spec-scaling-phi", "spec-scaling-width"}
    assert "a table: alexnet of old" in parsed.text
    assert [a for a in parsed.all("tr") if a.get("class") == "ours"]
    assert "10.3\u00a0% of the MACs: 9.7 times fewer" in parsed.text
    assert "None is published" not in parsed.text
    assert "None is published for googlenet" in page_of(full(traced("googlenet")), tmp_path).text
    bare = page_of(traced(RESIDUAL), tmp_path)
    assert [a["id"] for a in bare.all("section")] == ["totals", "stages", "depth", "layers"]


def test_drawings_say_what_they_show_to_those_who_do_not_see_them(tmp_path: Path) -> None:
    drawings = [a for a in page_of(traced("googlenet"), tmp_path).all("svg") if a.get("class") == "block"]
    assert drawings
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)
    assert any("concatenate, 64 + 128 + 32 + 32" in str(a["aria-label"]) for a in drawings)


def renamed(names: list[str]) -> dict[str, Any]:
    """The residual network with hostile names for itself, a kind, a stage, a block and a layer."""
    changed = traced(RESIDUAL)
    changed["name"], changed["style"] = names[0], names[1]
    for layer in changed["layers"]:
        layer["stage"] = names[1] if layer["stage"] == "layer1" else layer["stage"]
        layer["block"] = names[2] if layer["block"] == "layer2.0" else layer["block"]
        layer["kind"] = names[0] if layer["kind"] == "AvgPool" else layer["kind"]
        layer["name"] = names[1] if layer["name"] == "conv1" else layer["name"]
        layer["inputs"] = [names[1] if name == "conv1" else name for name in layer["inputs"]]
    for stage in changed["stages"]:
        stage["name"] = names[1] if stage["name"] == "layer1" else stage["name"]
    return changed


# A name equal to one the network has already would be another network, not a hostile one.
TAKEN = {
    "",
    "input",
    *(layer[key] for layer in traced(RESIDUAL)["layers"] for key in ("name", "kind", "stage", "block")),
}
three_names = st.lists(hostile_names, min_size=3, max_size=3, unique_by=printable).filter(
    lambda names: not TAKEN & set(names) and "Conv" not in names[0]
)


@cache
def harmless(folder: Path) -> Parsed:
    return page_of(renamed(["cat", "dog", "owl"]), folder)


@given(names=three_names)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_name_escapes_the_page(names: list[str], tmp_path: Path) -> None:
    parsed = page_of(renamed(names), tmp_path)
    assert parsed.structure == harmless(tmp_path).structure
    said = parsed.text + "".join(str(value) for _, attributes in parsed.elements for value in attributes.values())
    for name in names:
        assert printable(name) in said


@given(names=three_names)
@settings(max_examples=40)
def test_no_name_breaks_the_picture(names: list[str]) -> None:
    assert tags(*names) == tags("cat", "dog", "owl")


@cache
def tags(*names: str) -> list[str]:
    head = Head(names[0], names[1], [("1", names[2])])
    return [element.tag for element in ET.fromstring(svg([renamed(list(names))], [head], FAMILIES)).iter()]


def test_the_png_shows_drawing_and_words(tmp_path: Path) -> None:
    pictures = {}
    for name in ("resnet20", "senrten20"):
        write_png({**traced("resnet20"), "name": name}, tmp_path / f"{name}.png")
        pictures[name] = Image.open(io.BytesIO((tmp_path / f"{name}.png").read_bytes())).convert("RGB")
    one, other = pictures.values()
    assert one.size == other.size
    assert min(one.size) > 1000
    assert one.tobytes() != other.tobytes(), "letters are not drawn"
    colours = {colour: count for count, colour in one.getcolors(1 << 24) or []}
    assert len(colours) > 50
    assert colours[(0x3F, 0x5F, 0x7F)] > 1000, "the bars for parameters"


def test_below_the_drawing_stands_accuracy_against_cost() -> None:
    name = "<script>&alert(1)</script>"
    network = {**traced(RESIDUAL), "name": name}
    rows = [*ROWS, {**ROWS[0], "network": name}]
    figures = [Figure(figure, figure, price(rows, [name], figure, figure)) for figure in ("macs", "parameters")]
    bare, whole = (ET.fromstring(svg([network], [Head(name, "", [])], FAMILIES, below)) for below in ((), figures))
    height = float(bare.get("height", ""))
    charts = [g for g in whole.findall(f"{SVG}g") if g.find(f"{SVG}svg") is not None]
    places = [g.get("transform", "").removeprefix("translate(").rstrip(")").split() for g in charts]
    assert [float(y) >= height for _, y in places] == [True, True]
    assert float(places[0][0]) < float(places[1][0])
    for chart, title in zip(charts, ("macs", "parameters"), strict=True):
        words = [text.text for text in chart.iter(f"{SVG}text")]
        assert {name, title, "resnet18"} <= set(words)


def test_pictures_of_several_stand_side_by_side(tmp_path: Path) -> None:
    compared = against()["networks"]
    drawn = ET.fromstring(svg(compared, [Head(n["name"], "", []) for n in compared], FAMILIES))
    names = [text for text in drawn.iter(f"{SVG}text") if text.get("class") == "name"]
    assert [text.text for text in names] == [network["name"] for network in compared]
    left, right = (float(text.get("x", "")) for text in names)
    assert names[0].get("y") == names[1].get("y")
    reach = []
    for group in drawn.findall(f"{SVG}g"):
        rule = group.find(f"{SVG}path[@class='rule']")
        if rule is not None:
            start = float(group.get("transform", "").removeprefix("translate(").split()[0])
            reach.append((start, start + float(rule.get("d", "").removeprefix("M0 0h"))))
    assert len(reach) == sum(len(network["stages"]) for network in compared)
    assert {start for start, _ in reach} == {left, right}
    assert all(end < right for start, end in reach if start == left)


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (400, "dark")])
@pytest.mark.parametrize("document", [full(traced("googlenet")), against()], ids=["one", "several"])
def test_the_page_opens_without_trouble(
    browser: Any, document: dict[str, Any], width: int, theme: str, tmp_path: Path
) -> None:
    write_page(document, tmp_path / "page.html")
    troubles: list[str] = []
    tab = opened(browser, tmp_path / "page.html", width, troubles, color_scheme=theme)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    marks = tab.evaluate(
        """[...document.querySelectorAll("[data-spec]")].map(box => box.querySelectorAll(".role-mark path").length)"""
    )
    assert len(marks) == 8
    assert all(marks)
    cut = tab.evaluate(
        """[...document.querySelectorAll(".box")].filter(box => {
            const frame = box.querySelector("rect").getBBox();
            return [...box.querySelectorAll("text")].some(text => text.getBBox().width > frame.width);
        }).map(box => box.textContent)"""
    )
    assert cut == []
    assert troubles == []
    tab.close()
