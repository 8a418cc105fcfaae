"""The page in a browser: pictures given in every way, answers, heat, look-alikes, the key, and keys alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from sightline.bundle import Bundle
from sightline.search.index import Index
from sightline.serve.service import Service
from tests.serve.running import Client, Running, b64, gated, png, threaded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

KEY = "a-key-of-letters"
GIVE = """([files, kind]) => {
    const given = new DataTransfer();
    for (const [name, type, data] of files) {
        given.items.add(new File([Uint8Array.from(atob(data), c => c.charCodeAt(0))], name, {type}));
    }
    const init = {bubbles: true, cancelable: true};
    document.body.dispatchEvent(kind === "paste" ? new ClipboardEvent(kind, {...init, clipboardData: given})
        : new DragEvent(kind, {...init, dataTransfer: given}));
}"""
WATCH = "addEventListener('securitypolicyviolation', e => console.error('refused: ' + e.violatedDirective))"
PHOTO = png(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


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


@contextmanager
def opened(browser: Browser, client: Client, *, expected: str = "^$", **options: Any) -> Iterator[Page]:
    """The service's page; at the end, nothing but what is `expected` was complained of, and no other host asked."""
    troubles: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 900}, **options})
    tab = context.new_page()
    tab.set_default_timeout(30_000)
    tab.add_init_script(WATCH)
    tab.on("console", lambda message: troubles.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    own = (client.url, "data:", f"blob:{client.url}")
    tab.on("request", lambda request: None if request.url.startswith(own) else troubles.append(request.url))
    tab.goto(client.url)
    yield tab
    context.close()
    assert [trouble for trouble in troubles if not re.search(expected, trouble)] == []


def file(name: str, data: bytes) -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": data}


def give(tab: Page, *files: Any) -> None:
    tab.set_input_files("#files", list(files))


def answers(tab: Page, count: int) -> list[str]:
    """What the pictures are called, once all are answered."""
    tab.locator("#counts", has_text=re.compile(rf"^{count} pictures?\b(?! answered)")).wait_for()
    return tab.locator(".answer").all_inner_texts()


def best(bundle: Bundle, *pictures: bytes) -> list[str]:
    return [prediction.classes[0][0] for prediction in bundle.predict(pictures)]


def painted(tab: Page) -> list[int]:
    """The opacity of the heat, from the left top, in the pixels of its canvas."""
    return list(
        tab.locator("canvas").evaluate(
            "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 3)"
        )
    )


def test_pictures_are_answered_in_their_order(
    browser: Browser, service: Running, bundle: Bundle, tests: list[bytes]
) -> None:
    with opened(browser, service) as tab:
        tab.get_by_text("prototype knows 10 classes.").wait_for()
        assert tab.title() == "prototype - Sightline"
        assert tab.locator("#queue").is_hidden()
        give(tab, file("0.png", tests[0]))
        assert answers(tab, 1) == best(bundle, tests[0])
        assert tab.locator(".class").count() == 5
        give(tab, *(file(f"{i}.png", tests[i]) for i in range(1, 12)))
        assert answers(tab, 12) == best(bundle, *tests[:12])
        assert tab.locator(".name").all_inner_texts() == [f"{i}.png" for i in range(12)]
        tab.locator(".alike li").nth(11).wait_for()
        assert tab.locator(".picture").first.locator(".alike li").count() == 12
        tab.locator(".alike img[src^=blob]").first.wait_for()
        assert tab.locator(".alike img").first.get_attribute("alt")
        shown = tab.locator(".alike img[src^=blob]").first.evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        assert shown == 8
        tab.get_by_role("button", name="Clear").click()
        assert tab.locator(".picture").count() == 0
        assert tab.locator("#queue").is_hidden()
        give(tab, file("again.png", tests[0]))
        assert answers(tab, 1) == best(bundle, tests[0])


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_pictures_are_pasted_and_dropped(
    browser: Browser, service: Running, bundle: Bundle, tests: list[bytes], kind: str
) -> None:
    with opened(browser, service) as tab:
        tab.get_by_text("prototype knows").wait_for()
        tab.evaluate(GIVE, [[[f"{i}.png", "image/png", b64(tests[i])] for i in range(2)], kind])
        assert answers(tab, 2) == best(bundle, *tests[:2])
        tab.evaluate(GIVE, [[], kind])
        assert tab.locator(".picture").count() == 2


def test_a_file_that_is_no_picture_says_so_beside_the_others(
    browser: Browser, service: Running, bundle: Bundle, tests: list[bytes]
) -> None:
    name = '"><img src=x onerror=alert(1)>.png'
    with opened(browser, service, expected=r"status of 4(15|22)|blob:.*ERR|Not allowed") as tab:
        give(tab, file(name, b"GIF89a"), file("good.png", tests[0]), file("text.txt", b"hello"))
        assert answers(tab, 3) == ["Not read", *best(bundle, tests[0]), "Not read"]
        assert tab.locator(".why").all_inner_texts() == ["truncated or corrupt", "not an image"]
        assert tab.locator(".name").first.inner_text() == name
        assert tab.locator("#counts").inner_text() == "3 pictures, 2 could not be read"
        assert tab.locator(".failed").count() == 2


def test_heat_shows_fades_and_changes_with_the_class(browser: Browser, explainer: Running) -> None:
    with opened(browser, explainer, expected="Multiple readback") as tab:  # by this test
        give(tab, file("a.png", PHOTO))
        tab.locator(".class[aria-pressed=true]").wait_for()
        assert tab.locator(".class[aria-pressed=true] .label").inner_text() == tab.locator(".answer").inner_text()
        first = painted(tab)
        row, width = 20, 60
        assert len(first) == 40 * 60
        assert max(first) > 150
        assert not any(first[row * width + x] for x in (*range(0, 8), *range(52, 60)))  # what the network did not see
        slider = tab.get_by_label("How strongly the heat is shown")
        for value, opacity in (("0", "0"), ("100", "1"), ("40", "0.4")):
            slider.fill(value)
            assert tab.locator("canvas").evaluate("c => c.style.opacity") == opacity
        other = tab.locator(".class").nth(2)
        other.click()
        tab.locator(".class[aria-pressed=true]").and_(other).wait_for()
        assert painted(tab) != first
        assert tab.locator(".class[aria-pressed=true]").count() == 1
        assert tab.locator("canvas").evaluate("c => c.style.opacity") == "0.4"
        place, image = (tab.locator(name).bounding_box() for name in ("canvas", ".shown img"))
        assert place == image


def test_the_class_that_was_chosen_last_is_shown(browser: Browser, explainer: Running) -> None:
    with opened(browser, explainer) as tab:
        held: list[Any] = []
        tab.route("**/explain?class=*", lambda route: held.append(route))
        give(tab, file("a.png", PHOTO))
        tab.locator(".class[aria-pressed=true]").wait_for()
        for place in (1, 2):
            with tab.expect_request("**/explain?class=*"):
                tab.locator(".class").nth(place).click()
        for route in reversed(held):  # the first answer comes last
            with tab.expect_response("**/explain?class=*") as answer:
                route.continue_()
            answer.value.finished()
            for _ in range(3):  # what the page does with it is done
                tab.locator(".shown img").evaluate("i => i.decode().then(() => new Promise(requestAnimationFrame))")
        tab.locator(".class[aria-pressed=true]").and_(tab.locator(".class").nth(2)).wait_for()
        assert tab.locator(".class").nth(1).get_attribute("aria-pressed") == "false"


def test_all_is_done_with_keys_alone(browser: Browser, explainer: Running) -> None:
    with opened(browser, explainer) as tab:
        tab.on("filechooser", lambda _: None)  # from here on choosers come to us
        tab.get_by_text("pooled knows 3 classes.").wait_for()
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.className") == "skip"
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.id") == "files"
        outline = tab.locator("label:has(#files)").evaluate("label => getComputedStyle(label).outlineStyle")
        assert outline == "solid"
        with tab.expect_file_chooser() as chooser:
            tab.keyboard.press("Enter")
        chooser.value.set_files([file("a.png", PHOTO)])
        tab.locator(".class[aria-pressed=true]").wait_for()
        reached = []
        for _ in range(12):
            tab.keyboard.press("Tab")
            reached.append(tab.evaluate("document.activeElement.className || document.activeElement.type"))
            visible = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert visible in ("solid", "auto"), reached
            if reached[-3:] == ["class"] * 3:
                break
        assert reached[-3:] == ["class"] * 3
        assert "range" in reached
        tab.keyboard.press("Enter")
        tab.locator(".class[aria-pressed=true]").and_(tab.locator(".class").nth(2)).wait_for()
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.tagName") == "SUMMARY"
        tab.keyboard.press("Enter")
        tab.get_by_role("heading", name="3 classes").wait_for()


def test_the_key_is_asked_for_kept_for_the_tab_and_a_wrong_one_said(
    browser: Browser, bundle: Bundle, index: Index, tests: list[bytes]
) -> None:
    with threaded(Service(bundle, index), KEY) as client, opened(browser, client, expected="status of 401") as tab:
        tab.get_by_role("dialog", name="This service asks for a key").wait_for()
        assert tab.evaluate("document.activeElement.id") == "key-text"
        assert tab.locator("#key-wrong").is_hidden()
        tab.keyboard.type("wrong-key")
        tab.keyboard.press("Enter")
        tab.get_by_role("alert").wait_for()
        assert tab.locator("#key-text").input_value() == ""
        tab.keyboard.type(KEY)
        tab.keyboard.press("Enter")
        tab.get_by_text("prototype knows").wait_for()
        give(tab, *(file(f"{i}", tests[i]) for i in range(6)))
        assert answers(tab, 6) == best(bundle, *tests[:6])
        tab.locator(".alike img[src^=blob]").first.wait_for()
        tab.reload()
        tab.get_by_text("prototype knows").wait_for()
        assert not tab.get_by_role("dialog").is_visible()


def test_who_has_no_key_is_told_so(browser: Browser, bundle: Bundle) -> None:
    with threaded(Service(bundle), KEY) as client, opened(browser, client, expected="status of 401") as tab:
        tab.get_by_role("dialog").wait_for()
        tab.keyboard.press("Escape")
        tab.get_by_text("This service asks for a key: load the page again").wait_for()


def test_progress_is_told_and_clear_forgets_what_is_under_way(
    browser: Browser, bundle: Bundle, tests: list[bytes]
) -> None:
    service, gate = gated(bundle, batch=1)
    with threaded(service) as client, opened(browser, client) as tab:
        give(tab, *(file(f"{i}", tests[i]) for i in range(6)))
        tab.get_by_text("0 of 6 pictures answered").wait_for()
        assert tab.get_by_role("progressbar", name="Pictures answered").get_attribute("max") == "6"
        assert tab.locator(".picture[aria-busy=true]").count() == 4
        tab.get_by_role("button", name="Clear").click()
        assert tab.evaluate("document.activeElement.id") == "files"
        with tab.expect_response("**/predict*"):
            gate.opened.set()
        give(tab, file("one", tests[9]), file("two", tests[10]))
        assert answers(tab, 2) == best(bundle, *tests[9:11])
        assert tab.locator("#counts").inner_text() == "2 pictures"
        assert tab.get_by_role("progressbar").count() == 0


def test_a_service_that_is_busy_is_asked_again(browser: Browser, bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle, batch=1, waiting=2)
    with threaded(service) as client, opened(browser, client, expected="status of 503") as tab:
        with tab.expect_response(lambda response: response.status == 503):
            give(tab, *(file(f"{i}", tests[i]) for i in range(5)))
        gate.opened.set()
        assert answers(tab, 5) == best(bundle, *tests[:5])


def test_pictures_wait_for_a_service_that_is_slow_to_say_what_it_is(
    browser: Browser, service: Running, bundle: Bundle, tests: list[bytes]
) -> None:
    context = browser.new_context()
    tab = context.new_page()
    held: list[Any] = []
    tab.route("**/model", lambda route: held.append(route))
    with tab.expect_request("**/model"):
        tab.goto(service.url)
    give(tab, file("a", tests[0]))
    assert tab.locator(".picture").count() == 0
    held[0].continue_()
    assert answers(tab, 1) == best(bundle, tests[0])
    context.close()


def test_a_service_that_fails_is_said(browser: Browser, bundle: Bundle, tests: list[bytes]) -> None:
    service, gate = gated(bundle)
    gate.opened.set()
    with threaded(service) as client, opened(browser, client, expected="status of 500") as tab:
        gate.fails = True
        give(tab, file("a", tests[0]))
        assert answers(tab, 1) == ["Not read"]
        assert tab.locator(".why").inner_text() == "the service failed: its log says why"


@pytest.mark.parametrize(("width", "theme"), [(400, "dark"), (400, "light"), (1280, "dark")])
def test_nothing_sticks_out_and_all_can_be_read(browser: Browser, explainer: Running, width: int, theme: Any) -> None:
    look = {"viewport": {"width": width, "height": 800}, "color_scheme": theme}
    with opened(browser, explainer, **look) as tab:
        give(
            tab,
            file("a-name-without-a-place-to-break-" * 8 + ".png", PHOTO),
            file("b.png", png(Image.new("L", (600, 20)))),
        )
        assert len(answers(tab, 2)) == 2
        tab.locator(".class[aria-pressed=true]").nth(1).wait_for()
        tab.get_by_text("About this network").click()
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        dark = tab.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
        assert dark == (theme == "dark")
        for selector in (
            ".answer",
            ".class .label",
            ".share",
            "#subtitle",
            ".name",
            ".fine",
            ".button.primary",
            "summary",
        ):
            assert contrast(tab, selector) >= 4.5, selector


def contrast(tab: Page, selector: str) -> float:
    """Of the text to what lies behind it (WCAG 2.2, relative luminance)."""
    colours = tab.locator(selector).first.evaluate("""element => {
        const ink = getComputedStyle(element).color;
        let behind = element;
        while (behind.parentElement && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") {
            behind = behind.parentElement;
        }
        return [ink, getComputedStyle(behind).backgroundColor];
    }""")
    shares = [np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255 for colour in colours]
    linear = [np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4) for share in shares]
    low, high = sorted(float(one @ (0.2126, 0.7152, 0.0722)) for one in linear)
    return (high + 0.05) / (low + 0.05)


def test_everything_has_a_name_and_a_role(browser: Browser, explainer: Running) -> None:
    with opened(browser, explainer) as tab:
        give(tab, file("a.png", PHOTO))
        tab.locator(".class[aria-pressed=true]").wait_for()
        for role, name in (
            ("main", None), ("contentinfo", None), ("region", "Give pictures"), ("list", "Answers"),
            ("button", "Clear"),
            ("slider", "How strongly the heat is shown"), ("img", "a.png"), ("link", "The HTTP addresses"),
        ):  # fmt: skip
            found = tab.get_by_role(role, name=name) if name else tab.get_by_role(role)  # type: ignore[arg-type]
            assert found.count() == 1, (role, name)
        assert tab.get_by_role("heading", level=1).count() == 1
        assert tab.evaluate("document.documentElement.lang") == "en"
        unnamed = tab.evaluate(
            "[...document.querySelectorAll('img:not([alt]), input:not([aria-label])')].filter("
            "e => e.tagName === 'IMG' || !e.labels.length).length"
        )
        assert unnamed == 0
        pressed = tab.get_by_role("button", pressed=True)
        assert pressed.count() == 1
        assert tab.get_by_role("status").inner_text() == "1 picture"


def test_the_addresses_page_works_and_asks_nobody_else(browser: Browser, service: Running) -> None:
    with opened(browser, service) as tab:
        tab.get_by_role("link", name="The HTTP addresses").click()
        tab.locator(".opblock-summary-path", has_text="/predict").wait_for()
        assert tab.locator(".opblock").count() == 8


def test_a_network_that_cannot_be_explained_shows_no_heat(
    browser: Browser, service: Running, tests: list[bytes]
) -> None:
    with opened(browser, service) as tab:
        give(tab, file("a.png", tests[0]))
        answers(tab, 1)
        assert tab.locator("button.class").count() == tab.locator("canvas:visible").count() == 0
        assert tab.locator("div.class").count() == 5
