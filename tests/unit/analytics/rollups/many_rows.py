"""Usage rows of many kinds: of all outcomes, keys and models, at the edges of minutes, days and histograms."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from analytics.types import UsageRow
from tests.unit.analytics.test_ledger import usage_row

ENDS = [("ok", 200, ""), ("error", 502, "timeout"), ("error", 402, "budget_spent"), ("error", 200, "stall")]
ENDS += [("cancelled", 499, ""), ("interrupted", 0, "")]
DAY = datetime(2026, 3, 14, tzinfo=UTC)
MORE = Decimal("9.87654e-11")
EDGES_MS = (0.0, 5.0, 5.0001, 6.8, 812.25, 600_000.0, 10_000_000.0)


def rows(count: int, *, dice: random.Random, start: datetime = DAY, days: int = 2) -> list[UsageRow]:
    """Rows over some days from `start`, half of them close to a quarter's edge."""
    return [_row(dice, start=start, days=days) for _ in range(count)]


def _row(dice: random.Random, *, start: datetime, days: int) -> UsageRow:
    key = dice.choice([None, 1, 2, 3, 4])
    outcome, status, error_kind = dice.choice(ENDS)
    number = dice.randrange(3)
    figures: dict[str, Any] = {name: dice.choice([0, 0, dice.randrange(10**6)]) for name in _COUNTS}
    return usage_row(
        _moment(dice, start=start, days=days),
        kind=dice.choice(["chat", "chat", "probe"]),
        outcome=outcome,
        status=status,
        error_kind=error_kind,
        project_id=(key or 9) % 2,
        project=f"project {(key or 9) % 2}",
        key_id=key,
        key_name=f"key {key}",
        provider=f"provider {number}",
        model=f"model {number}",
        layer=f"L{number}",
        attempts=dice.randrange(4),
        fell_back=dice.random() < 0.2,
        cost_usd=_usd(dice),
        budget_usd=_usd(dice),
        duration_ms=dice.choice([*EDGES_MS, dice.lognormvariate(7, 2)]),
        first_token_ms=dice.choice([None, *EDGES_MS, dice.lognormvariate(5, 2)]),
        **figures,
    )


def _usd(dice: random.Random) -> Decimal:
    """Now and then with more places than the ledger keeps."""
    return Decimal(dice.randrange(10**12)).scaleb(-10) + dice.choice([0, 0, Decimal("4e-11"), Decimal("5e-11"), MORE])


_COUNTS = (
    *("input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("output_tokens", "reasoning_tokens", "web_searches", "images"),
)


def _moment(dice: random.Random, *, start: datetime, days: int) -> datetime:
    quarter = start + timedelta(minutes=15) * dice.randrange(days * 96)
    off = dice.choice([0, 1, 899_999, dice.randrange(900_000)])
    return quarter + timedelta(milliseconds=off)
