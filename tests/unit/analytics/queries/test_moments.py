"""The words that people write for a span of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.queries import moments
from analytics.queries.spans import SpanProblem
from analytics.types import Window

NOW = datetime(2026, 11, 22, 23, 30, 20, tzinfo=UTC)
"""In Berlin the next day has begun."""
BERLIN = "Europe/Berlin"


def read(since=None, until=None, *, zone="UTC"):
    return moments.span(since, until, zone=zone, now=NOW)


def told(since=None, until=None, *, zone="UTC"):
    found = read(since, until, zone=zone)
    return tuple(f"{edge:%Y-%m-%dT%H:%M}" for edge in (found.start, found.end))


@pytest.mark.parametrize(
    ("since", "until", "zone", "start", "end"),
    [
        (None, None, "UTC", "2026-11-15T23:31", "2026-11-22T23:31"),
        ("24h", None, "UTC", "2026-11-21T23:31", "2026-11-22T23:31"),
        ("30m", "now", "UTC", "2026-11-22T23:01", "2026-11-22T23:31"),
        ("2w", "1w", "UTC", "2026-11-08T23:31", "2026-11-15T23:31"),
        ("today", None, "UTC", "2026-11-22T00:00", "2026-11-22T23:31"),
        ("today", None, BERLIN, "2026-11-22T23:00", "2026-11-22T23:31"),
        ("yesterday", None, "UTC", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("yesterday", "now", "UTC", "2026-11-21T00:00", "2026-11-22T23:31"),
        ("this month", None, BERLIN, "2026-10-31T23:00", "2026-11-22T23:31"),
        ("last month", None, BERLIN, "2026-09-30T22:00", "2026-10-31T23:00"),
        ("Last_Week", None, "UTC", "2026-11-09T00:00", "2026-11-16T00:00"),
        ("last-month", "today", "UTC", "2026-10-01T00:00", "2026-11-22T00:00"),
        ("2026-09", None, "UTC", "2026-09-01T00:00", "2026-10-01T00:00"),
        ("2026-11-01", "2026-11-03", "Asia/Kolkata", "2026-10-31T18:30", "2026-11-02T18:30"),
        ("2026-11-01T09:00", "2026-11-01T10:00Z", BERLIN, "2026-11-01T08:00", "2026-11-01T10:00"),
        ("2026-11-01 09:00", None, "UTC", "2026-11-01T09:00", "2026-11-22T23:31"),
        ("2030-01-01", "2030-01-02", "UTC", "2030-01-01T00:00", "2030-01-02T00:00"),
        ("2026-04-24", "2026-04-25", "Africa/Cairo", "2026-04-23T22:00", "2026-04-24T21:00"),
    ],
)
def test_a_span_is_what_was_meant(since, until, zone, start, end):
    assert told(since, until, zone=zone) == (start, end)


def test_a_span_up_to_now_holds_the_minute_that_goes_on():
    assert read("5m").end - NOW == timedelta(seconds=40)


@pytest.mark.parametrize(
    ("since", "until", "calendar"),
    [
        ("today", None, Window.DAY),
        ("last month", None, Window.MONTH),
        ("last month", "this month", Window.MONTH),
        ("last month", "today", None),
        ("7d", None, None),
        ("2026-11-01", None, None),
    ],
)
def test_a_whole_period_of_the_calendar_is_known_as_one(since, until, calendar):
    assert read(since, until).calendar is calendar


@pytest.mark.parametrize(
    ("since", "until", "about", "says"),
    [
        ("soon", None, "since", "'soon' is no time: write 7d, 24h"),
        ("7 fortnights", None, "since", "is no time"),
        ("2026-02-30", None, "since", "is no time"),
        ("2026-13", None, "since", "is no time"),
        ("999999d", None, "since", "is no time|between 1971 and 2200"),
        ("0001-01-01", None, "since", "is no time|between 1971 and 2200"),
        ("9999-12", None, "since", "is no time|between 1971 and 2200"),
        ("", None, "since", "is no time"),
        ("1d", "", "until", "is no time"),
        ("2030-01-01", None, "since", "choose an earlier start"),
        ("1d", "2d", "until", "choose an earlier start"),
        ("2027-03-28T02:30", "2028-01-01", "since", "the clock of Europe/Berlin skips this time"),
        ("7d\0", None, "since", "is no time"),
    ],
)
def test_what_cannot_be_meant_is_refused_saying_what_to_write(since, until, about, says):
    with pytest.raises(SpanProblem, match=says) as refused:
        read(since, until, zone=BERLIN)
    assert refused.value.about == about
