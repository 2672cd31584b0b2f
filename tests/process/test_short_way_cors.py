"""The short way's CORS headers, over real sockets: on answers, on errors and on preflights alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.process import raw_http
from tests.process.gateway_process import Gateway
from tests.process.raw_http import Received
from tests.process.short_way import CHAT, ENV, MAX_BODY_BYTES, ORIGIN, ask, chat_body, preflight

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return ENV


class TestCors:
    def test_a_preflight_is_allowed(self, gateway: Gateway) -> None:
        received = raw_http.send(gateway.port, preflight(ORIGIN), method="OPTIONS")
        assert received.status == 200
        assert received.headers["Access-Control-Allow-Origin"] == ORIGIN
        allowed = received.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "content-type", "x-gateway-layer", "x-session-id"} <= set(allowed)
        assert "POST" in received.headers["Access-Control-Allow-Methods"]

    def test_another_origins_preflight_is_not(self, gateway: Gateway) -> None:
        received = raw_http.send(gateway.port, preflight("https://evil.example"), method="OPTIONS")
        assert "Access-Control-Allow-Origin" not in received.headers

    @pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
    def test_an_answer_may_be_read_with_its_headers(self, gateway: Gateway, stream: bool) -> None:
        received = ask(gateway, chat_body(stream=stream), Origin=ORIGIN)
        assert received.status == 200
        assert_readable(received)

    @pytest.mark.parametrize(
        ("status", "request_of"),
        [
            (401, lambda gateway: raw_http.post(CHAT, {"Origin": ORIGIN}, chat_body())),
            (400, lambda gateway: raw_http.post(CHAT, gateway.headers() | {"Origin": ORIGIN}, b"{")),
            (404, lambda gateway: raw_http.post(CHAT, gateway.headers() | {"Origin": ORIGIN}, chat_body(model="no"))),
            (405, lambda gateway: raw_http.head("GET", CHAT, gateway.headers() | {"Origin": ORIGIN})),
            (408, lambda gateway: raw_http.post(CHAT, gateway.headers() | {"Origin": ORIGIN}, chat_body())[:-1]),
            (413, lambda gateway: raw_http.post(CHAT, {"Origin": ORIGIN}, b" " * (MAX_BODY_BYTES + 1))),
        ],
        ids=[401, 400, 404, 405, 408, 413],
    )
    def test_an_error_may_be_read_too(
        self, gateway: Gateway, status: int, request_of: Callable[[Gateway], bytes]
    ) -> None:
        received = raw_http.send(gateway.port, request_of(gateway))
        assert received.status == status
        assert_readable(received)

    def test_another_origin_may_read_nothing(self, gateway: Gateway) -> None:
        received = ask(gateway, chat_body(), Origin="https://evil.example")
        assert "Access-Control-Allow-Origin" not in received.headers

    def test_caches_are_told_that_answers_differ_by_origin(self, gateway: Gateway) -> None:
        assert "origin" in ask(gateway, chat_body(), Origin=ORIGIN).headers["Vary"].lower()


def assert_readable(received: Received) -> None:
    assert received.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = received.headers["Access-Control-Expose-Headers"].lower().split(", ")
    assert {"x-gateway-request-id", "x-gateway-cost-usd", "retry-after"} <= set(exposed)
