"""The counters go away while the gateway runs: limits are open, who has a budget is refused, nobody else notices.

The key with a budget has spent it before. So whatever it is told must be 402 as long as the counters are there, and
503 while they are not: an answer would be money that nobody had.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests import redis_server
from tests.process import gateway_process, races
from tests.process.gateway_process import NO_TLS, ROOT, Gateway, Installation, eventually
from tests.redis_server import RedisServer, SlowLine
from tests.upstream.process import RunningUpstream

pytestmark = pytest.mark.process

BACK_S = 15.0
AT_ONCE_S = 2.0
"""A refusal waits for one deadline at most; the rest is for a machine that is busy with other tests."""
SLOW_S = 0.4
PATIENT = {"COUNTERS_DEADLINE_S": "0.2"}
"""On a busy machine 50 ms pass without an outage."""
LIMIT = 3
LIMITED, BUDGETED, NEWLY, FREE = "limited0", "budgeted", "limited1", "main"
SPENT, UNKNOWN = (402, "budget_spent"), (503, "budget_unavailable")

Outage = Callable[[], AbstractContextManager[object]]


def chat(gateway: Gateway, key: str) -> tuple[int, str]:
    """Status, and the error's code where there is one."""
    body = {"model": "tailed", "messages": [{"role": "user", "content": f"#!chunks=10\n{key}"}], "max_tokens": 10}
    answer = httpx.post(gateway.chat_url, headers=gateway.headers(key), json=body, timeout=30, verify=NO_TLS)
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["error"]["code"]


def is_limited(gateway: Gateway) -> bool:
    """Whether one of so many requests at once that the limit must be reached is refused."""
    return (429, "rate_limit_exceeded") in [chat(gateway, LIMITED) for _ in range(LIMIT + 1)]


def status(gateway: Gateway) -> str:
    return str(gateway.readiness().json()["status"])


def prepared(installation: Installation) -> Installation:
    installation.execute(f"UPDATE analytics_apikey SET requests_per_minute = {LIMIT} WHERE name = '{LIMITED}'")
    installation.execute(
        "UPDATE analytics_budget SET enabled = true, limit_usd = 0.0009, defined_at = '2026-01-01 00:00:00'"
        f" WHERE api_key_id = (SELECT id FROM analytics_apikey WHERE name = '{BUDGETED}')"
    )
    return installation


def spend_all(gateway: Gateway) -> None:
    assert chat(gateway, BUDGETED) == (200, "")
    eventually(lambda: chat(gateway, BUDGETED) == SPENT, what="a budget that is spent", within_s=BACK_S)


def check_while_away(gateway: Gateway) -> None:
    before = time.monotonic()
    assert chat(gateway, BUDGETED) == UNKNOWN
    assert time.monotonic() - before < AT_ONCE_S
    assert chat(gateway, FREE) == (200, "")
    assert [chat(gateway, LIMITED) for _ in range(LIMIT + 1)] == [(200, "")] * (LIMIT + 1)
    eventually(lambda: status(gateway) == "degraded", what="degraded", within_s=BACK_S)
    assert gateway.log_lines("The counters are away")
    assert chat(gateway, BUDGETED) == UNKNOWN


def check_when_back(gateway: Gateway) -> None:
    """Without a restart, and without an answer that the budget has no room for."""
    told = [chat(gateway, BUDGETED)]

    def is_known() -> bool:
        told.append(chat(gateway, BUDGETED))
        return told[-1] == SPENT

    eventually(is_known, what="a budget that is known to be spent", within_s=BACK_S)
    assert set(told) <= {SPENT, UNKNOWN}
    eventually(lambda: is_limited(gateway), what="a limit in force", within_s=BACK_S)
    eventually(lambda: status(gateway) == "ready", what="ready", within_s=BACK_S)
    assert chat(gateway, FREE) == (200, "")


class OnRedis:
    """A gateway behind a line to its Redis that can be made slow."""

    def __init__(self, gateway: Gateway, server: RedisServer, line: SlowLine) -> None:
        self.gateway = gateway
        self._server = server
        self._line = line

    @contextmanager
    def slow(self) -> Iterator[None]:
        self._line.delay_s = SLOW_S
        yield
        self._line.delay_s = 0.0

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._server.pause()
        yield
        self._server.resume()

    @contextmanager
    def killed(self) -> Iterator[None]:
        self._server.kill()
        yield
        self._server.start()

    def empty(self) -> None:
        self._server.flush()


@pytest.fixture(scope="module")
def on_redis(
    template: Installation, upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnRedis]:
    installation = prepared(template.copy(tmp_path_factory.mktemp("redis") / "var", upstream=upstream.url))
    with (
        redis_server.running() as server,
        redis_server.slowed(server, delay_s=0.0) as line,
        gateway_process.start(installation, env={"REDIS_URL": line.url, **PATIENT}) as gateway,
    ):
        spend_all(gateway)
        yield OnRedis(gateway, server, line)


class TestRedis:
    @pytest.mark.parametrize("outage", ["slow", "paused", "killed"])
    def test_goes_away_and_comes_back(self, on_redis: OnRedis, outage: str) -> None:
        eventually(lambda: chat(on_redis.gateway, BUDGETED) == SPENT, what="counters that are there", within_s=BACK_S)
        taken_away: Outage = getattr(on_redis, outage)
        with taken_away():
            check_while_away(on_redis.gateway)
        check_when_back(on_redis.gateway)

    def test_is_emptied(self, on_redis: OnRedis) -> None:
        on_redis.empty()
        assert chat(on_redis.gateway, BUDGETED) == UNKNOWN
        assert chat(on_redis.gateway, FREE) == (200, "")
        check_when_back(on_redis.gateway)

    def test_a_new_budget_refuses_nobody_before_it_is_spent(self, on_redis: OnRedis) -> None:
        """Its account takes longer to fill than on one machine: others may have something open."""
        assert chat(on_redis.gateway, NEWLY) == (200, "")
        eventually(lambda: chat(on_redis.gateway, BUDGETED) == SPENT, what="counters that are there", within_s=BACK_S)
        made = ["manage.py", "budgets", "create", "--key", NEWLY, "--per", "day", "--limit", "0.0009"]
        subprocess.run([sys.executable, *made], cwd=ROOT, env=on_redis.gateway.installation.env, check=True)
        told = []

        def is_spent() -> bool:
            told.append(chat(on_redis.gateway, NEWLY))
            return told[-1] == SPENT

        eventually(is_spent, what="a budget that is enforced", within_s=BACK_S)
        assert set(told) == {(200, ""), SPENT}


@pytest.fixture(scope="module")
def embedded(
    template: Installation, upstream: RunningUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    installation = prepared(template.copy(tmp_path_factory.mktemp("embedded") / "var", upstream=upstream.url))
    with gateway_process.start(installation) as gateway:
        spend_all(gateway)
        yield gateway


class TestTheCountersFile:
    def test_is_deleted(self, embedded: Gateway) -> None:
        races.delete_counters(embedded.installation)
        assert chat(embedded, BUDGETED) in (SPENT, UNKNOWN)
        assert chat(embedded, FREE) == (200, "")
        check_when_back(embedded)

    def test_is_locked_by_another_program(self, embedded: Gateway) -> None:
        with locked(embedded.installation.var_dir / "counters.sqlite3"):
            check_while_away(embedded)
        check_when_back(embedded)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")
