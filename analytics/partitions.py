"""Partitions in PostgreSQL: of the ledger by month, of the roll-ups by grain. Other databases keep one plain table of
either and never get here.

The ledger's are made ahead by `analytics.retention`, or just before the first row that needs one by whoever writes it;
there is no default partition, as
one with rows in it would stand in the way of making the right partition later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from django.db import connection, models, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.utils import CursorWrapper

TABLE = "analytics_usagerecord"
_LOCK = 0x75736167
"""Advisory lock: two drainers must not make the same partition at once."""
LOCK_TIMEOUT_MS = 2_000


def create_parent(editor: BaseDatabaseSchemaEditor, record: type[models.Model]) -> None:
    """Makes the partitioned table for a model whose Django primary key is `id`. Used by the migration alone."""
    statement, params = editor.table_sql(record)
    plain_key = '"id" uuid NOT NULL PRIMARY KEY'
    if plain_key not in statement:
        raise RuntimeError(f"Django's CREATE TABLE no longer holds {plain_key}: {statement}")
    statement = statement.replace(plain_key, '"id" uuid NOT NULL')
    editor.execute(f'{statement[:-1]}, PRIMARY KEY ("started_at", "id")) PARTITION BY RANGE ("started_at")', params)
    for index in record._meta.indexes:
        if index.fields != ["started_at"]:  # the primary key begins with it
            editor.add_index(record, index)


def create_listed(
    editor: BaseDatabaseSchemaEditor, model: type[models.Model], *, by: str, named: Mapping[str, int]
) -> None:
    """Makes the table of a model with a partition for each value of the column `by`. Used by the migration alone."""
    statement, params = editor.table_sql(model)
    editor.execute(f'{statement} PARTITION BY LIST ("{by}")', params)
    table = model._meta.db_table
    for name, value in named.items():
        # Room on each page, so that an update of counters stays there and touches no index (PostgreSQL's HOT).
        editor.execute(f"CREATE TABLE {table}_{name} PARTITION OF {table} FOR VALUES IN ({value}) WITH (fillfactor=80)")
    for index in model._meta.indexes:
        editor.add_index(model, index)


def ensure(moments: Iterable[datetime]) -> None:
    """Makes the partitions that rows of these moments need. Call inside the transaction that inserts them."""
    if connection.vendor != "postgresql":
        return
    for month in sorted({(moment.year, moment.month) for moment in moments}):
        name = f"{TABLE}_{month[0]:04}_{month[1]:02}"
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", [name])
            if cursor.fetchone()[0] is None:
                first, after = _bounds(*month)
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
                cursor.execute(
                    f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF {TABLE} "
                    f"FOR VALUES FROM ('{first.isoformat()}') TO ('{after.isoformat()}')"
                )


def make_ahead(now: datetime, *, months: int = 2) -> None:
    """Makes this month's partition and those of the months to come, one a transaction."""
    moment = now
    for _ in range(months + 1):
        with transaction.atomic():
            ensure([moment])
        _, moment = _bounds(moment.year, moment.month)


def older_than(moment: datetime) -> list[str]:
    """The partitions whose months end by then; those too that were detached and not dropped."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ %s AND pg_table_is_visible(oid)",
            [rf"^{TABLE}_\d{{4}}_\d{{2}}$"],
        )
        names = sorted(name for (name,) in cursor.fetchall())
    return [name for name in names if month_of(name)[1] <= moment]


def month_of(name: str) -> tuple[datetime, datetime]:
    """When the month of a partition of the ledger begins and ends."""
    return _bounds(int(name[-7:-3]), int(name[-2:]))


def drop(name: str) -> int:
    """Drops one of them; returns about how many rows it had, 0 where another has dropped it meanwhile. Whoever uses the
    ledger waits for a moment at most: when its lock is not to be had at once it is left for the next time.

    Raises: OperationalError.
    """
    with connection.cursor() as cursor:
        count = _about(cursor, name)
        if count is None:
            return 0
        is_alone = not connection.in_atomic_block  # CONCURRENTLY takes no transaction around it
        cursor.execute(f"SET {'' if is_alone else 'LOCAL '}lock_timeout = '{LOCK_TIMEOUT_MS}ms'")
        try:
            _detach(cursor, name, concurrently=is_alone)
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
        finally:
            if is_alone:
                cursor.execute("RESET lock_timeout")
    return count


def _about(cursor: CursorWrapper, name: str) -> int | None:
    """How many rows a table has by PostgreSQL's statistics; counted where there are none yet. None: it is gone."""
    cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s)", [name])
    found = cursor.fetchone()
    if found is None:
        return None
    count = int(found[0])
    if count < 0:
        cursor.execute(f"SELECT count(*) FROM {name}")
        count = int(cursor.fetchone()[0])
    return count


def _detach(cursor: CursorWrapper, name: str, *, concurrently: bool) -> None:
    cursor.execute("SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass(%s)", [name])
    found = cursor.fetchone()
    if found is None:
        return  # somebody was killed between detaching and dropping
    how = "FINALIZE" if found[0] else "CONCURRENTLY" if concurrently else ""
    cursor.execute(f"ALTER TABLE {TABLE} DETACH PARTITION {name} {how}")


def _bounds(year: int, month: int) -> tuple[datetime, datetime]:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first, first.replace(year=year + month // 12, month=month % 12 + 1)
