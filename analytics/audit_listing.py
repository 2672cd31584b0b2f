"""The audit trail as it is read: by whom, which entries, in what words. One service for the API, the command and the
admin; writes nothing.

The newest come first. They are ordered, and paged, by their ids: of two that were written at once in two transactions,
the one that was begun first comes first, whatever their clocks say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.db.models import QuerySet

from analytics import visibility
from analytics.authority import Authority
from analytics.models import AuditEntry, Project, Severity
from analytics.types import Window

FROM_LOW_TO_HIGH = (Severity.INFO, Severity.WARNING, Severity.CRITICAL)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; all of them where nothing is said."""

    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    actor: str = ""
    """A part of it, in any case of letters."""
    action: str = ""
    """Its beginning: `budget.` for all that concerns budgets."""
    target: str = ""
    """A part of it, in any case of letters."""
    project_id: int | None = None
    severity: Severity | None = None
    """So severe, or more."""


class Difference(NamedTuple):
    """One line of what an entry tells: a field as it was and as it is, None where it was not or is no more."""

    field: str
    before: str | None
    after: str | None


def entries(found: Authority, wanted: Wanted) -> QuerySet[AuditEntry]:
    """Those that it may read, the newest first."""
    rows = visibility.entries_of(found).order_by("-id")
    if wanted.severity is not None:
        rows = rows.filter(severity__in=FROM_LOW_TO_HIGH[FROM_LOW_TO_HIGH.index(wanted.severity) :])
    asked = {
        "at__gte": wanted.since,
        "at__lt": wanted.until,
        "actor__icontains": wanted.actor or None,
        "action__startswith": wanted.action or None,
        "target__icontains": wanted.target or None,
        "project_id": wanted.project_id,
    }
    return rows.filter(**{name: value for name, value in asked.items() if value is not None})


def as_json(rows: Iterable[AuditEntry]) -> list[dict[str, Any]]:
    """With the projects' slugs, null for those that are gone: one query for all of them."""
    listed = list(rows)
    slugs = slugs_of(listed)
    return [
        {
            "object": "audit_entry",
            "id": row.pk,
            "at": row.at.isoformat(timespec="milliseconds"),
            "severity": str(row.severity),
            "actor": row.actor,
            "address": row.address,
            "action": row.action,
            "target": row.target,
            "project": slugs.get(row.project_id) if row.project_id is not None else None,
            "before": row.before,
            "after": row.after,
        }
        for row in listed
    ]


def slugs_of(rows: Iterable[AuditEntry]) -> dict[int, str]:
    """Of the projects that they are about and that are still there, by id."""
    ids = {row.project_id for row in rows if row.project_id is not None}
    return dict(Project.objects.filter(pk__in=ids).values_list("pk", "slug")) if ids else {}


def about(row: AuditEntry) -> str:
    """Its target; of a budget that was reached also which one, as entries of what was changed name theirs."""
    told = row.after if row.action == "budget.reached" and isinstance(row.after, dict) else {}
    if not {"budget", "limit_usd", "window"} <= told.keys():
        return row.target
    per = "in total" if told["window"] == Window.TOTAL else f"per {told['window']}"
    return f"Budget {told['budget']}: ${told['limit_usd']} {per} for {row.target}"


def differences(row: AuditEntry) -> list[Difference]:
    """What it tells, field by field."""
    before, after = _by_field(row.before), _by_field(row.after)
    names = [*after, *(name for name in before if name not in after)]
    return [Difference(name, before.get(name), after.get(name)) for name in names]


def in_short(row: AuditEntry, *, most: int = 100) -> str:
    """What was changed, in a line; of rows that were made or deleted nothing, as their names stand beside it."""
    if row.before is None or row.after is None:
        return ""
    changed = [one for one in differences(row) if one.before != one.after]
    line = ", ".join(f"{one.field}: {one.before or 'none'} -> {one.after or 'none'}" for one in changed)
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _by_field(state: object) -> dict[str, str]:
    return {str(name): _text(value) for name, value in state.items()} if isinstance(state, dict) else {}


def _text(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
