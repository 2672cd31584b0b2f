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


@pytest.mark.parametrize(
    ("model", "key", "kind"),
    [
        ("failing?status=500", "main", "server_error"),
        ("limited?status=429;retry_after=7", "main", "rate_limited"),
        ("refusing", "main", "rejected"),
        ("silent?stall=headers", "main", "timeout"),
        ("auto", "fenced", "nothing_to_try"),
    ],
)
def test_a_failed_requests_row_has_the_status_the_client_got(gateway: Gateway, model: str, key: str, kind: str) -> None:
    """A model called `refusing` does not exist: the prompt makes `cheap` refuse. The fenced key may not use L3."""
    prompt = "#!status=422\nHello" if model == "refusing" else "Hello"
    answer = httpx.post(
        gateway.chat_url,
        headers={
            **gateway.headers(key),
            "X-Session-Id": (nonce := uuid.uuid4().hex),
            "X-Gateway-Timeout-Ms": "500",
            **({"X-Gateway-Layer": "=L3"} if key == "fenced" else {}),
        },
        json={"model": "cheap" if model == "refusing" else model, "messages": [{"role": "user", "content": prompt}]},
    )
    assert answer.status_code >= 400
    row = gateway.installation.row_of(nonce)
    assert (row.outcome, row.error_kind, row.status) == ("error", kind, answer.status_code)


def test_models_the_key_may_not_use_are_counted_and_named_in_no_answer(gateway: Gateway) -> None:
    headers = {**gateway.headers("fenced"), "X-Gateway-Layer": "=L3"}
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}
    refused = httpx.post(gateway.chat_url, headers=headers, json=body)
    assert (refused.status_code, refused.json()["error"]["gateway"]["dropped_not_allowed"]) == (403, 3)
    row = look_up(gateway, refused.json()["error"]["gateway"]["request_id"], key="fenced")
    assert row.json()["decision"]["dropped_not_allowed"] == 3
    for answer in (refused, row):
        assert not any(name in answer.text for name in ("premium", "hangs-up", "down?"))


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
