"""What the overview tells of a window of time: the ledger's figures beside the period before, and how things stand now.

Composes what `analytics.queries`, circuits and budgets already answer; decides nothing. Everything is within what the
user may be told of.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q

from analytics import authority, standing, visibility
from analytics.models import Budget, UsageRecord
from analytics.queries import moments, reports, search, sums
from analytics.queries import savings as saving
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Compared, Page, Percentiles, Point
from analytics.queries.savings import Savings
from analytics.queries.spans import Span, Step
from analytics.queries.sums import Totals
from gateway import usage_references
from routing import health_listing
from routing.health_listing import ModelHealth
from routing.types import Snapshot

WINDOWS: Mapping[str, Step] = {"1h": Step.MINUTE, "24h": Step.QUARTER, "7d": Step.HOUR, "30d": Step.DAY}
"""Each with the step of its charts."""
USUAL_WINDOW = "24h"
MOST_GROUPS = 8
MOST_FAILURES = 8
NEAR_THE_END = Decimal("0.8")
"""Of its limit: from here on a budget is told of."""
_FAILED = Filters(statuses=frozenset(status.value for status in sums.FAILED))


class Times(msgspec.Struct, frozen=True):
    latency: Percentiles
    first_token: Percentiles


class BudgetNear(msgspec.Struct, frozen=True):
    budget: Budget
    spent_usd: Decimal
    share: float
    window_ends_at: datetime | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    window: str
    compared: Compared
    times: Times
    times_before: Times
    savings: Savings
    points: tuple[Point, ...]
    """By layer; steps in which nothing happened are left out."""
    step: Step
    layers: tuple[tuple[str, Totals], ...]
    """Cheapest first; '' are requests that no layer answered."""
    models: Page
    keys: Page
    health: tuple[ModelHealth, ...]
    """Of every model in each of its layers."""
    budgets: tuple[BudgetNear, ...]
    failures: tuple[UsageRecord, ...]

    @property
    def span(self) -> Span:
        return self.compared.span

    @property
    def is_empty(self) -> bool:
        return not self.compared.now.requests


def of(
    window: str,
    *,
    filters: Filters,
    user: AbstractBaseUser | AnonymousUser,
    snapshot: Snapshot,
    zone: str,
    now: datetime,
) -> Overview:
    """`filters` lie within the user's reach. Raises: KeyError for another window than those there are."""
    step = WINDOWS[window]
    span = moments.span(window, None, zone=zone, now=now)
    compared = reports.compared(span, filters, with_times=True)
    points = reports.over_time(span, filters, step=step, by=[Dimension.LAYER])
    premium, cheapest = usage_references.premium_and_cheapest(snapshot, caller=None, at=time.time())
    return Overview(
        window=window,
        compared=compared,
        times=_times(compared.now),
        times_before=_times(compared.before),
        savings=saving.savings(span, filters, premium=premium, cheapest=cheapest),
        points=points,
        step=step,
        layers=_layers(points, snapshot=snapshot),
        models=reports.ranked([Dimension.MODEL], span, filters, limit=MOST_GROUPS),
        keys=reports.ranked([Dimension.KEY], span, filters, limit=MOST_GROUPS),
        health=tuple(health_listing.models(snapshot, caller=None)),
        budgets=_budgets(user, filters=filters),
        failures=_failures(user, span=span, filters=filters),
    )


def series(found: Overview) -> dict[str, Any]:
    """For the charts: the start of each step in seconds since 1970, and of each layer its requests and its cost."""
    starts = sorted({point.start for point in found.points})
    places = {start: number for number, start in enumerate(starts)}
    names = [name for name, _ in found.layers]
    requests = {name: [0] * len(starts) for name in names}
    usd = {name: [0.0] * len(starts) for name in names}
    for point in found.points:
        requests[point.group.label][places[point.start]] = point.totals.requests
        usd[point.group.label][places[point.start]] = float(point.totals.cost_usd)
    return {
        "at": [int(start.timestamp()) for start in starts],
        "from": int(found.span.start.timestamp()),
        "until": int(found.span.end.timestamp()),
        "zone": found.span.zone,
        "layers": [name or "none" for name in names],
        "requests": [requests[name] for name in names],
        "usd": [usd[name] for name in names],
    }


def _times(totals: Totals) -> Times:
    return Times(reports.percentiles(totals.latency), reports.percentiles(totals.first_token))


def _layers(points: Sequence[Point], *, snapshot: Snapshot) -> tuple[tuple[str, Totals], ...]:
    """In the order of layers; those that are gone, and none, come last."""
    known = {layer.name: number for number, layer in enumerate(snapshot.layers)}
    grouped: dict[str, list[Totals]] = {}
    for point in points:
        grouped.setdefault(point.group.label, []).append(point.totals)
    names = sorted(grouped, key=lambda name: (known.get(name, len(known)), not name, name))
    return tuple((name, sums.together(grouped[name])) for name in names)


def _budgets(user: AbstractBaseUser | AnonymousUser, *, filters: Filters) -> tuple[BudgetNear, ...]:
    """Of those the user may see: the ones that are spent to four fifths, nearest to their end first."""
    found = authority.of_user(user)
    if found is None:
        return ()
    among = visibility.budgets_of(found).filter(enabled=True)
    if filters.projects is not None:
        among = among.filter(Q(project__in=filters.projects) | Q(api_key__project__in=filters.projects))
    rows = list(among)
    stands = standing.of(rows)
    near = [
        BudgetNear(row, stand.spent_usd, float(stand.spent_usd / row.limit_usd), stand.window_ends_at)
        for row in rows
        if (stand := stands[row.pk]).spent_usd is not None and stand.spent_usd >= NEAR_THE_END * row.limit_usd
    ]
    return tuple(sorted(near, key=lambda one: -one.share))


def _failures(user: AbstractBaseUser | AnonymousUser, *, span: Span, filters: Filters) -> tuple[UsageRecord, ...]:
    among = visibility.records_of_user(user)
    return search.requests(among, span, filters.within(_FAILED), limit=MOST_FAILURES).rows
