"""The contract of the short way, over real sockets: what it owes because it skips Django's handler.

Here: ids and log lines, methods and paths, connections. Clients that leave, bodies and CORS have files of their own.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import time
import uuid
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest

from tests.process import raw_http
from tests.process.gateway_process import Gateway, eventually
from tests.process.short_way import (
    CHAT,
    ENV,
    MAX_BODY_BYTES,
    ORIGIN,
    ask,
    assert_still_fine,
    chat_body,
    new_nonce,
    preflight,
    request_with,
    seen,
)
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return ENV


class TestIdAndLogLine:
    """Every answer has its request id, whatever it is, and the log one line with it."""

    @pytest.mark.parametrize(
        ("status", "request_of"),
        [
            (200, lambda gateway: raw_http.post(CHAT, gateway.headers(), chat_body())),
            (200, lambda gateway: raw_http.post(CHAT, gateway.headers(), chat_body(stream=True))),
            (200, lambda gateway: raw_http.head("GET", "/health", {})),
            (200, lambda gateway: preflight(ORIGIN)),
            (401, lambda gateway: raw_http.post(CHAT, {}, chat_body())),
            (400, lambda gateway: raw_http.post(CHAT, gateway.headers(), b"{")),
            (404, lambda gateway: raw_http.post(CHAT, gateway.headers(), chat_body(model="no"))),
            (405, lambda gateway: raw_http.head("GET", CHAT, gateway.headers())),
            (408, lambda gateway: raw_http.post(CHAT, gateway.headers(), chat_body())[:-1]),
            (413, lambda gateway: raw_http.post(CHAT, {}, b" " * (MAX_BODY_BYTES + 1))),
            (502, lambda gateway: raw_http.post(CHAT, gateway.headers(), chat_body(model="failing?status=500"))),
        ],
        ids=["json", "stream", "health", "preflight", 401, 400, 404, 405, 408, 413, 502],
    )
    def test_an_answer_has_both(self, gateway: Gateway, status: int, request_of: Callable[[Gateway], bytes]) -> None:
        request = request_of(gateway)
        received = raw_http.send(gateway.port, request, method=request.split(b" ", 1)[0].decode())
        assert received.status == status
        request_id = uuid.UUID(received.headers["X-Gateway-Request-Id"])
        assert request_id.version == 7
        method, path = request.split(b" ")[:2]
        lines = eventually(lambda: gateway.log_lines(str(request_id)), what="the log line")
        assert len(lines) == 1
        assert re.search(rf'"{method.decode()} {path.decode()}" {status} \d+\.\d ms$', lines[0]), lines

    def test_a_row_is_found_under_the_id_of_its_answer(self, gateway: Gateway) -> None:
        nonce = new_nonce()
        received = ask(gateway, chat_body(), **{"X-Session-Id": nonce})
        assert str(gateway.installation.row_of(nonce).id) == received.headers["X-Gateway-Request-Id"]

    def test_a_client_that_left_has_a_line_as_well(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="stall=headers")))
            eventually(lambda: seen(upstream, nonce), what="the upstream's call")
        row = gateway.installation.row_of(nonce)
        [line] = gateway.log_lines(str(row.id))
        assert '" 499 ' in line

    def test_no_prompt_reaches_the_log(self, gateway: Gateway) -> None:
        nonce = new_nonce()
        for script in ("ok", "status=422", "status=500"):
            ask(gateway, chat_body(f"secret {nonce}", script=script))
        assert gateway.log_lines(nonce) == []


class TestMethodsAndPaths:
    @pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD"])
    def test_another_method_is_refused_with_the_allowed_ones(self, gateway: Gateway, method: str) -> None:
        received = raw_http.send(gateway.port, raw_http.head(method, CHAT, gateway.headers()), method=method)
        assert received.status == 405
        assert "POST" in received.headers["Allow"]
        assert method == "HEAD" or received.error["type"] == "invalid_request_error"

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_health_answers(self, gateway: Gateway, method: str) -> None:
        received = raw_http.send(gateway.port, raw_http.head(method, "/health", {}), method=method)
        assert (received.status, received.headers["Content-Type"]) == (200, "application/json")
        assert received.body == (b"" if method == "HEAD" else b'{"status":"ok"}')

    @pytest.mark.parametrize("path", [CHAT, "/health"])
    def test_options_without_a_preflight_is_harmless(self, gateway: Gateway, path: str) -> None:
        received = raw_http.send(gateway.port, raw_http.head("OPTIONS", path, gateway.headers()), method="OPTIONS")
        assert received.status in (200, 204, 405), received.body
        assert "Allow" in received.headers
        assert_still_fine(gateway)

    @pytest.mark.parametrize("path", ["/v1/nowhere", "/v1/chat/completions/", "/v1/chat", "/v1/", "/v1/%FF%00"])
    def test_an_unknown_path_below_v1_is_an_error_object(self, gateway: Gateway, path: str) -> None:
        received = raw_http.send(gateway.port, raw_http.post(path, gateway.headers(), chat_body()))
        assert (received.status, received.error["code"]) == (404, "not_found")

    @pytest.mark.parametrize("path", [f"{CHAT}?api-version=2026-01-01", "/v1/chat%2Fcompletions"])
    def test_a_path_with_a_query_or_escapes_is_the_same(self, gateway: Gateway, path: str) -> None:
        received = raw_http.send(gateway.port, raw_http.post(path, gateway.headers(), chat_body()))
        assert received.status == 200


class TestConnections:
    def test_three_requests_use_one_connection(self, gateway: Gateway) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=raw_http.TIMEOUT_S)) as connection:
            places = set()
            for stream in (False, True, False):
                connection.request("POST", CHAT, body=chat_body(stream=stream), headers=gateway.headers())
                response = connection.getresponse()
                assert response.status == 200
                response.read()
                assert connection.sock is not None
                places.add(connection.sock.getsockname())
        assert len(places) == 1

    def test_an_error_keeps_the_connection(self, gateway: Gateway) -> None:
        with raw_http.connected(gateway.port) as connection:
            for body, status in [(b"{", 400), (chat_body(), 200), (chat_body(model="no"), 404), (chat_body(), 200)]:
                connection.sendall(raw_http.post(CHAT, gateway.headers(), body))
                assert raw_http.receive(connection).status == status

    def test_pipelined_requests_are_answered_in_their_order(self, gateway: Gateway) -> None:
        bodies = [chat_body("first", script="delay_ms=200"), chat_body("second", stream=True), chat_body("third")]
        closing_headers = gateway.headers() | {"Connection": "close"}
        with raw_http.connected(gateway.port) as connection:
            requests = [raw_http.post(CHAT, gateway.headers(), body) for body in bodies[:2]]
            connection.sendall(b"".join([*requests, raw_http.post(CHAT, closing_headers, bodies[2])]))
            with connection.makefile("rb") as file:
                received = file.read()
        assert received.count(b"HTTP/1.1 200 OK") == 3
        places = [received.find(word) for word in (b"first", b"second", b"third")]
        assert -1 not in places
        assert places == sorted(places)

    def test_a_client_may_wait_to_be_told_to_continue(self, gateway: Gateway) -> None:
        body = chat_body()
        headers = gateway.headers() | {"Content-Length": str(len(body)), "Expect": "100-continue"}
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.head("POST", CHAT, headers))
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue")
            connection.sendall(body)
            assert raw_http.receive(connection).status == 200

    async def test_a_slow_request_holds_up_nobody(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(headers=gateway.headers(), limits=limits, timeout=20) as client:
            slow = asyncio.create_task(client.post(gateway.chat_url, content=chat_body(nonce, script="delay_ms=5000")))
            await asyncio.to_thread(eventually, lambda: seen(upstream, nonce), what="the upstream's call")
            quick = await asyncio.gather(*(client.post(gateway.chat_url, content=chat_body()) for _ in range(100)))
            assert not slow.done()
            slow.cancel()
        assert [response.status_code for response in quick] == [200] * 100

    async def test_a_hundred_slow_requests_take_as_long_as_one(self, gateway: Gateway) -> None:
        limits = httpx.Limits(max_connections=None)
        body = chat_body(script="delay_ms=1000")
        async with httpx.AsyncClient(headers=gateway.headers(), limits=limits, timeout=20) as client:
            began = time.monotonic()
            answers = await asyncio.gather(*(client.post(gateway.chat_url, content=body) for _ in range(100)))
            took_s = time.monotonic() - began
        assert [response.status_code for response in answers] == [200] * 100
        assert took_s < 10
