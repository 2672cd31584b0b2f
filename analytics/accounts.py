"""Which accounts a request counts in: its caller's budgets, each in the window it started in. Pure.

An account's name holds all that decides what it counts (the budget, since when it is defined so, where its window
begins): when any of that changes, spending is counted under another name, which a rebuild fills from the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from analytics.counters.steps import NANO, NO_END, Account
from analytics.periods import Period, period
from analytics.types import Budget, BudgetAction, NearEdge, Window

SETTLING_IN = timedelta(seconds=2)
"""A budget is enforced from so long after it was made or redefined: by then every process knows it, and its account
holds what was spent in the window before."""

MAY_MISS_FOR = timedelta(seconds=6)
"""So long after that a budget refuses nobody for want of its account: on several machines all of them are heard for two
seconds before it is filled, and the ledger is summed up."""

KNOWN_AFTER = timedelta(seconds=1)
"""Requests count in it from so long after, as soon as its account is there: none may start behind its filling and
before it is enforced, and be counted nowhere."""

MOST_KEPT = 20_000
_periods: dict[tuple[Window, str], Period] = {}
"""The last one looked up for each window and zone: most requests are in it."""
_accounts: dict[int, _Kept] = {}
"""The last one looked up for each budget, by its id."""


class _Kept(msgspec.Struct, frozen=True):
    budget: Budget
    span: Period
    account: Account


def in_force(
    budgets: Iterable[Budget], *, at: datetime, now: datetime | None = None, after: timedelta = SETTLING_IN
) -> list[Budget]:
    """Those whose dates hold for a request that started at `at`, and which were defined as they are so long before
    `now` (`at`, unless given): a body that took long to come does not keep its request out of a budget made meanwhile.
    """
    since = (at if now is None else now) - after
    return [budget for budget in budgets if is_dated(budget, at=at) and budget.defined_at <= since]


def account(budget: Budget, *, at: datetime) -> Account:
    """The budget's account for a request that started at `at`, which lies within its dates."""
    kept = _accounts.get(budget.id)
    if kept is None or kept.budget is not budget or not kept.span.holds(at):
        if len(_accounts) >= MOST_KEPT:
            _accounts.clear()
        found = span(budget, at=at)
        kept = _accounts[budget.id] = _Kept(budget, found, _account(budget, found))
    return kept.account


def _account(budget: Budget, found: Period) -> Account:
    return Account(
        name=f"b{budget.id}.{_ms(budget.defined_at)}.{_ms(found.start)}",
        limit=None if budget.action is BudgetAction.NOTE else int(budget.limit_usd * NANO),  # down: never above it
        shorten=budget.near_edge is NearEdge.SHORTEN,
        starts_ms=_ms(found.start),
        ends_ms=NO_END if found.end is None else _ms(found.end),
        may_begin=found.start >= budget.defined_at + SETTLING_IN,
        may_miss=budget.action is BudgetAction.NOTE,
    )


def span(budget: Budget, *, at: datetime) -> Period:
    """What the account counts: the budget's window at `at`, cut to its dates."""
    found = _period(budget.window, zone=budget.zone, at=at)
    start = found.start if budget.starts_at is None else max(found.start, budget.starts_at)
    ends = [end for end in (found.end, budget.ends_at) if end is not None]
    return Period(start, min(ends, default=None))


def is_dated(budget: Budget, *, at: datetime) -> bool:
    """Whether its own dates hold at `at`."""
    return (budget.starts_at is None or budget.starts_at <= at) and (budget.ends_at is None or at < budget.ends_at)


def _period(window: Window, *, zone: str, at: datetime) -> Period:
    known = _periods.get((window, zone))
    if known is None or not known.holds(at):
        known = _periods[window, zone] = period(window, zone=zone, at=at)
    return known


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
