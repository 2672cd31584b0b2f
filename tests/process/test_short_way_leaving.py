"""The short way's watcher, over real sockets: a client that leaves stops the upstream's work, and its row says so."""

from __future__ import annotations

import socket
import time

import pytest

from tests.process import raw_http
from tests.process.gateway_process import Gateway, eventually
from tests.process.short_way import (
    CHAT,
    ENV,
    SOON_S,
    assert_still_fine,
    chat_body,
    new_nonce,
    request_with,
    seen,
)
from tests.upstream.log import Ending
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process
DEADLINE_S = 3.5
"""Of the request of a client that does not read, with the time it has to be told."""


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return ENV


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


class TestAClientThatDoesNotRead:
    """Its stream may fill every buffer on its way, and ends a little after its deadline."""

    def test_is_cut_with_its_upstream_and_settled(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        headers = gateway.headers() | {"X-Session-Id": nonce, "X-Gateway-Timeout-Ms": "2500"}
        body = chat_body(nonce, script="chunks=100000", stream=True)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", gateway.port))
            connection.sendall(raw_http.post(CHAT, headers, body))
            [request] = eventually(lambda: seen(upstream, nonce), what="the upstream's call")
            assert upstream.end_of(request, within_s=DEADLINE_S + SOON_S).how is Ending.CLIENT_LEFT
            row = gateway.installation.row_of(nonce, within_s=SOON_S)
        assert (row.outcome, row.status, row.error_kind) == ("cancelled", 499, "deadline")
        assert_still_fine(gateway)


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
