"""A live gateway does what its description says, whatever is sent: no failure of its own, no status, media type, header
or body that is not described, nothing taken that the description refuses.

CONTRIBUTING.md has the command of the long form, which also goes through each limit of each value, tries every method,
and asks with no key and with a wrong one.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.process import described
from tests.process.described import ALL_PHASES, Described
from tests.process.gateway_process import COMMAND_S, ROOT, Gateway, Installation

FEW, MANY = 12, 100
SLOW = ["unsupported_method", "allow_header_conformance", "ignored_auth"]
"""Checks that send requests of their own."""
FAILS_ON_PURPOSE = ["not_a_server_error"]
"""The models do, which is 502, 503 or 504. A failure of the gateway itself is none of the statuses it may have here."""
AS_A_USER = [
    ("Models", "Usage", "Signing in", "This description"),
    ("Projects",),
    ("Installation",),
    ("Old addresses",),
]


IMPORTED = """
import sys
import gateway.asgi
print([name for name in sys.modules if name.startswith(("drf_spectacular.openapi", "gateway.api.schema"))])
"""


@pytest.fixture(scope="module")
def live(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Described:
    if not described.SCHEMATHESIS.exists():
        pytest.skip(described.NOT_THERE)
    return described.prepared(gateway, folder=tmp_path_factory.mktemp("described"))


@pytest.mark.process
@pytest.mark.parametrize("tags", AS_A_USER, ids=", ".join)
def test_users_are_answered_as_it_is_described(live: Described, tags: tuple[str, ...]) -> None:
    assert live.hold(*tags, examples=FEW, without=SLOW) == ""


@pytest.mark.process
def test_so_are_chats(live: Described) -> None:
    assert live.hold("Chat", examples=FEW, by_key=True, without=[*SLOW, *FAILS_ON_PURPOSE]) == ""


@pytest.mark.process
def test_a_server_that_nobody_asks_for_the_description_holds_none_of_it(installation: Installation) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=ROOT,
        env=installation.env,
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=True,
    )
    assert done.stdout == "[]\n"


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("tags", AS_A_USER, ids=", ".join)
def test_users_are_for_long(live: Described, tags: tuple[str, ...]) -> None:
    assert live.hold(*tags, examples=MANY, phases=ALL_PHASES) == ""


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_so_are_chats_for_long(live: Described) -> None:
    told = live.hold("Chat", examples=MANY, phases=ALL_PHASES, by_key=True, without=FAILS_ON_PURPOSE)
    assert told == ""
