"""Writes the audit trail. Callers mask secrets before they get here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analytics.models import AuditEntry, Severity


def record(
    action: str,
    *,
    actor: str,
    target: str = "",
    project_id: int | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    severity: Severity = Severity.INFO,
) -> None:
    """Adds one entry, in the caller's transaction: what is undone leaves no trace that it was done."""
    AuditEntry.objects.create(
        action=action,
        actor=actor,
        target=target[:300],
        project_id=project_id,
        before=before,
        after=after,
        severity=severity,
    )
