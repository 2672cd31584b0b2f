"""How budgets stand, as pages draw it: a bar of what is spent and what is held, of the limit."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec
from django.utils import timezone

from analytics import budget_rows, standing
from analytics.models import Budget
from analytics.standing import Standing
from analytics.types import Window
from gateway import budget_listing

NEAR = 0.8
"""Of its limit: from here on a budget is near its end."""


class Bar(msgspec.Struct, frozen=True):
    budget: Budget
    state: str
    """active, disabled, over, to come."""
    spent_usd: Decimal | None
    """None while nobody can tell, and for a budget that counts nothing now."""
    held_usd: Decimal | None
    window_ends_at: datetime | None

    @property
    def share(self) -> float:
        """Of the limit, spent; more than 1 where it was overrun."""
        return float((self.spent_usd or 0) / self.budget.limit_usd)

    @property
    def held_share(self) -> float:
        """Of the limit, held beside what is spent; no more than fits on the bar."""
        return min(float((self.held_usd or 0) / self.budget.limit_usd), max(0.0, 1 - self.share))

    @property
    def level(self) -> str:
        if self.share >= 1:
            return "spent"
        return "near" if self.share >= NEAR else ""

    @property
    def limit(self) -> str:
        """In full: nobody wants to guess what a million was rounded from."""
        plain = f"{self.budget.limit_usd.normalize():,f}"
        return f"${self.budget.limit_usd:,.2f}" if plain[-2:-1] == "." else f"${plain}"

    @property
    def per(self) -> str:
        return "in total" if self.budget.window == Window.TOTAL else f"per {self.budget.window}"

    @property
    def does(self) -> str:
        """What happens when it is reached."""
        words = {"refuse": "refuses", "degrade": f"degrades to {self.budget.layer}", "note": "only notes it"}
        return words.get(self.budget.action, self.budget.action)

    @property
    def until(self) -> str:
        """When its window ends, by the budget's own clock, which is named; '' where it has no end."""
        return budget_listing.moment(self.window_ends_at, self.budget)

    @property
    def is_on(self) -> bool:
        return self.budget.enabled


def of(rows: Iterable[Budget]) -> list[Bar]:
    """In the order of the rows. Asks the counters once for all of them."""
    listed = list(rows)
    found = standing.of(listed, at=timezone.now()) if listed else {}
    return [_bar(row, found[row.pk]) for row in listed]


def _bar(row: Budget, stands: Standing) -> Bar:
    return Bar(row, budget_rows.state(row), stands.spent_usd, stands.held_usd, stands.window_ends_at)
