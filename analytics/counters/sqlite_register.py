"""Registers in the SQLite store: entries changed by compare-and-set. Each function is part of one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from analytics.counters.steps import NO_END, Change, Entry


def registered(db: sqlite3.Connection, kind: str, *, now: int) -> dict[str, Entry]:
    found = db.execute(
        "SELECT name, version, value FROM registers WHERE kind = ? AND ends_ms > ? AND name != ''", (kind, now)
    )
    return {name: Entry(version, bytes(value)) for name, version, value in found}


def register(db: sqlite3.Connection, kind: str, changes: Sequence[Change], *, now: int) -> list[bool]:
    return [_change(db, kind, change, now=now) for change in changes]


def tidy(db: sqlite3.Connection, *, now: int) -> None:
    db.execute("DELETE FROM registers WHERE ends_ms <= ?", (now,))


def _change(db: sqlite3.Connection, kind: str, change: Change, *, now: int) -> bool:
    if _version(db, kind, change.name, now=now) != change.known_version:
        return False
    if change.value is None:
        db.execute("DELETE FROM registers WHERE kind = ? AND name = ?", (kind, change.name))
        return True
    # By the clock, so that a store that was emptied gives none a second time; and counted on within a millisecond.
    version = max(now, _version(db, kind, "", now=now) + 1)
    for row in ((change.name, version, change.value, now + change.ttl_ms), ("", version, b"", NO_END)):
        db.execute("REPLACE INTO registers (kind, name, version, value, ends_ms) VALUES (?, ?, ?, ?, ?)", (kind, *row))
    return True


def _version(db: sqlite3.Connection, kind: str, name: str, *, now: int) -> int:
    found = db.execute(
        "SELECT version FROM registers WHERE kind = ? AND name = ? AND ends_ms > ?", (kind, name, now)
    ).fetchone()
    return found[0] if found else 0
