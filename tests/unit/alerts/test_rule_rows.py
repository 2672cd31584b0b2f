"""Rules made, changed and deleted: what is refused and why, what the audit trail has, when they are looked at."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from alerts import rule_rows, rules
from alerts.models import Look, Rule
from analytics.models import AuditEntry

pytestmark = pytest.mark.django_db
USUAL = {"name": "errors", "metric": "error_share", "warning": 0.05}


def make(**fields):
    return rule_rows.create(actor="ann", **(USUAL | fields))


def refused(**fields):
    """What is said beside each field."""
    with pytest.raises(ValidationError) as caught:
        make(**fields)
    assert not Rule.objects.filter(name=fields.get("name", "errors")).exists()
    return {name: " ".join(words) for name, words in caught.value.message_dict.items()}


class TestRefused:
    @pytest.mark.parametrize(
        ("fields", "field", "says"),
        [
            ({"name": ""}, "name", "blank"),
            ({"metric": "errors"}, "metric", "not a valid choice"),
            ({"warning": 5}, "warning", "Error share is told in share: use a share from 0 to 1, such as 0.05 for 5 %."),
            ({"warning": -0.1}, "warning", "from 0 to 1"),
            ({"warning": "much"}, "warning", "must be a float"),
            ({"warning": None}, "warning", "Give a threshold"),
            ({"metric": "latency_p95", "warning": 1e9}, "warning", "milliseconds, such as 2000 for 2 s"),
            ({"critical": 0.01}, "critical", "Critical lies above the warning."),
            ({"critical": 0.05}, "critical", "Critical lies above the warning."),
            ({"critical": 0.5, "comparator": "below"}, "critical", "Critical lies below the warning."),
            ({"comparator": "near"}, "comparator", "not a valid choice"),
            ({"hysteresis": 7}, "hysteresis", "what a value of Error share may be"),
            ({"hysteresis": -1}, "hysteresis", "what a value of Error share may be"),
            ({"window_s": 90}, "window_s", "whole minutes"),
            ({"window_s": 0}, "window_s", "whole minutes"),
            ({"window_s": 700_000}, "window_s", "whole minutes"),
            ({"metric": "idle", "warning": 5, "window_s": 90_000}, "window_s", "within a day"),
            ({"interval_s": 5}, "interval_s", "Use 10 to 3600 seconds."),
            ({"for_s": 100_000}, "for_s", "Use 0 to 86400 seconds."),
            ({"keep_firing_s": 100_000}, "keep_firing_s", "Use 0 to 86400 seconds."),
            ({"group_by": ["colour"]}, "group_by", "cannot be told apart by 'colour': use project, key, provider"),
            ({"group_by": "provider"}, "group_by", "Use a list of names"),
            ({"group_by": ["provider", "provider"]}, "group_by", "Name each once."),
            ({"metric": "spool_lag", "warning": 5, "group_by": ["provider"]}, "group_by", "told as a whole"),
            ({"filters": {"colours": ["red"]}}, "filters", "cannot be narrowed by 'colours'"),
            ({"filters": {"providers": []}}, "filters", "providers: use a list of 1 to 100"),
            ({"filters": {"providers": [5]}}, "filters", "providers: use names."),
            ({"filters": {"providers": ["\u200b"]}}, "filters", "providers: use names."),
            ({"filters": {"keys": ["first"]}}, "filters", "keys: use numbers of keys"),
            ({"filters": {"keys": [True]}}, "filters", "keys: use numbers of keys"),
            ({"filters": ["openai"]}, "filters", "Use an object of lists"),
            ({"filters": {"severities": ["info"]}}, "filters", "cannot be narrowed by 'severities'"),
            (
                {"metric": "audit_entries", "warning": 1, "filters": {"severities": ["bad"]}}, "filters",
                "severities: use info, warning, critical.",
            ),
            ({"summary": "costs $"}, "summary", "write $$ for a dollar"),
            ({"summary": "$vlaue"}, "summary", "There is no $vlaue: use $rule, "),
            ({"runbook_url": "ftp://wiki/errors"}, "runbook_url", "https://"),
            ({"runbook_url": "javascript:alert(1)"}, "runbook_url", "https://"),
            ({"labels": {"team": 5}}, "labels", "Use an object of texts"),
            ({"labels": {"provider": "x"}}, "labels", "alerts have these themselves"),
            ({"severity": "info"}, "severity", "not a valid choice"),
            ({"no_data": "panic"}, "no_data", "not a valid choice"),
            ({"colour": "red"}, "colour", "There is no such field"),
        ],
    )  # fmt: skip
    def test_with_the_reason_beside_the_field(self, fields, field, says):
        found = refused(**fields)
        assert list(found) == [field]
        assert says in found[field]

    def test_all_that_is_wrong_at_once(self):
        assert set(refused(warning=5, window_s=61, summary="$x")) == {"warning", "window_s", "summary"}

    def test_a_name_that_is_taken_there(self, ours):
        make()
        make(project=ours.project)
        for project in (None, ours.project):
            with pytest.raises(ValidationError, match="already exists there"):
                make(project=project)

    def test_a_projects_rule_sees_nothing_of_the_installation(self, ours):
        of_project = {"project": ours.project, "name": "x"}
        assert "belongs to no project" in refused(metric="spool_lag", warning=5, **of_project)["metric"]
        assert "leave projects out" in refused(filters={"projects": ["default"]}, **of_project)["filters"]


class TestKept:
    def test_a_rule_is_looked_at_at_once_and_told_of(self):
        made = make(summary="$rule: $value of $project", labels={"team": "search"}, filters={"providers": ["openai"]})
        assert Look.objects.get().rule == made
        entry = AuditEntry.objects.latest("id")
        assert (entry.action, entry.actor, entry.target) == ("alert_rule.created", "ann", "errors")
        assert entry.after["filters"] == {"providers": ["openai"]}

    def test_a_pause_ends_the_looks_and_its_end_begins_them_anew(self):
        made = make()
        rule_rows.edit(made, actor="ann", changes={"enabled": False})
        assert not Look.objects.exists()
        rule_rows.edit(made, actor="ann", changes={"enabled": True})
        assert Look.objects.exists()

    def test_without_a_difference_nothing_happens(self):
        made = make()
        before = AuditEntry.objects.count()
        assert rule_rows.edit(made, actor="ann", changes={"warning": 0.05}).updated_at == made.updated_at
        assert AuditEntry.objects.count() == before

    def test_one_that_is_gone_is_not_changed_and_deleted_once(self):
        made = make()
        rule_rows.delete(made, actor="ann")
        rule_rows.delete(made, actor="ann")
        with pytest.raises(rule_rows.RuleGone):
            rule_rows.edit(made, actor="ann", changes={"warning": 0.1})
        actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
        assert actions.count("alert_rule.deleted") == 1


def test_a_project_that_is_gone_lets_nothing_through():
    asked = rules.question(make(filters={"projects": ["default", "gone"]}), ids={"default": 1})
    assert asked.filters.projects == {1, -1}
