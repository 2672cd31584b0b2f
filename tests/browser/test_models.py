"""Models by layer in a real browser: put in order by dragging, by keyboard and without scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

    from tests.browser.watch import Watch

pytestmark = pytest.mark.browser


def names(page: Page) -> list[str]:
    """Of the first layer's models, in order."""
    return [str(item.get_attribute("data-model")) for item in items(page).all()]


def items(page: Page) -> Locator:
    return page.locator("ol.models").first.locator("> li")


@looks.each
def test_everyone_can_read_it(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    admin.goto("/admin/models/")
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"models-{scheme}-{width}")


def test_models_are_put_in_order_by_dragging(admin: Page) -> None:
    admin.goto("/admin/models/")
    before = names(admin)
    with admin.expect_response(lambda answer: answer.request.method == "POST"):
        items(admin).nth(0).drag_to(items(admin).nth(1))
    admin.get_by_role("status").filter(has_text="in a new order").wait_for()
    wanted = [before[1], before[0], *before[2:]]
    assert names(admin) == wanted
    admin.reload()
    assert names(admin) == wanted


def test_and_by_keyboard_where_the_focus_stays(admin: Page) -> None:
    admin.goto("/admin/models/")
    before = names(admin)
    admin.get_by_role("button", name=f"Try {before[2]} earlier in").press("Enter")
    admin.get_by_role("status").filter(has_text="is number 2 of").wait_for()
    assert names(admin) == [before[0], before[2], before[1], *before[3:]]
    assert before[2] in str(admin.evaluate("document.activeElement.getAttribute('aria-label')"))


def test_what_somebody_else_put_in_order_meanwhile_stays(admin: Page, plain: Page, watch: Watch) -> None:
    """By dragging, by keyboard, and without scripts: whoever's page is older is shown how it is now."""
    watch.forgiven = ("400: ", "console: Failed to load resource", "console: Response Status Error Code 400")
    for page in (admin, plain):
        page.goto("/admin/models/")
    wanted = moved(plain, 0)
    with admin.expect_response(lambda answer: answer.request.method == "POST"):
        items(admin).nth(1).drag_to(items(admin).nth(2))
    waits_for(admin, wanted)
    assert admin.get_by_role("alert").filter(has_text="in another order meanwhile").is_visible()

    wanted = moved(plain, 1)
    admin.get_by_role("button", name=f"Try {names(admin)[0]} later in").press("Enter")
    waits_for(admin, wanted)
    assert admin.get_by_role("alert").filter(has_text="in another order meanwhile").is_visible()

    admin.get_by_role("button", name=f"Try {wanted[0]} later in").press("Enter")
    waits_for(admin, [wanted[1], wanted[0], *wanted[2:]])
    plain.get_by_role("button", name=f"Try {wanted[1]} later in").click()
    plain.get_by_role("alert").filter(has_text="in another order meanwhile").wait_for()
    assert names(plain) == names(admin) == [wanted[1], wanted[0], *wanted[2:]]


def waits_for(page: Page, order: list[str]) -> None:
    for number, name in enumerate(order, 1):
        page.locator("ol.models").first.locator(f'> li:nth-child({number})[data-model="{name}"]').wait_for()


def moved(page: Page, number: int) -> list[str]:
    """Somebody has one tried later; gives the order that this makes."""
    before = names(page)
    page.get_by_role("button", name=f"Try {before[number]} later in").click()
    page.get_by_text(f"{before[number]} is number {number + 2} of").wait_for()
    assert names(page) == [*before[:number], before[number + 1], before[number], *before[number + 2 :]]
    return names(page)


def test_each_flow_works_without_scripts(plain: Page) -> None:
    plain.goto("/admin/models/")
    before = names(plain)
    plain.get_by_role("button", name=f"Try {before[0]} later in").click()
    assert names(plain) == [before[1], before[0], *before[2:]]

    plain.get_by_role("button", name=f"Switch {before[0]} off").first.click()
    plain.get_by_role("button", name=f"Switch {before[0]} on").first.click()
    plain.get_by_role("button", name=f"Switch {before[0]} off").first.wait_for()

    plain.get_by_role("button", name=f"Take {before[0]} out of").first.click()
    assert before[0] not in names(plain)
    plain.get_by_label("Add to L0").fill(before[0])
    plain.get_by_role("button", name="Add", exact=True).first.click()
    assert names(plain)[-1] == before[0]

    plain.get_by_label("A layer more").fill("L9")
    plain.get_by_role("button", name="Add", exact=True).last.click()
    plain.get_by_text("The layer L9 is there").wait_for()
    plain.locator("summary", has_text="Change L9").click()
    plain.get_by_role("button", name="Switch L9 off").click()
    plain.get_by_text("The layer L9 is off").wait_for()
