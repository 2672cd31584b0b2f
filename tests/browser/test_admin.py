"""Django's pages as their visitor sees them: the way in and out, every page, a narrow window, a dark one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}


def test_a_wrong_password_is_refused_and_the_right_one_leads_in_and_out_again(page: Page) -> None:
    pages.sign_in(page, password="wrong")
    page.get_by_text("Please enter a correct username and password").wait_for()
    page.goto("/admin/")
    page.wait_for_url("/admin/login/**")

    pages.sign_in(page)
    page.wait_for_url("/admin/")
    page.get_by_role("heading", name="Overview").wait_for()

    page.get_by_role("button", name="Log out").click()
    page.get_by_text("Thanks for spending").wait_for()
    page.goto("/admin/")
    page.wait_for_url("/admin/login/**")


def test_every_page_that_the_index_leads_to_opens(admin: Page) -> None:
    admin.goto("/admin/tables/")
    lists = addresses(admin, "th a")
    forms = addresses(admin, "a.addlink")
    assert {"/admin/providers/model/", "/admin/analytics/apikey/", "/admin/routing/policy/"} <= set(lists)
    assert "/admin/providers/model/add/" in forms
    for address in lists:
        admin.goto(address)
        admin.locator("#changelist").wait_for()
    for address in forms:
        admin.goto(address)
        admin.get_by_role("button", name="Save", exact=True).wait_for()


def addresses(page: Page, selector: str) -> list[str]:
    links = page.locator(f"#content-main [class*=model-] {selector}")
    return [str(link.get_attribute("href")) for link in links.all()]


def test_a_phone_shows_pages_in_their_full_width(admin: Page) -> None:
    """Wide tables may scroll in a box of their own."""
    admin.set_viewport_size(PHONE)
    lists = ("/admin/tables/", "/admin/providers/model/", "/admin/analytics/apikey/", "/admin/analytics/usagerecord/")
    for address in (*lists, "/admin/providers/provider/add/", "/admin/providers/price/add/"):
        admin.goto(address)
        assert pages.sticking_out(admin) == [], address
    admin.goto("/admin/password_change/")
    card = admin.locator("fieldset.module").bounding_box()
    field = admin.get_by_label("Old password").bounding_box()
    assert card and field
    assert card["x"] + 10 < field["x"] < field["x"] + field["width"] < card["x"] + card["width"] - 10
    pages.make_key(admin, "made on a phone")
    assert pages.sticking_out(admin) == []


def test_pages_follow_the_colour_scheme_of_the_system(admin: Page) -> None:
    for address in ("/admin/tables/", "/admin/providers/model/"):
        admin.goto(address)
        for scheme, of_darker, of_lighter in (
            ("dark", "backgroundColor", "color"),
            ("light", "color", "backgroundColor"),
        ):
            admin.emulate_media(color_scheme=scheme)
            assert pages.lightness(admin, of=of_darker) < 0.3, (address, scheme)
            assert pages.lightness(admin, of=of_lighter) > 0.8, (address, scheme)
