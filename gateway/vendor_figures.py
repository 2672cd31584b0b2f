"""What a provider's last day was like, and a model's last month: requests and errors over time, times; all providers
out of one question.

A request counts for the model that answered it, or was the last one tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from analytics.queries import moments, reports, spans, sums
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Percentiles, Point
from analytics.queries.spans import Span, Step
from analytics.queries.sums import Totals

DAY, MONTH = "24h", "30d"


class Part(msgspec.Struct, frozen=True):
    """An hour or a day."""

    start: datetime
    requests: int
    errors: int


class Figures(msgspec.Struct, frozen=True):
    parts: tuple[Part, ...]
    """Every one of the window, those too in which nothing happened."""
    totals: Totals
    latency: Percentiles
    """Of requests that were answered."""


def of_last_day(filters: Filters, *, zone: str, now: datetime) -> Mapping[str, Figures]:
    """By the provider's slug, by hour; those that nobody asked are missing. `filters` lie within the reader's reach."""
    span = moments.span(DAY, None, zone=zone, now=now)
    points = reports.over_time(span, filters, step=Step.HOUR, by=[Dimension.PROVIDER], with_times=True)
    by_provider: dict[str, list[Point]] = {}
    for point in points:
        by_provider.setdefault(point.group.label, []).append(point)
    return {slug: _figures(found, span=span, step=Step.HOUR) for slug, found in by_provider.items() if slug}


def of_last_month(model: str, filters: Filters, *, zone: str, now: datetime) -> Figures:
    """Of a model as `provider/id`, by day. `filters` lie within the reader's reach."""
    span = moments.span(MONTH, None, zone=zone, now=now)
    wanted = Filters(models=frozenset({model})).within(filters)
    return _figures(reports.over_time(span, wanted, step=Step.DAY, with_times=True), span=span, step=Step.DAY)


def _figures(points: Sequence[Point], *, span: Span, step: Step) -> Figures:
    totals = sums.together(point.totals for point in points)
    known = {point.start: point.totals for point in points}
    starts = [start for start, _ in spans.steps_of(spans.edges(span, step))]
    parts = tuple(_part(start, known.get(start, sums.NOTHING)) for start in starts)
    return Figures(parts, totals, reports.percentiles(totals.latency))


def _part(start: datetime, totals: Totals) -> Part:
    return Part(start, totals.requests, totals.errors)
