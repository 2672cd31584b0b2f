"""`GET /v1/requests/{id}` against a live server: the row of an answer just given, for those who may see it."""

from __future__ import annotations

import uuid

import httpx
import pytest

from analytics import ids
from tests.process.gateway_process import Gateway

pytestmark = pytest.mark.process

UNKNOWN_IDS = [str(ids.new()), str(uuid.uuid4()), "not-an-id", "%00", "1" * 5000]


def chat(gateway: Gateway, *, key: str = "main", stream: bool = False) -> str:
    """Asks for an answer; returns its request id."""
    body = {"model": "cheap", "messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    response = httpx.post(gateway.chat_url, headers=gateway.headers(key), json=body)
    assert response.status_code == 200
    return response.headers["X-Gateway-Request-Id"]


def look_up(gateway: Gateway, request_id: str, *, key: str = "main") -> httpx.Response:
    return httpx.get(f"{gateway.url}/v1/requests/{request_id}", headers=gateway.headers(key))


def assert_not_found(response: httpx.Response) -> None:
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_the_row_is_found_right_after_the_answer(gateway: Gateway, stream: bool) -> None:
    request_id = chat(gateway, stream=stream)
    found = look_up(gateway, request_id)
    assert found.status_code == 200
    row = found.json()
    assert (row["id"], row["object"], row["outcome"], row["status"]) == (request_id, "request", "ok", 200)
    assert (row["model"], row["layer"], row["key_name"], row["is_stream"]) == ("cheap", "L1", "main", stream)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def test_its_cost_is_what_the_answer_said(gateway: Gateway) -> None:
    body = {"model": "cheap", "messages": [{"role": "user", "content": "What does it cost?"}]}
    answer = httpx.post(gateway.chat_url, headers=gateway.headers(), json=body)
    row = look_up(gateway, answer.headers["X-Gateway-Request-Id"]).json()
    assert row["cost_usd"] == answer.headers["X-Gateway-Cost-USD"]
    assert row["cost_source"] == "price"


def test_a_failed_request_is_found_too(gateway: Gateway) -> None:
    body = {"model": "failing?status=500", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(gateway.chat_url, headers=gateway.headers(), json=body)
    row = look_up(gateway, answer.headers["X-Gateway-Request-Id"]).json()
    assert (row["outcome"], row["status"], row["error_kind"]) == ("error", answer.status_code, "server_error")


def test_another_projects_key_does_not_find_it(gateway: Gateway) -> None:
    assert_not_found(look_up(gateway, chat(gateway), key="theirs"))


def test_another_key_of_the_project_does_not_find_it(gateway: Gateway) -> None:
    assert_not_found(look_up(gateway, chat(gateway), key="colleague"))


def test_a_key_that_may_see_the_project_finds_it(gateway: Gateway) -> None:
    assert look_up(gateway, chat(gateway), key="auditor").status_code == 200


def test_a_key_without_a_usage_scope_does_not_find_even_its_own(gateway: Gateway) -> None:
    assert_not_found(look_up(gateway, chat(gateway, key="blind"), key="blind"))


@pytest.mark.parametrize("request_id", UNKNOWN_IDS, ids=["v7", "v4", "word", "nul", "long"])
def test_an_unknown_id_is_not_found(gateway: Gateway, request_id: str) -> None:
    assert_not_found(look_up(gateway, request_id))


def test_nobody_is_refused_before_anything_is_looked_up(gateway: Gateway) -> None:
    assert httpx.get(f"{gateway.url}/v1/requests/{chat(gateway)}").status_code == 401
