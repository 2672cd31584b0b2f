"""Every question asked of the roll-ups, against plain arithmetic over the ledger's own rows."""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta
from itertools import combinations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from analytics import rollups
from analytics.models import UsageRecord
from analytics.queries import reports, spans, sums
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Order
from analytics.queries.spans import SpanProblem, Step
from analytics.series import Dimensions, Grain, StatusClass
from tests.conftest import WrittenOnce
from tests.unit.analytics.queries.rows import NOW, among, days_ago, ended, plain, scattered, span

pytestmark = pytest.mark.django_db
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe"]


@pytest.fixture(scope="module")
def rows(written_once: WrittenOnce) -> list[UsageRecord]:
    """Of the last twelve days: minutes are kept for the last eight. No test here has others."""
    return written_once(lambda: scattered(200, start=days_ago(12), end=NOW, seed=7))


@pytest.mark.parametrize(
    ("since", "until"),
    [(12, 0), (7.3, 0), (5, 2), (3.21, 3.2), (11.4, 9.1), (9, 3.377), (0.5, 0), (12, 11.9), (30, -1), (1000, 0)],
)
def test_totals_are_exact_over_what_the_span_covers(rows, since, until):
    asked = span(days_ago(since), days_ago(until))
    covered = asked.covered
    found = reports.totals(asked)
    assert found == plain(among(rows, covered.start, covered.end))
    assert found.errors == len(among(rows, covered.start, covered.end, lambda row: ended(row) in sums.FAILED))


def test_recent_spans_are_covered_to_the_minute(rows):
    asked = span(days_ago(6.77).replace(second=0), days_ago(1.23).replace(second=0))
    start, end = (edge.replace(second=0, microsecond=0) for edge in (asked.start, asked.end))
    assert asked.covered.start == start
    assert reports.totals(span(start, end)) == plain(among(rows, start, end))


FILTERS = {
    "projects": (Filters(projects=frozenset({1})), lambda row: row.project_id == 1),
    "keys": (Filters(keys=frozenset({10, 21})), lambda row: row.key_id in (10, 21)),
    "owner": (Filters(keys=frozenset({None})), lambda row: row.key_id is None),
    "owner or key": (Filters(keys=frozenset({None, 10})), lambda row: row.key_id in (None, 10)),
    "providers": (Filters(providers=frozenset({"acme"})), lambda row: row.provider == "acme"),
    "models": (Filters(models=frozenset({"small"})), lambda row: row.model == "small"),
    "qualified": (
        Filters(models=frozenset({"acme/org/large:v1", "other/small"})),
        lambda row: f"{row.provider}/{row.model}" in ("acme/org/large:v1", "other/small"),
    ),
    "layers": (Filters(layers=frozenset({"L1", ""})), lambda row: row.layer in ("L1", "")),
    "statuses": (
        Filters(statuses=frozenset({StatusClass.BROKEN.value, StatusClass.CLIENT_ERROR.value})),
        lambda row: ended(row) in (StatusClass.BROKEN, StatusClass.CLIENT_ERROR),
    ),
    "error_kinds": (Filters(error_kinds=frozenset({"timeout"})), lambda row: row.error_kind == "timeout"),
    "kinds": (Filters(kinds=frozenset({"embeddings"})), lambda row: row.kind == "embeddings"),
    "nothing": (Filters(projects=frozenset()), lambda row: False),
}


TOGETHER = [two for two in combinations(FILTERS, 2) if two != ("models", "qualified")]


@pytest.mark.parametrize("names", [*((name,) for name in FILTERS), *TOGETHER], ids="+".join)
def test_filters_let_through_what_they_say_alone_and_together(rows, names):
    filters = Filters()
    for name in names:
        filters = filters.within(FILTERS[name][0])
    wanted = [row for row in rows if all(FILTERS[name][1](row) for name in names)]
    assert reports.totals(span(days_ago(13), NOW), filters) == plain(wanted)


OF_ROW = {
    Dimension.PROJECT: lambda row: (row.project_id,),
    Dimension.KEY: lambda row: (row.key_id,),
    Dimension.PROVIDER: lambda row: (row.provider,),
    Dimension.MODEL: lambda row: (row.provider, row.model),
    Dimension.LAYER: lambda row: (row.layer,),
    Dimension.STATUS: lambda row: (ended(row).value,),
    Dimension.ERROR: lambda row: (row.error_kind,),
    Dimension.KIND: lambda row: (row.kind,),
}


@pytest.mark.parametrize(
    "by", [*((one,) for one in Dimension), (Dimension.KEY, Dimension.MODEL), (Dimension.PROJECT, Dimension.LAYER)]
)
@pytest.mark.parametrize(("since", "until"), [(12, 0), (6.6, 0.4)])
def test_groups_are_told_apart(rows, by, since, until):
    asked = span(days_ago(since), days_ago(until))
    covered = asked.covered
    expected: dict[tuple[object, ...], list[UsageRecord]] = {}
    for row in among(rows, covered.start, covered.end):
        expected.setdefault(sum((OF_ROW[one](row) for one in by), ()), []).append(row)
    found = sums.read(spans.edges(asked, None), Filters(), by, at=NOW)
    assert {group: told for (_, group), told in found.items()} == {group: plain(of) for group, of in expected.items()}


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("step", [Step.HOUR, Step.DAY, Step.WEEK, Step.MONTH, Step.QUARTER])
def test_steps_are_those_of_the_zone(rows, zone, step):
    asked = span(days_ago(11.7), days_ago(0.3), zone=zone)
    points = reports.over_time(asked, step=step)
    assert (points[0].start, points[-1].end) == (asked.covered.start, asked.covered.end)
    for point in points:
        assert point.totals == plain(among(rows, point.start, point.end)), point.start


def test_minutes_are_told_apart(rows):
    found = reports.over_time(span(days_ago(1), NOW), step=Step.MINUTE)
    assert len(found) == 1441
    assert all(point.totals == plain(among(rows, point.start, point.end)) for point in found)


def test_groups_in_steps_are_those_in_which_something_happened(rows):
    found = reports.over_time(span(days_ago(5), NOW, zone="Europe/Berlin"), step=Step.DAY, by=[Dimension.LAYER])
    for point in found:
        layer = point.group.fields["layer"] or ""
        assert point.totals == plain(among(rows, point.start, point.end, lambda row, layer=layer: row.layer == layer))
    assert sum(point.totals.requests for point in found) == len(among(rows, found[0].start, NOW))


@pytest.mark.parametrize("share", ["p50", "p90", "p95", "p99"])
def test_percentiles_lie_within_the_class_of_the_true_ones(rows, share):
    told = reports.totals(span(days_ago(7), NOW), with_times=True)
    ok = [row for row in among(rows, days_ago(7), NOW) if row.outcome == "ok"]
    for counts, durations in (
        (told.latency, [row.duration_ms for row in ok]),
        (told.first_token, [row.first_token_ms for row in ok if row.first_token_ms is not None]),
    ):
        found = reports.percentiles(counts)
        true = sorted(durations)[math.ceil(len(durations) * reports.QUANTILES[share]) - 1]
        assert found.count == len(durations)
        assert max(true, 3.7) / 1.361 <= getattr(found, share) <= max(true, 5) * 1.361


def test_durations_of_failures_are_told_when_they_are_asked_for(rows):
    wanted = Filters(statuses=frozenset({StatusClass.SERVER_ERROR.value}))
    failed = [row for row in rows if ended(row) is StatusClass.SERVER_ERROR]
    told = reports.totals(span(days_ago(13), NOW), wanted, with_times=True)
    assert sum(told.latency) == len(failed)


def test_the_period_before_is_beside_it(rows):
    found = reports.compared(span(days_ago(3), days_ago(0)))
    assert found.now == plain(among(rows, days_ago(3), NOW))
    assert found.before == plain(among(rows, days_ago(6), days_ago(3)))
    grown = found.now.requests / found.before.requests - 1
    assert found.change(lambda totals: totals.requests) == pytest.approx(grown)


@pytest.mark.parametrize(("since", "until"), [(13, 0), (900, 800)])
def test_nothing_before_is_no_change(rows, since, until):
    assert reports.compared(span(days_ago(since), days_ago(until))).change(lambda totals: totals.requests) is None


def test_an_empty_span_and_one_in_the_future_are_zero(rows):
    for asked in (span(days_ago(900), days_ago(800)), span(NOW + timedelta(days=3), NOW + timedelta(days=9))):
        assert reports.totals(asked) == sums.NOTHING
        assert all(point.totals == sums.NOTHING for point in reports.over_time(asked, step=Step.DAY))
        assert reports.ranked([Dimension.MODEL], asked).rows == ()


def test_a_shares_are_of_all_groups(rows):
    found = reports.ranked([Dimension.MODEL], span(days_ago(12), NOW), order=Order.REQUESTS, limit=2)
    assert [row.share for row in found.rows] == [row.totals.requests / found.whole.requests for row in found.rows]
    assert found.whole.requests == len(rows)


@pytest.mark.parametrize("order", Order)
def test_pages_give_each_group_once_most_first(rows, order):
    asked = span(days_ago(12), NOW)
    whole = reports.ranked([Dimension.KEY, Dimension.MODEL], asked, order=order).rows
    seen, after = [], None
    while True:
        page = reports.ranked([Dimension.KEY, Dimension.MODEL], asked, order=order, limit=3, after=after)
        seen += page.rows
        after = page.after
        if after is None:
            break
    assert seen == list(whole)
    assert len({str(row.group.fields) for row in seen}) == len(seen)


def test_errors_are_by_how_they_ended_and_why(rows):
    found = reports.errors(span(days_ago(12), NOW))
    wanted = Counter((ended(row).value, row.error_kind or None) for row in rows if ended(row) in sums.FAILED)
    assert {(r.group.fields["status"], r.group.fields["error_kind"]): r.totals.errors for r in found.rows} == wanted


def test_the_layer_mix_is_by_requests(rows):
    found = reports.layer_mix(span(days_ago(12), NOW))
    assert {row.group.fields["layer"]: row.totals.requests for row in found.rows} == Counter(
        row.layer or None for row in rows
    )


class TestStatements:
    @pytest.mark.parametrize(("since", "until"), [(7, 0), (3.2, 1.1), (11.3, 9.1), (0.001, 0)])
    def test_totals_take_one_whatever_the_lengths_of_roll_ups(self, rows, since, until, django_assert_num_queries):
        with django_assert_num_queries(1):
            reports.totals(span(days_ago(since), days_ago(until)))

    def test_names_take_two_more_however_many_groups(self, rows, django_assert_max_num_queries):
        with django_assert_max_num_queries(1 + 2):
            reports.ranked([Dimension.KEY], span(days_ago(7), NOW))

    def test_nothing_to_see_takes_none(self, django_assert_num_queries):
        with django_assert_num_queries(0):
            assert reports.totals(span(days_ago(7), NOW), Filters(projects=frozenset())) == sums.NOTHING

    def test_none_reads_the_ledger(self, rows):
        asked = span(days_ago(11.3), days_ago(1.1), zone="Europe/Berlin")
        with CaptureQueriesContext(connection) as said:
            reports.compared(asked, Filters(keys=frozenset({10})), with_times=True)
            reports.over_time(asked, step=Step.DAY, by=[Dimension.MODEL])
            reports.ranked([Dimension.KEY], asked)
            reports.errors(asked)
        plans = []
        with connection.cursor() as cursor:
            for one in said.captured_queries:
                cursor.execute(
                    f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {one['sql']}"
                )
                plans += [str(line) for line in cursor.fetchall()]
        text = "\n".join([*plans, *(one["sql"] for one in said.captured_queries)])
        assert "analytics_usagerollup" in text
        assert "usagerecord" not in text


def test_too_many_points_with_groups_are_refused(rows, monkeypatch):
    monkeypatch.setattr(reports, "MOST_POINTS", 20)
    with pytest.raises(SpanProblem, match="choose a longer step"):
        reports.over_time(span(days_ago(7), NOW), step=Step.HOUR, by=[Dimension.KEY])


def test_too_many_rows_are_refused(rows, monkeypatch):
    monkeypatch.setattr(sums, "MOST_ROWS", 20)
    with pytest.raises(SpanProblem, match="choose a longer step"):
        reports.over_time(span(days_ago(7), NOW), step=Step.HOUR, by=[Dimension.KEY])


def test_the_database_brings_no_more_rows_than_are_let_through(rows, monkeypatch):
    monkeypatch.setattr(sums, "MOST_ROWS", 20)
    with CaptureQueriesContext(connection) as said, pytest.raises(SpanProblem, match="too many rows"):
        reports.over_time(span(days_ago(7), NOW), step=Step.HOUR, by=[Dimension.KEY])
    assert said.captured_queries[-1]["sql"].endswith(" LIMIT 21")


def test_fewer_rows_are_let_through_with_histograms(rows, monkeypatch):
    monkeypatch.setattr(sums, "MOST_TIMED_ROWS", 20)
    reports.over_time(span(days_ago(7), NOW), step=Step.HOUR, by=[Dimension.KEY])
    with pytest.raises(SpanProblem, match="too many rows"):
        reports.over_time(span(days_ago(7), NOW), step=Step.HOUR, by=[Dimension.KEY], with_times=True)


def test_too_many_points_are_refused_before_they_are_added_up(rows, monkeypatch):
    monkeypatch.setattr(reports, "MOST_POINTS", 5)
    monkeypatch.setattr(sums, "_sum", lambda parts: pytest.fail("added up"))
    with pytest.raises(SpanProblem, match="more than 5 points"):
        reports.over_time(span(days_ago(7), NOW), step=Step.HOUR, by=[Dimension.KEY])


def test_no_time_is_no_roll_up():
    assert sums.read([NOW, NOW], Filters(), at=NOW) == {}


def test_ten_thousand_points_with_histograms_are_told():
    """A minute and a way to end each, the most that is asked for at once."""
    start = NOW.replace(minute=0, second=0) - timedelta(hours=50)
    ends = [StatusClass.OK, StatusClass.CLIENT_ERROR, StatusClass.CANCELLED, StatusClass.INTERRUPTED]
    minutes = [start + timedelta(minutes=number) for number in range(2_500)]
    counts = {"requests": 1, "latency_3": 1}
    rollups.add({(Grain.MINUTE, at, Dimensions("chat", end, project_id=99)): counts for at in minutes for end in ends})
    asked = span(start, start + timedelta(minutes=2_500))
    of_it = Filters(projects=frozenset({99}))
    points = reports.over_time(asked, of_it, step=Step.MINUTE, by=[Dimension.STATUS], with_times=True)
    assert len(points) == 10_000 == reports.MOST_POINTS
    assert {point.totals.requests for point in points} == {1}
