"""Sums of the ledger: exact on both databases, by key and project, over spans, without what is counted elsewhere."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import horizon, ids, ledger, retention, spending
from analytics.models import LedgerSpan, UsageRecord, UsageRollup
from analytics.series import Grain
from analytics.spending import By
from analytics.spending_parts import Part, Reach, cut
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 11, 2, tzinfo=UTC)


def spent(by=By.ALL, members=(), *, start=START, end=END, without=()):
    return spending.spent(by, members, start=start, end=end, without=without)


def costing(usd, at=START, **fields):
    return usage_row(at, budget_usd=Decimal(usd), **fields)


def test_a_sum_is_exact_where_one_of_doubles_is_not():
    figures = [Decimal(random.randrange(10**9)).scaleb(-10) for _ in range(1500)] + [Decimal("225000.0000000001")]
    ledger.insert([costing(figure) for figure in figures])
    assert spent() == {0: sum(figures)}


def test_a_span_holds_its_start_and_not_its_end():
    millisecond = timedelta(milliseconds=1)
    for at, usd in ((START - millisecond, 1), (START, 2), (END - millisecond, 4), (END, 8)):
        ledger.insert([costing(usd, at)])
    assert spent() == {0: Decimal(6)}
    assert spent(end=None) == {0: Decimal(14)}


def test_it_is_told_by_key_and_by_project(monkeypatch):
    monkeypatch.setattr(spending, "MEMBERS_AT_ONCE", 2)
    ledger.insert([costing(1, key_id=1), costing(2, key_id=2), costing(4, key_id=2, project_id=9)])
    ledger.insert([costing(8, key_id=None)])
    assert spent(By.KEY, {1, 2, 3, 4, 5}) == {1: Decimal(1), 2: Decimal(6)}
    assert spent(By.PROJECT, {1}) == {1: Decimal(11)}
    assert spent() == {0: Decimal(15)}


def test_what_is_counted_elsewhere_is_left_out():
    rows = [costing(1), costing(2), costing(4)]
    ledger.insert(rows)
    assert spent(without=[rows[1].id, ids.new()]) == {0: Decimal(5)}


def test_nothing_spent_is_no_row():
    assert spent() == {}


def test_single_requests_are_found_by_their_ids(monkeypatch):
    monkeypatch.setattr(spending, "IDS_AT_ONCE", 2)
    rows = [costing(f"0.{number}", START + timedelta(days=9 * number)) for number in range(1, 6)]
    ledger.insert(rows)
    assert spending.of_requests([*(row.id for row in rows), ids.new()]) == {row.id: row.budget_usd for row in rows}


MINUTE = timedelta(minutes=1)
moments = st.integers(0, 4 * 24 * 60 * 60 * 4).map(lambda number: START - 2 * 1440 * MINUTE + number * MINUTE / 240)
"""Within four days around START, on quarters of a second."""
edges = st.one_of(moments, moments.map(lambda at: at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)))


class TestFromRollUps:
    """Whatever the span, the sum is that of its rows."""

    @pytest.fixture
    def rows(self):
        dice = random.Random(5)
        made = [
            costing(
                Decimal(dice.randrange(10**11)).scaleb(-10),
                START
                + MINUTE * 15 * dice.randrange(-192, 192)
                + timedelta(milliseconds=dice.choice([0, 1, 899_999, 61])),
                key_id=dice.choice([None, 1, 2]),
                project_id=dice.choice([1, 2]),
                model=dice.choice("ab"),
            )
            for _ in range(300)
        ]
        ledger.insert(made)
        return made

    @given(start=edges, end=st.none() | edges, some=st.integers(0, 299), counted=st.booleans())
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_it_is_exact(self, rows, start, end, some, counted):
        LedgerSpan.objects.update_or_create(id=1, defaults={"counted_from": None if counted else START})
        without = {row.id for row in rows[some:]} | {ids.new()}
        for by, of in ((By.KEY, "key_id"), (By.PROJECT, "project_id"), (By.ALL, "kind")):
            should = Counter()
            for row in rows:
                if start <= row.started_at and (end is None or row.started_at < end) and row.id not in without:
                    should[getattr(row, of) if by is not By.ALL else 0] += row.budget_usd
            found = spent(by, {1, 2} if by is not By.ALL else (), start=start, end=end, without=without)
            assert found == {member: usd for member, usd in should.items() if member is not None}

    def test_most_of_a_span_is_read_from_roll_ups(self, rows):
        UsageRecord.objects.filter(started_at__gte=START + MINUTE, started_at__lt=END).delete()
        kept = sum(row.budget_usd for row in rows if START <= row.started_at < END)
        assert spent(start=START, end=END) == {0: kept}


class TestWhereRowsWereDropped:
    OLD = horizon.day_of(timezone.now()) - timedelta(days=450)

    @pytest.fixture(autouse=True)
    def dropped(self, monkeypatch):
        monkeypatch.setattr(retention, "PAUSE_S", 0)
        ledger.insert([costing(1, self.OLD), costing(2, self.OLD + timedelta(days=1)), costing(4, timezone.now())])
        retention.tidy(keep_days=400)
        assert UsageRecord.objects.count() == 1

    def test_whole_days_are_known(self):
        assert spent(start=self.OLD + timedelta(days=1), end=None) == {0: Decimal(6)}

    def test_more_counts_and_never_less(self):
        assert spent(start=self.OLD + timedelta(hours=5), end=None) == {0: Decimal(7)}
        assert spent(start=self.OLD, end=self.OLD + timedelta(seconds=1)) == {0: Decimal(1)}


def test_rows_that_are_dropped_between_the_horizon_and_the_sum_still_count(monkeypatch):
    monkeypatch.setattr(retention, "PAUSE_S", 0)
    old = horizon.day_of(timezone.now()) - timedelta(days=200)
    ledger.insert([costing(1, old + timedelta(minutes=5)), costing(2, old + timedelta(days=3))])
    moved = []

    def drop_just_before(execute, sql, params, many, context):
        if "SUM(amount)" in sql and not moved:
            moved.append(retention.tidy(keep_days=100).rows)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(drop_just_before):
        assert spent(start=old + timedelta(minutes=1), end=old + timedelta(minutes=10)) == {0: Decimal(1)}
    assert moved == [2]


def test_quarters_of_a_day_that_are_dropped_at_midnight_are_not_relied_on():
    day = horizon.quarters_from(timezone.now())
    ledger.insert([costing(1, day + timedelta(hours=2))])
    UsageRollup.objects.filter(grain=Grain.QUARTER_ALL).delete()
    assert spent(start=day + timedelta(hours=1), end=day + timedelta(hours=3)) == {0: Decimal(1)}


def test_dropped_quarters_that_are_kept_count_whole():
    """Of a time whose rows are gone and whose quarters are not."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    reach = Reach(rows_from=at + timedelta(days=10), counted_from=at, quarters_from=at)
    minute = timedelta(minutes=1)
    found = cut(at + 20 * minute, at + 50 * minute, now=at + timedelta(days=30), reach=reach)
    assert found == [Part(at + 15 * minute, at + 60 * minute, timedelta(minutes=15))]
