"""Windows of time by the clock of a time zone. Pure: a moment in, two moments out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from analytics.types import Window

_HOUR = timedelta(hours=1)


class Period(msgspec.Struct, frozen=True):
    """From `start` up to, and without, `end`; aware, in UTC."""

    start: datetime
    end: datetime | None
    """None: for good."""


def period(window: Window, *, zone: str, at: datetime) -> Period:
    """The window that `at` lies in. A day may have 23 or 25 hours; an hour is always one.

    A total window has no edges: it starts with the year 1970. Source of the rules: PEP 495; local midnight that a
    change of the clock leaves out is the first moment of the day after it.
    """
    if window is Window.TOTAL:
        return Period(datetime(1970, 1, 1, tzinfo=UTC), None)
    local = at.astimezone(ZoneInfo(zone))
    if window is Window.HOUR:
        start = at.astimezone(UTC) - timedelta(
            minutes=local.minute, seconds=local.second, microseconds=local.microsecond
        )
        return Period(start, start + _HOUR)
    first = _first_day(window, local)
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
    return day.replace(fold=0).astimezone(UTC)
