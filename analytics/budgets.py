"""What a request may cost by the budgets of its key, its project and the installation, all in one step.

A reservation is a cap that the gateway enforces: what was settled and the caps of open requests never exceed a limit
together. Which model that buys is `routing`'s to decide; what changes per request is the counters' to hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from analytics import accounts
from analytics.counters.guard import Guard
from analytics.counters.steps import Account, Balance, Reserve, Reserved, Settled, nano, usd
from analytics.counters.store import StoreError
from analytics.types import Budget, BudgetAction

RETRY_HELD_S = 1.0
MOST_NANO = 1 << 52
"""More than any limit: a client may ask for answers of any length, a store's numbers have an end."""
_NEAR_ITS_END = 20
"""A budget of which less than this part is left is told to the plan."""
_WORST_FIRST = {BudgetAction.REFUSE: 0, BudgetAction.DEGRADE: 1, BudgetAction.NOTE: 2}


class BudgetError(Exception):
    """Root of what budgets say no with; nothing was reserved.

    BudgetError
    ├── Reached      by one budget, spent or held by open requests
    │   └── Degrades     whose action is to go on in a lower layer
    └── Unavailable  nobody knows at the moment what was spent
    """


class Reached(BudgetError):
    def __init__(self, budget: Budget, *, account: Account, balance: Balance, least: int) -> None:
        self.budget = budget
        self.is_held = balance.spent + least <= (account.limit or 0)
        """Whether it would fit if the open requests cost nothing."""
        self.is_too_dear = least > (account.limit or 0)
        """Whether it alone is more than the budget."""
        self.until_ms = account.ends_ms
        self.spent_usd = usd(balance.spent)
        self.open_usd = usd(balance.open)
        super().__init__(f"{'held' if self.is_held else 'spent'}")


class Degrades(Reached): ...


class Unavailable(BudgetError): ...


@dataclass(slots=True)
class Reservation:
    """What all its budgets hold for one request. Nothing is asked of the counters until something may cost."""

    guard: Guard
    request_id: str
    ttl_s: float
    budgets: tuple[Budget, ...]
    accounts: tuple[Account, ...]
    """One for each budget."""
    cap: int = 0
    """Nano-dollars that are held."""
    was_asked: bool = False
    """Whether the counters may hold something for it."""
    lifted: set[int] = field(default_factory=set)
    """Ids of budgets that were reached and let it go on in a lower layer."""

    async def hold(self, caps: Sequence[Decimal], *, beside: Decimal) -> int:
        """Sees that the first of `caps` (USD, the largest first) that all budgets take is held, beside what earlier
        attempts may have cost; returns its place. What should cost nothing is never refused.

        Raises: Reached, Degrades, Unavailable.
        """
        if not self.accounts:
            return 0
        if not caps[0]:
            await self._hold_nothing()
            return 0
        wanted = tuple(min(nano(cap + beside), MOST_NANO) for cap in caps)
        granted = await self._reserve(wanted)
        self.cap = max(self.cap, wanted[granted])
        return granted

    async def _hold_nothing(self) -> None:
        """Makes the request known where it stands for nothing yet: should it cost something after all, that is charged.
        No budget refuses it for that, nor does an outage."""
        if self.cap:
            return
        self.was_asked = True
        asked = [(budget, _only_counting(account)) for budget, account in self._enforced()]
        with suppress(StoreError):
            await self._asked(asked, (0,))

    @property
    def refuses(self) -> bool:
        """Whether a budget may say no: others change nothing about a request."""
        return any(
            account.limit is not None and budget.id not in self.lifted
            for budget, account in zip(self.budgets, self.accounts, strict=True)
        )

    def left_usd(self) -> Decimal | None:
        """The least that a budget has left, where one is near its end by what was last seen; None: enough."""
        near = self.nearest()
        return None if near is None else max(near.budget.limit_usd - near.spent_usd, Decimal(0))

    def nearest(self) -> Reached | None:
        """As if reached, the budget that has least left, of those that refuse and are near their end."""
        found: list[tuple[int, Reached]] = []
        for budget, account in zip(self.budgets, self.accounts, strict=True):
            spent = self.guard.spent(account.name) if budget.action is BudgetAction.REFUSE else None
            if spent is not None and account.limit and account.limit - spent < account.limit // _NEAR_ITS_END:
                reached = Reached(budget, account=account, balance=Balance(spent, 0), least=account.limit)
                found.append((account.limit - spent, reached))
        return min(found, key=lambda pair: pair[0])[1] if found else None

    def lift(self, budget: Budget) -> None:
        """The request goes on in the layer of this budget, which counts it and refuses it no more."""
        self.lifted.add(budget.id)

    def settled(self, settled: Settled) -> None:
        """What came of settling it: budgets that it has taken to their limits are told."""
        spent = dict(settled.spent)
        for budget, account in zip(self.budgets, self.accounts, strict=True):
            if account.name in spent:
                self._saw(budget, account, spent=spent[account.name])

    async def _reserve(self, caps: tuple[int, ...]) -> int:
        enforced = self._enforced()
        self.was_asked = True
        try:
            reserved = await self._asked(enforced, caps)
        except StoreError as error:
            if all(account.may_miss for _, account in enforced):
                return 0  # only counted: not worth a refusal
            raise Unavailable from error
        for place, ((budget, account), balance) in enumerate(zip(enforced, reserved.balances, strict=False)):
            if place not in reserved.missing:
                self._saw(budget, account, spent=balance.spent)
        if reserved.granted is not None:
            return reserved.granted
        if reserved.refused is None:
            raise Unavailable
        budget, account = enforced[reserved.refused]
        reached = _reached(budget, account, balance=reserved.balances[reserved.refused], caps=caps)
        # Nobody's one request makes a budget reached, but where it sends requests to a lower layer that is told.
        if not reached.is_held and (isinstance(reached, Degrades) or not reached.is_too_dear):
            self.guard.keeper.reached(account.name, budget, spent=reserved.balances[reserved.refused].spent)
        raise reached

    async def _asked(self, enforced: list[tuple[Budget, Account]], caps: tuple[int, ...]) -> Reserved:
        named = tuple(account for _, account in enforced)
        return await self.guard.reserve(Reserve(self.request_id, caps, named, round(self.ttl_s * 1000)))

    def _enforced(self) -> list[tuple[Budget, Account]]:
        """With those whose action is to refuse first: their no is the last word."""
        pairs = [
            (budget, _only_counting(account) if budget.id in self.lifted else account)
            for budget, account in zip(self.budgets, self.accounts, strict=True)
        ]
        return sorted(pairs, key=lambda pair: _WORST_FIRST[pair[0].action]) if len(pairs) > 1 else pairs

    def _saw(self, budget: Budget, account: Account, *, spent: int) -> None:
        self.guard.saw(account.name, spent=spent)
        if spent >= nano(budget.limit_usd):
            self.guard.keeper.reached(account.name, budget, spent=spent)


def reservation(
    guard: Guard, budgets: Sequence[Budget], *, request_id: str, at: datetime, ttl_s: float, now: datetime | None = None
) -> Reservation:
    """Of a request that started at `at`, by the budgets whose dates hold then and which are known by `now` (the
    clock's, unless given). Nothing is reserved yet."""
    if not budgets:
        return Reservation(guard, request_id, ttl_s, (), ())
    now = now or datetime.now(UTC)
    held_to = tuple(accounts.in_force(budgets, at=at, now=now, after=accounts.KNOWN_AFTER))
    named = tuple(_account(budget, at=at, now=now) for budget in held_to)
    # Those that settle in may be given what is open by whoever fills their accounts.
    was_asked = len(held_to) < len(budgets)
    return Reservation(guard, request_id, ttl_s, held_to, named, was_asked=was_asked)


def _account(budget: Budget, *, at: datetime, now: datetime) -> Account:
    """May miss while its budget is new: it counts the request, and is filled in a moment."""
    account = accounts.account(budget, at=at)
    if now < budget.defined_at + accounts.MAY_MISS_FOR:
        return msgspec.structs.replace(account, may_miss=True)
    return account


def _only_counting(account: Account) -> Account:
    """As if its budget only noted: it refuses nothing."""
    return msgspec.structs.replace(account, limit=None, may_miss=True)


def _reached(budget: Budget, account: Account, *, balance: Balance, caps: tuple[int, ...]) -> Reached:
    least = caps[-1] if account.shorten else caps[0]
    kind = Degrades if budget.action is BudgetAction.DEGRADE else Reached
    return kind(budget, account=account, balance=balance, least=least)
