"""The contract of the short way, point by point, over real sockets: what it owes because it skips Django's handler."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.process import raw_http
from tests.process.gateway_process import Gateway, eventually
from tests.process.raw_http import Received
from tests.upstream.log import Ending, SeenRequest
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

CHAT = "/v1/chat/completions"
MAX_BODY_BYTES = 256 * 1024
BODY_READ_TIMEOUT_S = 0.5
ORIGIN = "https://app.example"
SOON_S = 2.0
"""How soon a client's leaving is known everywhere."""


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return {
        "MAX_BODY_BYTES": str(MAX_BODY_BYTES),
        "BODY_READ_TIMEOUT_S": str(BODY_READ_TIMEOUT_S),
        "CORS_ALLOWED_ORIGINS": ORIGIN,
    }


def new_nonce() -> str:
    return uuid.uuid4().hex


def chat_body(text: str = "Hello", *, script: str = "", **fields: Any) -> bytes:
    content = f"#!{script}\n{text}" if script else text
    return json.dumps({"model": "cheap", "messages": [{"role": "user", "content": content}], **fields}).encode()


def ask(gateway: Gateway, body: bytes, **headers: str) -> Received:
    return raw_http.send(gateway.port, raw_http.post(CHAT, gateway.headers() | headers, body))


def assert_still_fine(gateway: Gateway) -> None:
    assert ask(gateway, chat_body()).status == 200


def seen(upstream: RunningUpstream, nonce: str) -> list[SeenRequest]:
    return [request for request in upstream.requests() if nonce in (request.body or "")]


class TestAClientThatLeaves:
    """Closes its socket once the upstream is at work: the upstream's call is cut and the row is settled."""

    @pytest.fixture(
        params=[
            ("delay_ms=20000", False),
            ("stall=headers", False),
            ("stall=mid", False),
            ("stall=headers", True),
            ("stall=first", True),
        ],
        ids=["json_delayed", "json_without_headers", "json_half", "stream_without_headers", "stream_without_content"],
    )
    def silent(self, request: pytest.FixtureRequest) -> tuple[str, bool]:
        """A script that answers nothing for long, and whether it is asked for a stream."""
        script, stream = request.param
        return script, stream

    def test_while_nothing_has_been_answered(
        self, gateway: Gateway, upstream: RunningUpstream, silent: tuple[str, bool]
    ) -> None:
        nonce, (script, stream) = new_nonce(), silent
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, chat_body(nonce, script=script, stream=stream)))
            eventually(lambda: seen(upstream, nonce), what="the upstream's call")
        assert_cancelled(gateway, upstream, nonce)

    def test_in_the_middle_of_a_stream(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        body = chat_body(nonce, script="chunks=400;delay_ms=50", stream=True)
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, body))
            read_until(connection, b'"content":"w0"')
        assert_cancelled(gateway, upstream, nonce)

    def test_by_a_reset_in_the_middle_of_a_stream(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        body = chat_body(nonce, script="chunks=400;delay_ms=50", stream=True)
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, body))
            read_until(connection, b'"content":"w0"')
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert_cancelled(gateway, upstream, nonce)

    def test_after_a_large_request(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        """Larger than what the server reads before the application asks for it."""
        nonce = new_nonce()
        body = chat_body(nonce + " " + "x" * 200_000, script="stall=headers")
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, body))
            eventually(lambda: seen(upstream, nonce), what="the upstream's call")
        assert_cancelled(gateway, upstream, nonce)

    def test_before_the_end_of_its_own_request(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        body = chat_body(nonce)
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, body)[:-10])
        assert_still_fine(gateway)
        assert seen(upstream, nonce) == []
        assert gateway.installation.rows(f"session = '{nonce}'") == []

    def test_between_two_requests(self, gateway: Gateway) -> None:
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.post(CHAT, gateway.headers(), chat_body()))
            assert raw_http.receive(connection).status == 200
        assert_still_fine(gateway)


def request_with(gateway: Gateway, nonce: str, body: bytes) -> bytes:
    return raw_http.post(CHAT, gateway.headers() | {"X-Session-Id": nonce}, body)


def read_until(connection: socket.socket, text: bytes) -> None:
    received = b""
    while text not in received:
        more = connection.recv(65536)
        assert more, received
        received += more


def assert_cancelled(gateway: Gateway, upstream: RunningUpstream, nonce: str) -> None:
    """The upstream saw its client leave, and the one row says why."""
    until = time.monotonic() + SOON_S
    [request] = seen(upstream, nonce)
    assert upstream.end_of(request, within_s=SOON_S).how is Ending.CLIENT_LEFT
    row = gateway.installation.row_of(nonce, within_s=until - time.monotonic())
    assert (row.outcome, row.status) == ("cancelled", 499)
    assert len(row.trail) == row.attempts == 1


class TestTheBody:
    def test_a_declared_length_beyond_the_limit_is_refused_unread(self, gateway: Gateway) -> None:
        headers = gateway.headers() | {"Content-Length": str(MAX_BODY_BYTES + 1)}
        received = raw_http.send(gateway.port, raw_http.head("POST", CHAT, headers))
        assert (received.status, received.error["code"]) == (413, "request_too_large")
        assert received.headers["Connection"] == "close"
        assert_still_fine(gateway)

    @pytest.mark.parametrize("megabytes", [1, 32])
    def test_a_client_that_sends_too_much_without_looking_gets_its_answer(
        self, gateway: Gateway, megabytes: int
    ) -> None:
        """As every client library does: it sends all it has before it reads. A reset in between would be no answer."""
        response = httpx.post(gateway.chat_url, headers=gateway.headers(), content=b" " * megabytes * 1024 * 1024)
        assert response.status_code == 413

    def test_a_body_without_a_length_is_refused_when_it_passes_the_limit(self, gateway: Gateway) -> None:
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.head("POST", CHAT, gateway.headers() | {"Transfer-Encoding": "chunked"}))
            piece = b"x" * 64 * 1024
            for _ in range(MAX_BODY_BYTES // len(piece)):
                connection.sendall(chunk(piece))
            connection.sendall(chunk(b"x"))  # one byte too many, and no end of the body
            received = raw_http.receive(connection)
        assert (received.status, received.error["code"]) == (413, "request_too_large")
        assert_still_fine(gateway)

    def test_a_body_just_within_the_limit_is_answered(self, gateway: Gateway) -> None:
        filling = MAX_BODY_BYTES - len(chat_body(""))
        assert ask(gateway, chat_body("x" * filling)).status == 200
        assert ask(gateway, chat_body("x" * (filling + 1))).status == 413

    def test_a_chunked_body_is_answered(self, gateway: Gateway) -> None:
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.head("POST", CHAT, gateway.headers() | {"Transfer-Encoding": "chunked"}))
            for byte in chat_body():
                connection.sendall(chunk(bytes([byte])))
            connection.sendall(chunk(b""))
            assert raw_http.receive(connection).status == 200

    def test_a_body_that_does_not_come_is_given_up(self, gateway: Gateway) -> None:
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.post(CHAT, gateway.headers(), chat_body())[:-10])
            began = time.monotonic()
            received = raw_http.receive(connection)
        assert (received.status, received.error["code"]) == (408, "request_timeout")
        assert received.headers["Connection"] == "close"
        assert BODY_READ_TIMEOUT_S * 0.8 < time.monotonic() - began < BODY_READ_TIMEOUT_S + SOON_S
        assert_still_fine(gateway)

    def test_a_body_that_trickles_is_given_up(self, gateway: Gateway) -> None:
        """The deadline is for the whole body: each byte in time is not enough."""
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.head("POST", CHAT, gateway.headers() | {"Content-Length": "1000"}))
            connection.setblocking(False)
            eventually(lambda: trickle(connection), what="an answer")
            connection.settimeout(raw_http.TIMEOUT_S)
            assert raw_http.receive(connection).status == 408

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'"auto"',
            b"null",
            b"1e999999",
            b"[" * 100_000,
            b'{"a":' * 40_000,
            b'{"model":"cheap","messages":[{"role":"user","content":' + b"[" * 100_000,
            b'{"model":"cheap","messages":[{"role":"user","content":"\xff\xfe"}]}',
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}],"user":"\xc3"}',
            b'{"model":"cheap","messages":[{"role":"user","content":"\x00"}]}',
            b'{"model":"","messages":[{"role":"user","content":"Hi"}]}',
            b'{"model":"cheap","messages":[]}',
            b'{"model":"cheap","messages":["Hi"]}',
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}],"max_tokens":0}',
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}],"max_tokens":' + b"9" * 5000 + b"}",
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}]} trailing',
        ],
        ids=[
            "empty",
            "cut",
            "list",
            "string",
            "null",
            "number",
            "deep_lists",
            "deep_objects",
            "deep_content",
            "not_utf8",
            "not_utf8_in_a_field_we_pass_on",
            "control_character",
            "no_model",
            "no_messages",
            "no_message_objects",
            "no_output",
            "more_output_than_a_number_holds",
            "trailing",
        ],
    )
    def test_what_cannot_be_understood_is_the_clients_error(self, gateway: Gateway, body: bytes) -> None:
        received = ask(gateway, body)
        assert received.status == 400
        assert received.error["type"] == "invalid_request_error"
        assert received.error["message"]
        assert_still_fine(gateway)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}],"metadata":'
            + b"[" * 20_000
            + b"]" * 20_000
            + b"}",
            b'{"model":"cheap","messages":[{"role":"user","content":"\\ud800"}]}',
            b'{"model":"\\ud800\\u0000","messages":[{"role":"user","content":"Hi"}]}',
            b'{"model":"cheap","model":"premium","messages":[{"role":"user","content":"Hi"}]}',
            b'{"model":"cheap","messages":[{}]}',
            b'{"model":"cheap","messages":[{"role":7,"content":{"a":[]}}]}',
            b'{"model":"auto","messages":[{"role":"user","content":[{"type":[],"text":7},{"type":"image_url"}]}]}',
            b'{"model":"auto","messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]}],"tools":[7]}',
            b'{"model":"cheap","messages":[{"role":"assistant","content":null,"tool_calls":7}]}',
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}],"stream":true,"stream_options":{"a":1}}',
            b'{"model":"cheap","messages":[{"role":"user","content":"Hi"}],"user":{"name":1},"prompt_cache_key":[1]}',
        ],
        ids=[
            "deep_field_we_pass_on",
            "half_a_surrogate_pair",
            "a_model_nobody_can_write",
            "model_twice",
            "empty_message",
            "wrong_types_in_a_message",
            "wrong_types_in_parts",
            "tools_that_are_none",
            "tool_calls_that_are_none",
            "unknown_stream_options",
            "sessions_that_are_none",
        ],
    )
    def test_what_is_odd_is_never_the_gateways_error(self, gateway: Gateway, body: bytes) -> None:
        """Whether it is refused here or by the upstream: the answer is whole, and an error is an error object."""
        received = ask(gateway, body)
        assert received.status in (200, 400, 404), received.body
        assert received.status == 200 or received.error["message"]
        assert_still_fine(gateway)

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Gateway-Max-Cost": "much"},
            {"X-Gateway-Max-Cost": "-1"},
            {"X-Gateway-Max-Cost": "NaN"},
            {"X-Gateway-Timeout-Ms": "0"},
            {"X-Gateway-Timeout-Ms": "soon"},
            {"X-Gateway-Layer": "L9"},
        ],
        ids=lambda headers: "=".join(next(iter(headers.items()))),
    )
    def test_a_wrong_header_is_the_clients_error(self, gateway: Gateway, headers: dict[str, str]) -> None:
        assert ask(gateway, chat_body(), **headers).status == 400

    @pytest.mark.parametrize(
        "headers",
        [
            {"X-Gateway-Timeout-Ms": "1e400"},
            {"X-Gateway-Max-Cost": "1e999999"},
            {"X-Session-Id": "\xff\xfe" * 500},
            {"X-Gateway-Layer": "\xe9"},
            {"Authorization": "Bearer \xff"},
            {"Authorization": "Basic dXNlcjpwYXNz"},
            {"Authorization": "Bearer"},
            {"Content-Type": "text/plain; charset=nonsense"},
        ],
        ids=ascii,
    )
    def test_an_odd_header_is_never_the_gateways_error(self, gateway: Gateway, headers: dict[str, str]) -> None:
        received = ask(gateway, chat_body(), **headers)
        assert received.status in (200, 400, 401), received.body
        assert_still_fine(gateway)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def trickle(connection: socket.socket) -> bool:
    """Sends one more byte; whether there is an answer."""
    connection.send(b" ")
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


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


def preflight(origin: str) -> bytes:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    return raw_http.head("OPTIONS", CHAT, headers)


def assert_readable(received: Received) -> None:
    assert received.headers["Access-Control-Allow-Origin"] == ORIGIN
    exposed = received.headers["Access-Control-Expose-Headers"].lower().split(", ")
    assert {"x-gateway-request-id", "x-gateway-cost-usd", "retry-after"} <= set(exposed)


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
