"""Fixtures of the browser tests: a gateway process set up by its own commands, a real Chromium, a page per test.

Every page is watched: what goes wrong in it fails its test, whether the test looked there or not (`Watch`).

Playwright is imported by the fixture that needs it, so that collecting these tests costs the other suites nothing.
While it lives an event loop runs in its thread: its fixtures end with this package, before async tests of others begin.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser import pages
from tests.browser.watch import Watch
from tests.process import gateway_process
from tests.process.gateway_process import COMMAND_S, ROOT, Gateway, Installation

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, StorageState

FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features="
    + ",".join(
        (
            "AimEnabled",
            "AvoidUnnecessaryBeforeUnloadCheckSync",
            "DestroyProfileOnBrowserClose",
            "HttpsFirstBalancedModeAutoEnable",
            "HttpsUpgrades",
            "LensOverlay",
            "MediaRouter",
            "NetworkTimeServiceQuerying",
            "OptimizationHints",
            "PaintHolding",
            "PreconnectToSearch",
            "ThirdPartyStoragePartitioning",
            # Each window would have two processes more, for the page that may come next and for the address bar that
            # nobody sees: nearly half of what the browser took.
            "SpareRendererForSitePerProcess",
            "WebUIOmniboxAimPopup",
            "WebUIOmniboxFullPopup",
            "WebUIOmniboxPopup",
        )
    ),
]
"""Beside Playwright's own, which switch the sandbox off (root has none) and start with an empty profile. Of two lists
of features Chromium heeds the last: what Playwright switches off stands in ours, too."""
SET_UP = """
import sys, django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)
call_command("catalog", "load")
call_command("createsuperuser", interactive=False, username=sys.argv[1], email="")
call_command("projects", "create", "research")
call_command("seed_usage", rows=int(sys.argv[2]), days=40)
"""
"""Commands that anyone may run one by one; starting Python and Django for each takes seconds more."""
SEEDED_ROWS = 100_000
"""Some 500 a day: lists have further pages, charts their bars. tests/load/overview.py looks at pages over millions."""
PATIENCE_S = 20.0
"""How long a page or an element may take to be there."""


@pytest.fixture(scope="package")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A server with the catalog that ships, an administrator, forty days of usage and a project without."""
    installation = Installation(var_dir=tmp_path_factory.mktemp("browser") / "var")
    installation.var_dir.mkdir()
    _set_up(installation)
    with gateway_process.start(installation) as running:
        yield running


def _set_up(installation: Installation) -> None:
    given = {"DJANGO_SETTINGS_MODULE": "gateway.settings", "DJANGO_SUPERUSER_PASSWORD": pages.PASSWORD}
    command = [sys.executable, "-c", SET_UP, pages.ADMIN, str(SEEDED_ROWS)]
    env = installation.env | given
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=COMMAND_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    from playwright.sync_api import sync_playwright

    name = os.environ.get("CHROMIUM", "chromium")
    if not (path := shutil.which(name)):
        pytest.fail(f"There is no {name}: `apt-get install chromium`, or set CHROMIUM to the path of one.")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path, args=FLAGS) as started:
        yield started


@pytest.fixture(scope="package")
def session(browser: Browser, gateway: Gateway) -> StorageState:
    """The cookies of an administrator who signed in."""
    with browser.new_context(base_url=gateway.url) as context:
        page = context.new_page()
        pages.sign_in(page)
        page.wait_for_url("/admin/")
        return context.storage_state()


@pytest.fixture
def watch(gateway: Gateway) -> Watch:
    return Watch(home=gateway.url)


@pytest.fixture
def context(browser: Browser, gateway: Gateway, watch: Watch) -> Iterator[BrowserContext]:
    """What one visitor's pages share: an empty profile, under watch."""
    with browser.new_context(base_url=gateway.url) as visitor:
        visitor.set_default_timeout(PATIENCE_S * 1000)
        watch.over(visitor)
        yield visitor
        for page in visitor.pages:
            print(f"--- {page.url} ---\n{page.inner_text('body')}")  # as the server's log: pytest shows it on failure
            page.evaluate("new Promise(done => setTimeout(done))")  # events that are on their way come first
    print(f"--- {gateway.log.name} ---\n{gateway.log_tail()}")
    assert not watch.unforgiven(), "\n".join(watch.unforgiven())


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page of a visitor who is not signed in."""
    return context.new_page()


@pytest.fixture
def plain(browser: Browser, gateway: Gateway, session: StorageState, watch: Watch) -> Iterator[Page]:
    """An empty page of the administrator in a browser that runs no scripts."""
    with browser.new_context(base_url=gateway.url, java_script_enabled=False, storage_state=session) as visitor:
        visitor.set_default_timeout(PATIENCE_S * 1000)
        watch.over(visitor)
        yield visitor.new_page()
    assert not watch.unforgiven(), "\n".join(watch.unforgiven())


@pytest.fixture
def admin(context: BrowserContext, session: StorageState) -> Page:
    """An empty page of the administrator."""
    context.add_cookies(session["cookies"])
    return context.new_page()
