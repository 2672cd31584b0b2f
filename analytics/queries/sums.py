"""Adds up roll-ups: for each step of a span and each group, what its requests were. The one place with SQL over them.

One statement for each length of roll-up that the span needs, each over one grain (a constant, so that PostgreSQL reads
one partition) and its few stretches of time. What the rows of a step have in common is added up in the database, what
several lengths tell of it here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from analytics.queries import filters as what
from analytics.queries.filters import COLUMNS, Dimension, Filters
from analytics.queries.spans import MOST_POINTS, SpanProblem, pieces
from analytics.rollup_models import FIRST_TOKEN, LATENCY, PER_USD, SUMS, TOKENS, UsageRollup, UsageSeries
from analytics.series import DAY, Grain, StatusClass

Group = tuple[Any, ...]
"""Values of `COLUMNS`, of one dimension after the other."""
Place = tuple[int, Group]
"""Which step, which group."""
MOST_ROWS = 20 * MOST_POINTS
"""What a statement may bring: each point has a row for every status and every length of roll-up."""
FAILED = frozenset({StatusClass.CLIENT_ERROR, StatusClass.SERVER_ERROR, StatusClass.BROKEN, StatusClass.INTERRUPTED})
"""A client that left has not seen an error."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What some requests were, together."""

    requests: int = 0
    answered: int = 0
    """To their end, with 200."""
    errors: int = 0
    """Refused, failed, broken off, interrupted."""
    cancelled: int = 0
    """The client left."""
    fell_back: int = 0
    attempts: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    """Part of the output tokens."""
    web_searches: int = 0
    images: int = 0
    cost: int = 0
    budget: int = 0
    latency: tuple[int, ...] = ()
    first_token: tuple[int, ...] = ()
    """Counts by class (`analytics.histograms`); empty where they were not asked for."""

    @property
    def cost_usd(self) -> Decimal:
        return Decimal(self.cost) / PER_USD

    @property
    def budget_usd(self) -> Decimal:
        """What budgets counted."""
        return Decimal(self.budget) / PER_USD

    @property
    def tokens(self) -> int:
        return sum(getattr(self, name) for name in TOKENS if name != "reasoning_tokens")

    @property
    def error_share(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def fallback_share(self) -> float | None:
        """Of all requests: how many were answered by another than the first model tried."""
        return self.fell_back / self.requests if self.requests else None


NOTHING = Totals()


def together(found: Iterable[Totals]) -> Totals:
    some = list(found)
    plain = {name: sum(getattr(one, name) for one in some) for name in _PLAIN}
    return Totals(
        **plain, latency=_added([one.latency for one in some]), first_token=_added([one.first_token for one in some])
    )


_PLAIN = tuple(name for name in Totals.__struct_fields__ if name not in ("latency", "first_token"))


def _added(counts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*filter(None, counts), strict=True))


def read(
    edges: Sequence[datetime],
    filters: Filters,
    dimensions: Sequence[Dimension] = (),
    *,
    at: datetime,
    with_times: bool = False,
) -> dict[Place, Totals]:
    """What happened in each step between two of `edges`, by group, where anything did. Latency and time to the first
    token are those of answered requests, unless certain statuses are asked for. `at` is now: what begins later is not
    there, so the roll-up of a day that goes on holds no more than the span.

    Raises: SpanProblem when the groups and steps are too many.
    """
    if filters.lets_nothing_through:
        return {}
    knowing = what.needs(filters, dimensions)
    found: dict[Place, list[Totals]] = {}
    for length, stretches in _stretches(edges, at=at).items():
        asked = _Asked(what.grain(length, knowing=knowing), stretches, edges[:-1], filters, dimensions, with_times)
        for place, totals in _rows(asked):
            found.setdefault(place, []).append(totals)
    return {place: together(parts) for place, parts in found.items()}


class _Asked(msgspec.Struct, frozen=True):
    grain: Grain
    stretches: Sequence[tuple[datetime, datetime]]
    starts: Sequence[datetime]
    """Of the steps."""
    filters: Filters
    dimensions: Sequence[Dimension]
    with_times: bool


def _stretches(edges: Sequence[datetime], *, at: datetime) -> dict[timedelta, list[tuple[datetime, datetime]]]:
    """By length of roll-up, those of all steps, joined where one ends as the next begins."""
    last = edges[-1] if edges[-1] < at else _end_of_day(edges[-1])
    found: dict[timedelta, list[tuple[datetime, datetime]]] = {}
    for start, end in zip(edges[:-1], (*edges[1:-1], last), strict=True):
        for piece in pieces(start, end):
            known = found.setdefault(piece.length, [])
            if known and known[-1][1] == piece.start:
                known[-1] = known[-1][0], piece.end
            else:
                known.append((piece.start, piece.end))
    return found


def _end_of_day(moment: datetime) -> datetime:
    midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if midnight == moment else midnight + DAY


def _rows(asked: _Asked) -> Iterable[tuple[Place, Totals]]:
    statement, values = statement_of(asked)
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows = cursor.fetchmany(MOST_ROWS + 1)
    if len(rows) > MOST_ROWS:
        raise SpanProblem("That is too many rows: choose a longer step, or group by less.", about="step")
    starts = [_moment(start) for start in asked.starts]
    width = sum(len(COLUMNS[dimension]) for dimension in asked.dimensions)
    for row in rows:
        step, group, status, sums = row[0], row[1 : width + 1], row[width + 1], row[width + 2 :]
        yield (_number(step, starts), tuple(group)), _totals(status, sums, asked)


def _number(step: Any, starts: Sequence[Any]) -> int:
    """PostgreSQL counts steps from 1 on; SQLite tells when the roll-up begins, in a form that sorts as time does."""
    return bisect_right(starts, step) - 1 if isinstance(step, str) else int(step) - 1


def _totals(status: str, sums: Sequence[Any], asked: _Asked) -> Totals:
    numbers = [int(number or 0) for number in sums]
    plain = dict(zip(SUMS, numbers, strict=False))
    requests, times = plain["requests"], numbers[len(SUMS) :]
    is_timed = asked.with_times and (asked.filters.statuses is not None or status == StatusClass.OK)
    return Totals(
        **plain,
        answered=requests if status == StatusClass.OK else 0,
        errors=requests if status in FAILED else 0,
        cancelled=requests if status == StatusClass.CANCELLED else 0,
        latency=tuple(times[: len(LATENCY)]) if is_timed else (),
        first_token=tuple(times[len(LATENCY) :]) if is_timed else (),
    )


def statement_of(asked: _Asked) -> tuple[str, list[Any]]:
    """`CROSS JOIN` is a plain join to PostgreSQL; to SQLite it says that roll-ups are looked up first, by time."""
    step, values = _step(asked.starts)
    groups = [f"s.{column}" for dimension in asked.dimensions for column in COLUMNS[dimension]]
    columns = (*SUMS, *LATENCY, *FIRST_TOKEN) if asked.with_times else SUMS
    told = [step, *groups, "s.status_class", *(f"SUM(r.{column})" for column in columns)]
    where = ["r.series_id = s.id", f"r.grain = {int(asked.grain)}", _during(asked.stretches, values)]
    where += _among(asked.filters, values)
    statement = (
        f"SELECT {', '.join(told)} FROM {UsageRollup._meta.db_table} r CROSS JOIN {UsageSeries._meta.db_table} s "
        f"WHERE {' AND '.join(where)} GROUP BY {', '.join(str(n + 1) for n in range(len(groups) + 2))}"
    )
    return statement, values


def _step(starts: Sequence[datetime]) -> tuple[str, list[Any]]:
    """Which step a roll-up is of; the first one has the number 1."""
    if len(starts) == 1:
        return "1", []
    if connection.vendor == "postgresql":
        return "width_bucket(r.start, %s::timestamptz[])", [list(starts)]
    return "r.start || ''", []  # without a type, so that it comes as text


def _during(stretches: Sequence[tuple[datetime, datetime]], values: list[Any]) -> str:
    for start, end in stretches:
        values += [_moment(start), _moment(end)]
    return f"({' OR '.join(['(r.start >= %s AND r.start < %s)'] * len(stretches))})"


def _among(filters: Filters, values: list[Any]) -> list[str]:
    where = []
    for dimension, among in what.filtered(filters).items():
        if among is None:
            continue
        names = sorted(one for one in among if one is not None)
        values += names
        marks = ", ".join(["%s"] * len(names))
        if dimension is Dimension.MODEL:
            values += names
            where.append(f"(s.model IN ({marks}) OR s.provider || '/' || s.model IN ({marks}))")
        elif None in among:
            where.append(f"(s.{COLUMNS[dimension][0]} IS NULL" + (f" OR s.key_id IN ({marks}))" if names else ")"))
        else:
            where.append(f"s.{COLUMNS[dimension][0]} IN ({marks})")
    return where


def _moment(moment: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(moment)
