"""From when to when entries of the audit trail are asked for, in the words of reports: one reading for API and
command."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from analytics.queries import moments
from analytics.queries.spans import SpanProblem
from gateway import usage_asking


class Times(NamedTuple):
    since: datetime | None
    until: datetime | None
    """Not included."""


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
