"""The stores under test, and short words for what is asked of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import NO_END, Account, Admit, Rate, Rebuilt, Reserve, Settle, Slots
from analytics.counters.store import Store

STORES = ["sqlite", "redis"]
NOON = 1_800_000_000_000
SPAN_MS = 12_800
"""A window of 128 buckets of 100 ms."""


@dataclass
class Clock:
    ms: int = NOON

    def __call__(self) -> int:
        return self.ms


def opener(
    kind: str, *, folder: Path, clock: Clock, server: Any
) -> tuple[Callable[[], Store], Callable[[], Awaitable[None]]]:
    """A function that opens one store again and again, and one that closes all of these."""
    opened: list[Store] = []

    def opens() -> Store:
        if kind == "sqlite":
            opened.append(SqliteStore(folder / "counters.sqlite3", deadline_s=5, clock=clock))
        else:
            from analytics.counters.redis_store import RedisStore

            opened.append(RedisStore(server.url, deadline_s=5, clock=clock))
        return opened[-1]

    async def close() -> None:
        for store in opened:
            await store.aclose()
            store.close()

    return opens, close


def make_whole(store: Store, *spent: tuple[str, int]) -> None:
    assert store.begin("made whole", ttl_ms=1_000)
    rows = tuple((name, NO_END, nano_usd) for name, nano_usd in spent)
    assert store.finish("made whole", Rebuilt(rows, (), ttl_ms=1_000))


def admit(id="r1", *, limit=10, cost=1, rates=None, slots=(), span_ms=SPAN_MS, ttl_ms=60_000):
    if rates is None:
        rates = (Rate("k1:requests", limit, cost),)
    return Admit(id, rates, slots, span_ms, ttl_ms)


def place(id="r1", *, limit=1, ttl_ms=60_000):
    return Admit(id, (), (Slots("k1:slots", limit),), SPAN_MS, ttl_ms)


def account(
    name="b1", *, limit=100, shorten=True, starts_ms=NOON + 1_000, ends_ms=NO_END, may_begin=True, may_miss=False
):
    return Account(name, limit, shorten, starts_ms, ends_ms, may_begin, may_miss)


def reserve(id="r1", *caps, accounts=None, ttl_ms=60_000):
    return Reserve(id, caps or (40,), (account(),) if accounts is None else tuple(accounts), ttl_ms)


def settle(id="r1", nano_usd=10):
    return Settle(id, nano_usd)


def lose(kind: str, *, folder: Path, server: Any) -> None:
    """Somebody deletes the file, or sends FLUSHALL."""
    if kind == "sqlite":
        for file in folder.glob("counters.sqlite3*"):
            file.unlink()
    else:
        server.flush()
