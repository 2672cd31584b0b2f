"""Budgets and limits in a real browser: made, switched, changed and deleted; with scripts and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages
from tests.browser.test_tokens import make, read
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
PAGE = "/admin/budgets/"
REFUSED = ("400: ", "console: Failed to load resource: the server responded with a status of 400")


def budget(page: Page, *, whose: str, limit: str, per: str) -> None:
    page.goto(f"{PAGE}new/")
    page.get_by_label("Whose").select_option(label=whose)
    page.get_by_label("Limit (US dollars)").fill(limit)
    page.get_by_label("Per", exact=True).select_option(per)
    page.get_by_role("button", name="Make the budget").click()
    page.get_by_text("holds: in every process").wait_for()


@looks.each
def test_everyone_can_read_them(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    per = {"light390": "hour", "dark390": "day", "light1440": "week", "dark1440": "month"}[f"{scheme}{width}"]
    budget(admin, whose="project research", limit="1000000", per=per)
    make(admin, f"{per} {'a' * 80}", **{"Requests a minute": "10000000", "Tokens a minute": "10000000000"})
    admin.goto(PAGE)
    admin.get_by_role("link", name=f"{per} a").wait_for()
    read(admin, f"budgets-{scheme}-{width}")
    admin.get_by_role("link", name=f"Change $1000000 per {per}").click()
    admin.get_by_role("heading", name="Change a budget").wait_for()
    read(admin, f"budget-{scheme}-{width}")


def test_they_are_changed_in_place(admin: Page, watch: Watch) -> None:
    watch.forgiven = REFUSED
    budget(admin, whose="the whole installation", limit="5000", per="total")
    admin.goto(PAGE)
    admin.get_by_role("button", name="Switch off $5000 in total").press("Enter")
    admin.get_by_role("status").filter(has_text="is off").wait_for()
    admin.get_by_role("button", name="Switch on $5000 in total").wait_for()

    research = admin.get_by_role("region", name="research")
    research.get_by_label("Tokens a minute").fill("many")
    research.get_by_role("button", name="Save limits").click()
    research.get_by_text("Use a whole number.").wait_for()
    assert pages.barriers(admin) == []
    research.get_by_label("Tokens a minute").fill("1000000000")
    research.get_by_role("button", name="Save limits").click()
    admin.get_by_role("status").filter(has_text="The limits of research are changed").wait_for()
    admin.reload()
    assert research.get_by_label("Tokens a minute").input_value() == "1000000000"


def test_each_flow_works_without_scripts(plain: Page, watch: Watch) -> None:
    watch.forgiven = REFUSED
    make(plain, "spender")
    plain.get_by_role("link", name="To the token").click()
    plain.get_by_role("link", name="Add one").click()
    plain.get_by_label("Limit (US dollars)").fill("lots")
    plain.get_by_role("button", name="Make the budget").click()
    plain.get_by_text("Use an amount in US dollars").wait_for()
    plain.get_by_label("Limit (US dollars)").fill("0.25")
    plain.get_by_role("button", name="Make the budget").click()
    plain.get_by_text("$0.25 per month for key spender holds").wait_for()

    name = "$0.25 per month for key spender"
    plain.get_by_role("button", name=f"Switch off {name}").click()
    plain.get_by_text(f"{name} is off").wait_for()
    plain.get_by_role("button", name=f"Switch on {name}").click()
    plain.get_by_text(f"{name} is on").wait_for()
    plain.get_by_role("link", name=f"Change {name}").click()
    plain.get_by_label("Limit (US dollars)").fill("4")
    plain.get_by_role("button", name="Save").click()
    plain.get_by_text("$4 per month for key spender: changed").wait_for()
    plain.get_by_role("link", name="Delete $4 per month for key spender").click()
    plain.get_by_role("button", name="Delete it").click()
    plain.get_by_text("is deleted").wait_for()

    default = plain.get_by_role("region", name="Default")
    default.get_by_label("Requests at once").fill("64")
    default.get_by_role("button", name="Save limits").click()
    plain.get_by_text("The limits of default are changed").wait_for()
    assert default.get_by_label("Requests at once").input_value() == "64"
    default.get_by_label("Requests at once").fill("")
    default.get_by_role("button", name="Save limits").click()
    assert default.get_by_label("Requests at once").input_value() == ""
