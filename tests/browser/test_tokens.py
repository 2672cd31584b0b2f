"""Tokens in a real browser: made, copied, used, rotated, changed, ended and deleted; with scripts and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import looks, pages
from tests.browser.watch import Watch
from tests.process.gateway_process import Gateway, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
IN_FORCE_S = 2.0
LONG = "a" * 90


def status(gateway: Gateway, key: str) -> int:
    return httpx.get(f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code


def make(page: Page, name: str, *, project: str = "default", **lists: str) -> str:
    """The new key, as the page shows it."""
    page.goto("/admin/tokens/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Project", exact=True).select_option(project)
    for label, text in lists.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Make the token").click()
    return page.get_by_label(f"The key of {name}").input_value()


def read(page: Page, name: str) -> None:
    """Nothing sticks out, no word of it either, and axe-core finds nothing."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert (pages.sticking_out(page), pages.barriers(page)) == ([], [])
    pages.picture(page, name)


@looks.each
def test_everyone_can_read_them(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    name = f"{scheme}{width}{LONG}"
    make(admin, name, Models="openrouter/*\ngpt-*\n" + "m" * 190, Networks="10.0.0.0/8")
    read(admin, f"token-shown-{scheme}-{width}")
    admin.get_by_role("link", name="To the token").click()
    admin.get_by_role("heading", level=1, name=name).wait_for()
    read(admin, f"token-{scheme}-{width}")
    admin.goto("/admin/tokens/")
    assert pages.scrolling_sideways(admin) == []
    read(admin, f"tokens-{scheme}-{width}")


def test_everyone_can_fill_in_its_forms(admin: Page) -> None:
    admin.set_viewport_size({"width": 390, "height": looks.HEIGHTS[390]})
    admin.emulate_media(color_scheme="dark", reduced_motion="reduce")
    make(admin, "formed")
    admin.get_by_role("link", name="To the token").click()
    for address in ("change", "rotate", "delete"):
        link = str(admin.get_by_role("link", name=address.title(), exact=True).get_attribute("href"))
        admin.goto(link)
        read(admin, f"token-{address}")
        admin.get_by_role("link", name="Back to the token").click()


def test_a_token_is_made_copied_used_and_ended(admin: Page, gateway: Gateway, watch: Watch) -> None:
    admin.context.grant_permissions(["clipboard-read", "clipboard-write"])
    key = make(admin, "laptop")
    admin.get_by_role("button", name="Copy the key").click()
    admin.get_by_role("status").filter(has_text="Copied.").wait_for()
    assert admin.evaluate("navigator.clipboard.readText()") == key
    admin.locator("summary", has_text="Python").click()
    admin.get_by_role("button", name="Copy Python").click()
    admin.get_by_role("button", name="Copied").first.wait_for()
    assert f'base_url="{gateway.url}/v1", api_key="{key}"' in str(admin.evaluate("navigator.clipboard.readText()"))
    eventually(lambda: status(gateway, key) == 200, what="welcome", within_s=IN_FORCE_S)

    admin.get_by_role("link", name="To the token").click()
    admin.get_by_role("heading", level=1, name="laptop").wait_for()
    assert key not in pages.everything_in(admin)
    admin.get_by_role("button", name="Disable").click()
    admin.get_by_role("status").filter(has_text="laptop is disabled").wait_for()
    admin.get_by_role("button", name="Enable").wait_for()
    eventually(lambda: status(gateway, key) == 401, what="refused", within_s=IN_FORCE_S)

    admin.goto("/admin/tokens/")
    admin.get_by_label("State").select_option("disabled")
    admin.wait_for_url("**state=disabled**")
    admin.get_by_role("link", name="laptop", exact=True).click()
    admin.get_by_role("button", name="Enable").wait_for()
    watch.forgiven = ("404: ", "console: Failed to load resource: the server responded with a status of 404")
    elsewhere = admin.context.new_page()
    elsewhere.goto(f"{admin.url}delete/")
    elsewhere.get_by_role("button", name="Delete it").click()
    admin.get_by_role("button", name="Enable").click()
    admin.get_by_text("It is not there any more: nothing was saved.").wait_for()


def test_each_flow_works_without_scripts(plain: Page, gateway: Gateway, watch: Watch) -> None:
    watch.forgiven = ("400: ", "console: Failed to load resource: the server responded with a status of 400")
    first = make(plain, "robot", Models="gpt-*\nllama/*")
    assert plain.get_by_role("button", name="Copy the key").count() == 0
    plain.get_by_role("link", name="To the token").click()
    plain.get_by_role("link", name="Change", exact=True).click()
    plain.get_by_label("Requests a minute").fill("many")
    plain.get_by_role("button", name="Save").click()
    plain.get_by_text("Use a whole number.").wait_for()
    plain.get_by_label("Requests a minute").fill("1000000000")
    plain.get_by_role("button", name="Save").click()
    plain.get_by_text("less than or equal to").wait_for()
    plain.get_by_label("Requests a minute").fill("600")
    plain.get_by_role("button", name="Save").click()
    plain.get_by_text("robot is changed").wait_for()
    plain.get_by_text("600 requests/min").first.wait_for()
    plain.get_by_text("gpt-*, llama/*").wait_for()

    plain.get_by_role("link", name="Rotate").click()
    plain.get_by_role("button", name="Rotate").click()
    second = plain.get_by_label("The key of robot").input_value()
    eventually(
        lambda: (status(gateway, first), status(gateway, second)) == (200, 200), what="both", within_s=IN_FORCE_S
    )
    plain.get_by_role("link", name="To the token").click()
    plain.get_by_role("link", name="Rotate").click()
    plain.get_by_label("Hours the old key stays valid").fill("0")
    plain.get_by_role("button", name="Rotate").click()
    plain.get_by_text("ended at once").wait_for()
    plain.get_by_role("link", name="To the token").click()

    plain.get_by_role("button", name="Expire now").click()
    plain.get_by_text("robot has expired").wait_for()
    plain.get_by_role("link", name="Delete").click()
    plain.get_by_text("The key robot goes for good").wait_for()
    plain.get_by_role("button", name="Delete it").click()
    plain.get_by_text("robot is deleted").wait_for()
    assert plain.get_by_role("link", name="robot", exact=True).count() == 0
