"""The questions that pages, API, commands and alerts ask of the roll-ups. Frozen values in, frozen values out.

Every one takes a `Span` and `Filters`; whose rows they may be about is the asker's to say (`analytics.visibility`).
Raises everywhere: SpanProblem, for spans and steps that cannot be told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from analytics import histograms
from analytics.queries import names, spans, sums
from analytics.queries.filters import Dimension, Filters
from analytics.queries.names import Named
from analytics.queries.spans import MOST_POINTS, Span, Step
from analytics.queries.sums import Group, Totals

QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
USUAL_LIMIT = 100
ALL = Filters()


class Order(StrEnum):
    """What groups are sorted by, most first."""

    COST = "cost"
    REQUESTS = "requests"
    TOKENS = "tokens"
    ERRORS = "errors"


_VALUE: Mapping[Order, Callable[[Totals], int]] = {
    Order.COST: lambda totals: totals.cost,
    Order.REQUESTS: lambda totals: totals.requests,
    Order.TOKENS: lambda totals: totals.tokens,
    Order.ERRORS: lambda totals: totals.errors,
}
After = tuple[int, str]
"""Where a page of groups ended: the value it is sorted by, and what tells groups of one value apart."""


class Percentiles(msgspec.Struct, frozen=True):
    """Of durations, in milliseconds, to within their class (`analytics.histograms`); None where there are none."""

    count: int
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


class Compared(msgspec.Struct, frozen=True):
    """A span beside the period before it; each with the span it covers."""

    now: Totals
    before: Totals
    span: Span
    span_before: Span

    def change(self, of: Callable[[Totals], float | Decimal | None]) -> float | None:
        """By what share a figure grew; None where it was nothing before."""
        now, was = of(self.now), of(self.before)
        return None if now is None or not was else float(now) / float(was) - 1


class Point(msgspec.Struct, frozen=True):
    """One group in one step."""

    start: datetime
    end: datetime
    group: Named
    totals: Totals
    tie: str = ""
    """What tells groups of one step apart, in the order they come in."""


class Ranked(msgspec.Struct, frozen=True):
    """One group of a span."""

    group: Named
    totals: Totals
    share: float | None
    """Of what groups are sorted by, in all of them."""


class Page(msgspec.Struct, frozen=True):
    rows: tuple[Ranked, ...]
    whole: Totals
    """All groups together, those of other pages too."""
    after: After | None
    """Where the next page begins; None: there is none."""


def totals(span: Span, filters: Filters = ALL, *, with_times: bool = False) -> Totals:
    """Everything in the span that the filters let through, together."""
    found = sums.read(spans.edges(span, None), filters, at=span.at, with_times=with_times)
    return found.get((0, ()), sums.NOTHING)


def compared(span: Span, filters: Filters = ALL, *, with_times: bool = False) -> Compared:
    """The span beside the period before."""
    last = spans.before(span)
    return Compared(
        totals(span, filters, with_times=with_times),
        totals(last, filters, with_times=with_times),
        span.covered,
        last.covered,
    )


def over_time(
    span: Span, filters: Filters = ALL, *, step: Step, by: Sequence[Dimension] = (), with_times: bool = False
) -> tuple[Point, ...]:
    """Every step in order. Without groups also those in which nothing happened; with groups those of each step in
    which something did."""
    edges = spans.edges(span, step)
    found = sums.read(edges, filters, by, at=span.at, with_times=with_times, most=MOST_POINTS)
    if not by:
        found = {(number, ()): found.get((number, ()), sums.NOTHING) for number in range(len(edges) - 1)}
    groups = list({group for _, group in found})
    labels = dict(zip(groups, names.named(groups, by), strict=True))
    ordered = sorted((number, _tie(group), group) for number, group in found)
    steps = spans.steps_of(edges)
    return tuple(Point(*steps[number], labels[group], found[number, group], tie) for number, tie, group in ordered)


def ranked(
    by: Sequence[Dimension],
    span: Span,
    filters: Filters = ALL,
    *,
    order: Order = Order.COST,
    limit: int = USUAL_LIMIT,
    after: After | None = None,
    with_times: bool = False,
) -> Page:
    """The groups with the most first, from after the one that `after` names."""
    edges = spans.edges(span, None)
    found = {
        group: told for (_, group), told in sums.read(edges, filters, by, at=span.at, with_times=with_times).items()
    }
    value = _VALUE[order]
    whole = sums.together(found.values())
    places = sorted((-value(told), _tie(group), group) for group, told in found.items())
    if after is not None:
        places = [place for place in places if place[:2] > (-after[0], after[1])]
    shown = [group for _, _, group in places[:limit]]
    labels = names.named(shown, by)
    rows = tuple(
        Ranked(label, found[group], value(found[group]) / value(whole) if value(whole) else None)
        for group, label in zip(shown, labels, strict=True)
    )
    end = places[limit - 1] if len(places) > limit else None
    return Page(rows, whole, (-end[0], end[1]) if end else None)


def layer_mix(span: Span, filters: Filters = ALL) -> Page:
    """Which layers answered how many requests."""
    return ranked([Dimension.LAYER], span, filters, order=Order.REQUESTS)


def errors(span: Span, filters: Filters = ALL, *, limit: int = USUAL_LIMIT, after: After | None = None) -> Page:
    """How requests ended that did not end well, by status class and kind of error. A client that left is no error."""
    failed = frozenset(one.value for one in sums.FAILED)
    by = [Dimension.STATUS, Dimension.ERROR]
    wanted = filters.within(Filters(statuses=failed))
    return ranked(by, span, wanted, order=Order.ERRORS, limit=limit, after=after)


def percentiles(counts: Sequence[int]) -> Percentiles:
    return Percentiles(
        sum(counts), *(histograms.quantile(counts, share) if counts else None for share in QUANTILES.values())
    )


def _tie(group: Group) -> str:
    return msgspec.json.encode(group).decode()
