"""Requests in a real browser: search, live, the story of one; both themes, a phone and a desk, without scripts too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@looks.each
def test_everyone_can_read_them(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    admin.goto("/admin/requests/?outcome=error")
    assert pages.scrolling_sideways(admin) == []
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"requests-{scheme}-{width}")
    admin.locator("table.rows tbody a").first.click()
    admin.get_by_role("heading", name="Attempts").wait_for()
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"request-{scheme}-{width}")


def test_a_search_is_made_mended_and_paged_by_keyboard(admin: Page, watch: Watch) -> None:
    watch.forgiven = ("400: ", "console: Failed to load resource: the server responded with a status of 400")
    admin.goto("/admin/requests/")
    admin.locator("summary", has_text="Search").press("Enter")
    admin.get_by_label("Since").fill("nonsense")
    admin.get_by_label("Since").press("Enter")
    admin.get_by_text("is no time").wait_for()
    assert pages.barriers(admin) == []
    admin.get_by_label("Since").fill("30d")
    admin.get_by_label("Layer").select_option("L3")
    admin.get_by_role("button", name="Search").press("Enter")
    first = admin.locator("table.rows tbody tr").first.inner_text()
    assert "L3" in first
    admin.get_by_role("link", name="Older").click()
    admin.wait_for_url("**after=**")
    assert admin.locator("table.rows tbody tr").first.inner_text() != first
    admin.get_by_role("link", name="Newest").click()
    assert admin.locator("table.rows tbody tr").first.inner_text() == first


def test_live_shows_what_comes_in(admin: Page) -> None:
    admin.goto("/admin/requests/?live=1")
    admin.evaluate("document.querySelector('table.rows tbody').innerHTML = ''")
    admin.locator("table.rows tbody tr").first.wait_for()
    assert admin.locator(".choices [aria-current]").inner_text() == "Live"


def test_they_are_searched_without_scripts(plain: Page) -> None:
    plain.goto("/admin/requests/")
    plain.locator("summary", has_text="Search").click()
    plain.get_by_label("Outcome").select_option("error")
    plain.get_by_role("button", name="Search").click()
    assert {cell.inner_text().split()[0] for cell in plain.locator("table.rows tbody .state").all()} == {"error"}
    plain.locator("table.rows tbody a").first.click()
    plain.get_by_role("heading", name="Used and paid").wait_for()
