"""Redis, then PostgreSQL, killed and started again under steady load: every answer is right or says what is away.

Three kinds of callers ask for whole answers and streams: one with nothing to count, one with limits, one with a budget.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from tests import redis_server
from tests.process import gateway_process
from tests.process.gateway_process import Gateway, Installation
from tests.process.postgres_process import OwnPostgres, own_postgres
from tests.process.short_way import new_nonce
from tests.redis_server import RedisServer
from tests.upstream.answers import words
from tests.upstream.process import RunningUpstream

FREE, LIMITED, BUDGETED = "main", "limited0", "budgeted"
KEYS = (FREE, LIMITED, BUDGETED)
EVERY_S = 1 / 30
CHUNKS = 6
NORMAL_WITHIN_S = 5.0
"""After a store is back."""
ANSWERS = 30
"""As many, about, as come in a second: that load is steady is seen before, amid and after an outage."""
OK = (200, "")
UNKNOWN = (503, "budget_unavailable")
PATIENT = {"COUNTERS_DEADLINE_S": "0.2"}
"""On a busy machine 50 ms pass without an outage."""
_POLL_S = 0.02


@dataclass(slots=True)
class Load:
    """Asks thirty times a second, whatever becomes of it; each request is one of a key's."""

    gateway: Gateway
    session: aiohttp.ClientSession
    asked: dict[str, str] = field(default_factory=dict)
    """The key of each request, by its nonce."""
    told: list[tuple[str, float, tuple[int, str]]] = field(default_factory=list)
    """The key, when it was asked, and the status with the error's code."""
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def go_on(self) -> None:
        loop = asyncio.get_running_loop()
        due_at = loop.time()
        while True:
            number = len(self.asked)
            nonce, key = new_nonce(), KEYS[number % len(KEYS)]
            self.asked[nonce] = key
            task = asyncio.create_task(self._ask(nonce, key, is_stream=number % 2 == 1))
            self._under_way.add(task)
            due_at += EVERY_S
            await asyncio.sleep(due_at - loop.time())

    async def end(self) -> None:
        """Returns once every request was answered. Raises: AssertionError for an answer that was wrong."""
        await asyncio.gather(*self._under_way)

    async def answers(self, number: int) -> None:
        """Returns when so many more have come."""
        wanted = len(self.told) + number
        while len(self.told) < wanted:
            broken = [task for task in self._under_way if task.done() and task.exception()]
            await asyncio.gather(*broken)
            await asyncio.sleep(_POLL_S)

    def since(self, at: float) -> dict[str, Counter[tuple[int, str]]]:
        """What each key was told of what it asked since."""
        return {key: Counter(told for asker, asked, told in self.told if asker == key and asked >= at) for key in KEYS}

    async def _ask(self, nonce: str, key: str, *, is_stream: bool) -> None:
        content = f"#!chunks={CHUNKS};delay_ms=5\n{nonce}"
        body = {
            "model": "cheap",
            "messages": [{"role": "user", "content": content}],
            "stream": is_stream,
            "max_tokens": 9,
        }
        headers, asked_at = self.gateway.headers(key) | {"X-Session-Id": nonce}, time.monotonic()
        async with self.session.post(self.gateway.chat_url, headers=headers, json=body) as answer:
            text = await answer.text()
            if answer.status != 200:
                told = answer.status, str((await answer.json())["error"]["code"])
            else:
                told = OK
                assert_right(text, is_stream=is_stream)
        self.told.append((key, asked_at, told))


def assert_right(text: str, *, is_stream: bool) -> None:
    said = words(CHUNKS).split()
    if is_stream:
        assert [word for word in said if f'"{word}"' not in text and f'" {word}"' not in text] == [], text
        assert text.endswith("data: [DONE]\n\n"), text
    else:
        assert f'"content":"{" ".join(said)}"' in text, text


@asynccontextmanager
async def load_on(gateway: Gateway) -> AsyncIterator[Load]:
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        load = Load(gateway, session)
        asking = asyncio.create_task(load.go_on())
        try:
            yield load
        finally:
            asking.cancel()
            await load.end()


@pytest.fixture
def postgres() -> Iterator[OwnPostgres]:
    with own_postgres() as server:
        yield server


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server.running() as server:
        yield server


def prepared(installation: Installation) -> Installation:
    installation.execute_all(
        "UPDATE analytics_apikey SET requests_per_minute = 100000, concurrent_requests = 1000"
        f" WHERE name = '{LIMITED}'",
        "UPDATE analytics_budget SET enabled = true, defined_at = '2026-01-01 00:00:00'"
        f" WHERE api_key_id = (SELECT id FROM analytics_apikey WHERE name = '{BUDGETED}')",
    )
    return installation


async def be_normal(load: Load, *, within_s: float = NORMAL_WITHIN_S) -> None:
    """Returns once the server says it is ready, and everybody is answered. Raises: TimeoutError."""
    async with asyncio.timeout(within_s):
        while not await is_well(load):
            pass


async def is_well(load: Load) -> bool:
    """Of what is asked from now on, until each key was told something."""
    began = time.monotonic()
    while not all(found := load.since(began).values()):
        await load.answers(1)
    readiness = await asyncio.to_thread(load.gateway.readiness)
    return readiness.json()["status"] == "ready" and all(set(told) == {OK} for told in found)


async def check(load: Load, *, redis: RedisServer, postgres: OwnPostgres, answers: int) -> None:
    await be_normal(load, within_s=30.0)
    began = time.monotonic()
    redis.kill()
    await load.answers(answers)
    await asyncio.to_thread(redis.start)
    await be_normal(load)
    found = load.since(began)
    assert set(found[FREE]) == set(found[LIMITED]) == {OK}, found
    assert set(found[BUDGETED]) == {OK, UNKNOWN}, found

    began = time.monotonic()
    await asyncio.to_thread(postgres.kill)
    await load.answers(answers)
    assert load.gateway.readiness().json()["status"] == "degraded"
    await asyncio.to_thread(postgres.start)
    await be_normal(load)
    assert {told for tolds in load.since(began).values() for told in tolds} == {OK}, load.since(began)


async def run(gateway: Gateway, *, redis: RedisServer, postgres: OwnPostgres, answers: int) -> Load:
    async with load_on(gateway) as load:
        await check(load, redis=redis, postgres=postgres, answers=answers)
    return load


@pytest.mark.process
@pytest.mark.timeout(240)
def test_what_is_killed_and_back_leaves_no_wrong_answer_and_no_row_out(
    upstream: RunningUpstream, redis: RedisServer, postgres: OwnPostgres, tmp_path: Path
) -> None:
    kill_and_restore(upstream, redis, postgres, tmp_path, answers=ANSWERS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_nor_after_a_long_time(
    upstream: RunningUpstream, redis: RedisServer, postgres: OwnPostgres, tmp_path: Path
) -> None:
    """`GATEWAY_OUTAGE_ANSWERS=2000 pytest -m soak`: each store is away for about a minute."""
    kill_and_restore(upstream, redis, postgres, tmp_path, answers=int(os.environ.get("GATEWAY_OUTAGE_ANSWERS", "2000")))


def kill_and_restore(
    upstream: RunningUpstream, redis: RedisServer, postgres: OwnPostgres, folder: Path, *, answers: int
) -> None:
    installation = Installation(var_dir=folder / "var", database_url=postgres.url).set_up().pointed_at(upstream.url)
    with gateway_process.start(prepared(installation), env={"REDIS_URL": redis.url, **PATIENT}) as gateway:
        load = asyncio.run(run(gateway, redis=redis, postgres=postgres, answers=answers))
    told = Counter(told for _, _, told in load.told)
    rows = installation.rows()
    assert Counter(row.session for row in rows) == Counter(load.asked.keys())
    assert Counter((row.outcome, row.status) for row in rows) == {("ok", 200): told[OK], ("error", 503): told[UNKNOWN]}
    assert installation.spool_folders == []
