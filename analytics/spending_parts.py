"""Cuts a span of time into what roll-ups tell and what only rows do. Pure.

The middle of a span is whole UTC days, around it lie quarters of an hour, and at its very ends less than one of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from analytics.series import DAY, QUARTER, ceiling, floor


class Part(NamedTuple):
    """From `start` up to, and without, `end`, summed from roll-ups of one length; None: from the rows."""

    start: datetime
    end: datetime | None
    length: timedelta | None


class Reach(NamedTuple):
    """How far back there is what. Each begins with a UTC day."""

    rows_from: datetime
    """Rows before this were dropped; what roll-ups there are of that time is all there is."""
    counted_from: datetime
    """Roll-ups before this may lack rows that are still there."""
    quarters_from: datetime
    """Roll-ups of quarters before this were dropped."""


def cut(start: datetime, end: datetime | None, *, now: datetime, reach: Reach) -> list[Part]:
    """The parts, in order. They are the span itself but where rows were dropped: there its ends are moved outwards,
    to a quarter's edge, or a day's where quarters are kept no longer."""
    if end is None:
        # Ahead of now there is hardly a row, and no roll-up is the last one.
        ahead = max(floor(now, DAY) + 2 * DAY, start)
        return [*cut(start, ahead, now=now, reach=reach), Part(ahead, None, None)]
    found: list[Part] = []
    if start < min(end, reach.rows_from):
        found += _without_rows(start, min(end, reach.rows_from), reach=reach)
    rows_until = max(reach.rows_from, reach.counted_from)
    found.append(Part(max(start, reach.rows_from), min(end, rows_until), None))
    found += _days(max(start, rows_until), end, reach=reach)
    return [one for one in found if one.end is not None and one.start < one.end]


def _without_rows(start: datetime, end: datetime, *, reach: Reach) -> Iterator[Part]:
    start = floor(start, QUARTER if start >= reach.quarters_from else DAY)
    return _days(start, ceiling(end, QUARTER if end > reach.quarters_from else DAY), reach=reach)


def _days(start: datetime, end: datetime, *, reach: Reach) -> Iterator[Part]:
    first, last = ceiling(start, DAY), floor(end, DAY)
    if first >= last:
        yield from _quarters(start, end, reach=reach)
        return
    yield from _quarters(start, first, reach=reach)
    yield Part(first, last, DAY)
    yield from _quarters(last, end, reach=reach)


def _quarters(start: datetime, end: datetime, *, reach: Reach) -> Iterator[Part]:
    first, last = ceiling(start, QUARTER), floor(end, QUARTER)
    if first >= last or start < reach.quarters_from:
        yield Part(start, end, None)
        return
    yield Part(start, first, None)
    yield Part(first, last, QUARTER)
    yield Part(last, end, None)
