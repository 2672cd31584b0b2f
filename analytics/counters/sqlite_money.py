"""Accounts and reservations in the SQLite store: plain functions within a transaction that the store began.

Does not know whether the store may be believed: `whole_since_ms` comes from the store, None when it may not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from analytics.counters.steps import Account, Balance, Reserve, Reserved, Settle, Settled

LAPSED_AT_ONCE = 200
"""So many are charged by one `reserve` at most: it is on a request's way."""

_NOTHING = Balance(0, 0)
_BALANCE = "SELECT spent, open FROM accounts WHERE name=?"
_DUE = "SELECT id, cap, accounts FROM reservations WHERE lapsed=0 AND ends_ms<=? ORDER BY ends_ms LIMIT ?"
_CHARGE = "UPDATE accounts SET spent = spent + ?, open = open - ? WHERE name=?"
_RESERVATION = "SELECT cap, accounts, lapsed FROM reservations WHERE id=?"
_HOLD = "INSERT INTO accounts VALUES (?1, 0, ?2, ?3) ON CONFLICT DO UPDATE SET open = open + ?2"
_KEEP = (
    "INSERT INTO reservations (id, cap, accounts, ends_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET cap = excluded.cap, accounts = excluded.accounts, ends_ms = max(ends_ms, excluded.ends_ms)"
)
_REBUILDING = "SELECT 1 FROM meta WHERE rebuild <> '' AND rebuild_ends_ms > ?"


def reserve(db: sqlite3.Connection, step: Reserve, *, now: int, whole_since_ms: int | None) -> Reserved:
    lapse(db, now=now, at_most=LAPSED_AT_ONCE)
    row = db.execute(_RESERVATION, (step.id,)).fetchone()
    balances = [_balance(db, account, whole_since_ms=whole_since_ms) for account in step.accounts]
    if row is not None and row[2]:  # charged at its cap: no account may be asked for more in its name
        missing = tuple(range(len(step.accounts)))
    else:
        missing = tuple(place for place, balance in enumerate(balances) if balance is None)
    if missing:
        return Reserved(None, None, missing, ())
    known = [balance or _NOTHING for balance in balances]
    held, names = (row[0], split(row[1])) if row is not None else (0, [])
    own = [held if account.name in names else 0 for account in step.accounts]
    granted, refused = _choose(step, known, own=own)
    if granted is not None:
        cap = max(held, step.caps[granted])
        _hold(db, step, cap=cap, held=held, names=names, now=now)
        known = [Balance(b.spent, b.open + cap - o) for b, o in zip(known, own, strict=True)]
    return Reserved(granted, refused, (), tuple(known))


def settle(db: sqlite3.Connection, step: Settle, *, now: int) -> Settled:
    """The money of it."""
    row = db.execute(_RESERVATION, (step.id,)).fetchone()
    if db.execute(_REBUILDING, (now,)).fetchone():
        # `finish` must not take it for open; and not add it where it is counted here.
        counted_in = "" if row is None else row[1]
        db.execute("INSERT OR IGNORE INTO late VALUES (?, ?, ?)", (step.id, step.nano_usd, counted_in))
    if row is None:
        return Settled(False, ())
    cap, names, lapsed = row
    charge = ((step.nano_usd or 0) - cap, 0) if lapsed else (step.nano_usd or 0, cap)
    spent = []
    for name in split(names):
        db.execute(_CHARGE, (*charge, name))
        found = db.execute(_BALANCE, (name,)).fetchone()
        if found is not None:
            spent.append((name, found[0]))
    db.execute("DELETE FROM reservations WHERE id=?", (step.id,))
    return Settled(True, tuple(spent))


def lapse(db: sqlite3.Connection, *, now: int, at_most: int) -> None:
    """Charges reservations whose time is over at their caps, oldest first."""
    for id, cap, names in db.execute(_DUE, (now, at_most)).fetchall():
        for name in split(names):
            db.execute(_CHARGE, (cap, cap, name))
        db.execute("UPDATE reservations SET lapsed = 1 WHERE id=?", (id,))


def lapsed(db: sqlite3.Connection, *, at_most: int) -> list[str]:
    found = db.execute("SELECT id FROM reservations WHERE lapsed=1 ORDER BY ends_ms, id LIMIT ?", (at_most,))
    return [id for (id,) in found]


def balances(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, Balance]:
    found = {name: db.execute(_BALANCE, (name,)).fetchone() for name in names}
    return {name: Balance(*row) for name, row in found.items() if row is not None}


def missing(db: sqlite3.Connection, accounts: Sequence[Account], *, whole_since_ms: int | None) -> list[Account]:
    return [account for account in accounts if _balance(db, account, whole_since_ms=whole_since_ms) is None]


def first(db: sqlite3.Connection, name: str, *, now: int) -> bool:
    return db.execute("INSERT OR IGNORE INTO marks VALUES (?, ?)", (name, now)).rowcount == 1


def tidy(db: sqlite3.Connection, *, before_ms: int) -> None:
    """Forgets accounts that ended before then, and what is left of them."""
    db.execute("DELETE FROM accounts WHERE ends_ms < ?", (before_ms,))
    db.execute("DELETE FROM marks WHERE made_ms < ? AND name NOT IN (SELECT name FROM accounts)", (before_ms,))
    held = {name for (name,) in db.execute("SELECT name FROM accounts")}
    old = db.execute("SELECT id, accounts FROM reservations WHERE lapsed=1 AND ends_ms < ?", (before_ms,)).fetchall()
    gone = [(id,) for id, names in old if held.isdisjoint(split(names))]
    db.executemany("DELETE FROM reservations WHERE id=?", gone)


def join(names: Iterable[str]) -> str:
    return "\n".join(names)


def split(names: str) -> list[str]:
    return names.split("\n") if names else []


def _balance(db: sqlite3.Connection, account: Account, *, whole_since_ms: int | None) -> Balance | None:
    """None: it is missing."""
    if whole_since_ms is None:
        return None
    row = db.execute(_BALANCE, (account.name,)).fetchone()
    if row is not None:
        return Balance(*row)
    return _NOTHING if account.may_begin and whole_since_ms <= account.starts_ms else None


def _choose(step: Reserve, balances: list[Balance], *, own: list[int]) -> tuple[int | None, int | None]:
    """Places of the granted cap and of the account that refuses; one of them is None."""
    granted = 0
    for place, (account, balance, held) in enumerate(zip(step.accounts, balances, own, strict=True)):
        taken = _first_taken(account, balance, caps=step.caps, held=held)
        if taken is None:
            return None, place
        granted = max(granted, taken)
    return granted, None


def _first_taken(account: Account, balance: Balance, *, caps: tuple[int, ...], held: int) -> int | None:
    """Caps fall: whoever takes one takes those after it."""
    for place, cap in enumerate(caps if account.shorten else caps[:1]):
        more = cap - held
        # What is held already asks for nothing, even of an account that is over its limit by now.
        if account.limit is None or more <= 0 or balance.spent + balance.open + more <= account.limit:
            return place
    return None


def _hold(db: sqlite3.Connection, step: Reserve, *, cap: int, held: int, names: list[str], now: int) -> None:
    ends = {account.name: account.ends_ms for account in step.accounts}
    for name, ends_ms in ends.items():
        db.execute(_HOLD, (name, cap - held if name in names else cap, ends_ms))
    # One cap holds in all accounts it stands in, those a later step does not name included.
    others = [name for name in names if name not in ends]
    for name in others:
        db.execute(_CHARGE, (0, held - cap, name))
    db.execute(_KEEP, (step.id, cap, join([*ends, *others]), now + step.ttl_ms))
