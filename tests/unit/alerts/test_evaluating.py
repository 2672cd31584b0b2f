"""Rules looked at by a clock of the test's own, over a ledger with rows: alerts, what is told of them, two at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from alerts import evaluating, rule_rows
from alerts.machine import State
from alerts.models import Alert, Change, Look, Rule
from analytics import ledger
from analytics.models import AuditEntry
from tests.unit.analytics.test_ledger import usage_row

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, 0, 20, tzinfo=UTC)
"""Looks at it see minutes up to 12:00."""
MINUTE = timedelta(minutes=1)


def spend(*, minutes_ago=1, failed=0, fine=0, now=NOW, **fields):
    """Requests of the minute that began so long ago, as the ledger keeps them."""
    at = now.replace(second=0) - minutes_ago * MINUTE + timedelta(seconds=7)
    rows = [usage_row(at, outcome="error", status=502, error_kind="unreachable", **fields) for _ in range(failed)]
    ledger.insert([*rows, *(usage_row(at, **fields) for _ in range(fine))])


def rule(**fields):
    usual = {"name": "errors", "metric": "error_share", "warning": 0.05, "critical": 0.5}
    made = rule_rows.create(actor="ann", **(usual | fields))
    Look.objects.filter(rule=made).update(due_at=NOW)
    return made


def alerts():
    return {tuple(one.labels.values()): f"{one.state} {one.level}" for one in Alert.objects.all()}


def changes():
    return [f"{one.from_state} {one.to_state} {one.to_level} {one.is_news}" for one in Change.objects.order_by("id")]


class TestOnePass:
    def test_what_is_within_bounds_leaves_nothing(self):
        rule()
        spend(fine=100, failed=4)
        assert evaluating.run(now=NOW) == evaluating.Pass(rules=1)
        assert (alerts(), changes()) == ({}, [])

    def test_an_alert_begins_gets_worse_and_is_resolved(self):
        rule(window_s=60)
        spend(fine=9, failed=1)
        spend(fine=1, failed=9, now=NOW + MINUTE)
        spend(fine=10, now=NOW + 2 * MINUTE)
        for number, state in enumerate(["firing warning", "firing critical", "resolved critical", "normal "]):
            evaluating.run(now=NOW + number * MINUTE)
            assert alerts() == {(): state}
        assert changes() == [
            "normal firing warning True", "firing firing critical True", "firing resolved critical True",
            "resolved normal  False",
        ]  # fmt: skip
        assert [one.revision for one in Change.objects.order_by("id")] == [1, 2, 3, 4]

    def test_each_group_has_an_alert_of_its_own(self):
        rule(group_by=["provider"], min_samples=5)
        spend(fine=1, failed=9, provider="acme", model="large")
        spend(fine=9, failed=1, provider="beta", model="small")
        spend(failed=4, provider="rare", model="small")
        evaluating.run(now=NOW)
        assert alerts() == {("acme",): "firing critical", ("beta",): "firing warning"}

    def test_a_group_that_is_seen_no_more_is_resolved(self):
        rule(group_by=["provider"], window_s=60)
        spend(failed=1, provider="acme", model="large")
        for number in (0, 1):
            evaluating.run(now=NOW + number * MINUTE)
        assert alerts() == {("acme",): "resolved critical"}
        assert Change.objects.latest("id").reason == "nothing of it is left"

    def test_it_waits_as_long_as_the_rule_says_whatever_becomes_of_workers(self):
        rule(for_s=600, window_s=3600)
        spend(failed=1)
        for minutes, state in ((0, "pending critical"), (5, "pending critical"), (10, "firing critical")):
            evaluating.run(now=NOW + minutes * MINUTE)
            assert alerts() == {(): state}

    def test_a_rule_is_due_at_even_moments_whenever_it_was_looked_at(self):
        rule(interval_s=300)
        evaluating.run(now=NOW)
        look = Look.objects.get()
        assert (look.looked_at, look.due_at) == (NOW, NOW.replace(minute=5, second=0))
        assert evaluating.run(now=NOW + 4 * MINUTE).rules == 0
        assert evaluating.run(now=NOW + 7 * MINUTE).rules == 1
        look.refresh_from_db()
        assert look.looked_at - look.looked_for_at == timedelta(minutes=2, seconds=20)

    def test_a_rule_that_was_made_by_other_ways_is_looked_at(self):
        Rule.objects.create(name="by hand", metric="error_share", warning=0.1)
        assert evaluating.run(now=NOW).rules == 1

    def test_a_project_sees_its_own_requests_alone(self, ours):
        rule(project=ours.project)
        spend(failed=9, project_id=ours.project.pk + 1)
        evaluating.run(now=NOW)
        assert alerts() == {}
        spend(failed=9, project_id=ours.project.pk)
        evaluating.run(now=NOW + MINUTE)
        assert alerts() == {(): "firing critical"}

    def test_what_several_rules_ask_alike_is_read_once(self):
        for number in range(20):
            rule(name=f"rule {number}", warning=0.01 * (number + 1), group_by=["provider"])
        spend(fine=100, provider="acme", model="large")
        with CaptureQueriesContext(connection) as asked:
            assert evaluating.run(now=NOW).rules == 20
        assert len([one for one in asked if "analytics_usagerollup" in one["sql"]]) == 1
        assert len(asked) < 3 * 20

    def test_what_cannot_be_read_is_told_and_keeps_the_alert_and_no_other_rule_from_its_own(self):
        broken = rule()
        spend(failed=1)
        evaluating.run(now=NOW)
        rule(name="another")
        Rule.objects.filter(pk=broken.pk).update(filters={"projects": 5})
        assert evaluating.run(now=NOW + MINUTE).problems == 1
        assert "not iterable" in Look.objects.get(rule=broken).problem
        assert sorted(one.state for one in Alert.objects.all()) == ["firing", "firing"]
        Rule.objects.filter(pk=broken.pk).update(filters={})
        evaluating.run(now=NOW + 2 * MINUTE)
        assert Look.objects.get(rule=broken).problem == ""


class TestOthers:
    def test_who_was_slower_writes_nothing(self):
        made = rule()
        spend(failed=1)
        reader = evaluating.Reader(NOW)
        first, _ = evaluating._moved(made, [], reader)
        second, _ = evaluating._moved(made, [], evaluating.Reader(NOW))
        assert (evaluating.write(made, first, at=NOW), evaluating.write(made, second, at=NOW)) == (1, 0)
        assert changes() == ["normal firing critical True"]

    def test_nor_on_an_alert_that_is_there(self):
        made = rule(window_s=60)
        spend(failed=1)
        evaluating.run(now=NOW)
        readers = [evaluating.Reader(NOW + MINUTE) for _ in range(2)]
        moves = [evaluating._moved(made, list(Alert.objects.all()), reader)[0] for reader in readers]
        assert [evaluating.write(made, one, at=NOW + MINUTE) for one in moves] == [1, 0]
        assert changes()[1:] == ["firing resolved critical True"]

    def test_a_rule_that_was_edited_meanwhile_is_left_to_its_next_look(self):
        made = rule()
        spend(failed=1)
        moves, _ = evaluating._moved(made, [], evaluating.Reader(NOW))
        rule_rows.edit(made, actor="ann", changes={"warning": 0.2})
        assert evaluating.write(made, moves, at=NOW) == 0
        assert alerts() == {}

    def test_one_that_another_looks_at_is_left_alone(self):
        rule()
        claimed = evaluating._claimed(NOW)
        assert (len(claimed), evaluating.run(now=NOW).rules) == (1, 0)
        later = NOW + evaluating.CLAIMED_FOR + timedelta(seconds=1)
        assert evaluating.run(now=later).rules == 1


class TestEnd:
    @pytest.fixture
    def firing(self):
        made = rule()
        spend(failed=1)
        evaluating.run(now=NOW)
        return made

    @pytest.mark.parametrize(
        ("act", "reason"),
        [
            (lambda row: rule_rows.edit(row, actor="ann", changes={"warning": 0.2}), "the rule was changed"),
            (lambda row: rule_rows.edit(row, actor="ann", changes={"enabled": False}), "the rule was paused"),
            (lambda row: rule_rows.delete(row, actor="ann"), "the rule was deleted"),
        ],
    )
    def test_whoever_was_told_is_told_why_it_is_over(self, firing, act, reason):
        act(firing)
        assert alerts() == {(): "resolved critical"}
        last = Change.objects.latest("id")
        assert (last.reason, last.is_news, last.to_state) == (reason, True, State.RESOLVED)
        assert AuditEntry.objects.latest("id").actor == "ann"

    def test_another_name_ends_nothing(self, firing):
        rule_rows.edit(firing, actor="ann", changes={"name": "failures", "labels": {"team": "search"}})
        assert alerts() == {(): "firing critical"}

    def test_what_another_way_paused_ends_with_the_next_look(self, firing):
        Rule.objects.update(enabled=False)
        Look.objects.update(due_at=NOW)
        evaluating.run(now=NOW + MINUTE)
        assert (alerts(), Look.objects.count()) == ({(): "resolved critical"}, 0)
