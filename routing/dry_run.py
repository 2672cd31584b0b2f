"""What would become of a request now: the same decision, within what its budgets have left, and around the models that
are out of order. Calls nobody."""

from __future__ import annotations

from uuid import UUID

from analytics import ids, standing
from analytics.types import Caller
from providers.types import ChatRequest
from routing import decision, health_listing, outstanding
from routing.decision import Decision
from routing.types import Snapshot, Wishes


def decide(
    request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot, request_id: UUID | None = None
) -> Decision:
    """Asks the counters what was spent; where they do not know, budgets are taken to have enough. What the id of a
    request settles, as the order among equals, is the same for the same `request_id`.

    Raises: need.UnknownLayer, UnknownModel.
    """
    need = decision.read_need(request, wishes=wishes, caller=caller, snapshot=snapshot)
    request_id = request_id or ids.new()
    room = standing.room(snapshot.budgets.of(caller), at=ids.started_at(request_id))
    return decision.decide(
        need,
        request=request,
        wishes=wishes,
        caller=caller,
        snapshot=snapshot,
        request_id=request_id,
        left_usd=room.left_usd,
        ceiling=decision.lowest(room.layers, snapshot=snapshot),
        outstanding=outstanding.asked_for(snapshot.policy),
        circuits=health_listing.not_closed(snapshot),
    )
