"""Writes the audit trail. Callers mask secrets before they get here.

Rows of configuration that are saved or deleted tell of themselves (`analytics.audit_following`); a service that says
more than which fields differ writes its own entries, and says so with `told_here`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics import audit_context
from analytics.audit_context import acting, told_here
from analytics.models import AuditEntry, Severity

__all__ = ["acting", "record", "told_here"]

LONGEST_ACTOR = 200
LONGEST_TARGET = 300


def record(
    action: str,
    *,
    actor: str | None = None,
    target: str = "",
    project_id: int | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    severity: Severity = Severity.INFO,
) -> None:
    """Adds one entry, in the caller's transaction: what is undone leaves no trace that it was done. Who did it is the
    one at work unless `actor` says; from where is always theirs."""
    AuditEntry.objects.create(
        action=action,
        actor=(actor or audit_context.actor())[:LONGEST_ACTOR],
        target=target[:LONGEST_TARGET],
        project_id=project_id,
        before=before,
        after=after,
        severity=severity,
        address=audit_context.address(),
    )
