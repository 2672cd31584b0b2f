"""Signing in by API against a live server: tokens, their end, and the brake on guessing passwords."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation

pytestmark = pytest.mark.process

PASSWORD = "correct-horse-battery"
MAKE_ROOT = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("root", password="{PASSWORD}")
User.objects.create_superuser("guessed", password="{PASSWORD}")
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


def test_twenty_wrong_passwords_at_once_lock_out_and_neither_door_opens(client: httpx.Client, gateway: Gateway) -> None:
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: login(client, "guessed", f"wrong-{number}"), range(20)))
    codes = sorted(code_of(answer) for answer in answers)
    assert codes == [(401, "wrong_credentials")] * 5 + [(429, "too_many_attempts")] * 15

    answer = login(client, "guessed")
    assert code_of(answer) == (429, "too_many_attempts")
    assert 800 < int(answer.headers["Retry-After"]) <= 900
    assert _by_form(gateway, "guessed").status_code == 429
    assert login(client, "root").status_code == 200
    gateway.installation.command("axes_reset_username", "guessed")
    assert login(client, "guessed").status_code == 200
    told = gateway.installation.execute("SELECT target FROM analytics_auditentry WHERE action = 'login.locked'")
    assert told == [{"target": "guessed"}]


def test_nothing_of_it_is_in_the_log_or_the_database_as_it_is(client: httpx.Client, gateway: Gateway) -> None:
    pair = login(client, "root").json()
    installation: Installation = gateway.installation
    kept = installation.execute("SELECT * FROM token_blacklist_outstandingtoken")
    for secret in (PASSWORD, pair["access"], pair["refresh"]):
        assert not gateway.log_lines(secret)
        assert secret not in str(kept)


def test_two_servers_share_the_count_and_look_at_one_each_beyond_it(installation: Installation) -> None:
    installation.command("shell", "--verbosity", "0", "-c", MAKE_ROOT)
    with gateway_process.start(installation) as one, gateway_process.start(installation) as other:
        urls = [f"{server.url}/v1" for server in (one, other)]
        with ThreadPoolExecutor(20) as pool, httpx.Client(timeout=30) as client:
            tries = [pool.submit(_login_at, client, urls[number % 2]) for number in range(20)]
            codes = [code_of(each.result()) for each in tries]
    assert 5 <= codes.count((401, "wrong_credentials")) <= 6
    assert codes.count((401, "wrong_credentials")) + codes.count((429, "too_many_attempts")) == 20


def _login_at(client: httpx.Client, url: str) -> httpx.Response:
    return client.post(f"{url}/auth/login", json={"username": "guessed", "password": "wrong"})


def _by_form(gateway: Gateway, name: str) -> httpx.Response:
    with httpx.Client(base_url=gateway.url, timeout=30) as browser:
        browser.get("/admin/login/")
        fields = {"username": name, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        return browser.post("/admin/login/", data=fields)
