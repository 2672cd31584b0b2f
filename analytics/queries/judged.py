"""How hard the latest requests looked: what a change of the layers' thresholds is tried on. Reads at most
`MOST_LOOKED_AT` rows, the newest, by the index of their times."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from django.db.models import QuerySet

from analytics.models import UsageRecord
from analytics.queries.deadline import TookTooLong, statements_within

MOST_LOOKED_AT = 2_000
SECONDS = 2.0
BY_SCORE = "score"
"""How the reason begins where the score chose the layer."""


class Judged(NamedTuple):
    score: float
    cost_usd: Decimal | None


def latest(among: QuerySet[UsageRecord]) -> list[Judged]:
    """Of the newest requests `among` those whose layer was chosen by their score; none where the database takes too
    long to find them."""
    rows = among.order_by("-started_at", "-id").values_list("score", "cost_usd", "decision__entry_reason")
    try:
        with statements_within(SECONDS):
            return list(_judged(list(rows[:MOST_LOOKED_AT])))
    except TookTooLong:
        return []


def _judged(rows: list[tuple[float | None, Decimal | None, object]]) -> Iterator[Judged]:
    for score, cost_usd, reason in rows:
        if score is not None and str(reason).startswith(BY_SCORE):
            yield Judged(score, cost_usd)
