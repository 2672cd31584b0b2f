"""Puts usage rows into the ledger, each exactly once, and finds them again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import QuerySet
from msgspec import Raw

from analytics import ids, partitions
from analytics.models import UsageRecord
from analytics.types import UsageRow
from providers import sqlite_file

ON_ITS_WAY = timedelta(seconds=5)
"""A request younger than this may still be in the spool."""
_LOOK_AGAIN_S = 0.05

Adapters = dict[type, Callable[[Any], Any]]


def insert(rows: Sequence[UsageRow]) -> None:
    """Adds the rows that are not there yet, all or none. A row already there stays as it is: replay is harmless.

    Raises: what the database raises; OperationalError too when SQLite's file vanished before the rows were safe in it.
    """
    sqlite_file.require(connection)
    with transaction.atomic():
        partitions.ensure(row.started_at for row in rows)
        adapters = _adapters(connection.vendor)
        with connection.cursor() as cursor:
            cursor.executemany(_statement(), [_values(row, adapters=adapters) for row in rows])
    sqlite_file.require(connection)


def find(request_id: UUID, *, among: QuerySet[UsageRecord], wait_s: float = 0.0) -> UsageRecord | None:
    """The row of a request, out of the rows `among` (what the asker may see). Looks again for up to `wait_s` seconds
    while the request is so young that its row may still be on its way."""
    until = time.monotonic() + wait_s
    started_at = ids.started_at(request_id)
    while True:
        row = among.filter(id=request_id, started_at=started_at).first()
        is_young = datetime.now(UTC) - started_at < ON_ITS_WAY
        if row is not None or not is_young or time.monotonic() >= until:
            return row
        time.sleep(_LOOK_AGAIN_S)


def columns() -> tuple[str, ...]:
    return UsageRow.__struct_fields__


@cache
def _statement() -> str:
    names = ", ".join(connection.ops.quote_name(name) for name in columns())
    marks = ", ".join(["%s"] * len(columns()))
    return f"INSERT INTO {UsageRecord._meta.db_table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"


def _values(row: UsageRow, *, adapters: Adapters) -> list[Any]:
    """By hand rather than through model instances: a quarter of the time, and this runs beside live traffic."""
    return [adapt(value) if (adapt := adapters.get(type(value))) else value for value in msgspec.structs.astuple(row)]


def _adapters(vendor: str) -> Adapters:
    """What a database wants in place of a Python value; types not named here go in as they are."""
    json_text: Adapters = {Raw: lambda raw: bytes(raw).decode()}
    if vendor != "sqlite":
        return json_text
    return json_text | {
        UUID: lambda value: value.hex,
        datetime: connection.ops.adapt_datetimefield_value,
        Decimal: lambda value: f"{value:f}",
    }
