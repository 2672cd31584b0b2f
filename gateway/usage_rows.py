"""Figures of reports as rows of plain values, for JSON, CSV and tables alike: the same columns under the same names.

Money is plain digits, shares are 0 to 1, durations milliseconds; None is what there is none of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from analytics import cost
from analytics.queries import reports
from analytics.queries.reports import Compared, Page, Point
from analytics.queries.savings import Savings
from analytics.queries.spans import Span
from analytics.queries.sums import Totals
from analytics.rollup_models import TOKENS

Value = str | int | float | None
Row = dict[str, Value]
Column = Callable[[Totals], Value]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    report: str
    columns: tuple[str, ...]
    """Names of all that a row has, in order: CSV has its header line where there is no row too."""
    span: Span
    """The one that is covered."""
    data: list[Row]
    totals: Row
    before: dict[str, Any] | None
    change: Row | None
    after: str | None


def money(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"


def _each(totals: Totals) -> Decimal | None:
    return cost.rounded(totals.cost_usd / totals.requests) if totals.requests else None


def _counts(*names: str) -> dict[str, Column]:
    return {name: attrgetter(name) for name in names}


_REQUESTS = _counts("requests", "answered", "errors", "cancelled")
_TOKENS = _counts("tokens", *TOKENS)
_COST: dict[str, Column] = {"cost_usd": lambda totals: money(totals.cost_usd)}
_ERROR_SHARE: dict[str, Column] = {"error_share": lambda totals: _share(totals.error_share)}


def _times(name: str) -> dict[str, Column]:
    """A column for how many there are, and one for each percentile."""
    columns: dict[str, Column] = {f"{name}_count": lambda totals: sum(getattr(totals, name))}
    return columns | {f"{name}_{share}_ms": _percentile(name, share) for share in reports.QUANTILES}


def _percentile(name: str, share: str) -> Callable[[Totals], float | None]:
    def told(totals: Totals) -> float | None:
        return _rounded(getattr(reports.percentiles(getattr(totals, name)), share))

    return told


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)


COLUMNS: Mapping[str, dict[str, Column]] = {
    "usage": _REQUESTS
    | _ERROR_SHARE
    | _counts("fell_back")
    | {"fallback_share": lambda totals: _share(totals.fallback_share)}
    | _counts("attempts")
    | _TOKENS
    | _counts("web_searches", "images")
    | _COST,
    "cost": _counts("requests")
    | _COST
    | {"usd_per_request": lambda totals: money(_each(totals)), "budget_usd": lambda totals: money(totals.budget_usd)}
    | _TOKENS,
    "latency": _counts("requests", "answered") | _times("latency") | _times("first_token"),
    "errors": _REQUESTS | _ERROR_SHARE,
    "top": _counts("requests", "errors") | _ERROR_SHARE | _counts("tokens") | _COST,
}
"""By report."""
WITH_TIMES = frozenset({"latency"})
CHANGES: Mapping[str, Callable[[Totals], float | Decimal | None]] = {
    "requests": lambda totals: totals.requests,
    "errors": lambda totals: totals.errors,
    "tokens": lambda totals: totals.tokens,
    "cost_usd": lambda totals: totals.cost_usd,
}
_P95: Mapping[str, Callable[[Totals], float | Decimal | None]] = {
    f"{name}_p95_ms": _percentile(name, "p95") for name in ("latency", "first_token")
}


def figures(report: str, totals: Totals) -> Row:
    return {name: column(totals) for name, column in COLUMNS[report].items()}


def points(report: str, found: Sequence[Point], *, zone: str) -> list[Row]:
    return [
        {
            "start": moment(point.start, zone),
            "end": moment(point.end, zone),
            **point.group.fields,
            **figures(report, point.totals),
        }
        for point in found
    ]


def reasons(found: Page) -> list[Row]:
    """Why requests failed, and how many of all that did."""
    return [{**row.group.fields, "errors": row.totals.errors, "share": _share(row.share)} for row in found.rows]


def ranks(report: str, found: Page) -> list[Row]:
    """`share`: of what the groups are sorted by, in all of them."""
    return [row.group.fields | figures(report, row.totals) | {"share": _share(row.share)} for row in found.rows]


def before(report: str, found: Compared) -> dict[str, Any]:
    return {"span": span(found.span_before), **figures(report, found.before)}


def change(report: str, found: Compared) -> Row:
    """By what share figures grew since the period before."""
    among = _P95 if report in WITH_TIMES else CHANGES
    shown = {"requests": CHANGES["requests"]} | {name: of for name, of in among.items() if name in COLUMNS[report]}
    return {name: _share(found.change(of)) for name, of in shown.items()}


def answer(found: Answer) -> dict[str, Any]:
    """A report as JSON has it, in OpenAI's form of a list."""
    return {
        "object": "list",
        "report": found.report,
        "span": span(found.span),
        "data": found.data,
        "totals": found.totals,
        "before": found.before,
        "change": found.change,
        "has_more": found.after is not None,
        "after": found.after,
    }


def savings_answer(found: Savings) -> dict[str, Any]:
    return {
        "object": "list",
        "report": "savings",
        "span": span(found.span),
        "data": savings(found),
        "totals": {"answered": found.requests, "cost_usd": money(found.cost_usd)},
        "has_more": False,
        "after": None,
    }


def savings(found: Savings) -> list[Row]:
    """Both ways to spend that the cost is compared with, each with its label; figures that one has not are None."""
    dear, mix = found.always_premium, found.static_mix
    return [
        {
            "baseline": "always_premium",
            "label": dear.label,
            "cost_usd": money(dear.cost_usd),
            "saved_usd": money(dear.saved_usd),
            "saved_share": _share(dear.saved_share),
            "premium_share": None if dear.cost_usd is None else 1.0,
            "gateway_premium_share": _share(mix.gateway_premium_share),
            "reason": dear.reason or None,
        },
        {
            "baseline": "static_mix",
            "label": mix.label,
            "cost_usd": None if mix.premium_share is None else money(found.cost_usd),
            "saved_usd": None if mix.premium_share is None else money(mix.saved_usd),
            "saved_share": None if mix.premium_share is None else 0.0,
            "premium_share": _share(mix.premium_share),
            "gateway_premium_share": _share(mix.gateway_premium_share),
            "reason": mix.reason or None,
        },
    ]


def _share(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def span(found: Span) -> dict[str, str]:
    return {"start": moment(found.start, found.zone), "end": moment(found.end, found.zone), "zone": found.zone}


def moment(at: datetime, zone: str) -> str:
    return at.astimezone(ZoneInfo(zone)).isoformat(timespec="seconds")
