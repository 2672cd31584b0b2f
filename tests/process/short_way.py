"""What the tests of the short way share: a gateway with narrow limits and one allowed origin, and requests by hand."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.process import raw_http
from tests.process.gateway_process import Gateway
from tests.process.raw_http import Received
from tests.upstream.log import SeenRequest
from tests.upstream.process import RunningUpstream

CHAT = "/v1/chat/completions"
MAX_BODY_BYTES = 256 * 1024
BODY_READ_TIMEOUT_S = 0.5
ORIGIN = "https://app.example"
SOON_S = 2.0
"""How soon a client's leaving is known everywhere."""
ENV = {
    "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
    "BODY_READ_TIMEOUT_S": str(BODY_READ_TIMEOUT_S),
    "CORS_ALLOWED_ORIGINS": ORIGIN,
}
"""The settings of the gateway under test."""


def new_nonce() -> str:
    return uuid.uuid4().hex


def chat_body(text: str = "Hello", *, script: str = "", **fields: Any) -> bytes:
    content = f"#!{script}\n{text}" if script else text
    return json.dumps({"model": "cheap", "messages": [{"role": "user", "content": content}], **fields}).encode()


def ask(gateway: Gateway, body: bytes, **headers: str) -> Received:
    return raw_http.send(gateway.port, raw_http.post(CHAT, gateway.headers() | headers, body))


def request_with(gateway: Gateway, nonce: str, body: bytes) -> bytes:
    return raw_http.post(CHAT, gateway.headers() | {"X-Session-Id": nonce}, body)


def preflight(origin: str) -> bytes:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return raw_http.head("OPTIONS", CHAT, headers)


def assert_still_fine(gateway: Gateway) -> None:
    assert ask(gateway, chat_body()).status == 200


def seen(upstream: RunningUpstream, nonce: str) -> list[SeenRequest]:
    return [request for request in upstream.requests() if nonce in (request.body or "")]
