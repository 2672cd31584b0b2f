"""A search among requests as it was asked for, by API or command: one page of rows of plain values."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from analytics import key_rules
from analytics.models import Outcome, UsageRecord
from analytics.queries import search as queries
from analytics.queries.search import Wanted
from analytics.queries.spans import Span, SpanProblem
from gateway import usage_asking, usage_rows
from gateway.usage_asking import Asker, Parameters

USUAL_ROWS = 50
MOST_ROWS = 1000
MONEY = ("cost_usd", "budget_usd", "computed_cost_usd", "reported_cost_usd")
TIMES = ("duration_ms", "first_token_ms")
COLUMNS = tuple(field.attname for field in UsageRecord._meta.concrete_fields if field.attname not in queries.NOT_LISTED)


class Found(msgspec.Struct, frozen=True):
    span: Span
    rows: tuple[UsageRecord, ...]
    data: list[dict[str, Any]]
    """The same as plain values."""
    after: str | None
    """The id of the last one, where more follow."""


def search(asked: Parameters, *, among: QuerySet[UsageRecord], asker: Asker) -> Found:
    """Raises: ValidationError naming the parameter."""
    filters = usage_asking.filters(asked.lists, asker=asker)
    zone = usage_asking.zone(asked.one("zone"), asked=filters, asker=asker)
    span = usage_asking.span(asked.one("since"), asked.one("until"), zone=zone, usual=queries.USUAL_SINCE)
    limit, after = asked.whole("limit", usual=USUAL_ROWS, most=MOST_ROWS), asked.one("after")
    try:
        found = queries.requests(
            among, span, filters, wanted=wanted(asked), limit=limit, after=None if after is None else _id(after)
        )
    except SpanProblem as problem:
        raise usage_asking.refused(problem) from problem
    data = [as_json(row, zone=zone) for row in found.rows]
    return Found(span, found.rows, data, str(data[-1]["id"]) if found.has_more else None)


def answer(found: Found) -> dict[str, Any]:
    """A page as JSON has it, in OpenAI's form of a list."""
    return {
        "object": "list",
        "span": usage_rows.span(found.span),
        "data": [row | {"object": "request"} for row in found.data],
        "has_more": found.after is not None,
        "after": found.after,
    }


def as_json(row: UsageRecord, *, zone: str) -> dict[str, Any]:
    """A row without its long columns: money in plain digits, its start in the zone."""
    values: dict[str, Any] = {name: getattr(row, name) for name in COLUMNS}
    for name in MONEY:
        values[name] = usage_rows.money(values[name])
    for name in TIMES:
        values[name] = None if values[name] is None else round(values[name], 3)
    started_at = row.started_at.astimezone(ZoneInfo(zone)).isoformat(timespec="milliseconds")
    return values | {"id": str(row.id), "started_at": started_at}


def wanted(asked: Parameters) -> Wanted:
    """Raises: ValidationError naming the parameter."""
    outcome, session = asked.one("outcome"), asked.one("session")
    if outcome is not None:
        usage_asking.one_of(outcome, Outcome.values, about="outcome")
    if wrong := {name: [key_rules.UNSEEN] for name in ("error", "session") if "\0" in (asked.one(name) or "")}:
        raise ValidationError(wrong)
    return Wanted(
        outcome=outcome, cost_over_usd=_usd(asked.one("cost_over")), error=asked.one("error") or "", session=session
    )


def _usd(given: str | None) -> Decimal | None:
    if given is None:
        return None
    try:
        found = Decimal(given)
    except InvalidOperation:
        found = Decimal("NaN")
    if not (found.is_finite() and 0 <= found < 10**9):
        raise ValidationError({"cost_over": ["Use an amount in US dollars, such as 0.25."]})
    return found


def _id(given: str) -> UUID:
    try:
        found = UUID(given)
    except ValueError:
        found = UUID(int=0)
    if found.version != 7:
        raise ValidationError({"after": ["Use the id of the last request of the page before."]})
    return found
