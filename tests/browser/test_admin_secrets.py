"""Secrets in the admin: a key is shown once, works, and stops working; a provider's credential goes in and stays in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import pages
from tests.browser.watch import Watch
from tests.process.gateway_process import Gateway, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

IN_FORCE_S = 2.0
KEYS = "/admin/analytics/apikey/"
CREDENTIALS = "/admin/providers/credential/"


def status(gateway: Gateway, key: str) -> int:
    return httpx.get(f"{gateway.url}/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code


def test_a_new_key_is_shown_once_and_works(admin: Page, gateway: Gateway, watch: Watch) -> None:
    from playwright.sync_api import Error

    key = pages.make_key(admin, "shown once")
    assert pages.everything_in(admin).count(key) == 2  # in the field, and as its value
    eventually(lambda: status(gateway, key) == 200, what="welcome", within_s=IN_FORCE_S)

    admin.reload()  # sends the form again
    admin.get_by_text("already exists").wait_for()
    assert key not in pages.everything_in(admin)

    key = pages.make_key(admin, "left behind")
    admin.get_by_role("link", name="Back to the list").click()
    admin.get_by_role("link", name="left behind").wait_for()
    assert key not in pages.everything_in(admin)
    watch.forgiven = ("net::ERR_CACHE_MISS",)
    with pytest.raises(Error, match="ERR_CACHE_MISS"):  # Chromium kept nothing, and asks before it sends a form again
        admin.go_back()
    admin.wait_for_url("chrome-error://**")
    assert key not in pages.everything_in(admin)

    admin.goto(KEYS)
    admin.get_by_role("link", name="left behind").click()
    admin.get_by_role("heading", name="Change API key").wait_for()
    assert key not in pages.everything_in(admin)


def test_a_key_that_is_switched_off_is_refused(admin: Page, gateway: Gateway) -> None:
    key = pages.make_key(admin, "switched off")
    eventually(lambda: status(gateway, key) == 200, what="welcome", within_s=IN_FORCE_S)
    admin.goto(KEYS)
    admin.get_by_role("link", name="switched off").click()
    admin.get_by_label("Enabled").uncheck()
    pages.save(admin)
    admin.get_by_text("was changed successfully").wait_for()
    eventually(lambda: status(gateway, key) == 401, what="refused", within_s=IN_FORCE_S)


def test_a_credential_is_never_shown_again(admin: Page) -> None:
    secret = "sk-typed-in-by-an-administrator-7351"
    admin.goto(f"{CREDENTIALS}add/")
    admin.get_by_label("Provider:").select_option("OpenAI")
    admin.get_by_label("Name:").fill("typed in")
    admin.get_by_label("Environment variable:").fill("OPENAI_API_KEY")
    admin.get_by_label("Value:").fill(secret)
    pages.save(admin)
    admin.get_by_text("not both").wait_for()
    assert secret not in pages.everything_in(admin)

    admin.get_by_label("Environment variable:").fill("")
    admin.get_by_label("Value:").fill(secret)
    pages.save(admin)
    admin.get_by_text("was added successfully").wait_for()
    admin.get_by_role("cell", name=secret[-4:], exact=True).wait_for()
    assert secret not in pages.everything_in(admin)

    credential = link(admin, row="typed in")
    admin.goto("/admin/providers/provider/")
    its_provider = link(admin, row="https://api.openai.com/")
    for address in (credential, its_provider):
        for page in (address, address.replace("/change/", "/history/"), address.replace("/change/", "/delete/")):
            admin.goto(page)
            admin.locator("#content h1").wait_for()
            assert secret not in pages.everything_in(admin), page


def link(page: Page, *, row: str) -> str:
    """Where the row with this text in a list leads."""
    return str(page.get_by_role("row").filter(has_text=row).get_by_role("link").get_attribute("href"))
