"""The page of an exploration: whole, in one file, and with the network's own numbers."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from sightline.report.explore_page import explore_page
from sightline.report.explore_pictures import decimals, maps, signed
from sightline.scratch.architectures import make
from sightline.scratch.pictures import normalised
from sightline.scratch.seeing import explore, plain
from sightline.scratch.seeing.activations import answers_of
from tests.report.reading import Parsed, read
from tests.report.test_browser import HOSTILE as ATTACKS
from tests.report.test_browser import WATCH
from tests.report.test_browser import browser as browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = [*ATTACKS, "{{ 7 * 7 }}"]
MEAN, DEVIATION = np.array([0.5, 0.4, 0.3], np.float32), np.array([0.2, 0.25, 0.3], np.float32)
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def explored(name: str, seed: int | None = 0, **more: Any) -> dict[str, Any]:
    pixels = PIXELS[:28, :28, :1] if name == "lenet" else PIXELS
    channels = pixels.shape[2]
    network = make(name, classes=4, channels=channels, size=len(pixels))
    network.initialise(0)
    found = explore(network, normalised(pixels[None], MEAN[:channels], DEVIATION[:channels]))
    given = {
        "kind": "exploration", "network": name, "seed": seed, "picture": "a boat.png",
        "classes": ["sea", "land", "sky", "none"], "mean": MEAN[:channels].tolist(),
        "deviation": DEVIATION[:channels].tolist(), "pixels": pixels,
    }  # fmt: skip
    return json.loads(json.dumps(plain(given))) | json.loads(json.dumps(found.document())) | more


@pytest.fixture(scope="module")
def documents() -> dict[str, dict[str, Any]]:
    return {name: explored(name) for name in ("lenet", "resnet20", "inception_small")}


def page_of(document: dict[str, Any], folder: Path) -> Parsed:
    return read(explore_page(document, folder / "page.html"))


@pytest.mark.parametrize("name", ["lenet", "resnet20", "inception_small"])
def test_the_page_is_one_file_under_a_strict_policy(
    documents: dict[str, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    parsed = page_of(documents[name], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    policy = next(m["content"] for m in parsed.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    parts = {part.split()[0]: part.split()[1:] for part in str(policy).split("; ")}
    for kind, texts in (("script-src", [text for _, text in parsed.scripts]), ("style-src", parsed.styles)):
        assert parts[kind] == [
            f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts
        ]
    for tag, attributes in parsed.elements:
        assert not [key for key in attributes if key == "style" or key.startswith("on")], tag
        for key in ("href", "src"):
            assert str(attributes.get(key, "#")).startswith(("#", "data:image/png;base64,")), tag
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert (tmp_path / "page.html").stat().st_size < 1_500_000


def test_every_layer_is_there_and_what_the_numbers_come_to(
    documents: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    for name, document in documents.items():
        text = page_of(document, tmp_path).text
        for layer in document["layers"]:
            assert layer["name"] in text
        for product in document["products"]:
            assert f"the network's own number is {signed(product['answer'], 3)}" in text
        assert f"{document['arithmetic']['multiplications']:,}" in text
        for field in document["fields"]:
            assert f"{field['bottom'] - field['top']} × {field['right'] - field['left']}" in text
        assert ("Without one shortcut" in text) is (name == "resnet20")
        assert ("Without one branch" in text) is (name == "inception_small")
        assert ("without them" in text) is (name == "resnet20")


def test_each_part_opens_with_what_to_look_at(documents: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    parsed = page_of(documents["resnet20"], tmp_path)
    assert len([one for one in parsed.all("p") if one.get("class") == "lead"]) >= 16
    first = documents["resnet20"]["products"][0]
    assert f"{signed(first['answer'], 2)} at row {first['row']}, column {first['column']}" in parsed.text
    row, column, channel = (int(i) for i in np.unravel_index(PIXELS.argmax(), PIXELS.shape))
    becomes = (255 / 255 - MEAN[channel]) / DEVIATION[channel]
    assert f"the 255 at row {row}, column {column}" in parsed.text
    assert f"= {becomes:.2f}." in parsed.text


def test_an_untrained_network_is_called_so(documents: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    assert "This network is untrained" in page_of(documents["lenet"], tmp_path).text
    assert "untrained" not in page_of({**documents["lenet"], "seed": None}, tmp_path).text


def test_names_are_only_names(documents: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    document = documents["inception_small"]
    expected = page_of(document, tmp_path).structure
    for classes, picture in ((HOSTILE, "two\nlines\x1b[31m.png"), (['" onload="x'] * 4, HOSTILE[0])):
        parsed = page_of({**document, "classes": classes, "picture": picture, "network": picture}, tmp_path)
        assert parsed.structure == expected
        assert classes[document["label"]] in parsed.text
        assert "\x1b" not in parsed.text


def test_a_sure_network_has_gradients_to_show_or_none_at_all(
    documents: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    document = documents["lenet"]
    nothing = {**document["flow"], "loss": 0.0, "logits": 0.0}
    text = page_of({**document, "flow": nothing}, tmp_path).text
    assert "The gradient's way back" not in text


def test_zero_is_dark_and_signs_have_their_colours() -> None:
    from io import BytesIO

    from PIL import Image

    levels = np.array([[[0, 85, 255]]], np.uint8)
    address = maps({"levels": plain(levels), "low": -1.0, "high": 2.0})[0]
    image = Image.open(BytesIO(base64.b64decode(address.split(",")[1]))).convert("RGB")
    negative, zero, positive = (image.getpixel((x, 0)) for x in range(3))
    assert isinstance(negative, tuple)
    assert isinstance(positive, tuple)
    assert zero == (18, 21, 27)
    assert negative[2] > negative[0]
    assert positive == (255, 255, 255)


@pytest.mark.parametrize(("strongest", "digits"), [(12.0, 2), (0.4, 2), (0.04, 3), (0.004, 4), (0.0, 2)])
def test_small_numbers_get_more_digits(strongest: float, digits: int) -> None:
    assert decimals(strongest) == digits
    assert signed(-strongest / 10**9, digits) == f"{0:.{digits}f}"


@pytest.mark.browser
@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (400, "dark")])
def test_the_window_moves_and_the_numbers_are_the_network_s(
    browser: Browser, documents: dict[str, dict[str, Any]], tmp_path: Path, width: int, theme: Any
) -> None:
    troubles: list[str] = []
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
    tab.add_init_script(WATCH)
    tab.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    document = documents["resnet20"]
    tab.goto(explore_page(document, tmp_path / "page.html").as_uri())
    network = make("resnet20", classes=4)
    network.initialise(0)
    answers = answers_of(network, normalised(PIXELS[None], MEAN, DEVIATION))["conv1"][0]

    def shown(name: str) -> str:
        return tab.inner_text(f'[data-is="{name}"] >> nth=0')

    def agrees() -> None:
        number = answers[int(shown("row")), int(shown("column")), int(shown("channel"))]
        assert float(shown("answer").replace("−", "-")) == pytest.approx(float(number), abs=2e-3)

    agrees()
    other = document["kernels"]["maps"]["channels"][5]
    tab.select_option(".controls select", label=str(other))
    assert int(shown("channel")) == other
    agrees()
    tab.locator(".map").click(position={"x": 1, "y": 1})
    assert (shown("row"), shown("column")) == ("0", "0")
    agrees()
    tab.click('[data-step="1,0"]')
    tab.click('[data-step="0,1"]')
    assert (shown("row"), shown("column")) == ("1", "1")
    agrees()
    parts = [tab.inner_text(f'[data-is="part"] >> nth={i}').replace("−", "-") for i in range(3)]
    assert sum(map(float, parts)) == pytest.approx(float(answers[1, 1, other]), abs=2e-2)
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert troubles == []
    tab.close()
