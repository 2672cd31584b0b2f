"""What the short way reads, over real sockets: bodies within limit and deadline; an odd one is never its own error."""

from __future__ import annotations

import socket
import time

import httpx
import pytest

from gateway.short_way import AT_ONCE_S
from tests.process import raw_http
from tests.process.gateway_process import Gateway, eventually
from tests.process.short_way import (
    BODY_READ_TIMEOUT_S,
    CHAT,
    ENV,
    MAX_BODY_BYTES,
    SOON_S,
    ask,
    assert_still_fine,
    chat_body,
)

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return ENV


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

    def test_a_body_that_takes_its_time_is_read_whole(self, gateway: Gateway) -> None:
        """Longer than it may take without anybody asking whose it is."""
        whole = raw_http.post(CHAT, gateway.headers(), chat_body())
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(whole[:-20])
            time.sleep(1.25 * AT_ONCE_S)
            connection.sendall(whole[-20:])
            assert raw_http.receive(connection).status == 200

    def test_its_limit_holds_for_all_of_its_parts(self, gateway: Gateway) -> None:
        headers = gateway.headers() | {"Transfer-Encoding": "chunked"}
        half = chunk(b"x" * (MAX_BODY_BYTES // 2 + 1))
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(raw_http.head("POST", CHAT, headers) + half)
            time.sleep(1.25 * AT_ONCE_S)
            connection.sendall(half)
            assert raw_http.receive(connection).status == 413

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", "/health", 200), ("POST", "/health", 405)])
    def test_nobody_waits_for_one_that_is_of_no_use(
        self, gateway: Gateway, method: str, path: str, status: int
    ) -> None:
        began = time.monotonic()
        received = raw_http.send(gateway.port, raw_http.head(method, path, {"Content-Length": "900000"}) + b"x" * 1000)
        assert (received.status, time.monotonic() - began < BODY_READ_TIMEOUT_S) == (status, True)
        assert_still_fine(gateway)

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
