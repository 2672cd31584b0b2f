"""Counts whole UTC days of the ledger anew: to write their roll-ups again (`rebuild`), or to compare them (`verify`).

A rebuild holds everybody from inserting for one day's rows at a time; a comparison holds nobody. Neither touches a day
whose rows were dropped, nor a grain that is kept no longer. Budgets' counters are filled by `analytics.rebuilding`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import BigIntegerField, Exists, F, Func, Min, OuterRef
from django.utils import timezone

from analytics import horizon, rollups
from analytics.models import UsageRecord, UsageRollup, UsageSeries
from analytics.rollup_models import COLUMNS, PER_USD, TOKENS
from analytics.rollups import Tally
from analytics.series import DAY, MINUTE, QUARTER, Cut, Dimensions, Grain, series_id
from analytics.types import UsageRow

ROWS_AT_ONCE = 5_000
_PART = timedelta(hours=1)
"""Rows of so long are counted together before the next are read: a day's minutes would take a lot of memory."""
_DAYS = frozenset(grain for grain in Grain if grain.length is DAY)
_PLAIN = (
    *("started_at", "kind", "outcome", "status", "error_kind", "layer", "project_id", "project"),
    *("key_id", "key_name", "provider", "model", "fell_back", "attempts", *TOKENS, "web_searches", "images"),
    *("duration_ms", "first_token_ms"),
)
"""Columns of the ledger that roll-ups are made of, but for money."""

_NOBODYS = UUID(int=0)
"""In place of the rows' ids, which nobody counts."""

Progress = Callable[[datetime, int], None]
"""Told after each day: the day, and how many rows it has."""


class BadSpan(Exception):
    """The time asked for cannot be counted; the message says why and what can."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of the roll-ups that is not the sum of its rows; or a series that is not what its id says."""

    grain: str
    start: datetime | None
    series: str
    column: str
    found: int
    should: int


class _Whole(Func):
    """Money as roll-ups count it."""

    output_field = BigIntegerField()
    template = f"CAST(ROUND(%(expressions)s * {PER_USD}) AS BIGINT)"


@dataclass(frozen=True, slots=True)
class Span:
    """Whole UTC days from `start` up to, and without, `end`."""

    start: datetime
    end: datetime
    days: tuple[datetime, ...]
    """Those of them that have a row or a roll-up."""


def span(since: datetime | None, until: datetime | None) -> Span:
    """The days from `since` up to `until`; None: as far as there are rows or roll-ups. Raises: BadSpan."""
    rows_from = horizon.whole_days_from(horizon.current().rows_from)
    if since is not None and since < rows_from:
        raise BadSpan(f"Rows before {rows_from:%Y-%m-%d} were dropped; their roll-ups stay as they are.")
    start = rows_from if since is None else horizon.day_of(since)
    end = horizon.day_of(timezone.now()) + 2 * DAY if until is None else horizon.whole_days_from(until)
    if end <= start:
        raise BadSpan("There is no whole day between these dates.")
    return Span(start, end, tuple(_days(start, end)))


def _days(start: datetime, end: datetime) -> Iterator[datetime]:
    while (found := _first_after(start)) is not None and found < end:
        yield horizon.day_of(found)
        start = horizon.day_of(found) + DAY


def _first_after(moment: datetime) -> datetime | None:
    """Of the rows and the roll-ups, by one look into an index for each grain."""
    first = [UsageRecord.objects.filter(started_at__gte=moment).aggregate(first=Min("started_at"))["first"]]
    for grain in Grain:
        first.append(UsageRollup.objects.filter(grain=grain, start__gte=moment).aggregate(first=Min("start"))["first"])
    return min((one for one in first if one is not None), default=None)


def rebuild(day: datetime) -> int:
    """Writes the roll-ups of one UTC day anew, in one transaction; returns how many rows they are of.

    Raises: RowsAreGone.
    """
    with transaction.atomic():
        horizon.hold()
        if day < (rows_from := horizon.current().rows_from):
            raise horizon.RowsAreGone(f"Rows before {rows_from:%Y-%m-%d} were dropped.")
        # Every grain by name, as the indexes begin with it.
        found = UsageRollup.objects.filter(grain__in=list(Grain), start__gte=day, start__lt=day + DAY)
        found._raw_delete(using=connection.alias)
        count = 0
        for part in _counted(day):
            rollups.write_new(part.tally)
            count += _requests(part)
    return count


def rebuild_all(wanted: Span, *, progress: Progress) -> int:
    """Days one after the other, each whole; returns how many rows they have. Raises: RowsAreGone."""
    total = 0
    for day in wanted.days:
        count = rebuild(day)
        progress(day, count)
        total += count
    if wanted.start < horizon.current().counted_from <= wanted.end:
        horizon.counted_since(wanted.start)
    return total


def verify(wanted: Span, *, progress: Progress) -> Generator[Difference, None, None]:
    """Every figure of these days' roll-ups that is not the sum of its rows, every series with a wrong id, and every one
    that is missing. Close it when you have seen enough: it holds a transaction."""
    yield from _wrong_series()
    for day in wanted.days:
        count = 0
        with _one_moment():
            for part in _counted(day):
                count += _requests(part)
                yield from _differences(part)
        progress(day, count)


@dataclass(frozen=True, slots=True)
class _Part:
    """What the roll-ups of one grain or several should be that begin from `start` up to, and without, `end`."""

    start: datetime
    end: datetime
    grains: frozenset[Grain]
    tally: Tally


def _counted(day: datetime) -> Iterator[_Part]:
    """One day: hours of what is shorter than a day, then the day of what is as long as one."""
    kept, of_day = _kept(day), Tally()
    has_rows = UsageRecord.objects.filter(started_at__gte=day, started_at__lt=day + DAY).exists()
    length, start = _PART if has_rows else DAY, day
    while start < day + DAY:
        finished: Tally = {}
        for key, counts in rollups.tally(_rows(start, start + length) if has_rows else ()).items():
            if key[0] in kept:
                finished[key] = counts
            elif key[0] in _DAYS:
                rollups.merge(of_day, key, counts)
        yield _Part(start, start + length, kept, finished)
        start += length
    yield _Part(day, day + DAY, _DAYS, of_day)


def _requests(part: _Part) -> int:
    """How many rows were counted, told by the last part."""
    return sum(counts["requests"] for (grain, _, _), counts in part.tally.items() if grain is Grain.DAY_ALL)


def _kept(day: datetime) -> frozenset[Grain]:
    """The grains shorter than a day that are kept of it, whole."""
    now = timezone.now()
    since = {MINUTE: horizon.minutes_from(now), QUARTER: horizon.quarters_from(now)}
    return frozenset(grain for grain in set(Grain) - _DAYS if day >= since[grain.length])


def _rows(start: datetime, end: datetime) -> Iterator[UsageRow]:
    money = {"whole_cost": _Whole(F("cost_usd")), "whole_budget": _Whole(F("budget_usd"))}
    found = UsageRecord.objects.filter(started_at__gte=start, started_at__lt=end).order_by().annotate(**money)
    for *plain, cost, budget in found.values_list(*_PLAIN, *money).iterator(chunk_size=ROWS_AT_ONCE):
        yield UsageRow(
            **dict(zip(_PLAIN, plain, strict=True)),
            id=_NOBODYS,
            requested_model="",
            cost_usd=Decimal(cost) / PER_USD,
            budget_usd=Decimal(budget) / PER_USD,
        )


@contextmanager
def _one_moment() -> Iterator[None]:
    """What is read sees the database as it is at one moment, and nobody waits for it."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")  # `atomic` would take the writers' place
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
    else:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield


def _differences(part: _Part) -> Iterator[Difference]:
    should = {
        (int(grain), begin, series_id(grain.cut, values)): (values, counts)
        for (grain, begin, values), counts in part.tally.items()
    }
    stored = UsageRollup.objects.filter(grain__in=part.grains, start__gte=part.start, start__lt=part.end).order_by()
    rows = stored.values_list("grain", "start", "series_id", *COLUMNS).iterator(chunk_size=ROWS_AT_ONCE)
    for grain, begin, series, *figures in rows:
        values, counts = should.pop((grain, begin, series), (None, {}))
        if {column: figure for column, figure in zip(COLUMNS, figures, strict=True) if figure} == counts:
            continue
        for column, figure in zip(COLUMNS, figures, strict=True):
            if (figure or 0) != counts.get(column, 0):
                name = Grain(grain).name.lower()
                yield Difference(name, begin, _named(values or series), column, figure or 0, counts.get(column, 0))
    for (grain, begin, _), (values, counts) in should.items():
        yield Difference(Grain(grain).name.lower(), begin, _named(values), "requests", 0, counts["requests"])


def _named(series: Dimensions | int) -> str:
    values: Any = series
    if isinstance(series, int):
        values = UsageSeries.objects.filter(pk=series).values_list(*Dimensions._fields).first() or (f"series {series}",)
    return ", ".join(str(value) for value in values if value not in (None, ""))


def _wrong_series() -> Iterator[Difference]:
    for number, cut, *values in UsageSeries.objects.values_list("pk", "cut", *Dimensions._fields).iterator():
        should = series_id(Cut(cut), Dimensions(*values))
        if number != should:
            yield Difference("series", None, _named(Dimensions(*values)), "id", number, should)
    known = UsageSeries.objects.filter(pk=OuterRef("series_id"))
    for number in UsageRollup.objects.filter(~Exists(known)).order_by().values_list("series_id", flat=True).distinct():
        yield Difference("series", None, f"series {number}", "rows", 0, 1)
