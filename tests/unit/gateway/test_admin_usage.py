"""The ledger in the plain admin: what matters first, numbers as people read them."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics import ids, ledger, partitions
from analytics.admin_usage import NewestPages
from analytics.models import Outcome, UsageRecord
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
ROWS = "/admin/analytics/usagerecord/"
SHOWN_AS = {
    "started_at": "started",
    "outcome": "ended",
    "is_stream": "streamed",
    "fell_back": "another_answered",
    "is_disputed": "disputed",
    "is_capped": "capped",
    "budget_usd": "counted",
    "cost_usd": "cost",
    "computed_cost_usd": "computed_cost",
    "reported_cost_usd": "reported_cost",
    "duration_ms": "duration",
    "first_token_ms": "first_token",
    "decision": "decision_json",
    "trail": "trail_json",
    "prices": "prices_json",
}


@pytest.fixture
def row(ours):
    request_id = ids.new()
    partitions.ensure([datetime.now(UTC)])
    return UsageRecord.objects.create(
        id=request_id, started_at=datetime.now(UTC), outcome=Outcome.OK, status=200, project_id=ours.project.pk,
        project="default", key_name="first", requested_model="auto", model="m1", layer="L1",
        input_tokens=1000, cached_input_tokens=200, cache_write_5m_tokens=30, cache_write_1h_tokens=4, output_tokens=56,
        cost_usd=Decimal("0.00123"), computed_cost_usd=Decimal("0.50"), cost_source="price", duration_ms=1234.5678,
        decision={"layer": "<L1>"}, trail=[{"model": "m1"}],
    )  # fmt: skip


def cells(page):
    (body,) = re.findall(r"<tbody>(.*)</tbody>", page, re.DOTALL)
    return [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<t[hd] class=\"field-.*?</t[hd]>", body)]


def test_the_list_puts_what_matters_first_and_a_short_id_last(admin_client, row):
    page = admin_client.get(ROWS).content.decode()
    assert cells(page)[1:] == [
        "default", "first", "m1", "L1", "Ok", "200", "1,234, 56", "0.00123", "1,235 ms", f"...{str(row.id)[-8:]}",
    ]  # fmt: skip
    assert len(re.findall(rf'href="{ROWS}{row.id}/change/[^"]*"', page)) == 2
    assert "icon-no" not in page


def test_its_page_shows_all_columns_as_people_read_them(admin_client, row):
    page = admin_client.get(f"{ROWS}{row.id}/change/").content.decode()
    for shown in (
        "Project ID:",
        ">0.00123<",
        ">0.5<",
        ">1,235 ms<",
        "{\n  &quot;layer&quot;: &quot;&lt;L1&gt;&quot;\n}</pre>",
    ):
        assert shown in page
    assert "icon-no" not in page
    assert ">None<" not in page
    shown_fields = flatten_fieldsets(admin.site.get_model_admin(UsageRecord).fieldsets)
    columns = [SHOWN_AS.get(field.name, field.name) for field in UsageRecord._meta.get_fields()]
    assert sorted(shown_fields) == sorted(columns)


def ids_found(admin_client, **asked):
    page = admin_client.get(ROWS, asked).content.decode()
    return re.findall(rf'<th[^>]*><a href="{ROWS}([^/]*)/change/', page)


def test_times_have_seconds(admin_client, row):
    page = admin_client.get(ROWS).content.decode()
    assert cells(page)[0] == f"{row.started_at:%Y-%m-%d %H:%M:%S}"
    assert f"{row.started_at:%Y-%m-%d %H:%M:%S}" in admin_client.get(f"{ROWS}{row.id}/change/").content.decode()


def test_a_span_up_to_now_can_be_chosen(admin_client, row):
    UsageRecord.objects.filter(pk=row.pk).update(started_at=datetime.now(UTC) - timedelta(hours=5))
    found = {span: len(ids_found(admin_client, started=span)) for span in ("1h", "24h", "7d", "31d", "")}
    assert found == {"1h": 0, "24h": 1, "7d": 1, "31d": 1, "": 1}


def test_a_layer_can_be_chosen_of_those_that_roll_ups_know(admin_client, row):
    ledger.insert([usage_row(datetime.now(UTC), layer=layer) for layer in ("L2", "L3", "")])
    assert len(ids_found(admin_client, layer="L2")) == 1
    shown = re.findall(r'\?layer=(\w+)"', admin_client.get(ROWS).content.decode())
    assert shown == ["L2", "L3"]


def test_the_list_counts_no_further_than_its_pages_go(admin_client, row, monkeypatch):
    monkeypatch.setattr(NewestPages, "MOST", 3)
    ledger.insert([usage_row(datetime.now(UTC)) for _ in range(5)])
    with CaptureQueriesContext(connection) as said:
        admin_client.get(ROWS)
    (counting,) = [one["sql"] for one in said if "COUNT(" in one["sql"] and "usagerecord" in one["sql"]]
    assert "LIMIT 3" in counting


def test_a_request_is_found_by_its_whole_id_alone(admin_client, row):
    UsageRecord.objects.filter(pk=row.pk).update(started_at=ids.started_at(row.id))
    assert ids_found(admin_client, q=f" {row.id} ") == [str(row.id)]
    for other in (str(row.id)[:8], str(ids.new()), "m1", "0f8fad5b-d9cb-469f-a165-70867728950e"):
        assert ids_found(admin_client, q=other) == []


def test_what_is_not_known_of_an_interrupted_one_is_said(admin_client, row):
    UsageRecord.objects.filter(pk=row.pk).update(outcome=Outcome.INTERRUPTED, status=0, duration_ms=0)
    page = admin_client.get(f"{ROWS}{row.id}/change/").content.decode()
    assert "The gateway stopped or was killed: how long it took and what it had answered is not known" in page
    assert ">0 ms<" not in page
    assert cells(admin_client.get(ROWS).content.decode())[9] == "-"


def test_there_is_no_history_of_what_nobody_edits(admin_client, row):
    assert "historylink" not in admin_client.get(f"{ROWS}{row.id}/change/").content.decode()
