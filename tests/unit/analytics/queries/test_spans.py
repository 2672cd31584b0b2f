"""Spans, the pieces they are added up from, steps and the period before: all pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.queries import spans, stretches
from analytics.queries.spans import SpanProblem, Step
from analytics.series import DAY, MINUTE, MINUTES_KEPT, QUARTER, QUARTERS_KEPT
from analytics.types import Window
from tests.unit.analytics.queries.rows import NOW, days_ago, span

ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
moments = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
pairs = st.tuples(moments, moments).filter(lambda two: two[0] < two[1]).map(lambda two: span(*two))


@given(pairs)
def test_pieces_tile_what_a_span_covers_and_nothing_else(asked):
    covered = asked.covered
    found = spans.pieces(covered.start, covered.end)
    assert found[0].start == covered.start
    assert found[-1].end == covered.end
    assert all(one.end == other.start for one, other in pairwise(found))
    for piece in found:
        midnight = datetime(1970, 1, 1, tzinfo=UTC)
        assert (piece.start - midnight) % piece.length == (piece.end - midnight) % piece.length == timedelta()
        assert piece.start < piece.end


@given(pairs)
def test_pieces_are_of_roll_ups_that_are_still_there(asked):
    kept = {MINUTE: NOW - MINUTES_KEPT, QUARTER: NOW - QUARTERS_KEPT, DAY: datetime.min.replace(tzinfo=UTC)}
    covered = asked.covered
    assert all(piece.start >= kept[piece.length] for piece in spans.pieces(covered.start, covered.end))


@given(pairs)
def test_a_span_is_widened_by_less_than_the_roll_up_at_its_edge(asked):
    covered = asked.covered
    assert covered.start <= asked.start < asked.end <= covered.end
    for edge, moved in ((asked.start, asked.start - covered.start), (asked.end, covered.end - asked.end)):
        most = MINUTE if edge > NOW - MINUTES_KEPT + QUARTER else QUARTER if edge > NOW - QUARTERS_KEPT + DAY else DAY
        assert moved < most


@settings(deadline=None)
@given(pairs, st.sampled_from([None, Step.HOUR, Step.DAY, Step.WEEK, Step.MONTH]), st.sampled_from(ZONES))
def test_what_is_read_and_taken_off_makes_each_step_once(asked, step, zone):
    try:
        edges = spans.edges(span(asked.start, min(asked.end, asked.start + 60 * DAY), zone=zone), step)
    except SpanProblem:
        return
    read = stretches.stretches(edges, at=NOW)
    for found in read.values():
        assert all(one.end <= other.start for one, other in pairwise(found))
    midnight = edges[-1].replace(hour=0, minute=0)
    last = edges[-1] if edges[-1] < NOW or edges[-1] == midnight else midnight + DAY
    for number, (start, end) in enumerate(pairwise((*edges[:-1], last))):
        moves: dict[datetime, int] = {}
        for found in read.values():
            for one in found:
                for of, sign in one.shares:
                    if of == number:
                        moves[one.start] = moves.get(one.start, 0) + sign
                        moves[one.end] = moves.get(one.end, 0) - sign
        assert {moment: by for moment, by in moves.items() if by} == {start: 1, end: -1}


def test_a_day_of_a_zone_reads_no_more_than_its_edges():
    edges = spans.edges(span(days_ago(30), days_ago(10), zone="Europe/Berlin"), Step.DAY)
    quarters = stretches.stretches(edges, at=NOW)[QUARTER]
    assert max(one.end - one.start for one in quarters[1:-1]) == timedelta(hours=2)


@settings(deadline=None, max_examples=20)  # a year has many hours
@given(pairs, st.sampled_from([Step.DAY, Step.WEEK, Step.MONTH, Step.HOUR]), st.sampled_from(ZONES))
def test_steps_tile_a_span_or_say_what_to_choose(asked, step, zone):
    asked = span(asked.start, asked.end, zone=zone)
    try:
        edges = spans.edges(asked, step)
    except SpanProblem as problem:
        assert problem.about == "step"
        assert "choose" in str(problem)
        return
    assert (edges[0], edges[-1]) == (asked.covered.start, asked.covered.end)
    assert list(edges) == sorted(set(edges))


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-10-25", 25),
        ("Europe/Berlin", "2026-03-29", 23),
        ("America/St_Johns", "2026-11-01", 25),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Asia/Kolkata", "2026-10-25", 24),
    ],
)
def test_a_day_has_the_hours_its_zone_gives_it(zone, day, hours):
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    edges = spans.edges(span(noon - timedelta(days=3), noon + timedelta(days=3), zone=zone), Step.DAY)
    lengths = {start.astimezone(ZoneInfo(zone)).date().isoformat(): end - start for start, end in pairwise(edges)}
    assert lengths[day] == timedelta(hours=hours)


def test_too_many_points_are_refused_before_they_are_counted():
    with pytest.raises(SpanProblem, match="more than 10,000 points: choose a longer step"):
        spans.edges(span(days_ago(7.9), NOW), Step.MINUTE)
    assert len(spans.edges(span(days_ago(6), NOW), Step.MINUTE)) == 6 * 24 * 60 + 2


def test_minutes_long_ago_are_refused():
    with pytest.raises(SpanProblem, match="Minutes are kept for 8 days"):
        spans.edges(span(days_ago(9), days_ago(8.5)), Step.MINUTE)


def test_days_of_a_zone_long_ago_are_refused_and_those_of_utc_told():
    start, end = days_ago(500), days_ago(450)
    with pytest.raises(SpanProblem, match="choose the zone UTC"):
        spans.edges(span(start, end, zone="Europe/Berlin"), Step.DAY)
    assert len(spans.edges(span(start, end), Step.DAY)) == 52


def test_the_period_before_is_as_long_and_ends_where_the_span_begins():
    asked = span(days_ago(2), days_ago(1))
    assert (spans.before(asked).start, spans.before(asked).end) == (days_ago(3), days_ago(2))


@pytest.mark.parametrize(
    ("window", "start", "end", "before"),
    [
        (Window.MONTH, "2026-10-01", "2026-11-01", ("2026-09-01", "2026-10-01")),
        (Window.MONTH, "2026-03-01", "2026-03-31T12:00", ("2026-02-01", "2026-03-01")),
        (Window.MONTH, "2026-11-01", "2026-11-03T14:00", ("2026-10-01", "2026-10-03T14:00")),
        (Window.DAY, "2026-11-02", "2026-11-03", ("2026-11-01", "2026-11-02")),
        (Window.WEEK, "2026-11-02", "2026-11-03", ("2026-10-26", "2026-10-27")),
    ],
)
def test_before_a_period_of_the_calendar_comes_its_last_one_as_far_as_this_has_come(window, start, end, before):
    asked = spans.Span(start=utc(start), end=utc(end), zone="UTC", at=NOW, calendar=window)
    found = spans.before(asked)
    assert (found.start, found.end) == (utc(before[0]), utc(before[1]))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
