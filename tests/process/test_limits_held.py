"""Limits of ten keys hold over four processes, and can be used: by what arrived at the upstream.

With a short window; real minutes are `python -m tests.load.limits`.
"""

from __future__ import annotations

import asyncio

import pytest

from tests import redis_server
from tests.process import gateway_process, limit_volleys
from tests.process.gateway_process import Installation
from tests.process.limit_volleys import Held, Volley
from tests.upstream.process import RunningUpstream

pytestmark = [pytest.mark.process, pytest.mark.timeout(240)]

WORKERS = 4
VOLLEY = Volley(window_s=3.0, windows=3, requests=40, tokens=4060, askers=WORKERS, words=80)
USED = 0.9
"""Of what they allow. In real minutes it is 0.97: here a busy machine's pauses are a good part of a window."""
PATIENT = {"COUNTERS_DEADLINE_S": "2"}
"""On a busy machine 50 ms pass without an outage, and limits would be open. What outages do is tested elsewhere."""


def test_over_four_workers_on_redis(installation: Installation, upstream: RunningUpstream) -> None:
    limit_volleys.impose(VOLLEY, installation=installation)
    with redis_server.running() as redis:
        env = {"REDIS_URL": redis.url, "RATE_WINDOW_S": str(VOLLEY.window_s), **PATIENT}
        with gateway_process.start(installation, env=env, workers=WORKERS) as gateway:
            asyncio.run(limit_volleys.fire(VOLLEY, gateways=[gateway]))
            assert gateway.stop() == 0
    check(limit_volleys.held(VOLLEY, installation=installation, upstream=upstream))


def check(found: list[Held]) -> None:
    print(*found, sep="\n")
    assert len(found) == limit_volleys.KEYS
    assert [one for one in found if one.most > one.limit] == []
    assert [one for one in found if one.used_share < USED] == []
