"""One request of the ledger as its page tells it, hop by hop. Pure: a row in, values for a template out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from django.conf import settings

from analytics.models import CostSource, Outcome, UsageRecord
from gateway import request_story
from gateway.usage_rows import money

_BUCKETS = {
    "input": ("input_tokens", "Input"),
    "cached_input": ("cached_input_tokens", "Cached input"),
    "cache_write_5m": ("cache_write_5m_tokens", "Written to a cache for 5 minutes"),
    "cache_write_1h": ("cache_write_1h_tokens", "Written to a cache for an hour"),
    "output": ("output_tokens", "Output"),
    "web_search": ("web_searches", "Web searches"),
    "image": ("images", "Images"),
}
"""By the unit of their price: the row's column, and what people call it."""


class Reason(msgspec.Struct, frozen=True):
    name: str
    points: float


class Planned(msgspec.Struct, frozen=True):
    model: str
    layer: str
    reason: str = ""
    """Why it was dropped."""


class Attempt(msgspec.Struct, frozen=True):
    """With its place on a line as long as the request: shares of it, from 0 to 1."""

    model: str
    layer: str
    outcome: str
    status: int | None
    message: str
    started_ms: float
    duration_ms: float
    waited_ms: float
    begins: float
    lasts: float

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


class Bucket(msgspec.Struct, frozen=True):
    title: str
    amount: int
    price: str
    """Of one unit, and since when; '' where the row knows of none."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    asked: str
    ended: str
    reasons: tuple[Reason, ...]
    entry: str
    entry_reason: str
    ceiling: str
    is_last_resort: bool
    plan: tuple[Planned, ...]
    dropped: tuple[Planned, ...]
    attempts: tuple[Attempt, ...]
    buckets: tuple[Bucket, ...]
    cost_source: str
    reported_usd: str | None
    computed_usd: str | None
    budget_usd: str | None
    """Where budgets counted something else than the cost."""


def of(row: UsageRecord) -> Story:
    decision: dict[str, Any] = row.decision if isinstance(row.decision, dict) else {}
    return Story(
        asked=request_story.asked(row),
        ended=request_story.ended(row),
        reasons=tuple(Reason(name.replace("_", " "), points) for name, points in decision.get("reasons") or []),
        entry=decision.get("entry") or "",
        entry_reason=decision.get("entry_reason") or "",
        ceiling=decision.get("ceiling") or "",
        is_last_resort=bool(decision.get("is_last_resort")),
        plan=tuple(Planned(model, layer or "") for model, layer in decision.get("attempts") or []),
        dropped=tuple(
            Planned(model, layer or "", f"{reason} ({detail})" if detail else reason)
            for model, layer, reason, detail in decision.get("dropped") or []
        ),
        attempts=tuple(_attempts(row)),
        buckets=tuple(_buckets(row)),
        cost_source=CostSource(row.cost_source).label,
        reported_usd=money(row.reported_cost_usd),
        computed_usd=money(row.computed_cost_usd),
        budget_usd=money(row.budget_usd) if row.budget_usd != row.cost_usd else None,
    )


def _attempts(row: UsageRecord) -> Iterator[Attempt]:
    steps = row.trail if isinstance(row.trail, list) else []
    ends = [step.get("started_ms", 0) + step.get("duration_ms", 0) for step in steps]
    whole = max([row.duration_ms, *ends]) or 1
    for step in steps:
        started, lasted = step.get("started_ms", 0), step.get("duration_ms", 0)
        yield Attempt(
            model=f"{step.get('provider')}/{step.get('model')}",
            layer=step.get("layer") or "",
            outcome=str(step.get("outcome", "")),
            status=step.get("status"),
            message=step.get("message") or "",
            started_ms=started,
            duration_ms=lasted,
            waited_ms=step.get("waited_ms") or 0,
            begins=started / whole,
            lasts=lasted / whole,
        )


def _buckets(row: UsageRecord) -> Iterator[Bucket]:
    """Those in which there is something, or for which there is a price; no token stands in two of them."""
    if row.outcome == Outcome.INTERRUPTED:
        return
    prices = row.prices if isinstance(row.prices, dict) else {}
    for unit, (column, title) in _BUCKETS.items():
        amount = getattr(row, column)
        if amount:
            yield Bucket(
                title, amount, request_story.price(prices[unit], zone=settings.TIME_ZONE) if unit in prices else ""
            )
