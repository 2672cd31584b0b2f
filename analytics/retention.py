"""Drops what is older than is kept: rows of the ledger by `keep_days`, roll-ups of minutes and quarters by their own
ages, bodies of requests by their projects' `bodies_days`. Roll-ups of days stay for good. Makes the ledger's partitions
of the months to come on the way.

First the horizon is moved: from then on no row of that time is inserted, and none of it is counted anew. Then the rows
go, in PostgreSQL with their month's partition, elsewhere a few thousand at a time with pauses for other writers. What a
deadline or another's lock leaves is dropped the next time.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from analytics import audit, horizon, partitions
from analytics.models import Project, RequestBody, UsageRecord, UsageRollup
from analytics.series import DAY, MINUTE, Grain

logger = logging.getLogger(__name__)

DEADLINE_S = 300.0
AT_ONCE = 2_000
BODIES_AT_ONCE = 200
"""They are a hundred times as large."""
_NEXT_TIME = "What is older than is kept is dropped next time: %s"
PAUSE_S = 0.05
"""After each transaction of SQLite's: others write in between."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """How much went, or would."""

    rows: int
    """In PostgreSQL as its statistics have it."""
    rollups: int
    is_done: bool = True
    """Whether nothing that is older than is kept was left."""
    bodies: int = 0


def due(*, keep_days: int) -> Dropped:
    """What is older than is kept."""
    now = timezone.now()
    wanted = _wanted(now, keep_days=keep_days)
    rows = UsageRecord.objects.filter(started_at__lt=wanted).count() if wanted else 0
    rollups = sum(_old(grain, before).count() for grain, before in _ages(now))
    bodies = sum(_old_bodies(project, now).count() for project in Project.objects.all())
    return Dropped(rows, rollups, is_done=not (rows or rollups or bodies), bodies=bodies)


def tidy(*, keep_days: int, actor: str = "system", deadline_s: float = DEADLINE_S) -> Dropped:
    """Drops it, for at most so many seconds; `keep_days` 0 keeps every row."""
    now, ends_at = timezone.now(), time.monotonic() + deadline_s
    partitions.make_ahead(now)
    bodies, bodies_done = _drop_bodies(now, actor=actor, ends_at=ends_at)
    rollups, rollups_done = _drop_rollups(now, ends_at=ends_at)
    _move_horizon(_wanted(now, keep_days=keep_days))
    rows, rows_done = _drop_rows(actor=actor, ends_at=ends_at)
    return Dropped(rows, rollups, is_done=rows_done and rollups_done and bodies_done, bodies=bodies)


def _wanted(now: datetime, *, keep_days: int) -> datetime | None:
    """Rows before this go: whole UTC days, in PostgreSQL whole months."""
    if keep_days <= 0:
        return None
    moment = horizon.day_of(now - timedelta(days=keep_days))
    return moment.replace(day=1) if connection.vendor == "postgresql" else moment


def _move_horizon(wanted: datetime | None) -> None:
    if wanted is None or wanted <= horizon.current().rows_from:
        return
    if UsageRecord.objects.filter(started_at__lt=wanted).exists():  # else nothing was dropped, and late rows may come
        with transaction.atomic():
            horizon.drop_before(wanted)


def _drop_rows(*, actor: str, ends_at: float) -> tuple[int, bool]:
    """Whatever lies before the horizon, this time's and what was left the last time."""
    before = horizon.current().rows_from
    if connection.vendor == "postgresql":
        return _by_partition(before, actor=actor)
    return _by_range(before, actor=actor, ends_at=ends_at)


def _by_partition(before: datetime, *, actor: str) -> tuple[int, bool]:
    """One after the other, each with its entry: what went stays told where the next one does not go."""
    total = 0
    for name in partitions.older_than(before):
        first, after = partitions.month_of(name)
        try:
            count = partitions.drop(name)
        except OperationalError as error:
            logger.warning(_NEXT_TIME, error)
            return total, False
        _tell(count, actor=actor, first=first, before=after)
        total += count
    return total, True


def _by_range(before: datetime, *, actor: str, ends_at: float) -> tuple[int, bool]:
    first = UsageRecord.objects.filter(started_at__lt=before).order_by("started_at").values_list("started_at").first()
    count, is_done = _delete(UsageRecord._meta.db_table, "started_at < %s", [_moment(before)], ends_at=ends_at)
    if first is not None:
        _tell(count, actor=actor, first=first[0], before=before)
    return count, is_done


def _tell(count: int, *, actor: str, first: datetime, before: datetime) -> None:
    if count:
        audit.record(
            "usage.dropped",
            actor=actor,
            target="ledger",
            before={"rows_from": first.isoformat()},
            after={"rows_from": before.isoformat(), "rows": count},
        )


def _drop_bodies(now: datetime, *, actor: str, ends_at: float) -> tuple[int, bool]:
    total, is_done = 0, True
    for project in Project.objects.order_by("pk"):
        before = _bodies_from(project, now)
        values, table = [project.pk, _moment(before)], RequestBody._meta.db_table
        count, done = _delete(table, "project_id = %s AND at < %s", values, ends_at=ends_at, at_once=BODIES_AT_ONCE)
        total, is_done = total + count, is_done and done
        if count:
            audit.record(
                "bodies.dropped",
                actor=actor,
                target=project.slug,
                project_id=project.pk,
                after={"bodies_from": before.isoformat(), "bodies": count},
            )
    return total, is_done


def _bodies_from(project: Project, now: datetime) -> datetime:
    """Those from before go. Whole UTC days, so that the audit trail has an entry a day; today's is one of them, so that
    none is kept for longer than was promised."""
    return horizon.day_of(now - timedelta(days=(project.bodies_days or 1) - 1))


def _old_bodies(project: Project, now: datetime) -> Any:
    return RequestBody.objects.filter(project=project, at__lt=_bodies_from(project, now))


def _drop_rollups(now: datetime, *, ends_at: float) -> tuple[int, bool]:
    total, is_done = 0, True
    for grain, before in _ages(now):
        values = [int(grain), _moment(before)]
        count, done = _delete(UsageRollup._meta.db_table, "grain = %s AND start < %s", values, ends_at=ends_at)
        total, is_done = total + count, is_done and done
    return total, is_done


def _ages(now: datetime) -> list[tuple[Grain, datetime]]:
    """Grains that are not kept for good, and since when they are."""
    ages = {MINUTE: horizon.minutes_from(now), DAY: None}
    found = ((grain, ages.get(grain.length, horizon.quarters_from(now))) for grain in Grain)
    return [(grain, before) for grain, before in found if before is not None]


def _old(grain: Grain, before: datetime) -> Any:
    return UsageRollup.objects.filter(grain=grain, start__lt=before)


def _delete(
    table: str, where: str, values: list[Any], *, ends_at: float, at_once: int | None = None
) -> tuple[int, bool]:
    """A few thousand rows a transaction, or as many as are named. Returns how many went, and whether all did."""
    row = "ctid" if connection.vendor == "postgresql" else "rowid"
    most = at_once or AT_ONCE
    some = f"SELECT {row} FROM {table} WHERE {where} LIMIT {most}"
    total = 0
    # The condition again: in PostgreSQL places are a partition's own, and it names the partition.
    statement = f"DELETE FROM {table} WHERE {where} AND {row} IN ({some})"
    while time.monotonic() < ends_at:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, [*values, *values])
                count = cursor.rowcount
        except OperationalError as error:
            logger.warning(_NEXT_TIME, error)
            return total, False
        total += count
        if count < most:
            return total, True
        time.sleep(PAUSE_S)
    return total, False


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
