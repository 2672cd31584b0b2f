"""Random rows of a ledger over some days, and what plain arithmetic over its rows says of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from analytics import ledger
from analytics.models import UsageRecord
from analytics.queries.spans import Span
from analytics.queries.sums import Totals
from analytics.rollup_models import PER_USD, TOKENS
from analytics.series import StatusClass, status_class
from tests.unit.analytics.test_ledger import usage_row

NOW = datetime(2026, 11, 3, 14, 37, 12, tzinfo=UTC)
"""Nine days after Berlin's clocks went back, two after St John's, a month after Lord Howe's."""
ENDS = [("ok", 200, "")] * 6 + [
    ("error", 429, "rate_limited"),
    ("error", 400, "rejected"),
    ("error", 502, "timeout"),
    ("error", 200, "reset"),
    ("cancelled", 499, ""),
    ("interrupted", 0, ""),
]
MODELS = [("acme", "small", "L0"), ("acme", "org/large:v1", "L1"), ("other", "small", "L1"), ("", "", "")]


def scattered(count: int, *, start: datetime, end: datetime, seed: int) -> list[UsageRecord]:
    """Puts rows at random moments into the ledger; they are of two projects with two keys each and the owner's."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        outcome, status, error = dice.choice(ENDS)
        provider, model, layer = dice.choice(MODELS)
        project = dice.choice([1, 2])
        key = dice.choice([project * 10, project * 10 + 1, None])
        tokens = {name: dice.choice([0, dice.randrange(5000)]) for name in TOKENS}
        made.append(
            usage_row(
                start + (end - start) * dice.random(),
                outcome=outcome, status=status, error_kind=error, provider=provider, model=model, layer=layer,
                project_id=project, project=f"p{project}", key_id=key, key_name=f"k{key}",
                kind=dice.choice(["chat", "chat", "embeddings"]), attempts=dice.randrange(4),
                fell_back=dice.random() < 0.2, cost_usd=Decimal(dice.randrange(10**9)).scaleb(-10),
                budget_usd=Decimal(dice.randrange(10**9)).scaleb(-10), duration_ms=dice.expovariate(1 / 900),
                first_token_ms=dice.choice([None, dice.expovariate(1 / 200)]), **tokens,
            )
        )  # fmt: skip
    ledger.insert(made)
    return list(UsageRecord.objects.all())


def span(start: datetime, end: datetime, *, zone: str = "UTC", at: datetime = NOW) -> Span:
    return Span(start=start, end=end, zone=zone, at=at)


def days_ago(days: float) -> datetime:
    return NOW.replace(second=0) - timedelta(days=days)


def among(
    rows: Iterable[UsageRecord],
    start: datetime,
    end: datetime,
    wanted: Callable[[UsageRecord], bool] = lambda row: True,
) -> list[UsageRecord]:
    return [row for row in rows if start <= row.started_at < end and wanted(row)]


def ended(row: UsageRecord) -> StatusClass:
    return status_class(row.outcome, row.status)


def plain(rows: Iterable[UsageRecord]) -> Totals:
    """The sums of some rows, one after the other."""
    some = list(rows)
    counted = ("attempts", *TOKENS, "web_searches", "images")
    return Totals(
        requests=len(some),
        answered=sum(row.outcome == "ok" for row in some),
        cancelled=sum(row.outcome == "cancelled" for row in some),
        fell_back=sum(row.fell_back for row in some),
        cost=sum(int(row.cost_usd * PER_USD) for row in some),
        budget=sum(int(row.budget_usd * PER_USD) for row in some),
        **{name: sum(getattr(row, name) for row in some) for name in counted},
    )
