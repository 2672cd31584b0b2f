"""A server that is told to stop ends in time, whatever its clients do, and leaves nothing unsettled."""

from __future__ import annotations

import os
import signal

import pytest

from gateway import serving
from tests.process import gateway_process, raw_http
from tests.process.gateway_process import Installation, eventually
from tests.process.short_way import chat_body, new_nonce, request_with, seen
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

OTHERS = {"REDIS_URL": "redis://127.0.0.1:1/0"}
"""Several workers want one; nothing here asks it for anything."""


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
    nonce = new_nonce()
    with (
        gateway_process.start(installation, env=OTHERS, workers=workers, own_group=True) as gateway,
        raw_http.connected(gateway.port) as connection,
    ):
        connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="chunks=4;stall=mid", stream=True)))
        eventually(lambda: seen(upstream, nonce), what="the request at the upstream")
        os.killpg(gateway.process.pid, signal.SIGINT)
        eventually(lambda: gateway.log_lines(serving.STOPPING), what="the word that it stops")
        os.killpg(gateway.process.pid, signal.SIGINT)
        assert gateway.process.wait(serving.REQUESTS_GRACE_S - 1) == 0
        assert "Traceback" not in gateway.log_tail()
        # Nothing serves at the address that stands for Redis: the counters say so, which is no error of stopping.
        assert "rror" not in "".join(line for line in gateway.log_tail().splitlines() if " analytics." not in line)
