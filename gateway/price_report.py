"""`manage.py prices report`: what a period's usage cost, and what it would cost at other prices. Out of the roll-ups;
rewrites nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from analytics import cost, repricing
from analytics.queries import names, spans, sums
from analytics.queries.filters import Dimension, Filters
from analytics.queries.spans import Span, SpanProblem, Step
from analytics.queries.sums import Totals
from analytics.repricing import Bounds, Bucket, Reason
from gateway import usage_asking, usage_options, usage_rows
from gateway.console import ConsoleCommand
from providers import rows as vendors
from providers.models import Model
from providers.types import Price, Usage

DAYS_APART = timedelta(days=92)
"""Longer periods are added up by months."""
MOST_CUTS = 50
"""Times at which a price began that a period is cut at: where there were more, the last ones."""
BY = (Dimension.PROVIDER, Dimension.MODEL)
ALL = "all"
HEADINGS = ["model", "requests", "tokens", "was charged", "at the prices then", "at those of the date", "change"]


class Line(msgspec.Struct, frozen=True):
    """One model's usage in the period, or all together. Bounds are None where a price is missing."""

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
    prices = _prices(_by_model(spans.edges(span, None), filters, at=span.at))
    by_model = _by_model(_edges(span, prices.values()), filters, at=span.at)
    lines = [_line(name, steps, prices.get(name, ()), at=at) for name, steps in by_model.items()]
    return sorted(lines, key=lambda line: (-line.charged_usd, line.model))


def together(lines: Sequence[Line]) -> Line:
    return Line(
        ALL,
        sum(line.requests for line in lines),
        sum(line.tokens for line in lines),
        sum((line.charged_usd for line in lines), cost.ZERO),
        repricing.together(line.then for line in lines),
        repricing.together(line.at_date for line in lines),
    )


_Steps = list[tuple[datetime, datetime, Totals]]
"""When each begins and ends, and what was used in it."""


def _by_model(edges: Sequence[datetime], filters: Filters, *, at: datetime) -> dict[str, _Steps]:
    found = sums.read(edges, filters, BY, at=at)
    groups = list({group for _, group in found})
    labels = dict(zip(groups, names.named(groups, BY), strict=True))
    by_model: dict[str, _Steps] = {}
    for (number, group), totals in found.items():
        if labels[group].fields["model"]:  # of no model is what was refused before any was tried
            step = edges[number], edges[number + 1], totals
            by_model.setdefault(labels[group].label, []).append(step)
    return by_model


def _edges(span: Span, prices: Iterable[Sequence[Price]]) -> list[datetime]:
    """Those of days or months, as a shorter step has fewer tiers in reach; and on both sides of each time a price began
    the nearest that roll-ups still tell: what lies between is a minute, a quarter of an hour or a day."""
    step = Step.DAY if span.end - span.start <= DAYS_APART else Step.MONTH
    covered = span.covered
    began = {price.valid_from for some in prices for price in some if covered.start < price.valid_from < covered.end}
    cuts = {
        spans.outward(moment, at=span.at, is_end=is_end)
        for moment in sorted(began)[-MOST_CUTS:]
        for is_end in (False, True)
    }
    return sorted({*spans.edges(span, step), *(cut for cut in cuts if covered.start < cut < covered.end)})


def _prices(wanted: Collection[str]) -> dict[str, Sequence[Price]]:
    found = Model.objects.select_related("provider").prefetch_related("prices")
    return {str(row): vendors.prices(row) for row in found if str(row) in wanted}


def _line(name: str, steps: _Steps, prices: Sequence[Price], *, at: datetime) -> Line:
    found = repricing.reprice((_bucket(*step) for step in steps), prices, at=at)
    return Line(
        name,
        sum(totals.requests for _, _, totals in steps),
        sum(totals.tokens for _, _, totals in steps),
        sum((totals.cost_usd for _, _, totals in steps), cost.ZERO),
        found.then,
        found.at_date,
    )


def _bucket(start: datetime, end: datetime, told: Totals) -> Bucket:
    tokens = [name for name in Usage.__struct_fields__ if name.endswith("_tokens")]
    usage = Usage(**{name: getattr(told, name) for name in tokens}, web_searches=told.web_searches, images=told.images)
    return Bucket(usage, told.requests, start, end)


WHY = {
    Reason.TIERS: "A to B: the model has tiers, and sums do not tell which tier each request was in.",
    Reason.CHANGED: (
        "A to B: a price began within a minute, a quarter of an hour or a day of which there is one sum alone, "
        "and it does not tell which requests came before."
    ),
}


def _print(command: ConsoleCommand, lines: Sequence[Line], *, span: Span, at: datetime) -> None:
    shown = [_cells(line) for line in (*lines, together(lines))] if lines else []
    command.print_table(HEADINGS, shown, empty="Nothing was used in this period.", whole=("model",))
    told = usage_rows.span(span)
    start, end = (told[edge][:16].replace("T", " ") for edge in ("start", "end"))
    command.stdout.write(f"\n{start} to {end} {told['zone']}, and the prices of {at:%Y-%m-%d %H:%M} UTC.")
    command.stdout.write("This is a report: no row is changed by it.")
    told_bounds = [bounds for line in lines for bounds in (line.then, line.at_date)]
    reasons = {reason for bounds in told_bounds if bounds is not None for reason in _reasons(bounds)}
    for reason, says in WHY.items():
        if reason in reasons:
            command.stdout.write(says)
    if None in told_bounds:
        command.stdout.write("-: something that was used has no price at that date, or had none then.")


def _cells(line: Line) -> list[str]:
    figures = [f"{line.requests:,}", f"{line.tokens:,}", f"${usage_rows.money(line.charged_usd)}"]
    return [line.model, *figures, _range(line.then), _range(line.at_date), _change(line)]


def _is_range(bounds: Bounds | None) -> bool:
    return bounds is not None and cost.rounded(bounds.least) != cost.rounded(bounds.most)


def _reasons(bounds: Bounds) -> list[Reason]:
    return sorted(bounds.reasons) if _is_range(bounds) else []


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
        "data": [{"model": line.model} | _figures(line) for line in lines],
        "totals": _figures(together(lines)),
    }


def _figures(line: Line) -> dict[str, Any]:
    return {
        "requests": line.requests,
        "tokens": line.tokens,
        "charged_usd": usage_rows.money(line.charged_usd),
        "then_usd": _bounds_json(line.then),
        "at_date_usd": _bounds_json(line.at_date),
    }


def _bounds_json(bounds: Bounds | None) -> dict[str, Any] | None:
    if bounds is None:
        return None
    least, most = (usage_rows.money(cost.rounded(usd)) for usd in (bounds.least, bounds.most))
    return {"least": least, "most": most, "reasons": _reasons(bounds)}
