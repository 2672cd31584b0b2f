"""What was said in a request, on its page: read by everyone who may, a long text unfolded by keyboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.browser import pages

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.process.gateway_process import Gateway

pytestmark = pytest.mark.browser
ASKED = {
    "messages": [
        {"role": "system", "content": "Be brief. " * 400},
        {"role": "user", "content": "Who is [e-mail]?"},
        {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": '{"a": 1}'}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "x" * 300},
    ],
    "temperature": 0.5,
}


def test_it_is_read_in_either_theme_on_a_phone_and_at_a_desk(gateway: Gateway, admin: Page) -> None:
    [row] = gateway.installation.execute(
        "SELECT id, started_at, project_id FROM analytics_usagerecord WHERE outcome = 'ok' ORDER BY id DESC LIMIT 1"
    )
    gateway.installation.execute(
        "INSERT INTO analytics_requestbody (id, project_id, at, request, answer, request_is_cut, answer_is_cut) "
        f"VALUES ('{row['id']}', {row['project_id']}, '{row['started_at']}', '{json.dumps(ASKED)}', 'Nobody.', 1, 0)"
    )
    for scheme, width in (("light", 390), ("dark", 1440)):
        admin.set_viewport_size({"width": width, "height": 900})
        admin.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]  # one of the two
        admin.goto(f"/admin/requests/{UUID(row['id'])}/")
        said = admin.get_by_role("region", name="What was said")
        said.get_by_text("too long to be kept whole").wait_for()
        said.locator("summary", has_text="Be brief.").press("Enter")
        said.locator("summary", has_text="Other fields").press("Enter")
        said.get_by_text('"temperature": 0.5').wait_for()
        assert (pages.sticking_out(admin), pages.barriers(admin)) == ([], [])
        pages.picture(admin, f"request-body-{scheme}-{width}")
    who = [turn.inner_text() for turn in said.locator(".who").all()]
    assert who == ["system", "user", "assistant", "tool", "answer"]
