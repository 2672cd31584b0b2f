"""Rates and places in the SQLite store: plain functions within a transaction that the store began.

A window is a ring of 128 buckets (of a millisecond at least) and one more: requests reach a vendor a little later than
they are admitted, so what was counted stays for a whole bucket longer than the window is.

What is counted in the newest bucket stands in the rate's head, beside the sum of those before it: as long as a bucket
lasts, counting is one statement. Every other step spills the head into its bucket first, and sums up anew.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from itertools import chain

from analytics.counters.steps import Admit, Admitted, Correct, Rate, RateState

BUCKETS = 128
SLACK = 1

_OLDEST = "SELECT bucket, used FROM rates WHERE name=? AND span_ms=? AND bucket>=? AND used > 0 ORDER BY bucket"
_CORRECT = "INSERT INTO rates VALUES (?1, ?2, ?3, max(0, ?4)) ON CONFLICT DO UPDATE SET used = max(0, used + ?4)"
_COUNT_AT_ONCE = (
    "UPDATE heads SET used = used + ?1 WHERE name=?2 AND span_ms=?3 AND bucket=?4 AND before + used + ?1 <= ?5"
    " RETURNING before + used"
)
_SPILL = (
    "INSERT INTO rates SELECT name, span_ms, bucket, used FROM heads WHERE name=? AND span_ms=? AND used > 0"
    " ON CONFLICT DO UPDATE SET used = used + excluded.used"
)
_SPILT = "DELETE FROM heads WHERE name=? AND span_ms=?"
_TAKE_OUT = "DELETE FROM rates WHERE name=? AND span_ms=? AND bucket=? RETURNING used"
_HEAD = "INSERT INTO heads VALUES (?, ?, ?, ?, ?)"
_CORRECT_HEAD = "UPDATE heads SET used = max(0, used + ?) WHERE name=? AND span_ms=? AND bucket=?"
_CORRECT_SUM = "UPDATE heads SET before = max(0, before + ?1) WHERE name=?2 AND span_ms=?3 AND bucket - ?5 <= ?4"
_OTHERS = "SELECT count(*) FROM slots WHERE name=? AND ends_ms>? AND id<>?"
_PLACE = "INSERT INTO slots VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET ends_ms = excluded.ends_ms"
_GIVE_BACK = "DELETE FROM slots WHERE name=? AND id=?"


class Window:
    """Where in a sliding window of `span_ms` the moment `now` is."""

    __slots__ = ("buckets", "current", "now", "oldest", "span_ms")

    def __init__(self, span_ms: int, *, now: int) -> None:
        self.span_ms = span_ms
        self.now = now
        self.buckets = min(BUCKETS, span_ms)
        # A bucket need not be a whole number of milliseconds: rounded, 128 of them would be shorter than the window,
        # or so much longer that too little of the limit could be used.
        self.current = now * self.buckets // span_ms
        self.oldest = self.current - self.buckets - SLACK

    def leaves_in_ms(self, bucket: int) -> int:
        first_without = bucket + self.buckets + SLACK + 1
        return -(-first_without * self.span_ms // self.buckets) - self.now


def admit_at_once(db: sqlite3.Connection, step: Admit, *, now: int) -> Admitted | None:
    """In one statement and without a transaction, where that is all it takes: a single rate that has room, and whose
    newest bucket is that of now. None: nothing was done."""
    if len(step.rates) != 1 or step.slots or not step.rates[0].cost:
        return None
    (rate,), window = step.rates, Window(step.span_ms, now=now)
    row = db.execute(_COUNT_AT_ONCE, (rate.cost, rate.name, step.span_ms, window.current, rate.limit)).fetchone()
    if row is None:
        return None
    return Admitted(None, 0, window.current, (RateState(row[0], window.leaves_in_ms(window.current)),))


def admit(db: sqlite3.Connection, step: Admit, *, now: int) -> Admitted:
    window = Window(step.span_ms, now=now)
    for rate in step.rates:
        db.execute(_SPILL, (rate.name, step.span_ms))
        db.execute(_SPILT, (rate.name, step.span_ms))
    found = _used(db, step.rates, window)
    full = [place for place, rate in enumerate(step.rates) if found[place][0] + rate.cost > rate.limit]
    refused, retry_ms = (full[0], 0) if full else (_full_slot(db, step, now=now), 0)
    if full:
        waits = [_wait_ms(db, step.rates[place], window, used=found[place][0]) for place in full]
        retry_ms = -1 if -1 in waits else max(waits)
    if refused is None:
        _count(db, step, window)
        for rate, (used, _) in zip(step.rates, found, strict=True):
            _make_head(db, rate.name, window, used=used + rate.cost)
    states = tuple(
        _state(rate, window, used=used, newest=newest, granted=refused is None)
        for rate, (used, newest) in zip(step.rates, found, strict=True)
    )
    return Admitted(refused, retry_ms, window.current, states)


def give_back(db: sqlite3.Connection, id: str, *, slots: tuple[str, ...]) -> None:
    for name in slots:
        db.execute(_GIVE_BACK, (name, id))


def correct(db: sqlite3.Connection, corrections: tuple[Correct, ...], *, span_ms: int, now: int) -> None:
    window = Window(span_ms, now=now)
    for name, bucket, by in ((one.name, one.bucket, one.by) for one in corrections):
        if bucket >= window.oldest and not db.execute(_CORRECT_HEAD, (by, name, span_ms, bucket)).rowcount:
            db.execute(_CORRECT, (name, span_ms, bucket, by))
            db.execute(_CORRECT_SUM, (by, name, span_ms, bucket, window.buckets + SLACK))


def tidy(db: sqlite3.Connection, *, now: int) -> None:
    db.execute("DELETE FROM slots WHERE ends_ms <= ?", (now,))
    spans = [span_ms for (span_ms,) in db.execute("SELECT span_ms FROM rates UNION SELECT span_ms FROM heads")]
    for span_ms in spans:
        window = Window(span_ms, now=now)
        # Buckets of the future are left from a clock that went wrong and was put right: they would refuse for long.
        within = (span_ms, window.oldest, window.current + window.buckets)
        db.execute("DELETE FROM rates WHERE span_ms = ? AND NOT bucket BETWEEN ? AND ?", within)
        db.execute("DELETE FROM heads WHERE span_ms = ? AND NOT bucket BETWEEN ? AND ?", within)


def _make_head(db: sqlite3.Connection, name: str, window: Window, *, used: int) -> None:
    """`used` in the whole window."""
    newest = sum(found for (found,) in db.execute(_TAKE_OUT, (name, window.span_ms, window.current)).fetchall())
    db.execute(_HEAD, (name, window.span_ms, window.current, newest, used - newest))


def _used(db: sqlite3.Connection, rates: tuple[Rate, ...], window: Window) -> list[tuple[int, int | None]]:
    """How much of each, and the newest bucket it is in."""
    names = [rate.name for rate in rates]
    rows = db.execute(_sums(len(names)), (window.span_ms, window.oldest, *names))
    found = {name: (used, newest) for name, used, newest in rows}
    return [found.get(name, (0, None)) for name in names]


def _full_slot(db: sqlite3.Connection, step: Admit, *, now: int) -> int | None:
    for place, slot in enumerate(step.slots, start=len(step.rates)):
        if db.execute(_OTHERS, (slot.name, now, step.id)).fetchone()[0] >= slot.limit:
            return place
    return None


def _wait_ms(db: sqlite3.Connection, rate: Rate, window: Window, *, used: int) -> int:
    """Until enough has left; -1 when nothing that leaves is enough."""
    too_many = used + rate.cost - rate.limit
    for bucket, counted in db.execute(_OLDEST, (rate.name, window.span_ms, window.oldest)):
        too_many -= counted
        if too_many <= 0:
            return window.leaves_in_ms(bucket)
    return -1


def _count(db: sqlite3.Connection, step: Admit, window: Window) -> None:
    if step.rates:
        rows = [(rate.name, step.span_ms, window.current, rate.cost) for rate in step.rates]
        db.execute(_count_all(len(rows)), tuple(chain.from_iterable(rows)))
    for slot in step.slots:
        db.execute(_PLACE, (slot.name, step.id, window.now + step.ttl_ms))


def _state(rate: Rate, window: Window, *, used: int, newest: int | None, granted: bool) -> RateState:
    if granted and rate.cost > 0:
        used, newest = used + rate.cost, max(newest or 0, window.current)
    return RateState(used, 0 if newest is None else window.leaves_in_ms(newest))


@cache
def _sums(rates: int) -> str:
    return (
        "SELECT name, sum(used), max(CASE WHEN used > 0 THEN bucket END) FROM rates"
        f" WHERE span_ms=? AND bucket>=? AND name IN ({','.join('?' * rates)}) GROUP BY name"
    )


@cache
def _count_all(rates: int) -> str:
    rows = ",".join(["(?,?,?,?)"] * rates)
    return f"INSERT INTO rates VALUES {rows} ON CONFLICT DO UPDATE SET used = used + excluded.used"
