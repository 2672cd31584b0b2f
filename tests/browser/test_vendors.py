"""Providers in a real browser: read by everyone, changed with scripts and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.watch import Watch
    from tests.process.gateway_process import Gateway

pytestmark = pytest.mark.browser
WIDTHS = {390: 844, 1440: 900}
READ = {
    "providers": "/admin/providers/",
    "provider": "/admin/providers/openai/",
    "provider-new": "/admin/providers/new/",
}
UNFOLD = "document.querySelectorAll('#content details').forEach(part => { part.open = true })"
REFUSED = ("400: ", "console: Failed to load resource: the server responded with a status of 400")
"""What the browser tells of a form that was refused."""
SECRET = "sk-typed-into-the-page-0123456789-7351"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_everyone_can_read_them(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": WIDTHS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    for name, address in READ.items():
        admin.goto(address)
        admin.evaluate(UNFOLD)
        found = pages.sticking_out(admin), pages.barriers(admin)
        pages.picture(admin, f"{name}-{scheme}-{width}")
        assert found == ([], []), address


def test_a_provider_is_added_tested_and_deleted_in_place(admin: Page, gateway: Gateway, watch: Watch) -> None:
    watch.forgiven = REFUSED
    admin.goto("/admin/providers/")
    admin.get_by_role("link", name="Add a provider").click()
    admin.get_by_label("Slug").fill("mine")
    admin.get_by_label("Base URL").fill(f"{gateway.url}/v1")
    admin.get_by_role("button", name="Add", exact=True).click()
    admin.get_by_text("Nothing was saved").wait_for()  # it is at a private address
    admin.get_by_label("Local").check()
    admin.get_by_role("button", name="Add", exact=True).click()
    admin.get_by_text("The provider mine is there").wait_for()

    admin.get_by_label("The key itself").fill(SECRET)
    admin.get_by_role("button", name="Set the key").press("Enter")
    admin.get_by_role("status").filter(has_text="mine has a new key.").wait_for()
    admin.get_by_text("key set, ends in 7351").wait_for()
    assert SECRET not in pages.everything_in(admin)

    admin.get_by_role("button", name="Test connection").click()  # our own API, which does not know that key
    admin.get_by_text("key refused").wait_for()
    assert SECRET not in pages.everything_in(admin)

    admin.locator("summary", has_text="Delete mine").click()
    admin.get_by_label("Write mine to confirm").fill("mine")
    admin.get_by_role("button", name="Delete it").click()
    admin.get_by_text("The provider mine is deleted.").wait_for()


def test_its_forms_work_without_scripts(plain: Page, watch: Watch) -> None:
    watch.forgiven = REFUSED
    plain.goto("/admin/providers/groq/")
    plain.get_by_label("Name", exact=True).fill("Groq, the quick one")
    plain.get_by_role("button", name="Save", exact=True).click()
    plain.get_by_role("heading", name="Groq, the quick one").wait_for()
    plain.get_by_label("or an environment variable's name").fill(SECRET)
    plain.get_by_role("button", name="the key").click()
    plain.get_by_role("alert").wait_for()
    assert SECRET not in pages.everything_in(plain)
    plain.get_by_role("button", name="Test connection").click()
    plain.get_by_text("no key", exact=True).wait_for()
