"""What happened in a span of time, in one answer: requests, tokens, cost, errors and times, in all and by layer."""

from __future__ import annotations

from typing import Any

from analytics.queries import reports
from analytics.queries.filters import Dimension
from analytics.queries.reports import Order
from analytics.queries.spans import SpanProblem
from analytics.queries.sums import Totals
from gateway import usage_asking, usage_rows
from gateway.usage_asking import Asker, Parameters

PARAMETERS = ("since", "until", "zone", *usage_asking.FILTERS)
MOST_LAYERS = 1_000


def stats(asked: Parameters, *, asker: Asker) -> dict[str, Any]:
    """The layers with the most requests first. Raises: ValidationError naming the parameter."""
    filters = usage_asking.filters(asked.lists, asker=asker)
    zone = usage_asking.zone(asked.one("zone"), asked=filters, asker=asker)
    span = usage_asking.span(asked.one("since"), asked.one("until"), zone=zone)
    try:
        found = reports.ranked(
            [Dimension.LAYER], span, filters, order=Order.REQUESTS, limit=MOST_LAYERS, with_times=True
        )
    except SpanProblem as problem:
        raise usage_asking.refused(problem) from problem
    return {
        "object": "stats",
        "span": usage_rows.span(span.covered),
        "totals": _figures(found.whole),
        "layers": [{**row.group.fields, **_figures(row.totals)} for row in found.rows],
    }


def _figures(totals: Totals) -> dict[str, Any]:
    return usage_rows.figures("usage", totals) | usage_rows.figures("latency", totals)
