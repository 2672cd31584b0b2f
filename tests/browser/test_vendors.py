"""Providers, models and prices in a real browser: read by everyone, changed with scripts and without, asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.browser import looks, pages
from tests.process.gateway_process import eventually
from tests.upstream import process
from tests.upstream.process import RunningUpstream

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.watch import Watch
    from tests.process.gateway_process import Gateway

pytestmark = pytest.mark.browser
ASKED = "provider = 'alder' AND model = 'talkative' AND outcome ="
ASK_AGAIN = """
async () => {
  const form = document.querySelector("form[data-live]")
  return (await fetch(form.dataset.live, {method: "POST", body: new FormData(form)})).text()
}
"""
READ = {
    "providers": "/admin/providers/",
    "provider": "/admin/providers/alder/",
    "offers": "/admin/models/add/?provider=alder",
    "model": "/admin/models/alder/alder-01/",
    "prices": "/admin/prices/?show=all",
    "price-sync": "/admin/prices/sync/",
}
UNFOLD = "document.querySelectorAll('#content details').forEach(part => { part.open = true })"
REFUSED = ("400: ", "console: Failed to load resource: the server responded with a status of 400")
"""What the browser tells of a form that was refused."""
SECRET = "sk-typed-into-the-page-0123456789-7351"


@pytest.fixture(scope="module", autouse=True)
def alder(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningUpstream]:
    """A provider that answers, and that the seeded usage was at; one of its models is set up, without a price. And two
    models elsewhere at prices that are not their vendor's."""
    log = tmp_path_factory.mktemp("alder") / "log.jsonl"
    with process.running(log=log, models=["alder-01", "talkative", "silent"]) as running:
        who = {"username": pages.ADMIN, "password": pages.PASSWORD}
        told = httpx.post(f"{gateway.url}/v1/auth/login", json=who).json()
        fields = {"slug": "alder", "base_url": running.url, "is_local": True, "needs_credential": False}
        made = [("providers", fields), ("models", {"provider": "alder", "name": "alder-01"})]
        for name in ("gpt-4o", "gpt-4o-mini"):
            made += [("models", {"provider": "openai", "name": name})]
            made += [("prices", {"model": f"openai/{name}", "unit": "input", "usd": 99})]
        for path, body in made:
            bearer = {"Authorization": f"Bearer {told['access']}"}
            httpx.post(f"{gateway.url}/v1/admin/{path}", json=body, headers=bearer).raise_for_status()
        yield running


@looks.each
def test_everyone_can_read_them(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
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

    admin.get_by_label("The key", exact=True).fill(SECRET)
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
    plain.get_by_role("status").get_by_text("no key", exact=True).wait_for()


def test_a_model_is_found_added_and_asked_in_place(
    admin: Page, gateway: Gateway, alder: RunningUpstream, watch: Watch
) -> None:
    admin.goto("/admin/models/")
    admin.get_by_role("link", name="Add models").click()
    admin.get_by_label("Provider").select_option("alder")
    admin.get_by_role("button", name="Show its list").click()
    admin.get_by_label("silent").wait_for()
    admin.get_by_label("Name has").press_sequentially("TALK")
    admin.get_by_label("silent").wait_for(state="hidden")
    admin.get_by_label("talkative").check()
    admin.get_by_label("and put them into").select_option("L1")
    admin.get_by_role("button", name="Add the ticked ones").click()
    admin.get_by_text("Added to alder and L1: talkative.").wait_for()

    admin.goto("/admin/models/alder/talkative/")
    for unit, usd in (("input", "3"), ("output", "7")):
        admin.get_by_label("Unit").select_option(unit)
        admin.get_by_label("USD").fill(usd)
        admin.get_by_role("button", name="Add the price").press("Enter")
        admin.get_by_text(f"The price of alder/talkative for {unit} is {usd} USD").wait_for()
    admin.get_by_label("What to ask").fill("#!delay_ms=50\nWho is there?")
    admin.get_by_role("button", name="Ask").click()
    admin.get_by_text("You said: Who is there?").wait_for()
    admin.get_by_role("link", name="the request").wait_for()
    *written, whole = [json.loads(line) for line in str(admin.evaluate(ASK_AGAIN)).splitlines()]
    assert ("".join(line["text"] for line in written), len(written) > 1) == ("You said: Who is there?", True)
    assert "You said: Who is there?" in whole["html"]
    admin.get_by_role("link", name="the request").click()
    admin.get_by_text("admin, at the dashboard of default").wait_for()
    assert eventually(lambda: gateway.installation.rows(f"{ASKED} 'ok'"), what="its row")

    watch.forgiven = ("net::ERR_ABORTED",)  # an answer that is left while it is written
    admin.goto("/admin/models/alder/talkative/")
    admin.get_by_label("What to ask").fill("#!chunks=400;delay_ms=50\nSay much.")
    admin.get_by_role("button", name="Ask").click()
    admin.get_by_text("w0 w1").wait_for()
    admin.goto("/admin/models/")
    assert eventually(lambda: gateway.installation.rows(f"{ASKED} 'cancelled'"), what="the row of what was left")


def test_prices_are_found_announced_and_taken_back_without_scripts(plain: Page) -> None:
    plain.goto("/admin/prices/")
    plain.get_by_label("Give alder/alder-01 a price").click()
    plain.get_by_label("USD").fill("2.5")
    plain.get_by_label("Holds from").fill("2030-01-31T09:30")
    plain.get_by_role("button", name="Add the price").click()
    plain.get_by_text(
        "The price of alder/alder-01 for input is 2.5 USD per million from 2030-01-31 09:30 on."
    ).wait_for()
    plain.get_by_role("link", name="To come").click()
    plain.get_by_role("button", name="Take back alder/alder-01 input from 31 Jan 2030 09:30").click()
    plain.get_by_text("Taken back before it held: alder/alder-01 input: 2.5").wait_for()

    plain.get_by_role("link", name="Follow a list of prices").click()
    plain.get_by_label("Provider").select_option("openai")
    plain.get_by_role("button", name="Compare").click()
    others = plain.get_by_role("checkbox").all()
    for other in others:
        other.set_checked("openai/gpt-4o" in str(other.get_attribute("value")).split())
    plain.get_by_role("button", name="Change these prices").click()
    plain.get_by_text("of 1 model changed, from now on.").wait_for()
