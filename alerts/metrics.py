"""What rules can look at: each metric with its unit, where it comes from, and what it can be told apart by. Pure.

A value is made from what `analytics` adds up; nothing here reads a table (`alerts.readings` does).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

import msgspec

from alerts.machine import Seen
from analytics import histograms
from analytics.queries.filters import Dimension
from analytics.queries.sums import Totals

HOUR_S = 3600.0


class Metric(StrEnum):
    REQUEST_RATE = "request_rate"
    ERROR_SHARE = "error_share"
    FALLBACK_SHARE = "fallback_share"
    LATENCY_P50 = "latency_p50"
    LATENCY_P95 = "latency_p95"
    LATENCY_P99 = "latency_p99"
    FIRST_TOKEN_P50 = "first_token_p50"  # noqa: S105 - no secret
    FIRST_TOKEN_P95 = "first_token_p95"  # noqa: S105 - no secret
    TOKENS = "tokens"
    COST = "cost"
    SPEND_RATE = "spend_rate"
    SPEND_AGAINST_USUAL = "spend_against_usual"
    IDLE = "idle"
    BUDGET_SHARE = "budget_share"
    CIRCUITS_OPEN = "circuits_open"
    QUEUE_DEPTH = "queue_depth"
    TASKS_QUEUED = "tasks_queued"
    SPOOL_LAG = "spool_lag"
    AUDIT_ENTRIES = "audit_entries"


class Source(StrEnum):
    """Where a metric's values come from."""

    USAGE = "usage"
    """Roll-ups of the ledger, by whole minutes."""
    BUDGETS = "budgets"
    CIRCUITS = "circuits"
    GAUGES = "gauges"
    AUDIT = "audit"


class Unit(StrEnum):
    """Of a metric's values and of what they are compared with."""

    SHARE = "share"
    """From 0 to 1."""
    MS = "ms"
    USD = "USD"
    USD_AN_HOUR = "USD an hour"
    TIMES = "times"
    A_MINUTE = "a minute"
    TOKENS = "tokens"
    MINUTES = "minutes"
    SECONDS = "seconds"
    COUNT = "count"


_MOST: Mapping[Unit, float] = {
    Unit.SHARE: 1.0,
    Unit.MS: 86_400_000.0,
    Unit.USD: 1e9,
    Unit.USD_AN_HOUR: 1e9,
    Unit.TIMES: 1e6,
    Unit.A_MINUTE: 1e9,
    Unit.TOKENS: 1e15,
    Unit.MINUTES: 10_080.0,
    Unit.SECONDS: 86_400.0,
    Unit.COUNT: 1e9,
}
_INSTEAD: Mapping[Unit, str] = {
    Unit.SHARE: "a share from 0 to 1, such as 0.05 for 5 %",
    Unit.MS: "milliseconds, such as 2000 for 2 s",
    Unit.USD: "US dollars, such as 2.5",
    Unit.USD_AN_HOUR: "US dollars an hour, such as 2.5",
    Unit.TIMES: "how many times the usual, such as 2",
    Unit.A_MINUTE: "requests a minute, such as 100",
    Unit.TOKENS: "tokens, such as 1000000",
    Unit.MINUTES: "minutes, such as 15",
    Unit.SECONDS: "seconds, such as 60",
    Unit.COUNT: "a number, such as 1",
}
USUAL_DIMENSIONS = (Dimension.PROJECT, Dimension.KEY, Dimension.PROVIDER, Dimension.MODEL, Dimension.LAYER)
"""What rules filter and group by."""
Value = Callable[[Totals, float], Seen]
"""Of what happened in a window, and of the window's length in seconds."""


def nothing(totals: Totals, _: float) -> Seen:
    """Of metrics that are made from more than a window's sums."""
    return Seen(None, totals.requests)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to know of a metric."""

    title: str
    unit: Unit
    source: Source = Source.USAGE
    dimensions: tuple[Dimension, ...] = USUAL_DIMENSIONS
    value: Value = nothing
    is_timed: bool = False
    """Whether histograms are needed."""
    most: float = 0.0
    """The highest threshold, where it is not its unit's."""

    def mistake(self, threshold: float) -> str | None:
        """What is wrong with a threshold; None when nothing is."""
        if 0 <= threshold <= (self.most or _MOST[self.unit]):
            return None
        return f"{self.title} is told in {self.unit}: use {_INSTEAD[self.unit]}."


def _share(of: Callable[[Totals], float | None]) -> Value:
    return lambda totals, _: Seen(of(totals), totals.requests)


def _amount(of: Callable[[Totals, float], float]) -> Value:
    """Nothing that happened is 0 of it."""
    return lambda totals, window_s: Seen(of(totals, window_s), totals.requests)


def _quantile(totals: Totals, _: float, *, column: str, share: float) -> Seen:
    counts = getattr(totals, column)
    return Seen(histograms.quantile(counts, share) if counts else None, sum(counts))


def _times(title: str, column: str, share: float) -> Kind:
    value = partial(_quantile, column=column, share=share)
    return Kind(title=title, unit=Unit.MS, value=value, is_timed=True)


def _usd_an_hour(totals: Totals, window_s: float) -> float:
    return float(totals.cost_usd) * HOUR_S / window_s


KINDS: Mapping[Metric, Kind] = {
    Metric.REQUEST_RATE: Kind(
        title="Request rate",
        unit=Unit.A_MINUTE,
        value=_amount(lambda totals, window_s: totals.requests * 60 / window_s),
    ),
    Metric.ERROR_SHARE: Kind(title="Error share", unit=Unit.SHARE, value=_share(lambda totals: totals.error_share)),
    Metric.FALLBACK_SHARE: Kind(
        title="Fall-back share", unit=Unit.SHARE, value=_share(lambda totals: totals.fallback_share)
    ),
    Metric.LATENCY_P50: _times("Latency, p50", "latency", 0.5),
    Metric.LATENCY_P95: _times("Latency, p95", "latency", 0.95),
    Metric.LATENCY_P99: _times("Latency, p99", "latency", 0.99),
    Metric.FIRST_TOKEN_P50: _times("First token, p50", "first_token", 0.5),
    Metric.FIRST_TOKEN_P95: _times("First token, p95", "first_token", 0.95),
    Metric.TOKENS: Kind(title="Tokens", unit=Unit.TOKENS, value=_amount(lambda totals, _: float(totals.tokens))),
    Metric.COST: Kind(title="Cost", unit=Unit.USD, value=_amount(lambda totals, _: float(totals.cost_usd))),
    Metric.SPEND_RATE: Kind(title="Spend rate", unit=Unit.USD_AN_HOUR, value=_amount(_usd_an_hour)),
    Metric.SPEND_AGAINST_USUAL: Kind(title="Spend against the usual", unit=Unit.TIMES),
    Metric.IDLE: Kind(title="No traffic for", unit=Unit.MINUTES),
    Metric.BUDGET_SHARE: Kind(
        title="Share of a budget used",
        unit=Unit.SHARE,
        source=Source.BUDGETS,
        dimensions=(Dimension.PROJECT, Dimension.KEY),
        most=10.0,
    ),
    Metric.CIRCUITS_OPEN: Kind(
        title="Models out of order",
        unit=Unit.COUNT,
        source=Source.CIRCUITS,
        dimensions=(Dimension.PROVIDER, Dimension.MODEL),
    ),
    Metric.QUEUE_DEPTH: Kind(
        title="Requests in queues", unit=Unit.COUNT, source=Source.GAUGES, dimensions=(Dimension.PROVIDER,)
    ),
    Metric.TASKS_QUEUED: Kind(title="Tasks in the queue", unit=Unit.COUNT, source=Source.GAUGES, dimensions=()),
    Metric.SPOOL_LAG: Kind(title="Spool lag", unit=Unit.SECONDS, source=Source.GAUGES, dimensions=()),
    Metric.AUDIT_ENTRIES: Kind(
        title="Audit entries", unit=Unit.COUNT, source=Source.AUDIT, dimensions=(Dimension.PROJECT,)
    ),
}
