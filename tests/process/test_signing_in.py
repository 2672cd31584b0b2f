"""Signing in by API against a live server: tokens and their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.process.gateway_process import Gateway, Installation

pytestmark = pytest.mark.process

PASSWORD = "correct-horse-battery"
MAKE_ROOT = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("root", password="{PASSWORD}")
"""


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    gateway.installation.command("shell", "--verbosity", "0", "-c", MAKE_ROOT)
    with httpx.Client(base_url=f"{gateway.url}/v1", timeout=30) as client:
        yield client


def login(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    return client.post("/auth/login", json={"username": name, "password": password})


def keys_of(client: httpx.Client, token: str) -> httpx.Response:
    return client.get("/admin/keys", headers={"Authorization": f"Bearer {token}"})


def code_of(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_token_is_got_used_renewed_and_ended(client: httpx.Client, gateway: Gateway) -> None:
    pair = login(client, "root").json()
    assert keys_of(client, pair["access"]).status_code == 200
    made = client.post("/admin/keys", json={"name": "made"}, headers={"Authorization": f"Bearer {pair['access']}"})
    assert made.status_code == 201
    (entry,) = gateway.installation.execute(
        "SELECT actor, address FROM analytics_auditentry WHERE target LIKE '%made%'"
    )
    assert entry == {"actor": "root", "address": "127.0.0.1"}

    fresh = client.post("/auth/refresh", json={"refresh": pair["refresh"]}).json()
    assert keys_of(client, fresh["access"]).status_code == 200
    assert code_of(client.post("/auth/refresh", json={"refresh": pair["refresh"]})) == (401, "token_reused")
    assert code_of(client.post("/auth/refresh", json={"refresh": fresh["refresh"]})) == (401, "token_reused")

    other = login(client, "root").json()
    assert client.post("/auth/logout", json={"refresh": other["refresh"]}).status_code == 200
    assert code_of(client.post("/auth/verify", json={"token": other["refresh"]})) == (401, "token_reused")


def test_a_key_or_token_is_told_apart_where_keys_alone_will_do(client: httpx.Client, gateway: Gateway) -> None:
    token = login(client, "root").json()["access"]
    answer = httpx.post(gateway.chat_url, json={}, headers={"Authorization": f"Bearer {token}"})
    assert code_of(answer) == (401, "api_key_required")
    assert client.get("/auth/status", headers=gateway.headers()).json()["by"] == "api_key"


def test_nothing_of_it_is_in_the_log_or_the_database_as_it_is(client: httpx.Client, gateway: Gateway) -> None:
    pair = login(client, "root").json()
    installation: Installation = gateway.installation
    kept = installation.execute("SELECT * FROM token_blacklist_outstandingtoken")
    for secret in (PASSWORD, pair["access"], pair["refresh"]):
        assert not gateway.log_lines(secret)
        assert secret not in str(kept)
