"""Inserts many rows in one statement, as either database does it quickest: in PostgreSQL as one JSON document, in
SQLite prepared once and run for each row. By hand rather than through model instances, which take four times as
long: this runs beside live traffic."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import cache, lru_cache, partial
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection, models

STATEMENTS_KEPT = 128
"""Roll-ups are written with the columns that they count alone, in small batches another choice out of a hundred each
time. Naming all of them every time would take SQLite twice as long."""
Row = Sequence[Any]
_Adapt = Callable[[Any], Any]
_encode = msgspec.json.Encoder(decimal_format="string").encode


def insert(table: type[models.Model], columns: Sequence[str], rows: Sequence[Row], *, conflict: str) -> None:
    """`conflict` is what follows ON CONFLICT; rows come in the order of `columns`."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            objects = [dict(zip(columns, row, strict=True)) for row in rows]
            cursor.execute(f"{_from_json(table, columns)} ON CONFLICT {conflict}", [_encode(objects).decode()])
        else:
            cursor.executemany(f"{_values(table, tuple(columns))} ON CONFLICT {conflict}", _plain(table, columns, rows))


def insert_new(table: type[models.Model], columns: Sequence[str], rows: Sequence[msgspec.Struct]) -> set[UUID]:
    """Inserts those whose `id`, their first column, is not there yet; returns the ids that were inserted. Rows are
    structs with a field for each of `columns`, in their order."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            statement = f"{_from_json(table, columns)} ON CONFLICT DO NOTHING RETURNING id"
            cursor.execute(statement, [_encode(rows).decode()])
            return {found for (found,) in cursor.fetchall()}
    # Nobody else writes meanwhile: the transaction holds the file.
    values = [msgspec.structs.astuple(row) for row in rows]
    known = _known(table, [row[0] for row in values])
    fresh = [row for row in values if row[0] not in known]
    insert(table, columns, fresh, conflict="DO NOTHING")
    return {row[0] for row in fresh}


def insert_counts(
    table: type[models.Model],
    key: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[tuple[Row, Mapping[str, int]]],
    *,
    conflict: str,
) -> None:
    """Rows of whole numbers, most of which are missing: the columns of `key`, then the counts by the name of theirs."""
    if connection.vendor != "postgresql":
        insert(
            table,
            (*key, *columns),
            [(*values, *map(counts.get, columns)) for values, counts in rows],
            conflict=conflict,
        )
        return
    objects = [{**dict(zip(key, values, strict=True)), **counts} for values, counts in rows]
    with connection.cursor() as cursor:
        statement = f"{_from_json(table, (*key, *columns))} ON CONFLICT {conflict}"
        cursor.execute(statement, [_encode(objects).decode()])


def known_numbers(table: type[models.Model], ids: Collection[int]) -> set[int]:
    """Those of the ids, whole numbers, that are there."""
    among = {"postgresql": "= ANY(%s)", "sqlite": "IN (SELECT value FROM json_each(%s))"}[connection.vendor]
    wanted: Any = list(ids) if connection.vendor == "postgresql" else _encode(list(ids)).decode()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT id FROM {table._meta.db_table} WHERE id {among}", [wanted])
        return {found for (found,) in cursor.fetchall()}


def _known(table: type[models.Model], ids: Iterable[UUID]) -> set[UUID]:
    with connection.cursor() as cursor:
        statement = f"SELECT id FROM {table._meta.db_table} WHERE id IN (SELECT value FROM json_each(%s))"
        cursor.execute(statement, [_encode([one.hex for one in ids]).decode()])
        return {UUID(found) for (found,) in cursor.fetchall()}


def _into(table: type[models.Model], columns: Iterable[str]) -> str:
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    return f"INSERT INTO {table._meta.db_table} ({names})"


@lru_cache(maxsize=STATEMENTS_KEPT)
def _values(table: type[models.Model], columns: tuple[str, ...]) -> str:
    return f"{_into(table, columns)} VALUES ({', '.join(['%s'] * len(columns))})"


@lru_cache(maxsize=STATEMENTS_KEPT)
def _from_json(table: type[models.Model], columns: tuple[str, ...]) -> str:
    kinds = _json_kinds(table)
    named = ", ".join(f"{connection.ops.quote_name(column)} {kinds[column]}" for column in columns)
    return f"{_into(table, columns)} SELECT * FROM json_to_recordset(%s::json) AS given({named})"


@cache
def _json_kinds(table: type[models.Model]) -> Mapping[str, str]:
    return {str(field.column): _unlimited(str(field.db_type(connection))) for field in table._meta.concrete_fields}


def _unlimited(kind: str) -> str:
    """A limited type would cut a value where an insert refuses it."""
    return "text" if kind.startswith("varchar") else kind.partition("(")[0]


def _plain(table: type[models.Model], columns: Sequence[str], rows: Sequence[Row]) -> Sequence[Row]:
    """The rows as SQLite wants them."""
    adapters = _sqlite_adapters(table, tuple(columns))
    if not adapters:
        return rows
    adapted = []
    for row in rows:
        values = list(row)
        for at, adapt in adapters:
            if values[at] is not None:
                values[at] = adapt(values[at])
        adapted.append(values)
    return adapted


@lru_cache(maxsize=STATEMENTS_KEPT)
def _sqlite_adapters(table: type[models.Model], columns: tuple[str, ...]) -> tuple[tuple[int, _Adapt], ...]:
    """For the columns that SQLite wants as something else than the Python value, by their place."""
    adapted = _adapted(table)
    return tuple((at, adapted[column]) for at, column in enumerate(columns) if column in adapted)


@cache
def _adapted(table: type[models.Model]) -> Mapping[str, _Adapt]:
    by_field: dict[type[models.Field[Any, Any]], _Adapt] = {
        models.JSONField: lambda raw: bytes(raw).decode(),
        models.UUIDField: lambda value: value.hex,
        models.DateTimeField: _moment,
    }
    found = {str(field.column): by_field.get(type(field)) for field in table._meta.concrete_fields}
    for field in table._meta.concrete_fields:
        if isinstance(field, models.DecimalField):
            found[str(field.column)] = partial(_digits, places=field.decimal_places)
    return {column: adapt for column, adapt in found.items() if adapt is not None}


def _moment(value: datetime) -> Any:
    """As Django writes it, a tenth of the time for what is in UTC already, as all of ours is."""
    return str(value)[:-6] if value.tzinfo is UTC else connection.ops.adapt_datetimefield_value(value)


_AS_POSTGRESQL = Context(prec=100, rounding=ROUND_HALF_UP)


def _digits(value: Decimal, *, places: int) -> str:
    """No more places than the column has: SQLite would keep them all."""
    digits = f"{value:f}"
    _, _, fraction = digits.partition(".")
    if len(fraction) <= places:
        return digits
    return f"{value.quantize(Decimal(1).scaleb(-places), context=_AS_POSTGRESQL):f}"
