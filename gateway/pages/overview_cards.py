"""The overview's figures as cards, each with what it was in the period before, and health in words. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

import msgspec
from django.utils import dateformat, timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from analytics.queries.reports import Percentiles
from analytics.queries.sums import Totals
from gateway.overview import Overview, Times
from gateway.templatetags import figures
from routing.circuit import State
from routing.health_listing import ModelHealth

WORSE = 1.1
"""How many times the share before: less is chance."""
Number = TypeVar("Number", int, Decimal)


class Card(msgspec.Struct, frozen=True):
    title: str
    value: str
    note: str = ""
    """What the figure is compared with, or what else belongs to it."""
    change: str = ""
    """By how much it grew."""
    is_worse: bool = False
    """It grew, and should not have."""


def cards(found: Overview) -> list[Card]:
    return [
        _grown(found, "Requests", lambda totals: totals.requests, figures.count),
        _grown(found, "Tokens", lambda totals: totals.tokens, figures.count),
        _grown(found, "Cost", lambda totals: totals.cost_usd, figures.usd),
        _saved(found),
        _share(found, "Errors", lambda totals: totals.error_share),
        _share(found, "Fell back", lambda totals: totals.fallback_share),
        _timed(found, "Latency", lambda times: times.latency),
        _timed(found, "First token", lambda times: times.first_token),
    ]


def _grown(found: Overview, title: str, of: Callable[[Totals], Number], shown: Callable[[Number], str]) -> Card:
    now, before = found.compared.now, found.compared.before
    change = figures.growth(found.compared.change(of))
    return Card(title, shown(of(now)), f"before: {shown(of(before))}", change)


def _saved(found: Overview) -> Card:
    dear = found.savings.always_premium
    if dear.saved_usd is None:
        return Card("Saved", figures.NONE, dear.reason)
    saved_share = figures.share(dear.saved_share)
    return Card("Saved", figures.usd(dear.saved_usd), f"against {dear.label}", saved_share)


def _share(found: Overview, title: str, of: Callable[[Totals], float | None]) -> Card:
    now, before = of(found.compared.now), of(found.compared.before)
    is_worse = now is not None and before is not None and now > before * WORSE
    return Card(title, figures.share(now), f"before: {figures.share(before)}", is_worse=is_worse)


def _timed(found: Overview, title: str, of: Callable[[Times], Percentiles]) -> Card:
    now, before = of(found.times), of(found.times_before)
    value = f"{figures.duration(now.p50)} · {figures.duration(now.p95)}"
    was = f"{figures.duration(before.p50)} · {figures.duration(before.p95)}"
    return Card(f"{title}, p50 · p95", value, f"before: {was}")


class HealthLine(msgspec.Struct, frozen=True):
    state: State
    title: str
    model: str
    words: str


_POINT = '<tr><td>{}</td><td>{}</td><td class="number">{}</td><td class="number">{}</td></tr>'


def point_rows(found: Overview) -> SafeString:
    """The rows of the charts' table: hundreds, which both charts have, and which a template takes five times as long
    for."""
    return format_html_join(
        "\n",
        _POINT,
        (
            (
                dateformat.format(timezone.localtime(point.start), "j M H:i"),
                point.group.label or "none",
                figures.count(point.totals.requests),
                figures.usd(point.totals.cost_usd),
            )
            for point in found.points
        ),
    )


def health_lines(found: Overview) -> list[HealthLine]:
    """One for each model that something is to be said of."""
    seen = {one.candidate.model.id: one for one in found.health if one.is_noted}
    return [_line(one) for one in sorted(seen.values(), key=lambda one: one.candidate.model.qualified_name)]


def _line(one: ModelHealth) -> HealthLine:
    circuit, name = one.circuit, one.candidate.model.qualified_name
    if circuit.state is State.CLOSED:
        words = f"{circuit.failures} of its last {circuit.calls} calls failed"
        return HealthLine(circuit.state, "failing at times", name, words)
    return HealthLine(
        circuit.state, "being tried" if circuit.state is State.HALF_OPEN else "out", name, circuit.words()
    )
