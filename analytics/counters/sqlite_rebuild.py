"""Life and rebuilding of the SQLite store: plain functions within a transaction that the store began.

A file's life is its inode and the machine's boot: a copy put back, or a file that a power cut may have left behind the
ledger, is of another life, and nothing it says of money is believed until it was rebuilt.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from analytics.counters.sqlite_money import join, split
from analytics.counters.steps import Held, Pulse, Rebuilt

_ADD = "UPDATE accounts SET spent = spent + ?, open = open + ? WHERE name=?"
_KEEP = "INSERT OR IGNORE INTO reservations (id, cap, accounts, ends_ms) VALUES (?, ?, ?, ?)"
_MARK = "UPDATE meta SET rebuild = ?, rebuild_ends_ms = ?, began_ms = ?"


def whole_since_ms(db: sqlite3.Connection, *, life: str) -> int | None:
    row = db.execute("SELECT whole_since_ms FROM meta WHERE life=?", (life,)).fetchone()
    return None if row is None else row[0]


def pulse(db: sqlite3.Connection, *, life: str, now: int) -> Pulse:
    return Pulse(whole_since_ms(db, life=life), _marked(db, now=now))


def begin(db: sqlite3.Connection, token: str, *, ttl_ms: int, life: str, now: int) -> bool:
    if _marked(db, now=now):
        return False
    if whole_since_ms(db, life=life) is None:
        for table in ("accounts", "reservations", "marks", "meta"):
            db.execute(f"DELETE FROM {table}")
        db.execute("INSERT INTO meta (one, life) VALUES (1, ?)", (life,))
    db.execute("DELETE FROM late")
    db.execute(_MARK, (token, now + ttl_ms, now))
    return True


def renew(db: sqlite3.Connection, token: str, *, ttl_ms: int, now: int) -> bool:
    if not token or _marked(db, now=now) != token:
        return False
    db.execute("UPDATE meta SET rebuild_ends_ms = ?", (now + ttl_ms,))
    return True


def finish(db: sqlite3.Connection, token: str, rebuilt: Rebuilt, *, life: str, now: int, is_last: bool = True) -> bool:
    if not token or _marked(db, now=now) != token:
        return False
    db.executemany(
        "INSERT INTO accounts VALUES (?, ?, 0, ?) ON CONFLICT DO UPDATE SET spent = excluded.spent, open = 0",
        [(name, spent, ends_ms) for name, ends_ms, spent in rebuilt.spent],
    )
    anew = frozenset(name for name, _, _ in rebuilt.spent)
    for held in rebuilt.held:
        _take_in(db, held, anew=anew, ends_ms=now + rebuilt.ttl_ms)
    held_ids = frozenset(held.id for held in rebuilt.held)
    _add_late(db, anew=anew, held=held_ids)
    _open_again(db, anew=anew)
    _part(db, anew=anew, held=held_ids)
    if not is_last:
        return True
    db.execute(
        "UPDATE meta SET whole_since_ms = coalesce(whole_since_ms, began_ms), rebuild = '' WHERE life=?", (life,)
    )
    db.execute("DELETE FROM late")
    return True


def adopt(db: sqlite3.Connection, held: Sequence[Held], *, ttl_ms: int, life: str, now: int) -> None:
    if whole_since_ms(db, life=life) is None:
        return
    for one in held:
        if _keep(db, one, ends_ms=now + ttl_ms):
            for name in one.accounts:
                db.execute(_ADD, (0, one.cap, name))


def _keep(db: sqlite3.Connection, held: Held, *, ends_ms: int) -> bool:
    """Whether it is new."""
    row = (held.id, held.cap, join(held.accounts), ends_ms)
    return bool(db.execute(_KEEP, row).rowcount)


def _marked(db: sqlite3.Connection, *, now: int) -> str:
    row = db.execute("SELECT rebuild FROM meta WHERE rebuild_ends_ms > ?", (now,)).fetchone()
    return "" if row is None else str(row[0])


def _take_in(db: sqlite3.Connection, held: Held, *, anew: frozenset[str], ends_ms: int) -> None:
    """What is open in accounts made anew is added up later, by `_open_again`."""
    late = db.execute("SELECT nano_usd, accounts FROM late WHERE id=?", (held.id,)).fetchone()
    if late is not None:
        _add_where_lacking(db, held, anew=anew, counted_in=late[1], spent=late[0])
        return
    row = db.execute("SELECT cap, accounts, lapsed FROM reservations WHERE id=?", (held.id,)).fetchone()
    if row is None:
        _keep(db, held, ends_ms=ends_ms)
        for name in set(held.accounts) - anew:
            db.execute(_ADD, (0, held.cap, name))
        return
    cap, names, lapsed = row
    if lapsed:
        _add_where_lacking(db, held, anew=anew, counted_in=names, spent=cap)
    else:
        for name in set(held.accounts) - anew - set(split(names)):
            db.execute(_ADD, (0, cap, name))
    both = dict.fromkeys([*split(names), *held.accounts])
    db.execute("UPDATE reservations SET accounts = ? WHERE id=?", (join(both), held.id))


def _add_where_lacking(
    db: sqlite3.Connection, held: Held, *, anew: frozenset[str], counted_in: str, spent: int
) -> None:
    """To the accounts made anew, and to those that it was not counted in."""
    for name in set(held.accounts) - (set(split(counted_in)) - anew):
        db.execute(_ADD, (spent, 0, name))


def _add_late(db: sqlite3.Connection, *, anew: frozenset[str], held: frozenset[str]) -> None:
    """Those that were reserved while such an account was missing, and are settled by now."""
    for id, nano_usd, names in db.execute("SELECT id, nano_usd, accounts FROM late WHERE accounts <> ''").fetchall():
        if id not in held:
            for name in anew.intersection(split(names)):
                db.execute(_ADD, (nano_usd, 0, name))


def _open_again(db: sqlite3.Connection, *, anew: frozenset[str]) -> None:
    for cap, names in db.execute("SELECT cap, accounts FROM reservations WHERE lapsed=0").fetchall():
        for name in anew.intersection(split(names)):
            db.execute(_ADD, (0, cap, name))


def _part(db: sqlite3.Connection, *, anew: frozenset[str], held: frozenset[str]) -> None:
    """Lapsed reservations that the rebuild does not know as open are in its sums already, at what they cost: accounts
    made anew must not be corrected by them once more."""
    for id, names in db.execute("SELECT id, accounts FROM reservations WHERE lapsed>0").fetchall():
        kept = [name for name in split(names) if name not in anew]
        if id not in held and len(kept) < len(split(names)):
            db.execute("UPDATE reservations SET accounts = ? WHERE id=?", (join(kept), id))
