"""How budgets stand at a moment: what was spent and what is held in the window they are in, by the counters.

For lists and pages: reads, and begins no account. A request's own way to the counters is `analytics.budgets`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal

import msgspec
from django.utils import timezone

from analytics import accounts, budget_book
from analytics.counters.opening import open_store
from analytics.counters.steps import Account, Balance, usd
from analytics.counters.store import Store, StoreError
from analytics.models import Budget as Row
from analytics.types import Budget, BudgetAction

logger = logging.getLogger(__name__)

_NOTHING = Balance(0, 0)


class Standing(msgspec.Struct, frozen=True):
    """Of one budget. Amounts are None where nobody knows: the counters are away or being filled, or the budget counts
    nothing now. The window is None for a budget whose dates do not hold now."""

    spent_usd: Decimal | None = None
    held_usd: Decimal | None = None
    """The caps of requests under way."""
    window_starts_at: datetime | None = None
    window_ends_at: datetime | None = None
    """None in a window without end as well."""


UNKNOWN = Standing()


class Room(msgspec.Struct, frozen=True):
    """What budgets leave for one more request."""

    left_usd: Decimal | None
    """The least that one which refuses has left; None where none does, or nobody knows."""
    layers: tuple[str, ...]
    """Of spent ones, those that requests go on in."""


def of(rows: Iterable[Row], *, at: datetime | None = None) -> Mapping[int, Standing]:
    """By the rows' ids. Asks the counters once for all of them; their outage is no error."""
    now = at or timezone.now()
    budgets = {row.pk: _dated(row, at=now) for row in rows}
    counting = {
        number: accounts.account(found, at=now) for number, (found, is_on) in budgets.items() if found and is_on
    }
    balances = _balances(list(counting.values())) if counting else {}
    return {
        number: _standing(budget, balances.get(counting[number].name) if number in counting else None, at=now)
        for number, (budget, _) in budgets.items()
    }


def room(budgets: Sequence[Budget], *, at: datetime) -> Room:
    """Of those that are enforced at `at`."""
    held_to = {accounts.account(budget, at=at): budget for budget in accounts.in_force(budgets, at=at)}
    found = _balances(list(held_to)) if held_to else {}
    known = [(budget, found[account.name]) for account, budget in held_to.items() if account.name in found]
    left = [(budget, budget.limit_usd - usd(balance.spent + balance.open)) for budget, balance in known]
    refusing = [left_usd for budget, left_usd in left if budget.action is BudgetAction.REFUSE]
    spent = [budget for budget, left_usd in left if left_usd <= 0 and budget.action is BudgetAction.DEGRADE]
    least = min(refusing, default=None)
    return Room(None if least is None else max(least, Decimal(0)), tuple(budget.layer for budget in spent))


def _dated(row: Row, *, at: datetime) -> tuple[Budget | None, bool]:
    """The budget, if its dates hold at `at`, and whether it counts."""
    try:
        budget = budget_book.frozen(row)
    except ValueError:
        return None, False  # written past our checks; `budget_book` has logged it
    return (budget if accounts.is_dated(budget, at=at) else None), row.enabled


def _standing(budget: Budget | None, balance: Balance | None, *, at: datetime) -> Standing:
    if budget is None:
        return UNKNOWN
    span = accounts.span(budget, at=at)
    if balance is None:
        return Standing(None, None, span.start, span.end)
    return Standing(usd(balance.spent), usd(balance.open), span.start, span.end)


def _balances(wanted: list[Account]) -> dict[str, Balance]:
    """By account. One that the store may begin at zero stands at zero; one it lacks otherwise is left out."""
    try:
        with closing(open_store()) as store:
            return _read(store, wanted)
    except StoreError as error:
        logger.warning("What budgets have spent cannot be told: %s", error)
        return {}


def _read(store: Store, wanted: list[Account]) -> dict[str, Balance]:
    found = store.balances([account.name for account in wanted])
    unseen = [account for account in wanted if account.name not in found]
    missing = {account.name for account in store.missing(unseen)} if unseen else set()
    return found | {account.name: _NOTHING for account in unseen if account.name not in missing}
