"""Accounts and reservations in the SQLite store: plain functions within a transaction that the store began.

Does not know whether the store may be believed: `whole_since_ms` comes from the store, None when it may not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain

import msgspec

from analytics.counters.steps import Account, Balance, Reserve, Reserved, Settled

LAPSED_AT_ONCE = 200
"""So many are charged in one transaction at most: requests wait for it."""

NAMES_AT_ONCE = 500
"""SQLite takes no more than so many parameters everywhere (999 in older ones)."""

_NOTHING = Balance(0, 0)
_DUE = "SELECT id, cap, accounts FROM reservations WHERE lapsed=0 AND ends_ms<=? ORDER BY ends_ms LIMIT ?"
_CHARGE = "UPDATE accounts SET spent = spent + ?, open = open - ? WHERE name=?"
_LOOK = (
    "SELECT cap, accounts, lapsed, (SELECT min(ends_ms) FROM reservations WHERE lapsed=0) FROM (SELECT 1)"
    " LEFT JOIN reservations ON id=?"
)
_TAKE_OUT = (
    "DELETE FROM reservations WHERE id=?"
    " RETURNING cap, accounts, lapsed, EXISTS (SELECT 1 FROM meta WHERE rebuild <> '' AND rebuild_ends_ms > ?)"
)
_KEEP = (
    "INSERT INTO reservations (id, cap, accounts, ends_ms) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET cap = excluded.cap, accounts = excluded.accounts, ends_ms = max(ends_ms, excluded.ends_ms)"
)
_HOLD_AT_ONCE = (
    "UPDATE accounts SET open = open + ?1, ends_ms = max(ends_ms, ?5) WHERE name=?2 AND spent + open + ?1 <= ?3"
    " AND NOT EXISTS (SELECT 1 FROM reservations WHERE lapsed=0 AND ends_ms<=?4) RETURNING spent, open"
)
_KEEP_NEW = "INSERT OR IGNORE INTO reservations (id, cap, accounts, ends_ms) VALUES (?, ?, ?, ?)"
UNLIMITED = 1 << 62
_LATE = "INSERT OR IGNORE INTO late VALUES (?, ?, ?)"
_REBUILDING = "SELECT 1 FROM meta WHERE rebuild <> '' AND rebuild_ends_ms > ?"


def reserve_at_once(db: sqlite3.Connection, step: Reserve, *, now: int) -> Reserved | None:
    """The first cap in all accounts, in a statement each, where all have room and nothing is held for the id or due to
    lapse. None: nothing was done. The accounts must be known to be believed."""
    cap, balances = step.caps[0], []
    for account in step.accounts:
        most = UNLIMITED if account.limit is None else account.limit
        row = db.execute(_HOLD_AT_ONCE, (cap, account.name, most, now, account.ends_ms)).fetchone()
        if row is None:
            break
        balances.append(Balance(*row))
    else:
        kept = (step.id, cap, join(account.name for account in step.accounts), now + step.ttl_ms)
        if db.execute(_KEEP_NEW, kept).rowcount:
            return Reserved(0, None, (), tuple(balances))
    for account in step.accounts[: len(balances)]:
        db.execute(_CHARGE, (0, cap, account.name))
    return None


def reserve(db: sqlite3.Connection, step: Reserve, *, now: int, whole_since_ms: int | None) -> Reserved:
    held, names, is_lapsed, first_end_ms = db.execute(_LOOK, (step.id,)).fetchone()
    if first_end_ms is not None and first_end_ms <= now:
        lapse(db, now=now, at_most=LAPSED_AT_ONCE)
        held, names, is_lapsed, _ = db.execute(_LOOK, (step.id,)).fetchone()
    # One that lapsed is charged at its cap: no account may be asked for more in its name.
    known = {} if is_lapsed else _known(db, step.accounts, whole_since_ms=whole_since_ms)
    missing = tuple(place for place, account in enumerate(step.accounts) if account.name not in known)
    if not all(step.accounts[place].may_miss for place in missing):
        return Reserved(None, None, missing, ())
    if is_lapsed:
        return Reserved(0, None, missing, (_NOTHING,) * len(missing))
    reserved = _decide(db, step, known, held=held or 0, names=split(names or ""), now=now)
    return msgspec.structs.replace(reserved, missing=missing) if missing else reserved


def settle(db: sqlite3.Connection, id: str, *, nano_usd: int, now: int) -> Settled:
    taken = db.execute(_TAKE_OUT, (id, now)).fetchall()
    if not taken:
        if db.execute(_REBUILDING, (now,)).fetchone():
            db.execute(_LATE, (id, nano_usd, ""))
        return Settled(())
    cap, names, is_lapsed, is_rebuilding = taken[0]
    if is_rebuilding:
        # `finish` must not take it for open, nor add it where it is counted here.
        db.execute(_LATE, (id, nano_usd, names))
    spent, opened = (nano_usd - cap, 0) if is_lapsed else (nano_usd, cap)
    accounts = split(names)
    now_spent = dict(db.execute(_charge_all(len(accounts)), (spent, opened, *accounts)).fetchall())
    return Settled(tuple((name, now_spent[name]) for name in accounts if name in now_spent))


def lapse(db: sqlite3.Connection, *, now: int, at_most: int) -> int:
    """Charges reservations whose time is over at their caps, oldest first; returns how many."""
    due = db.execute(_DUE, (now, at_most)).fetchall()
    for id, cap, names in due:
        for name in split(names):
            db.execute(_CHARGE, (cap, cap, name))
        db.execute("UPDATE reservations SET lapsed = 1 WHERE id=?", (id,))
    return len(due)


def forget_lapsed(db: sqlite3.Connection, *, before_ms: int) -> None:
    """What those that ended before then are charged is theirs for good."""
    db.execute("DELETE FROM reservations WHERE lapsed>0 AND ends_ms < ?", (before_ms,))


def lapsed(db: sqlite3.Connection, *, at_most: int, now: int) -> list[str]:
    """Those to be looked for next."""
    found = db.execute("SELECT id FROM reservations WHERE lapsed>0 ORDER BY lapsed, ends_ms, id LIMIT ?", (at_most,))
    rows = found.fetchall()
    if len(rows) == at_most:  # others may wait behind them
        db.executemany("UPDATE reservations SET lapsed = ? WHERE id=?", [(now, id) for (id,) in rows])
    return [id for (id,) in rows]


def unknown(db: sqlite3.Connection, ids: Iterable[str]) -> list[str]:
    return [id for id in ids if db.execute("SELECT 1 FROM reservations WHERE id=?", (id,)).fetchone() is None]


def balances(db: sqlite3.Connection, names: Iterable[str]) -> dict[str, Balance]:
    wanted = list(names)
    found: dict[str, Balance] = {}
    for start in range(0, len(wanted), NAMES_AT_ONCE):
        some = wanted[start : start + NAMES_AT_ONCE]
        for name, spent, is_open in db.execute(_balances(len(some)), some):
            found[name] = Balance(spent, is_open)
    return found


def missing(db: sqlite3.Connection, accounts: Sequence[Account], *, whole_since_ms: int | None) -> list[Account]:
    known = _known(db, accounts, whole_since_ms=whole_since_ms)
    return [account for account in accounts if account.name not in known]


def first(db: sqlite3.Connection, name: str, *, now: int) -> bool:
    return db.execute("INSERT OR IGNORE INTO marks VALUES (?, ?)", (name, now)).rowcount == 1


def tidy(db: sqlite3.Connection, *, before_ms: int) -> None:
    """Forgets accounts that ended before then, and their marks."""
    db.execute("DELETE FROM accounts WHERE ends_ms < ?", (before_ms,))
    db.execute("DELETE FROM marks WHERE made_ms < ? AND name NOT IN (SELECT name FROM accounts)", (before_ms,))


def join(names: Iterable[str]) -> str:
    return "\n".join(names)


def split(names: str) -> list[str]:
    return names.split("\n") if names else []


def _known(db: sqlite3.Connection, accounts: Sequence[Account], *, whole_since_ms: int | None) -> dict[str, Balance]:
    """Without those that are missing."""
    if whole_since_ms is None:
        return {}
    found = balances(db, [account.name for account in accounts])
    if len(found) < len(accounts):
        for account in accounts:
            if account.may_begin and whole_since_ms <= account.starts_ms:
                found.setdefault(account.name, _NOTHING)
    return found


def _decide(
    db: sqlite3.Connection, step: Reserve, known: dict[str, Balance], *, held: int, names: list[str], now: int
) -> Reserved:
    before = [known.get(account.name) for account in step.accounts]
    own = [held if account.name in names else 0 for account in step.accounts]
    granted, refused = _choose(step, before, own=own, held=held)
    if granted is None:
        return Reserved(None, refused, (), tuple(balance or _NOTHING for balance in before))
    cap = max(held, step.caps[granted])
    _hold(db, step, cap=cap, held=held, names=names, known=known, now=now)
    after = tuple(Balance(b.spent, b.open + cap - mine) if b else _NOTHING for b, mine in zip(before, own, strict=True))
    return Reserved(granted, None, (), after)


def _choose(
    step: Reserve, balances: list[Balance | None], *, own: list[int], held: int
) -> tuple[int | None, int | None]:
    """Places of the granted cap and of the account that refuses; one of them is None. Those that miss are not asked."""
    granted = 0
    caps = tuple(max(cap, held) for cap in step.caps)  # one that is held is never lowered
    for place, (account, balance, mine) in enumerate(zip(step.accounts, balances, own, strict=True)):
        taken = 0 if balance is None else _first_taken(account, balance, caps=caps, own=mine)
        if taken is None:
            return None, place
        granted = max(granted, taken)
    return granted, None


def _first_taken(account: Account, balance: Balance, *, caps: tuple[int, ...], own: int) -> int | None:
    """Caps fall: whoever takes one takes those after it."""
    for place, cap in enumerate(caps if account.shorten else caps[:1]):
        more = cap - own
        # What is held already asks for nothing, even of an account that is over its limit by now.
        if account.limit is None or more <= 0 or balance.spent + balance.open + more <= account.limit:
            return place
    return None


def _hold(
    db: sqlite3.Connection,
    step: Reserve,
    *,
    cap: int,
    held: int,
    names: list[str],
    known: dict[str, Balance],
    now: int,
) -> None:
    ends = {account.name: account.ends_ms for account in step.accounts}
    rows = [(name, cap - held if name in names else cap, ends_ms) for name, ends_ms in ends.items() if name in known]
    if rows:
        db.execute(_hold_all(len(rows)), tuple(chain.from_iterable(rows)))
    # One cap holds in all accounts it stands in, those a later step does not name included.
    others = [name for name in names if name not in ends]
    for name in others:
        db.execute(_CHARGE, (0, held - cap, name))
    db.execute(_KEEP, (step.id, cap, join([*ends, *others]), now + step.ttl_ms))


@cache
def _balances(accounts: int) -> str:
    return f"SELECT name, spent, open FROM accounts WHERE name IN ({_marks(accounts)})"


@cache
def _hold_all(accounts: int) -> str:
    rows = ",".join(["(?,0,?,?)"] * accounts)
    return (
        f"INSERT INTO accounts VALUES {rows} ON CONFLICT DO UPDATE"
        " SET open = open + excluded.open, ends_ms = max(ends_ms, excluded.ends_ms)"
    )


@cache
def _charge_all(accounts: int) -> str:
    return (
        f"UPDATE accounts SET spent = spent + ?, open = open - ? WHERE name IN ({_marks(accounts)})"
        " RETURNING name, spent"
    )


def _marks(number: int) -> str:
    return ",".join("?" * number)
