"""What is added to the roll-ups when rows are inserted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics import ledger
from analytics.models import UsageRollup
from analytics.series import Grain
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 14, 12, 7, 30, tzinfo=UTC)


def of(grain: Grain) -> list[UsageRollup]:
    return list(UsageRollup.objects.filter(grain=grain).select_related("series").order_by("start", "series"))


def test_a_row_is_counted_in_every_grain() -> None:
    ledger.insert([usage_row(NOON, cost_usd=Decimal("0.0000000003"))])
    assert {grain: (found[0].start, found[0].requests, found[0].cost) for grain in Grain if (found := of(grain))} == {
        grain: (grain.start_of(NOON), 1, 3) for grain in Grain
    }


def test_a_row_that_is_already_there_is_counted_no_second_time() -> None:
    row = usage_row(NOON)
    ledger.insert([row, row])
    ledger.insert([row, usage_row(NOON)])
    assert [(found.requests, found.series.cut) for found in of(Grain.DAY_ALL)] == [(2, 1)]


def test_what_nobody_used_is_null() -> None:
    ledger.insert([usage_row(NOON)])
    assert of(Grain.DAY)[0].images is None


def test_a_minute_later_is_another_minute_of_the_same_day() -> None:
    ledger.insert([usage_row(NOON), usage_row(NOON + timedelta(minutes=1))])
    assert [found.start.minute for found in of(Grain.MINUTE)] == [7, 8]
    assert [found.requests for found in of(Grain.DAY_KEY)] == [2]
