"""The ledger: each row once, exact, and found again."""

import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics import ids, ledger
from analytics.models import UsageRecord
from analytics.types import Opened, UsageRow
from gateway.api.requests import record_json

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY_FIELD = {
    "kind": "embeddings",
    "outcome": "error",
    "status": 502,
    "project_id": 2**40,
    "project": "ours",
    "key_id": 2**41,
    "key_name": "schlüssel 😀",
    "requested_model": "auto:L2",
    "provider": "acme",
    "model_id": 2**42,
    "model": "acme/large:v1",
    "layer": "L2",
    "is_stream": True,
    "session": "s'1\"%s",
    "score": 0.1,
    "attempts": 3,
    "fell_back": True,
    "decision": msgspec.Raw(b'{"need":{"turns":1},"a":[1.5,null,"%s"]}'),
    "trail": msgspec.Raw(b'[{"outcome":"ok"}]'),
    "input_tokens": 2**40,
    "cached_input_tokens": 1,
    "cache_write_5m_tokens": 2,
    "cache_write_1h_tokens": 3,
    "output_tokens": 4,
    "reasoning_tokens": 5,
    "web_searches": 6,
    "images": 7,
    "cost_usd": Decimal("0.0000000001"),
    "cost_source": "provider",
    "budget_usd": Decimal("12345.6789012346"),
    "computed_cost_usd": Decimal("12345.6789012345"),
    "reported_cost_usd": Decimal("0.0000000000"),
    "is_disputed": True,
    "is_capped": True,
    "prices": msgspec.Raw(b'{"input":{"usd":"0.00000015","valid_from":"2020-01-01T00:00:00Z"}}'),
    "duration_ms": 12.5,
    "first_token_ms": 1.25,
    "finish_reason": "length",
    "error_kind": "timeout",
    "error_message": "did not answer in time",
}


def request_id(at=None):
    """A UUIDv7 of a moment: now, unless given."""
    if at is None:
        return ids.new()
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 7 << 76 | 0b10 << 62 | random.getrandbits(62))


def usage_row(at=None, **fields):
    """A row as a settled request leaves it."""
    made = fields.pop("id", None) or request_id(at)
    usual = {
        "outcome": "ok",
        "status": 200,
        "project_id": 1,
        "project": "default",
        "key_id": 1,
        "key_name": "first",
        "requested_model": "auto",
    }
    return UsageRow(id=made, started_at=ids.started_at(made), **(usual | fields))


def opened_line(**fields):
    """What the spool knows of a request under way."""
    usual = {
        "id": ids.new(),
        "project_id": 1,
        "project": "default",
        "key_id": 1,
        "key_name": "first",
        "requested_model": "auto",
        "provider": "acme",
        "model_id": 3,
        "model": "large",
        "layer": "L1",
        "is_stream": False,
        "session": "",
        "attempts": 1,
        "input_tokens": 5,
        "cost_usd": Decimal("0.125"),
    }
    return Opened(**(usual | fields))


def stored(row):
    return UsageRecord.objects.get(id=row.id)


def test_every_field_of_a_row_is_a_column_and_every_column_a_field():
    assert set(ledger.columns()) == {field.attname for field in UsageRecord._meta.concrete_fields}


def test_the_fixture_above_names_every_field():
    assert set(EVERY_FIELD) | {"id", "started_at"} == set(ledger.columns())


@pytest.mark.django_db
class TestInsert:
    def test_a_row_comes_back_as_it_went_in(self):
        row = usage_row(**EVERY_FIELD)
        ledger.insert([row])
        record = stored(row)
        for name in EVERY_FIELD:
            wanted = getattr(row, name)
            wanted = msgspec.json.decode(wanted) if isinstance(wanted, msgspec.Raw) else wanted
            assert getattr(record, name) == wanted, name
        assert (record.id, record.started_at) == (row.id, row.started_at)

    def test_a_row_of_nothing_but_what_is_needed_goes_in_too(self):
        row = usage_row(key_id=None)
        ledger.insert([row])
        record = stored(row)
        assert (record.key_id, record.score, record.decision, record.trail, record.cost_usd) == (None, None, {}, [], 0)

    def test_again_changes_nothing(self):
        row = usage_row(cost_usd=Decimal("0.5"))
        ledger.insert([row])
        ledger.insert([row, msgspec.structs.replace(row, cost_usd=Decimal(9), outcome="error")])
        assert UsageRecord.objects.values_list("cost_usd", "outcome").get() == (Decimal("0.5"), "ok")

    def test_new_rows_go_in_beside_those_that_are_there(self):
        rows = [usage_row() for _ in range(5)]
        ledger.insert(rows[:2])
        ledger.insert(rows)
        assert UsageRecord.objects.count() == 5

    def test_rows_are_inserted_in_one_order_however_they_come(self):
        """Two who insert the same rows, one forwards and one backwards, would each wait for the other."""
        rows = [usage_row(datetime(2026, 3, 4, 5, minute, tzinfo=UTC)) for minute in (3, 1, 4, 2, 5)]
        ledger.insert(rows)
        place = "ctid" if connection.vendor == "postgresql" else "rowid"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT started_at FROM {UsageRecord._meta.db_table} ORDER BY {place}")
            found = [str(at) for (at,) in cursor.fetchall()]
        assert len(found) == 5
        assert found == sorted(found)

    def test_no_rows_are_no_error(self):
        ledger.insert([])
        assert not UsageRecord.objects.exists()

    def test_one_wrong_row_keeps_all_of_its_batch_out(self):
        with pytest.raises(Exception, match="(?i)usage_cost_not_negative"):
            ledger.insert([usage_row(), usage_row(cost_usd=Decimal(-1))])
        assert not UsageRecord.objects.exists()

    @given(st.decimals(min_value=0, max_value=Decimal("99999.9999999999"), places=10))
    @settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_a_cost_is_exact(self, cost):
        row = usage_row(cost_usd=cost)
        ledger.insert([row])
        assert stored(row).cost_usd == cost

    def test_a_sum_of_costs_is_exact_to_the_last_place(self):
        ledger.insert([usage_row(cost_usd=Decimal("0.0000000001")) for _ in range(7)])
        assert sum(UsageRecord.objects.values_list("cost_usd", flat=True)) == Decimal("0.0000000007")

    @pytest.mark.parametrize(
        "moment",
        [
            datetime(2025, 2, 28, 23, 59, 59, tzinfo=UTC),
            datetime(2026, 12, 1, tzinfo=UTC),
            datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
            datetime(2027, 1, 1, tzinfo=UTC),
            datetime(2028, 2, 29, tzinfo=UTC),
        ],
    )
    def test_a_row_of_any_month_finds_its_place(self, moment):
        row = usage_row(moment)
        ledger.insert([row])
        assert stored(row).started_at == moment

    def test_rows_of_several_months_go_in_together(self):
        ledger.insert([usage_row(datetime(2027, month, 15, tzinfo=UTC)) for month in range(1, 13)])
        assert UsageRecord.objects.filter(started_at__year=2027).count() == 12
        if connection.vendor == "postgresql":
            assert {f"analytics_usagerecord_2027_{month:02}" for month in range(1, 13)} <= partitions()


def partitions():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'analytics_usagerecord'::regclass"
        )
        return {name for (name,) in cursor.fetchall()}


@pytest.mark.django_db
class TestFind:
    @pytest.fixture
    def row(self):
        row = usage_row(datetime(2026, 3, 4, tzinfo=UTC), project_id=1)
        ledger.insert([row])
        return row

    def test_by_its_id(self, row):
        assert ledger.find(row.id, among=UsageRecord.objects.all()).id == row.id

    def test_only_among_what_the_asker_may_see(self, row):
        assert ledger.find(row.id, among=UsageRecord.objects.filter(project_id=2)) is None

    def test_an_unknown_id_is_none(self, row):
        assert ledger.find(request_id(row.started_at), among=UsageRecord.objects.all()) is None

    def test_an_old_id_is_not_waited_for(self, row):
        started = time.monotonic()
        ledger.find(request_id(row.started_at), among=UsageRecord.objects.all(), wait_s=30)
        assert time.monotonic() - started < 5

    def test_a_young_one_is_looked_for_again(self):
        young = usage_row()
        looks = []

        def arrive_before_the_second_look(execute, sql, params, many, context):
            looks.append(sql)
            if len(looks) == 2:
                ledger.insert([young])
            return execute(sql, params, many, context)

        with connection.execute_wrapper(arrive_before_the_second_look):
            found = ledger.find(young.id, among=UsageRecord.objects.all(), wait_s=30)
        assert found.id == young.id

    def test_the_time_in_the_id_narrows_the_look_up_to_one_partition(self, row, django_assert_num_queries):
        with django_assert_num_queries(1) as captured:
            ledger.find(row.id, among=UsageRecord.objects.all())
        assert "started_at" in captured[0]["sql"].partition("WHERE")[2]


@pytest.mark.django_db
def test_a_row_is_told_with_plain_digits():
    row = usage_row(cost_usd=Decimal("0.0000000100"), computed_cost_usd=Decimal(20), id=request_id())
    ledger.insert([row])
    told = record_json(stored(row))
    assert (told["cost_usd"], told["computed_cost_usd"], told["reported_cost_usd"]) == ("0.00000001", "20", None)
