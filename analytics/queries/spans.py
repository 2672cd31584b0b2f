"""Spans of time and what roll-ups they are added up from. Pure.

Owns how far back minutes and quarters of an hour can be told, what that does to a span's edges, the period before, and
steps. Words such as `7d` or `last month` are `analytics.queries.moments`'.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import msgspec

from analytics import periods
from analytics.periods import Period
from analytics.series import DAY, MINUTE, MINUTES_KEPT, QUARTER, QUARTERS_KEPT, ceiling, floor
from analytics.types import Window

MOST_POINTS = 10_000
_NEVER = datetime.max.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SpanProblem(Exception):
    """What cannot be told of a span; the message says what to ask instead. `about` names what is wrong with it."""

    def __init__(self, message: str, *, about: str) -> None:
        super().__init__(message)
        self.about = about


class Step(StrEnum):
    MINUTE = "minute"
    QUARTER = "15m"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    """From Monday on."""
    MONTH = "month"


_SHORTEST = {
    Step.MINUTE: MINUTE,
    Step.QUARTER: QUARTER,
    Step.HOUR: QUARTER,
    Step.DAY: timedelta(hours=22),
    Step.WEEK: timedelta(days=6),
    Step.MONTH: timedelta(days=27),
}
"""How long a step is at least: hours are cut short where the clock changes by part of one."""
_USUAL = _SHORTEST | {Step.HOUR: timedelta(hours=1)}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """From `start` up to, and without, `end`, both in UTC, as asked for at `at`."""

    start: datetime
    end: datetime
    zone: str
    """IANA name: whose days, weeks and months are meant."""
    at: datetime
    calendar: Window | None = None
    """Set where it began with a day, week or month of the zone, up to its end or up to now."""

    @property
    def covered(self) -> Span:
        """The span that can be told: edges go outward to the nearest that roll-ups still have."""
        start, end = outward(self.start, at=self.at, is_end=False), outward(self.end, at=self.at, is_end=True)
        return msgspec.structs.replace(self, start=start, end=end)


class Piece(NamedTuple):
    """What one length of roll-ups is asked for: those that begin from `start` up to, and without, `end`."""

    length: timedelta
    start: datetime
    end: datetime


def outward(moment: datetime, *, at: datetime, is_end: bool) -> datetime:
    """The nearest edge of a roll-up that is kept, not after `moment`, or not before it."""
    length = _finest(moment, at=at)
    down = floor(moment, length)
    return down + length if is_end and down < moment else down


def _finest(moment: datetime, *, at: datetime) -> timedelta:
    if moment >= ceiling(at - MINUTES_KEPT, QUARTER):
        return MINUTE
    return QUARTER if moment >= ceiling(at - QUARTERS_KEPT, DAY) else DAY


def pieces(start: datetime, end: datetime) -> list[Piece]:
    """The span as UTC days where they are whole, quarters of an hour for the rest, minutes for what is left of those;
    no moment twice."""
    return _tiled(start, end, [DAY, QUARTER, MINUTE])


def _tiled(start: datetime, end: datetime, lengths: list[timedelta]) -> list[Piece]:
    if start >= end or not lengths:
        return []
    length, *finer = lengths
    first, last = ceiling(start, length), floor(end, length)
    if first >= last:
        return _tiled(start, end, finer)
    return [*_tiled(start, first, finer), Piece(length, first, last), *_tiled(last, end, finer)]


def edges(span: Span, step: Step | None) -> tuple[datetime, ...]:
    """Where the steps of a span begin, and its end: the first and the last step may be cut short. Without a step it is
    one.

    Raises: SpanProblem for too many steps, and for those that are no longer told apart so far back.
    """
    covered = span.covered
    if step is None:
        return covered.start, covered.end
    if (covered.end - covered.start) / _USUAL[step] > MOST_POINTS:
        raise SpanProblem(f"That is more than {MOST_POINTS:,} points: choose a longer step.", about="step")
    found = [covered.start]
    while (following := _next(found[-1], step, zone=span.zone)) < covered.end:
        if outward(following, at=span.at, is_end=False) != following:
            raise SpanProblem(_too_fine(following, span), about="step")
        found.append(following)
    return *found, covered.end


def _next(moment: datetime, step: Step, *, zone: str) -> datetime:
    if step is Step.MINUTE or step is Step.QUARTER:
        length = _SHORTEST[step]
        return floor(moment, length) + length
    return periods.period(Window(step.value), zone=zone, at=moment).end or _NEVER  # only a total window has no end


def _too_fine(edge: datetime, span: Span) -> str:
    if edge >= ceiling(span.at - QUARTERS_KEPT, DAY):
        return f"Minutes are kept for {MINUTES_KEPT.days} days: choose a longer step, or a later start."
    return (
        f"Beyond {QUARTERS_KEPT.days} days there are UTC days alone: choose the zone UTC and a step of a day or more."
    )


def before(span: Span) -> Span:
    """The period before: as long and just before; of a calendar's day, week or month the one before it, as far into it
    as this one has come."""
    if span.calendar is None:
        covered = span.covered
        return msgspec.structs.replace(span, start=covered.start - (covered.end - covered.start), end=covered.start)
    this = _period(span, at=span.start)
    last = _period(span, at=this.start - _MICROSECOND)
    end = last.end or last.start
    if this.end is not None and span.end < this.end:
        end = min(last.start + (span.end - this.start), end)
    return msgspec.structs.replace(span, start=last.start, end=end)


def _period(span: Span, *, at: datetime) -> Period:
    return periods.period(span.calendar or Window.DAY, zone=span.zone, at=at)


def steps_of(found: tuple[datetime, ...]) -> list[tuple[datetime, datetime]]:
    """Each step's start and end."""
    return list(pairwise(found))
