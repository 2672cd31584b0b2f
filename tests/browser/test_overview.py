"""The overview in a real browser: both themes, a phone and a desk, with scripts and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser


def open_overview(page: Page, *, window: str = "24h") -> None:
    page.goto(f"/admin/?window={window}")
    see_plots(page)


def see_plots(page: Page) -> None:
    """Wait until both are drawn. The page's CSP stops `wait_for_function`, whose second look is an eval."""
    page.locator(".plot canvas").nth(1).wait_for()


@looks.each
def test_everyone_can_read_it(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    open_overview(admin)
    assert pages.sticking_out(admin) == []
    assert pages.barriers(admin) == []
    pages.picture(admin, f"overview-{scheme}-{width}")


def test_a_refresh_brings_new_figures_and_leaves_what_was_opened_open(admin: Page) -> None:
    open_overview(admin)
    table = admin.locator("figure details").first
    table.locator("summary").click()
    admin.evaluate("document.querySelector('.figures .value').textContent = 'stale'")
    with admin.expect_response("**/admin/?window=24h"):
        admin.evaluate("htmx.trigger('#overview', 'refresh')")
    admin.get_by_text("stale", exact=True).wait_for(state="detached")
    see_plots(admin)
    assert table.get_attribute("open") is not None
    assert table.locator("tbody tr").first.is_visible()


def test_who_is_signed_out_is_told_and_the_page_stays(admin: Page) -> None:
    open_overview(admin)
    admin.context.clear_cookies()
    admin.evaluate("htmx.trigger('#overview', 'refresh')")
    admin.get_by_role("alert").filter(has_text="not signed in any more").wait_for()
    assert admin.locator(".figures .value").first.is_visible()


def test_a_gateway_that_does_not_answer_is_told_of_and_forgotten_again(admin: Page, watch: Watch) -> None:
    watch.forgiven = ("console: Failed to load resource", "console: htmx:", "net::ERR_FAILED")
    open_overview(admin)
    admin.route("**/admin/?window=24h", lambda route: route.abort())
    admin.evaluate("htmx.trigger('#overview', 'refresh')")
    admin.get_by_role("alert").filter(has_text="does not answer").wait_for()
    assert admin.locator(".figures .value").first.is_visible()
    admin.unroute_all()
    admin.evaluate("htmx.trigger('#overview', 'refresh')")
    admin.get_by_role("alert").wait_for(state="detached")


def test_the_way_leads_through_windows_and_projects(admin: Page) -> None:
    open_overview(admin)
    requests = admin.locator(".figures .value").first
    of_a_day = requests.inner_text()
    admin.get_by_role("link", name="30 days").click()
    admin.wait_for_url("**/admin/?window=30d")
    assert requests.inner_text() != of_a_day
    admin.get_by_label("Project").select_option("research")
    admin.get_by_role("button", name="Show").click()
    admin.wait_for_url("**/admin/?window=30d&project=research")
    admin.get_by_text("No request has come in during the last 30 days").wait_for()
    assert pages.barriers(admin) == []
    assert admin.locator(".choices [aria-current]").inner_text() == "30 days"


def test_the_menu_of_a_phone_opens_and_closes_by_keyboard(admin: Page) -> None:
    admin.set_viewport_size({"width": 390, "height": 844})
    open_overview(admin)
    menu = admin.get_by_role("navigation", name="Main")
    assert not menu.is_visible()
    admin.get_by_role("button", name="Menu").press("Enter")
    assert menu.is_visible()
    assert pages.barriers(admin) == []
    admin.keyboard.press("Escape")
    assert not menu.is_visible()


def test_it_is_whole_without_scripts(plain: Page) -> None:
    plain.goto("/admin/?window=7d")
    assert plain.locator(".figures .card").count() == 8
    plain.locator("figure summary").first.click()
    assert plain.locator("figure table tbody tr").first.is_visible()
    plain.get_by_role("link", name="1 hour").click()
    assert plain.locator(".choices [aria-current]").inner_text() == "1 hour"


@pytest.mark.parametrize("path", ["/admin/tables/", "/admin/alerts/", "/admin/terminal/"])
def test_other_pages_of_ours_keep_nobody_out(admin: Page, path: str) -> None:
    admin.goto(path)
    assert pages.barriers(admin) == []
