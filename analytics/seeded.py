"""Puts made-up usage (`analytics.seeding`) into the database.

In PostgreSQL by COPY, a day at a time, and then counts the day into the roll-ups by statements of its own: a second way
to the same sums, which `usage verify` holds against the first. Elsewhere, and beside other rows, as any row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, transaction

from analytics import horizon, ids, ledger, partitions, rollups
from analytics.histograms import BOUNDS_MS, COUNTERS
from analytics.models import UsageRecord
from analytics.rollup_models import COLUMNS, FIRST_TOKEN, LATENCY, PER_USD, SUMS, UsageRollup, UsageSeries
from analytics.seeding import COLUMNS as LEDGER_COLUMNS
from analytics.seeding import ENDINGS, Maker, Plan
from analytics.series import DAY, KNOWN, Cut, Dimensions, Grain, StatusClass, cut_down, series_id
from analytics.types import UsageRow

ROWS_AT_ONCE = 1_000
_LEDGER = UsageRecord._meta.db_table
_ROLLUP = UsageRollup._meta.db_table
Told = Callable[[int], object]
"""Hears how many rows were added."""


def fill(plan: Plan, *, told: Told, workers: int = 1) -> None:
    """Makes the plan's rows, a day in a transaction: a run that is stopped leaves whole days. Raises: what the database
    raises.

    `workers` days are written at once in PostgreSQL, where the ledger was empty; a single one in this thread.
    """
    maker = Maker(plan)
    # The quick way counts all rows of a day: there may be no others.
    if connection.vendor == "postgresql" and is_empty():
        _copy(plan, maker, told=told, workers=workers)
    else:
        for day, count in plan.per_day():
            _insert_day(maker.lines(day, count), told=told)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # what autovacuum would do within minutes; plans are wrong until then
            cursor.execute(f"ANALYZE {_LEDGER}, {_ROLLUP}, {UsageSeries._meta.db_table}")


def is_empty() -> bool:
    """Whether the ledger has no row yet."""
    return not UsageRecord.objects.exists()


# -- as any other row --------------------------------------------------------------------------------------------------


def _insert_day(lines: Iterable[str], *, told: Told) -> None:
    rows = map(_row, lines)
    with transaction.atomic():
        while some := list(islice(rows, ROWS_AT_ONCE)):
            ledger.insert(some)
            told(len(some))


def _row(line: str) -> UsageRow:
    texts = dict(zip(LEDGER_COLUMNS, line.rstrip("\n").split("\t"), strict=True))
    made = UUID(texts.pop("id"))
    values = {name: _value(name, text) for name, text in texts.items()}
    return UsageRow(**values | {"id": made, "started_at": ids.started_at(made)})


_KINDS = {field.name: field.get_internal_type() for field in UsageRecord._meta.concrete_fields}


def _value(name: str, text: str) -> Any:
    if text == r"\N":
        return None
    kind = _KINDS[name]
    if kind == "JSONField":
        return msgspec.Raw(text.replace("\\\\", "\\").encode())
    if kind == "DecimalField":
        return Decimal(text)
    if kind == "BooleanField":
        return text == "t"
    if kind == "FloatField":
        return float(text)
    return int(text) if "Integer" in kind else text


# -- by COPY, in PostgreSQL --------------------------------------------------------------------------------------------


def _copy(plan: Plan, maker: Maker, *, told: Told, workers: int) -> None:
    known = {combo.dimensions(ending) for combo in maker.combos for ending in ENDINGS}
    wanted = {(cut, cut_down(full, cut)) for full in known for cut in Cut}
    with transaction.atomic():
        partitions.ensure(day for day, _ in plan.per_day())
        rollups.name_series({one: series_id(*one) for one in wanted})

    def prepare() -> None:
        _keep_series(known)

    def write(day: datetime, count: int) -> None:
        _copy_day(day, maker.lines(day, count), until=plan.until, told=told)

    if workers == 1:
        prepare()
        for day, count in plan.per_day():
            write(day, count)
        return
    with ThreadPoolExecutor(workers, initializer=prepare) as pool:
        writing = [pool.submit(write, day, count) for day, count in plan.per_day()]
        try:
            for one in as_completed(writing):
                one.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            for _ in range(workers):
                pool.submit(connection.close)


def _keep_series(known: Iterable[Dimensions]) -> None:
    """A table of this connection that leads from a row to its series in every cut."""
    told = ("key_id", "provider", "model", "status_class", "error_kind")
    numbers = ", ".join(f"id_{cut:d} bigint" for cut in Cut)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS seeded_series")
        cursor.execute(
            "CREATE TEMP TABLE seeded_series (key_id bigint, provider text, model text, status_class text, "
            f"error_kind text, is_ok boolean, {numbers})"
        )
        with cursor.copy("COPY seeded_series FROM STDIN") as copy:
            for full in known:
                is_ok = full.status_class == StatusClass.OK
                copy.write_row((*(getattr(full, name) for name in told), is_ok, *_ids(full)))
        cursor.execute("ANALYZE seeded_series")


def _ids(full: Dimensions) -> list[int]:
    return [series_id(cut, cut_down(full, cut)) for cut in Cut]


def _copy_day(day: datetime, lines: Iterable[str], *, until: datetime, told: Told) -> None:
    chunks = iter(lines)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
        cursor.execute("SET LOCAL work_mem = '256MB'")
        horizon.share()
        partitions.ensure([day])
        with cursor.copy(f"COPY {_LEDGER} ({', '.join(LEDGER_COLUMNS)}) FROM STDIN") as copy:
            while some := list(islice(chunks, ROWS_AT_ONCE)):
                copy.write("".join(some))
                told(len(some))
        _roll_up(cursor, day, until=until)


_FROM = {
    Grain.QUARTER: "seeded_finest",
    Grain.QUARTER_ALL: "seeded_statuses",
    Grain.QUARTER_PROJECT: "seeded_statuses",
    Grain.DAY_STATUS: "seeded_statuses",
    Grain.DAY_ALL: "seeded_statuses",
    Grain.DAY_PROJECT: "seeded_statuses",
    Grain.DAY_KEY: "seeded_days",
    Grain.DAY_MODEL: "seeded_days",
}
"""Which table each grain is added up from that is in none of them."""


def _roll_up(cursor: Any, day: datetime, *, until: datetime) -> None:
    """Counts the rows of the day, which holds seeded ones alone."""
    has_minutes = day >= horizon.minutes_from(until)
    finest = Grain.MINUTE if has_minutes else Grain.QUARTER
    _keep(cursor, "seeded_finest", _from_ledger(finest.length), [*_BOUNDS, day, day + DAY])
    _keep(cursor, "seeded_days", _from_finer("seeded_finest", Grain.DAY))
    _keep(cursor, "seeded_statuses", _from_finer("seeded_finest", Grain.QUARTER_STATUS))
    there = {finest: "seeded_finest", Grain.DAY: "seeded_days", Grain.QUARTER_STATUS: "seeded_statuses"}
    for grain in Grain:
        if grain is Grain.MINUTE and not has_minutes:
            continue
        counted = f"TABLE {there[grain]}" if grain in there else _from_finer(_FROM[grain], grain)
        names = ", ".join(("grain", "start", "series_id", *COLUMNS))
        cursor.execute(f"INSERT INTO {_ROLLUP} ({names}) SELECT {grain.value}, counted.* FROM ({counted}) counted")


def _keep(cursor: Any, table: str, statement: str, values: Sequence[Any] = ()) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(f"CREATE TEMP TABLE {table} AS {statement}", values)
    cursor.execute(f"ANALYZE {table} (start, series_id)")


_BOUNDS = [list(BOUNDS_MS)] * 2


def _from_ledger(length: timedelta) -> str:
    """Sums of the ledger's rows by series of the full cut. Takes `_BOUNDS` and the first and last moment.

    `width_bucket` counts the bounds that a duration reaches, `histograms.place` those that it exceeds: no seeded
    duration lies on one.
    """
    sums = [*map(_sum_of, SUMS), *_counts("took", LATENCY), *_counts("first", FIRST_TOKEN)]
    # Materialized, else each of the 80 counts below would look up the classes again.
    return f"""
        WITH row AS MATERIALIZED (
            SELECT {_NEEDED}, {_STATUS_CLASS} AS status_class,
                width_bucket(duration_ms, %s::float8[]) AS took, width_bucket(first_token_ms, %s::float8[]) AS first
            FROM {_LEDGER} WHERE started_at >= %s AND started_at < %s
        )
        SELECT {_start(length)} AS start, s.id_{Cut.FULL:d} AS series_id, {", ".join(sums)}
        FROM row JOIN seeded_series AS s USING (key_id, provider, model, status_class, error_kind)
        GROUP BY 1, 2"""


_STATUS_CLASS = """CASE
    WHEN outcome = 'ok' THEN '2xx' WHEN outcome <> 'error' THEN outcome
    WHEN status < 400 THEN 'broken' WHEN status < 500 THEN '4xx' ELSE '5xx' END"""
_OF_ROWS = {
    "requests": "COUNT(*)",
    "answered": "COUNT(*) FILTER (WHERE outcome = 'ok')",
    "cancelled": "COUNT(*) FILTER (WHERE outcome = 'cancelled')",
    "fell_back": "COUNT(*) FILTER (WHERE fell_back)",
    "cost": f"SUM(cost_usd * {PER_USD})",
    "budget": f"SUM(budget_usd * {PER_USD})",
}


_NEEDED = ", ".join(
    (
        *("started_at", "key_id", "provider", "model", "error_kind", "outcome", "fell_back", "cost_usd", "budget_usd"),
        *(name for name in SUMS if name not in _OF_ROWS),
    )
)


def _sum_of(column: str) -> str:
    return f"NULLIF({_OF_ROWS.get(column, f'SUM({column})')}, 0)::{_TYPES[column]} AS {column}"


def _counts(place: str, columns: Sequence[str]) -> list[str]:
    return [
        f"NULLIF(COUNT(*) FILTER (WHERE {place} = {number}), 0)::int AS {columns[number]}" for number in range(COUNTERS)
    ]


# PostgreSQL adds bigint up as numeric, int as bigint: what is a small number stays one.
_TYPES = dict.fromkeys(SUMS, "bigint") | dict.fromkeys([*LATENCY, *FIRST_TOKEN], "int")


def _from_finer(table: str, grain: Grain) -> str:
    knows_status = "status" in KNOWN[grain.cut]
    sums = [f"SUM({name})::{_TYPES[name]} AS {name}" for name in SUMS]
    timed = "" if knows_status else " FILTER (WHERE s.is_ok)"
    sums += [f"(SUM({name}){timed})::{_TYPES[name]} AS {name}" for name in (*LATENCY, *FIRST_TOKEN)]
    finer = Cut.STATUS if table == "seeded_statuses" else Cut.FULL
    return f"""
        SELECT {_start(grain.length, of="finer.start")} AS start, s.id_{grain.cut:d} AS series_id, {", ".join(sums)}
        FROM {table} AS finer JOIN {_SERIES[finer]} AS s ON s.id_{finer:d} = finer.series_id GROUP BY 1, 2"""


_SERIES = {
    Cut.FULL: "seeded_series",
    Cut.STATUS: f"(SELECT DISTINCT is_ok, {', '.join(f'id_{cut:d}' for cut in (Cut.ALL, Cut.PROJECT, Cut.STATUS))} "
    "FROM seeded_series)",
}


def _start(length: timedelta, *, of: str = "started_at") -> str:
    return f"date_bin('{length.total_seconds():.0f} seconds', {of}, '2000-01-01T00:00Z')"
