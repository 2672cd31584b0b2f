"""What rules see beside usage: budgets' shares, models that are out of order, gauges, entries of the audit trail."""

from __future__ import annotations

import operator
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from alerts.machine import Seen
from alerts.metrics import Metric
from alerts.usage_readings import fields_of
from analytics import accounts, budget_book
from analytics.gauge_models import GaugeSample
from analytics.models import ApiKey, AuditEntry
from analytics.queries import sums
from analytics.queries.filters import Dimension, Filters
from analytics.rollup_models import PER_USD
from analytics.types import Book, Budget, BudgetScope
from providers.models import Model
from routing import transitions
from routing.circuit import State

if TYPE_CHECKING:
    from alerts.readings import Labels, Question, Reader

_OF_SCOPE: Mapping[BudgetScope, tuple[Dimension, ...]] = {
    BudgetScope.KEY: (Dimension.KEY,),
    BudgetScope.PROJECT: (Dimension.PROJECT,),
    BudgetScope.INSTALLATION: (),
}
Sample = tuple[datetime, Mapping[str, Any]]
"""When it was taken, and the readings of one process by name."""


# Budgets: what the ledger counted of each, of its limit. Without groups, the one that is nearest to its end.


def budgets(reader: Reader, question: Question) -> dict[Labels, Seen]:
    book = reader.once("budgets", budget_book.load)
    meant = [budget for budget in _of(book) if _is_meant(budget, question.filters, project_id=_home(reader, budget))]
    shares = {budget: _share(reader, budget) for budget in meant}
    dated = {budget: share for budget, share in shares.items() if share is not None}
    if not question.by:
        return {(): Seen(max(dated.values()), 1)} if dated else {}
    return {_labels(reader, budget): Seen(share, 1) for budget, share in dated.items()}


def _of(book: Book) -> Iterable[Budget]:
    yield from book.installation
    for some in (*book.by_project.values(), *book.by_key.values()):
        yield from some


def _home(reader: Reader, budget: Budget) -> int | None:
    """The project that it belongs to, itself or by its key."""
    if budget.key_id is None:
        return budget.project_id
    return reader.once("homes", lambda: dict(ApiKey.objects.values_list("pk", "project_id"))).get(budget.key_id)


def _is_meant(budget: Budget, filters: Filters, *, project_id: int | None) -> bool:
    is_of_project = filters.projects is None or project_id in filters.projects
    return is_of_project and (filters.keys is None or budget.key_id in filters.keys)


def _share(reader: Reader, budget: Budget) -> float | None:
    """None while its own dates do not hold."""
    if not accounts.is_dated(budget, at=reader.end):
        return None
    start = accounts.span(budget, at=reader.end).start
    by = _OF_SCOPE[budget.scope]
    spent = reader.once(("spent", by, start), lambda: _spent(reader, start=start, by=by))
    member = () if not by else (budget.key_id if budget.scope is BudgetScope.KEY else budget.project_id,)
    return float(spent.get(member, 0) / PER_USD / float(budget.limit_usd))


def _spent(reader: Reader, *, start: datetime, by: tuple[Dimension, ...]) -> dict[tuple[Any, ...], int]:
    found = sums.read((start, reader.end), Filters(), by, at=reader.at)
    return {group: told.budget for (_, group), told in found.items()}


def _labels(reader: Reader, budget: Budget) -> Labels:
    named = {"budget": f"#{budget.id}", "project": reader.slugs.get(_home(reader, budget) or 0, "")}
    if budget.scope is BudgetScope.KEY:
        named["key"] = budget.name
    return tuple((name, text) for name, text in named.items() if text)


# Circuits: models that are left alone or tried again just now.


def circuits(reader: Reader, question: Question) -> dict[Labels, Seen]:
    found = Counter(
        _named({"provider": provider, "model": name}, question.by)
        for provider, name in reader.once("open", _out_of_order)
        if _lets_through(provider, name, question.filters)
    )
    if not question.by:
        return {(): Seen(float(found.total()), 1)}
    return {labels: Seen(float(number), 1) for labels, number in found.items()}


def _out_of_order() -> list[tuple[str, str]]:
    known = Model.objects.filter(enabled=True, provider__enabled=True).values_list("pk", flat=True)
    latest = transitions.latest(list(known)).values()
    return [(row.provider, row.model) for row in latest if row.to_state != State.CLOSED.value]


def _lets_through(provider: str, name: str, filters: Filters) -> bool:
    if filters.providers is not None and provider not in filters.providers:
        return False
    return filters.models is None or name in filters.models or f"{provider}/{name}" in filters.models


# Gauges: the worst minute of the window, all processes together.


def gauges(reader: Reader, question: Question) -> dict[Labels, Seen]:
    start = reader.end - question.window
    samples: list[Sample] = reader.once(("samples", start), lambda: _samples(start, reader.end))
    # Those who wait add up; how late something is does not.
    together = operator.add if question.metric is Metric.QUEUE_DEPTH else max
    by_minute: dict[Labels, dict[datetime, float]] = defaultdict(dict)
    for at, readings in samples:
        for labels, value in _readings(readings, question):
            minute = at.replace(second=0, microsecond=0)
            by_minute[labels][minute] = together(by_minute[labels].get(minute, 0.0), value)
    return {labels: Seen(max(found.values()), len(found)) for labels, found in by_minute.items()}


def _samples(start: datetime, end: datetime) -> list[Sample]:
    rows = GaugeSample.objects.filter(at__gte=start, at__lt=end).order_by("at")
    return list(rows.values_list("at", "readings"))


_GAUGES = {
    Metric.QUEUE_DEPTH: "provider_queue",
    Metric.TASKS_QUEUED: "tasks_queued",
    Metric.SPOOL_LAG: "spool_lag_s",
}


def _readings(readings: Mapping[str, Any], question: Question) -> Iterable[tuple[Labels, float]]:
    told = readings.get(_GAUGES[question.metric])
    if isinstance(told, Mapping):
        among = question.filters.providers
        meant = {name: number for name, number in told.items() if among is None or name in among}
        if not question.by:
            yield (), float(sum(meant.values()))
        else:
            yield from (((("provider", name),), float(number)) for name, number in meant.items())
    elif told is not None:
        yield (), float(told)


# The audit trail.


def audit(reader: Reader, question: Question) -> dict[Labels, Seen]:
    start = reader.end - question.window
    rows = AuditEntry.objects.filter(at__gte=start, at__lt=reader.end)
    if question.severities:
        rows = rows.filter(severity__in=question.severities)
    if question.filters.projects is not None:
        rows = rows.filter(project_id__in=question.filters.projects)
    if not question.by:
        return {(): Seen(float(rows.count()), 1)}
    found = Counter(rows.values_list("project_id", flat=True))
    return {
        (("project", reader.slugs.get(project_id or 0, "")),): Seen(float(number), 1)
        for project_id, number in found.items()
    }


def _named(values: Mapping[str, str], by: Iterable[Dimension]) -> Labels:
    return tuple((field, values[field]) for field in fields_of(by))
