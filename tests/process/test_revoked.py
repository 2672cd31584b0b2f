"""A configuration change made by plain SQL, past the application, is in force in every process within two seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.process import gateway_process
from tests.process.gateway_process import NO_TLS, Gateway, Installation, eventually

pytestmark = pytest.mark.process

IN_FORCE_S = 2.0
KEYS = "analytics_apikey"
MODELS = "providers_model"


@pytest.fixture(scope="module")
def pair(installed: Installation) -> Iterator[list[Gateway]]:
    """Two servers over the same var folder and database."""
    with ExitStack() as stack:
        yield [stack.enter_context(gateway_process.start(installed)) for _ in range(2)]


def statuses(pair: list[Gateway], key: str) -> list[int]:
    """What both servers answer to a chat with this key."""
    body = {"model": "cheap", "messages": [{"role": "user", "content": "Hello"}]}
    return [
        httpx.post(gateway.chat_url, headers=gateway.headers(key), json=body, verify=NO_TLS).status_code
        for gateway in pair
    ]


def codes(pair: list[Gateway], key: str) -> list[str | None]:
    """Of the errors with which both servers answer a chat with this key; None where it is answered."""
    body = {"model": "cheap", "messages": [{"role": "user", "content": "Hello"}]}
    answers = [
        httpx.post(gateway.chat_url, headers=gateway.headers(key), json=body, verify=NO_TLS).json() for gateway in pair
    ]
    return [answer.get("error", {}).get("code") for answer in answers]


def listed(pair: list[Gateway]) -> list[set[str]]:
    """The models that both servers list."""
    answers = [
        httpx.get(f"{gateway.url}/v1/models", headers=gateway.headers(), verify=NO_TLS).json() for gateway in pair
    ]
    return [{model["id"] for model in answer["data"]} for answer in answers]


def in_force(look: Callable[[], bool], *, what: str) -> None:
    began = time.monotonic()
    eventually(look, what=what, within_s=IN_FORCE_S)
    print(f"{what} after {time.monotonic() - began:.2f} s")


def test_a_key_that_is_switched_off_is_refused_by_both(installed: Installation, pair: list[Gateway]) -> None:
    assert statuses(pair, "to_revoke") == [200, 200]
    installed.execute(f"UPDATE {KEYS} SET enabled = false WHERE name = 'to_revoke'")
    in_force(lambda: statuses(pair, "to_revoke") == [401, 401], what="refused")
    assert statuses(pair, "main") == [200, 200]
    installed.execute(f"UPDATE {KEYS} SET enabled = true WHERE name = 'to_revoke'")
    in_force(lambda: statuses(pair, "to_revoke") == [200, 200], what="welcome again")


def test_a_key_that_is_deleted_is_refused_and_one_that_is_inserted_is_welcome(
    installed: Installation, pair: list[Gateway]
) -> None:
    """The row is kept aside: put back it is a new key to everyone."""
    assert statuses(pair, "to_delete") == [200, 200]
    installed.execute(f"CREATE TABLE aside AS SELECT * FROM {KEYS} WHERE name = 'to_delete'")
    installed.execute(f"DELETE FROM {KEYS} WHERE name = 'to_delete'")
    in_force(lambda: statuses(pair, "to_delete") == [401, 401], what="refused")
    installed.execute(f"INSERT INTO {KEYS} SELECT * FROM aside")
    in_force(lambda: statuses(pair, "to_delete") == [200, 200], what="welcome")
    installed.execute("DROP TABLE aside")


def test_a_key_whose_project_is_switched_off_is_refused(installed: Installation, pair: list[Gateway]) -> None:
    assert statuses(pair, "theirs") == [200, 200]
    installed.execute("UPDATE analytics_project SET enabled = false WHERE slug = 'theirs'")
    in_force(lambda: statuses(pair, "theirs") == [401, 401], what="refused")
    assert statuses(pair, "main") == [200, 200]
    installed.execute("UPDATE analytics_project SET enabled = true WHERE slug = 'theirs'")
    in_force(lambda: statuses(pair, "theirs") == [200, 200], what="welcome again")


def test_a_key_whose_rights_are_cut_is_refused(installed: Installation, pair: list[Gateway]) -> None:
    assert statuses(pair, "colleague") == [200, 200]
    installed.execute(f"UPDATE {KEYS} SET scopes = '[\"usage:own\"]' WHERE name = 'colleague'")
    in_force(lambda: statuses(pair, "colleague") == [403, 403], what="refused")
    installed.execute(f"UPDATE {KEYS} SET scopes = '[\"chat\", \"usage:own\"]' WHERE name = 'colleague'")
    in_force(lambda: statuses(pair, "colleague") == [200, 200], what="welcome again")


def test_a_key_that_is_rotated_works_under_both_until_the_grace_period_ends(
    installed: Installation, pair: list[Gateway]
) -> None:
    """Its new key is the one that another row was made with. It may not chat, which shows whose key is whose."""
    installed.execute_all(
        f"CREATE TABLE aside AS SELECT prefix, key_hash FROM {KEYS} WHERE name = 'spare'",
        f"DELETE FROM {KEYS} WHERE name = 'spare'",
        f"UPDATE {KEYS} SET previous_prefix = prefix, previous_hash = key_hash, "
        "previous_until = '2099-01-01 00:00:00Z', prefix = (SELECT prefix FROM aside), "
        "key_hash = (SELECT key_hash FROM aside), allowed_endpoints = '[\"/v1/models\"]' WHERE name = 'to_rotate'",
        "DROP TABLE aside",
    )
    refused = ["endpoint_not_allowed"] * 2
    in_force(lambda: codes(pair, "to_rotate") == codes(pair, "spare") == refused, what="both known, neither may chat")
    installed.execute(f"UPDATE {KEYS} SET allowed_endpoints = '[]' WHERE name = 'to_rotate'")
    in_force(lambda: codes(pair, "to_rotate") == codes(pair, "spare") == [None, None], what="both welcome")
    installed.execute(f"UPDATE {KEYS} SET previous_until = '2026-01-01 00:00:00Z' WHERE name = 'to_rotate'")
    in_force(lambda: codes(pair, "to_rotate") == ["api_key_expired"] * 2, what="the old one refused")
    assert codes(pair, "spare") == [None, None]


def test_a_key_is_held_to_its_networks_and_ends_when_it_expires(installed: Installation, pair: list[Gateway]) -> None:
    assert codes(pair, "to_confine") == [None, None]
    installed.execute(f"UPDATE {KEYS} SET allowed_networks = '[\"192.0.2.0/24\"]' WHERE name = 'to_confine'")
    in_force(lambda: codes(pair, "to_confine") == ["address_not_allowed"] * 2, what="refused from here")
    installed.execute(f"UPDATE {KEYS} SET allowed_networks = '[\"127.0.0.0/8\"]' WHERE name = 'to_confine'")
    in_force(lambda: codes(pair, "to_confine") == [None, None], what="welcome from here")
    installed.execute(f"UPDATE {KEYS} SET expires_at = '2026-01-01 00:00:00Z' WHERE name = 'to_confine'")
    in_force(lambda: codes(pair, "to_confine") == ["api_key_expired"] * 2, what="expired")


def test_a_model_that_is_switched_off_is_no_longer_listed(installed: Installation, pair: list[Gateway]) -> None:
    assert all("premium" in models for models in listed(pair))
    installed.execute(f"UPDATE {MODELS} SET enabled = false WHERE name = 'premium'")
    in_force(lambda: not any("premium" in models for models in listed(pair)), what="gone")
    installed.execute(f"UPDATE {MODELS} SET enabled = true WHERE name = 'premium'")
    in_force(lambda: all("premium" in models for models in listed(pair)), what="back")


def test_a_change_that_is_rolled_back_is_never_in_force(installed: Installation, pair: list[Gateway]) -> None:
    """Both servers load twice meanwhile: a later change is seen, the other is not."""
    with pytest.raises(Exception, match="no_such_table"):
        installed.execute_all(
            f"UPDATE {KEYS} SET enabled = false WHERE name = 'main'",
            "SELECT * FROM no_such_table",
        )
    installed.execute(f"UPDATE {MODELS} SET enabled = false WHERE name = 'free'")
    in_force(lambda: not any("free" in models for models in listed(pair)), what="gone")
    assert statuses(pair, "main") == [200, 200]
    installed.execute(f"UPDATE {MODELS} SET enabled = true WHERE name = 'free'")
    in_force(lambda: all("free" in models for models in listed(pair)), what="back")
