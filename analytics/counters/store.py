"""The one interface of the two stores that hold what changes per request: limits, leases, budgets' accounts.

A store decides each step atomically, whoever else is at it, and knows nothing of keys or projects: it takes and gives
names and numbers. Steps on a request's way are async; those of the keeper's thread, of commands and of pages are plain
calls on connections of their own. Rebuilding: `begin` marks a rebuild, every process `announce`s what it has open
where others cannot read its spool, `finish` writes the accounts. While one is marked, what is settled is kept aside as
well, so that `finish` takes no settled request for an open one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from analytics.counters.steps import (
    Account,
    Admit,
    Admitted,
    Balance,
    Change,
    Entry,
    Held,
    Line,
    Pulse,
    Rebuilt,
    Reserve,
    Reserved,
    Settle,
    Settled,
)


class StoreError(Exception):
    """Root of what a store can fail by; nothing is known of the step then, it may have happened.

    StoreError
    └── StoreAway   it did not answer within its deadline, or at all
    """


class StoreAway(StoreError): ...


class Store(Protocol):
    """Every method raises StoreError."""

    is_local: bool
    """Whether all processes that use it are on one machine, and can read each other's spools."""

    async def admit(self, step: Admit) -> Admitted: ...

    async def reserve(self, step: Reserve) -> Reserved: ...

    def settle(self, step: Settle) -> asyncio.Future[Settled]:
        """Taken behind the steps that were asked for before, whether anybody waits for its answer or not."""

    async def aclose(self) -> None:
        """Closes what the steps above use, in the loop that used them."""

    def settle_now(self, steps: Sequence[Settle]) -> list[Settled]: ...

    def pulse(self) -> Pulse: ...

    def lapse(self) -> list[str]:
        """Charges reservations whose time is over at their caps; returns ids of up to 500 that stand so, oldest first,
        until they are settled. Those it returned come behind the others the next time. One whose time was over a day
        ago is charged for good, and forgotten."""

    def balances(self, names: Sequence[str]) -> dict[str, Balance]:
        """Of the accounts that the store holds."""

    def missing(self, accounts: Sequence[Account]) -> list[Account]:
        """Those that a `Reserve` would call missing. Asked for some hundreds at most: requests wait meanwhile."""

    def first(self, name: str) -> bool:
        """Whether this account is marked for the first time: of several processes one is told so."""

    def begin(self, token: str, *, ttl_ms: int) -> bool:
        """Marks a rebuild, for `ttl_ms` at most; False while another one is marked. An empty store, or one of another
        life, forgets all it held of money."""

    def renew(self, token: str, *, ttl_ms: int) -> bool:
        """Marks it for `ttl_ms` from now; False when it is not the rebuild that is marked."""

    def announce(self, token: str, *, source: str, lines: Sequence[Line]) -> None:
        """What a process has open, and has settled of late, in place of what it announced before. Nothing happens when
        `token` is not the rebuild's."""

    def announced(self, token: str) -> dict[str, list[Line]]:
        """What was announced so far, by source."""

    def finish(self, token: str, rebuilt: Rebuilt) -> bool:
        """Writes the accounts, some hundreds at once, unless the rebuild is no longer the one marked. A held request
        that was settled since `begin` is added to what was spent; one that the store has open already joins the
        accounts with its own cap.

        Reservations that name a rebuilt account, as they were made while it was missing, are open in it too, and what
        they cost where they were settled since `begin`. Such a request may stand in the rebuild's sums already: it is
        counted twice then rather than not at all."""

    def unknown(self, ids: Sequence[str]) -> list[str]:
        """Those for which it holds no reservation, open or lapsed."""

    def adopt(self, held: Sequence[Held], *, ttl_ms: int) -> None:
        """Reserves what is open and was in no rebuild, whatever the limits, where it holds nothing for it. Nothing
        happens while the store is not whole."""

    def registered(self, kind: str) -> dict[str, Entry]:
        """All entries of one register, by name."""

    def register(self, kind: str, changes: Sequence[Change]) -> list[bool]:
        """Of each change, in order, whether it was done: only where the entry's version is the known one."""

    def tidy(self) -> None:
        """Forgets what no step will ask for again: accounts a day after their end, lapsed places, old buckets,
        entries that have ended. What lapsed is `lapse`'s to forget."""

    def close(self) -> None: ...
