"""What the ledger says was spent: exact sums over spans of time, and what single requests cost budgets.

Reads only. What a sum is for, and what is not in the ledger yet, is `analytics.rebuilding`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from analytics import ids
from analytics.models import UsageRecord

IDS_AT_ONCE = 100
MEMBERS_AT_ONCE = 500
_PLACES = Decimal("1e-10")

_EXACT_SUM = {
    # SQLite keeps decimals as doubles and would add doubles. One row's figure times 10^10, rounded, is its exact number
    # of ten-billionths (as long as that number stays below 2^51: 225,000 dollars a row), and whole numbers add exactly.
    "sqlite": "SUM(CAST(ROUND(budget_usd * 1e10) AS INTEGER))",
    "postgresql": "SUM(budget_usd * 10000000000)",
}
_NOT_AMONG = {
    "sqlite": "id NOT IN (SELECT value FROM json_each(%s))",
    "postgresql": "id <> ALL(%s)",
}


class By(StrEnum):
    """What a sum is taken for: each key, each project, or all together."""

    KEY = "key_id"
    PROJECT = "project_id"
    ALL = "0"


def spent(
    by: By, members: Collection[int], *, start: datetime, end: datetime | None, without: Collection[UUID]
) -> dict[int, Decimal]:
    """What rows that started from `start` up to, and without, `end` cost budgets, by key or project; 0 stands for all.

    One statement for each 500 members, so that none sees half of what a drainer is about to insert: a row whose id is
    in `without` is left out whether or not it is there yet.
    """
    found: dict[int, Decimal] = {}
    among = sorted(members)
    for at in range(0, max(len(among), 1), MEMBERS_AT_ONCE):
        found |= _spent(by, among[at : at + MEMBERS_AT_ONCE], start=start, end=end, without=without)
    return found


def of_requests(request_ids: Sequence[UUID]) -> dict[UUID, Decimal]:
    """What each of these cost budgets, where it is in the ledger."""
    found: dict[UUID, Decimal] = {}
    for at in range(0, len(request_ids), IDS_AT_ONCE):
        some = request_ids[at : at + IDS_AT_ONCE]
        # Their times lead to the right partitions.
        rows = UsageRecord.objects.filter(id__in=some, started_at__in={ids.started_at(one) for one in some})
        found.update(rows.order_by().values_list("id", "budget_usd"))
    return found


def _spent(
    by: By, members: Sequence[int], *, start: datetime, end: datetime | None, without: Collection[UUID]
) -> dict[int, Decimal]:
    vendor = connection.vendor
    where, values = ["started_at >= %s"], [_moment(start)]
    if end is not None:
        where.append("started_at < %s")
        values.append(_moment(end))
    if by is not By.ALL:
        where.append(f"{by} IN ({', '.join(['%s'] * len(members))})")
        values += members
    if without:
        where.append(_NOT_AMONG[vendor])
        values.append(_ids(without))
    # `+ 0`: a bare 0 to group by would be taken for the number of a column.
    statement = (
        f"SELECT {by} + 0, {_EXACT_SUM[vendor]} FROM {UsageRecord._meta.db_table} "
        f"WHERE {' AND '.join(where)} GROUP BY {by} + 0"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return {int(member): Decimal(total) * _PLACES for member, total in cursor.fetchall()}


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _ids(request_ids: Collection[UUID]) -> Any:
    if connection.vendor == "sqlite":
        return msgspec.json.encode([one.hex for one in request_ids]).decode()
    return list(request_ids)
