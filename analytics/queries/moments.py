"""Reads the words people write for a span: `7d`, `today`, `last month`, `2026-11`, `2026-11-01T09:00`. Pure.

One reader for API and commands. A word in a zone becomes a moment; a span is two of them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from analytics import periods
from analytics.periods import Period
from analytics.queries.spans import Span, SpanProblem
from analytics.series import MINUTE
from analytics.types import Window

USUAL_SINCE = "7d"
WRITE = (
    "write 7d, 24h, 30m or 2w, today, yesterday, this or last week or month, "
    "a date such as 2026-11-01, or a time such as 2026-11-01T09:00"
)
_UNITS = {"m": MINUTE, "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_AGO = re.compile(r"([0-9]{1,6})\s*(m|h|d|w)")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|z|[+-][0-9]{2}:?[0-9]{2})?"
)
_WORDS = {"today": (Window.DAY, 0), "yesterday": (Window.DAY, 1)} | {
    f"{which} {window.value}": (window, ago)
    for window in (Window.HOUR, Window.DAY, Window.WEEK, Window.MONTH)
    for which, ago in (("this", 0), ("last", 1))
}
_FIRST, _LAST = datetime(1971, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class _Word(Period, frozen=True):
    """A word's period and, where it is one of the calendar's, which."""

    window: Window | None = None


def span(since: str | None, until: str | None, *, zone: str, now: datetime, usual: str = USUAL_SINCE) -> Span:
    """From one word to another. A word for a whole day, week or month says its end too, unless `until` does; a span
    without an end goes up to now. As an end every word means where its period begins: it is not part of the span.

    Raises: SpanProblem, about `since` or `until`.
    """
    minute = now.replace(second=0, microsecond=0) + MINUTE
    found = _read(usual if since is None else since, zone=zone, now=minute, about="since")
    if until is not None:
        end = _read(until, zone=zone, now=minute, about="until").start
        window = found.window if end == found.end else None
    else:
        end = min(found.end or minute, minute) if found.start < minute else found.end or minute
        window = found.window
    if found.start >= end:
        raise SpanProblem(
            f"It begins at {_told(found.start, zone)} and ends at {_told(end, zone)}: choose an earlier start, "
            "or a later end.",
            about="since" if until is None else "until",
        )
    return Span(start=found.start, end=end, zone=zone, at=now, calendar=window)


def period(text: str, *, zone: str, now: datetime, about: str) -> Period:
    """What one word stands for: a whole day, week or month, or what begins at a moment, without an end.

    Raises: SpanProblem.
    """
    return _read(text, zone=zone, now=now.replace(second=0, microsecond=0) + MINUTE, about=about)


def _read(text: str, *, zone: str, now: datetime, about: str) -> _Word:
    words = " ".join(text.replace("_", " ").replace("-", " ").lower().split())
    if words == "now":
        return _Word(now, None)
    if words in _WORDS:
        window, ago = _WORDS[words]
        return _whole(window, ago=ago, zone=zone, at=now - MINUTE)
    found = _written(text.strip(), zone=zone, now=now, about=about)
    if found is None:
        raise SpanProblem(f"{text[:100]!r} is no time: {WRITE}.", about=about)
    if not _FIRST <= found.start <= _LAST:
        raise SpanProblem(f"{text[:100]!r}: use a time between 1971 and 2200.", about=about)
    return found


def _written(text: str, *, zone: str, now: datetime, about: str) -> _Word | None:
    try:
        if ago := _AGO.fullmatch(text):
            return _Word(now - int(ago[1]) * _UNITS[ago[2]], None)
        if _MONTH.fullmatch(text):
            return _of_date(f"{text}-01", Window.MONTH, zone=zone)
        if _DATE.fullmatch(text):
            return _of_date(text, None, zone=zone)
        if _TIME.fullmatch(text):
            return _Word(_moment(text, zone=zone, about=about), None)
    except (ValueError, OverflowError):
        return None
    return None


def _of_date(text: str, window: Window | None, *, zone: str) -> _Word:
    """A month named is the whole of it; a day named is where something begins."""
    noon = datetime.fromisoformat(f"{text}T12:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if window is None:
        return _Word(periods.period(Window.DAY, zone=zone, at=noon).start, None)
    return _whole(window, ago=0, zone=zone, at=noon)


def _whole(window: Window, *, ago: int, zone: str, at: datetime) -> _Word:
    found = periods.period(window, zone=zone, at=at)
    for _ in range(ago):
        found = periods.period(window, zone=zone, at=found.start - timedelta(microseconds=1))
    return _Word(found.start, found.end, window)


def _moment(text: str, *, zone: str, about: str) -> datetime:
    found = datetime.fromisoformat(text.replace("z", "Z"))
    if found.tzinfo is not None:
        return found.astimezone(UTC)
    moment = found.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != found:
        raise SpanProblem(f"{text!r}: the clock of {zone} skips this time.", about=about)
    return moment


def _told(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
