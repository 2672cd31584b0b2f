"""What a provider's last day was like: requests and errors by hour, times; all providers out of one question.

A request counts for the provider that answered it, or was the last one tried.
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

WINDOW = "24h"


class Hour(msgspec.Struct, frozen=True):
    start: datetime
    requests: int
    errors: int


class Figures(msgspec.Struct, frozen=True):
    hours: tuple[Hour, ...]
    """Every one of the window, those too in which nothing happened."""
    totals: Totals
    latency: Percentiles
    """Of requests that were answered."""

    @property
    def most(self) -> int:
        """Requests of the busiest hour."""
        return max((hour.requests for hour in self.hours), default=0)


def of_last_day(filters: Filters, *, zone: str, now: datetime) -> Mapping[str, Figures]:
    """By the provider's slug; those that nobody asked are missing. `filters` lie within the reader's reach."""
    span = moments.span(WINDOW, None, zone=zone, now=now)
    points = reports.over_time(span, filters, step=Step.HOUR, by=[Dimension.PROVIDER], with_times=True)
    by_provider: dict[str, list[Point]] = {}
    for point in points:
        by_provider.setdefault(point.group.label, []).append(point)
    return {slug: _figures(found, span=span) for slug, found in by_provider.items() if slug}


def _figures(points: Sequence[Point], *, span: Span) -> Figures:
    totals = sums.together(point.totals for point in points)
    known = {point.start: point.totals for point in points}
    starts = [start for start, _ in spans.steps_of(spans.edges(span, Step.HOUR))]
    hours = tuple(_hour(start, known.get(start, sums.NOTHING)) for start in starts)
    return Figures(hours, totals, reports.percentiles(totals.latency))


def _hour(start: datetime, totals: Totals) -> Hour:
    return Hour(start, totals.requests, totals.errors)
