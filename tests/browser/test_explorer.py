"""The route explorer in a real browser: a prompt's way, thresholds tried and set, with scripts and without."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser import looks, pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
PROMPT = "Prove, step by step, that there are infinitely many primes."


def look(page: Page, **thresholds: str) -> None:
    page.goto("/admin/route/")
    page.get_by_label("Prompt, or the whole JSON body").fill(PROMPT)
    for layer, score in thresholds.items():
        page.locator(f"#from-{layer}").fill(score)
    page.get_by_role("button", name="Show its way").click()
    page.get_by_role("heading", name="Score and entry").wait_for()


@looks.each
def test_everyone_can_read_it(admin: Page, scheme: str, width: int) -> None:
    admin.set_viewport_size({"width": width, "height": looks.HEIGHTS[width]})
    admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
    look(admin, L2="0.3")
    admin.get_by_role("heading", name="What moves").wait_for()
    assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
    pages.picture(admin, f"explorer-{scheme}-{width}")


def test_thresholds_are_tried_and_set_without_scripts(plain: Page) -> None:
    look(plain, L3="0.9")
    assert plain.get_by_role("heading", name="With your thresholds").is_visible()
    plain.get_by_role("button", name="Put these thresholds in force").click()
    plain.get_by_text("Set: L3 from 0.9.").wait_for()
    plain.goto("/admin/models/")
    assert plain.get_by_text("from a score of 0.9").is_visible()
    look(plain, L3="0.75")
    plain.get_by_role("button", name="Put these thresholds in force").click()
    plain.get_by_text("Set: L3 from 0.75.").wait_for()
