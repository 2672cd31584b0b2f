"""Windows by the clock of a zone: where hours, days, weeks and months begin and end, whatever the clock does."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.periods import period
from analytics.types import Window

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/St_Johns",  # half an hour; until 2011 its clock changed a minute after midnight
    "Asia/Kathmandu",  # three quarters of an hour
    "Australia/Lord_Howe",  # its summer is half an hour ahead
    "America/Sao_Paulo",  # until 2019 its summers began at midnight
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
    "Atlantic/Azores",
    "Africa/Casablanca",  # changes for Ramadan
    "America/Nuuk",
    "Pacific/Apia",  # had no 30 December 2011
    "Pacific/Kiritimati",
]
EDGED = [window for window in Window if window is not Window.TOTAL]
MOMENTS = st.datetimes(datetime(2005, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC))
TICK = timedelta(microseconds=1)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(window, zone, at):
    """Start and end by the zone's own clock, as text."""
    found = period(Window(window), zone=zone, at=utc(at))
    return [edge.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %z") for edge in (found.start, found.end)]


def length(window, zone, at):
    found = period(Window(window), zone=zone, at=utc(at))
    return found.end - found.start


class TestHours:
    def test_one_begins_by_the_clock_of_the_zone(self):
        assert span("hour", "Asia/Kathmandu", "2026-11-22 10:20") == [
            "2026-11-22 16:00 +0545",
            "2026-11-22 17:00 +0545",
        ]

    def test_the_hour_that_the_clock_shows_twice_is_two(self):
        first = span("hour", "Europe/Berlin", "2026-10-25 00:30")
        second = span("hour", "Europe/Berlin", "2026-10-25 01:30")
        assert first == ["2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100"]
        assert second == ["2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"]

    def test_one_is_cut_short_where_half_an_hour_is_put_in(self):
        """On Lord Howe Island 01:30 to 02:00 comes twice on 5 April 2026."""
        zone = "Australia/Lord_Howe"
        assert length("hour", zone, "2026-04-04 14:59") == timedelta(hours=1)
        assert length("hour", zone, "2026-04-04 15:01") == timedelta(minutes=30)
        assert span("hour", zone, "2026-04-04 15:01") == ["2026-04-05 01:30 +1030", "2026-04-05 02:00 +1030"]

    def test_one_is_cut_short_where_half_an_hour_is_left_out(self):
        zone = "Australia/Lord_Howe"  # at 02:00 on 4 October 2026 it is 02:30
        assert span("hour", zone, "2026-10-03 15:40") == ["2026-10-04 02:30 +1100", "2026-10-04 03:00 +1100"]
        assert length("hour", zone, "2026-10-03 15:29") == timedelta(hours=1)

    @pytest.mark.parametrize("at", ["2026-04-04 15:01:02.5", "2026-10-03 15:30", "2026-10-03 15:59:59.999999"])
    def test_a_cut_hour_is_the_same_from_wherever_it_is_looked_at(self, at):
        found = period(Window.HOUR, zone="Australia/Lord_Howe", at=utc(at))
        for moment in (found.start, found.end - TICK):
            assert period(Window.HOUR, zone="Australia/Lord_Howe", at=moment) == found


class TestDays:
    @pytest.mark.parametrize(
        ("at", "hours"), [("2026-03-29 12:00", 23), ("2026-10-25 12:00", 25), ("2026-07-01 12:00", 24)]
    )
    def test_one_is_as_long_as_the_clock_says(self, at, hours):
        assert length("day", "Europe/Berlin", at) == timedelta(hours=hours)

    @pytest.mark.parametrize("at", ["2026-04-05 00:00", "2026-10-04 00:00"])
    def test_half_an_hour_more_or_less_counts(self, at):
        assert length("day", "Australia/Lord_Howe", at) - timedelta(hours=24) in (
            timedelta(minutes=30),
            -timedelta(minutes=30),
        )

    @pytest.mark.parametrize(
        ("zone", "at", "first"),
        [
            ("America/Sao_Paulo", "2018-11-04 12:00", "2018-11-04 01:00 -0200"),
            ("Africa/Cairo", "2026-04-24 12:00", "2026-04-24 01:00 +0300"),
            ("Asia/Beirut", "2026-03-29 12:00", "2026-03-29 01:00 +0300"),
            ("America/Toronto", "1919-03-31 12:00", "1919-03-31 00:30 -0400"),
        ],
    )
    def test_one_whose_midnight_is_left_out_begins_right_after(self, zone, at, first):
        assert span("day", zone, at)[0] == first
        began = period(Window.DAY, zone=zone, at=utc(at)).start
        assert period(Window.DAY, zone=zone, at=began - TICK).end == began

    def test_a_midnight_that_comes_twice_begins_the_day_once(self):
        assert span("day", "America/Havana", "2026-11-01 12:00") == ["2026-11-01 00:00 -0400", "2026-11-02 00:00 -0500"]

    def test_a_clock_that_goes_back_past_midnight_does_not_bring_the_day_before_back(self):
        """In St John's it was 1 November 2009 for one minute, then 31 October for another hour."""
        minute, later = utc("2009-11-01 02:30:30"), utc("2009-11-01 03:00")
        for window in (Window.DAY, Window.MONTH):
            found = period(window, zone="America/St_Johns", at=minute)
            assert found.start == utc("2009-11-01 02:30")
            assert period(window, zone="America/St_Johns", at=later) == found

    def test_a_day_that_a_zone_skips_is_nobodys(self):
        before = period(Window.DAY, zone="Pacific/Apia", at=utc("2011-12-30 09:59"))
        after = period(Window.DAY, zone="Pacific/Apia", at=utc("2011-12-30 10:00"))
        assert before.end == after.start == utc("2011-12-30 10:00")


class TestWeeks:
    def test_one_is_from_monday_to_monday(self):
        assert span("week", "UTC", "2026-11-22 23:59") == ["2026-11-16 00:00 +0000", "2026-11-23 00:00 +0000"]

    def test_monday_itself_begins_one(self):
        assert span("week", "UTC", "2026-11-23 00:00")[0] == "2026-11-23 00:00 +0000"

    def test_one_goes_on_over_the_end_of_a_year(self):
        week = ["2026-12-28 00:00 +0100", "2027-01-04 00:00 +0100"]
        assert span("week", "Europe/Berlin", "2026-12-31 22:59") == week
        assert span("week", "Europe/Berlin", "2026-12-31 23:00") == week
        assert span("week", "Europe/Berlin", "2027-01-03 22:59") == week

    def test_one_with_a_change_of_the_clock_is_an_hour_shorter(self):
        assert length("week", "America/New_York", "2026-03-08 12:00") == timedelta(days=7, hours=-1)


class TestMonths:
    @pytest.mark.parametrize(
        ("at", "days"),
        [
            ("2026-01-31 23:59:59", 31),
            ("2026-02-01 00:00", 28),
            ("2028-02-29 12:00", 29),
            ("2100-02-28 12:00", 28),
            ("2026-04-30 12:00", 30),
            ("2026-12-31 12:00", 31),
        ],
    )
    def test_one_has_its_own_days(self, at, days):
        assert length("month", "UTC", at) == timedelta(days=days)

    def test_december_ends_with_the_year(self):
        assert span("month", "Asia/Kathmandu", "2026-12-31 18:14") == [
            "2026-12-01 00:00 +0545",
            "2027-01-01 00:00 +0545",
        ]
        assert span("month", "Asia/Kathmandu", "2026-12-31 18:15")[0] == "2027-01-01 00:00 +0545"


def test_a_total_has_no_end_and_one_beginning():
    found = {period(Window.TOTAL, zone=zone, at=utc("2026-11-22 12:00")) for zone in ZONES}
    assert [(one.start, one.end) for one in found] == [(utc("1970-01-01 00:00"), None)]


@given(window=st.sampled_from(EDGED), zone=st.sampled_from(ZONES), at=MOMENTS)
def test_the_period_of_a_moment_holds_it(window, zone, at):
    found = period(window, zone=zone, at=at)
    assert found.start <= at < found.end


@given(window=st.sampled_from(EDGED), zone=st.sampled_from(ZONES), at=MOMENTS)
def test_periods_follow_one_another_without_gap_or_overlap(window, zone, at):
    found = period(window, zone=zone, at=at)
    assert period(window, zone=zone, at=found.start) == found
    assert period(window, zone=zone, at=found.end - TICK) == found
    assert period(window, zone=zone, at=found.start - TICK).end == found.start
    assert period(window, zone=zone, at=found.end).start == found.end


@given(
    window=st.sampled_from(EDGED),
    zone=st.sampled_from(ZONES),
    at=MOMENTS,
    apart=st.timedeltas(timedelta(microseconds=1), timedelta(minutes=20)),
)
def test_neighbouring_moments_are_in_one_period_or_in_two_that_adjoin(window, zone, at, apart):
    one, other = period(window, zone=zone, at=at), period(window, zone=zone, at=at + apart)
    assert one == other or one.end == other.start
