"""The description of the HTTP API in a real browser: for anybody, and without scripts a plain list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@looks.each
def test_everyone_can_read_it(page: Page, scheme: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    page.goto("/docs")
    page.locator(".opblock").first.wait_for()
    assert (pages.sticking_out(page), pages.barriers(page)) == ([], [])
    pages.picture(page, f"docs-{scheme}-{width}")


def test_an_operation_is_looked_up_and_tried(page: Page) -> None:
    page.goto("/docs")
    operation = page.locator("#operations-Models-get_health")
    operation.get_by_role("button", expanded=False).first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    operation.locator(".live-responses-table").get_by_text('"status": "ok"').wait_for()
    assert pages.barriers(page) == []


def test_the_keyboard_is_seen_and_held_by_a_window_that_opens(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": looks.HEIGHTS[390]})
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    page.goto("/docs")
    authorize = page.get_by_role("button", name="Authorize")
    authorize.focus()
    page.keyboard.press("Enter")
    window = page.get_by_role("dialog", name="Available authorizations")
    window.wait_for()
    assert pages.barriers(page) == []
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.locator("#api :focus").count() == window.locator(":focus").count()
    page.keyboard.press("Escape")
    window.wait_for(state="detached")
    assert authorize.evaluate("button => button === document.activeElement")

    page.locator("#operations-Models-get_health .opblock-summary-control").focus()
    page.keyboard.press("Tab")
    page.locator("button[aria-label='Copy path to clipboard']:focus").wait_for()
    page.keyboard.press("Shift+Tab")
    assert page.locator(":focus").evaluate("one => getComputedStyle(one).outlineStyle") == "solid"


def test_an_operation_keeps_to_a_phones_window(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": looks.HEIGHTS[390]})
    page.goto("/docs")
    operation = page.locator("#operations-Chat-post_v1_chat_completions")
    operation.get_by_role("button", expanded=False).first.click()
    operation.locator("table.headers").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("chosen", "of_darker"), [("light", "color"), ("dark", "backgroundColor")])
def test_it_has_the_theme_that_was_chosen_in_the_dashboard(page: Page, chosen: str, of_darker: str) -> None:
    page.emulate_media(color_scheme="dark" if chosen == "light" else "light")
    page.add_init_script(f"localStorage.setItem('theme', '{chosen}')")
    page.goto("/docs")
    page.locator(".opblock").first.wait_for()
    assert pages.lightness(page, of=of_darker) < 0.3
    assert ("dark-mode" in (page.locator("html").get_attribute("class") or "")) == (chosen == "dark")


def test_without_scripts_it_is_a_list(plain: Page) -> None:
    plain.goto("/docs")
    plain.get_by_text("POST /v1/chat/completions").wait_for()
    assert plain.get_by_role("link", name="OpenAPI 3.1").get_attribute("href") == "/v1/openapi.json"
