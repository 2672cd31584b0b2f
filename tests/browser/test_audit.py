"""The audit trail in a real browser: searched, read, taken away as CSV; without scripts, as it has none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@looks.each
def test_everyone_can_read_it(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    admin.goto("/admin/audit/?action=project.")
    assert pages.scrolling_sideways(admin) == []
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"audit-{scheme}-{width}")
    admin.locator("table.entries tbody a").first.click()
    admin.get_by_role("heading", name="From what to what").wait_for()
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"audit-entry-{scheme}-{width}")


def test_it_is_searched_and_taken_away_as_csv(plain: Page) -> None:
    plain.goto("/admin/")
    plain.get_by_role("link", name="Audit", exact=True).click()
    plain.locator("summary", has_text="Search").click()
    plain.get_by_label("Action").fill("project.created")
    plain.get_by_role("button", name="Search").click()
    assert plain.locator("table.entries tbody tr").filter(has_text="research").count() == 1
    with plain.expect_download() as taken:
        plain.get_by_role("link", name="CSV").click()
    header, *lines = Path(taken.value.path()).read_text().splitlines()
    assert header.startswith("id,at,severity,actor")
    assert any("project.created,research" in line for line in lines)
