"""What would become of a request now: the same decision, within what its budgets have left, and around the models that
are out of order. Calls nobody."""

from __future__ import annotations

from analytics import ids, standing
from analytics.types import Caller
from providers.types import ChatRequest
from routing import decision, health_listing, outstanding
from routing.decision import Decision
from routing.types import Snapshot, Wishes


def decide(request: ChatRequest, *, wishes: Wishes, caller: Caller, snapshot: Snapshot) -> Decision:
    """Asks the counters what was spent; where they do not know, budgets are taken to have enough.

    Raises: need.UnknownLayer, UnknownModel.
    """
    need = decision.read_need(request, wishes=wishes, caller=caller, snapshot=snapshot)
    request_id = ids.new()
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
