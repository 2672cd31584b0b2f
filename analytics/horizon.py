"""How far back the ledger and its roll-ups reach: rows before one moment were dropped, and before another roll-ups may
lack some. Who inserts reads it in the same transaction, who moves it keeps everybody from inserting meanwhile.

Does not drop and does not count: `analytics.retention` and `analytics.recounting` do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from django.db import connection

from analytics.models import LedgerSpan
from analytics.series import DAY, MINUTES_KEPT, QUARTERS_KEPT, ceiling, floor

LOCK = 0x726F6C6C
"""Advisory lock in PostgreSQL: who adds rows shares it, who counts a time anew or moves the horizon holds it alone."""
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


class Horizon(NamedTuple):
    rows_from: datetime
    """Rows before this were dropped."""
    counted_from: datetime
    """Roll-ups before this may lack rows."""


class RowsAreGone(ValueError):
    """Something was asked of a time whose rows were dropped; the message says since when there are rows."""


def current() -> Horizon:
    """By plain SQL: each batch of rows asks, and composing a query takes longer than a row's insert."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT rows_from, counted_from FROM {LedgerSpan._meta.db_table}")
        rows_from, counted_from = cursor.fetchone() or (None, None)
    return Horizon(_moment(rows_from), _moment(counted_from))


def _moment(found: datetime | None) -> datetime:
    if found is None:
        return _ALWAYS
    return found if found.tzinfo else found.replace(tzinfo=UTC)  # SQLite keeps it without


def share() -> None:
    """Call before rows are inserted: nobody counts the same time anew, or drops it, until the transaction ends."""
    _lock("pg_advisory_xact_lock_shared")


def hold() -> None:
    """Waits for those who insert, and keeps others from it until the transaction ends."""
    _lock("pg_advisory_xact_lock")


def drop_before(moment: datetime) -> None:
    """Notes that rows before this are gone, or will be in a moment. In the caller's transaction."""
    hold()
    LedgerSpan.objects.update_or_create(id=1, defaults={"rows_from": max(moment, current().rows_from)})


def counted_since(moment: datetime | None) -> None:
    """Notes since when roll-ups hold every row; None: always."""
    LedgerSpan.objects.update_or_create(id=1, defaults={"counted_from": moment})


def day_of(moment: datetime) -> datetime:
    """When the UTC day of a moment begins."""
    return floor(moment, DAY)


def minutes_from(now: datetime) -> datetime:
    """Since when there are roll-ups of minutes."""
    return day_of(now - MINUTES_KEPT)


def quarters_from(now: datetime) -> datetime:
    return day_of(now - QUARTERS_KEPT)


def whole_days_from(moment: datetime) -> datetime:
    """The first UTC day that begins at or after a moment."""
    return ceiling(moment, DAY)


def _lock(function: str) -> None:
    if connection.vendor == "postgresql":  # SQLite has one writer at a time anyway
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {function}(%s)", [LOCK])
