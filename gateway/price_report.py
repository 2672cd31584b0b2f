"""`manage.py prices report`: what a period's usage cost, and what it would cost at other prices. Out of the roll-ups;
rewrites nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from analytics import cost, repricing
from analytics.queries import reports
from analytics.queries.filters import Dimension, Filters
from analytics.queries.reports import Point
from analytics.queries.spans import Span, SpanProblem, Step
from analytics.repricing import Bounds, Bucket
from gateway import usage_asking, usage_options, usage_rows
from gateway.console import ConsoleCommand
from providers import rows as vendors
from providers.models import Model
from providers.types import Price, Usage

DAYS_APART = timedelta(days=92)
"""Longer periods are added up by months."""
HEADINGS = ["model", "requests", "tokens", "was charged", "at the prices then", "at those of the date", "change"]


class Line(msgspec.Struct, frozen=True):
    """One model's usage in the period. Bounds are the same where it has no tiers; None where a price is missing."""

    model: str
    """As provider/id."""
    requests: int
    tokens: int
    charged_usd: Decimal
    """What the ledger says: providers' own figures, tiers and factors in it."""
    then: Bounds | None
    at_date: Bounds | None


def add_arguments(parser: ArgumentParser) -> None:
    usage_options.add_span(parser, usual="30d")
    parser.add_argument("--at", metavar="DATE", help="At the prices of then; now where nothing is said.")
    parser.add_argument("--provider", action="append", metavar="SLUG", help="Only this provider's; repeatable.")
    parser.add_argument("--model", action="append", metavar="MODEL", help="Its id, or provider/id; repeatable.")


def run(command: ConsoleCommand, options: Mapping[str, Any], *, at: datetime) -> None:
    """Raises: ValidationError naming the option."""
    asker = usage_options.EVERYTHING
    asked = {name: options[name] for name in ("provider", "model") if options[name]}
    filters = usage_asking.filters(asked, asker=asker)
    zone = usage_asking.zone(options["zone"], asked=filters, asker=asker)
    span = usage_asking.span(options["since"], options["until"], zone=zone, usual="30d")
    try:
        lines = report(span, filters, at=at)
    except SpanProblem as problem:
        raise usage_asking.refused(problem) from problem
    if options["json"]:
        command.print_json(_as_json(lines, span=span.covered, at=at))
    else:
        _print(command, lines, span=span.covered, at=at)


def report(span: Span, filters: Filters, *, at: datetime) -> list[Line]:
    """By model, the dearest first. Raises: SpanProblem."""
    step = Step.DAY if span.end - span.start <= DAYS_APART else Step.MONTH
    by_model: dict[str, list[Point]] = {}
    for point in reports.over_time(span, filters, step=step, by=[Dimension.PROVIDER, Dimension.MODEL]):
        if point.group.fields["model"]:  # of no model is what was refused before any was tried
            by_model.setdefault(point.group.label, []).append(point)
    prices = _prices(by_model)
    lines = [_line(name, points, prices.get(name, ()), at=at) for name, points in by_model.items()]
    return sorted(lines, key=lambda line: (-line.charged_usd, line.model))


def _prices(names: Iterable[str]) -> dict[str, Sequence[Price]]:
    wanted = set(names)
    found = Model.objects.select_related("provider").prefetch_related("prices")
    return {str(row): vendors.prices(row) for row in found if str(row) in wanted}


def _line(name: str, points: Sequence[Point], prices: Sequence[Price], *, at: datetime) -> Line:
    found = repricing.reprice(map(_bucket, points), prices, at=at)
    return Line(
        name,
        sum(point.totals.requests for point in points),
        sum(point.totals.tokens for point in points),
        sum((point.totals.cost_usd for point in points), cost.ZERO),
        found.then,
        found.at_date,
    )


def _bucket(point: Point) -> Bucket:
    told = point.totals
    names = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]
    usage = Usage(**{name: getattr(told, name) for name in names}, web_searches=told.web_searches, images=told.images)
    return Bucket(usage, told.requests, point.start, point.end)


def _print(command: ConsoleCommand, lines: Sequence[Line], *, span: Span, at: datetime) -> None:
    shown = [
        [line.model, f"{line.requests:,}", f"{line.tokens:,}", f"${usage_rows.money(line.charged_usd)}"]
        + [_range(line.then), _range(line.at_date), _change(line)]
        for line in lines
    ]
    command.print_table(HEADINGS, shown, empty="Nothing was used in this period.", whole=("model",))
    told = usage_rows.span(span)
    start, end = (told[edge][:16].replace("T", " ") for edge in ("start", "end"))
    command.stdout.write(f"\n{start} to {end} {told['zone']}, and the prices of {at:%Y-%m-%d %H:%M} UTC.")
    command.stdout.write("This is a report: no row is changed by it.")
    if any(_is_range(bounds) for line in lines for bounds in (line.then, line.at_date)):
        command.stdout.write("A to B: the model has tiers, and sums do not tell which tier each request was in.")
    if any(line.at_date is None for line in lines):
        command.stdout.write("-: something that was used has no price at that date.")


def _is_range(bounds: Bounds | None) -> bool:
    return bounds is not None and cost.rounded(bounds.least) != cost.rounded(bounds.most)


def _range(bounds: Bounds | None) -> str:
    if bounds is None:
        return "-"
    least, most = (f"${usage_rows.money(cost.rounded(usd))}" for usd in (bounds.least, bounds.most))
    return least if least == most else f"{least} to {most}"


def _change(line: Line) -> str:
    """Beside the prices then, where both are told for certain."""
    if line.then is None or line.at_date is None or _is_range(line.then) or _is_range(line.at_date):
        return "-"
    was, now = line.then.least, line.at_date.least
    return "-" if not was else f"{float(now / was) - 1:+.1%}"


def _as_json(lines: Sequence[Line], *, span: Span, at: datetime) -> dict[str, Any]:
    return {
        "span": usage_rows.span(span),
        "prices_at": at.isoformat(),
        "data": [
            {
                "model": line.model,
                "requests": line.requests,
                "tokens": line.tokens,
                "charged_usd": usage_rows.money(line.charged_usd),
                "then_usd": _bounds_json(line.then),
                "at_date_usd": _bounds_json(line.at_date),
            }
            for line in lines
        ],
    }


def _bounds_json(bounds: Bounds | None) -> dict[str, str | None] | None:
    if bounds is None:
        return None
    return {"least": usage_rows.money(cost.rounded(bounds.least)), "most": usage_rows.money(cost.rounded(bounds.most))}
