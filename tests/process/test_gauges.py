"""The gauges of real processes: there while they live, gone when they stop, cleared when they were killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import Any

import pytest

from tests.process import gateway_process, raw_http
from tests.process.gateway_process import ROOT, Installation, eventually
from tests.process.short_way import chat_body, new_nonce, request_with, seen
from tests.process.test_serve import serve
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process


def processes(installation: Installation) -> dict[str, dict[str, Any]]:
    """By role, as the command has them."""
    command = [sys.executable, "manage.py", "processes", "--json"]
    told = subprocess.run(command, cwd=ROOT, env=installation.env, capture_output=True, text=True, check=True)
    return {one["role"]: one for one in json.loads(told.stdout)}


def readings(installation: Installation, role: str) -> dict[str, Any]:
    """What it wrote last; nothing before its first."""
    found = installation.execute(f"SELECT readings FROM analytics_processgauges WHERE role = '{role}'")
    return json.loads(found[0]["readings"]) if found else {}


def test_a_server_reads_what_is_in_flight_and_leaves_nothing_behind(
    installation: Installation, upstream: RunningUpstream
) -> None:
    nonce = new_nonce()
    installation.execute("UPDATE providers_provider SET max_concurrent = 1")
    with ExitStack() as held:
        gateway = held.enter_context(gateway_process.start(installation))
        eventually(lambda: readings(installation, "server"), what="the server's gauges")
        first = processes(installation)["server"]
        assert first["pid"] == gateway.process.pid
        assert (first["readings"]["in_flight"], first["readings"]["counters_away"]) == (0, False)
        assert first["readings"]["resident_bytes"] > 30_000_000
        for _ in range(2):  # the second waits for the first
            connection = held.enter_context(raw_http.connected(gateway.port))
            connection.sendall(request_with(gateway, nonce, chat_body(nonce, script="chunks=4;stall=mid", stream=True)))
        eventually(lambda: seen(upstream, nonce), what="the request at the upstream")
        busy = {
            "in_flight": 1, "requests_open": 2, "provider_calls": {"upstream": 1}, "provider_queue": {"upstream": 1},
        }  # fmt: skip
        eventually(
            lambda: busy.items() <= readings(installation, "server").items(),
            what="the requests in flight",
            within_s=20,
        )
    assert processes(installation) == {}
    assert installation.execute("SELECT COUNT(*) AS samples FROM analytics_gaugesample")[0]["samples"] >= 1


def test_the_embedded_worker_has_gauges_too(installation: Installation) -> None:
    port = gateway_process.free_port()
    with serve(port, env=installation.env) as process:
        eventually(lambda: readings(installation, "worker"), what="the worker's gauges", within_s=40)
        found = processes(installation)["worker"]["readings"]
        assert {"tasks_running", "tasks_queued", "resident_bytes"} <= found.keys()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert processes(installation) == {}
