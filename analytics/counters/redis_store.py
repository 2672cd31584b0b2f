"""The counters in Redis, shared by all processes of all machines: one Lua script a step.

Owns which way a step goes: those of a request through the loop's pipe, all others through connections of their own,
from any thread. What the steps do is in `lua/`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis
from redis.connection import ConnectionPool
from redis.exceptions import NoScriptError

from analytics.counters import redis_steps as words
from analytics.counters.redis_link import FAILURES, Call, Connection, Link
from analytics.counters.redis_pipe import Pipe
from analytics.counters.steps import (
    Account,
    Admit,
    Admitted,
    Balance,
    Change,
    Entry,
    Held,
    Line,
    Pulse,
    Rebuilt,
    Reserve,
    Reserved,
    Settle,
    Settled,
    parts,
)

REBUILD_WITHIN_S = 2.0
A_DAY_MS = 86_400_000
SETTLED_AT_ONCE = 500
ACCOUNTS_AT_ONCE = 500


class RedisStore:
    """A `Store`. Raises: ValueError when `url` is none of a Redis server."""

    is_local = False

    def __init__(
        self, url: str, *, deadline_s: float = 0.05, clock: Callable[[], int] | None = None, prefix: str = "agw"
    ) -> None:
        """`clock`: milliseconds, in place of Redis' own."""
        self._link = Link(url)
        self._clock = clock
        self._keys = words.Keys(prefix)
        self._pipe = Pipe(self._link, scripts=words.HOT, deadline_s=deadline_s, clock=clock)
        self._pool = self._link.pool(timeout_s=deadline_s)
        self._patient = self._link.pool(timeout_s=max(deadline_s, REBUILD_WITHIN_S))

    async def admit(self, step: Admit) -> Admitted:
        return words.admitted(await self._pipe.ask(words.admit(self._keys, step)))

    async def reserve(self, step: Reserve) -> Reserved:
        return words.reserved(await self._pipe.ask(words.reserve(self._keys, step)))

    def settle(self, step: Settle) -> asyncio.Future[Settled]:
        return asyncio.get_running_loop().create_task(self._settle(step))

    async def _settle(self, step: Settle) -> Settled:
        return words.settled(await self._pipe.ask(words.settle(self._keys, step)))

    async def aclose(self) -> None:
        await self._pipe.aclose()

    def settle_now(self, steps: Sequence[Settle]) -> list[Settled]:
        calls = [words.settle(self._keys, step) for step in steps]
        answers: list[Any] = []
        for start in range(0, len(calls), SETTLED_AT_ONCE):
            answers += self._ask_all(self._pool, calls[start : start + SETTLED_AT_ONCE])
        return [words.settled(answer) for answer in answers]

    def pulse(self) -> Pulse:
        return words.pulsed(self._ask(words.pulse(self._keys)))

    def lapse(self) -> list[str]:
        before_ms = self._a_day_ago()
        while True:
            charged, *ids = self._ask(words.lapse(self._keys, before_ms=before_ms))
            before_ms = 0  # those that it has just charged are looked for at least once
            if charged < words.LAPSED_AT_ONCE:
                return [id.decode() for id in ids]

    def balances(self, names: Sequence[str]) -> dict[str, Balance]:
        return words.balances_of(names, self._ask(words.balances(self._keys, names)))

    def missing(self, accounts: Sequence[Account]) -> list[Account]:
        names = [account.name for account in accounts]
        return words.missing_of(accounts, self._ask(words.balances(self._keys, names), patiently=True))

    def first(self, name: str) -> bool:
        return bool(self._ask(words.first(self._keys, name)))

    def begin(self, token: str, *, ttl_ms: int) -> bool:
        return bool(self._ask(words.begin(self._keys, token, ttl_ms=ttl_ms), patiently=True))

    def renew(self, token: str, *, ttl_ms: int) -> bool:
        return bool(self._ask(words.renew(self._keys, token, ttl_ms=ttl_ms), patiently=True))

    def announce(self, token: str, *, source: str, lines: Sequence[Line]) -> None:
        self._ask(words.announce(self._keys, token, source=source, lines=lines), patiently=True)

    def announced(self, token: str) -> dict[str, list[Line]]:
        return words.announced_by(self._ask(words.announced(self._keys, token), patiently=True))

    def finish(self, token: str, rebuilt: Rebuilt) -> bool:
        *first, last = parts(rebuilt, at_most=ACCOUNTS_AT_ONCE)
        calls = [words.finish(self._keys, token, part, is_last=False) for part in first]
        calls.append(words.finish(self._keys, token, last, is_last=True))
        return all(self._ask(call, patiently=True) for call in calls)

    def unknown(self, ids: Sequence[str]) -> list[str]:
        known = self._ask(words.unknown(self._keys, ids), patiently=True)
        return [id for id, is_known in zip(ids, known, strict=True) if not is_known]

    def adopt(self, held: Sequence[Held], *, ttl_ms: int) -> None:
        self._ask(words.adopt(self._keys, held, ttl_ms=ttl_ms), patiently=True)

    def registered(self, kind: str) -> dict[str, Entry]:
        return words.entries(self._ask(words.registered(self._keys, kind)))

    def register(self, kind: str, changes: Sequence[Change]) -> list[bool]:
        return [bool(done) for done in self._ask(words.register(self._keys, kind, changes))]

    def tidy(self) -> None:
        before_ms = self._a_day_ago()
        for names in self._ended(before_ms=before_ms):
            self._ask(words.tidy(self._keys, names, before_ms=before_ms), patiently=True)

    def close(self) -> None:
        self._pool.disconnect()
        self._patient.disconnect()

    def _a_day_ago(self) -> int:
        return (int(time.time() * 1000) if self._clock is None else self._clock()) - A_DAY_MS

    def _ended(self, *, before_ms: int) -> Iterator[list[str]]:
        """Names of accounts that may be forgotten, a few hundred at a time, at least once."""
        client: Any = redis.Redis(connection_pool=self._patient)
        cursor = 0
        while True:
            try:
                cursor, fields = client.hscan(self._keys.money[0], cursor, count=500)
            except FAILURES as error:
                raise self._link.away(error) from None
            yield sorted(
                {
                    field[2:].decode()
                    for field, value in fields.items()
                    if field[:2] in (b"e:", b"f:") and int(value) < before_ms
                }
            )
            if cursor == 0:
                return

    def _ask(self, call: Call, *, patiently: bool = False) -> Any:
        return self._ask_all(self._patient if patiently else self._pool, [call])[0]

    def _ask_all(self, pool: ConnectionPool, calls: Sequence[Call]) -> list[Any]:
        """Raises: StoreAway."""
        try:
            connection: Connection = pool.get_connection()
            try:
                return self._exchange(connection, calls)
            except BaseException:
                connection.disconnect()
                raise
            finally:
                pool.release(connection)
        except FAILURES as error:
            raise self._link.away(error) from None

    def _exchange(self, connection: Connection, calls: Sequence[Call]) -> list[Any]:
        run_id = self._link.run_id(connection)
        self._send(connection, "EVALSHA", calls, run_id)
        answers = [_read(connection) for _ in calls]
        unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if unknown:
            self._send(connection, "EVAL", [calls[place] for place in unknown], run_id)
            for place in unknown:
                answers[place] = _read(connection)
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
        return answers

    def _send(self, connection: Connection, command: str, calls: Sequence[Call], run_id: str) -> None:
        now = "" if self._clock is None else self._clock()
        packed: list[bytes] = []
        for call in calls:
            script = call.script.sha if command == "EVALSHA" else call.script.body
            packed += connection.pack_command(command, script, len(call.keys), *call.keys, now, run_id, *call.args)
        connection.send_packed_command(packed)


def _read(connection: Connection) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:  # the answers to the others follow
        return error
