"""Limits over real minutes: `python -m tests.load.limits [--redis] [--minutes N]`.

The long form of tests/process/test_limits_held.py: ten keys, four processes that share a Redis, or four servers on one
var folder.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests import redis_server
from tests.process import gateway_process, limit_volleys
from tests.process.gateway_process import Gateway, Installation
from tests.process.limit_volleys import Volley
from tests.upstream import process as upstream_process

PROCESSES = 4
USED = 0.97
PATIENT = {"COUNTERS_DEADLINE_S": "2"}
"""Where the processes share two cores with their clients, 50 ms pass without an outage, and limits would be open."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.load.limits", description=__doc__)
    parser.add_argument("--redis", action="store_true", help="four workers on Redis; else four servers on one file")
    parser.add_argument("--minutes", type=int, default=3)
    options = parser.parse_args(arguments)
    askers = PROCESSES if options.redis else 1
    volley = Volley(window_s=60.0, windows=options.minutes, requests=300, tokens=30_000, askers=askers, words=80)
    with tempfile.TemporaryDirectory(prefix="gateway-limits-") as folder, ExitStack() as stack:
        upstream = stack.enter_context(upstream_process.running(log=Path(folder) / "upstream.jsonl"))
        installation = Installation(var_dir=Path(folder) / "var").set_up().pointed_at(upstream.url)
        limit_volleys.impose(volley, installation=installation)
        with ExitStack() as servers:
            gateways = _on_redis(servers, installation) if options.redis else _embedded(servers, installation)
            asyncio.run(limit_volleys.fire(volley, gateways=gateways))
        found = limit_volleys.held(volley, installation=installation, upstream=upstream)
    print(*found, sep="\n")
    assert all(one.most <= one.limit for one in found)
    assert all(one.used_share >= USED for one in found)


def _on_redis(stack: ExitStack, installation: Installation) -> list[Gateway]:
    redis = stack.enter_context(redis_server.running())
    env = {"REDIS_URL": redis.url, **PATIENT}
    start = gateway_process.start(installation, env=env, workers=PROCESSES)
    return [stack.enter_context(start)]


def _embedded(stack: ExitStack, installation: Installation) -> list[Gateway]:
    return [stack.enter_context(gateway_process.start(installation, env=PATIENT)) for _ in range(PROCESSES)]


if __name__ == "__main__":
    main()
