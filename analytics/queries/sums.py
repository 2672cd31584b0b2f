"""Adds up roll-ups: for each step of a span and each group, what its requests were. The one place with SQL over them.

One statement with a part for each length of roll-up that the span needs, each over one grain (a constant, so that
PostgreSQL reads one partition) and its few stretches of time. What the rows of a stretch have in common is added up in
the database, what several stretches tell of a step here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from analytics.queries import filters as what
from analytics.queries.filters import COLUMNS, Dimension, Filters
from analytics.queries.spans import MOST_POINTS, SpanProblem
from analytics.queries.stretches import Stretch, stretches
from analytics.rollup_models import FIRST_TOKEN, LATENCY, PER_USD, SUMS, TOKENS, UsageRollup, UsageSeries
from analytics.series import KNOWN, Grain, StatusClass

Group = tuple[Any, ...]
"""Values of `COLUMNS`, of one dimension after the other."""
Place = tuple[int, Group]
"""Which step, which group."""
MOST_ROWS = 20 * MOST_POINTS
"""What a statement may bring: each point has a row for every status and every length of roll-up."""
MOST_TIMED_ROWS = 5 * MOST_POINTS
"""The same with histograms, which are eighty columns: the answered and the others of a day, and of what is added to it
or taken off."""
_AT_ONCE = 1_000
FAILED = frozenset(StatusClass) - {StatusClass.OK, StatusClass.CANCELLED}
"""A client that left has not seen an error."""


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What some requests were, together; by the columns of roll-ups."""

    requests: int = 0
    answered: int = 0
    """To their end, with 200."""
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
    def errors(self) -> int:
        """Refused, failed, broken off, interrupted: `FAILED`."""
        return self.requests - self.answered - self.cancelled

    @property
    def error_share(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def fallback_share(self) -> float | None:
        """Of all requests: how many were answered by another than the first model tried."""
        return self.fell_back / self.requests if self.requests else None


NOTHING = Totals()


def together(found: Iterable[Totals]) -> Totals:
    return _sum([(one, 1) for one in found])


def _sum(found: Sequence[tuple[Totals, int]]) -> Totals:
    """Each as often as is said, -1 to take it off."""
    if len(found) == 1 and found[0][1] == 1:
        return found[0][0]
    plain = {name: sum(getattr(one, name) * times for one, times in found) for name in SUMS}
    return Totals(
        **plain,
        latency=_added([(one.latency, times) for one, times in found]),
        first_token=_added([(one.first_token, times) for one, times in found]),
    )


def _added(parts: Iterable[tuple[tuple[int, ...], int]]) -> tuple[int, ...]:
    counted = [(counts, times) for counts, times in parts if counts]
    if len(counted) == 1 and counted[0][1] == 1:
        return counted[0][0]
    columns = zip(*(counts for counts, _ in counted), strict=True)
    signs = [times for _, times in counted]
    return tuple(sum(number * times for number, times in zip(column, signs, strict=True)) for column in columns)


def read(
    edges: Sequence[datetime],
    filters: Filters,
    dimensions: Sequence[Dimension] = (),
    *,
    at: datetime,
    with_times: bool = False,
    most: int | None = None,
) -> dict[Place, Totals]:
    """What happened in each step between two of `edges`, by group, where anything did. Latency and time to the first
    token are those of answered requests, unless certain statuses are asked for. `at` is now: what begins later is not
    there, so the roll-up of a day that goes on holds no more than the span.

    Raises: SpanProblem when the groups and steps are too many: more than `most` where it is said.
    """
    if filters.lets_nothing_through:
        return {}
    knowing = what.needs(filters, dimensions)
    found: dict[Place, list[tuple[Totals, int]]] = {}
    asked = [
        _Asked(what.grain(length, knowing=knowing), some, filters, dimensions, with_times)
        for length, some in stretches(edges, at=at).items()
    ]
    for stretch, group, totals in _rows({int(one.grain): one for one in asked}):
        for number, times in stretch.shares:
            found.setdefault((number, group), []).append((totals, times))
        # Up to as many again may come to nothing: what one step gains and gives to its neighbour.
        if most is not None and len(found) > 2 * most:
            raise _too_many_points(most)
    summed = {place: _sum(parts) for place, parts in found.items()}
    # What is taken off may be all there was.
    told = {place: totals for place, totals in summed.items() if totals.requests}
    if most is not None and len(told) > most:
        raise _too_many_points(most)
    return told


def _too_many_points(most: int) -> SpanProblem:
    return SpanProblem(f"That is more than {most:,} points: choose a longer step.", about="step")


class _Asked(msgspec.Struct, frozen=True):
    grain: Grain
    stretches: Sequence[Stretch]
    filters: Filters
    dimensions: Sequence[Dimension]
    with_times: bool


def _rows(asked: Mapping[int, _Asked]) -> Iterable[tuple[Stretch, Group, Totals]]:
    """All of one statement, so that no row that comes meanwhile is in one length of roll-up and not yet in another."""
    if not asked:
        return
    starts = {number: [_moment(stretch.start) for stretch in one.stretches] for number, one in asked.items()}
    for grain, which, is_answered, *told in _told([statement_of(one) for one in asked.values()], most=_most(asked)):
        one = asked[grain]
        width = sum(len(COLUMNS[dimension]) for dimension in one.dimensions)
        stretch = one.stretches[_number(which, starts[grain])]
        yield stretch, tuple(told[:width]), _totals(told[width:], is_timed=one.with_times and bool(is_answered))


def _most(asked: Mapping[int, _Asked]) -> int:
    return MOST_TIMED_ROWS if any(one.with_times for one in asked.values()) else MOST_ROWS


def _told(parts: Sequence[tuple[str, list[Any]]], *, most: int) -> Iterator[Sequence[Any]]:
    """The database stops at the limit: PostgreSQL's driver takes all it is given before the first row is looked at."""
    together = f"{' UNION ALL '.join(text for text, _ in parts)} LIMIT {most + 1}"
    count = 0
    with connection.cursor() as cursor:
        cursor.execute(together, [value for _, some in parts for value in some])
        while rows := cursor.fetchmany(_AT_ONCE):
            count += len(rows)
            if count > most:
                raise SpanProblem("That is too many rows: choose a longer step, or group by less.", about="step")
            yield from rows


def _number(which: Any, starts: Sequence[Any]) -> int:
    """PostgreSQL counts stretches from 1 on; SQLite tells when the roll-up begins, in a form that sorts as time."""
    return bisect_right(starts, which) - 1 if isinstance(which, str) else int(which) - 1


def _totals(sums: Sequence[Any], *, is_timed: bool) -> Totals:
    numbers = [int(number or 0) for number in sums]
    times = numbers[len(SUMS) :] if is_timed else []
    return Totals(
        **dict(zip(SUMS, numbers, strict=False)),
        latency=tuple(times[: len(LATENCY)]),
        first_token=tuple(times[len(LATENCY) :]),
    )


def statement_of(asked: _Asked) -> tuple[str, list[Any]]:
    """`CROSS JOIN` is a plain join to PostgreSQL; to SQLite it says that roll-ups are looked up first, by time."""
    which, values = _which(asked.stretches)
    groups = [f"s.{column}" for dimension in asked.dimensions for column in COLUMNS[dimension]]
    columns = (*LATENCY, *FIRST_TOKEN) if asked.with_times else ()
    sums = [f"SUM(r.{column})" for column in (*SUMS, *columns)]
    # Cuts that do not know it time answered requests alone.
    is_told = asked.with_times and asked.filters.statuses is None and "status" in KNOWN[asked.grain.cut]
    is_answered = _IS_OK if is_told else "1"
    # The cut follows from the grain, but PostgreSQL does not know and would look through every cut's series.
    where = ["r.series_id = s.id", f"s.cut = {int(asked.grain.cut)}", f"r.grain = {int(asked.grain)}"]
    where.append(_during(asked, values))
    where += _among(asked.filters, values)
    statement = (
        f"SELECT {', '.join((str(int(asked.grain)), which, is_answered, *groups, *sums))} "
        f"FROM {UsageRollup._meta.db_table} r CROSS JOIN {UsageSeries._meta.db_table} s "
        f"WHERE {' AND '.join(where)} GROUP BY {', '.join(str(n + 1) for n in range(len(groups) + 3))}"
    )
    return statement, values


_IS_OK = f"CASE WHEN s.status_class = '{StatusClass.OK.value}' THEN 1 ELSE 0 END"


def _which(some: Sequence[Stretch]) -> tuple[str, list[Any]]:
    """Which stretch a roll-up lies in; the first one has the number 1."""
    if len(some) == 1:
        return "1", []
    if connection.vendor == "postgresql":
        return "width_bucket(r.start, %s::timestamptz[])", [[stretch.start for stretch in some]]
    return "r.start || ''", []  # without a type, so that it comes as text


def _during(asked: _Asked, values: list[Any]) -> str:
    """The grain again in each: SQLite looks them up one by one by what stands inside alone."""
    joined: list[tuple[datetime, datetime]] = []
    for stretch in asked.stretches:
        if joined and joined[-1][1] == stretch.start:
            joined[-1] = joined[-1][0], stretch.end
        else:
            joined.append((stretch.start, stretch.end))
    for start, end in joined:
        values += [_moment(start), _moment(end)]
    each = f"(r.grain = {int(asked.grain)} AND r.start >= %s AND r.start < %s)"
    during = f"({' OR '.join([each] * len(joined))})"
    if connection.vendor == "postgresql" and len(joined) > 1:
        # It looks none of them up in an index by series and time, but what encloses them all.
        values += [joined[0][0], joined[-1][1]]
        during += " AND r.start >= %s AND r.start < %s"
    return during


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
