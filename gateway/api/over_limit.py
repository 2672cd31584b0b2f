"""What a client is told of its limits and budgets: headers with what is left, and the words of a refusal, which are the
commands' as well.

Amounts of the installation's budget are nobody's business but the operator's, and those of a project or a key that of
keys which may see its usage: any other client hears that it is reached and until when. A limit itself is no secret to
those whom it holds back: the headers of every answer tell it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from analytics import ids
from analytics.budgets import RETRY_HELD_S, Reached
from analytics.counters.steps import NO_END
from analytics.limits import IN_WORDS, PLACES, REQUESTS, TOKENS, LimitReached, Quota
from analytics.types import Budget, BudgetScope, Caller, Scope, Window
from routing import chat

_MINUTE_MS = 60_000
_MAY_SEE: Mapping[BudgetScope, frozenset[Scope]] = {
    BudgetScope.INSTALLATION: frozenset(),
    BudgetScope.PROJECT: frozenset({Scope.USAGE_PROJECT}),
    BudgetScope.KEY: frozenset({Scope.USAGE_PROJECT, Scope.USAGE_OWN}),
}
"""Scopes of which a key needs one to hear a budget's amounts, as it needs them to see what was spent."""
_FIELDS = {REQUESTS: "requests_per_minute", TOKENS: "tokens_per_minute", PLACES: "concurrent_requests"}
"""What a limit is called where it is set."""


class Said(msgspec.Struct, frozen=True):
    """A refusal as `gateway.api.errors` puts it into an error object."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = {}
    detail: Mapping[str, Any] = {}


REFUSALS = (LimitReached, chat.OverBudget, chat.MoneyUnknown)
"""What a limit or a budget says no with."""


def refusal(error: LimitReached | chat.OverBudget | chat.MoneyUnknown, *, caller: Caller | None, at: float) -> Said:
    """What is said of one of the `REFUSALS`."""
    match error:
        case LimitReached():
            return limit_reached(error)
        case chat.OverBudget():
            return over_budget(error.reached, caller=caller, at=at)
        case chat.MoneyUnknown():
            return budget_unavailable()


def quota_headers(quotas: Sequence[Quota]) -> dict[str, str]:
    """`X-RateLimit-*` in OpenAI's form, for the tightest limit of each kind."""
    headers: dict[str, str] = {}
    for quota in quotas:
        headers[f"X-RateLimit-Limit-{quota.kind.title()}"] = str(quota.limit)
        headers[f"X-RateLimit-Remaining-{quota.kind.title()}"] = str(quota.remaining)
        headers[f"X-RateLimit-Reset-{quota.kind.title()}"] = duration(quota.reset_ms)
    return headers


def duration(ms: int) -> str:
    """Milliseconds as OpenAI writes them: `120ms`, `7.66s`, `6m0s`."""
    if ms < 1000:
        return f"{ms}ms"
    if ms < _MINUTE_MS:
        return f"{ms / 1000:g}s"
    minutes, rest = divmod(ms, _MINUTE_MS)
    return f"{minutes}m{rest / 1000:g}s"


def limit_reached(error: LimitReached) -> Said:
    """429 with the wait; 400 where waiting would not help. Either says which limit it was, and whose."""
    detail = {"scope": error.whose, "kind": _FIELDS[error.kind], "limit": error.limit}
    if error.retry_s is None:
        message = (
            f"This request may use {error.cost:,} tokens, and its {error.whose} {error.limit:,} in a minute: send "
            "less, or ask for a shorter answer with max_tokens."
        )
        return Said(400, "tokens_per_minute_exceeded", message, detail=detail)
    wait = math.ceil(error.retry_s)
    message = f"The {error.whose} has reached its limit of {error.limit:,} {IN_WORDS[error.kind]}."
    if error.kind == TOKENS:
        message += f" This request may use {error.cost:,}."
    headers = quota_headers(error.quotas) | {"Retry-After": str(max(wait, 1))}
    return Said(429, "rate_limit_exceeded", f"{message} Try again in {max(wait, 1)} s.", headers, detail)


def over_budget(reached: Reached, *, caller: Caller | None, at: float) -> Said:
    """402: which budget, and until when; its amounts where `caller` may see them."""
    budget, until = reached.budget, None if reached.until_ms >= NO_END else ids.moment(reached.until_ms / 1000)
    has_amounts = caller is not None and _may_see(budget, caller=caller)
    named, detail = _named(budget, has_amounts=has_amounts), _detail(reached, until=until, has_amounts=has_amounts)
    if reached.is_held:
        message = f"{named} is held by requests under way; try again when some of them have ended."
        return Said(402, "budget_held", message, {"Retry-After": str(math.ceil(RETRY_HELD_S))}, detail)
    left_usd = budget.limit_usd - reached.spent_usd
    if reached.is_too_dear and left_usd > 0:  # no waiting helps
        message = f"{named} is less than this request may cost; ask for a shorter answer with max_tokens."
        return Said(402, "budget_spent", message, {}, detail | {"until": None})
    left = f"${_plain(left_usd)}" if has_amounts else "too little"
    state = "is spent" if left_usd <= 0 else f"has {left} left"
    shorter = "" if left_usd <= 0 else " This request may cost more; ask for a shorter answer with max_tokens."
    if until is None:
        return Said(402, "budget_spent", f"{named} {state}.{shorter}", {}, detail)
    local = until.astimezone(ZoneInfo(budget.zone))
    message = f"{named} {state} until {local:%Y-%m-%d %H:%M} ({budget.zone}).{shorter}"
    wait = max(math.ceil(until.timestamp() - at), 1)
    return Said(402, "budget_spent", message, {"Retry-After": str(wait)}, detail)


def _may_see(budget: Budget, *, caller: Caller) -> bool:
    """Who has no key is the owner, at the installation's own command line."""
    return caller.key_id is None or not _MAY_SEE[budget.scope].isdisjoint(caller.scopes)


def budget_unavailable() -> Said:
    message = (
        "What this key's budgets have left cannot be looked up: the counters are away or being filled again. No model "
        "was called; try again in a second."
    )
    return Said(503, "budget_unavailable", message, {"Retry-After": "1"})


def _named(budget: Budget, *, has_amounts: bool) -> str:
    whose = "this installation" if budget.scope is BudgetScope.INSTALLATION else f"{budget.scope.value} {budget.name!r}"
    amount = f"${_plain(budget.limit_usd)} " if has_amounts else ""
    return f"The budget of {whose} ({amount}{_per(budget.window)})"


def _per(window: Window) -> str:
    return "in all" if window is Window.TOTAL else "an hour" if window is Window.HOUR else f"a {window.value}"


def _detail(reached: Reached, *, until: datetime | None, has_amounts: bool) -> dict[str, Any]:
    budget = reached.budget
    told: dict[str, Any] = {
        "budget": budget.id,
        "scope": budget.scope.value,
        "window": budget.window.value,
        "until": None if until is None else until.isoformat(),
    }
    if has_amounts:
        told |= {
            "limit_usd": _plain(budget.limit_usd),
            "spent_usd": _plain(reached.spent_usd),
            "held_usd": _plain(reached.open_usd),
        }
    return told


def _plain(usd: Decimal) -> str:
    return f"{usd.normalize():f}"
