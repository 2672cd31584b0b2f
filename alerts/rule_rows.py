"""Makes, changes and deletes rules: each checked, in the audit trail, and with an end for the alerts that it made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from alerts import evaluating, rules
from alerts.machine import State
from alerts.models import Alert, Look, Rule
from analytics import audit
from analytics.models import Project

EDITABLE = (
    *("name", "metric", "filters", "group_by", "window_s", "comparator", "warning", "critical", "hysteresis"),
    *("for_s", "keep_firing_s", "min_samples", "interval_s", "severity", "no_data", "on_error"),
    *("labels", "summary", "runbook_url", "enabled"),
)
_SAYS_NOTHING_NEW = {"name", "labels", "summary", "runbook_url"}
"""What may change without anything being looked at in another way: alerts go on."""


class RuleGone(Exception):
    """The rule was deleted meanwhile."""


@audit.told_here()
def create(*, actor: str, project: Project | None = None, **fields: Any) -> Rule:
    """Raises: ValidationError naming the fields."""
    _refuse_unknown(fields)
    row = Rule(project=project, **fields)
    with transaction.atomic():
        _check(row)
        row.save(force_insert=True)
        _look_at_once(row)
        _audit("alert_rule.created", row, actor=actor, after=_state(row))
    return row


@audit.told_here()
def edit(row: Rule, *, actor: str, changes: Mapping[str, Any]) -> Rule:
    """The rule with `changes`, as it is then; its alerts are over where it looks at something else, or at nothing.

    Raises: ValidationError naming the fields; RuleGone.
    """
    _refuse_unknown(changes)
    with transaction.atomic():
        fresh = Rule.objects.select_for_update(of=("self",)).filter(pk=row.pk).first()
        if fresh is None:
            raise RuleGone(f"The rule {row.name} was deleted meanwhile.")
        before = _state(fresh)
        for name, value in changes.items():
            setattr(fresh, name, value)
        _check(fresh)
        after = _state(fresh)
        differing = {name for name in EDITABLE if before[name] != after[name]}
        if differing:
            fresh.save(force_update=True)
            _follow(fresh, differing)
            _audit("alert_rule.changed", fresh, actor=actor, before=before, after=after)
    return fresh


@audit.told_here()
def delete(row: Rule, *, actor: str) -> None:
    """Nothing happens when it is gone already."""
    with transaction.atomic():
        fresh = Rule.objects.select_for_update(of=("self",)).filter(pk=row.pk).first()
        if fresh is not None:
            _end_alerts(fresh, reason="the rule was deleted")
            _audit("alert_rule.deleted", fresh, actor=actor, before=_state(fresh))
            fresh.delete()


def _follow(rule: Rule, differing: set[str]) -> None:
    if not rule.enabled:
        _end_alerts(rule, reason="the rule was paused")
        Look.objects.filter(rule=rule).delete()
        return
    if differing - _SAYS_NOTHING_NEW:
        _end_alerts(rule, reason="the rule was changed")
    _look_at_once(rule)


def _end_alerts(rule: Rule, *, reason: str) -> None:
    now = timezone.now()
    alerts = Alert.objects.filter(rule=rule).exclude(state__in=[State.NORMAL.value, State.RESOLVED.value])
    evaluating.write(rule, [evaluating.ended(alert, now=now, reason=reason) for alert in alerts], at=now)


def _look_at_once(rule: Rule) -> None:
    if rule.enabled:
        Look.objects.update_or_create(rule=rule, defaults={"due_at": timezone.now()})


def _refuse_unknown(fields: Mapping[str, Any]) -> None:
    if wrong := {name: ["There is no such field, or it cannot be changed."] for name in fields if name not in EDITABLE}:
        raise ValidationError(wrong)


def _check(row: Rule) -> None:
    """What each field may hold first: the rest reads them."""
    row.clean_fields()
    rules.check(row)
    row.validate_constraints()


def _state(row: Rule) -> dict[str, Any]:
    return {name: getattr(row, name) for name in EDITABLE}


def _audit(
    action: str,
    row: Rule,
    *,
    actor: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    audit.record(action, actor=actor, target=row.name, project_id=row.project_id, before=before, after=after)
