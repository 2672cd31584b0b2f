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


def test_without_scripts_it_is_a_list(plain: Page) -> None:
    plain.goto("/docs")
    plain.get_by_text("POST /v1/chat/completions").wait_for()
    assert plain.get_by_role("link", name="OpenAPI 3.1").get_attribute("href") == "/v1/openapi.json"
