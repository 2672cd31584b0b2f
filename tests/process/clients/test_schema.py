"""What the gateway composes itself, held to OpenAI's published schema: translated answers, errors, lists of models."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.process.clients.rows import BREAKS, LIMITED, MESSAGES, MODEL
from tests.process.gateway_process import Gateway
from tests.wire import spec

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(
        not os.environ.get("OPENAI_SPEC"),
        reason="OPENAI_SPEC is unset: it names a file with OpenAI's OpenAPI specification, as JSON",
    ),
]

HELLO = {"model": f"{MESSAGES}/{MODEL}", "messages": [{"role": "user", "content": "Hello"}]}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("look_up", "add_up")
]
CLOSED = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}


def says(script: str, **fields: Any) -> dict[str, Any]:
    """A request whose answer follows the script."""
    return HELLO | {"messages": [{"role": "user", "content": f"#!{script}\nHello"}]} | fields


ANSWERS = {
    "text": HELLO,
    "thinking": says("reasoning=Hm.", reasoning_effort="high", max_tokens=2048),
    "a refusal": says("refusal=No."),
    "the limit": HELLO | {"max_tokens": 1},
    "cached tokens": says("cached=5;cache_write=3"),
    "parallel calls": HELLO
    | {"tools": TOOLS, "messages": [{"role": "user", "content": "Please look_up and add_up this."}]},
    "a schema": HELLO
    | {"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": CLOSED}}},
}
ERRORS: dict[str, tuple[int, dict[str, Any]]] = {
    "no messages": (400, {"model": MODEL}),
    "a wrong type": (400, HELLO | {"messages": "Hello"}),
    "an unknown model": (404, HELLO | {"model": "nobody/nothing"}),
    "what a dialect lacks": (400, HELLO | {"n": 2}),
    "a vendor's refusal": (400, HELLO | {"thinking": {"type": "enabled", "budget_tokens": 1}}),
    "a limited vendor": (429, HELLO | {"model": f"{MESSAGES}/{LIMITED}"}),
    "a broken vendor": (502, says("status=500")),
    "a vendor that refuses the key": (502, says("status=401")),
}


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, headers=gateway.headers(), timeout=30, trust_env=False) as opened:
        yield opened


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_a_translated_answer_is_valid(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert spec.errors("CreateChatCompletionResponse", answer.json()) == []


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_so_is_each_chunk_of_a_translated_stream(client: httpx.Client, body: dict[str, Any]) -> None:
    chunks = _events(client, body | {"stream": True, "stream_options": {"include_usage": True}})
    assert len(chunks) > 2
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert [spec.errors("CreateChatCompletionStreamResponse", chunk) for chunk in chunks] == [[]] * len(chunks)


@pytest.mark.parametrize(("status", "body"), ERRORS.values(), ids=ERRORS)
def test_an_error_is_valid(client: httpx.Client, status: int, body: dict[str, Any]) -> None:
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == status, answer.text
    assert spec.errors("ErrorResponse", answer.json()) == []


def test_so_is_one_amid_a_stream(client: httpx.Client) -> None:
    *_, last = _events(client, HELLO | {"model": f"{MESSAGES}/{BREAKS}", "stream": True})
    assert spec.errors("ErrorResponse", last) == []


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/models", {"Authorization": ""}, 401),
        ("GET", "/v1/models", {"Authorization": "Bearer agw_nobody"}, 401),
        ("POST", "/v1/chat/completions", {"Authorization": "Bearer agw_nobody"}, 401),
        ("GET", "/v1/models/nothing", {}, 404),
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/v1/chat/completions", {}, 405),
        ("POST", "/v1/models", {}, 403),
        ("POST", "/v1/models/layers", {}, 405),
    ],
)
def test_so_is_every_other(client: httpx.Client, method: str, path: str, headers: dict[str, str], status: int) -> None:
    answer = client.request(method, path, headers=headers)
    assert answer.status_code == status, answer.text
    assert spec.errors("ErrorResponse", answer.json()) == []


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_was_left_out_is_told_before_the_answer(client: httpx.Client, is_stream: bool) -> None:
    answer = client.post("/v1/chat/completions", json=HELLO | {"seed": 5, "stream": is_stream})
    assert answer.headers["X-Gateway-Warnings"] == "seed is not sent to Anthropic"


def test_the_list_of_models_is_valid(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()
    assert spec.errors("ListModelsResponse", listed) == []
    one = client.get("/v1/models/" + quote(listed["data"][0]["id"])).json()
    assert spec.errors("Model", one) == []


def _events(client: httpx.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    payloads = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(payload) for payload in payloads if payload != "[DONE]"]
