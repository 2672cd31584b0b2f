"""Which entries of the audit trail are asked for, in the words of reports: one reading for API, page and command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from django.core.exceptions import ValidationError

from analytics.audit_listing import Wanted
from analytics.models import Severity
from analytics.queries import moments
from analytics.queries.spans import SpanProblem
from gateway import usage_asking

FILTERS = ("since", "until", "actor", "action", "target", "project", "severity")


class Times(NamedTuple):
    since: datetime | None
    until: datetime | None
    """Not included."""


def wanted(asked: Mapping[str, str], *, project_id: int | None) -> Wanted:
    """`project_id` is of the project that was asked for: who may name which is the asker's.

    Raises: ValidationError naming the parameter.
    """
    begun, ended = times(asked.get("since"), asked.get("until"))
    return Wanted(
        since=begun,
        until=ended,
        actor=asked.get("actor", ""),
        action=asked.get("action", ""),
        target=asked.get("target", ""),
        project_id=project_id,
        severity=_severity(asked.get("severity")),
    )


def times(since: str | None, until: str | None) -> Times:
    """By the clock of UTC, as the trail is shown. A word for a whole day, week or month says its end too, unless
    `until` does; as an end it means where it begins.

    Raises: ValidationError naming the parameter.
    """
    now = datetime.now(UTC)
    try:
        begun = None if since is None else moments.period(since, zone="UTC", now=now, about="since")
        ended = None if until is None else moments.period(until, zone="UTC", now=now, about="until")
    except SpanProblem as problem:
        raise usage_asking.refused(problem) from problem
    if ended is not None:
        return Times(begun.start if begun else None, ended.start)
    return Times(begun.start, begun.end) if begun else Times(None, None)


def _severity(given: str | None) -> Severity | None:
    if given is None:
        return None
    if given not in Severity.values:
        raise ValidationError({"severity": [f"Use {', '.join(Severity.values)}."]})
    return Severity(given)
