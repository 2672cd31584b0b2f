"""The watch over every page notices what it is there for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

BROKEN = """
<link rel="icon" href="data:,">
<script src="/static/missing.js"></script>
<script src="http://localhost:9/elsewhere.js"></script>
<script>console.error("says the script")</script>
<script>throw new Error("thrown by the script")</script>
<style>body { color: red }</style>
"""
POLICY = "script-src 'self' http://localhost:9 'unsafe-inline'; style-src 'none'"
NOTICED = [
    "404: ",
    "elsewhere: http://localhost:9/",
    "net::ERR_",
    "console: says the script",
    "not caught: ",
    "console: securitypolicyviolation: style-src",
]


def test_whatever_goes_wrong_in_a_page_is_noticed(page: Page, watch: Watch) -> None:
    answer = {"body": BROKEN, "content_type": "text/html", "headers": {"Content-Security-Policy": POLICY}}
    page.route("/broken", lambda route: route.fulfill(**answer))
    page.goto("/broken")
    page.evaluate("new Promise(done => setTimeout(done))")
    missing = [start for start in NOTICED if not any(trouble.startswith(start) for trouble in watch.troubles)]
    assert missing == [], watch.troubles
    watch.forgiven = (*NOTICED, "console: ")
