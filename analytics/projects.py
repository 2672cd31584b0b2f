"""Projects as rows: made, changed, deleted, each with its entry in the audit trail.

A project's slug stands in the ledger, so that it never changes; its time zone decides where the windows of its budgets
begin.
"""

from __future__ import annotations

from collections.abc import Mapping

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from analytics import audit, budget_rows
from analytics.models import USUAL_BODIES_DAYS, Budget, Membership, Project

EDITABLE = (
    "name",
    "time_zone",
    "requests_per_minute",
    "tokens_per_minute",
    "concurrent_requests",
    "enabled",
    "stores_bodies",
    "bodies_days",
)
DEFAULT = "default"
"""Slug of the project of keys that name none, and of this installation's own command line."""


class ProjectProblem(Exception):
    """A project cannot be found or deleted; the message is for the person who asked."""


def create(
    slug: str,
    *,
    actor: str,
    name: str = "",
    time_zone: str = "UTC",
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    concurrent_requests: int | None = None,
    enabled: bool = True,
    stores_bodies: bool = False,
    bodies_days: int = USUAL_BODIES_DAYS,
) -> Project:
    """Makes a project, called like its slug unless named. Raises: ValidationError naming the fields."""
    row = Project(
        slug=slug,
        name=name or slug,
        time_zone=time_zone,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        concurrent_requests=concurrent_requests,
        enabled=enabled,
        stores_bodies=stores_bodies,
        bodies_days=bodies_days,
    )
    return add(row, actor=actor)


@audit.told_here()
def add(row: Project, *, actor: str) -> Project:
    """Saves a new row. Raises: ValidationError naming the fields."""
    row.full_clean()
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record("project.created", actor=actor, target=row.slug, project_id=row.pk, after=_state(row))
    except IntegrityError as error:
        row.full_clean()  # another one took the slug meanwhile: this says so
        raise error
    return row


@audit.told_here()
def edit(row: Project, *, actor: str, changes: Mapping[str, object]) -> Project:
    """The row with `changes`, as it is then. Nothing happens without a difference.

    Raises: ValidationError naming the fields; ProjectProblem when it was deleted meanwhile.
    """
    if wrong := {name: ["This stands in the ledger and cannot be changed."] for name in changes.keys() - {*EDITABLE}}:
        raise ValidationError(wrong)
    with transaction.atomic():
        fresh = Project.objects.select_for_update(no_key=True).filter(pk=row.pk).first()
        if fresh is None:
            raise ProjectProblem(f"The project {row.slug} was deleted meanwhile.")
        before = _state(fresh)
        for name, value in changes.items():
            setattr(fresh, name, value)
        fresh.full_clean()
        after = _state(fresh)
        if after != before:
            fresh.save(force_update=True)
            if after["time_zone"] != before["time_zone"]:
                _move_windows(fresh)
            audit.record(
                "project.changed", actor=actor, target=fresh.slug, project_id=fresh.pk, before=before, after=after
            )
    return fresh


@audit.told_here()
def delete(row: Project, *, actor: str) -> None:
    """Deletes a project and its budgets. Nothing happens when it is gone already.

    Raises: ProjectProblem while it has keys, and for the default one.
    """
    if row.slug == DEFAULT:
        raise ProjectProblem("The default project cannot be deleted: keys that name no project belong to it.")
    with transaction.atomic():
        fresh = Project.objects.select_for_update().filter(pk=row.pk).first()
        if fresh is None:
            return
        if keys := list(fresh.api_keys.values_list("name", flat=True)):
            raise ProjectProblem(
                f"The project {fresh.slug} has API keys ({', '.join(keys[:3])}{', ...' if keys[3:] else ''}): "
                "delete them first, or disable the project."
            )
        for budget in fresh.budgets.all():
            budget_rows.delete(budget, actor=actor)
        audit.record("project.deleted", actor=actor, target=fresh.slug, project_id=fresh.pk, before=_state(fresh))
        fresh.delete()


def find(slug: str) -> Project:
    """Raises: ProjectProblem when there is none."""
    found = Project.objects.filter(slug=slug).first()
    if found is None:
        known = ", ".join(Project.objects.values_list("slug", flat=True))
        raise ProjectProblem(f"There is no project {slug!r}; there is {known or 'none'}.")
    return found


def members(row: Project) -> dict[str, str]:
    """Role by user name."""
    rows = Membership.objects.filter(project=row).select_related("user")
    return {membership.user.get_username(): str(membership.role) for membership in rows}


def record_members(row: Project, *, actor: str, before: Mapping[str, str]) -> None:
    """Tells the audit trail who is a member now, where that differs from `before`. In the caller's transaction."""
    if (after := members(row)) != before:
        audit.record(
            "project.members_changed", actor=actor, target=row.slug, project_id=row.pk, before=before, after=after
        )


def _move_windows(row: Project) -> None:
    """Budgets whose windows begin elsewhere now count under another name, filled from the ledger."""
    Budget.objects.filter(Q(project=row) | Q(api_key__project=row)).update(defined_at=timezone.now())


def _state(row: Project) -> dict[str, object]:
    return {name: getattr(row, name) for name in EDITABLE}
