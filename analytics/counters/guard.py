"""A process's way to its counters: outages are noticed once and told, and nothing that was consumed is forgotten.

Fails open for rate limits and places, which are counted when they were not enforced; fails closed for money, which is
the caller's to decide (`analytics.budgets`). Who mends an outage is the keeper, in its thread: it asks the store how it
is, and retries what could not be settled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from analytics.counters.steps import Admit, Admitted, Reserve, Reserved, Settle, Settled
from analytics.counters.store import Store, StoreAway, StoreError
from analytics.lengths import Lengths
from analytics.types import Budget

logger = logging.getLogger(__name__)

MOST_SEEN = 20_000
SEEN_FOR_S = 1.0


class Keeper(Protocol):
    """What the guard asks of the keeper's thread."""

    def later(self, step: Settle) -> None:
        """Settles it until the store has taken it."""

    def wants_rebuild(self) -> None:
        """Accounts are missing."""

    def reached(self, account: str, budget: Budget, *, spent: int) -> None:
        """A budget was reached: the audit trail hears of it once for each window."""


class Missed(msgspec.Struct):
    """What an outage cost, since the process began."""

    admitted_unchecked: int = 0
    """Requests that no limit was asked for."""
    not_reserved: int = 0
    """Requests that a budget could not be asked for."""


class Guard:
    """The store's steps as a request takes them. One per process, used in its event loop."""

    def __init__(self, store: Store, *, keeper: Keeper, lengths: Lengths, span_ms: int = 60_000) -> None:
        self.lengths = lengths
        self.span_ms = span_ms
        """Length of the window of limits «per minute»."""
        self.missed = Missed()
        self.is_here = True
        """False from a step that failed until the keeper has found the store well."""
        self._store = store
        self.keeper = keeper
        self._seen: dict[str, tuple[float, int]] = {}
        self._settling: set[asyncio.Future[Settled]] = set()

    async def admit(self, step: Admit) -> Admitted | None:
        """None: the store is away, and limits are open."""
        if self.is_here:
            try:
                return await self._store.admit(step)
            except StoreError as error:
                self._lost(error)
                # It may have been admitted all the same.
                self.settle(Settle(step.id, slots=tuple(slot.name for slot in step.slots)))
            except asyncio.CancelledError:
                self.settle(Settle(step.id, slots=tuple(slot.name for slot in step.slots)))
                raise
        self.missed.admitted_unchecked += 1
        return None

    async def reserve(self, step: Reserve) -> Reserved:
        """Raises: StoreAway; then it may have been reserved, and is settled with the request as if it were."""
        if self.is_here:
            try:
                reserved = await self._store.reserve(step)
            except StoreError as error:
                self._lost(error)
            else:
                if reserved.missing:
                    self.keeper.wants_rebuild()
                return reserved
        self.missed.not_reserved += 1
        raise StoreAway("The counters are away.")

    def settle(self, step: Settle, *, told: Callable[[Settled], None] | None = None) -> None:
        """Never waits and never raises: what cannot be settled now is settled later. `told` hears what came of it, when
        it happened soon."""
        if not self.is_here:
            self.keeper.later(step)
            return
        settling = self._store.settle(step)
        self._settling.add(settling)
        settling.add_done_callback(lambda ended: self._has_settled(ended, step, told=told))

    def _has_settled(
        self, settling: asyncio.Future[Settled], step: Settle, *, told: Callable[[Settled], None] | None
    ) -> None:
        self._settling.discard(settling)
        try:
            settled = settling.result()
        except (StoreError, asyncio.CancelledError) as error:
            if isinstance(error, StoreError):
                self._lost(error)
            self.keeper.later(step)
        else:
            if told is not None:
                told(settled)

    async def aclose(self, *, within_s: float = 1.0) -> None:
        """Waits a moment for what is being settled, and closes the loop's connections."""
        if self._settling:
            await asyncio.wait(set(self._settling), timeout=within_s)
        await self._store.aclose()

    def close(self) -> None:
        """When the keeper has stopped."""
        self._store.close()

    def saw(self, account: str, *, spent: int) -> None:
        if len(self._seen) >= MOST_SEEN:
            self._seen.clear()
        self._seen[account] = time.monotonic(), spent

    def spent(self, account: str) -> int | None:
        """What was spent when this process last saw it, less than a second ago. Only a hint: it is more by now."""
        seen = self._seen.get(account)
        return seen[1] if seen is not None and time.monotonic() - seen[0] < SEEN_FOR_S else None

    def hear(self, is_well: bool) -> None:
        """The keeper has asked the store how it is. Called from its thread."""
        if is_well and not self.is_here:
            logger.warning(
                "The counters are back; %d requests went by unchecked by limits and %d were refused since the start",
                self.missed.admitted_unchecked,
                self.missed.not_reserved,
            )
        elif self.is_here and not is_well:
            logger.error("The counters are away, limits are open and budgets refuse: the keeper cannot reach them")
        self.is_here = is_well

    def _lost(self, error: StoreError) -> None:
        if self.is_here:
            logger.error("The counters are away, limits are open and budgets refuse: %s", error)
        self.is_here = False
