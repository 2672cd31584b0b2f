"""What a client sees of a provider that is silent, and what becomes of a request whose client leaves, at each stage.

Under both policies: nobody's provider goes on working, except that what has content is read to its end by `drain`.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Gateway, Installation, Row, eventually
from tests.process.short_way import CHAT, chat_body, new_nonce, request_with, seen
from tests.upstream.log import Ending
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process
COMMIT_AFTER_S = 0.1
WAITING = b": waiting for the first content\n\n"
SOON_S = 3.0


@pytest.fixture(scope="module", params=["cancel", "drain"])
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def gateway(
    template: Installation, upstream: RunningUpstream, policy: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    installation = template.copy(tmp_path_factory.mktemp("silence") / "var", upstream=upstream.url)
    installation.execute(f"UPDATE routing_policy SET when_client_leaves = '{policy}'")
    with gateway_process.start(installation, env={"COMMIT_AFTER_S": str(COMMIT_AFTER_S)}) as running:
        yield running


class TestASilentProvider:
    def test_its_client_is_kept_waiting_and_told_of_the_end_in_an_event(self, gateway: Gateway) -> None:
        nonce = new_nonce()
        headers = gateway.headers() | {"X-Session-Id": nonce, "X-Gateway-Timeout-Ms": "1000"}
        answer = httpx.post(gateway.chat_url, headers=headers, content=chat_body(script="stall=first", stream=True))
        assert (answer.status_code, answer.headers["X-Gateway-Request-Id"]) == (200, str(row_of(gateway, nonce).id))
        assert answer.content.count(WAITING) >= 3
        error = json.loads(answer.text.split("data: ")[-1])["error"]
        assert (error["code"], len(error["gateway"]["trail"])) == ("deadline_exceeded", 1)
        row = row_of(gateway, nonce)
        assert (row.outcome, row.status, row.error_kind) == ("error", 200, "timeout")

    def test_the_next_model_takes_over_unseen(self, gateway: Gateway) -> None:
        body = chat_body(model="auto", script="delay_ms=300;chunks=3", stream=True)
        answer = httpx.post(gateway.chat_url, headers=gateway.headers() | {"X-Gateway-Layer": "L1"}, content=body)
        before, content = answer.text.split("data: ", 1)
        assert WAITING.decode() in before
        assert ": X-Gateway-Model: cheap\n" in before
        assert content.endswith("data: [DONE]\n\n")
        assert "x-gateway-model" not in answer.headers

    def test_a_quick_answer_has_its_headers_and_no_comment(self, gateway: Gateway) -> None:
        answer = httpx.post(gateway.chat_url, headers=gateway.headers(), content=chat_body(stream=True))
        assert answer.headers["X-Gateway-Model"] == "cheap"
        assert WAITING not in answer.content


class TestAClientThatLeaves:
    @pytest.mark.parametrize(
        ("script", "stream"),
        [("stall=headers", True), ("stall=first", True), ("stall=headers", False), ("stall=mid", False)],
        ids=["no_headers", "no_content", "json_no_headers", "json_half"],
    )
    def test_before_it_had_anything(
        self, gateway: Gateway, upstream: RunningUpstream, script: str, stream: bool
    ) -> None:
        nonce = new_nonce()
        leave_once_called(gateway, upstream, nonce, chat_body(nonce, script=script, stream=stream))
        assert_cut(gateway, upstream, nonce)

    def test_while_it_is_kept_waiting(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        nonce = new_nonce()
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="stall=first", stream=True)))
            read_until(connection, WAITING)
        assert_cut(gateway, upstream, nonce)

    @pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
    def test_between_two_attempts(self, gateway: Gateway, upstream: RunningUpstream, stream: bool) -> None:
        """The provider asked to wait for longer than anybody waits here."""
        nonce = new_nonce()
        body = chat_body(nonce, model="limited?status=429;retry_after=7", stream=stream)
        with raw_http.connected(gateway.port) as connection:
            connection.sendall(request_with(gateway, nonce, body))
            [request] = eventually(lambda: seen(upstream, nonce), what="the first attempt")
            assert upstream.end_of(request).how is Ending.FINISHED
        row = row_of(gateway, nonce)
        assert (row.outcome, row.status, row.attempts) == ("cancelled", 499, 1)
        assert len(seen(upstream, nonce)) == 1

    @pytest.mark.parametrize("until", [b'"content":"w0"', b'"content":" w9"'], ids=["first_content", "midway"])
    def test_in_a_stream(self, gateway: Gateway, upstream: RunningUpstream, policy: str, until: bytes) -> None:
        nonce = new_nonce()
        with raw_http.connected(gateway.port) as connection:
            body = chat_body(nonce, script="chunks=40;delay_ms=25", stream=True)
            connection.sendall(request_with(gateway, nonce, body))
            read_until(connection, until)
        [request] = seen(upstream, nonce)
        how = upstream.end_of(request, within_s=SOON_S).how
        assert how is (Ending.FINISHED if policy == "drain" else Ending.CLIENT_LEFT)
        row = row_of(gateway, nonce)
        assert (row.outcome, row.status, [step["outcome"] for step in row.trail]) == ("cancelled", 499, ["ok"])
        found = gateway.installation.execute(
            f"SELECT output_tokens FROM analytics_usagerecord WHERE session = '{nonce}'"
        )
        assert (found[0]["output_tokens"] == 40) == (policy == "drain")


def row_of(gateway: Gateway, nonce: str) -> Row:
    return gateway.installation.row_of(nonce, within_s=SOON_S)


def leave_once_called(gateway: Gateway, upstream: RunningUpstream, nonce: str, body: bytes) -> None:
    with raw_http.connected(gateway.port) as connection:
        connection.sendall(raw_http.post(CHAT, gateway.headers() | {"X-Session-Id": nonce}, body))
        eventually(lambda: seen(upstream, nonce), what="the call")


def assert_cut(gateway: Gateway, upstream: RunningUpstream, nonce: str) -> None:
    """Its provider saw it leave at once, and the one row says why."""
    until = time.monotonic() + SOON_S
    [request] = seen(upstream, nonce)
    assert upstream.end_of(request, within_s=SOON_S).how is Ending.CLIENT_LEFT
    row = gateway.installation.row_of(nonce, within_s=until - time.monotonic())
    assert (row.outcome, row.status, [step["outcome"] for step in row.trail]) == ("cancelled", 499, ["cancelled"])


def read_until(connection: socket.socket, text: bytes) -> None:
    received = b""
    while text not in received:
        more = connection.recv(65536)
        assert more, received
        received += more
