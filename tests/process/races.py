"""Races for a budget: a crowd spends it while servers are killed and counters are lost in mid-run.

Owns what happens when; who asks, and what it comes to, is `spending`'s.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Coroutine, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.process import gateway_process, spending
from tests.process.gateway_process import ROOT, Gateway, Installation, eventually, free_port
from tests.process.spending import MODEL, Aftermath, Crowd, Manners
from tests.redis_server import RedisServer
from tests.upstream.process import RunningUpstream

COMMANDS = 2
WORKERS = 4
COMMAND_S = 60.0
REFUSALS = (b"The budget of", b"cannot be looked up")
PATIENT = {"COUNTERS_DEADLINE_S": "0.5"}
"""On a busy machine 50 ms pass without an outage. What outages do is tested elsewhere."""
UNDER_WAY = 6
"""So many requests are being answered when a server is killed, at least."""
LOSE_AT, KILL_AT = 0.04, 0.10
"""Shares of the clients that were answered when the counters are lost, and when a server is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """How many race for how much."""

    manners: Manners
    budget_usd: Decimal

    @property
    def lose_at(self) -> int:
        return int(self.manners.clients * LOSE_AT)

    @property
    def kill_at(self) -> int:
        return int(self.manners.clients * KILL_AT)


def give_budget(installation: Installation, *, usd: Decimal) -> None:
    """To the default project, which the clients' key and the owner at the command line are in, before anything runs."""
    installation.execute(
        # Made long ago: a budget is not enforced in its first two seconds.
        f"UPDATE analytics_budget SET enabled = true, limit_usd = {usd}, defined_at = '2026-01-01 00:00:00'"
        " WHERE project_id = (SELECT id FROM analytics_project WHERE slug = 'default')"
    )


def embedded(race: Race, *, installation: Installation, upstream: RunningUpstream, dice: random.Random) -> Aftermath:
    """One server and two processes that run `manage.py chat` on the same var folder; the counters' file is deleted, the
    server killed and started again."""
    give_budget(installation, usd=race.budget_usd)
    port = free_port()
    with ExitStack() as servers:
        first = servers.enter_context(gateway_process.start(installation, port=port))
        crowd = Crowd(first.chat_url, first.headers(), dice, race.manners)

        async def disturbed() -> Gateway:
            await crowd.until(race.lose_at)
            delete_counters(installation)
            await crowd.until(race.kill_at)
            await crowd.until_under_way(UNDER_WAY, upstream=upstream)
            first.kill()
            return await asyncio.to_thread(servers.enter_context, gateway_process.start(installation, port=port))

        commands = [_command_after_command(crowd, installation) for _ in range(COMMANDS)]
        second = asyncio.run(_raced(crowd, disturbed(), *commands))
        eventually(lambda: len(installation.spool_folders) == 1, what="one spool folder", within_s=10)
        assert second.stop() == 0
    return spending.aftermath(crowd, installation=installation, upstream=upstream)


def on_redis(
    race: Race, *, installation: Installation, upstream: RunningUpstream, redis: RedisServer, dice: random.Random
) -> Aftermath:
    """One server of four workers on Redis; Redis is emptied, a worker killed."""
    give_budget(installation, usd=race.budget_usd)
    with gateway_process.start(installation, env={"REDIS_URL": redis.url, **PATIENT}, workers=WORKERS) as gateway:
        crowd = Crowd(gateway.chat_url, gateway.headers(), dice, race.manners)

        async def disturbed() -> Gateway:
            await crowd.until(race.lose_at)
            redis.flush()
            await crowd.until(race.kill_at)
            await crowd.until_under_way(UNDER_WAY, upstream=upstream)
            os.kill(max(workers_of(gateway), key=_descriptors), signal.SIGKILL)
            return gateway

        asyncio.run(_raced(crowd, disturbed()))
        eventually(lambda: len(installation.spool_folders) == WORKERS, what="a spool folder a worker", within_s=20)
        assert gateway.stop() == 0
    return spending.aftermath(crowd, installation=installation, upstream=upstream)


def workers_of(gateway: Gateway) -> list[int]:
    """Process ids; the supervisor's other child is Python's resource tracker."""
    pid = gateway.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [child for child, line in lines.items() if b"spawn_main" in line]


def _descriptors(pid: int) -> int:
    """The more it has open, the more it has under way."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def _raced(crowd: Crowd, disturbed: Coroutine[Any, Any, Gateway], *others: Coroutine[Any, Any, None]) -> Gateway:
    """Returns what `disturbed` does, when nobody wants to spend any more."""
    async with asyncio.TaskGroup() as tasks:
        server = tasks.create_task(disturbed)
        for other in (crowd.spend(), *others):
            tasks.create_task(other)
    return server.result()


def usable(
    manners: Manners,
    *,
    budget_usd: Decimal,
    installation: Installation,
    upstream: RunningUpstream,
    dice: random.Random,
    env: Mapping[str, str] | None = None,
) -> Aftermath:
    """Clients that ask on until their budget is spent; nothing is disturbed."""
    give_budget(installation, usd=budget_usd)
    with gateway_process.start(installation, env=env) as gateway:
        crowd = Crowd(gateway.chat_url, gateway.headers(), dice, manners)
        asyncio.run(crowd.spend())
        assert gateway.stop() == 0
    return spending.aftermath(crowd, installation=installation, upstream=upstream)


def delete_counters(installation: Installation) -> None:
    for path in installation.var_dir.glob("counters.sqlite3*"):
        path.unlink(missing_ok=True)


async def _command_after_command(crowd: Crowd, installation: Installation) -> None:
    """Fails the test when one ends with anything but an answer or a refusal for a budget's sake."""
    while not crowd.is_over:
        prompt = crowd.prompt(crowd.nonce(), stream=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "manage.py", "chat", "--model", MODEL, prompt),
            cwd=ROOT,
            env=installation.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), COMMAND_S)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        assert process.returncode == 0 or any(words in said for words in REFUSALS), said.decode()
