"""Roll-ups equal plain SQL over the ledger's rows, exactly, in whatever order, batches and repetitions rows come."""

from __future__ import annotations

import logging
import random
from decimal import Decimal

import msgspec
import pytest
from django.db import OperationalError, connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import bulk, drainer, ledger
from analytics.models import UsageRecord, UsageRollup
from analytics.spool import Reader
from tests.unit.analytics.rollups import plain_sql
from tests.unit.analytics.rollups.many_rows import DAY, rows
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db


def check() -> None:
    should, found = plain_sql.should_be(), plain_sql.are()
    assert found.keys() == should.keys()
    assert found == should


@pytest.fixture(autouse=True)
def expected_noise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="analytics.drainer")


def test_in_one_batch() -> None:
    ledger.insert(rows(400, dice=random.Random(1)))
    check()
    assert UsageRecord.objects.count() == 400


@given(st.integers(), st.integers(7, 60))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_in_any_order_late_and_over_and_over(seed: int, size: int) -> None:
    dice = random.Random(seed)
    made = rows(60, dice=dice)
    late = rows(10, dice=dice, start=DAY.replace(year=2025))
    coming = [*made, *dice.sample(made, 30), *late, *late]
    dice.shuffle(coming)
    for start in range(0, len(coming), size):
        ledger.insert(coming[start : start + size])
    check()


def test_of_two_rows_with_one_id_the_first_is_counted() -> None:
    row = usage_row(DAY, cost_usd=Decimal(1))
    ledger.insert([row, msgspec.structs.replace(row, cost_usd=Decimal(2))])
    ledger.insert([msgspec.structs.replace(row, cost_usd=Decimal(4), key_id=7)])
    check()
    assert UsageRollup.objects.filter(grain=31).values_list("cost", "requests").get() == (10**10, 1)


def test_a_spool_drained_twice(own, root) -> None:
    for row in rows(100, dice=random.Random(2)):
        own.settled(row)
    for _ in range(2):
        drainer.drain(Reader(own.folder), root=root)
    check()


def test_rows_that_are_refused_in_the_middle(own, root) -> None:
    made = rows(30, dice=random.Random(3))
    bad = [{"cost_usd": Decimal(-1)}, {"outcome": "odd"}, {"cost_usd": Decimal("NaN")}, {"input_tokens": 2**70}]
    for number, fields in enumerate(bad):
        made[number * 7] = msgspec.structs.replace(made[number * 7], **fields)
    for row in made:
        own.settled(row)
    drainer.drain(Reader(own.folder), root=root)
    check()
    assert UsageRecord.objects.count() == 26


@pytest.mark.parametrize("failing", ["insert_counts", "known_numbers"])
def test_where_roll_ups_cannot_be_written_no_row_is_and_it_is_tried_again(own, root, monkeypatch, failing) -> None:
    for row in rows(20, dice=random.Random(4)):
        own.settled(row)
    reader = Reader(own.folder)

    def gone(*_: object, **__: object) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(bulk, failing, gone)
        with pytest.raises(OperationalError):
            drainer.drain(reader, root=root)
    assert not UsageRecord.objects.exists()
    assert not UsageRollup.objects.exists()
    drainer.drain(reader, root=root)
    check()
    assert UsageRecord.objects.count() == 20


def test_it_can_fail() -> None:
    ledger.insert(rows(5, dice=random.Random(5)))
    with connection.cursor() as cursor:
        cursor.execute("UPDATE analytics_usagerollup SET latency_3 = COALESCE(latency_3, 0) + 1 WHERE grain = 34")
    with pytest.raises(AssertionError):
        check()
