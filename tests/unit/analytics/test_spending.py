"""Sums of the ledger: exact on both databases, by key and project, over spans, without what is counted elsewhere."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics import ids, ledger, spending
from analytics.spending import By
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
