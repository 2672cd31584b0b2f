"""Adds usage rows to the roll-ups: counts them up in Python once per minute and series, then adds the counts in one
upsert. Called in the transaction that inserted the rows, with those that were really inserted.

Whole numbers only, money too: the order in which rows come changes no sum.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from operator import attrgetter, itemgetter

from django.db import connection

from analytics import bulk, histograms
from analytics.rollup_models import COLUMNS, FIRST_TOKEN, LATENCY, PER_USD, TOKENS, UsageRollup, UsageSeries
from analytics.series import KNOWN, Cut, Dimensions, Grain, StatusClass, cut_down, series_id, status_class
from analytics.types import UsageRow

Counts = dict[str, int]
"""By column of `UsageRollup`; a column that is not there is 0."""
Key = tuple[Grain, datetime, Dimensions]
Tally = dict[Key, Counts]
_Counted = dict[tuple[datetime, Dimensions], Counts]
"""In one grain."""
_FROM = {
    Grain.QUARTER: Grain.MINUTE,
    Grain.QUARTER_STATUS: Grain.QUARTER,
    Grain.QUARTER_PROJECT: Grain.QUARTER_STATUS,
    Grain.QUARTER_ALL: Grain.QUARTER_PROJECT,
    Grain.DAY: Grain.QUARTER,
    Grain.DAY_KEY: Grain.DAY,
    Grain.DAY_MODEL: Grain.DAY,
    Grain.DAY_STATUS: Grain.QUARTER_STATUS,
    Grain.DAY_PROJECT: Grain.DAY_MODEL,
    Grain.DAY_ALL: Grain.DAY_PROJECT,
}
"""Which finer grain each is added up from: the one with the fewest rows that tells enough apart."""


def tally(rows: Iterable[UsageRow]) -> Tally:
    """The rows counted up, in every grain."""
    found: dict[Grain, _Counted] = {Grain.MINUTE: _by_minute(rows)}
    for grain, finer in _FROM.items():
        found[grain] = _added_up(found[finer], grain=grain)
    return {(grain, *key): counts for grain, counted in found.items() for key, counts in counted.items()}


def _by_minute(rows: Iterable[UsageRow]) -> _Counted:
    found: _Counted = defaultdict(lambda: defaultdict(int))
    for row in rows:
        _count(row, into=found[row.started_at.replace(second=0, microsecond=0), dimensions(row)])
    return found


def _added_up(finer: _Counted, *, grain: Grain) -> _Counted:
    starts = {start: grain.start_of(start) for start in {start for start, _ in finer}}
    cut = grain.cut
    times_all = "status" in KNOWN[cut]
    found: _Counted = {}
    own: set[tuple[datetime, Dimensions]] = set()
    for (start, values), counted in finer.items():
        key = starts[start], values if cut is Cut.FULL else cut_down(values, cut)
        counts = counted if times_all or values.status_class in _TIMED else _without_times(counted)
        known = found.get(key)
        if known is None:
            found[key] = counts
            continue
        if key not in own:  # what one finer roll-up counted is shared with it until a second one is added
            own.add(key)
            known = found[key] = dict(known)
        for column, number in counts.items():
            known[column] = known.get(column, 0) + number
    return found


_TIMED = {StatusClass.OK, ""}
"""Whose durations a cut counts that does not know how requests ended; "" has been through one."""
_TIMES = frozenset((*LATENCY, *FIRST_TOKEN))


def _without_times(counts: Counts) -> Counts:
    return {column: number for column, number in counts.items() if column not in _TIMES}


def merge(into: Tally, key: Key, counts: Counts) -> None:
    """Adds the counts of one roll-up to a tally that is the caller's own."""
    known = into.get(key)
    if known is None:
        into[key] = dict(counts)
        return
    for column, number in counts.items():
        known[column] = known.get(column, 0) + number


def dimensions(row: UsageRow) -> Dimensions:
    """The series of a row in the full cut."""
    return Dimensions(
        row.kind,
        status_class(row.outcome, row.status),
        row.error_kind,
        row.layer,
        row.project_id,
        row.project,
        row.key_id,
        row.key_name,
        row.provider,
        row.model,
    )


_ENDED = {"ok": "answered", "cancelled": "cancelled"}
_NUMBERS = ("fell_back", "attempts", *TOKENS, "web_searches", "images")
_numbers = attrgetter(*_NUMBERS)


def _count(row: UsageRow, *, into: Counts) -> None:
    into["requests"] += 1
    if row.outcome in _ENDED:
        into[_ENDED[row.outcome]] += 1
    for column, number in zip(_NUMBERS, _numbers(row), strict=True):
        if number:
            into[column] += int(number)
    if row.cost_usd:
        into["cost"] += whole(row.cost_usd)
    if row.budget_usd:
        into["budget"] += whole(row.budget_usd)
    into[LATENCY[histograms.place(row.duration_ms)]] += 1
    if row.first_token_ms is not None:
        into[FIRST_TOKEN[histograms.place(row.first_token_ms)]] += 1


def whole(usd: Decimal) -> int:
    """Dollars as the roll-ups keep them, rounded as the ledger's column does. Raises: ValueError, OverflowError for
    what is no number."""
    return int((usd * PER_USD).to_integral_value(ROUND_HALF_UP))


def add(counted: Tally) -> None:
    """Adds to the tables, in the caller's transaction. In one order whoever adds, so that two who add the same rows
    wait for each other rather than for good."""
    if counted:
        columns = _used(counted.values())
        _write(counted, columns=columns, conflict=_adding(columns))


def write_new(counted: Tally) -> None:
    """Writes roll-ups where there are none of these grains and times, in the caller's transaction."""
    if counted:
        _write(counted, columns=_used(counted.values()), conflict="DO NOTHING")


def _write(counted: Tally, *, columns: tuple[str, ...], conflict: str) -> None:
    cuts = {grain: grain.cut for grain in Grain}
    numbered = {(cut, values): series_id(cut, values) for cut, values in {(cuts[key[0]], key[2]) for key in counted}}
    name_series(numbered)
    ordered = sorted(
        ((int(grain), start, numbered[cuts[grain], values]), counts)
        for (grain, start, values), counts in counted.items()
    )
    bulk.insert_counts(UsageRollup, ("grain", "start", "series_id"), columns, ordered, conflict=conflict)


def _used(counted: Iterable[Counts]) -> tuple[str, ...]:
    used: set[str] = set()
    for counts in counted:
        used.update(counts)
    return tuple(column for column in COLUMNS if column in used)


def name_series(numbered: Mapping[tuple[Cut, Dimensions], int]) -> None:
    """Sees to it that the series have their rows."""
    known = bulk.known_numbers(UsageSeries, numbered.values())
    rows = sorted(
        ((number, int(cut), *values) for (cut, values), number in numbered.items() if number not in known),
        key=itemgetter(0),
    )
    if rows:
        bulk.insert(UsageSeries, ("id", "cut", *Dimensions._fields), rows, conflict="DO NOTHING")


def _adding(columns: Sequence[str]) -> str:
    table = connection.ops.quote_name(UsageRollup._meta.db_table)
    sums = (f"{name} = COALESCE({table}.{name} + excluded.{name}, {table}.{name}, excluded.{name})" for name in columns)
    return f"(grain, start, series_id) DO UPDATE SET {', '.join(sums)}"
