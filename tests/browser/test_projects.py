"""Projects and their members in a real browser: changed in place, and without scripts."""

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
    admin.goto("/admin/projects/")
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"projects-{scheme}-{width}")
    admin.get_by_role("link", name="research").click()
    admin.locator("summary", has_text="Delete research").click()
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"project-{scheme}-{width}")


def test_members_are_changed_in_place(admin: Page, watch: Watch) -> None:
    watch.forgiven = ("400: ", "console: Failed to load resource: the server responded with a status of 400",
                      "console: Response Status Error Code 400")  # fmt: skip
    admin.goto("/admin/projects/research/")
    admin.evaluate("document.body.dataset.stays = 'yes'")
    for name, said in (("nobody", "There is no user 'nobody'"), (pages.ADMIN, "admin is now viewer of the project.")):
        admin.get_by_label("Add", exact=True).fill(name)
        admin.get_by_role("button", name="Add member").click()
        admin.get_by_text(said).wait_for()
    admin.get_by_label(f"Role of {pages.ADMIN}", exact=True).select_option("Operator")
    admin.get_by_role("button", name=f"Save the role of {pages.ADMIN}").press("Enter")
    admin.get_by_role("status").filter(has_text="as operator").wait_for()
    assert admin.evaluate("document.activeElement.id").startswith("role-")
    admin.once("dialog", lambda asked: asked.accept())
    admin.get_by_role("button", name=f"Take {pages.ADMIN} out").click()
    admin.get_by_text("Nobody yet").wait_for()
    assert admin.evaluate("document.body.dataset.stays") == "yes"


def test_each_flow_works_without_scripts(plain: Page, watch: Watch) -> None:
    watch.forgiven = ("400: ", "console: Failed to load resource: the server responded with a status of 400")
    plain.goto("/admin/projects/")
    plain.get_by_role("link", name="New project").click()
    plain.get_by_label("Slug").fill("Lab")
    plain.get_by_role("button", name="Make the project").click()
    plain.get_by_text("Use lower-case letters").wait_for()
    plain.get_by_label("Slug").fill("lab")
    plain.get_by_label("Requests a minute").fill("60")
    plain.get_by_role("button", name="Make the project").click()
    plain.get_by_text("The project lab is there").wait_for()

    plain.get_by_label("Name").fill("The lab")
    plain.get_by_label("Time zone").select_option("Asia/Kathmandu")
    plain.get_by_role("button", name="Save", exact=True).click()
    plain.get_by_role("heading", name="The lab").wait_for()
    assert plain.get_by_label("Requests a minute").input_value() == "60"
    plain.get_by_label("What is asked and answered is").select_option("kept, masked")
    plain.get_by_label("for days").fill("3")
    plain.get_by_role("button", name="Save this").click()
    plain.get_by_text("are kept, masked, for 3 days").wait_for()
    plain.get_by_role("button", name="Switch lab off").click()
    plain.get_by_role("button", name="Switch lab on").wait_for()

    plain.get_by_label("Add", exact=True).fill(pages.ADMIN)
    plain.get_by_role("button", name="Add member").click()
    plain.get_by_role("button", name=f"Take {pages.ADMIN} out").click()
    plain.get_by_text("is no longer in lab").wait_for()

    plain.locator("summary", has_text="Delete lab").click()
    plain.get_by_label("Write lab").fill("lab")
    plain.get_by_role("button", name="Delete for good").click()
    plain.get_by_text("The project lab is deleted").wait_for()
    assert plain.get_by_role("link", name="lab", exact=True).count() == 0
