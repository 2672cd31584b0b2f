"""More than the gateway takes at once, or a provider: who comes beyond is told at once, or waits; nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from socket import socket

import httpx
import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Gateway, Installation, eventually
from tests.process.raw_http import Received
from tests.process.short_way import CHAT, ask, chat_body, new_nonce, request_with, seen
from tests.process.test_short_way_body import chunk
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

MOST = 2
BODY_BYTES = 64 * 1024
HELD = "chunks=4;stall=mid"


@pytest.fixture(scope="module")
def gateway_env() -> dict[str, str]:
    return {"MAX_IN_FLIGHT": str(MOST), "MAX_BODY_BYTES": str(BODY_BYTES), "MAX_BODIES_BYTES": str(BODY_BYTES)}


@contextmanager
def streams_held(gateway: Gateway, upstream: RunningUpstream, number: int, *, text: str = "") -> Iterator[None]:
    """So many streams that do not end; cut, and ended at the upstream as well, afterwards."""
    nonces = [new_nonce() for _ in range(number)]
    with ExitStack() as held:
        for nonce in nonces:
            connection: socket = held.enter_context(raw_http.connected(gateway.port))
            body = chat_body(nonce + text, script=HELD, stream=True)
            connection.sendall(request_with(gateway, nonce, body))
        for nonce in nonces:
            eventually(lambda nonce=nonce: seen(upstream, nonce), what="a stream at the upstream")  # type: ignore[misc]
        yield
    assert {gateway.installation.row_of(nonce).outcome for nonce in nonces} == {"cancelled"}


def assert_turned_away(received: Received) -> None:
    assert (received.status, received.error["code"], received.headers["Retry-After"]) == (503, "overloaded", "1")
    assert received.headers["X-Gateway-Request-Id"]


class TestTheGateway:
    def test_who_comes_beyond_is_turned_away_at_once_and_has_no_row(
        self, gateway: Gateway, upstream: RunningUpstream
    ) -> None:
        with streams_held(gateway, upstream, MOST):
            nonce, after = new_nonce(), new_nonce()
            assert_turned_away(ask(gateway, chat_body(nonce), **{"X-Session-Id": nonce}))
            assert seen(upstream, nonce) == []
        assert ask(gateway, chat_body(after), **{"X-Session-Id": after}).status == 200
        assert gateway.installation.row_of(after).outcome == "ok"
        assert nonce not in {row.session for row in gateway.installation.rows()}

    def test_before_its_key_is_looked_at_or_its_body_is_here(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        with streams_held(gateway, upstream, MOST):
            head = raw_http.head("POST", CHAT, {"Authorization": "Bearer agw_unknown", "Content-Length": "5000"})
            assert_turned_away(raw_http.send(gateway.port, head))

    @pytest.mark.parametrize("beginning", [b"", b"{"], ids=["nothing", "a_beginning"])
    @pytest.mark.parametrize("key", ["Bearer agw_unknown", ""])
    def test_nobody_without_a_key_holds_a_place_with_a_body_that_does_not_come(
        self, gateway: Gateway, key: str, beginning: bytes
    ) -> None:
        """It is told in less time than the test's own client waits, a third of what a body may take."""
        head = raw_http.head("POST", CHAT, {"Authorization": key, "Content-Length": "5000"})
        answer = raw_http.send(gateway.port, head + beginning)
        assert (answer.status, answer.headers["Connection"]) == (401, "close")
        assert answer.headers["X-Gateway-Request-Id"]

    def test_a_connection_serves_on_once_the_refused_body_is_over(
        self, gateway: Gateway, upstream: RunningUpstream
    ) -> None:
        with raw_http.connected(gateway.port) as connection:
            with streams_held(gateway, upstream, MOST):
                connection.sendall(request_with(gateway, new_nonce(), chat_body("x" * 50_000)))
                assert_turned_away(raw_http.receive(connection))
            connection.sendall(request_with(gateway, new_nonce(), chat_body()))
            assert raw_http.receive(connection).status == 200

    def test_health_is_always_told(self, gateway: Gateway, upstream: RunningUpstream) -> None:
        with streams_held(gateway, upstream, MOST):
            assert httpx.get(f"{gateway.url}/health").status_code == 200
            assert gateway.readiness().status_code == 200

    @pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
    def test_bodies_beyond_what_may_be_held_in_all_are_turned_away(
        self, gateway: Gateway, upstream: RunningUpstream, is_chunked: bool
    ) -> None:
        large = chat_body("x" * (BODY_BYTES // 2))
        headers = gateway.headers() | ({"Transfer-Encoding": "chunked"} if is_chunked else {})
        request = raw_http.head("POST", CHAT, headers) + chunk(large) + chunk(b"")
        if not is_chunked:
            request = raw_http.post(CHAT, headers, large)
        with streams_held(gateway, upstream, 1, text="x" * (BODY_BYTES // 2)):
            assert_turned_away(raw_http.send(gateway.port, request))
            assert ask(gateway, chat_body()).status == 200
        assert raw_http.send(gateway.port, request).status == 200


def test_workers_share_what_a_provider_takes_at_once(installation: Installation, upstream: RunningUpstream) -> None:
    """Every request is answered, and the upstream never has more than so many at once."""
    most, asked, clients = 2, 72, 12
    installation.execute(f"UPDATE providers_provider SET max_concurrent = {most}")
    before = max((request.sequence for request in upstream.requests()), default=0)
    nobody = {"REDIS_URL": "redis://127.0.0.1:1/0"}  # several workers want one; nothing here asks it for anything
    with gateway_process.start(installation, env=nobody, workers=2) as gateway, ThreadPoolExecutor(clients) as pool:
        body = chat_body(script="chunks=4;delay_ms=10", stream=True)
        answers = list(pool.map(lambda _: ask(gateway, body), range(asked)))
    assert [answer.status for answer in answers] == [200] * asked
    ends = {answer.sequence: answer.at for answer in upstream.answers()}
    spans = [(one.at, ends[one.sequence]) for one in upstream.requests() if one.sequence > before]
    assert len(spans) == asked
    assert max(sum(begin <= at < end for begin, end in spans) for at, _ in spans) <= most
