"""What rules see at one moment: for each set of labels a value, and what it was made from.

A `Reader` is good for one moment. What several rules ask alike is read once. Windows end with the last whole minute
that is long enough ago for its requests to be in the ledger, so that a look tells the same whenever it is taken again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from alerts import standing_readings, usage_readings
from alerts.machine import Seen
from alerts.metrics import KINDS, Kind, Metric, Source
from analytics.models import Project
from analytics.queries import deadline
from analytics.queries.filters import Dimension, Filters
from analytics.series import MINUTE, floor

SETTLED = timedelta(seconds=15)
"""Until what happened in a minute is in the ledger."""
WITHIN_S = 5.0
"""How long one question may take."""
Labels = tuple[tuple[str, str], ...]
"""By name, in the order of grouping."""
Found = TypeVar("Found")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule looks at. `window_s` is whole minutes."""

    metric: Metric
    filters: Filters = Filters()
    """Of usage, and of what has a project, provider or model besides."""
    by: tuple[Dimension, ...] = ()
    window_s: int = 300
    severities: frozenset[str] = frozenset()
    """Of audit entries; empty: all."""

    @property
    def kind(self) -> Kind:
        return KINDS[self.metric]

    @property
    def window(self) -> timedelta:
        return timedelta(seconds=self.window_s)


class Reading(msgspec.Struct, frozen=True):
    labels: Labels
    seen: Seen


class Reader:
    """Looks at `at`."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.end = floor(at - SETTLED, MINUTE)
        self._known: dict[Hashable, Any] = {}

    def read(self, question: Question) -> list[Reading]:
        """Without groups there is always one reading. Raises: SpanProblem, TookTooLong, django.db.Error."""
        found = self.once(question, lambda: self._ask(question))
        if not question.by and not found:
            return [Reading((), Seen())]
        return [Reading(labels, seen) for labels, seen in found.items()]

    def _ask(self, question: Question) -> Mapping[Labels, Seen]:
        with deadline.statements_within(WITHIN_S):
            return _SOURCES[question.kind.source](self, question)

    def once(self, key: Hashable, ask: Callable[[], Found]) -> Found:
        """What was found before under this key, or is found now."""
        if key not in self._known:
            self._known[key] = ask()
        found: Found = self._known[key]
        return found

    @cached_property
    def project_ids(self) -> Mapping[str, int]:
        """By slug."""
        return {slug: pk for pk, slug in self.slugs.items()}

    @cached_property
    def slugs(self) -> Mapping[int, str]:
        """Of projects, by id."""
        return dict(Project.objects.values_list("pk", "slug"))


_SOURCES: Mapping[Source, Callable[[Reader, Question], Mapping[Labels, Seen]]] = {
    Source.USAGE: usage_readings.read,
    Source.BUDGETS: standing_readings.budgets,
    Source.CIRCUITS: standing_readings.circuits,
    Source.GAUGES: standing_readings.gauges,
    Source.AUDIT: standing_readings.audit,
}
