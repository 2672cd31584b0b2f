"""What the ledger says was spent: exact sums over spans of time, and what single requests cost budgets.

A span is a run of whole UTC days and, at its ends, of quarters of an hour, whose sums stand in the roll-ups, and of
what is left over, which is summed from the rows (`analytics.spending_parts` cuts it). Reads only. What a sum is for,
and what is not in the ledger yet, is `analytics.rebuilding`'s.
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
from django.utils import timezone

from analytics import horizon, ids, spending_parts
from analytics.models import UsageRecord, UsageRollup, UsageSeries
from analytics.series import DAY, QUARTER, Grain
from analytics.spending_parts import Part, Reach

IDS_AT_ONCE = 100
MEMBERS_AT_ONCE = 500
_PLACES = Decimal("1e-10")

_EXACT = {
    # SQLite keeps decimals as doubles and would add doubles. One row's figure times 10^10, rounded, is its exact number
    # of ten-billionths (as long as that number stays below 2^51: 225,000 dollars a row), and whole numbers add exactly.
    "sqlite": "CAST(ROUND(budget_usd * 1e10) AS INTEGER)",
    "postgresql": "budget_usd * 10000000000",
}
_AMONG = {
    "sqlite": "id IN (SELECT value FROM json_each(%s))",
    "postgresql": "id = ANY(%s)",
}


class By(StrEnum):
    """What a sum is taken for: each key, each project, or all together."""

    KEY = "key_id"
    PROJECT = "project_id"
    ALL = "0"


_GRAINS = {
    By.KEY: {DAY: Grain.DAY_KEY, QUARTER: Grain.QUARTER},
    By.PROJECT: {DAY: Grain.DAY_PROJECT, QUARTER: Grain.QUARTER_PROJECT},
    By.ALL: {DAY: Grain.DAY_ALL, QUARTER: Grain.QUARTER_ALL},
}
"""Which roll-ups tell it, with the fewest rows."""


def spent(
    by: By, members: Collection[int], *, start: datetime, end: datetime | None, without: Collection[UUID]
) -> dict[int, Decimal]:
    """What rows that started from `start` up to, and without, `end` cost budgets, by key or project; 0 stands for all.

    One statement for each 500 members, so that none sees half of what a drainer is about to insert: a row whose id is
    in `without` is left out whether or not it is there yet. Where rows at a ragged end of the span were dropped, the
    whole quarter or day counts: more, never less.
    """
    kept = horizon.current()
    # It is moved before rows go: a sum between two looks at the same one has missed none.
    while True:
        found = _reaching(kept, by, members, start=start, end=end, without=without)
        seen, kept = kept, horizon.current()
        if kept == seen:
            return found


def _reaching(
    kept: horizon.Horizon,
    by: By,
    members: Collection[int],
    *,
    start: datetime,
    end: datetime | None,
    without: Collection[UUID],
) -> dict[int, Decimal]:
    """`spent`, where there is what this horizon says."""
    now = timezone.now()
    # A day later than they are: midnight may come before the statement.
    reach = Reach(kept.rows_from, kept.counted_from, horizon.quarters_from(now) + DAY)
    parts = spending_parts.cut(start, end, now=now, reach=reach)
    found: dict[int, Decimal] = {}
    among = sorted(members)
    for at in range(0, max(len(among), 1), MEMBERS_AT_ONCE):
        found |= _spent(by, among[at : at + MEMBERS_AT_ONCE], parts=parts, without=without)
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


def _spent(by: By, members: Sequence[int], *, parts: Sequence[Part], without: Collection[UUID]) -> dict[int, Decimal]:
    statements: list[str] = []
    values: list[Any] = []
    for part in parts:
        some = _parts_of(by, part, without)
        for statement, given in some:
            among = "" if by is By.ALL else f" AND {by} IN ({', '.join(['%s'] * len(members))})"
            statements.append(f"{statement}{among}")
            values += [*given, *(members if by is not By.ALL else ())]
    if not statements:
        return {}
    together = " UNION ALL ".join(statements)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT member, SUM(amount), SUM(counted) FROM ({together}) AS parts GROUP BY member", values)
        return {int(member): int(total) * _PLACES for member, total, counted in cursor.fetchall() if counted}


_Statement = tuple[str, list[Any]]


def _parts_of(by: By, part: Part, without: Collection[UUID]) -> list[_Statement]:
    if part.length is None:
        return _from_rows(by, part, without)
    return _from_rollups(by, part, _GRAINS[by][part.length], without)


def _from_rows(by: By, part: Part, without: Collection[UUID]) -> list[_Statement]:
    where, values = _during("started_at", part)
    if without:
        where += f" AND NOT ({_AMONG[connection.vendor]})"
        values.append(_ids(without))
    amount = f"{_EXACT[connection.vendor]} AS amount, 1 AS counted"
    return [(f"SELECT {_member(by)}, {amount} FROM {_ROWS} WHERE {where}", values)]


def _from_rollups(by: By, part: Part, grain: Grain, without: Collection[UUID]) -> list[_Statement]:
    """The roll-ups' sum, and from it again what is counted elsewhere, as far as it is in the ledger."""
    where, values = _during("start", part)
    statement = (
        f"SELECT {_member(by)}, COALESCE(budget, 0) AS amount, requests AS counted FROM {_ROLLUPS} "
        f"JOIN {_SERIES} ON {_SERIES}.id = series_id WHERE grain = %s AND {where}"
    )
    found = [(statement, [int(grain), *values])]
    if without:
        where, values = _during("started_at", part)
        taken = f"SELECT {_member(by)}, -({_EXACT[connection.vendor]}), -1 FROM {_ROWS}"
        found.append((f"{taken} WHERE {where} AND {_AMONG[connection.vendor]}", [*values, _ids(without)]))
    return found


_ROWS, _ROLLUPS, _SERIES = (table._meta.db_table for table in (UsageRecord, UsageRollup, UsageSeries))


def _member(by: By) -> str:
    return f"{by} AS member"


def _during(column: str, part: Part) -> tuple[str, list[Any]]:
    where, values = f"{column} >= %s", [_moment(part.start)]
    if part.end is not None:
        where, values = f"{where} AND {column} < %s", [*values, _moment(part.end)]
    return where, values


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)


def _ids(request_ids: Collection[UUID]) -> Any:
    if connection.vendor == "sqlite":
        return msgspec.json.encode([one.hex for one in request_ids]).decode()
    return list(request_ids)
