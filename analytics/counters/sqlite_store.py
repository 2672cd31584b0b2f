"""The counters in one SQLite file, shared by all processes of a machine. Steps never wait but for the file's lock.

Owns transactions, threads and what a failure means; the steps themselves are `sqlite_limits`, `sqlite_money`,
`sqlite_rebuild` and `sqlite_register`, `sqlite_turns` gathers those of requests, the file is `sqlite_file`. A rebuild
reads other processes' spools itself: nothing is announced here.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from analytics.counters import sqlite_limits as limits
from analytics.counters import sqlite_money as money
from analytics.counters import sqlite_rebuild as rebuild
from analytics.counters import sqlite_register as registers
from analytics.counters.sqlite_file import CountersFile, Opened
from analytics.counters.sqlite_turns import Turns
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
from analytics.counters.store import StoreAway

LAPSED_A_CALL = 500
REST_S = 0.005
"""Between two transactions of a long work: requests of other processes get in."""
ACCOUNTS_AT_ONCE = 500
A_DAY_MS = 86_400_000

Answer = TypeVar("Answer")


def unix_ms() -> int:
    return time.time_ns() // 1_000_000


class SqliteStore:
    """A `Store`. One connection for all threads, one at a time: within a process SQLite would have them wait anyway."""

    is_local = True

    def __init__(self, path: Path, *, deadline_s: float = 0.05, clock: Callable[[], int] = unix_ms) -> None:
        self._file = CountersFile(path, deadline_s=deadline_s)
        self._deadline_s = deadline_s
        self._clock = clock
        self._mine = threading.Lock()
        self._turns = Turns(self._do)

    async def admit(self, step: Admit) -> Admitted:
        return await self._turns.take(lambda opened: _admit(opened.db, step, now=self._clock()))

    async def reserve(self, step: Reserve) -> Reserved:
        return await self._turns.take(lambda opened: _reserve(opened, step, now=self._clock()))

    def settle(self, step: Settle) -> asyncio.Future[Settled]:
        return self._turns.take(lambda opened: _settle(opened.db, step, now=self._clock()))

    async def aclose(self) -> None:
        """Nothing belongs to the loop alone."""

    def settle_now(self, steps: Sequence[Settle]) -> list[Settled]:
        return self._do(lambda opened: [_settle(opened.db, step, now=self._clock()) for step in steps])

    def pulse(self) -> Pulse:
        return self._do(lambda opened: rebuild.pulse(opened.db, life=opened.life, now=self._clock()))

    def lapse(self) -> list[str]:
        before_ms = self._clock() - A_DAY_MS
        while True:
            charged, ids = self._do(partial(_lapse, now=self._clock(), before_ms=before_ms))
            if charged < money.LAPSED_AT_ONCE:
                return ids
            before_ms = 0  # those that it has just charged are looked for at least once
            time.sleep(REST_S)

    def balances(self, names: Sequence[str]) -> dict[str, Balance]:
        return self._do(lambda opened: {} if _whole_since_ms(opened) is None else money.balances(opened.db, names))

    def missing(self, accounts: Sequence[Account]) -> list[Account]:
        return self._do(lambda opened: money.missing(opened.db, accounts, whole_since_ms=_whole_since_ms(opened)))

    def first(self, name: str) -> bool:
        return self._do(lambda opened: money.first(opened.db, name, now=self._clock()))

    def begin(self, token: str, *, ttl_ms: int) -> bool:
        return self._do(
            lambda opened: rebuild.begin(opened.db, token, ttl_ms=ttl_ms, life=opened.life, now=self._clock())
        )

    def renew(self, token: str, *, ttl_ms: int) -> bool:
        return self._do(lambda opened: rebuild.renew(opened.db, token, ttl_ms=ttl_ms, now=self._clock()))

    def announce(self, token: str, *, source: str, lines: Sequence[Line]) -> None:
        """All processes share the machine."""

    def announced(self, token: str) -> dict[str, list[Line]]:
        return {}

    def finish(self, token: str, rebuilt: Rebuilt) -> bool:
        *first, last = parts(rebuilt, at_most=ACCOUNTS_AT_ONCE)
        return all(self._finish(token, part, is_last=False) for part in first) and self._finish(
            token, last, is_last=True
        )

    def unknown(self, ids: Sequence[str]) -> list[str]:
        return self._do(lambda opened: money.unknown(opened.db, ids))

    def adopt(self, held: Sequence[Held], *, ttl_ms: int) -> None:
        self._do(lambda opened: rebuild.adopt(opened.db, held, ttl_ms=ttl_ms, life=opened.life, now=self._clock()))

    def registered(self, kind: str) -> dict[str, Entry]:
        return self._do(lambda opened: registers.registered(opened.db, kind, now=self._clock()))

    def register(self, kind: str, changes: Sequence[Change]) -> list[bool]:
        return self._do(lambda opened: registers.register(opened.db, kind, changes, now=self._clock()))

    def tidy(self) -> None:
        self._do(lambda opened: _tidy(opened.db, now=self._clock()))

    def _finish(self, token: str, part: Rebuilt, *, is_last: bool) -> bool:
        return self._do(
            lambda opened: rebuild.finish(opened.db, token, part, life=opened.life, now=self._clock(), is_last=is_last)
        )

    def close(self) -> None:
        with self._mine:
            self._file.close()

    def _do(self, work: Callable[[Opened], Answer]) -> Answer:
        """One transaction, all of it or nothing. Raises: StoreAway."""
        if not self._mine.acquire(timeout=self._deadline_s):
            raise StoreAway("another thread has the counters")
        try:
            opened = self._file.current()
            opened.db.execute("BEGIN IMMEDIATE")
            answer = work(opened)
            opened.db.execute("COMMIT")
        except BaseException as error:
            self._file.failed(error)
            if isinstance(error, sqlite3.Error):
                raise StoreAway(f"the counters' file failed: {error}") from error
            raise
        finally:
            self._mine.release()
        return answer


def _whole_since_ms(opened: Opened) -> int | None:
    if opened.whole_since_ms is None:
        opened.whole_since_ms = rebuild.whole_since_ms(opened.db, life=opened.life)
    return opened.whole_since_ms


def _admit(db: sqlite3.Connection, step: Admit, *, now: int) -> Admitted:
    return limits.admit_at_once(db, step, now=now) or limits.admit(db, step, now=now)


def _reserve(opened: Opened, step: Reserve, *, now: int) -> Reserved:
    whole_since_ms = _whole_since_ms(opened)
    if whole_since_ms is not None:
        at_once = money.reserve_at_once(opened.db, step, now=now)
        if at_once is not None:
            return at_once
    return money.reserve(opened.db, step, now=now, whole_since_ms=whole_since_ms)


def _settle(db: sqlite3.Connection, step: Settle, *, now: int) -> Settled:
    limits.give_back(db, step.id, slots=step.slots)
    if step.corrections:
        limits.correct(db, step.corrections, span_ms=step.span_ms, now=now)
    return Settled(()) if step.nano_usd is None else money.settle(db, step.id, nano_usd=step.nano_usd, now=now)


def _lapse(opened: Opened, *, now: int, before_ms: int) -> tuple[int, list[str]]:
    """How many it charged, and those to be looked for once there are no more."""
    if _whole_since_ms(opened) is None:
        return 0, []
    money.forget_lapsed(opened.db, before_ms=before_ms)
    charged = money.lapse(opened.db, now=now, at_most=money.LAPSED_AT_ONCE)
    if charged == money.LAPSED_AT_ONCE:
        return charged, []
    return charged, money.lapsed(opened.db, at_most=LAPSED_A_CALL, now=now)


def _tidy(db: sqlite3.Connection, *, now: int) -> None:
    limits.tidy(db, now=now)
    money.tidy(db, before_ms=now - A_DAY_MS)
    registers.tidy(db, now=now)
