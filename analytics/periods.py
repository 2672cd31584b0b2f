"""Windows of time by the clock of a time zone. Pure: a moment in, two moments out.

The periods of a window follow one another without gap or overlap, whatever the clock does (PEP 495 has the rules).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import msgspec

from analytics.types import Window

_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


class Period(msgspec.Struct, frozen=True):
    """From `start` up to, and without, `end`; aware, in UTC."""

    start: datetime
    end: datetime | None
    """None: for good."""

    def holds(self, at: datetime) -> bool:
        return self.start <= at and (self.end is None or at < self.end)


def period(window: Window, *, zone: str, at: datetime) -> Period:
    """The window that `at` lies in. A day may have 23 or 25 hours; an hour is cut short only where the clock changes by
    part of one (Lord Howe Island's half hour).

    A total window has no edges: it starts with the year 1970. Local midnight that a change of the clock leaves out is
    the first moment of the day after it.
    """
    if window is Window.TOTAL:
        return Period(datetime(1970, 1, 1, tzinfo=UTC), None)
    local = at.astimezone(ZoneInfo(zone))
    if window is Window.HOUR:
        return _hour(local)
    first = _first_day(window, local)
    # The date goes back at a change just after midnight, which has begun the day for good (St John's, until 2011).
    while at >= _midnight(_next(window, first)):
        first = _next(window, first)
    return Period(_midnight(first), _midnight(_next(window, first)))


def _first_day(window: Window, local: datetime) -> datetime:
    day = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if window is Window.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if window is Window.MONTH else day


def _next(window: Window, day: datetime) -> datetime:
    if window is Window.MONTH:
        return (day + timedelta(days=31)).replace(day=1)
    return day + timedelta(days=7 if window is Window.WEEK else 1)


def _midnight(day: datetime) -> datetime:
    """The first moment of a local day, in UTC."""
    start = day.replace(fold=0).astimezone(UTC)
    if start.astimezone(day.tzinfo).replace(tzinfo=None) == day.replace(tzinfo=None):
        return start
    # Left out; and where the clock jumps from before midnight (Toronto in 1919), the day begins with the jump.
    return _change(day.replace(fold=1).astimezone(UTC), start, zone=day.tzinfo)


def _hour(local: datetime) -> Period:
    at = local.astimezone(UTC)
    start = at - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    end = start + _HOUR
    if _past_the_hour(start, zone=local.tzinfo) != _past_the_hour(at, zone=local.tzinfo):
        start = _change(start, at, zone=local.tzinfo)
    if _past_the_hour(end, zone=local.tzinfo) != _past_the_hour(at, zone=local.tzinfo):
        end = _change(at, end, zone=local.tzinfo)
    return Period(start, end)


def _past_the_hour(moment: datetime, *, zone: tzinfo | None) -> timedelta:
    """What part of an hour the zone's clock differs from UTC by."""
    return _offset(moment, zone=zone) % _HOUR


def _change(before: datetime, after: datetime, *, zone: tzinfo | None) -> datetime:
    """The moment of the one change of the clock since `before` and up to `after`. Clocks change at whole seconds."""
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    offset = _offset(after, zone=zone)
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if _offset(middle, zone=zone) == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(moment: datetime, *, zone: tzinfo | None) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()
