"""Puts usage rows into the ledger, each exactly once, and finds them again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet

from analytics import bulk, horizon, ids, partitions, rollups
from analytics.models import UsageRecord
from analytics.types import UsageRow
from providers import sqlite_file

Row = TypeVar("Row")

ON_ITS_WAY = timedelta(seconds=5)
"""A request younger than this may still be in the spool."""
_LOOK_AGAIN_S = 0.05


def insert(rows: Sequence[UsageRow]) -> None:
    """Adds the rows that are not there yet and counts them in the roll-ups, all or none. A row already there stays as
    it is and is counted no second time: replay is harmless.

    Raises: what the database raises; OperationalError too when SQLite's file vanished before the rows were safe in it;
    ValueError and OverflowError for a cost that is no number; RowsAreGone for a row of a time that was dropped, as
    nobody can tell whether it was among what was dropped.
    """
    if not rows:
        return
    unique = {row.id: row for row in reversed(rows)}  # of two with the same id the first one counts
    sqlite_file.require(connection)
    with transaction.atomic():
        horizon.share()
        _refuse_dropped(unique.values())
        partitions.ensure(row.started_at for row in unique.values())
        # In one order whoever inserts, so that two who insert the same rows wait for each other rather than for good.
        ordered = sorted(unique.values(), key=lambda row: row.id.int)
        fresh = bulk.insert_new(UsageRecord, columns(), ordered)
        rollups.add(rollups.tally(unique[one] for one in fresh))
    sqlite_file.require(connection)


def _refuse_dropped(rows: Iterable[UsageRow]) -> None:
    rows_from = horizon.current().rows_from
    if any(row.started_at < rows_from for row in rows):
        raise horizon.RowsAreGone(f"Of a time whose rows were dropped: the ledger begins at {rows_from:%Y-%m-%d} UTC.")


def find(request_id: UUID, *, among: QuerySet[UsageRecord], wait_s: float = 0.0) -> UsageRecord | None:
    """The row of a request, out of the rows `among` (what the asker may see). Looks again for up to `wait_s` seconds
    while the request is so young that its row may still be on its way."""
    started_at = ids.started_at(request_id)
    rows = among.filter(id=request_id, started_at=started_at)
    return once_there(rows.first, request_id=request_id, wait_s=wait_s)


def once_there(look: Callable[[], Row | None], *, request_id: UUID, wait_s: float) -> Row | None:
    """What `look` finds of a request; it looks again for up to `wait_s` seconds while the request is young."""
    until = time.monotonic() + wait_s
    started_at = ids.started_at(request_id)
    while True:
        row = look()
        is_young = datetime.now(UTC) - started_at < ON_ITS_WAY
        if row is not None or not is_young or time.monotonic() >= until:
            return row
        time.sleep(_LOOK_AGAIN_S)


def columns() -> tuple[str, ...]:
    return UsageRow.__struct_fields__
