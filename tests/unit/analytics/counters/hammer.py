"""A process at the counters' file, for tests of several.

Started as `python -m tests.unit.analytics.counters.hammer PATH spend|count NAME`. Takes steps until a line comes on its
standard input, then prints one JSON object of what it saw.
"""

from __future__ import annotations

import asyncio
import json
import select
import sys
from collections.abc import Iterator
from pathlib import Path

from analytics.counters.sqlite_store import SqliteStore
from analytics.counters.steps import NO_END, Account, Admit, Rate, Reserve, Settle
from analytics.counters.store import StoreAway

LIMIT = 1_000_000


def main() -> None:
    path, mode, name = sys.argv[1:]
    store = SqliteStore(Path(path), deadline_s=2)
    print("ready", flush=True)
    seen = spend(store, name=name) if mode == "spend" else count(store, name=name)
    print(json.dumps(seen), flush=True)


def spend(store: SqliteStore, *, name: str) -> dict[str, int]:
    """Reserves and settles on one account, and leaves nothing open."""
    account = Account("b1", LIMIT, True, 0, NO_END, False)
    spent = highest = 0
    for number in _until_told():
        id, cap = f"{name}-{number}", 5_000 + number % 7
        reserved = _now(store.reserve(Reserve(id, (cap,), (account,), 60_000)))
        balance = reserved.balances[0]
        highest = max(highest, balance.spent + balance.open)
        if reserved.granted is not None:
            spent += cap // 3
            store.settle_now([Settle(id, cap // 3), Settle(id, cap // 3)])
    return {"spent": spent, "highest": highest}


def count(store: SqliteStore, *, name: str) -> dict[str, int]:
    """Admits one request after the other under a rate of its own; told how many steps found the store away."""
    away = admitted = 0
    for number in _until_told():
        try:
            _now(store.admit(Admit(f"{name}-{number}", (Rate(name, LIMIT, 1),), (), 3_600_000, 60_000)))
            admitted += 1
        except StoreAway:
            away += 1
    # Told to stop after the last deletion: these it must find again, whoever opens the file.
    for number in range(50):
        _now(store.admit(Admit(f"{name}-{number}", (Rate(f"{name}-after", LIMIT, 1),), (), 3_600_000, 60_000)))
    return {"admitted": admitted, "away": away}


def _until_told() -> Iterator[int]:
    number = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        yield number
        number += 1


_now = asyncio.Runner().run


if __name__ == "__main__":
    main()
