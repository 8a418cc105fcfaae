"""The page as a browser shows it: charts drawn, nothing asked of a network, nothing run that is not ours."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sightline.report import palette
from sightline.report.pages import experiment_page, report_page
from tests.report import documents

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

pytestmark = pytest.mark.browser

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><script>alert(1)</script>"]
WATCH = "addEventListener('securitypolicyviolation', e => console.error('refused: ' + e.violatedDirective))"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    every = [documents.dataset(), documents.comparison(), documents.search(), documents.prediction()]
    return report_page(every, documents.pictures(), tmp_path_factory.mktemp("report") / "report.html")


def opened(browser: Browser, path: Path, width: int, troubles: list[str], **options: Any) -> Page:
    """The page at `width` pixels once all is drawn; what it should not have done is added to `troubles`."""

    def refuse(dialog: Dialog) -> None:
        troubles.append(f"dialog {dialog.message}")
        dialog.dismiss()

    tab = browser.new_page(viewport={"width": width, "height": 900}, **options)
    tab.add_init_script(WATCH)
    tab.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("dialog", refuse)
    tab.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url)
    )
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-drawn]", timeout=30_000)
    return tab


@pytest.mark.parametrize(("width", "theme"), [(1400, "light"), (400, "dark")])
def test_every_chart_is_drawn_and_nothing_sticks_out(browser: Browser, report: Path, width: int, theme: str) -> None:
    troubles: list[str] = []
    tab = opened(browser, report, width, troubles, color_scheme=theme)
    charts = tab.evaluate(
        """[...document.querySelectorAll("[data-spec]")].map(box => {
            const drawing = box.querySelector("svg"), frame = drawing?.getBoundingClientRect();
            const marks = box.querySelectorAll(".role-mark path, .role-mark line, .role-mark text");
            return {id: box.id, marks: marks.length, width: frame?.width, height: frame?.height, room: box.clientWidth};
        })"""
    )
    assert len(charts) == 13
    for chart in charts:
        assert chart["marks"] >= 2, chart
        assert chart["height"] > 80, chart
        assert 0.9 * chart["room"] <= chart["width"] <= chart["room"] + 1, chart
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert troubles == []
    tab.close()


@pytest.mark.parametrize(("width", "theme"), [(1400, "dark"), (400, "light")])
def test_an_experiment_is_drawn_whole(browser: Browser, tmp_path: Path, width: int, theme: str) -> None:
    page = experiment_page(documents.experiment(), documents.pictures(), tmp_path / "report.html")
    troubles: list[str] = []
    tab = opened(browser, page, width, troubles, color_scheme=theme)
    marks = tab.evaluate(
        """[...document.querySelectorAll("[data-spec]")].map(
            box => box.querySelectorAll(".role-mark path, .role-mark line, .role-mark text").length)"""
    )
    assert len(marks) == 10
    assert min(marks) >= 2
    blocks = tab.evaluate("[...document.querySelectorAll('svg.block')].map(b => b.getBoundingClientRect().width)")
    assert len(blocks) == 2
    assert 100 < min(blocks) <= max(blocks) < width
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert troubles == []
    tab.close()


def test_charts_follow_the_theme_and_the_width(browser: Browser, report: Path) -> None:
    troubles: list[str] = []
    tab = opened(browser, report, 1400, troubles, color_scheme="light")
    line = '#chart-loss [class*="mark-line"] path'
    light, wide = tab.eval_on_selector(line, "path => [path.getAttribute('stroke'), path.getBBox().width]")
    tab.emulate_media(color_scheme="dark")
    tab.wait_for_function(
        "([line, light]) => document.querySelector(line)?.getAttribute('stroke') !== light", arg=[line, light]
    )
    tab.set_viewport_size({"width": 400, "height": 900})
    tab.wait_for_function(
        "([line, wide]) => document.querySelector(line)?.getBBox().width < wide * 0.9", arg=[line, wide]
    )
    assert troubles == []
    tab.close()


def test_paper_is_light_whatever_the_screen(browser: Browser, report: Path) -> None:
    troubles: list[str] = []
    tab = opened(browser, report, 1400, troubles, color_scheme="dark")
    stroke = """document.querySelector('#chart-loss [class*="mark-line"] path').getAttribute("stroke")"""
    assert tab.evaluate(stroke) == palette.DARK["networks"][0]
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.evaluate(stroke) == palette.LIGHT["networks"][0]
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate(stroke) == palette.DARK["networks"][0]
    assert troubles == []
    tab.close()


def test_hostile_names_are_only_names(browser: Browser, tmp_path: Path) -> None:
    compared = documents.comparison(("resnet20", "plain20"), seeds=1, num_pictures=60, class_names=HOSTILE)
    compared["dataset"]["name"], compared["findings"] = HOSTILE[0], HOSTILE
    path = report_page([compared, documents.dataset(HOSTILE)], {}, tmp_path / "report.html")
    troubles: list[str] = []
    tab = opened(browser, path, 1400, troubles)
    assert tab.locator("img[src=x], img[onerror]").count() == 0
    assert tab.locator("script:not([type])").count() == 2
    tab.locator('#chart-confusion-1 [class*="mark-rect"] path').last.hover(force=True)
    tooltip = tab.locator("#vg-tooltip-element.visible")
    tooltip.wait_for()
    assert "alert(1)" in tooltip.inner_text()
    assert tooltip.locator("img, script").count() == 0
    assert troubles == []
    tab.close()


def test_the_policy_refuses_what_slipped_in(browser: Browser, report: Path, tmp_path: Path) -> None:
    """Even if escaping failed: a script and a handler written into the page do nothing."""
    html = report.read_text(encoding="utf-8")
    slipped = "<script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">"
    (tmp_path / "broken.html").write_text(html.replace("<h1>", slipped + "<h1>"), encoding="utf-8")
    troubles: list[str] = []
    tab = opened(browser, tmp_path / "broken.html", 1400, troubles)
    assert tab.title() != "run"
    assert any("refused: script-src" in trouble for trouble in troubles)
    assert any("refused: img-src" in trouble for trouble in troubles)
    tab.close()
