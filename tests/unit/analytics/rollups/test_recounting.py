"""Days counted anew: what is wrong is found and mended, what is right is left, what was dropped is refused."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics import horizon, ledger, recounting
from analytics.models import LedgerSpan, UsageRecord, UsageRollup, UsageSeries
from analytics.recounting import BadSpan
from analytics.series import Grain
from tests.unit.analytics.rollups import plain_sql
from tests.unit.analytics.rollups.many_rows import DAY, rows
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db

TODAY = horizon.day_of(timezone.now())


def ignore(day, count) -> None: ...


def differences(since=None, until=None):
    return list(recounting.verify(recounting.span(since, until), progress=ignore))


def rebuild(since=None, until=None) -> int:
    return recounting.rebuild_all(recounting.span(since, until), progress=ignore)


def recent(count=60, *, seed=1):
    return rows(count, dice=random.Random(seed), start=TODAY - timedelta(days=3))


def spoil(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def test_what_is_right_has_no_differences() -> None:
    ledger.insert(recent())
    assert differences() == []


def test_a_wrong_figure_is_told_with_what_it_should_be() -> None:
    ledger.insert([usage_row(DAY, output_tokens=5)])
    spoil("UPDATE analytics_usagerollup SET output_tokens = 7 WHERE grain = 32")
    (found,) = differences()
    assert (found.grain, found.start, found.column, found.found, found.should) == (
        *("day_project", DAY, "output_tokens"),
        *(7, 5),
    )
    assert "default" in found.series


@pytest.mark.parametrize("grain", [grain for grain in Grain if grain.length < timedelta(days=1)])
def test_a_roll_up_that_is_missing_is_told(grain) -> None:
    ledger.insert([usage_row(TODAY)])
    UsageRollup.objects.filter(grain=grain).delete()
    assert [(one.grain, one.found, one.should) for one in differences()] == [(grain.name.lower(), 0, 1)]


def test_roll_ups_without_rows_are_told() -> None:
    row = usage_row(TODAY - timedelta(days=1))
    ledger.insert([row, usage_row(TODAY)])
    UsageRecord.objects.filter(id=row.id).delete()
    found = {(one.grain, one.should) for one in differences() if one.column == "requests"}
    assert found == {(grain.name.lower(), 0) for grain in Grain}


def test_a_series_that_is_not_what_its_id_says_is_told() -> None:
    ledger.insert([usage_row(DAY)])
    spoil("UPDATE analytics_usageseries SET key_name = 'another' WHERE cut = 3")
    assert [(one.grain, one.column) for one in differences()] == [("series", "id")]


def test_a_series_that_is_not_there_is_told_and_made_again() -> None:
    """No constraint holds it, as checking it for each new roll-up takes longer than writing it."""
    ledger.insert(recent())
    gone = UsageRollup.objects.filter(grain=Grain.DAY).values_list("series_id", flat=True)[0]
    spoil(f"DELETE FROM {UsageSeries._meta.db_table} WHERE id = {gone}")
    (found,) = differences()
    assert (found.grain, found.series, found.found, found.should) == ("series", f"series {gone}", 0, 1)
    rebuild()
    assert not differences()


def test_a_rebuild_mends_all_of_it() -> None:
    ledger.insert(recent())
    spoil("UPDATE analytics_usagerollup SET cost = 1, latency_2 = 4")
    spoil("DELETE FROM analytics_usagerollup WHERE grain IN (10, 33)")
    told = []
    span = recounting.span(None, None)
    recounting.rebuild_all(span, progress=lambda day, count: told.append((day, count)))
    assert plain_sql.are() == plain_sql.should_be()
    assert [day for day, _ in told] == list(span.days)
    assert sum(count for _, count in told) == 60


def test_again_changes_nothing() -> None:
    ledger.insert(recent())
    before = plain_sql.are()
    assert rebuild() == rebuild() == 60
    assert plain_sql.are() == before


def test_only_the_days_asked_for_are_touched() -> None:
    ledger.insert([usage_row(DAY), usage_row(DAY + timedelta(days=1))])
    UsageRollup.objects.all().delete()
    rebuild(DAY, DAY + timedelta(days=1))
    assert set(UsageRollup.objects.values_list("start", flat=True)) == {DAY}


def test_an_index_leads_to_the_roll_ups_of_the_day() -> None:
    ledger.insert(recent())
    with CaptureQueriesContext(connection) as said:
        rebuild(TODAY - timedelta(days=2), TODAY - timedelta(days=1))
    (statement,) = [one["sql"] for one in said if one["sql"].startswith(f'DELETE FROM "{UsageRollup._meta.db_table}"')]
    assert '"grain" IN' in statement
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
            assert "(grain=? AND start>? AND start<?)" in str(cursor.fetchall())


def test_minutes_and_quarters_that_are_kept_no_longer_stay_away() -> None:
    old, older = TODAY - timedelta(days=9), TODAY - timedelta(days=401)
    ledger.insert([usage_row(old), usage_row(older)])
    rebuild()
    assert not UsageRollup.objects.filter(grain=Grain.MINUTE).exists()
    assert set(UsageRollup.objects.filter(grain=Grain.QUARTER).values_list("start", flat=True)) == {old}
    assert UsageRollup.objects.filter(grain=Grain.DAY).count() == 2
    assert differences() == []


class TestWhatWasDropped:
    @pytest.fixture(autouse=True)
    def dropped(self):
        ledger.insert([usage_row(DAY), usage_row(DAY + timedelta(days=5))])
        with transaction.atomic():
            horizon.drop_before(DAY + timedelta(days=3))
        UsageRecord.objects.filter(started_at__lt=DAY + timedelta(days=3)).delete()

    def test_is_not_counted_anew(self) -> None:
        with pytest.raises(BadSpan, match="Rows before 2026-03-17 were dropped"):
            recounting.span(DAY, None)
        with pytest.raises(horizon.RowsAreGone):
            recounting.rebuild(DAY)

    def test_keeps_its_roll_ups_when_all_is_rebuilt(self) -> None:
        rebuild()
        starts = UsageRollup.objects.filter(grain=Grain.DAY_ALL).values_list("start", flat=True)
        assert set(starts) == {DAY, DAY + timedelta(days=5)}
        assert differences() == []

    def test_takes_no_row_that_comes_late(self) -> None:
        with pytest.raises(horizon.RowsAreGone, match="the ledger begins at 2026-03-17"):
            ledger.insert([usage_row(DAY)])
        assert UsageRecord.objects.count() == 1

    def test_ends_just_before_the_first_row_that_may_come(self) -> None:
        ledger.insert([usage_row(DAY + timedelta(days=3))])
        with pytest.raises(horizon.RowsAreGone):
            ledger.insert([usage_row(DAY + timedelta(days=3) - timedelta(milliseconds=1))])
        assert UsageRecord.objects.count() == 2


def test_a_span_without_a_day_is_refused() -> None:
    with pytest.raises(BadSpan):
        recounting.span(DAY, DAY)


def test_rows_from_before_there_were_roll_ups_are_counted_by_a_rebuild() -> None:
    ledger.insert([usage_row(TODAY - timedelta(days=1))])
    LedgerSpan.objects.update(counted_from=TODAY + timedelta(days=1))
    rebuild(TODAY, None)
    assert horizon.current().counted_from == TODAY
    rebuild()
    assert horizon.current().counted_from < TODAY - timedelta(days=1)


@pytest.mark.parametrize("days", [-5, 9])
def test_a_rebuild_of_today_alone_says_nothing_of_earlier_days_nor_of_later_ones(days) -> None:
    ledger.insert([usage_row(TODAY - timedelta(days=6)), usage_row(TODAY)])
    counted_from = TODAY + timedelta(days=days)
    LedgerSpan.objects.update(counted_from=counted_from)
    rebuild(TODAY, None)
    assert horizon.current().counted_from == counted_from
