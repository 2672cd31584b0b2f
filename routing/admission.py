"""The beginning of a chat request: it is admitted by the limits of its caller, and planned.

Tries nothing: that is `routing.chat`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol
from uuid import UUID

import msgspec

from analytics import budgets, ids, limits
from analytics.bodies import Bodies
from analytics.counters.guard import Guard
from analytics.limits import NO_LEASE, Lease
from analytics.spool import Spool
from analytics.types import Caller
from providers.types import ChatRequest
from routing import decision, outstanding
from routing.attempts import Clock
from routing.circuit import Circuit
from routing.decision import Decision
from routing.entry import Entry
from routing.health import Health
from routing.types import Need, Snapshot, Wishes
from routing.watching import Watching


class Parts(Protocol):
    """What a process that answers requests holds (`routing.runtime`)."""

    @property
    def spool(self) -> Spool: ...

    @property
    def guard(self) -> Guard: ...

    @property
    def health(self) -> Health: ...

    @property
    def bodies(self) -> Bodies: ...


class Asked(msgspec.Struct, frozen=True):
    """A request with all that is known when it comes in."""

    request: ChatRequest
    wishes: Wishes
    caller: Caller
    snapshot: Snapshot
    request_id: UUID

    def decide(
        self,
        need: Need,
        *,
        left_usd: Decimal | None,
        ceiling: str | None = None,
        circuits: Mapping[int, Circuit],
    ) -> Decision:
        return decision.decide(
            need,
            request=self.request,
            wishes=self.wishes,
            caller=self.caller,
            snapshot=self.snapshot,
            request_id=self.request_id,
            left_usd=left_usd,
            ceiling=ceiling,
            outstanding=outstanding.asked_for(self.snapshot.policy),
            circuits=circuits,
        )


AFTER_DEADLINE_S = 30.0
"""How long places and reservations outlive a request's deadline: nothing that settles late is charged at its cap."""


async def begin(asked: Asked, *, parts: Parts) -> Entry:
    """Admits a request and plans it."""
    need = decision.read_need(asked.request, wishes=asked.wishes, caller=asked.caller, snapshot=asked.snapshot)
    clock = Clock(decision.longest_s(wishes=asked.wishes, snapshot=asked.snapshot))  # until it is known where it enters
    ttl_s = clock.deadline_s + AFTER_DEADLINE_S
    reservation = budgets.reservation(
        parts.guard,
        asked.snapshot.budgets.of(asked.caller),
        request_id=asked.request_id.hex,
        at=ids.started_at(asked.request_id),
        ttl_s=ttl_s,
    )
    lease = await _admitted(asked, need=need, guard=parts.guard, ttl_s=ttl_s)
    watching = Watching(parts.health)
    try:
        made = asked.decide(need, left_usd=reservation.left_usd(), circuits=watching.circuits)
    except BaseException:
        limits.give_back(parts.guard, lease, request_id=asked.request_id.hex)
        raise
    clock.deadline_s = made.bounds.deadline_s
    spool, guard, bodies = parts.spool, parts.guard, parts.bodies
    return Entry(asked.caller, asked.request, made, spool, guard, bodies, clock, reservation, lease, watching)


async def _admitted(asked: Asked, *, need: Need, guard: Guard, ttl_s: float) -> Lease:
    """Raises: LimitReached."""
    if not limits.has_any(asked.caller):
        return NO_LEASE
    answers = (need.max_output_tokens or 0) * need.answers
    usual = 0 if need.max_output_tokens else guard.lengths.unstated(key_id=asked.caller.key_id)
    return await limits.admit(
        guard,
        asked.caller,
        request_id=asked.request_id.hex,
        tokens=need.input_tokens + answers,
        usual_tokens=usual * need.answers,
        ttl_s=ttl_s,
    )
