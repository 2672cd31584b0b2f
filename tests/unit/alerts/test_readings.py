"""What rules see: each metric over rows of the ledger, gauges, circuits and audit trail, against plain arithmetic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from alerts.machine import Seen
from alerts.metrics import KINDS, Metric
from alerts.readings import Question, Reader
from analytics import budget_rows
from analytics.gauge_models import GaugeSample
from analytics.models import AuditEntry
from analytics.queries.filters import Dimension, Filters
from providers.models import Model, Provider
from routing.models import CircuitTransition
from tests.unit.alerts.test_evaluating import MINUTE, NOW, spend

pytestmark = pytest.mark.django_db
PROVIDER = (Dimension.PROVIDER,)


def seen(metric, *, now=NOW, **asked):
    """By the values of the labels."""
    found = Reader(now).read(Question(metric=metric, **asked))
    return {tuple(value for _, value in one.labels): one.seen for one in found}


def one(metric, **asked):
    (found,) = seen(metric, **asked).values()
    return found


class TestUsage:
    @pytest.mark.parametrize(
        ("metric", "value", "samples"),
        [
            (Metric.REQUEST_RATE, 2.0, 10), (Metric.ERROR_SHARE, 0.2, 10), (Metric.FALLBACK_SHARE, 0.8, 10),
            (Metric.TOKENS, 8 * 150.0, 10), (Metric.COST, 2.0, 10), (Metric.SPEND_RATE, 24.0, 10),
            (Metric.IDLE, 1.0, 1),
        ],
    )  # fmt: skip
    def test_sums_of_the_window(self, metric, value, samples):
        spend(minutes_ago=2, fine=8, input_tokens=100, output_tokens=50, cost_usd=Decimal("0.25"), fell_back=True)
        spend(minutes_ago=2, failed=2)
        spend(minutes_ago=6, fine=5)
        spend(minutes_ago=0, fine=5)
        assert one(metric, window_s=300) == Seen(value, samples)

    @pytest.mark.parametrize(
        ("metric", "near"),
        [
            (Metric.LATENCY_P50, 100), (Metric.LATENCY_P95, 10_000), (Metric.LATENCY_P99, 10_000),
            (Metric.FIRST_TOKEN_P50, 50), (Metric.FIRST_TOKEN_P95, 5_000),
        ],
    )  # fmt: skip
    def test_times_of_answers(self, metric, near):
        spend(fine=90, duration_ms=100.0, first_token_ms=50.0)
        spend(fine=10, duration_ms=10_000.0, first_token_ms=5_000.0)
        spend(failed=50, duration_ms=60_000.0)
        found = one(metric)
        assert (near / 1.36 <= found.value <= near * 1.36, found.samples) == (True, 100)

    @pytest.mark.parametrize("metric", [metric for metric in Metric if KINDS[metric].source == "usage"])
    def test_where_nothing_happened_amounts_are_0_and_the_others_are_not_known(self, metric):
        amounts = {Metric.REQUEST_RATE, Metric.TOKENS, Metric.COST, Metric.SPEND_RATE}
        idle = Seen(5.0, 1)
        wanted = idle if metric is Metric.IDLE else Seen(0.0 if metric in amounts else None, 0)
        assert one(metric) == wanted

    def test_each_group_and_what_the_filters_let_through(self):
        spend(fine=3, failed=1, provider="acme", model="large", layer="L1", project_id=1)
        spend(fine=2, provider="beta", model="small", layer="L0", project_id=2)
        assert seen(Metric.ERROR_SHARE, by=PROVIDER) == {("acme",): Seen(0.25, 4), ("beta",): Seen(0.0, 2)}
        assert seen(Metric.ERROR_SHARE, by=(Dimension.MODEL,)).keys() == {("acme", "large"), ("beta", "small")}
        narrowed = Filters(projects=frozenset({2}))
        assert seen(Metric.ERROR_SHARE, by=PROVIDER, filters=narrowed) == {("beta",): Seen(0.0, 2)}

    def test_keys_and_projects_are_told_by_their_names(self, ours):
        spend(fine=1, project_id=ours.project.pk, key_id=ours.key.pk)
        by = (Dimension.KEY,)
        (found,) = Reader(NOW).read(Question(metric=Metric.COST, by=by))
        assert found.labels == (("key", ours.key.name), ("project", ours.project.slug))

    def test_spending_beside_the_usual(self):
        for days in range(1, 8):
            spend(minutes_ago=days * 1440, fine=1, cost_usd=Decimal("24"), provider="acme")
        spend(fine=1, cost_usd=Decimal("3"), provider="acme")
        spend(fine=1, cost_usd=Decimal("3"), provider="new")
        assert seen(Metric.SPEND_AGAINST_USUAL, by=PROVIDER, window_s=3600) == {
            ("acme",): Seen(3.0, 1), ("new",): Seen(None, 1),
        }  # fmt: skip

    def test_who_asked_yesterday_and_not_now_is_idle(self):
        spend(minutes_ago=600, fine=1, provider="acme")
        spend(minutes_ago=4, fine=1, provider="beta")
        spend(minutes_ago=3 * 1440, fine=1, provider="gone")
        found = seen(Metric.IDLE, by=PROVIDER, window_s=600)
        assert found == {("acme",): Seen(10.0, 1), ("beta",): Seen(3.0, 1)}


class TestBudgets:
    @pytest.fixture
    def budgets(self, ours):
        budget_rows.create(actor="tests", window="day", limit_usd="10", project=ours.project)
        budget_rows.create(actor="tests", window="month", limit_usd="100", api_key=ours.key)
        budget_rows.create(actor="tests", window="hour", limit_usd="100")
        spent = {"cost_usd": Decimal("8"), "budget_usd": Decimal("8")}
        spend(minutes_ago=30, fine=1, project_id=ours.project.pk, key_id=ours.key.pk, **spent)

    def test_the_share_that_the_ledger_knows_of_each(self, budgets, ours):
        found = seen(Metric.BUDGET_SHARE, by=(Dimension.PROJECT,))
        assert sorted((labels[1:], round(one.value, 3)) for labels, one in found.items()) == [
            ((), 0.0), ((ours.project.slug,), 0.8), ((ours.project.slug, ours.key.name), 0.08),
        ]  # fmt: skip

    def test_without_groups_the_one_nearest_to_its_end(self, budgets):
        assert one(Metric.BUDGET_SHARE) == Seen(0.8, 1)

    def test_a_project_sees_its_own(self, budgets, theirs):
        filters = Filters(projects=frozenset({theirs.project.pk}))
        assert seen(Metric.BUDGET_SHARE, filters=filters, by=(Dimension.PROJECT,)) == {}
        assert one(Metric.BUDGET_SHARE, filters=filters) == Seen()


class TestCircuits:
    @pytest.fixture
    def circuits(self):
        up = Provider.objects.create(slug="up", name="Up", base_url="https://up.example/v1")
        for name, *states in (("a", "open"), ("b", "open", "closed"), ("c", "half_open"), ("d",)):
            row = Model.objects.create(provider=up, name=name)
            for state in states:
                CircuitTransition.objects.create(
                    at=NOW, model_id=row.pk, provider="up", model=name, from_state="closed", to_state=state, cause="5xx"
                )

    def test_models_that_are_out_of_order(self, circuits):
        assert one(Metric.CIRCUITS_OPEN) == Seen(2.0, 1)
        assert seen(Metric.CIRCUITS_OPEN, by=PROVIDER) == {("up",): Seen(2.0, 1)}
        by = (Dimension.PROVIDER, Dimension.MODEL)
        assert seen(Metric.CIRCUITS_OPEN, by=by).keys() == {("up", "a"), ("up", "c")}
        assert one(Metric.CIRCUITS_OPEN, filters=Filters(models=frozenset({"up/a"}))) == Seen(1.0, 1)

    def test_one_that_is_switched_off_is_missed_by_nobody(self, circuits):
        Model.objects.filter(name="a").update(enabled=False)
        assert one(Metric.CIRCUITS_OPEN) == Seen(1.0, 1)


class TestGauges:
    @pytest.fixture(autouse=True)
    def samples(self):
        for minutes, queue, lag in ((2, {"acme": 3, "beta": 1}, 4.5), (3, {"acme": 5}, 0.0), (9, {"acme": 99}, 99.0)):
            for _ in range(2):
                readings = {"provider_queue": queue, "spool_lag_s": lag, "tasks_queued": 7}
                GaugeSample.objects.create(
                    at=NOW - minutes * MINUTE, instance=uuid4(), role="server", readings=readings
                )

    def test_those_who_wait_add_up_over_processes_and_the_worst_minute_counts(self):
        assert one(Metric.QUEUE_DEPTH) == Seen(10.0, 2)
        assert seen(Metric.QUEUE_DEPTH, by=PROVIDER) == {("acme",): Seen(10.0, 2), ("beta",): Seen(2.0, 1)}
        assert one(Metric.QUEUE_DEPTH, filters=Filters(providers=frozenset({"beta"}))) == Seen(2.0, 2)

    def test_lateness_is_the_worst_of_them(self):
        assert one(Metric.SPOOL_LAG) == Seen(4.5, 2)
        assert one(Metric.TASKS_QUEUED) == Seen(7.0, 2)

    def test_without_samples_nothing_is_known(self):
        assert one(Metric.SPOOL_LAG, now=NOW + timedelta(hours=1)) == Seen()


class TestAudit:
    def test_entries_of_a_severity_within_the_window(self, ours):
        for severity, project_id in (("critical", ours.project.pk), ("critical", None), ("info", None)):
            AuditEntry.objects.create(actor="x", action="tried", severity=severity, project_id=project_id)
        now = datetime.now(UTC) + 2 * MINUTE
        critical = {"now": now, "severities": frozenset({"critical"})}
        assert one(Metric.AUDIT_ENTRIES, **critical) == Seen(2.0, 1)
        assert seen(Metric.AUDIT_ENTRIES, by=(Dimension.PROJECT,), **critical) == {
            (ours.project.slug,): Seen(1.0, 1), ("",): Seen(1.0, 1),
        }  # fmt: skip
        filters = Filters(projects=frozenset({ours.project.pk}))
        assert one(Metric.AUDIT_ENTRIES, filters=filters, **critical) == Seen(1.0, 1)


def test_a_window_ends_with_the_last_minute_that_is_in_the_ledger():
    assert Reader(datetime(2026, 11, 23, 12, 0, 14, tzinfo=UTC)).end == datetime(2026, 11, 23, 11, 59, tzinfo=UTC)
    assert Reader(datetime(2026, 11, 23, 12, 0, 15, tzinfo=UTC)).end == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
