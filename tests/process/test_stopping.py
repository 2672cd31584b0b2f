"""A server that is told to stop ends in time, whatever its clients do, and leaves nothing unsettled."""

from __future__ import annotations

import os
import re
import signal
import time

import httpx
import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Gateway, Installation, eventually
from tests.process.short_way import ask, chat_body, new_nonce, request_with, seen
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process
OF_REDIS = re.compile(r" (analytics|routing\.health)\b")
"""Who says that nothing serves at its address."""

GRACE_S = 1.0
OTHERS = {"REDIS_URL": "redis://127.0.0.1:1/0", "STOP_GRACE_S": str(GRACE_S)}
"""Several workers want a Redis; nothing here asks it for anything."""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_that_reads_nothing_does_not_hold_it(
    workers: int, installation: Installation, upstream: RunningUpstream
) -> None:
    """Its first answer fills every buffer, so that not even the headers of the second can be sent."""
    nonce = new_nonce()
    with (
        gateway_process.start(installation, env=OTHERS, workers=workers) as gateway,
        raw_http.connected(gateway.port) as connection,
    ):
        connection.sendall(request_with(gateway, new_nonce(), chat_body(script="chunks=2000000")))
        connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="chunks=4;stall=mid", stream=True)))
        eventually(lambda: seen(upstream, nonce), what="the second request at the upstream", within_s=20)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(gateway_process.STOP_S) == 0
    row = installation.row_of(nonce)
    assert (row.outcome, row.status) == ("interrupted", 503)
    assert installation.spool_folders == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_interrupt_cuts_off_an_open_stream_without_a_traceback(
    workers: int, installation: Installation, upstream: RunningUpstream
) -> None:
    nonce, patient = new_nonce(), OTHERS | {"STOP_GRACE_S": "60"}
    with (
        gateway_process.start(installation, env=patient, workers=workers, own_group=True) as gateway,
        raw_http.connected(gateway.port) as connection,
    ):
        connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="chunks=4;stall=mid", stream=True)))
        eventually(lambda: seen(upstream, nonce), what="the request at the upstream")
        os.killpg(gateway.process.pid, signal.SIGINT)
        eventually(lambda: gateway.log_lines("Stopping; open requests"), what="the word that it stops")
        os.killpg(gateway.process.pid, signal.SIGINT)
        assert gateway.process.wait(gateway_process.STOP_S) == 0
        assert "Traceback" not in gateway.log_tail()
        # Nothing serves at the address that stands for Redis: the counters say so, which is no error of stopping.
        assert "rror" not in "".join(line for line in gateway.log_tail().splitlines() if not OF_REDIS.search(line))


@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_that_it_stops_while_it_still_takes_requests(
    workers: int, installation: Installation, upstream: RunningUpstream
) -> None:
    """As a load balancer sees it: not ready, then gone; until then, whatever it still sends is answered."""
    nonce, announced_s = new_nonce(), 2.0
    env = OTHERS | {"STOP_ANNOUNCE_S": str(announced_s), "STOP_GRACE_S": "20"}
    with (
        gateway_process.start(installation, env=env, workers=workers) as gateway,
        raw_http.connected(gateway.port) as connection,
    ):
        connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="chunks=30;delay_ms=100", stream=True)))
        eventually(lambda: seen(upstream, nonce), what="the request at the upstream")
        began = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in readiness(gateway), what="word that it stops")
        assert ask(gateway, chat_body()).status == 200
        eventually(lambda: readiness(gateway) is None, what="a port that is closed")
        assert time.monotonic() - began >= announced_s
        received = raw_http.receive(connection)  # three seconds long: beyond the announcement, within the grace
        assert (received.status, received.body.endswith(b"data: [DONE]\n\n")) == (200, True)
        assert gateway.process.wait(gateway_process.STOP_S) == 0
    assert installation.row_of(nonce).outcome == "ok"
    assert installation.spool_folders == []


def readiness(gateway: Gateway) -> list[str] | None:
    """Why it is not ready; None where it takes no connection."""
    try:
        answer = gateway.readiness()
    except httpx.TransportError:  # refused, or reset while it waited to be taken
        return None
    assert answer.status_code == (503 if answer.json()["reasons"] else 200)
    reasons: list[str] = answer.json()["reasons"]
    return reasons
