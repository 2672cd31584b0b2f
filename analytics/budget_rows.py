"""Budgets as rows: made, changed, deleted, each with its entry in the audit trail.

Counts nothing: what was spent stands in the counters (`analytics.accounts` says where). What may stand in a field is
`analytics.budget_rules`' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from analytics import audit
from analytics.models import ApiKey, Budget, Project
from analytics.types import BudgetAction
from providers.models import ConfigVersion

EDITABLE = ("limit_usd", "action", "layer", "near_edge", "severity", "starts_at", "ends_at", "enabled")


class BudgetProblem(Exception):
    """A budget cannot be found; the message is for the person who asked."""


def create(
    *,
    actor: str,
    window: str,
    limit_usd: Decimal | str,
    project: Project | None = None,
    api_key: ApiKey | None = None,
    action: str = "refuse",
    layer: str = "",
    near_edge: str = "shorten",
    severity: str = "warning",
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    enabled: bool = True,
) -> Budget:
    """Makes a budget of a key, a project, or the whole installation where neither is named. A total one without a start
    starts now.

    Raises: ValidationError naming the fields.
    """
    row = Budget(
        project=project,
        api_key=api_key,
        window=window,
        limit_usd=limit_usd,
        action=action,
        layer=layer,
        near_edge=near_edge,
        severity=severity,
        starts_at=starts_at,
        ends_at=ends_at,
        enabled=enabled,
    )
    return add(row, actor=actor)


@audit.told_here()
def add(row: Budget, *, actor: str) -> Budget:
    """Saves a new row. Raises: ValidationError naming the fields."""
    with transaction.atomic():
        lock(row)
        row.defined_at = timezone.now()
        row.full_clean()
        row.save(force_insert=True)
        _audit("budget.created", row, actor=actor, after=_state(row))
    return row


@audit.told_here()
def edit(row: Budget, *, actor: str, changes: Mapping[str, object]) -> Budget:
    """The row with `changes`, as it is then; whose it is and its window cannot change. Nothing happens without a
    difference.

    Raises: ValidationError naming the fields; BudgetProblem when it was deleted meanwhile.
    """
    if wrong := {name: ["This cannot be changed: make another budget."] for name in changes if name not in EDITABLE}:
        raise ValidationError(wrong)
    with transaction.atomic():
        lock(row)
        fresh = _rows().select_for_update(of=("self",)).filter(pk=row.pk).first()
        if fresh is None:
            raise BudgetProblem(f"Budget {row.pk} was deleted meanwhile.")
        before, was = _state(fresh), (fresh.enabled, fresh.starts_at, fresh.ends_at, fresh.action)
        for name, value in changes.items():
            setattr(fresh, name, value)
        fresh.full_clean()
        after = _state(fresh)
        if after != before:
            if _counts_anew(fresh, was=was):
                fresh.defined_at = timezone.now()
            fresh.save(force_update=True)
            _audit("budget.changed", fresh, actor=actor, before=before, after=after)
    return fresh


@audit.told_here()
def delete(row: Budget, *, actor: str) -> None:
    """Nothing happens when it is gone already."""
    with transaction.atomic():
        fresh = _rows().select_for_update(of=("self",)).filter(pk=row.pk).first()
        if fresh is not None:
            _audit("budget.deleted", fresh, actor=actor, before=_state(fresh))
            fresh.delete()


def find(name: int | str) -> Budget:
    """The budget of this id.

    Raises: BudgetProblem when there is none.
    """
    text = str(name).removeprefix("#")
    is_id = text.isascii() and text.isdecimal() and len(text) < 19
    found = _rows().filter(pk=int(text)).first() if is_id else None
    if found is None:
        raise BudgetProblem(f"There is no budget {text}; `budgets list` shows them.")
    return found


def state(row: Budget) -> str:
    """In a word: active, disabled, over, to come."""
    now = timezone.now()
    if not row.enabled:
        return "disabled"
    if row.ends_at and row.ends_at <= now:
        return "over"
    return "to come" if row.starts_at and row.starts_at > now else "active"


def lock(row: Budget) -> None:
    """Keeps others from writing budgets of the same target until the caller's transaction ends, so that of two that
    overlap the second is refused. The project's time zone stays as it is, too, and nobody deletes the key or moves it:
    the row has the key as it is now.

    Always in the order key, project: `analytics.projects` locks projects alone.
    """
    project_id = row.project_id
    if row.api_key_id is not None:
        # Not in the table's own order, which joins the project: PostgreSQL finds no row that left it meanwhile.
        key = ApiKey.objects.select_for_update(no_key=True).filter(pk=row.api_key_id).order_by("pk").first()
        if key is not None:
            row.api_key, project_id = key, key.project_id
    if project_id is not None:
        Project.objects.select_for_update(no_key=True).filter(pk=project_id).first()
    else:
        ConfigVersion.objects.select_for_update().get(group="budgets")


def _rows() -> models.QuerySet[Budget]:
    return Budget.objects.select_related("project", "api_key__project")


def _counts_anew(row: Budget, *, was: tuple[bool, datetime | None, datetime | None, str]) -> bool:
    """Whether requests went by that its account has not seen, or counts from another moment: it is then filled from the
    ledger, under another name. One that only noted has not seen those that came while the counters were away."""
    was_enabled, started_at, ended_at, action = was
    had_ended = ended_at is not None and ended_at <= timezone.now()
    has_another_span = row.starts_at != started_at or (had_ended and row.ends_at != ended_at)
    left_note = action == BudgetAction.NOTE != row.action
    return (row.enabled and not was_enabled) or has_another_span or left_note


def _audit(
    action: str,
    row: Budget,
    *,
    actor: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    project_id = row.api_key.project_id if row.api_key else row.project_id
    target = f"Budget {row.pk}: {row}"
    audit.record(action, actor=actor, target=target, project_id=project_id, before=before, after=after)


def _state(row: Budget) -> dict[str, object]:
    project = row.api_key.project if row.api_key else row.project
    return {
        "project": project.slug if project else None,
        "key": row.api_key.name if row.api_key else None,
        "window": str(row.window),
        "limit_usd": f"{row.limit_usd.normalize():f}",
        "action": str(row.action),
        "layer": row.layer,
        "near_edge": str(row.near_edge),
        "severity": str(row.severity),
        "starts_at": row.starts_at.isoformat() if row.starts_at else None,
        "ends_at": row.ends_at.isoformat() if row.ends_at else None,
        "enabled": row.enabled,
    }
