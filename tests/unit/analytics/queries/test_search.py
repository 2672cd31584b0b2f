"""Single requests: newest first, each once, filtered, and found by an index."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics import ledger
from analytics.models import UsageRecord
from analytics.queries import search
from analytics.queries.filters import Filters
from analytics.queries.search import Wanted
from analytics.queries.spans import SpanProblem
from tests.unit.analytics.queries.rows import NOW, among, days_ago, scattered, span
from tests.unit.analytics.queries.test_reports import FILTERS
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
ALL = Filters()


@pytest.fixture(scope="module")
def rows(written_once):
    return written_once(lambda: scattered(150, start=days_ago(3), end=NOW, seed=5))


def found(filters=ALL, *, days=3.0, limit=1000, after=None, **wanted):
    return search.requests(
        UsageRecord.objects.all(), span(days_ago(days), NOW), filters, wanted=Wanted(**wanted), limit=limit, after=after
    )


def newest_first(rows):
    return [row.id for row in sorted(rows, key=lambda row: (row.started_at, row.id), reverse=True)]


def ids_of(page):
    return [row.id for row in page.rows]


def test_pages_give_each_request_once_newest_first(rows):
    ledger.insert([usage_row(days_ago(1)) for _ in range(20)])  # of one millisecond
    seen, after, has_more = [], None, True
    while has_more:
        page = found(limit=7, after=after)
        seen += ids_of(page)
        after, has_more = seen[-1], page.has_more
    assert seen == newest_first(UsageRecord.objects.all())


def test_only_those_of_the_window_are_there(rows):
    assert ids_of(found(days=1.5)) == newest_first(among(rows, days_ago(1.5), NOW))


def test_a_window_holds_its_start_and_not_its_end():
    start, end = days_ago(2), days_ago(1)
    first, after = usage_row(start, project_id=99), usage_row(end, project_id=99)
    ledger.insert([first, after])
    of_it = Filters(projects=frozenset({99}))
    page = search.requests(UsageRecord.objects.all(), span(start, end), of_it, limit=10)
    assert ids_of(page) == [first.id]


@pytest.mark.parametrize("name", FILTERS)
def test_filters_mean_what_they_mean_in_reports(rows, name):
    filters, means = FILTERS[name]
    assert ids_of(found(filters)) == newest_first(row for row in rows if means(row))


def test_what_is_said_of_single_requests():
    theirs = Filters(projects=frozenset({77}))  # the rows of other tests may be there as well
    wanted = usage_row(
        days_ago(1), outcome="error", status=502, session="s1", error_message="It Was_100% cut",
        cost_usd=Decimal("0.5"), project_id=77,
    )  # fmt: skip
    other = usage_row(days_ago(1), cost_usd=Decimal("0.25"), error_message="it was x100 cut", project_id=77)
    ledger.insert([wanted, other])
    for words in (
        {"outcome": "error"}, {"session": "s1"}, {"error": "was_100% c"}, {"cost_over_usd": Decimal("0.25")},
    ):  # fmt: skip
        assert ids_of(found(theirs, **words)) == [wanted.id], words
    assert ids_of(found(theirs, session="")) != [wanted.id]


def test_more_than_a_month_is_not_looked_through():
    with pytest.raises(SpanProblem, match="31 days at a time") as refused:
        found(days=40)
    assert refused.value.about == "since"


def told(ask):
    """What it answers, and the statements that read the ledger for it."""
    with CaptureQueriesContext(connection) as said:
        answer = ask()
    return answer, [one["sql"] for one in said.captured_queries if "analytics_usagerecord" in one["sql"]]


def test_long_columns_stay_in_the_database(rows):
    page, statements = told(lambda: found(limit=5))
    assert len(statements) == 1
    assert set(search.NOT_LISTED) == page.rows[0].get_deferred_fields()


@pytest.mark.parametrize("name", ["everything", "projects", "keys", "statuses"])
def test_an_index_leads_to_a_page(rows, name):
    _, (statement,) = told(lambda: found(FILTERS.get(name, [ALL])[0], limit=5, days=0.1))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # so few rows are read whole if that is allowed
            cursor.execute(f"EXPLAIN {statement}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        plan = "\n".join(str(line) for line in cursor.fetchall())
    assert "Index" in plan or "USING INDEX" in plan
    assert "Seq Scan" not in plan and "SCAN analytics" not in plan


FOR_EVER = "(WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT COUNT(*) FROM n) > 0"


def test_one_that_takes_too_long_is_stopped_and_says_what_to_do(rows, monkeypatch):
    monkeypatch.setattr(search, "SECONDS", 0.1)
    slow = UsageRecord.objects.extra(where=[FOR_EVER])
    with pytest.raises(SpanProblem, match="choose a shorter span"):
        search.requests(slow, span(days_ago(3), NOW), ALL, limit=10)
    monkeypatch.undo()
    assert ids_of(found(limit=10)) == newest_first(rows)[:10]
